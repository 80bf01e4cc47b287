"""What rows does a party hold? A file or a query's answer, checked before anybody trains on it.

Every refusal names the source, row and column; rows are counted as a person sees them, in a CSV file the
header being row 1. Nothing but counts, column names and a salted commitment ever leaves the party.
"""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hansa.agents.config import DataSection
from hansa.agents.data.queries import Question, database_url, read_query
from hansa.agents.data.tables import Table, listed, read_csv, read_parquet
from hansa.agents.errors import DataError

SALT_BYTES = 32
TEXTS = (pl.String, pl.Categorical, pl.Enum)

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Dataset:
    """One party's rows.

    Args:
        name: the name under which the data set is registered.
        ids: one per row, unique, in the table's order.
        columns: names of the features, in the model's order.
        features: (rows, columns) float64, finite.
        target: (rows,) text labels of a classification, float64 of a regression, or None.
        target_name: the target's column, or None.
        holdout: share of the rows kept for evaluation, chosen by a hash of the id.
        source: where the rows come from, for messages.
        first_row: the number of the first row in messages.
    """

    name: str
    ids: tuple[str, ...] = field(repr=False)
    columns: tuple[str, ...]
    features: FloatArray = field(repr=False)
    target: NDArray[Any] | None = field(repr=False)
    target_name: str | None
    holdout: float
    source: str
    first_row: int = 0

    @property
    def rows(self) -> int:
        """How many rows."""
        return len(self.ids)

    def held_out(self) -> NDArray[np.bool_]:
        """Return (rows,) bool: which rows are for evaluation only.

        By a hash of the id, so that a row keeps its side when rows are added or the file is sorted anew.
        """
        limit = int(self.holdout * 2**64)
        hashes = (hashlib.sha256(b"hansa-holdout-v1" + row.encode()).digest() for row in self.ids)
        return np.array([int.from_bytes(each[:8]) < limit for each in hashes], dtype=np.bool_)

    def commitment(self, salt: bytes) -> bytes:
        """Return the SHA-256 of salt and content: binds the party to these rows without telling them."""
        digest = hashlib.sha256(b"hansa-dataset-v1" + salt)
        digest.update(self.rows.to_bytes(8) + len(self.columns).to_bytes(8))
        labels = () if self.target is None else (str(label) for label in self.target.tolist())
        for text in (*self.ids, *labels):
            encoded = text.encode()
            digest.update(len(encoded).to_bytes(4) + encoded)
        digest.update(np.ascontiguousarray(self.features, dtype="<f8").tobytes())
        return digest.digest()


def new_salt() -> bytes:
    """Return a fresh salt for a commitment."""
    return os.urandom(SALT_BYTES)


def load_dataset(name: str, section: DataSection, home: Path, password: str | None = None) -> Dataset:
    """Read and check one data set.

    Ids and targets are taken as text, whatever their type: 17 and "17" are one id, and the labels of a column
    of booleans are "true" and "false".

    Raises:
        DataError: no such file, table or column; not what its name says; no rows; a column without a name or
            with another's, or of a type that can't serve; an id that is missing or doubled; a feature that is
            missing, not a number or not finite; a target that is missing. Names the table, row and column.
    """
    table = _read(name, section, home, password)
    frame = table.frame
    for column, key in ((section.id, "id"), (section.target, "target")):
        if column is not None and column not in frame.columns:
            what = f"no column {column!r} (the {key} of data set {name!r})"
            raise DataError(f"{table.source}: {what}; has {listed(frame.columns)}")
    columns = tuple(column for column in frame.columns if column not in (section.id, section.target))
    if not columns:
        raise DataError(f"{table.source}: no feature columns; has only {listed(frame.columns)}")
    return Dataset(
        name=name,
        ids=_ids(frame[section.id], table),
        columns=columns,
        features=np.column_stack([_numbers(frame[column], table) for column in columns]),
        target=None if section.target is None else _labels(frame[section.target], table),
        target_name=section.target,
        holdout=section.holdout,
        source=table.source,
        first_row=table.first_row,
    )


def from_arrays(
    name: str, features: Any, target: Any, *, holdout: float, regression: bool, source: str
) -> Dataset:
    """Make a data set of arrays in memory, with the row numbers (from 0) as ids.

    Args:
        features: (rows, columns), numbers.
        target: (rows,) labels of any kind, or numbers for a regression.
        source: whose rows these are, for messages.

    Raises:
        DataError: wrong shapes, or a value that is not a finite number; names the source, row and column.
    """
    if not 0 < holdout < 1:
        raise DataError(f"holdout: expected a share of the rows between 0 and 1, not {holdout}")
    try:
        matrix, column = np.asarray(features), np.asarray(target)
    except ValueError:
        raise DataError(f"{source}: the rows of X or of y differ in length") from None
    if matrix.ndim != 2 or column.shape != matrix.shape[:1] or not matrix.size:
        raise DataError(
            f"{source}: expected X of (rows, columns) and y of (rows,), not {matrix.shape} and {column.shape}"
        )
    columns = tuple(f"x{place}" for place in range(matrix.shape[1]))
    return Dataset(
        name=name,
        ids=tuple(str(row) for row in range(len(matrix))),
        columns=columns,
        features=np.column_stack([_floats(matrix[:, i], source, each) for i, each in enumerate(columns)]),
        target=(_floats(column, source, "y") if regression else column.astype(np.str_)).astype(object),
        target_name="y",
        holdout=holdout,
        source=source,
    )


def _read(name: str, section: DataSection, home: Path, password: str | None) -> Table:
    if section.url is not None and section.query is not None:
        question = Question(section.query, section.id, section.timeout_s)
        return read_query(name, database_url(section.url, home, password), question)
    assert section.file is not None  # the section's own rule
    path = home / section.file
    return read_parquet(path, name) if path.suffix == ".parquet" else read_csv(path, name)


def _ids(column: pl.Series, table: Table) -> tuple[str, ...]:
    if column.dtype.is_float() or column.dtype.is_decimal():
        raise DataError(
            f"{table.source}: column {column.name!r} is {column.dtype}; an id is text or a whole number"
        )
    seen: dict[str, int] = {}
    for row, value in enumerate(_texts(column, table), table.first_row):
        if not value:
            raise DataError(f"{table.source}: row {row}, column {column.name!r}: no id")
        if value in seen:
            raise DataError(
                f"{table.source}: row {row}, column {column.name!r}: id {value!r} stands in row {seen[value]} too"
            )
        seen[value] = row
    return tuple(seen)


def _labels(column: pl.Series, table: Table) -> NDArray[Any]:
    values = _texts(column, table)
    for row, value in enumerate(values, table.first_row):
        if not value:
            raise DataError(f"{table.source}: row {row}, column {column.name!r}: no target value")
    return np.array(values, dtype=object)


def _texts(column: pl.Series, table: Table) -> list[str]:
    """Return a column's values as text, without spaces around; a missing one is empty."""
    dtype = column.dtype
    if dtype.is_float():  # Python's shortest digits, which read back as the same number
        return ["" if value is None else repr(value) for value in column.to_list()]
    if not (dtype.is_numeric() or dtype in TEXTS or dtype in (pl.Boolean, pl.Null)):
        raise DataError(f"{table.source}: column {column.name!r} is {dtype}, neither text nor a number")
    return [(value or "").strip() for value in column.cast(pl.String).to_list()]


def _numbers(column: pl.Series, table: Table) -> FloatArray:
    """Return a feature as numbers."""
    if table.is_text:
        return _parsed(column, table.source, table.first_row)
    if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)):
        raise DataError(
            f"{table.source}: column {column.name!r} is {column.dtype}; a feature is a number or boolean"
        )
    values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return _finite(values, column, table.source, column.name, table.first_row)


def _parsed(column: pl.Series, source: str, first_row: int) -> FloatArray:
    """Return a column of text as numbers."""
    values = column.str.strip_chars().cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    return _finite(values, column, source, column.name, first_row)


def _floats(column: NDArray[Any], source: str, name: str) -> FloatArray:
    """Return a column of an array as numbers."""
    try:
        values = column.astype(np.float64)
    except (TypeError, ValueError):
        texts = [None if value is None else str(value) for value in column.tolist()]
        return _parsed(pl.Series(name, texts, dtype=pl.String), source, 0)
    return _finite(values, column, source, name, 0)


def _finite(
    values: FloatArray, originals: "pl.Series | NDArray[Any]", source: str, name: str, first_row: int
) -> FloatArray:
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        original = originals[int(wrong[0])]
        if original is None or not str(original).strip():
            what = "no value"
        else:
            what = f"{str(original)!r} is not a finite number"
        more = f" (and {wrong.size - 1} more)" if wrong.size > 1 else ""
        raise DataError(f"{source}: row {wrong[0] + first_row}, column {name!r}: {what}{more}")
    return values


def labels(dataset: Dataset, classes: tuple[str, ...]) -> NDArray[np.str_]:
    """Return (rows,) text: each row's label, every one checked to be a class of the job.

    Raises:
        DataError: the data set has no target, or a row's label is none of the job's classes.
    """
    if dataset.target is None:
        raise DataError(f"{dataset.source}: data set {dataset.name!r} has no target column")
    found = np.array([str(label) for label in dataset.target.tolist()], dtype=np.str_)
    unknown = np.flatnonzero(~np.isin(found, np.array(classes, dtype=np.str_)))
    if unknown.size:
        row = int(unknown[0])
        raise DataError(
            f"{dataset.source}: row {row + dataset.first_row}, column {dataset.target_name!r}: "
            f"label {str(found[row])!r} is none of the job's classes {listed(classes)}"
        )
    return found


def numeric_target(dataset: Dataset) -> FloatArray:
    """Return (rows,) float64, the target of a regression.

    Raises:
        DataError: the data set has no target, or a row's target is not a finite number.
    """
    if dataset.target is None:
        raise DataError(f"{dataset.source}: data set {dataset.name!r} has no target column")
    column = pl.Series(dataset.target_name or "target", [str(value) for value in dataset.target.tolist()])
    return _parsed(column, dataset.source, dataset.first_row)
