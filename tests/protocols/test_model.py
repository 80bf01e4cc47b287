"""What a model looks like from outside: shapes, evaluations, parameters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.protocols.model import (
    LARGEST_FIGURE,
    Array,
    Evaluation,
    ModelShape,
    all_finite,
    check_parameters,
)


def test_labels_become_their_positions_among_the_classes() -> None:
    shape = ModelShape(2, ("cat", "dog", "owl"))
    assert shape.class_indices(np.array(["owl", "cat", "owl"])).tolist() == [2, 0, 2]


@pytest.mark.parametrize("stranger", [-1, 4, 9])
def test_a_label_that_is_no_class_is_named(stranger: int) -> None:
    with pytest.raises(ValueError, match=f"{stranger}.* is none of the classes"):
        ModelShape(2, (0, 3, 7)).class_indices(np.array([0, stranger]))


@pytest.mark.parametrize(
    ("features", "classes", "message"),
    [
        (0, (0, 1), "features must be at least 1"),
        (1, (0,), "at least two classes, not 1"),
        (1, (0, "a"), "all int or all str, not int, str"),
        (1, (False, True), "not bool"),
        (1, (1, 0), "ascending and distinct"),
        (1, ("a", "a"), "ascending and distinct"),
    ],
)
def test_a_shape_that_makes_no_sense_is_refused(
    features: int, classes: tuple[int | str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ModelShape(features, classes)


def test_a_regression_has_no_classes() -> None:
    assert ModelShape(3, task="regression").classes == ()
    with pytest.raises(ValueError, match="regression has no classes, but 2 were given"):
        ModelShape(3, (0, 1), "regression")


@pytest.mark.parametrize(
    ("rows", "loss", "score", "message"),
    [
        (0, 0.0, 0.0, "at least one row"),
        (1, float("nan"), 0.0, "loss must be finite"),
        (1, 0.0, float("-inf"), "r2 must be finite"),
        (1, 2 * LARGEST_FIGURE, 0.0, "loss must be finite and at most 1e"),
    ],
)
def test_an_evaluation_holds_rows_and_finite_figures(
    rows: int, loss: float, score: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Evaluation(rows, loss, score, "r2")


OURS = [np.zeros((2, 3)), np.zeros(3)]


def test_arrays_like_ours_are_accepted() -> None:
    check_parameters([np.ones((2, 3)), np.ones(3)], OURS)


@pytest.mark.parametrize(
    ("received", "message"),
    [
        ([np.ones((2, 3))], "1 arrays, expected 2"),
        ([np.ones((3, 2)), np.ones(3)], r"array 0 has shape \(3, 2\), expected \(2, 3\)"),
        ([np.ones((2, 3)), np.ones(3, np.float32)], "array 1 is float32, expected float64"),
        ([np.ones((2, 3)), np.array([1.0, np.nan, 0.0])], "array 1 holds NaN or infinity"),
    ],
)
def test_the_first_array_that_differs_is_named(received: list[Array], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_parameters(received, OURS)


@given(st.lists(st.floats(width=32), max_size=20), st.sampled_from([np.float32, np.float64]))
def test_all_finite_agrees_with_looking_at_each(values: list[float], dtype: type) -> None:
    array: Array = np.array(values, dtype)
    assert all_finite(array) == bool(np.isfinite(array).all())


def test_huge_values_are_finite_though_their_squares_are_not() -> None:
    assert all_finite(np.full(3, 1e200))
    assert all_finite(np.array(1.0))


def test_whole_numbers_are_finite_and_objects_are_not() -> None:
    assert all_finite(np.arange(3))
    assert not all_finite(np.array([None]))
