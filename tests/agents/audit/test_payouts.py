"""Payouts on the audit's page, and the page that is about them alone."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.agents.audit import page, payouts_page, write_payouts
from hansa.agents.audit.payments import MOST_SHOWN, money_section, payout_card
from hansa.agents.audit.payouts import final_under
from hansa.agents.audit.totals import MOST_CURRENCIES, totals_section
from hansa.ledger.report import AuditReport
from tests.agents.audit import pays, reports
from tests.agents.audit.test_page import HOSTILE, REPORTS, fetched, hostile, tree, words


def card(**changes: object) -> str:
    """Return what a settled payout's card says, with changes."""
    return words(payout_card(pays.payout(**changes)))  # type: ignore[arg-type]


def of(*lines: object, **changes: object) -> AuditReport:
    """Return the report of these payouts."""
    return replace(pays.paid(), payouts=lines, **changes)  # type: ignore[arg-type]


def test_a_payout_says_what_for_who_gets_what_and_who_agrees() -> None:
    seen = card()
    assert "Payout 240 settled 100,000.00 EUR" in seen
    assert (
        "For having trained digits-1; split by the measured shares. Proposed on 2026-11-19 17:06 UTC" in seen
    )
    assert "much approves 54,245.53 54.2%" in seen
    assert "poisoner nothing 0.0%" in seen
    assert "Approved by much, copy, little and noisy; 4 are needed." in seen
    assert "Settled on 2026-11-20 17:06 UTC, reference: SEPA 2026-11-20/0017" in seen


def test_a_payout_for_uses_says_of_which() -> None:
    seen = words(payout_card(pays.uses(700, 1_200_000)))
    assert "For 12,000 rows scored by digits-1, entries 640 to 680;" in seen
    assert "Before it can be settled: 1 of 2 approvals." in seen
    assert "entries – to –" in words(payout_card(pays.uses(700, 9, since=None, until=None)))


def test_holds_and_disputes_are_quoted() -> None:
    seen = words(payout_card(pays.uses(700, 9, held={"aggregator": "Not yet."}, disputed={"copy": "No."})))
    assert "open held disputed" in seen
    assert "Held by aggregator : Not yet." in seen
    assert "Disputed by copy : No." in seen
    assert "copy disputes 0.03" in seen
    assert "much approves and disputes" in words(
        payout_card(pays.uses(700, 9, disputed={"much": "We have changed our minds."}))
    )
    many = {f"m-{n}": "no" for n in range(10)}
    assert "2 more who say so are not shown here" in words(payout_card(pays.uses(700, 9, disputed=many)))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"approved": ()}, "Approved by nobody; 4 are needed."),
        ({"approved": tuple(f"m-{n}" for n in range(12))}, "m-7 and 4 more; 4 are needed."),
        ({"needed": 1}, "noisy; 1 is needed."),
        ({"reference": ""}, "reference: none was given"),
        ({"settled_ms": None}, "Settled, reference: SEPA"),
        ({"status": "open"}, "Nothing stands in the way of its settlement."),
        ({"scheme": "fli"}, "spread over instalments by what each has put in and waited for (FLI)"),
        ({"amounts": {f"m-{n}": n for n in range(25)}}, "5 smaller amounts are not shown here"),
        ({"currency": "KWD", "pot_minor": 1_234_567}, "1,234.567"),
        ({"currency": "JPY", "pot_minor": 2**53}, "9,007,199,254,740,992"),
    ],
)
def test_a_payout_may_be_otherwise(changes: dict[str, object], expected: str) -> None:
    assert expected in card(**changes)


def test_a_payout_that_was_withdrawn_says_no_more_than_that() -> None:
    seen = card(status="withdrawn", held={"a": "old"})
    assert "Payout 240 withdrawn 100,000.00" in seen
    assert "ettled" not in seen


def test_the_audit_s_page_shows_payouts_and_says_if_there_are_none() -> None:
    section = money_section(pays.paid())
    seen = words(section)
    assert "6 payouts. Amounts are those that the audit has computed itself" in seen
    assert "1,100 loans settled 10,000,000 JPY training 4, needs 4" in seen
    assert section.count("<article") == 6
    assert "No payout was ever proposed." in words(money_section(reports.good()))
    assert 'href="#money"' in page(pays.paid())
    assert "<table" in money_section(of(pays.payout()))
    assert "Payouts, the newest first" not in words(money_section(of(pays.payout())))


def test_of_many_payouts_the_newest_have_cards() -> None:
    section = money_section(pays.crowd(MOST_SHOWN + 3, 2))
    assert section.count("<article") == MOST_SHOWN
    assert "44 payouts before these" in words(section)
    assert "3 older payouts are in the table above alone." in words(section)


def test_totals_are_by_currency_and_member() -> None:
    seen = words(totals_section(pays.paid()))
    assert (
        "EUR 140,000.00 EUR settled in 2 payouts; 26,500.00 EUR proposed and not settled, in 2 payouts;"
        in seen
    )
    assert (
        "1 payout withdrawn. Totals by member Member Settled Proposed, not settled much 79,245.53 17,666.67"
        in seen
    )
    assert "Together 140,000.00 26,500.00" in seen
    assert "JPY 10,000,000 JPY settled in 1 payout." in seen


def test_currencies_beyond_what_anybody_reads_are_counted() -> None:
    lines = [pays.payout(n, currency=f"X{chr(65 + n)}X") for n in range(MOST_CURRENCIES + 2)]
    assert "2 currencies are not shown here" in words(totals_section(of(*lines)))


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_the_page_of_payouts_is_well_formed_and_fetches_nothing(report: AuditReport) -> None:
    written = payouts_page(report, 1_795_400_000)
    assert tree(written).get("lang") == "en"
    assert fetched(written) == []
    assert not re.search(r"https?:|//|url\(|@import|javascript:", written)
    assert "default-src &#x27;none&#x27;" in written


def test_the_page_says_whether_the_ledger_behind_it_holds() -> None:
    assert "The ledger behind the payouts of town holds." in words(payouts_page(pays.paid()))
    bad = words(payouts_page(replace(reports.bad(), payouts=pays.paid().payouts)))
    assert "Do not pay by the ledger of town: it does not hold." in bad
    assert "aggregator has signed two histories" in bad
    assert "No ledger could be read." in words(payouts_page(reports.empty()))
    assert "There is no payout to be shown." in words(payouts_page(reports.good()))


def test_the_page_tells_of_the_checks_that_payouts_rest_on_and_of_what_is_wrong() -> None:
    seen = words(payouts_page(pays.paid()))
    assert "The 8 payouts are as the measured shares" in seen
    assert "The last 54 entries are not final yet" in seen
    assert "bear their authors' signatures" not in seen
    assert "That money has moved: a settlement’s reference is its proposer’s word." in seen


def test_each_paid_job_is_shown_with_those_who_vouch_for_what_was_paid() -> None:
    seen = words(payouts_page(pays.paid()))
    assert "accuracy by round, without unit" in seen
    assert "much 0.413 ± 0.011" in seen
    assert (
        "Payout 240 rests on the job’s end, entry 210; it is final under the checkpoint over the first 250 entries"
        " (epoch 0, kept by aggregator), with the names of north and south"
    ) in seen
    assert (
        "Payout 700 rests on the last use, entry 680; it is final under the checkpoint over the first 700"
        in seen
    )
    assert "Payout 1,000 rests" not in seen  # it was withdrawn


def test_what_no_checkpoint_covers_is_said() -> None:
    assert final_under(reports.good(), 1_149) == reports.checkpoint(1_150, 1)
    assert final_under(reports.good(), 1_150) is None  # that of all has too few names
    assert "no checkpoint of this report makes that final" in words(
        payouts_page(replace(pays.paid(), checkpoints=()))
    )
    unended = replace(pays.paid(), jobs=(pays.paid_job(ended_at=None),))
    assert "Payout 240 rests on a job that has not ended." in words(payouts_page(unended))


def test_where_all_was_withdrawn_nothing_is_paid_for() -> None:
    seen = words(payouts_page(of(pays.payout(status="withdrawn"))))
    assert "Nothing is to be paid for." in seen
    assert "No money is to move: every payout was withdrawn." in seen


def test_more_payouts_of_a_job_than_anybody_reads_are_counted() -> None:
    seen = words(payouts_page(pays.crowd(25, 3)))
    assert "digits-1 25 payouts" in seen
    assert "5 older payouts are not shown here" in seen


@pytest.mark.parametrize(
    "report",
    [
        of(pays.payout(amounts={"alone": 2**53}, pot_minor=2**53)),
        of(*(pays.payout(n, amounts={"a": 2**53, "b": 0}, pot_minor=2**53) for n in range(12))),
        of(pays.payout(amounts={}, pot_minor=1)),
        of(pays.payout(), jobs=(pays.paid_job(contributions=dict.fromkeys(pays.KINDS, 0.0), errors={}),)),
        of(pays.payout(), jobs=(pays.paid_job(contributions=dict.fromkeys(pays.KINDS, -1.0)),)),
        of(pays.payout(amounts={"x" * 40: 3, "y" * 40: 4}, pot_minor=7)),
    ],
    ids=["one party", "2^53 twelve times", "nobody", "nothing", "all worse", "long names"],
)
def test_extremes_have_their_page(report: AuditReport) -> None:
    for written in (page(report), payouts_page(report)):
        tree(written)
        assert not re.search(r'"-?(nan|inf)', written)
    totals = sum(sum(line.amounts.values()) for line in report.payouts)
    assert f"{totals // 100:,}.{totals % 100:02}" in words(payouts_page(report))


def test_fifty_payouts_to_thirty_members_make_a_page_of_less_than_half_a_megabyte() -> None:
    assert len(payouts_page(pays.crowd(50, 30)).encode()) < 500_000


def test_what_an_author_wrote_is_never_markup_where_money_is_shown() -> None:
    written = payouts_page(hostile(pays.paid(), HOSTILE))
    assert fetched(written) == []
    assert not re.search("<img|[\u202e\x00\x1b\ud800\u2028]", written)


@given(st.text(st.characters(categories=None), min_size=1, max_size=80))
def test_no_text_breaks_the_page_of_payouts(text: str) -> None:
    small = of(pays.payout(), pays.uses(700, 9), checkpoints=reports.good().checkpoints[:2])
    plain, odd = payouts_page(hostile(small, "x")), payouts_page(hostile(small, text))
    assert [node.tag for node in tree(odd).iter()] == [node.tag for node in tree(plain).iter()]


def test_the_same_report_makes_the_same_page_of_payouts() -> None:
    turned = [
        replace(line, amounts=dict(reversed(list(line.amounts.items()))))
        for line in reversed(pays.paid().payouts)
    ]
    jobs = [
        replace(job, contributions=dict(reversed(list(job.contributions.items()))))
        for job in reversed(pays.paid().jobs)
    ]
    report = replace(pays.paid(), payouts=tuple(turned), jobs=tuple(jobs))
    assert payouts_page(report) == payouts_page(pays.paid())


def test_the_page_of_payouts_is_written_whole(tmp_path: Path) -> None:
    write_payouts(pays.paid(), tmp_path / "payouts.html", 1_795_400_000)
    assert (tmp_path / "payouts.html").read_text(encoding="utf-8") == payouts_page(pays.paid(), 1_795_400_000)
    with pytest.raises(OSError, match="nowhere"):
        write_payouts(pays.paid(), tmp_path / "nowhere" / "payouts.html")
