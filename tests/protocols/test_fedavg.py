"""Federated averaging's settings, seats, seeds and pooled figures."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.protocols.errors import LocalProtocolError
from hansa.protocols.horizontal.fedavg import AGGREGATOR, PARTY, Seat, derived_seed, pooled
from hansa.protocols.machine import Brief
from hansa.protocols.model import LARGEST_FIGURE, Evaluation
from tests.protocols.fedavg_parts import PARTIES, SETTINGS, brief, with_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rounds", 0),
        ("quorum", 0),
        ("round_deadline_s", 0.0),
        ("round_deadline_s", float("inf")),
        ("silence_s", 60.0),
        ("silence_s", float("nan")),
        ("tol", -0.1),
        ("tol", float("nan")),
        ("patience", -1),
    ],
)
def test_a_setting_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name} "):
        with_settings(**{name: value})


def test_a_seat_holds_what_the_brief_says() -> None:
    seat = Seat.take(brief(PARTY, "bob"), PARTY)
    assert (seat.job, seat.me, seat.coordinator, seat.parties) == ("job", "bob", "hub", PARTIES)
    assert (seat.settings, seat.seed) == (SETTINGS, 7)


@pytest.mark.parametrize(
    ("wrong", "role", "message"),
    [
        (Brief("job", "ann", PARTY, "hub", PARTIES, "settings", 7), PARTY, "needs FedAvgSettings, not str"),
        (brief(PARTY, "ann"), AGGREGATOR, "a brief for party was given to aggregator"),
        (brief(AGGREGATOR, "ann"), AGGREGATOR, "ann aggregates, but hub leads the job"),
        (brief(PARTY, "eve"), PARTY, "eve is not among the parties ann, bob, cat"),
        (brief(PARTY, "ann", with_settings(quorum=4)), PARTY, "quorum 4 of 3 parties"),
    ],
)
def test_a_brief_that_makes_no_sense_is_our_own_mistake(wrong: Brief, role: str, message: str) -> None:
    with pytest.raises(LocalProtocolError, match=message):
        Seat.take(wrong, role)


@pytest.mark.parametrize("parties", [("bob", "ann"), ("ann", "ann")])
def test_parties_come_sorted_and_once(parties: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="sorted and distinct"):
        Brief("job", "ann", PARTY, "hub", parties, SETTINGS, 7)


def test_seeds_differ_by_job_party_and_round_and_repeat() -> None:
    seeds = {
        derived_seed(seed, party, number) for seed in (1, 2) for party in PARTIES for number in (1, 2, 3)
    }
    assert len(seeds) == 18
    assert derived_seed(1, "ann", 1) == derived_seed(1, "ann", 1)
    assert all(0 <= seed < 2**32 for seed in seeds)


EVALUATIONS = st.builds(
    Evaluation, st.integers(1, 2**60), st.floats(-9, 9), st.floats(-9, 9), st.just("accuracy")
)


@given(st.lists(EVALUATIONS, min_size=1, max_size=4))
def test_pooling_weighs_by_rows_whatever_the_order(evaluations: list[Evaluation]) -> None:
    expected = pooled(evaluations)
    assert expected.rows == sum(each.rows for each in evaluations)
    mean = sum(each.rows * each.loss for each in evaluations) / expected.rows
    assert expected.loss == pytest.approx(mean, abs=1e-9)
    assert all(pooled(order) == expected for order in permutations(evaluations))


def test_the_largest_figures_pool_to_a_finite_one() -> None:
    largest = Evaluation(2**53, LARGEST_FIGURE, -LARGEST_FIGURE, "r2")
    assert pooled([largest] * 11).loss == pytest.approx(LARGEST_FIGURE)


def test_unlike_metrics_do_not_pool() -> None:
    with pytest.raises(ValueError, match="cannot pool 2 evaluations by accuracy, r2"):
        pooled([Evaluation(1, 0.0, 0.0, "r2"), Evaluation(1, 0.0, 0.0, "accuracy")])
    with pytest.raises(ValueError, match="cannot pool 0 evaluations by nothing"):
        pooled([])
