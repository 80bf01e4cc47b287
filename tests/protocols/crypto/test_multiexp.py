"""Products of powers: every way gives the same numbers, and the counts are what was multiplied."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hansa.protocols.crypto import buckets, multiexp, powers
from hansa.protocols.crypto.digits import Integers, balanced, magnitude_bits, splits
from hansa.protocols.crypto.integers import random_unit
from hansa.protocols.crypto.keys import KeyKind
from tests.protocols.crypto.keyring import secret_key, seeded

PUBLIC = secret_key(KeyKind.SUBGROUP, bits=128).public
MODULUS, WIDTH = int(PUBLIC.n_squared), PUBLIC.ciphertext_bytes


def bases(count: int) -> list[int]:
    randomness = seeded("bases")
    return [random_unit(PUBLIC.n_squared, randomness) for _ in range(count)]


def expected(matrix: Integers, numbers: list[int]) -> list[int]:
    results = []
    for row in matrix.tolist():
        result = 1
        for exponent, number in zip(row, numbers, strict=True):
            result = result * pow(int(number), exponent, MODULUS) % MODULUS
        results.append(result)
    return results


def exponents(elements: st.SearchStrategy[int]) -> st.SearchStrategy[Integers]:
    shapes = st.tuples(st.integers(1, 6), st.integers(1, 12))
    return shapes.flatmap(lambda shape: arrays(np.int64, shape, elements=elements))


ANY = st.one_of(
    exponents(st.integers(-(2**62) + 1, 2**62 - 1)),
    exponents(st.integers(-500, 500)),
    exponents(st.sampled_from([0, 1])),
    exponents(st.sampled_from([-3 << 20, 0, 5 << 20])),
)


@settings(deadline=None)
@given(exponents(st.integers(-(2**62) + 1, 2**62 - 1)))
def test_balanced_digits_add_up_and_are_small(values: Integers) -> None:
    for split in splits(magnitude_bits(values)):
        digits = balanced(values, split.window_bits, split.windows)
        total = sum(each.astype(object) << (index * split.window_bits) for index, each in enumerate(digits))
        assert np.array_equal(total, values)
        assert all(np.abs(each).max() <= 1 << (split.window_bits - 1) for each in digits[:-1])
        seen = sum(len(set(np.abs(each[each != 0]).tolist())) for each in digits)
        assert seen <= split.magnitudes


def test_no_values_have_no_bits() -> None:
    assert magnitude_bits(np.zeros((0,), np.int64)) == 0


@settings(max_examples=60, deadline=None)
@given(ANY)
def test_all_ways_give_the_product_of_the_powers(matrix: Integers) -> None:
    numbers = bases(matrix.shape[1])
    truth = expected(matrix, numbers)
    assert multiexp.products(matrix, numbers, MODULUS) == truth
    assert powers.row_products(matrix, numbers, MODULUS, powers.plan_rows(matrix)[1]) == truth
    for inverted in (False, True):
        plans = tuple(buckets.plan(row, inverted=inverted) for row in matrix)
        columns = buckets.columns_for(buckets.BucketPlan(plans, inverted, 0), MODULUS)
        buckets.add_block(columns, matrix, numbers, MODULUS, inverted=inverted)
        assert [column.finish() for column in columns] == truth


@settings(max_examples=30, deadline=None)
@given(ANY, st.integers(1, 5))
def test_blocks_of_any_length_add_up(matrix: Integers, length: int) -> None:
    numbers = bases(matrix.shape[1])
    blocks = [numbers[start : start + length] for start in range(0, len(numbers), length)]
    assert multiexp.streamed(matrix, blocks, MODULUS) == expected(matrix, numbers)


@settings(max_examples=30, deadline=None)
@given(ANY, st.integers(1, 7))
def test_pieces_joined_in_any_order_are_the_whole(matrix: Integers, workers: int) -> None:
    numbers = bases(matrix.shape[1])
    body = multiexp.join_bytes(numbers, WIDTH)
    cut = multiexp.pieces(matrix, body, int(PUBLIC.n), WIDTH, workers)
    assert len(cut) <= workers
    outcomes = [(piece, multiexp.run_piece(piece)) for piece in reversed(cut)]
    assert multiexp.join(outcomes, len(matrix), MODULUS) == expected(matrix, numbers)


def test_few_results_at_a_time_and_small_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiexp, "BLOCK", 7)
    monkeypatch.setattr(multiexp, "RESULTS_AT_ONCE", 2)
    matrix = np.random.default_rng(5).integers(-(2**18), 2**18, (5, 60))
    numbers = bases(60)
    truth = expected(matrix, numbers)
    assert buckets.plan_columns(matrix).products < powers.plan_rows(matrix)[0]
    assert multiexp.products(matrix, numbers, MODULUS) == truth
    piece = multiexp.Piece(int(PUBLIC.n), WIDTH, multiexp.join_bytes(numbers, WIDTH), matrix, 0)
    assert multiexp.split_bytes(memoryview(multiexp.run_piece(piece)), WIDTH) == truth


def test_worker_processes_run_pieces() -> None:
    matrix = np.random.default_rng(6).integers(-(2**18), 2**18, (4, 30))
    numbers = bases(30)
    cut = multiexp.pieces(matrix, multiexp.join_bytes(numbers, WIDTH), int(PUBLIC.n), WIDTH, 2)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        outcomes = list(zip(cut, pool.map(multiexp.run_piece, cut), strict=True))
    assert multiexp.join(outcomes, 4, MODULUS) == expected(matrix, numbers)


def test_no_bases_give_ones_and_no_results_none() -> None:
    assert multiexp.products(np.zeros((2, 0), np.int64), [], MODULUS) == [1, 1]
    assert multiexp.products(np.zeros((0, 2), np.int64), bases(2), MODULUS) == []
    assert multiexp.count(np.zeros((0, 2), np.int64)) == 0


def test_more_or_fewer_bases_than_exponents_are_refused() -> None:
    matrix = np.ones((1, 3), np.int64)
    with pytest.raises(ValueError, match="more than the expected 3"):
        multiexp.streamed(matrix, [bases(2), bases(2)], MODULUS)
    with pytest.raises(ValueError, match="2 bases for 3"):
        multiexp.streamed(matrix, [bases(2)], MODULUS)


@pytest.mark.parametrize(
    ("values", "per_base"),
    [([0, 1], 0.6), ([0, 1 << 40], 0.6), ([-12_345, 67_890], 1.1), ([0] * 19 + [777], 0.2)],
    ids=["0/1", "0/1 in fixed point", "standardised 0/1", "sparse"],
)
def test_plain_columns_are_plain_products(values: list[int], per_base: float) -> None:
    column = np.random.default_rng(7).choice(np.array(values), (1, 4_000))
    assert multiexp.count(column) < per_base * 4_000 + 100


class Tally:
    """Stand in for the arithmetic, and count the products of numbers that are not 1, which cost next to nothing."""

    def __init__(self) -> None:
        self.products = 0

    def number(self, value: int) -> "Counted":
        return Counted(int(value), self)

    def inverse(self, value: int, modulus: int) -> "Counted":
        self.products += buckets.INVERSION
        return self.number(pow(int(value), -1, modulus))

    def inverses(self, values: list[int], modulus: int) -> list["Counted"]:
        self.products += 3 * len(values) + buckets.INVERSION
        return [self.number(pow(int(value), -1, modulus)) for value in values]

    def powmod(self, base: int, exponent: int, modulus: int) -> "Counted":
        self.products += (base != 1) * (exponent.bit_length() - 1)
        return self.number(pow(int(base), exponent, modulus))


class Counted(int):
    """An integer that tells a tally when it is multiplied."""

    tally: Tally

    def __new__(cls, value: int, tally: Tally) -> "Counted":
        number = super().__new__(cls, value)
        number.tally = tally
        return number

    def __mul__(self, other: int) -> "Counted":
        self.tally.products += self != 1 and other != 1
        return Counted(int(self) * int(other), self.tally)

    def __mod__(self, modulus: int) -> "Counted":
        return Counted(int(self) % modulus, self.tally)


SOME = np.random.default_rng(8)


@pytest.mark.parametrize(
    ("matrix", "within"),
    [
        (SOME.integers(-(2**18), 2**18, (8, 3_000)), 0.02),
        (SOME.integers(-(2**18), 2**18, (1, 3_000)), 0.02),
        (SOME.integers(-(2**18), 2**18, (2, 100)), 0.08),
        (SOME.integers(0, 2, (2, 3_000)), 0.02),
        (SOME.choice(np.array([-12_345, 67_890]), (2, 3_000)), 0.02),
        (SOME.integers(-(2**18), 2**18, (3_000, 3)), 0.02),
    ],
    ids=["shared inverses", "buckets of both signs", "few bases", "0/1", "two values", "by rows"],
)
def test_the_count_is_what_is_multiplied(
    matrix: Integers, within: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    tally = Tally()
    for module in (buckets, powers):
        for name, stand_in in (("big", "number"), ("inverse", "inverse")):
            monkeypatch.setattr(module, name, getattr(tally, stand_in))
    monkeypatch.setattr(buckets, "inverses", tally.inverses)
    monkeypatch.setattr(buckets, "powmod", tally.powmod)
    numbers: list[int] = [tally.number(each) for each in bases(matrix.shape[1])]
    assert multiexp.products(matrix, numbers, MODULUS) == expected(matrix, numbers)
    assert abs(tally.products / multiexp.count(matrix) - 1) < within


def test_more_workers_than_bases_get_a_piece_for_each_base() -> None:
    matrix, numbers = np.array([[3, -5]]), bases(2)
    cut = multiexp.pieces(matrix, multiexp.join_bytes(numbers, WIDTH), int(PUBLIC.n), WIDTH, 5)
    assert len(cut) == 2
    outcomes = [(piece, multiexp.run_piece(piece)) for piece in cut]
    assert multiexp.join(outcomes, 1, MODULUS) == expected(matrix, numbers)
