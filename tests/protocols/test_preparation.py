"""Raw columns become features as scikit-learn would make them, and what can't become one is named."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from hansa.broker.records import from_plain, to_plain
from hansa.protocols.errors import PreparationError
from hansa.protocols.model import Array, FloatArray
from hansa.protocols.preparation import MOST_CATEGORIES, Preparation, Prepared, Table, fit

NUMBERS = st.floats(-1e6, 1e6).map(lambda number: round(number, 3))
GAPPED = st.one_of(NUMBERS, st.just(float("nan")))
CATEGORIES = st.sampled_from(["north", "south", "été", "", "x=y"])
TABLE: Table = {
    "age": np.array([20.0, 40.0, np.nan, 60.0]),
    "member": np.array([0.0, 1.0, 1.0, np.nan]),
    "region": np.array(["north", "south", "north", None], dtype=object),
}


def column(texts: Sequence[str | None]) -> Array:
    return np.array(texts, dtype=object)


def refusal(table: Table, **settings: float) -> str:
    with pytest.raises(PreparationError) as caught:
        fit(table, True, **settings)
    return str(caught.value)


def stack(values: list[float]) -> FloatArray:
    return np.array(values, dtype=np.float64)


# --- as scikit-learn -------------------------------------------------------------------------------------
@example(
    training=[0.0, 0.5, 1.0], serving=[], standardise=True
)  # between 0 and 1, and yet no column of these
@given(st.lists(GAPPED, min_size=2, max_size=40), st.lists(GAPPED, max_size=10), st.booleans())
def test_numbers_are_filled_and_standardised_as_by_scikit_learn(
    training: list[float], serving: list[float], standardise: bool
) -> None:
    known = [value for value in training if value == value]
    assume(len(set(known)) > 1 and not set(known) <= {0.0, 1.0})
    assume(np.std(known) > 1e-6 * max(map(abs, known)))
    imputer = SimpleImputer().fit(stack(training)[:, np.newaxis])
    expected = imputer.transform(stack(training + serving)[:, np.newaxis])
    if standardise:
        expected = StandardScaler().fit(expected[: len(training)]).transform(expected)
    preparation = fit({"x": stack(training)}, standardise)
    assert preparation.names() == ("x",)
    assert preparation.apply({"x": stack(training + serving)}) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(st.lists(st.sampled_from([0.0, 1.0, float("nan")]), min_size=2, max_size=30), st.booleans())
def test_columns_of_0_and_1_are_filled_with_the_more_frequent_and_stay_so(
    training: list[float], standardise: bool
) -> None:
    assume({0.0, 1.0} <= set(training))
    rows = stack(training)[:, np.newaxis]
    expected = SimpleImputer(strategy="most_frequent").fit_transform(rows)
    assert fit({"x": rows[:, 0]}, standardise).apply({"x": rows[:, 0]}).tolist() == expected.tolist()


@given(
    st.lists(st.one_of(CATEGORIES, st.none()), min_size=2, max_size=30),
    st.lists(st.one_of(CATEGORIES, st.none(), st.text(max_size=3)), max_size=10),
)
def test_categories_are_filled_and_encoded_as_by_scikit_learn(
    training: list[str | None], serving: list[str | None]
) -> None:
    assume(len(set(training) - {None}) > 1)
    rows = column(training + serving)[:, np.newaxis]
    imputer = SimpleImputer(strategy="most_frequent", missing_values=None).fit(rows[: len(training)])
    filled = imputer.transform(rows)
    base = imputer.statistics_[0]
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(filled[: len(training)])
    kept = [place for place, name in enumerate(encoder.categories_[0]) if name != base]
    preparation = fit({"x": column(training)}, True)
    assert preparation.columns[0].fill_category == base
    assert preparation.names() == tuple(f"x={encoder.categories_[0][place]}" for place in kept)
    assert preparation.apply({"x": rows[:, 0]}).tolist() == encoder.transform(filled)[:, kept].tolist()


# --- what comes out --------------------------------------------------------------------------------------
def test_features_follow_the_columns_order_with_one_for_each_category_but_the_base() -> None:
    preparation = fit({**TABLE, "ward": column(["a", "b", "c", "c"])}, False)
    assert preparation.names() == ("age", "member", "region=south", "ward=a", "ward=b")
    assert preparation.apply({**TABLE, "ward": column(["a", "b", "c", "c"])}).tolist() == [
        [20.0, 0.0, 0.0, 1.0, 0.0],
        [40.0, 1.0, 1.0, 0.0, 1.0],
        [40.0, 1.0, 0.0, 0.0, 0.0],
        [60.0, 1.0, 0.0, 0.0, 0.0],
    ]


def test_served_rows_may_have_their_columns_in_any_order_and_others_besides() -> None:
    preparation = fit(TABLE, True)
    shuffled = {
        "region": TABLE["region"],
        "more": np.zeros(4),
        "age": TABLE["age"],
        "member": TABLE["member"],
    }
    assert preparation.apply(shuffled).tolist() == preparation.apply(TABLE).tolist()


def test_a_category_that_training_has_not_seen_counts_as_the_base() -> None:
    preparation = fit(TABLE, True)
    served = {"age": stack([40.0]), "member": stack([1.0]), "region": column(["east"])}
    base = served | {"region": column(["north"])}
    assert preparation.apply(served).tolist() == preparation.apply(base).tolist()


def test_served_rows_without_any_value_are_filled() -> None:
    served = {"age": stack([np.nan]), "member": stack([np.nan]), "region": column([None])}
    assert fit(TABLE, True).apply(served).tolist() == [[0.0, 1.0, 0.0]]


def test_no_rows_give_no_rows() -> None:
    nothing = {"age": stack([]), "member": stack([]), "region": column([])}
    assert fit(TABLE, True).apply(nothing).shape == (0, 3)


def test_rare_categories_get_no_feature() -> None:
    table = {"x": column(["a"] * 6 + ["b"] * 3 + ["c"])}
    assert fit(table, True, rare=0.1).names() == ("x=b", "x=c")
    assert fit(table, True, rare=0.2).names() == ("x=b",)
    assert refusal(table, rare=0.5) == (
        "column 'x': every category but the most frequent is rarer than 0.5: leave it out"
    )


@pytest.mark.parametrize("dtype", ["f4", "i8", "u1", "?"])
def test_numbers_of_any_type_will_do(dtype: str) -> None:
    features = fit({"x": np.array([0, 1, 1], dtype=dtype)}, True).apply({"x": np.array([1, 0], dtype=dtype)})
    assert features.dtype == np.float64
    assert features.tolist() == [[1.0], [0.0]]


def test_text_of_fixed_width_will_do() -> None:
    assert fit({"x": np.array(["b", "a", "b"])}, True).apply({"x": np.array(["a", "b"])}).tolist() == [
        [1],
        [0],
    ]


def test_the_callers_rows_stay_as_they_are() -> None:
    values = stack([1.0, np.nan, 3.0])
    fit({"x": values}, True).apply({"x": values})
    assert np.isnan(values[1])


def test_a_preparation_is_a_record() -> None:
    preparation = fit(TABLE, True)
    assert preparation.standardised
    assert from_plain(Preparation, to_plain(preparation)) == preparation


# --- what is refused -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (stack([np.nan, np.nan]), "has no value in any training row: leave it out"),
        (column([None, None]), "has no value in any training row: leave it out"),
        (stack([3.0, 3.0]), "has one value in all training rows: leave it out"),
        (stack([3.0, np.nan]), "has one value in all training rows: leave it out"),
        (stack([0.0, 0.0]), "has one value in all training rows: leave it out"),
        (stack([1e9, 1e9 + 1e-6]), "has one value in all training rows, but for rounding: leave it out"),
        (stack([0.0, 5e-324]), "has one value in all training rows, but for rounding: leave it out"),
        (column(["a", "a"]), "has one category in all training rows: leave it out"),
        (column(["a", None]), "has one category in all training rows: leave it out"),
        (stack([1.0, np.inf]), "has an infinite value"),
        (stack([1.7e308, 1.6e308]), "has values too large to be averaged: use another unit"),
        (stack([1.7e308, -1.7e308]), "has values too large to be averaged: use another unit"),
        (column(["a", 1.5]), "holds float among its text: make it text, or None"),  # type: ignore[list-item]
        (np.array([1 + 2j, 3]), "is complex128, neither numbers nor text"),
        (stack([[1.0], [2.0]]), "has shape (2, 1), expected (2,)"),  # type: ignore[list-item]
        (stack([1.0, 2.0, 3.0]), "has shape (3,), expected (2,)"),
    ],
)
def test_a_column_that_cannot_become_a_feature_is_named(values: Array, complaint: str) -> None:
    assert refusal({"first": stack([1.0, 2.0]), "a b": values}) == f"column 'a b' {complaint}"


def test_too_many_categories_are_refused_and_none_is_quoted() -> None:
    names = [f"customer {row}" for row in range(MOST_CATEGORIES + 2)]
    assert (
        refusal({"name": column(names)})
        == "column 'name' has 1002 categories, at most 1000 are columns: group them"
    )
    assert len(fit({"name": column(names[:-1])}, True).names()) == MOST_CATEGORIES


def test_two_features_of_one_name_are_refused() -> None:
    table = {"a": column(["b=c", "d"]), "a=b": column(["c", "d"])}
    assert refusal({"a": column(["b=c", "b=d", "b=d"]), "a=b": column(["c", "d", "d"])}) == (
        "columns 'a' and 'a=b' give two features of one name: rename one"
    )
    assert fit(table, True).names() == ("a=d", "a=b=d")


@pytest.mark.parametrize(
    ("table", "complaint"),
    [({}, "there are no columns to prepare"), ({"x": stack([])}, "there are no training rows")],
)
def test_there_must_be_rows_and_columns(table: Table, complaint: str) -> None:
    assert refusal(table) == complaint


@pytest.mark.parametrize(
    ("served", "complaint"),
    [
        ({"region": column(["north"])}, "no column 'age' (and 1 more), which the model was trained with"),
        (
            {"age": stack([1.0]), "member": stack([1.0])},
            "no column 'region', which the model was trained with",
        ),
        ({"age": column(["1"])}, "column 'age' holds text; in training it held numbers"),
        ({"region": stack([1.0])}, "column 'region' holds numbers; in training it held text"),
        ({"age": stack([-np.inf])}, "column 'age' has an infinite value"),
        ({"age": stack([1.0, 2.0])}, "column 'member' has shape (1,), expected (2,)"),
        ({"region": column([7])}, "column 'region' holds int among its text: make it text, or None"),  # type: ignore[list-item]
    ],
)
def test_served_rows_of_other_columns_are_refused_by_name(served: dict[str, Any], complaint: str) -> None:
    whole = {"age": stack([1.0]), "member": stack([1.0]), "region": column(["north"])}
    given = served if "no column" in complaint else whole | served
    with pytest.raises(PreparationError) as caught:
        fit(TABLE, True).apply(given)
    assert str(caught.value) == complaint


def test_a_served_value_that_overflows_is_refused() -> None:
    preparation = fit({"x": stack([1e-5, 2e-5])}, True)
    with pytest.raises(PreparationError, match="column 'x' has a value far beyond those of the training"):
        preparation.apply({"x": stack([1.7e308])})


@pytest.mark.parametrize("broken", [{"scale": 0.0}, {"scale": -1.0}, {"mean": np.inf}, {"fill": np.nan}])
def test_a_stored_column_that_nobody_can_have_fitted_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="column 'x': fill, mean and scale must be finite"):
        Prepared("x", "number", **broken)
