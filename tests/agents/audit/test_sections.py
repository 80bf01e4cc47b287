"""What each part of the page says."""

import math
import re
from dataclasses import replace

import pytest

from hansa.agents.audit.checkpoints import checkpoints_section
from hansa.agents.audit.jobs import jobs_section
from hansa.agents.audit.members import members_section
from hansa.agents.audit.timeline import MOST_SLICES, epochs_of, place_of, slices, timeline_section
from hansa.agents.audit.verdict import findings_section, limits_section, state_of, verdict_section
from hansa.agents.audit.words import day, figure, group_of, minute, percent
from hansa.ledger.bodies import KINDS
from hansa.ledger.report import Point, Tick
from tests.agents.audit import reports
from tests.agents.audit.test_page import words


def lead(**changes: object) -> str:
    """Return the verdict of a good report with changes."""
    return words(verdict_section(replace(reports.good(), **changes), None))  # type: ignore[arg-type]


def test_the_verdict_says_what_holds_of_which_ledger_and_what_is_final() -> None:
    assert (
        "The ledger of town holds. All 1,204 entries are as they were signed, in the order in which they were"
        " recorded, under the charter whose fingerprint was given; the final checkpoint over the first"
        " 1,150 (epoch 1, kept by north) bears the names of 2 members beside its keeper, and the last 54 are not"
        " final yet."
    ) in lead()


@pytest.mark.parametrize(
    ("final_size", "expected"),
    [(1_203, "and the last one is not final yet"), (1_204, "beside its keeper, and so all of them.")],
)
def test_the_verdict_counts_what_is_not_final(final_size: int, expected: str) -> None:
    assert expected in lead(final_size=final_size, checkpoints=(reports.checkpoint(final_size),))


def test_a_final_head_that_is_not_listed_is_told_all_the_same() -> None:
    report = replace(reports.good(), final_size=1_100, checkpoints=(reports.checkpoint(50),))
    assert "a final checkpoint covers the first 1,100, and the last 104 are not final yet." in lead(
        final_size=1_100, checkpoints=report.checkpoints
    )
    assert "The newest final head is of 1,100 entries, and not among these." in words(
        checkpoints_section(report)
    )


def test_a_ledger_that_nobody_has_witnessed_is_a_concern() -> None:
    assert state_of(replace(reports.good(), final_size=0)) == "concern"
    assert "the keeper alone vouches for their order" in lead(final_size=0, checkpoints=())


def test_a_charter_compared_with_nothing_is_a_concern() -> None:
    report = replace(reports.good(), pinned=False)
    assert (state_of(reports.good()), state_of(report), state_of(reports.bad())) == ("good", "concern", "bad")
    assert "compared with nothing, because no fingerprint was given" in lead(pinned=False)
    limits = words(limits_section(report)).split(" That ")
    assert limits[1].startswith("the charter is the right one")


def test_a_verdict_that_is_bad_quotes_the_first_reason() -> None:
    seen = words(verdict_section(reports.bad(), None))
    assert (
        "does not hold. 2 things are not as they must be, while the first 812 entries hang together" in seen
    )
    assert "first of all: Entry 812 is not what followed entry 811" in seen


def test_one_reason_is_told_as_one() -> None:
    alone = (reports.finding("file", "It was cut off.", holds=False),)
    assert "1 thing is not as it must be, while the first 1,204 entries hang together" in lead(findings=alone)
    assert "was given; It was cut off." in lead(findings=alone)


def test_findings_beyond_what_anybody_reads_are_counted() -> None:
    many = tuple(reports.finding("entries", f"Finding {number}.", holds=False) for number in range(203))
    seen = words(findings_section(replace(reports.good(), findings=many)))
    assert "Does not hold (203)" in seen
    assert "3 more are not shown here" in seen


def test_every_kind_of_entry_has_its_row_in_the_timeline() -> None:
    assert {kind for kind in KINDS if group_of(kind) == "Of a later version"} == set()
    assert group_of("something-new") == "Of a later version"


def test_narrow_slices_are_put_together() -> None:
    ticks = slices(reports.ticks(1_000_000, 400))
    assert len(ticks) <= MOST_SLICES
    assert ticks[0].start_ms == reports.START_MS
    before = sum(sum(tick.kinds.values()) for tick in reports.ticks(1_000_000, 400))
    assert sum(sum(tick.kinds.values()) for tick in ticks) == before


def test_slices_without_entries_are_empty() -> None:
    sparse = [Tick(0, 10, {"x": 1}), Tick(40, 50, {"x": 2})]
    assert [(tick.start_ms, dict(tick.kinds)) for tick in slices(sparse)] == [
        (0, {"x": 1}),
        (10, {}),
        (20, {}),
        (30, {}),
        (40, {"x": 2}),
    ]
    assert len(slices([Tick(0, 1, {"x": 1}), Tick(10**12, 10**12 + 1, {"x": 1})])) == MOST_SLICES


def test_a_checkpoint_stands_where_its_last_entry_stands() -> None:
    place = place_of([Tick(0, 1, {"charter": 10}), Tick(1, 2, {}), Tick(2, 3, {"x": 10}), Tick(3, 4, {})])
    assert [place(size) for size in (0, 5, 10, 15, 20, 25)] == [0, 0.125, 0.25, 0.625, 0.75, 1.0]


def test_epochs_begin_where_another_keeper_took_over() -> None:
    sizes = ((9, 3), (4, 0), (2, 0), (8, 3), (12, 5))
    lines = (*(reports.checkpoint(*each) for each in sizes), reports.checkpoint(1, 9, valid=False))
    plain = replace(reports.good(), checkpoints=lines, findings=(), epoch=5)
    assert [(epoch.number, epoch.start) for epoch in epochs_of(plain)] == [(0, 0), (3, 8), (5, 12)]
    found = tuple(reports.finding("keepers", "Another took over.", index=index) for index in (6, 11))
    told = replace(plain, findings=found)
    assert [(epoch.number, epoch.start) for epoch in epochs_of(told)] == [(0, 0), (3, 6), (5, 11)]


def test_an_epoch_that_has_only_begun_is_marked() -> None:
    found = (reports.finding("keepers", "north took over.", index=40),)
    lines = (reports.checkpoint(30),)
    report = replace(reports.good(), checkpoints=lines, findings=found, epoch=1, keeper="north")
    assert [(epoch.number, epoch.keeper, epoch.start) for epoch in epochs_of(report)] == [
        (0, "aggregator", 0),
        (1, "north", 40),
    ]


def test_the_timeline_marks_takeovers_checkpoints_and_what_is_not_final() -> None:
    good, bad = timeline_section(reports.good()), timeline_section(reports.bad())
    assert good.count('class="takeover"') == 2  # the line, and its explanation
    assert good.count('class="epoch"') == 1
    assert "epoch 1 · north" in good
    assert good.count('class="tail"') == 2
    assert "mark bad" in bad
    assert "mark bad" not in good


def test_a_whole_final_ledger_of_one_keeper_has_nothing_to_explain() -> None:
    plain = timeline_section(replace(reports.good(), final_size=1_204, checkpoints=()))
    assert 'class="legend"' not in plain
    assert 'class="tail"' not in plain


def test_a_life_of_one_day_is_told_by_the_minute() -> None:
    report = replace(
        reports.good(), timeline=(Tick(reports.START_MS, reports.START_MS + 60_000, {"charter": 1}),)
    )
    assert re.findall(r">(2026-11-18 \d\d:\d\d)<", timeline_section(report)) == [
        "2026-11-18 11:06",
        "2026-11-18 11:07",
    ]


def test_the_newest_fifty_checkpoints_are_listed_and_all_are_counted() -> None:
    section = checkpoints_section(reports.big())
    seen = words(section)
    assert seen.startswith(
        "Checkpoints This report lists 2,000 checkpoints in 3 epochs: 2,000 final, 0 with too few names"
    )
    assert section.count('scope="row"') == 50
    assert "1,950 older checkpoints are not shown here" in seen
    assert "22 more" in seen


def test_a_checkpoint_says_who_is_missing_and_when_it_was_cosigned() -> None:
    seen = words(checkpoints_section(reports.good()))
    assert "1,204 1 of 2 names aggregator 2026-11-18 21:08 north, epoch 1" in seen
    spread = replace(reports.checkpoint(5), cosigners={"north": 60, "south": 600})
    assert "north and south 1970-01-01 00:01 to 1970-01-01 00:10" in words(
        checkpoints_section(replace(reports.good(), checkpoints=(spread,)))
    )


def test_checkpoints_that_nobody_cosigned_or_that_are_bad_say_so() -> None:
    lines = (reports.checkpoint(5, cosigners=0), reports.checkpoint(6, valid=False))
    seen = words(checkpoints_section(replace(reports.good(), final_size=0, checkpoints=lines)))
    assert "None of them is final." in seen
    assert "0 of 2 names nobody" in seen
    assert "6 does not hold" in seen


def test_only_the_newest_jobs_have_curves_and_few_of_them_are_open() -> None:
    section = jobs_section(reports.big())
    assert section.count("<details") == 50
    assert section.count('open="open"') == 3
    assert "150 older jobs are in the table above" in words(section)


def test_rows_withdrawn_since_are_marked_at_the_job_and_at_their_owner() -> None:
    assert "Withdrawn since by south 42 rows. This model may have been trained" in words(
        jobs_section(reports.good())
    )
    assert "digits 605 42 (6.9%)" in words(members_section(reports.good()))


def test_what_a_job_does_not_tell_is_said() -> None:
    silent = reports.job(1, points=(), shares={}, ended_at=None, parties=(), model_digest="", uses=0)
    seen = words(jobs_section(replace(reports.good(), jobs=(silent,))))
    assert "proposed by entry 120, and still open" in seen
    assert "The ledger tells no figures of its course." in seen
    assert "Parties nobody" in seen


@pytest.mark.parametrize(
    ("loss", "score", "figures"), [(1.0, None, 1), (None, 1.0, 1), (1.0, 1.0, 2), (None, None, 0)]
)
def test_a_curve_is_drawn_for_what_is_told(loss: float | None, score: float | None, figures: int) -> None:
    one = reports.job(1, points=(Point(1, loss, score, 0), Point(2, loss, score, 0)))
    assert jobs_section(replace(reports.good(), jobs=(one,))).count("<figure") == figures


def test_a_crowd_of_parties_is_counted() -> None:
    names = tuple(f"p-{number}" for number in range(25))
    weights = dict.fromkeys(names, 4)
    crowd = reports.job(1, parties=names, shares=weights, withdrawn=weights, method="")
    seen = words(jobs_section(replace(reports.good(), jobs=(crowd,))))
    assert seen.count("and 5 more") == 2
    assert "5 smaller shares are not shown here" in seen
    assert "Measured shares, by weight" in seen


def test_numbers_and_times_are_said_for_people() -> None:
    assert (figure(None), figure(math.nan), figure(0.12345)) == ("–", "not finite", "0.1235")
    assert (minute(0), day(0)) == ("1970-01-01 00:00", "1970-01-01")
    assert minute(-1) == day(-1) == "-1 ms, which is no date"
    assert minute(253_402_300_799_999) == "9999-12-31 23:59"
    assert (percent(1, 3), percent(1, 0)) == ("33.3%", "–")
