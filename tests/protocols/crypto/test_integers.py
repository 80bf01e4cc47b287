"""Big numbers: what the rest of the code takes for granted."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.protocols.crypto import integers
from tests.protocols.crypto.keyring import seeded

PRIME = 2**127 - 1


@settings(deadline=None)
@given(st.lists(st.integers(1, PRIME - 1)))
def test_many_are_inverted_as_one_by_one(values: list[int]) -> None:
    assert integers.inverses(values, PRIME) == [pow(value, -1, PRIME) for value in values]


def test_a_shared_factor_has_no_inverse() -> None:
    with pytest.raises(ZeroDivisionError):
        integers.inverses([2, 3], 15)


@settings(deadline=None)
@given(st.lists(st.integers(0, PRIME)))
def test_a_product_is_taken_modulo(values: list[int]) -> None:
    expected = 1
    for value in values:
        expected = expected * value % PRIME
    assert integers.product(values, PRIME) == expected


@settings(deadline=None)
@given(st.integers(1, 2**80), st.integers(0, 2**32))
def test_random_numbers_stay_below_their_limit(limit: int, seed: int) -> None:
    assert 0 <= integers.random_below(limit, seeded(str(seed))) < limit


def test_every_number_below_a_limit_comes_up_about_equally_often() -> None:
    randomness = seeded("fair")
    counts = [0] * 5
    for _ in range(5_000):
        counts[integers.random_below(5, randomness)] += 1
    assert all(850 < count < 1_150 for count in counts)  # five standard deviations


def test_a_random_unit_shares_no_factor() -> None:
    randomness = seeded("unit")
    assert {int(integers.random_unit(15, randomness)) for _ in range(200)} == {1, 2, 4, 7, 8, 11, 13, 14}


@pytest.mark.parametrize("leading_ones", [1, 2, 5])
def test_a_random_prime_has_its_bits_and_leading_ones(leading_ones: int) -> None:
    prime = integers.random_prime(96, leading_ones, seeded("prime"))
    assert integers.is_prime(prime)
    assert prime >> (96 - leading_ones) == (1 << leading_ones) - 1


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_bytes_give_the_number_back(value: int) -> None:
    assert integers.from_bytes(integers.to_bytes(integers.big(value), 8)) == value


def test_powers_of_a_list_are_those_of_its_members() -> None:
    assert integers.powmods([2, 3, 5], 10, 1_000) == [24, 49, 625]
    assert integers.powmod(2, 10, 1_000) == 24


def test_the_sieve_stops_what_a_small_prime_divides() -> None:
    assert not integers.survives_sieve(3 * PRIME)
    assert integers.survives_sieve(PRIME)
