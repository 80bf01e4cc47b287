"""Text and gaps: the same raw columns from a CSV file, a Parquet file and a query, and where others are wrong."""

import hashlib
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.agents.config import DataSection, RowsSection
from hansa.agents.data.rows import Dataset, from_frame, load_dataset
from hansa.agents.errors import DataError
from hansa.protocols.errors import PreparationError

SALT = bytes(32)
COLUMNS: dict[str, list[Any]] = {
    "id": ["a", "b", "c", "d"],
    "age": [31.0, None, 27.0, 44.5],
    "region": ["north", "south", None, "north"],
    "ward": [1, 2, None, 1],
    "defaulted": ["no", "yes", "no", "no"],
}
CSV = "id,age,region,ward,defaulted\na,31,north,1,no\nb, , south ,2,yes\nc,27,,,no\nd,44.5,north, 1,no\n"
RULES: dict[str, Any] = {"target": "defaulted", "categories": ("region", "ward"), "missing": "fill"}


def from_csv(folder: Path, **changes: Any) -> Dataset:
    (folder / "loans.csv").write_text(CSV)
    return load_dataset("loans", DataSection(**{"file": "loans.csv", **RULES, **changes}), folder)


def from_parquet(folder: Path, **changes: Any) -> Dataset:
    pl.DataFrame(COLUMNS).write_parquet(folder / "loans.parquet")
    return load_dataset("loans", DataSection(**{"file": "loans.parquet", **RULES, **changes}), folder)


def from_query(folder: Path, **changes: Any) -> Dataset:
    rows = list(zip(*COLUMNS.values(), strict=True))
    connection = sqlite3.connect(folder / "books.sqlite")
    with connection:
        connection.execute("DROP TABLE IF EXISTS loans")
        connection.execute("CREATE TABLE loans (id, age, region, ward, defaulted)")
        connection.executemany("INSERT INTO loans VALUES (?, ?, ?, ?, ?)", reversed(rows))
    connection.close()
    source = {"url": "sqlite:///books.sqlite", "query": "SELECT * FROM loans"}
    return load_dataset("loans", DataSection(**{**source, **RULES, **changes}), folder)


def from_memory(_: Path, **changes: Any) -> Dataset:
    return held(COLUMNS, **changes)


def held(columns: dict[str, Any], **changes: Any) -> Dataset:
    return from_frame("loans", pl.DataFrame(columns), RowsSection(**{**RULES, **changes}), "party north")


THERE = "'id', 'age', 'region', 'ward', 'defaulted'"
SOURCES = pytest.mark.parametrize("load", [from_csv, from_parquet, from_query, from_memory])
Load = Callable[..., Dataset]


def complaint(columns: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(DataError) as caught:
        held(COLUMNS | columns, **changes)
    text = str(caught.value)
    assert text.startswith("party north: ")
    assert "\n" not in text
    return text.removeprefix("party north: ")


# --- what passes ----------------------------------------------------------------------------------------
@SOURCES
def test_text_and_gaps_read_alike_wherever_they_come_from(load: Load, tmp_path: Path) -> None:
    dataset = load(tmp_path)
    assert dataset.columns == ("age", "region", "ward")
    table = dataset.table()
    assert list(table) == ["age", "region", "ward"]
    assert table["age"].tolist() == pytest.approx([31.0, np.nan, 27.0, 44.5], nan_ok=True)
    assert table["region"].tolist() == ["north", "south", None, "north"]
    assert table["ward"].tolist() == ["1", "2", None, "1"]
    assert dataset.commitment(SALT) == from_memory(tmp_path).commitment(SALT)


@SOURCES
def test_without_leave_to_fill_the_first_gap_is_located(load: Load, tmp_path: Path) -> None:
    first = load(tmp_path).first_row
    with pytest.raises(DataError, match=f"row {first + 2}, column 'region': no value$"):
        load(tmp_path, missing="refuse")
    with pytest.raises(DataError, match=f"row {first + 1}, column 'age': no value$"):
        load(tmp_path, missing="refuse", categories=())


def test_rows_may_be_picked_in_any_order() -> None:
    table = held(COLUMNS).table(np.array([3, 0]))
    assert {name: values.tolist() for name, values in table.items()} == {
        "age": [44.5, 31.0],
        "region": ["north", "north"],
        "ward": ["1", "1"],
    }


def test_a_data_set_may_hold_nothing_but_categories() -> None:
    dataset = held({"id": ["a", "b"], "region": ["x", "y"]}, target=None, categories=("region",))
    assert dataset.numbers.shape == (2, 0)
    assert dataset.prepared().names() == ("region=y",)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, None, False, True], ["true", None, "false", "true"]),
        ([1.5, float("nan"), None, 2.0], ["1.5", None, None, "2.0"]),
        ([Decimal("1.50"), None, Decimal("2.00"), None], ["1.50", None, "2.00", None]),
        (pl.Series(["b", "a", None, "b"], dtype=pl.Categorical), ["b", "a", None, "b"]),
    ],
    ids=["booleans", "floats", "decimals", "categorical"],
)
def test_categories_of_other_types_are_text_too(values: Any, expected: list[str | None]) -> None:
    assert held(COLUMNS | {"region": values}).texts["region"].tolist() == expected


@SOURCES
def test_rows_to_be_served_may_lack_a_column_altogether(load: Load, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(
        globals(), "COLUMNS", {name: values[2:3] for name, values in COLUMNS.items()} | {"age": [None]}
    )
    monkeypatch.setitem(globals(), "CSV", "id,age,region,ward,defaulted\nc,,,,no\n")
    served = load(tmp_path)
    assert served.numbers.shape == (1, 1)
    assert np.isnan(served.numbers).all()
    assert {column: texts.tolist() for column, texts in served.texts.items()} == {
        "region": [None],
        "ward": [None],
    }
    with pytest.raises(PreparationError, match="column 'age' has no value in any training row: leave it out"):
        served.prepared()


def test_equal_categories_are_one_object_however_many_rows() -> None:
    texts = held(
        {"id": range(100), "region": [f"area {row % 2}" for row in range(100)]},
        target=None,
        categories=("region",),
    )
    assert len(set(map(id, texts.texts["region"].tolist()))) == 2


def test_a_gap_may_be_written_as_nan() -> None:
    (gap,) = np.flatnonzero(np.isnan(held(COLUMNS | {"age": [1.0, float("nan"), 2.0, 3.0]}).numbers[:, 0]))
    assert gap == 1


def test_the_preparation_follows_the_sections_rules() -> None:
    assert held(COLUMNS).prepared().standardised
    assert not held(COLUMNS, standardise=False).prepared().standardised
    assert held(COLUMNS).prepared().names() == ("age", "region=south", "ward=2")
    assert held(COLUMNS).prepared(np.array([0, 1, 3])).columns[0].fill == pytest.approx(37.75)
    rare = held(COLUMNS | {"region": ["a", "a", "b", None]}, rare=0.3, categories=("region",))
    assert rare.rare == 0.3


def test_neither_categories_nor_numbers_stand_in_a_repr() -> None:
    text = repr(held(COLUMNS))
    assert "north" not in text.replace("party north", "")
    assert "44.5" not in text


# --- horizontal jobs ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "columns", "what"),
    [
        ({}, {}, "column 'age' of data set 'loans' lacks values"),
        ({}, {"age": [1.0, 2.0, 3.0, 4.0]}, "column 'region' of data set 'loans' holds text"),
        (
            {"categories": ()},
            {"age": [1.0] * 4, "region": [1.0] * 4},
            "column 'ward' of data set 'loans' lacks values",
        ),
    ],
)
def test_a_horizontal_job_is_told_which_column_it_cannot_take(
    changes: dict[str, Any], columns: dict[str, Any], what: str
) -> None:
    with pytest.raises(DataError) as caught:
        _ = held(COLUMNS | columns, **changes).features
    assert str(caught.value) == (
        f"party north: {what}; a horizontal job takes columns of numbers without gaps (vertical ones prepare them)"
    )


def test_leave_to_fill_changes_nothing_about_rows_without_gaps(tmp_path: Path) -> None:
    whole = {"id": ["a", "b"], "x": [1.0, 2.0], "defaulted": ["no", "yes"]}
    filled, refused = (held(whole, categories=(), missing=missing) for missing in ("fill", "refuse"))
    assert filled.features.tolist() == refused.features.tolist() == [[1.0], [2.0]]
    assert filled.commitment(SALT) == refused.commitment(SALT)


# --- the commitment -------------------------------------------------------------------------------------
def test_rows_of_numbers_without_gaps_are_committed_to_as_ever() -> None:
    dataset = held({"id": ["a", "b"], "x": [1, 2], "defaulted": ["no", "yes"]}, categories=())
    content = (2).to_bytes(8) + (1).to_bytes(8)
    for text in (b"a", b"b", b"no", b"yes"):
        content += len(text).to_bytes(4) + text
    content += np.array([1.0, 2.0]).astype("<f8").tobytes()
    assert dataset.commitment(SALT) == hashlib.sha256(b"hansa-dataset-v1" + SALT + content).digest()


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("age", [31.0, 5.0, 27.0, 44.5]),
        ("age", [31.0, None, None, 44.5]),
        ("region", ["north", "south", "south", "north"]),
        ("region", ["north", None, "south", "north"]),
        ("ward", [1, 2, 2, 1]),
        ("id", ["a", "b", "c", "e"]),
        ("defaulted", ["no", "yes", "no", "yes"]),
    ],
)
def test_any_other_text_or_gap_changes_the_commitment(column: str, values: list[Any]) -> None:
    assert held(COLUMNS | {column: values}).commitment(SALT) != held(COLUMNS).commitment(SALT)


def test_all_nan_are_one_to_a_commitment() -> None:
    dataset = held(COLUMNS)
    other = dataset.numbers.copy()
    other.view(np.uint64)[1, 0] |= 1
    assert np.isnan(other[1, 0])
    assert replace(dataset, numbers=other).commitment(SALT) == dataset.commitment(SALT)


@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=2, max_size=6))
def test_text_cannot_move_between_rows_unseen(texts: list[str | None]) -> None:
    def committed(column: list[str | None]) -> bytes:
        rows = len(column)
        made = Dataset(
            "t", tuple(map(str, range(rows))), ("x",), np.empty((rows, 0)), None, None, 0.2, "a test"
        )
        return replace(made, texts={"x": np.array(column, dtype=object)}).commitment(SALT)

    turned = texts[1:] + texts[:1]
    assert (committed(turned) == committed(texts)) == (turned == texts)


# --- what doesn't pass ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("columns", "changes", "expected"),
    [
        ({}, {"categories": ("area",)}, f"no column 'area' (a category of data set 'loans'); has {THERE}"),
        ({"region": ["", "a", None, "b"]}, {"missing": "refuse"}, "row 0, column 'region': no value (and 1 more)"),
        ({"age": [1.0, float("inf"), None, 2.0]}, {}, "row 1, column 'age': 'inf' is not a finite number"),
        ({}, {"categories": ("ward",)}, "column 'region' is String; a feature is a number or boolean"),
        ({"region": [[1], [2], [3], [4]]}, {}, "column 'region' is List(Int64), neither text nor a number"),
        ({"id": ["a", "b", "a", "d"]}, {}, "row 2, column 'id': id 'a' stands in row 0 too"),
    ],
)  # fmt: skip
def test_what_cannot_serve_is_located(
    columns: dict[str, Any], changes: dict[str, Any], expected: str
) -> None:
    assert complaint(columns, **changes) == expected


def test_a_frame_without_rows_or_names_is_refused() -> None:
    assert complaint({name: [] for name in COLUMNS}) == "no rows"
    assert complaint({" ": [1, 2, 3, 4]}) == "column 6 has no name"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["many", "1", ""], "row 2, column 'x': 'many' is not a finite number"),
        (["?", "2", "?"], "row 2, column 'x': '?' is not a finite number (and 1 more)"),
        (["1", "inf", ""], "row 3, column 'x': 'inf' is not a finite number"),
        (
            ["north", "", "south"],
            "row 2, column 'x': 'north' is not a finite number (and 1 more); if the column holds text, "
            "name it under categories",
        ),
    ],
)
def test_a_cell_that_is_neither_number_nor_empty_is_located(
    tmp_path: Path, cells: list[str], expected: str
) -> None:
    path = tmp_path / "loans.csv"
    path.write_text("id,x\n" + "".join(f"{row},{cell}\n" for row, cell in enumerate(cells)))
    with pytest.raises(DataError) as caught:
        load_dataset("loans", DataSection(file="loans.csv", missing="fill"), tmp_path)
    assert str(caught.value) == f"{path}: {expected}"


def test_nan_in_a_csv_file_is_a_gap_only_where_there_may_be_one(tmp_path: Path) -> None:
    (tmp_path / "loans.csv").write_text("id,x\na,1\nb,NaN\n")
    filled = load_dataset("loans", DataSection(file="loans.csv", missing="fill"), tmp_path)
    assert filled.numbers.tolist() == [[1.0], [pytest.approx(np.nan, nan_ok=True)]]
    with pytest.raises(DataError, match="row 3, column 'x': 'NaN' is not a finite number"):
        load_dataset("loans", DataSection(file="loans.csv"), tmp_path)
