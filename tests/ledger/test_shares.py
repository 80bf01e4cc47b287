"""Shares sum to one, money to the pot."""

from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.ledger import largest_remainder, volume_shares

NAMES = st.text("abcdefgh", min_size=1, max_size=3)
WEIGHTS = st.dictionaries(NAMES, st.integers(0, 10**9), min_size=1, max_size=12).filter(
    lambda weights: any(weights.values())
)
POTS = st.integers(0, 10**12)


@given(WEIGHTS)
def test_volume_shares_are_each_partys_part_of_the_rows(rows: dict[str, int]) -> None:
    shares = volume_shares(rows)
    total = sum(rows.values())
    assert list(shares) == list(rows)
    assert sum(shares.values()) == 1
    assert all(share * total == rows[party] for party, share in shares.items())


@given(POTS, WEIGHTS)
def test_a_pot_is_split_to_the_last_unit_within_one_unit_of_the_exact_part(
    pot: int, weights: dict[str, int]
) -> None:
    amounts = largest_remainder(pot, weights)
    total = sum(weights.values())
    assert sum(amounts.values()) == pot
    assert all(abs(amount - Fraction(pot * weights[party], total)) < 1 for party, amount in amounts.items())


@given(POTS, WEIGHTS)
def test_more_weight_never_earns_less(pot: int, weights: dict[str, int]) -> None:
    amounts = largest_remainder(pot, weights)
    for one, weight in weights.items():
        assert all(amounts[one] >= amounts[other] for other in weights if weight > weights[other])


@given(POTS, WEIGHTS, st.randoms(), st.integers(1, 100))
def test_a_split_depends_neither_on_order_nor_on_scale(
    pot: int, weights: dict[str, int], random: Random, factor: int
) -> None:
    shuffled = list(weights.items())
    random.shuffle(shuffled)
    scaled = {party: Fraction(weight, factor) for party, weight in shuffled}
    assert largest_remainder(pot, scaled) == largest_remainder(pot, weights)


def test_equal_remainders_go_by_name() -> None:
    assert largest_remainder(2, {"danzig": 1, "bremen": 1, "lubeck": 1}) == {
        "danzig": 1,
        "bremen": 1,
        "lubeck": 0,
    }


def test_shares_can_be_the_weights_of_a_split() -> None:
    assert largest_remainder(101, volume_shares({"bremen": 700, "danzig": 300})) == {
        "bremen": 71,
        "danzig": 30,
    }


@pytest.mark.parametrize("weights", [{}, {"bremen": 0}, {"bremen": 2, "danzig": -1}])
def test_no_weight_and_negative_weight_are_refused(weights: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="weight"):
        volume_shares(weights)
    with pytest.raises(ValueError, match="weight"):
        largest_remainder(100, weights)


def test_a_negative_pot_is_refused() -> None:
    with pytest.raises(ValueError, match="pot >= 0, got -1"):
        largest_remainder(-1, {"bremen": 1})
