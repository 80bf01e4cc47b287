"""A party's rows: which files pass, and where exactly the others are wrong."""

import gzip
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.agents.config import DataSection
from hansa.agents.data.rows import (
    Dataset,
    from_arrays,
    labels,
    load_dataset,
    numeric_target,
)
from hansa.agents.errors import DataError

GOOD = "id,age,income,defaulted\na,31,1.5,no\nb,44,-2e3,yes\nc,.5, 7 ,no\n"
SECTION = DataSection(file="loans.csv", target="defaulted", holdout=0.25)
SALT = bytes(range(32))


def loaded(folder: Path, content: str | bytes, section: DataSection = SECTION) -> Dataset:
    assert section.file is not None
    (folder / section.file).write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_dataset("loans", section, folder)


def complaint(folder: Path, content: str | bytes, section: DataSection = SECTION) -> str:
    """Return what `load_dataset` says of this content, after the file's name; checks that it is one line."""
    with pytest.raises(DataError) as caught:
        loaded(folder, content, section)
    return told(f"{folder / str(section.file)}", caught.value)


def told(source: str, error: DataError) -> str:
    text = str(error)
    assert text.startswith(f"{source}: ")
    assert "\n" not in text
    return text.removeprefix(f"{source}: ")


def altered(row: int, column: int, value: str) -> str:
    """Return GOOD with one value replaced; the header is row 1, as a person counts."""
    rows = [line.split(",") for line in GOOD.splitlines()]
    rows[row - 1][column] = value
    return "\n".join(",".join(line) for line in rows) + "\n"


# --- what passes ----------------------------------------------------------------------------------------
def test_a_good_file_gives_ids_features_and_labels(tmp_path: Path) -> None:
    dataset = loaded(tmp_path, GOOD)
    assert dataset.rows == 3
    assert dataset.ids == ("a", "b", "c")
    assert dataset.columns == ("age", "income")
    assert dataset.features.dtype == np.float64
    assert dataset.features.tolist() == [[31.0, 1.5], [44.0, -2000.0], [0.5, 7.0]]
    assert labels(dataset, ("no", "yes")).tolist() == ["no", "yes", "no"]
    assert (dataset.name, dataset.target_name, dataset.holdout) == ("loans", "defaulted", 0.25)
    assert dataset.source == str(tmp_path / "loans.csv")


def test_without_a_target_every_other_column_is_a_feature(tmp_path: Path) -> None:
    dataset = loaded(tmp_path, "x,key,y\n1,a,2\n", DataSection(file="loans.csv", id="key"))
    assert dataset.columns == ("x", "y")
    assert dataset.target is None
    assert dataset.target_name is None


def test_a_target_of_numbers_serves_a_regression(tmp_path: Path) -> None:
    dataset = loaded(tmp_path, "id,x,y\na,1,0.5\nb,2, -3 \n", DataSection(file="loans.csv", target="y"))
    assert numeric_target(dataset).tolist() == [0.5, -3.0]


@pytest.mark.parametrize(
    "content",
    [
        GOOD.replace("\n", "\r\n"),
        GOOD.removesuffix("\n"),
        GOOD + "\n\n",
        "\ufeff" + GOOD,
        GOOD.replace("31", '" 31 "').replace("age", '"age"'),
        GOOD.replace("a,31", " a ,31"),
        gzip.compress(GOOD.encode()),
    ],
    ids=["crlf", "no last newline", "blank lines at the end", "bom", "quotes", "spaces", "gzip"],
)
def test_other_ways_to_write_the_same_table_read_the_same(tmp_path: Path, content: str | bytes) -> None:
    assert loaded(tmp_path, content).commitment(SALT) == loaded(tmp_path, GOOD).commitment(SALT)


def test_a_file_name_is_no_pattern(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text(GOOD)
    with pytest.raises(DataError, match="no such file"):
        load_dataset("loans", DataSection(file="*.csv"), tmp_path)


def test_neither_ids_nor_values_stand_in_a_repr(tmp_path: Path) -> None:
    text = repr(loaded(tmp_path, GOOD.replace("a,31", "patient-7,31.25")))
    assert "patient-7" not in text
    assert "31.25" not in text
    assert "yes" not in text


# --- what doesn't ---------------------------------------------------------------------------------------
def test_a_missing_file_is_named_with_its_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset("loans", SECTION, tmp_path)
    assert told(str(tmp_path / "loans.csv"), caught.value) == "no such file (data set 'loans')"


def test_a_folder_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "loans.csv").mkdir()
    with pytest.raises(DataError, match="Is a directory"):
        load_dataset("loans", SECTION, tmp_path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert complaint(tmp_path, "") == "the file is empty"


@pytest.mark.parametrize("content", ["id,age,defaulted\n", "id,age,defaulted", "id,age,defaulted\n\n\n"])
def test_a_header_alone_is_refused(tmp_path: Path, content: str) -> None:
    assert complaint(tmp_path, content) == "a header but no rows"


@pytest.mark.parametrize("value", ["", "  "])
def test_a_missing_id_is_located(tmp_path: Path, value: str) -> None:
    assert complaint(tmp_path, altered(3, 0, value)) == "row 3, column 'id': no id"


def test_a_blank_line_in_the_middle_is_a_row_without_id(tmp_path: Path) -> None:
    assert complaint(tmp_path, GOOD.replace("b,44", "\nb,44")) == "row 3, column 'id': no id"


@pytest.mark.parametrize("value", ["a", " a "])
def test_a_doubled_id_is_located_at_both_places(tmp_path: Path, value: str) -> None:
    assert complaint(tmp_path, altered(4, 0, value)) == "row 4, column 'id': id 'a' stands in row 2 too"


@pytest.mark.parametrize("value", ["", "  "])
def test_a_missing_value_is_located(tmp_path: Path, value: str) -> None:
    assert complaint(tmp_path, altered(4, 1, value)) == "row 4, column 'age': no value"


def test_a_row_that_ends_early_lacks_its_last_values(tmp_path: Path) -> None:
    content = GOOD.replace("b,44,-2e3,yes", "b,44")
    assert complaint(tmp_path, content) == "row 3, column 'income': no value"


@pytest.mark.parametrize("value", ["many", "1.2.3", "0x1f", "1_000", "nan", "inf", "-Infinity", "1e400"])
def test_a_value_that_is_no_finite_number_is_located_and_quoted(tmp_path: Path, value: str) -> None:
    expected = f"row 3, column 'income': '{value}' is not a finite number"
    assert complaint(tmp_path, altered(3, 2, value)) == expected


def test_more_wrong_values_of_a_column_are_counted(tmp_path: Path) -> None:
    content = GOOD.replace("31", "old").replace("44", "older")
    assert complaint(tmp_path, content) == "row 2, column 'age': 'old' is not a finite number (and 1 more)"


@pytest.mark.parametrize("value", ["", " "])
def test_a_missing_target_is_located(tmp_path: Path, value: str) -> None:
    assert complaint(tmp_path, altered(2, 3, value)) == "row 2, column 'defaulted': no target value"


@pytest.mark.parametrize(("key", "name"), [("id", "customer"), ("target", "late")])
def test_a_column_that_is_not_there_is_named_beside_those_that_are(
    tmp_path: Path, key: str, name: str
) -> None:
    text = complaint(tmp_path, GOOD, SECTION.model_copy(update={key: name}))
    assert text == (
        f"no column '{name}' (the {key} of data set 'loans'); has 'id', 'age', 'income', 'defaulted'"
    )


def test_of_many_columns_the_first_are_listed(tmp_path: Path) -> None:
    content = ",".join(f"c{place}" for place in range(20)) + "\n" + ",".join("1" * 20) + "\n"
    assert complaint(tmp_path, content).endswith(
        "has 'c0', 'c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7', … (20 in all)"
    )


def test_a_table_without_features_is_refused(tmp_path: Path) -> None:
    text = complaint(tmp_path, "id,defaulted\na,no\n")
    assert text == "no feature columns; has only 'id', 'defaulted'"


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    assert complaint(tmp_path, "id,age, age\na,1,2\n") == "row 1: columns 2 and 3 are both 'age'"


@pytest.mark.parametrize("name", ["", " "])
def test_a_column_without_a_name_is_refused(tmp_path: Path, name: str) -> None:
    assert complaint(tmp_path, f"{name},id,defaulted\n0,a,no\n") == "row 1: column 1 has no name"


def test_a_row_longer_than_the_header_is_located(tmp_path: Path) -> None:
    content = GOOD.replace("b,44,-2e3,yes", "b,44,-2,000,yes")
    assert complaint(tmp_path, content) == "row 3 has 5 values, the header 4"


def test_a_quote_that_never_closes_is_located(tmp_path: Path) -> None:
    assert re.fullmatch(r"line 4 is not CSV: .+", complaint(tmp_path, GOOD.replace("c,.5", '"c,.5')))


def test_a_stray_quote_is_refused_in_one_line(tmp_path: Path) -> None:
    assert "malformed" in complaint(tmp_path, 'id,age,defaulted\na,3"1,no\n')


def test_text_that_is_not_utf8_is_located(tmp_path: Path) -> None:
    assert (
        complaint(tmp_path, GOOD.replace("yes", "oui, brülé").encode("latin-1")) == "line 3 is not UTF-8 text"
    )


@pytest.mark.parametrize("content", [bytes(range(256)) * 40, GOOD.encode("utf-16"), b"\x00" * 100])
def test_a_binary_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    assert complaint(tmp_path, content)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_data_set_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp()
    try:
        dataset = loaded(folder, content)
    except DataError:
        return
    assert dataset.features.shape == (dataset.rows, len(dataset.columns))


# --- labels and targets ---------------------------------------------------------------------------------
def test_a_label_that_the_job_does_not_know_is_located(tmp_path: Path) -> None:
    dataset = loaded(tmp_path, altered(3, 3, "maybe"))
    with pytest.raises(DataError) as caught:
        labels(dataset, ("no", "yes"))
    expected = "row 3, column 'defaulted': label 'maybe' is none of the job's classes 'no', 'yes'"
    assert told(dataset.source, caught.value) == expected


def test_a_target_that_is_no_number_is_located(tmp_path: Path) -> None:
    dataset = loaded(tmp_path, "id,x,y\na,1,2\nb,1,two\n", DataSection(file="loans.csv", target="y"))
    with pytest.raises(DataError) as caught:
        numeric_target(dataset)
    assert told(dataset.source, caught.value) == "row 3, column 'y': 'two' is not a finite number"


@pytest.mark.parametrize("ask", [lambda dataset: labels(dataset, ("a", "b")), numeric_target])
def test_a_data_set_without_a_target_cannot_teach(tmp_path: Path, ask: Any) -> None:
    dataset = replace(loaded(tmp_path, GOOD), target=None, target_name=None)
    with pytest.raises(DataError) as caught:
        ask(dataset)
    assert told(dataset.source, caught.value) == "data set 'loans' has no target column"


# --- the holdout ----------------------------------------------------------------------------------------
IDS = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=30, unique=True)


def made(ids: list[str], holdout: float = 0.3) -> Dataset:
    return Dataset(
        name="made",
        ids=tuple(ids),
        columns=("x",),
        numbers=np.arange(len(ids), dtype=np.float64).reshape(-1, 1),
        target=np.array(["label"] * len(ids), dtype=object),
        target_name="y",
        holdout=holdout,
        source="a test",
    )


def sides(dataset: Dataset) -> dict[str, bool]:
    return dict(zip(dataset.ids, dataset.held_out().tolist(), strict=True))


@given(IDS, st.randoms(use_true_random=False))
def test_a_row_keeps_its_side_when_the_file_is_sorted_anew(ids: list[str], random: Any) -> None:
    shuffled = random.sample(ids, len(ids))
    assert sides(made(shuffled)) == sides(made(ids))


@given(IDS, IDS)
def test_a_row_keeps_its_side_when_rows_are_added(ids: list[str], more: list[str]) -> None:
    longer = sides(made([*more, *(each for each in ids if each not in more)]))
    assert sides(made(ids)).items() <= longer.items()


@given(IDS, st.floats(0, 0.99), st.floats(0, 0.99))
def test_a_larger_holdout_contains_the_smaller(ids: list[str], one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert not (made(ids, less).held_out() & ~made(ids, more).held_out()).any()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 0.9])
def test_the_share_held_out_is_about_the_one_asked_for(share: float) -> None:
    held_out = made([f"customer-{row}" for row in range(10_000)], share).held_out()
    assert held_out.dtype == np.bool_
    assert held_out.mean() == pytest.approx(share, abs=0.015)  # three standard deviations of 10,000 draws


# --- the commitment -------------------------------------------------------------------------------------
def test_the_same_rows_and_salt_give_the_same_commitment(tmp_path: Path) -> None:
    dataset = loaded(tmp_path, GOOD)
    commitment = dataset.commitment(SALT)
    assert len(commitment) == 32
    assert commitment == loaded(tmp_path, GOOD).commitment(SALT)
    assert commitment == replace(dataset, source="a copy", holdout=0.5).commitment(SALT)
    assert commitment == replace(dataset, numbers=np.asfortranarray(dataset.features)).commitment(SALT)
    assert commitment == replace(dataset, numbers=dataset.features.astype(">f8")).commitment(SALT)


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [(2, 0, "d"), (2, 1, "31.000000000000004"), (4, 2, "8"), (3, 3, "no"), (4, 3, "yes")],
)
def test_any_other_value_id_or_label_changes_the_commitment(
    tmp_path: Path, row: int, column: int, value: str
) -> None:
    before = loaded(tmp_path, GOOD).commitment(SALT)
    assert loaded(tmp_path, altered(row, column, value)).commitment(SALT) != before


def test_another_salt_changes_the_commitment(tmp_path: Path) -> None:
    dataset = loaded(tmp_path, GOOD)
    assert dataset.commitment(SALT) != dataset.commitment(SALT[:-1] + b"\x00")


@given(IDS.filter(lambda ids: len(ids) > 1))
def test_moving_a_character_from_one_id_to_the_next_changes_the_commitment(ids: list[str]) -> None:
    moved = [ids[0][:-1], ids[0][-1] + ids[1], *ids[2:]]
    assert made(moved).commitment(SALT) != made(ids).commitment(SALT)


def test_rows_cannot_pass_for_columns() -> None:
    """Without the counts, an id and two rows would hash as the bytes of one row of three columns."""
    tall = replace(made(["a", "bbbb"]), target=None)
    flat = int.from_bytes(b"\x00\x00\x00\x04bbbb", "little").to_bytes(8, "little") + tall.features.tobytes()
    wide = replace(
        made(["a"]),
        target=None,
        columns=("x", "y", "z"),
        numbers=np.frombuffer(flat, dtype="<f8").reshape(1, 3),
    )
    assert wide.commitment(SALT) != tall.commitment(SALT)


# --- arrays in memory -----------------------------------------------------------------------------------
def held(features: Any, target: Any, regression: bool = False) -> Dataset:
    return from_arrays("rows", features, target, holdout=0.2, regression=regression, source="party north")


def refusal(features: Any, target: Any, regression: bool = False) -> str:
    with pytest.raises(DataError) as caught:
        held(features, target, regression)
    return told("party north", caught.value)


def test_arrays_become_rows_with_numbered_ids_and_columns() -> None:
    dataset = held([[1, 2], [3, 4], [5, 6]], [0, 1, 0])
    assert dataset.ids == ("0", "1", "2")
    assert dataset.columns == ("x0", "x1")
    assert dataset.features.tolist() == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    assert dataset.features.dtype == np.float64
    assert labels(dataset, ("0", "1")).tolist() == ["0", "1", "0"]


def test_later_changes_of_the_callers_array_do_not_reach_the_data_set() -> None:
    features = np.ones((2, 2))
    dataset = held(features, [0, 1])
    features[0, 0] = 7
    assert dataset.features[0, 0] == 1


def test_a_target_of_floats_comes_back_bit_for_bit() -> None:
    values = np.random.default_rng(0).normal(size=50)
    assert numeric_target(held(np.ones((50, 1)), values, regression=True)).tolist() == values.tolist()


@pytest.mark.parametrize(
    ("features", "target"),
    [
        ([1.0, 2.0], [0, 1]),
        ([[1.0], [2.0]], [0]),
        ([[1.0], [2.0]], [[0], [1]]),
        (np.empty((0, 3)), []),
        (np.empty((2, 0)), [0, 1]),
        (3.0, 1),
    ],
)
def test_arrays_that_are_no_table_are_refused_with_their_shapes(features: Any, target: Any) -> None:
    text = refusal(features, target)
    assert text.startswith("expected X of (rows, columns) and y of (rows,), not ")
    assert text.endswith(f"{np.shape(features)} and {np.shape(target)}")


def test_rows_of_different_lengths_are_refused() -> None:
    assert refusal([[1.0, 2.0], [3.0]], [0, 1]) == "the rows of X or of y differ in length"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_located_from_row_0(value: float) -> None:
    assert (
        refusal([[1.0, 2.0], [3.0, value]], [0, 1]) == f"row 1, column 'x1': '{value}' is not a finite number"
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [("many", "'many' is not a finite number"), (None, "no value"), ([], "'[]' is not a finite number")],
)
def test_a_value_that_is_no_number_is_located_from_row_0(value: object, expected: str) -> None:
    features = np.array([[1.0, 2.0], [3.0, None]], dtype=object)
    features[1, 1] = value
    assert refusal(features, [0, 1]) == f"row 1, column 'x1': {expected}"


@pytest.mark.parametrize("value", [np.nan, "much"])
def test_a_regression_needs_numbers_to_aim_at(value: object) -> None:
    text = refusal([[1.0], [2.0]], np.array([0.5, value], dtype=object), regression=True)
    assert text == f"row 1, column 'y': '{value}' is not a finite number"


def test_labels_of_arrays_are_located_from_row_0_as_well() -> None:
    with pytest.raises(DataError, match="row 1, column 'y': label '2' is none of the job's classes '0', '1'"):
        labels(held([[1.0], [2.0]], [0, 2]), ("0", "1"))
