"""What a coordinator says of contributions is taken if it follows from what is on the ledger, and not else."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.ledger import (
    Body,
    CoalitionsValued,
    ContributionMeasured,
    DatasetRegistered,
    DatasetWithdrawn,
    JobAborted,
    JobAccepted,
    JobFinished,
    JobStarted,
    PayoutProposed,
    PayoutWithdrawn,
    RowsWithdrawn,
)
from hansa.ledger.contribution.chosen import appraised
from hansa.ledger.contribution.weights import WEIGHT_SCALE
from hansa.ledger.finality import rests_on
from hansa.ledger.jobs import Setting
from tests.ledger.slowtree import audit_path
from tests.ledger.town import DIGEST, LUBECK, signed_note
from tests.ledger.valuing import (
    CLOSED,
    METHODS,
    NAMES,
    PARTIES,
    ROWS,
    STARTED,
    Hall,
    Worth,
    closed_by,
    draw,
    hall,
    proposal,
    swapped,
)

FINISH = JobFinished("herring", DIGEST, loss=0.25, score=0.9, metric="accuracy", rounds=1)


def additive(coalition: frozenset[str]) -> float:
    """Players are worth 1, 2, 4 … 32 hundredths, whoever else is there."""
    return 0.25 + sum(2.0 ** NAMES.index(name) for name in coalition) / 100


@st.composite
def worths(draw_: st.DrawFn) -> Worth:
    """Games of any values: whatever a coalition is worth, it is worth it each time that it is asked."""
    figures = draw_(st.lists(st.floats(-4, 4, allow_subnormal=False), min_size=64, max_size=64))
    least = 2.0**-200
    return lambda coalition: next(
        each if abs(each) >= least else 0.0
        for each in [figures[sum(1 << NAMES.index(name) for name in coalition)]]
    )


@pytest.mark.parametrize("method", METHODS)
@given(worth=worths())
@settings(max_examples=6, deadline=None)
def test_what_an_honest_coordinator_writes_is_taken_and_read_the_same_by_all(
    method: str, worth: Worth
) -> None:
    with hall(method, closed=True) as made:
        made.town.write(LUBECK, made.honest(worth))
        body = made.weights()
        made.town.write(LUBECK, body, FINISH)
        assert sum(body.shares.values()) in (0, WEIGHT_SCALE)
        assert set(body.shares) == set(NAMES)
        assert made.replayed() == made.job
        assert made.job.shares == body.shares
        assert made.job.method == method


@given(worth=worths(), party=st.sampled_from(NAMES), by=st.sampled_from([-1, 1, 10**9]))
@settings(max_examples=15, deadline=None)
def test_a_weight_of_a_billionth_more_or_less_is_refused(worth: Worth, party: str, by: int) -> None:
    with hall("shapley", closed=True) as made:
        made.town.write(LUBECK, made.honest(worth))
        body = made.weights()
        weight = body.shares[party] + by
        if weight >= 0:
            refused = made.town.refusal(LUBECK, replace(body, shares={**body.shares, party: weight}))
            expected = f"{party}: expected {body.shares[party]}, found {weight}"
            assert refused == f"weights of herring that do not follow from its values: {expected}"


@given(worth=worths(), place=st.integers(0, 63), by=st.floats(0.001, 1))
@settings(max_examples=15, deadline=None)
def test_weights_of_other_values_are_refused_unless_they_are_the_same(
    worth: Worth, place: int, by: float
) -> None:
    with hall("shapley", closed=True) as made, hall("shapley", closed=True) as other:
        honest = made.honest(worth)
        values = (*honest.values[:place], honest.values[place] + by, *honest.values[place + 1 :])
        made.town.write(LUBECK, honest)
        other.town.write(LUBECK, replace(honest, values=values))
        body = made.weights()
        if body == other.weights():
            other.town.write(LUBECK, body)
        else:
            assert "do not follow from its values" in other.town.refusal(LUBECK, body)


# --- values ---------------------------------------------------------------------------------------------
def without(body: CoalitionsValued, place: int) -> CoalitionsValued:
    """Return it with a coalition less."""
    return swapped(
        body,
        coalitions=body.coalitions[:place] + body.coalitions[place + 1 :],
        values=body.values[:place] + body.values[place + 1 :],
    )


def among_fewer(body: CoalitionsValued) -> CoalitionsValued:
    """Return what it would be if the last player had not been there."""
    kept = [each for each in range(len(body.values)) if body.coalitions[each] < 32]
    return swapped(
        body,
        players=body.players[:-1],
        rows=body.rows[:-1],
        coalitions=tuple(body.coalitions[each] for each in kept),
        values=tuple(body.values[each] for each in kept),
    )


BAD_VALUES: dict[str, tuple[Callable[[CoalitionsValued], CoalitionsValued], str]] = {
    "a coalition is missing": (
        lambda body: without(body, 5),
        "round 1 of herring: round 1, {danzig, kulm}: there",
    ),
    "nobody is missing": (lambda body: without(body, 0), "round 1, {}: there is no value"),
    "another job": (lambda body: swapped(body, job="salt"), "no job salt was proposed"),
    "another round": (lambda body: swapped(body, round=2), "round 2 of herring: it is not closed"),
    "the whole job": (lambda body: swapped(body, round=0), "round 0 of herring: it is valued by rounds"),
    "somebody left out": (among_fewer, "in it were danzig, elbing, kulm, riga, thorn, visby, not danzig, "),
    "somebody else": (
        lambda body: swapped(body, players=(*NAMES[:-1], "wismar")),
        "in it were danzig, elbing, kulm, riga, thorn, visby, not danzig, elbing, kulm, riga, thorn, wismar",
    ),
    "rows nobody has": (
        lambda body: swapped(body, rows=(101, *body.rows[1:])),
        "danzig brings 101 rows into herring; of catch it had registered 100 when that was proposed",
    ),
    "a model worth more than any": (
        lambda body: swapped(body, values=(1e308, *body.values[1:])),
        r"values: expected 0 or 2^-200 … 2^200, signs aside, got 1e+308",
    ),
    "a model worth less than any": (
        lambda body: swapped(body, values=(5e-324, *body.values[1:])),
        r"values: expected 0 or 2^-200 … 2^200, signs aside, got 5e-324",
    ),
}


@pytest.mark.parametrize(("change", "reason"), BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_values_of_something_else_than_the_round_are_refused(
    change: Callable[[CoalitionsValued], CoalitionsValued], reason: str
) -> None:
    with hall("shapley", closed=True) as made:
        assert reason in made.town.refusal(LUBECK, change(made.honest(additive)))


def test_values_that_the_method_does_not_ask_for_are_refused() -> None:
    with hall("leave-one-out", closed=True) as made:
        honest = made.honest(additive)
        more = sorted([*zip(honest.coalitions, honest.values, strict=True), (3, 0.5)])
        body = swapped(
            honest, coalitions=tuple(each for each, _ in more), values=tuple(each for _, each in more)
        )
        assert "{danzig, elbing}: a value that nobody has asked for" in made.town.refusal(LUBECK, body)


@pytest.mark.parametrize(
    "method", ["permutation", "truncated", "gtg", "stratified", "banzhaf-sampled", "group"]
)
def test_values_drawn_by_another_seed_are_refused(method: str) -> None:
    with hall(method) as made, hall(method, closed=True) as other:
        seeds = {made.town.keeper.standing.jobs["herring"].draws[name] for name in NAMES}
        made.town.write(LUBECK, JobStarted("herring", NAMES[:-1]))  # without one party's draw
        made.town.write(LUBECK, closed_by(NAMES[:-1]))
        mine = made.honest(additive)
        assert made.seed() != other.seed()
        assert len(seeds) == len(NAMES)
        assert mine.coalitions != other.honest(additive).coalitions
        assert "there is no value" in other.town.refusal(
            LUBECK, swapped(mine, players=NAMES, rows=tuple(ROWS.values()))
        )


def test_a_round_is_valued_once_by_the_coordinator_while_the_job_is_open() -> None:
    with hall("shapley", closed=True) as made:
        body = made.honest(additive)
        assert "one coordinator" in made.town.refusal(PARTIES["riga"], body)
        made.town.write(LUBECK, body)
        assert made.town.refusal(LUBECK, body) == "round 1 of herring is valued already"
        made.town.write(LUBECK, JobAborted("herring", "storm"))
        assert made.town.refusal(LUBECK, swapped(body, round=2)) == "job herring is aborted"


def test_rounds_are_valued_in_any_order_and_all_of_them_before_the_weights() -> None:
    with hall("gtg", closed=True) as made:
        made.town.write(LUBECK, closed_by(("visby", "riga"), 4))
        made.town.write(LUBECK, made.honest(additive, 4))
        assert made.job.appraisal is not None
        assert made.town.refusal(
            LUBECK, ContributionMeasured("herring", "gtg", made.job.appraisal.weights(NAMES))
        ) == ("round 1 of herring is not valued yet")
        made.town.write(LUBECK, made.honest(additive))
        assert made.job.appraisal.rounds == {1, 4}
        assert made.job.appraisal.rows == ROWS
        made.town.write(LUBECK, made.weights())
        assert made.replayed() == made.job


def test_who_took_part_in_no_round_has_a_weight_of_nothing() -> None:
    with hall("shapley") as made:
        made.town.write(LUBECK, STARTED, closed_by(NAMES[:2]))
        made.town.write(LUBECK, made.honest(additive))
        body = made.weights()
        assert set(body.shares) == set(NAMES)
        assert [name for name, weight in body.shares.items() if weight] == list(NAMES[:2])
        made.town.write(LUBECK, body)


def test_models_are_valued_on_the_rows_that_the_parties_were_told_of() -> None:
    with hall("shapley", closed=True) as made:
        body = made.honest(additive)
        made.town.write(LUBECK, DatasetWithdrawn("held-out", "others suit a friend better"))
        reason = "held-out of lubeck was withdrawn after the job was proposed"
        assert made.town.refusal(LUBECK, body) == reason
        made.town.write(LUBECK, DatasetRegistered("held-out", 90, ("length",), "fresh", DIGEST))
        reason = "held-out of lubeck was registered anew after the job was proposed"
        assert made.town.refusal(LUBECK, body) == reason


def test_a_round_says_of_everybody_whether_it_took_part() -> None:
    with hall("shapley") as made:
        made.town.write(LUBECK, STARTED)
        passed_over = replace(closed_by(NAMES[:3]), missing=NAMES[3:5])
        reason = made.town.refusal(LUBECK, passed_over)
        assert reason == "round 1 of herring: visby neither took part nor was missing"
        assert "nobody took part" in made.town.refusal(LUBECK, closed_by(()))


def test_nothing_is_added_to_contributions_once_they_are_measured() -> None:
    with hall("shapley", closed=True) as made:
        made.town.write(LUBECK, made.honest(additive))
        again = made.weights()
        made.town.write(LUBECK, again)
        reason = "contributions to herring are measured already: nothing is added to them any more"
        assert made.town.refusal(LUBECK, closed_by(("riga",), 2)) == reason
        made.town.write(LUBECK, again)
    with hall("shapley") as made:
        made.town.write(LUBECK, STARTED)
        made.town.write(LUBECK, made.weights())  # of nothing
        assert made.town.refusal(LUBECK, made.honest(additive, 0)) == reason


def test_a_rule_and_the_standing_after_it_compute_a_round_once() -> None:
    with hall("shapley", closed=True) as made:
        body = made.honest(lambda coalition: additive(coalition) + 0.125)
        before = appraised.cache_info()
        made.town.write(LUBECK, body)
        after = appraised.cache_info()
        assert after.misses == before.misses + 1
        assert after.hits > before.hits


# --- a job that is valued as a whole --------------------------------------------------------------------
def test_a_job_without_rounds_is_valued_as_a_whole_once_by_all_with_whom_it_has_begun() -> None:
    with hall("shapley") as made:
        made.town.write(LUBECK, STARTED)
        body = made.honest(additive, 0)
        assert "in it were" in made.town.refusal(LUBECK, among_fewer(body))
        made.town.write(LUBECK, body)
        assert made.town.refusal(LUBECK, body) == "round 0 of herring is valued already"
        reason = "round 1 of herring: its rounds count from 1, or it is valued as a whole"
        assert made.town.refusal(LUBECK, CLOSED) == reason
        made.town.write(LUBECK, made.weights())
        assert made.replayed().appraisal == made.job.appraisal


# --- weights --------------------------------------------------------------------------------------------
def more(shares: dict[str, int], **changes: int) -> ContributionMeasured:
    return ContributionMeasured("herring", "shapley", {**shares, **changes})


BAD_WEIGHTS: dict[str, tuple[Callable[[dict[str, int]], ContributionMeasured], str]] = {
    "another method": (
        lambda shares: ContributionMeasured("herring", "volume", shares),
        "herring is measured by shapley as agreed, not by 'volume'",
    ),
    "somebody is missing": (
        lambda shares: more({name: each for name, each in shares.items() if name != "kulm"}),
        "kulm: expected 63492063, found none",
    ),
    "a stranger": (lambda shares: more(shares, wismar=0), "wismar is not among those who accepted herring"),
    "nobody has anything": (
        lambda shares: more(dict.fromkeys(shares, 0)),
        "thorn: expected 253968254, found 0; 1 more likewise",
    ),
}


@pytest.mark.parametrize(("change", "reason"), BAD_WEIGHTS.values(), ids=BAD_WEIGHTS.keys())
def test_weights_that_do_not_follow_are_refused(
    change: Callable[[dict[str, int]], ContributionMeasured], reason: str
) -> None:
    with hall("shapley", closed=True) as made:
        made.town.write(LUBECK, made.honest(additive))
        assert reason in made.town.refusal(LUBECK, change(made.weights().shares))


def test_weights_come_after_the_start_and_before_the_end() -> None:
    with hall("shapley") as made:
        nothing = ContributionMeasured("herring", "shapley", dict.fromkeys(NAMES, 0))
        reason = "herring has not begun: its coordinator names the parties first"
        assert made.town.refusal(LUBECK, nothing) == reason
        made.town.write(LUBECK, STARTED, nothing, FINISH)  # no round was closed
        assert made.town.refusal(LUBECK, nothing) == "job herring is finished"


# --- the beginning --------------------------------------------------------------------------------------
def test_a_consent_brings_its_part_of_the_seed_where_one_is_needed_and_nowhere_else() -> None:
    with hall() as made:
        volume = replace(proposal(), job="salt", settings={})
        made.town.write(LUBECK, proposal(), volume)
        riga = PARTIES["riga"]
        assert "expected 32 random bytes for its seed" in made.town.refusal(riga, JobAccepted("herring"))
        assert "nothing is valued" in made.town.refusal(riga, JobAccepted("salt", draw("riga")))
        assert "nothing is valued" in made.town.refusal(LUBECK, JobStarted("salt", ("riga",)))
        made.town.write(riga, JobAccepted("herring", draw("riga")), JobAccepted("salt"))
        assert made.job.draws == {"riga": draw("riga")}


def test_a_job_begins_once_with_a_quorum_of_those_who_accepted_and_nobody_comes_later() -> None:
    with hall() as made:
        made.town.write(LUBECK, proposal())
        for name in NAMES[:4]:
            made.town.write(PARTIES[name], JobAccepted("herring", draw(name)))
        refusals: tuple[tuple[Body, str], ...] = (
            (JobStarted("herring", NAMES[:5]), "thorn is not among those who accepted herring"),
            (JobStarted("herring", NAMES[:2]), "herring begins with 2 parties, its quorum is 3"),
            (CLOSED, "riga is not among"),
            (replace(CLOSED, participants=NAMES[:4]), "herring has not begun"),
            (CoalitionsValued("herring", 0, NAMES[:1], (1,), (0, 1), (0.0, 1.0)), "herring has not begun"),
        )
        for body, reason in refusals[:2] + refusals[3:]:
            assert reason in made.town.refusal(LUBECK, body)
        assert "one coordinator" in made.town.refusal(PARTIES["riga"], JobStarted("herring", NAMES[:4]))
        made.town.write(LUBECK, JobStarted("herring", NAMES[:3]))
        assert made.town.refusal(LUBECK, JobStarted("herring", NAMES[:4])) == "herring has begun already"
        late = made.town.refusal(PARTIES["visby"], JobAccepted("herring", draw("visby")))
        assert late == "herring has begun with danzig, elbing, kulm"
        inside = replace(CLOSED, participants=NAMES[:3])
        assert "riga is not among those with whom" in made.town.refusal(
            LUBECK, replace(CLOSED, participants=NAMES[:4])
        )
        assert "count from 1" in made.town.refusal(LUBECK, replace(inside, round=0))
        made.town.write(LUBECK, inside)


def test_groups_need_three_to_begin_with() -> None:
    with hall() as made:
        made.town.write(LUBECK, replace(proposal("group"), quorum=2))
        for name in NAMES[:2]:
            made.town.write(PARTIES[name], JobAccepted("herring", draw(name)))
        refused = made.town.refusal(LUBECK, JobStarted("herring", NAMES[:2]))
        assert refused == "herring: group: 2 parties are too few for a group of 3; take volume"


def test_of_a_job_by_volume_no_coalitions_are_valued() -> None:
    with hall() as made:
        made.town.write(LUBECK, replace(proposal(), settings={}))
        body = CoalitionsValued("herring", 0, NAMES[:1], (1,), (0, 1), (0.0, 1.0))
        assert made.town.refusal(LUBECK, body) == "herring was proposed without coalitions to be valued"


# --- proposals ------------------------------------------------------------------------------------------
BAD_PROPOSALS: dict[str, tuple[str, dict[str, Setting], str]] = {
    "a method nobody knows": (
        "shapley",
        {"method": "by size"},
        "expected one of volume, leave-one-out, shapley",
    ),
    "volume with settings": ("shapley", {"method": "volume"}, "expected one of volume, leave-one-out"),
    "another utility": ("shapley", {"utility": "loss"}, "the charter's utility is score, not loss"),
    "no utility": ("shapley", {"utility": "gold"}, "utility: expected score or loss, got 'gold'"),
    "no data to value on": (
        "shapley",
        {"validation": ""},
        "rows that lubeck has registered, and none train on",
    ),
    "data nobody has": ("shapley", {"validation": "salt"}, "found 'salt', which it has not"),
    "data of no name": ("shapley", {"validation": 7}, "validation: expected the name of a data set, got 7"),
    "a setting of another method": (
        "shapley",
        {"cycles": 2},
        "cycles: shapley has no such setting, but none",
    ),
    "rows": ("group", {"rows": 7}, "rows: group has no such setting, but least, steady"),
    "cycles without end": (
        "gtg",
        {"cycles": 10**9},
        "gtg: 6,000,000,000 orders or samples in a round are more",
    ),
    "a float for cycles": ("gtg", {"cycles": 1e308}, "cycles: expected int, got 1e+308"),
    "a word for cycles": ("gtg", {"cycles": "many"}, "cycles: expected int, got 'many'"),
    "a truth for cycles": ("gtg", {"cycles": True}, "cycles: expected int, got True"),
    "a part beyond all": ("gtg", {"within": 1e308}, "within: expected a part in [0, 1), got 1e+308"),
    "an error no float can hold": ("gtg", {"error": 10**400}, "error: expected float, got 10000"),
    "less than a part": (
        "truncated",
        {"short": -0.5},
        "short: expected a part in [0, 1), got -0.5",
    ),
    "a number for a truth": ("permutation", {"paired": 1}, "paired: expected bool, got 1"),
    "orders without end": ("permutation", {"permutations": 2**40}, "lessen permutations"),
    "samples without end": ("banzhaf-sampled", {"samples": 2**40}, "lessen samples"),
    "rotations without end": ("stratified", {"cycles": 2**40}, "lessen cycles or ends"),
    "a pot of words": ("shapley", {}, "payout.pot_minor: "),
}


@pytest.mark.parametrize(("method", "changes", "reason"), BAD_PROPOSALS.values(), ids=BAD_PROPOSALS.keys())
def test_a_job_that_could_not_be_measured_as_it_says_is_refused(
    method: str, changes: dict[str, Setting], reason: str
) -> None:
    body = proposal(method, **changes)
    if not changes:
        body = replace(
            body, settings={**body.settings, "payout.currency": "EUR", "payout.pot_minor": "a lot"}
        )
    with hall() as made:
        assert reason in made.town.refusal(LUBECK, body)


def test_who_trains_on_data_values_no_models_on_them() -> None:
    with hall() as made:
        made.town.write(PARTIES["riga"], DatasetRegistered("held-out", 9, ("length",), None, DIGEST))
        refused = made.town.refusal(PARTIES["riga"], proposal(validation="catch"))
        assert refused == "herring: riga trains on catch, and so can't value models on it"
        made.town.write(PARTIES["riga"], proposal())


def test_where_parties_hold_out_rows_themselves_no_data_of_the_coordinator_are_named() -> None:
    with hall() as made:
        vertical = replace(proposal(), model="")
        reason = "herring: no validation data where parties hold out rows themselves; found 'held-out'"
        assert made.town.refusal(LUBECK, vertical) == reason
        made.town.write(LUBECK, replace(proposal(validation=""), model=""))


def test_data_all_of_whose_rows_are_withdrawn_value_nothing() -> None:
    with hall() as made:
        made.town.write(LUBECK, RowsWithdrawn("held-out", tuple(range(90)), "asked for"))
        assert "'held-out', which it has not" in made.town.refusal(LUBECK, proposal())


# --- volumes --------------------------------------------------------------------------------------------
def by_volume(made: Hall, model: str = "softmax") -> None:
    """Have three parties finish a job by volume."""
    made.town.write(LUBECK, replace(proposal(), settings={}, model=model, parties=NAMES[:3]))
    for name in NAMES[:3]:
        made.town.write(PARTIES[name], JobAccepted("herring"))
    made.town.write(LUBECK, FINISH)


def volume(**shares: int) -> ContributionMeasured:
    return ContributionMeasured("herring", "volume", shares)


def test_nobody_brings_in_more_rows_than_it_has_registered() -> None:
    with hall() as made:
        by_volume(made)
        made.town.write(LUBECK, volume(danzig=100, elbing=110, kulm=0))
        reason = "danzig brings 101 rows into herring; of catch it had registered 100 when that was proposed"
        assert made.town.refusal(LUBECK, volume(danzig=101, elbing=110, kulm=120)) == reason
        refused = made.town.refusal(LUBECK, replace(volume(danzig=1), method="after review"))
        assert refused == "herring is measured by volume as agreed, not by 'after review'"


def test_rows_withdrawn_before_a_job_was_proposed_do_not_count_for_it() -> None:
    with hall() as made:
        made.town.write(PARTIES["danzig"], RowsWithdrawn("catch", (3, 5), "asked for"))
        by_volume(made)
        made.town.write(PARTIES["danzig"], RowsWithdrawn("catch", (7,), "asked for"))
        assert "had registered 98 when" in made.town.refusal(LUBECK, volume(danzig=99))
        made.town.write(LUBECK, volume(danzig=98))


def test_who_has_registered_nothing_brings_nothing_in() -> None:
    with hall() as made:
        body = replace(proposal(), settings={}, parties=NAMES[:1], dataset="salt", quorum=1)
        made.town.write(LUBECK, body)
        made.town.write(PARTIES["danzig"], JobAccepted("herring"))
        made.town.write(
            PARTIES["danzig"], DatasetRegistered("salt", 50, ("length",), None, DIGEST)
        )  # too late
        reason = "danzig brings 1 rows into herring; of salt it had registered 0 when that was proposed"
        assert made.town.refusal(LUBECK, volume(danzig=1)) == reason
        made.town.write(LUBECK, volume(danzig=0))


@pytest.mark.parametrize(
    ("columns", "count"), [(("a", "b", "c"), 3), ((f"1200 columns, sha256 {'0' * 64}",), 1200)]
)
def test_where_parties_hold_columns_each_their_own_the_values_are_bounded(
    columns: tuple[str, ...], count: int
) -> None:
    with hall() as made:
        made.town.write(PARTIES["danzig"], DatasetRegistered("salt", 50, columns, None, DIGEST))
        body = replace(proposal(), settings={}, parties=NAMES[:1], dataset="salt", quorum=1, model="")
        made.town.write(LUBECK, body)
        made.town.write(PARTIES["danzig"], JobAccepted("herring"))
        most = 50 * count
        assert f"danzig brings {most + 1:,} values" in made.town.refusal(LUBECK, volume(danzig=most + 1))
        made.town.write(LUBECK, volume(danzig=most))


def test_contributions_are_kept_as_exact_sums() -> None:
    with hall("gtg", closed=True) as made:
        made.town.write(LUBECK, replace(CLOSED, round=2))
        made.town.write(LUBECK, made.honest(additive), made.honest(additive, 2))
        appraisal = made.job.appraisal
        assert appraisal is not None
        gain = 2 * (Fraction(additive(frozenset(NAMES))) - Fraction(1, 4))
        assert sum(appraisal.shares.values()) == appraisal.gain == gain
        assert list(appraisal.shares) == sorted(NAMES)


def test_what_a_payout_rests_on_stays_as_it_is_until_that_is_withdrawn() -> None:
    with hall() as made:
        by_volume(made)
        town, weights = made.town, volume(danzig=100, elbing=100, kulm=0)
        town.write(LUBECK, weights)
        index, _ = rests_on(town.keeper.standing, "herring", -1)
        note = signed_note(town.keeper.standing.head_checkpoint(), LUBECK, *PARTIES.values())
        path = audit_path(index, [entry.hash for entry in town.entries()])
        amounts = {"danzig": 50, "elbing": 50, "kulm": 0}
        body = PayoutProposed("herring", "EUR", 100, amounts, note.encoded(), tuple(path))
        [entry] = town.write(LUBECK, body)
        refused = town.refusal(LUBECK, volume(danzig=90, elbing=100, kulm=0))
        assert refused == f"payout {entry.index} of herring is open, and rests on what was measured"
        town.write(LUBECK, PayoutWithdrawn(entry.index, "measured anew"), volume(danzig=90))
