"""The weighted average."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hansa.protocols.horizontal.aggregation import BLOCK, weighted_average
from hansa.protocols.model import Array

FIGURES = st.floats(-1e6, 1e6, width=32)
WEIGHTS = st.lists(st.integers(1, 1000), min_size=3, max_size=3)
THREE = arrays(np.float64, (3, 4), elements=FIGURES)


def averaged(rows: Array, weights: list[int]) -> Array:
    return weighted_average([[row] for row in rows], weights)[0]


@given(THREE, WEIGHTS)
def test_it_agrees_with_numpy(rows: Array, weights: list[int]) -> None:
    assert averaged(rows, weights) == pytest.approx(
        np.average(rows, axis=0, weights=weights), rel=1e-9, abs=1e-6
    )


@given(THREE, WEIGHTS)
def test_it_lies_between_the_least_and_the_greatest(rows: Array, weights: list[int]) -> None:
    average = averaged(rows, weights)
    slack = 1e-9 * (1 + np.abs(rows).max())
    assert (average >= rows.min(axis=0) - slack).all()
    assert (average <= rows.max(axis=0) + slack).all()


@given(arrays(np.float64, 4, elements=FIGURES), WEIGHTS)
def test_equal_updates_average_to_themselves(row: Array, weights: list[int]) -> None:
    assert averaged(np.stack([row] * 3), weights) == pytest.approx(row, rel=1e-12)


@given(THREE, WEIGHTS, st.integers(1, 9))
def test_only_the_ratio_of_weights_counts(rows: Array, weights: list[int], factor: int) -> None:
    assert averaged(rows, weights) == pytest.approx(
        averaged(rows, [factor * weight for weight in weights]), rel=1e-12, abs=1e-9
    )


@given(THREE, WEIGHTS)
def test_any_order_gives_the_same_within_rounding(rows: Array, weights: list[int]) -> None:
    expected = averaged(rows, weights)
    for order in permutations(range(3)):
        shuffled = averaged(rows[list(order)], [weights[place] for place in order])
        assert shuffled == pytest.approx(expected, rel=1e-12, abs=1e-9)


def test_one_update_is_returned_bit_for_bit_in_a_new_array() -> None:
    update = [np.array([0.1, -0.2], np.float32)]
    average = weighted_average([update], [7])
    assert np.array_equal(average[0], update[0])
    assert average[0].dtype == np.float32
    assert average[0] is not update[0]


def test_small_updates_are_summed_in_float64() -> None:
    updates = [[np.array([1.0], np.float32)]] + [[np.array([1e-4], np.float32)] for _ in range(999)]
    exact = (1.0 + 999 * float(np.float32(1e-4))) / 1000
    assert weighted_average(updates, [1] * 1000)[0] == np.float32(exact)


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3])
def test_blocks_join_without_a_seam(size: int) -> None:
    generator = np.random.default_rng(size)
    one, two = generator.normal(size=size), generator.normal(size=size)
    assert weighted_average([[one], [two]], [1, 3])[0] == pytest.approx(0.25 * one + 0.75 * two)


def test_shapes_and_dtypes_stay_array_by_array() -> None:
    first = [np.zeros((2, 3), np.float32), np.array(1.0), np.asfortranarray(np.arange(6.0).reshape(2, 3))]
    second = [np.ones((2, 3), np.float32), np.array(3.0), np.zeros((2, 3))]
    averages = weighted_average([first, second], [1, 1])
    assert [(each.shape, each.dtype) for each in averages] == [(each.shape, each.dtype) for each in first]
    assert averages[1] == 2.0
    assert np.array_equal(averages[2], np.arange(6.0).reshape(2, 3) / 2)


def test_an_update_of_no_weight_changes_nothing() -> None:
    assert weighted_average([[np.ones(2)], [np.full(2, 9.0)]], [1, 0])[0].tolist() == [1.0, 1.0]


OK = [np.ones(2), np.ones(3)]


@pytest.mark.parametrize(
    ("updates", "weights", "message"),
    [
        ([], [], "no updates to average"),
        ([OK, OK], [1], "1 weights for 2 updates"),
        ([OK, OK], [1, -1], "weight 1 is -1"),
        ([OK, OK], [float("nan"), 1], "weight 0 is nan"),
        ([OK, OK], [0, 0], "the weights sum to zero"),
        ([OK, OK[:1]], [1, 1], "update 1: 1 arrays, expected 2"),
        ([OK, [np.ones(2), np.ones(4)]], [1, 1], r"update 1: array 1 has shape \(4,\), expected \(3,\)"),
        (
            [OK, [np.ones(2), np.ones(3, np.float32)]],
            [1, 1],
            "update 1: array 1 is float32, expected float64",
        ),
        ([[np.ones(2, int)]], [1], "update 0: array 0 is int64, not floating"),
        ([OK, [np.ones(2), np.array([1, np.nan, 1])]], [1, 1], "update 1: array 1 holds NaN or infinity"),
        ([OK, [np.array([np.inf, 0]), np.ones(3)]], [1, 0], "update 1: array 0 holds NaN or infinity"),
        ([[np.array([np.inf])], [np.array([-np.inf])]], [1, 1], "update 0: array 0 holds NaN"),
    ],
)
def test_what_has_no_average_is_refused_by_position(
    updates: list[list[Array]], weights: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        weighted_average(updates, weights)


def test_an_average_that_rounds_beyond_the_largest_float_is_refused() -> None:
    largest = [np.array([np.finfo(np.float64).max])]
    with pytest.raises(ValueError, match="the average of array 0 overflows float64"):
        weighted_average([largest] * 11, [1] * 11)
