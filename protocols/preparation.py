"""How do raw columns become features? Gaps filled, categories one-hot, numbers standardised; fitted once.

A party fits its preparation on its own training rows and keeps it with its part of the model, so that rows to be
evaluated or served become features in the same way. Nothing of it is shared with other parties.

    number      gaps are filled with the mean; then, if asked for, mean 0 and variance 1
    0 and 1     stays as it is, gaps filled with the more frequent: such columns are cheap under encryption
    category    a 0/1 column for every category but the most frequent, the base, whose rows are 0 in all of them

Without the base's column nothing adds up to the intercept. A gap in a category counts as the base, and so do a
category that training has not seen and one that is rarer than the caller wants columns for.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Literal, TypeAlias

import numpy as np

from hansa.protocols.errors import PreparationError
from hansa.protocols.model import Array, FloatArray

Table: TypeAlias = Mapping[str, Array]
"""Columns of one length by name: numbers, NaN where one is missing; or str, None where one is missing."""

MOST_CATEGORIES = 1000  # more, and the column is a name or a number rather than a category
# A float64 has 16 digits: of a spread this small beside the values, four would be left.
LEAST_SPREAD = 1e-12


@dataclass(frozen=True, slots=True)
class Prepared:
    """One raw column, and how it becomes features.

    Attributes:
        name: the column's.
        kind: what it holds.
        fill: stands for a missing number.
        mean, scale: a number x becomes (x − mean) / scale.
        fill_category: the base, which stands for a missing category, too.
        categories: those that have a feature of their own, ascending.
    """

    name: str
    kind: Literal["number", "category"]
    fill: float = 0.0
    mean: float = 0.0
    scale: float = 1.0
    fill_category: str = ""
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (isfinite(self.fill) and isfinite(self.mean) and isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"column {self.name!r}: fill, mean and scale must be finite, and scale above 0")

    def names(self) -> tuple[str, ...]:
        """Return the names of the features that come of it: "age"; or "region=north", "region=west"."""
        if self.kind == "number":
            return (self.name,)
        return tuple(f"{self.name}={category}" for category in self.categories)

    def apply(self, column: Array) -> FloatArray:
        """Return the column's features.

        Args:
            column: (rows,) as in a `Table`.

        Returns:
            (rows, features) float64.

        Raises:
            PreparationError: text for a number or the reverse, or a number that is infinite or becomes so.
        """
        if _kind(self.name, column) != self.kind:
            given, expected = ("numbers", "text") if self.kind == "category" else ("text", "numbers")
            raise PreparationError(f"column {self.name!r} holds {given}; in training it held {expected}")
        if self.kind == "category":
            return self._one_hot(_texts(self.name, column))
        values = _numbers(self.name, column)
        gaps = np.isnan(values)
        if gaps.any():
            values = np.where(gaps, self.fill, values)
        with np.errstate(over="ignore"):
            features: FloatArray = ((values - self.mean) / self.scale)[:, np.newaxis]
        if not np.isfinite(features).all():
            raise PreparationError(f"column {self.name!r} has a value far beyond those of the training")
        return features

    def _one_hot(self, texts: list[str | None]) -> FloatArray:
        places = {category: place for place, category in enumerate(self.categories)}
        found = np.fromiter((places.get(text, -1) for text in texts), np.int64, len(texts))  # type: ignore[arg-type]
        features = np.zeros((len(texts), len(places)))
        rows = np.flatnonzero(found >= 0)
        features[rows, found[rows]] = 1.0
        return features


@dataclass(frozen=True, slots=True)
class Preparation:
    """How a party's raw columns become its features.

    Attributes:
        columns: one each, in the table's order at the fit.
        standardised: whether numbers were brought to mean 0 and variance 1.
    """

    columns: tuple[Prepared, ...]
    standardised: bool

    def names(self) -> tuple[str, ...]:
        """Return the features' names, in their order."""
        return tuple(name for column in self.columns for name in column.names())

    def apply(self, table: Table) -> FloatArray:
        """Return the features of these rows.

        Args:
            table: has our columns, in any order; others don't matter.

        Returns:
            (rows, features) float64, finite.

        Raises:
            PreparationError: a column is missing, of another length than the first, or can't be prepared; names it.
        """
        missing = [column.name for column in self.columns if column.name not in table]
        if missing:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            raise PreparationError(f"no column {missing[0]!r}{more}, which the model was trained with")
        rows = _rows(table, [column.name for column in self.columns])
        features = np.empty((rows, len(self.names())))
        first = 0
        for column in self.columns:
            part = column.apply(table[column.name])
            features[:, first : first + part.shape[1]] = part
            first += part.shape[1]
        return features


def fit(table: Table, standardise: bool, rare: float = 0.0) -> Preparation:
    """Look at training rows, and say how such columns become features.

    Args:
        table: the training rows' columns, each with at least one row.
        standardise: bring numbers to mean 0 and variance 1, but for columns of 0 and 1.
        rare: a category that makes up a smaller share of the rows than this gets no feature.

    Raises:
        PreparationError: no columns or no rows; or a column that has no value at all or the same in every row,
            holds neither numbers nor text, an infinite number, or more categories than `MOST_CATEGORIES`; or two
            columns whose features have one name. Names the column, never a value.
    """
    if not table or not _rows(table, list(table)):
        raise PreparationError(
            "there are no columns to prepare" if not table else "there are no training rows"
        )
    columns = tuple(
        _fit_category(name, _texts(name, column), rare)
        if _kind(name, column) == "category"
        else _fit_number(name, _numbers(name, column), standardise)
        for name, column in table.items()
    )
    _check_distinct(columns)
    return Preparation(columns, standardise)


def _fit_number(name: str, values: FloatArray, standardise: bool) -> Prepared:
    known = values[~np.isnan(values)]
    if not known.size:
        raise PreparationError(f"column {name!r} has no value in any training row: leave it out")
    low, high = float(known.min()), float(known.max())
    if low == high:
        raise PreparationError(f"column {name!r} has one value in all training rows: leave it out")
    if low == 0.0 and high == 1.0:
        ones = int(np.count_nonzero(known == 1.0))
        if ones + int(np.count_nonzero(known == 0.0)) == known.size:
            return Prepared(name, "number", fill=float(2 * ones > known.size))
    with np.errstate(over="ignore"):
        mean = float(known.mean())
        scale = sqrt(float(np.square(known - mean).sum()) / len(values))  # a filled gap lies at the mean
    if not (isfinite(mean) and isfinite(scale)):
        raise PreparationError(f"column {name!r} has values too large to be averaged: use another unit")
    if scale <= LEAST_SPREAD * max(abs(low), abs(high)):
        raise PreparationError(
            f"column {name!r} has one value in all training rows, but for rounding: leave it out"
        )
    return Prepared(name, "number", mean, mean, scale) if standardise else Prepared(name, "number", mean)


def _fit_category(name: str, texts: list[str | None], rare: float) -> Prepared:
    counts = Counter(text for text in texts if text is not None)
    if not counts:
        raise PreparationError(f"column {name!r} has no value in any training row: leave it out")
    if len(counts) == 1:
        raise PreparationError(f"column {name!r} has one category in all training rows: leave it out")
    base = min(counts, key=lambda text: (-counts[text], text))
    kept = sorted(text for text, count in counts.items() if text != base and count >= rare * len(texts))
    if not kept:
        raise PreparationError(
            f"column {name!r}: every category but the most frequent is rarer than {rare:g}: leave it out"
        )
    if len(kept) > MOST_CATEGORIES:
        raise PreparationError(
            f"column {name!r} has {len(counts)} categories, at most {MOST_CATEGORIES} are columns: group them"
        )
    return Prepared(name, "category", fill_category=base, categories=tuple(kept))


def _check_distinct(columns: tuple[Prepared, ...]) -> None:
    owners: dict[str, str] = {}
    for column in columns:
        for feature in column.names():
            if feature in owners:
                raise PreparationError(
                    f"columns {owners[feature]!r} and {column.name!r} give two features of one name: rename one"
                )
            owners[feature] = column.name


def _rows(table: Table, names: list[str]) -> int:
    """Return the columns' common length."""
    rows = len(table[names[0]])
    for name in names:
        if table[name].shape != (rows,):
            raise PreparationError(f"column {name!r} has shape {table[name].shape}, expected {(rows,)}")
    return rows


def _kind(name: str, column: Array) -> Literal["number", "category"]:
    if column.dtype.kind in "fiub":
        return "number"
    if column.dtype.kind in "OU":
        return "category"
    raise PreparationError(f"column {name!r} is {column.dtype}, neither numbers nor text")


def _numbers(name: str, column: Array) -> FloatArray:
    values = column.astype(np.float64, copy=False)
    if np.isinf(values).any():
        raise PreparationError(f"column {name!r} has an infinite value")
    return values


def _texts(name: str, column: Array) -> list[str | None]:
    texts: list[str | None] = column.tolist()
    for kind in set(map(type, texts)):
        if not issubclass(kind, str | None):
            raise PreparationError(
                f"column {name!r} holds {kind.__name__} among its text: make it text, or None"
            )
    return texts
