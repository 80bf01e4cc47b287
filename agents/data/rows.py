"""What rows does a party hold? A file or a query's answer, checked before anybody trains on it.

Every refusal names the source, row and column; rows are counted as a person sees them, in a CSV file the
header being row 1. Nothing but counts, column names and a salted commitment ever leaves the party.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from hansa.agents.config import DataSection, RowsSection
from hansa.agents.data import columns as checked
from hansa.agents.data.queries import Question, database_url, read_query
from hansa.agents.data.tables import Table, check_names, listed, read_csv, read_parquet
from hansa.agents.errors import DataError
from hansa.protocols import Array, FloatArray
from hansa.protocols.model import BoolArray, IndexArray, all_finite
from hansa.protocols.preparation import Preparation, fit
from hansa.protocols.preparation import Table as RawTable

_NO_TEXT = 2**32 - 1  # in a commitment, instead of the length of a text that is missing


@dataclass(frozen=True, slots=True)
class Dataset:
    """One party's rows.

    Args:
        name: the name under which the data set is registered.
        ids: one per row, unique, in the table's order.
        columns: names of the features, in the model's order.
        numbers: (rows, columns but those of text) float64, finite, but NaN where a value is missing.
        target: (rows,) text labels of a classification, float64 of a regression, or None.
        target_name: the target's column, or None.
        holdout: share of the rows kept for evaluation, chosen by a hash of the id.
        source: where the rows come from, for messages.
        first_row: the number of the first row in messages.
        texts: columns of categories, each (rows,) str, None where one is missing.
        standardise, rare: how vertical jobs prepare the columns; see `hansa.protocols.preparation`.
    """

    name: str
    ids: tuple[str, ...] = field(repr=False)
    columns: tuple[str, ...]
    numbers: FloatArray = field(repr=False)
    target: Array | None = field(repr=False)
    target_name: str | None
    holdout: float
    source: str
    first_row: int = 0
    texts: Mapping[str, Array] = field(default_factory=dict, repr=False)
    standardise: bool = True
    rare: float = 0.0

    @property
    def rows(self) -> int:
        """How many rows."""
        return len(self.ids)

    @property
    def features(self) -> FloatArray:
        """The rows as a horizontal job takes them, (rows, columns) float64, finite.

        Raises:
            DataError: a column holds text, or lacks values; names it.
        """
        column = self.unready()
        if column is not None:
            what = "holds text" if column in self.texts else "lacks values"
            raise DataError(
                f"{self.source}: column {column!r} of data set {self.name!r} {what}; a horizontal job takes "
                "columns of numbers without gaps (vertical ones prepare them)"
            )
        return self.numbers

    def unready(self) -> str | None:
        """Return the first column that needs preparation: it holds text, or lacks values."""
        if not self.texts and all_finite(self.numbers):
            return None
        gaps = np.count_nonzero(np.isnan(self.numbers), axis=0)
        lacking = {column for column, gap in zip(self._number_columns(), gaps, strict=True) if gap}
        return next(column for column in self.columns if column in self.texts or column in lacking)

    def table(self, rows: IndexArray | None = None) -> RawTable:
        """Return the columns as they are before preparation: of all rows, or of some in the order given."""
        numbers = self.numbers if rows is None else self.numbers[rows]
        found: dict[str, Array] = dict(zip(self._number_columns(), numbers.T, strict=True))
        for column, texts in self.texts.items():
            found[column] = texts if rows is None else texts[rows]
        return {column: found[column] for column in self.columns}

    def prepared(self, rows: IndexArray | None = None) -> Preparation:
        """Return how the columns become features, fitted on all rows or on some.

        Raises:
            PreparationError: a column can't serve; names it.
        """
        return fit(self.table(rows), self.standardise, self.rare)

    def only(self, rows: IndexArray, source: str) -> "Dataset":
        """Return some of the rows, in the order given.

        Args:
            source: where they come from, for messages, which count these rows alone.
        """
        return replace(
            self,
            ids=tuple(self.ids[row] for row in rows.tolist()),
            numbers=self.numbers[rows],
            target=None if self.target is None else self.target[rows],
            texts={column: texts[rows] for column, texts in self.texts.items()},
            source=source,
        )

    def held_out(self) -> BoolArray:
        """Return (rows,) bool: which rows are for evaluation only.

        By a hash of the id, so that a row keeps its side when rows are added or the file is sorted anew.
        """
        limit = int(self.holdout * 2**64)
        hashes = (hashlib.sha256(b"hansa-holdout-v1" + row.encode()).digest() for row in self.ids)
        return np.array([int.from_bytes(each[:8]) < limit for each in hashes], dtype=np.bool_)

    def commitment(self, salt: bytes) -> bytes:
        """Return the SHA-256 of salt and content, which is how earlier versions committed to rows.

        A data set registered by them is still known by it; later ones by a tree (`hansa.agents.data.commitments`).
        """
        ready = self.unready() is None
        digest = hashlib.sha256((b"hansa-dataset-v1" if ready else b"hansa-dataset-v2") + salt)
        digest.update(self.rows.to_bytes(8) + len(self.columns).to_bytes(8))
        labels = () if self.target is None else (str(label) for label in self.target.tolist())
        for text in (*self.ids, *labels):
            digest.update(told(text))
        if ready:
            digest.update(np.ascontiguousarray(self.numbers, dtype="<f8").tobytes())
            return digest.digest()
        for column, values in self.table().items():
            if column in self.texts:
                digest.update(b"text" + b"".join(map(told, values.tolist())))
            else:  # there are many NaN: one stands for all
                digest.update(b"number" + np.where(np.isnan(values), np.nan, values).astype("<f8").tobytes())
        return digest.digest()

    def _number_columns(self) -> list[str]:
        return [column for column in self.columns if column not in self.texts]


def load_dataset(name: str, section: DataSection, home: Path, password: str | None = None) -> Dataset:
    """Read and check one data set.

    Ids, targets and categories are taken as text, whatever their type: 17 and "17" are one id, and the labels of
    a column of booleans are "true" and "false".

    Raises:
        DataError: no such file, table or column; not what its name says; no rows; a column without a name or
            with another's, or of a type that can't serve; an id that is missing or doubled; a feature that is
            no number or not finite, or missing where it may not be; a target that is missing. Names the table,
            row and column.
    """
    return _checked(name, _read(name, section, home, password), section)


def from_frame(name: str, frame: pl.DataFrame, section: RowsSection, source: str) -> Dataset:
    """Make a data set of a frame in memory, with its columns' types; the first row is row 0.

    Args:
        section: which column is what.
        source: whose rows these are, for messages.

    Raises:
        DataError: as for `load_dataset`.
    """
    check_names(frame.columns, source)
    if frame.is_empty():
        raise DataError(f"{source}: no rows")
    return _checked(name, Table(frame, source, 0), section)


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
    numbers = [checked.of_array(matrix[:, place], source, each) for place, each in enumerate(columns)]
    return Dataset(
        name=name,
        ids=tuple(str(row) for row in range(len(matrix))),
        columns=columns,
        numbers=np.column_stack(numbers),
        target=(checked.of_array(column, source, "y") if regression else column.astype(np.str_)).astype(
            object
        ),
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


def _checked(name: str, table: Table, section: RowsSection) -> Dataset:
    frame, fill = table.frame, section.missing == "fill"
    columns = _features(name, table, section)
    ids = checked.ids(frame[section.id], table)  # first: whoever lacks an id is likely to lack all else
    texts = {
        each: checked.categories(frame[each], table, fill) for each in columns if each in section.categories
    }
    numbers = [checked.numbers(frame[each], table, fill) for each in columns if each not in texts]
    return Dataset(
        name=name,
        ids=ids,
        columns=columns,
        numbers=np.column_stack(numbers) if numbers else np.empty((len(frame), 0)),
        target=None if section.target is None else checked.labels(frame[section.target], table),
        target_name=section.target,
        holdout=section.holdout,
        source=table.source,
        first_row=table.first_row,
        texts=texts,
        standardise=section.standardise,
        rare=section.rare,
    )


def _features(name: str, table: Table, section: RowsSection) -> tuple[str, ...]:
    """Return the names of the features, once every column that the section names is there."""
    found = table.frame.columns
    named = [(section.id, "the id"), *((each, "a category") for each in section.categories)]
    if section.target is not None:
        named.insert(1, (section.target, "the target"))
    for column, role in named:
        if column not in found:
            what = f"no column {column!r} ({role} of data set {name!r})"
            raise DataError(f"{table.source}: {what}; has {listed(found)}")
    columns = tuple(column for column in found if column not in (section.id, section.target))
    if not columns:
        raise DataError(f"{table.source}: no feature columns; has only {listed(found)}")
    return columns


def told(text: str | None) -> bytes:
    """Return a text as a commitment takes it: after its length."""
    if text is None:
        return _NO_TEXT.to_bytes(4)
    encoded = text.encode()
    return len(encoded).to_bytes(4) + encoded


def labels(dataset: Dataset, classes: tuple[str, ...]) -> Array:
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
    return checked.parsed(column, dataset.source, dataset.first_row)
