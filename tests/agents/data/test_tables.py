"""Parquet files: the same rows as a CSV file gives, and where exactly the others are wrong."""

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.agents.config import DataSection
from hansa.agents.data.rows import Dataset, labels, load_dataset, numeric_target
from hansa.agents.errors import DataError

SECTION = DataSection(file="loans.parquet", target="defaulted")
GOOD: dict[str, Any] = {
    "id": ["a", "b", "c"],
    "age": [31, 44, 27],
    "income": [1.5, -2e3, 7.0],
    "defaulted": ["no", "yes", "no"],
}
CSV = "id,age,income,defaulted\na,31,1.5,no\nb,44,-2e3,yes\nc,27, 7 ,no\n"
SALT = bytes(32)


def loaded(folder: Path, columns: dict[str, Any], section: DataSection = SECTION) -> Dataset:
    pl.DataFrame(columns).write_parquet(folder / str(section.file))
    return load_dataset("loans", section, folder)


def complaint(folder: Path, columns: dict[str, Any], section: DataSection = SECTION) -> str:
    """Return what is said of these columns, after the file's name; checks that it is one line."""
    with pytest.raises(DataError) as caught:
        loaded(folder, columns, section)
    text, source = str(caught.value), f"{folder / str(section.file)}: "
    assert text.startswith(source)
    assert "\n" not in text
    return text.removeprefix(source)


# --- what passes ----------------------------------------------------------------------------------------
def test_the_same_rows_give_the_same_commitment_as_in_a_csv_file(tmp_path: Path) -> None:
    (tmp_path / "loans.csv").write_text(CSV)
    of_csv = load_dataset("loans", DataSection(file="loans.csv", target="defaulted"), tmp_path)
    of_parquet = loaded(tmp_path, GOOD)
    assert of_parquet.commitment(SALT) == of_csv.commitment(SALT)
    assert of_parquet.columns == of_csv.columns == ("age", "income")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, False, True], [1.0, 0.0, 1.0]),
        (pl.Series([1, 2, 3], dtype=pl.UInt8), [1.0, 2.0, 3.0]),
        (pl.Series([0.5, 1.5, 2.5], dtype=pl.Float32), [0.5, 1.5, 2.5]),
        ([Decimal("0.10"), Decimal("2"), Decimal("-3.5")], [0.1, 2.0, -3.5]),
    ],
    ids=["booleans", "small integers", "single precision", "decimals"],
)
def test_numbers_and_booleans_of_every_width_are_features(
    tmp_path: Path, values: Any, expected: list[float]
) -> None:
    assert loaded(tmp_path, GOOD | {"age": values}).features[:, 0].tolist() == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7, 8, 9], ("7", "8", "9")),
        ([" 7", "8 ", "x"], ("7", "8", "x")),
        (pl.Series(["p", "q", "r"], dtype=pl.Categorical), ("p", "q", "r")),
    ],
    ids=["numbers", "spaces", "categories"],
)
def test_ids_are_text_whatever_their_type(tmp_path: Path, values: Any, expected: tuple[str, ...]) -> None:
    assert loaded(tmp_path, GOOD | {"id": values}).ids == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, False, True], ["true", "false", "true"]),
        ([1, 0, 1], ["1", "0", "1"]),
        (pl.Series(["u", "v", "u"], dtype=pl.Enum(["u", "v"])), ["u", "v", "u"]),
    ],
    ids=["booleans", "numbers", "categories"],
)
def test_targets_of_other_types_are_labels_too(tmp_path: Path, values: Any, expected: list[str]) -> None:
    dataset = loaded(tmp_path, GOOD | {"defaulted": values})
    assert labels(dataset, tuple(sorted(set(expected)))).tolist() == expected


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_a_numeric_target_comes_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    columns = {"id": list(range(len(values))), "x": [1] * len(values), "defaulted": values}
    dataset = loaded(tmp_path_factory.getbasetemp(), columns)
    assert numeric_target(dataset).tolist() == values


# --- what doesn't ---------------------------------------------------------------------------------------
def test_a_missing_file_is_named_with_its_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"loans\.parquet: no such file \(data set 'loans'\)"):
        load_dataset("loans", SECTION, tmp_path)


def test_a_folder_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "loans.parquet").mkdir()
    with pytest.raises(DataError, match="a folder, not a file"):
        load_dataset("loans", SECTION, tmp_path)


@pytest.mark.parametrize("content", [b"", CSV.encode(), b"PAR1" * 40])
def test_a_file_that_is_not_parquet_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "loans.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"loans\.parquet: no readable Parquet file: .+$") as caught:
        load_dataset("loans", SECTION, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    assert complaint(tmp_path, {key: [] for key in GOOD}) == "no rows"


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("id", ["a", None, "c"], "row 2, column 'id': no id"),
        ("id", ["a", "b", " "], "row 3, column 'id': no id"),
        ("id", ["a", "b", "a "], "row 3, column 'id': id 'a' stands in row 1 too"),
        ("age", [31, None, 27], "row 2, column 'age': no value"),
        ("age", [None, None, None], "row 1, column 'age': no value (and 2 more)"),
        ("income", [1.0, 2.0, float("inf")], "row 3, column 'income': 'inf' is not a finite number"),
        ("income", [float("nan"), 2.0, 3.0], "row 1, column 'income': 'nan' is not a finite number"),
        ("defaulted", ["no", "yes", None], "row 3, column 'defaulted': no target value"),
        ("defaulted", [1.5, None, 2.5], "row 2, column 'defaulted': no target value"),
    ],
)
def test_a_missing_doubled_or_infinite_value_is_located(
    tmp_path: Path, column: str, values: list[Any], expected: str
) -> None:
    assert complaint(tmp_path, GOOD | {column: values}) == expected


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("age", ["31", "44", "27"], "column 'age' is String; a feature is a number or boolean"),
        ("age", [datetime.date(2020, 1, 1)] * 3, "column 'age' is Date; a feature is a number or boolean"),
        ("age", [[1], [2], [3]], "column 'age' is List(Int64); a feature is a number or boolean"),
        ("id", [1.0, 2.0, 3.0], "column 'id' is Float64; an id is text or a whole number"),
        ("id", [b"a", b"b", b"c"], "column 'id' is Binary, neither text nor a number"),
        (
            "defaulted",
            [datetime.date(2020, 1, 1)] * 3,
            "column 'defaulted' is Date, neither text nor a number",
        ),
    ],
)
def test_a_column_of_another_type_is_named_with_its_type(
    tmp_path: Path, column: str, values: list[Any], expected: str
) -> None:
    assert complaint(tmp_path, GOOD | {column: values}) == expected


def test_a_column_without_a_name_is_refused(tmp_path: Path) -> None:
    assert complaint(tmp_path, GOOD | {" ": [1, 2, 3]}) == "column 5 has no name"


def test_a_label_that_the_job_does_not_know_is_located_from_row_1(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="row 2, column 'defaulted': label 'yes' is none of the job's classes"
    ):
        labels(loaded(tmp_path, GOOD), ("no", "perhaps"))
