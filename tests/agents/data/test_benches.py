"""What vertical jobs are lent: the right rows, in the agreed order, prepared by the training rows alone."""

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.agents.config import RowsSection
from hansa.agents.data.benches import aligned_bench, lookup_bench
from hansa.agents.data.rows import Dataset, from_frame
from hansa.agents.errors import DataError
from hansa.protocols import LocalProtocolError, Workbench
from hansa.protocols.errors import PreparationError
from hansa.protocols.model import IndexArray

ROWS = 10
RULES = RowsSection(target="late", categories=("region",), missing="fill")
FRAME = pl.DataFrame(
    {
        "id": [f"customer-{row}" for row in range(ROWS)],
        "age": [None, *range(21, 20 + ROWS)],
        "region": ["north", "south", "east", None, "north"] * 2,
        "late": ["yes", "no"] * 5,
    }
)
CLASSES = ("no", "yes")
CONSTANT = "column 'age' has one value in all training rows: leave it out"
NO_CLASS = "label 'yes' is none of the job's classes 'no', 'perhaps'"


def held(frame: pl.DataFrame = FRAME, rules: RowsSection = RULES) -> Dataset:
    return from_frame("loans", frame, rules, "party north")


def order(*rows: int) -> IndexArray:
    return np.array(rows, dtype=np.int64)


def guest(dataset: Dataset, *rows: int, holdout: float = 0.0) -> Workbench:
    return aligned_bench(dataset, order(*rows), holdout, True, CLASSES)


def complaint(*arguments: Any) -> str:
    with pytest.raises(DataError) as caught:
        aligned_bench(*arguments)
    text = str(caught.value)
    assert text.startswith("party north: ")
    return text.removeprefix("party north: ")


# --- aligned rows ---------------------------------------------------------------------------------------
def test_rows_come_in_the_agreed_order_and_the_last_are_held_out() -> None:
    dataset = held()
    bench = guest(dataset, 9, 1, 4, 2, 7, holdout=0.4)
    prepared = dataset.prepared(order(9, 1, 4))
    assert bench.preparation() == prepared
    X, y = bench.training()
    assert X.tolist() == prepared.apply(dataset.table(order(9, 1, 4))).tolist()
    assert y.tolist() == [0.0, 0.0, 1.0]
    X, y = bench.holdout()
    assert X.tolist() == prepared.apply(dataset.table(order(2, 7))).tolist()
    assert y.tolist() == [1.0, 0.0]
    assert y.dtype == X.dtype == np.float64


@given(
    st.permutations(range(ROWS)),
    st.integers(4, ROWS),
    st.floats(0, 0.4),
    st.lists(st.floats(-1e6, 1e6), min_size=ROWS, max_size=ROWS),
)
def test_what_is_held_out_has_no_part_in_the_preparation(
    rows: list[int], count: int, holdout: float, values: list[float]
) -> None:
    held_out = round(holdout * count)
    chosen = order(*rows[:count])
    ages = np.arange(ROWS, dtype=np.float64)
    changed = ages.copy()
    changed[chosen[count - held_out :]] = np.array(values)[:held_out]
    plain = held(FRAME.select("id").with_columns(age=ages), RowsSection())
    other = replace(plain, numbers=changed[:, np.newaxis])
    ours, theirs = (aligned_bench(each, chosen, holdout, False, ()) for each in (plain, other))
    assert ours.preparation() == theirs.preparation()
    assert ours.training()[0].tolist() == theirs.training()[0].tolist()
    assert len(ours.holdout()[0]) == len(ours.holdout()[1]) == held_out


def test_without_a_holdout_there_are_no_rows_to_evaluate_on() -> None:
    X, y = guest(held(), *range(ROWS)).holdout()
    assert X.shape == (0, 3)
    assert y.shape == (0,)


def test_a_host_has_no_targets_whatever_its_columns() -> None:
    for dataset in (held(), held(FRAME.drop("late"), RULES.model_copy(update={"target": None}))):
        bench = aligned_bench(dataset, order(*range(ROWS)), 0.2, False, CLASSES)
        assert bench.preparation().names() == ("age", "region=east", "region=south")
        assert not bench.training()[1].any()
        assert not bench.holdout()[1].any()


def test_a_target_of_numbers_serves_a_linear_job() -> None:
    dataset = held(FRAME.with_columns(late=pl.Series([row / 4 for row in range(ROWS)])))
    bench = aligned_bench(dataset, order(3, 1, 2), 0.0, True, ())
    assert bench.training()[1].tolist() == [0.75, 0.25, 0.5]


def test_the_scale_stays_if_the_section_says_so() -> None:
    dataset = held(rules=RULES.model_copy(update={"standardise": False}))
    assert guest(dataset, 1, 2, 3).training()[0][:, 0].tolist() == [21.0, 22.0, 23.0]


@pytest.mark.parametrize(
    ("frame", "rows", "classes", "expected"),
    [
        (FRAME, (0, ROWS), CLASSES, "data set 'loans' has 10 rows, fewer than it was aligned with: align it anew"),
        (FRAME, (-1, 2), CLASSES, "data set 'loans' has 10 rows, fewer than it was aligned with: align it anew"),
        (FRAME, (), CLASSES, "data set 'loans': 0 common rows leave none for training (holdout 0.4)"),
        (FRAME, (1, 1, 2), CLASSES, f"data set 'loans': {CONSTANT}"),
        (FRAME, (1, 2, 3), ("no", "perhaps", "yes"), "a vertical job tells two classes apart, not 3"),
        (FRAME, (1, 2, 3), ("no", "perhaps"), f"row 0, column 'late': {NO_CLASS}"),
        (FRAME, (1, 2, 3), (), "row 0, column 'late': 'yes' is not a finite number (and 9 more)"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_trained_on_are_refused_by_name(
    frame: pl.DataFrame, rows: tuple[int, ...], classes: tuple[str, ...], expected: str
) -> None:
    assert complaint(held(frame), order(*rows), 0.4, True, classes) == expected


def test_a_guest_needs_a_target() -> None:
    dataset = held(FRAME.drop("late"), RULES.model_copy(update={"target": None}))
    assert complaint(dataset, order(1, 2, 3), 0.0, True, CLASSES) == "data set 'loans' has no target column"


# --- rows by id -----------------------------------------------------------------------------------------
def test_rows_are_found_by_id_in_the_order_asked_and_prepared_as_given() -> None:
    dataset = held()
    preparation = dataset.prepared()
    wanted = ["customer-7", "nobody", " customer-2 ", "customer-7"]
    known, features = lookup_bench(dataset).lookup(wanted, preparation)
    assert known.tolist() == [True, False, True, True]
    assert known.dtype == np.bool_
    assert features.tolist() == preparation.apply(dataset.table(order(7, 2, 7))).tolist()


def test_an_unknown_id_alone_finds_no_rows() -> None:
    known, features = lookup_bench(held()).lookup(["nobody"], held().prepared())
    assert (known.tolist(), features.shape) == ([False], (0, 3))


def test_nobody_asked_for_finds_no_rows() -> None:
    known, features = lookup_bench(held()).lookup([], held().prepared())
    assert (known.shape, features.shape) == ((0,), (0, 3))


def test_an_id_is_found_in_any_of_unicodes_spellings() -> None:
    dataset = held(FRAME.with_columns(id=pl.Series(["Zoe\u0308", *map(str, range(1, ROWS))])))
    known, _ = lookup_bench(dataset).lookup(["Zo\u00eb"], dataset.prepared())
    assert known.tolist() == [True]
    assert lookup_bench(dataset).ids()[0][0] == "Zo\u00eb"


def test_some_rows_alone_are_lent_in_the_order_wanted() -> None:
    bench = lookup_bench(held(), ["customer-7", "nobody", " customer-2", "customer-7"])
    assert bench.ids()[0] == ("customer-7", "customer-2")
    known, features = bench.lookup(["customer-2", "customer-3"], held().prepared())
    assert known.tolist() == [True, False]
    assert len(features) == 1


def test_ids_that_are_one_once_normalised_are_located() -> None:
    ids = ["Zoe\u0308", *map(str, range(2, ROWS)), "Zo\u00eb"]
    with pytest.raises(DataError) as caught:
        lookup_bench(held(FRAME.with_columns(id=pl.Series(ids))))
    assert str(caught.value) == ("party north: row 9: its id stands in row 0 too, once both are normalised")


def test_ids_come_with_the_first_rows_number() -> None:
    ids, first_row = lookup_bench(replace(held(), first_row=2)).ids()
    assert (list(ids), first_row) == (FRAME["id"].to_list(), 2)


def test_rows_served_need_the_columns_of_the_training_in_any_order() -> None:
    preparation = held().prepared()
    shuffled = held(FRAME.select("region", "late", "age", "id"))
    wanted = FRAME["id"].to_list()
    expected = lookup_bench(held()).lookup(wanted, preparation)[1]
    assert lookup_bench(shuffled).lookup(wanted, preparation)[1].tolist() == expected.tolist()
    with pytest.raises(PreparationError) as caught:
        lookup_bench(held(FRAME.rename({"age": "years"}))).lookup(wanted, preparation)
    assert str(caught.value) == (
        "party north: data set 'loans': no column 'age', which the model was trained with"
    )


def sent(bench: Workbench) -> Workbench:
    """Return a bench as it arrives in a process of a pool."""
    copy: Workbench = pickle.loads(pickle.dumps(bench))  # noqa: S301 - our own bytes
    return copy


# --- both -----------------------------------------------------------------------------------------------
def test_benches_survive_a_pickle_and_tell_nothing_in_a_repr() -> None:
    bench = guest(held(), *range(ROWS), holdout=0.2)
    copy = sent(bench)
    assert copy.training()[0].tolist() == bench.training()[0].tolist()
    assert copy.holdout()[1].tolist() == bench.holdout()[1].tolist()
    assert copy.preparation() == bench.preparation()
    served = sent(lookup_bench(held()))
    assert served.lookup(["customer-3"], bench.preparation())[0].tolist() == [True]
    for each in (bench, served):
        assert "north" not in repr(each)
        assert "customer" not in repr(each)


def test_a_bench_lends_what_its_kind_of_job_needs_and_no_more() -> None:
    aligned, served = guest(held(), 1, 2, 3), lookup_bench(held())
    for refused in (
        aligned.ids,
        aligned.model,
        served.training,
        served.holdout,
        served.preparation,
        served.model,
    ):
        with pytest.raises(LocalProtocolError, match=r"a bench of .* holds no"):
            refused()
    with pytest.raises(LocalProtocolError, match="a bench of aligned rows holds no rows by id"):
        aligned.lookup([], aligned.preparation())
