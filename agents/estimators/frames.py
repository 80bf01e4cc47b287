"""What has a caller handed us, one frame for each party? Arrays or data frames, read as that party's data set.

A column is what its type says: numbers and booleans are numbers, text is a category. Rows are matched by an id
column that every frame has, or by their place. Every refusal names the party, and the row and column if it is about
one; rows are counted from 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from hansa.agents.config import RowsSection, validate
from hansa.agents.data.columns import TEXTS
from hansa.agents.data.rows import Dataset, from_frame
from hansa.agents.data.tables import check_names, listed
from hansa.agents.errors import DataError, JobError
from hansa.protocols import Array

DATASET = "rows"
PLACE = "(place)"  # the id column of rows that are matched by their place
PLAIN = "iufb"  # numpy's kinds of numbers


@dataclass(frozen=True, slots=True)
class Frame:
    """One party's columns.

    Attributes:
        party: whose they are.
        columns: at least one.
        is_bare: whether they came without names, so that their places are all they go by.
    """

    party: str
    columns: pl.DataFrame
    is_bare: bool

    @property
    def source(self) -> str:
        """Whose rows these are, for messages."""
        return source(self.party)

    def column(self, name: str, role: str) -> pl.Series:
        """Return a column; DataError names the party if it has none of this name."""
        if name not in self.columns.columns:
            raise DataError(f"{self.source}: no column {name!r} ({role}); has {listed(self.columns.columns)}")
        return self.columns[name]

    def without(self, column: str) -> "Frame":
        """Return the frame without a column, if it has it."""
        return Frame(self.party, self.columns.drop(column, strict=False), self.is_bare)


@dataclass(frozen=True, slots=True)
class Preparing:
    """How the parties' columns become features; each is said once for all, or by party.

    Attributes:
        categories: columns that hold codes, besides those of text: by party.
        missing, standardise, rare: as in `RowsSection`.
    """

    categories: Mapping[str, Sequence[str]] | None
    missing: str | Mapping[str, str]
    standardise: bool | Mapping[str, bool]
    rare: float | Mapping[str, float]

    def section(self, frame: Frame, id: str | None) -> RowsSection:
        """Return what a party's columns are.

        Raises:
            ConfigError: a value that can't be; names the party.
        """
        found = frame.columns
        named = (self.categories or {}).get(frame.party, ())
        codes = [named] if isinstance(named, str) else list(named)
        texts = [name for name in found.columns if found[name].dtype in TEXTS and name != id]
        content = {
            "id": id or PLACE,
            "categories": tuple(codes + [name for name in texts if name not in codes]),
            "missing": _own(self.missing, frame.party, "refuse"),
            "standardise": _own(self.standardise, frame.party, True),
            "rare": _own(self.rare, frame.party, 0.0),
        }
        return validate(RowsSection, content, Path(frame.source))

    def check_parties(self, parties: Sequence[str]) -> None:
        """Refuse what is said of somebody who is no party: a name misspelt would be silently passed over."""
        for key in ("categories", "missing", "standardise", "rare"):
            said = getattr(self, key)
            for name in said if isinstance(said, Mapping) else ():
                if name not in parties:
                    raise JobError(f"{key}: {name!r} is no party; there are {listed(parties)}")


def frames(parties: Any) -> dict[str, Frame]:
    """Return the frames by party.

    Args:
        parties: by name, (rows, columns) as a polars or pandas DataFrame or anything that numpy makes an array of.

    Raises:
        DataError: no mapping, or a frame that can't be read; names the party.
    """
    if not isinstance(parties, Mapping):
        raise DataError(f"expected a mapping of party names to frames, not {type(parties).__name__}")
    return {name: _frame(name, given) for name, given in parties.items()}


def read(frame: Frame, section: RowsSection) -> Dataset:
    """Return a party's data set; DataError as of `from_frame`."""
    columns = frame.columns
    if section.id == PLACE:
        columns = columns.with_columns(pl.Series(PLACE, np.arange(len(columns))))
    return from_frame(DATASET, columns, section, frame.source)


def check_places(frames: Mapping[str, Frame]) -> None:
    """Refuse rows that can't be matched by place, since one party has more of them than another."""
    first, *others = frames.values()
    for each in others:
        if len(each.columns) != len(first.columns):
            raise DataError(
                f"{each.source} has {len(each.columns)} rows, {first.source} {len(first.columns)}: rows are "
                "matched by their place, unless id= names a column that all frames have"
            )


def source(party: str) -> str:
    """Return whose rows are meant, for messages."""
    return f"party {party}"


def _own(said: Any, party: str, otherwise: Any) -> Any:
    return said.get(party, otherwise) if isinstance(said, Mapping) else said


def _frame(party: str, given: Any) -> Frame:
    who = source(party)
    if isinstance(given, pl.DataFrame):
        return Frame(party, given, is_bare=False)
    if hasattr(given, "columns") and hasattr(
        given, "iloc"
    ):  # a pandas DataFrame, which need not be installed
        names = [str(name) for name in given.columns]
        check_names(names, who)
        series = [_of_pandas(who, name, given.iloc[:, place]) for place, name in enumerate(names)]
        return Frame(party, pl.DataFrame(series), is_bare=False)
    try:
        array = np.asarray(given)
    except ValueError:
        raise DataError(f"{who}: rows that differ in length") from None
    if array.ndim != 2:
        raise DataError(f"{who}: expected (rows, columns), not {type(given).__name__} of shape {array.shape}")
    columns = [_series(who, f"x{place}", values) for place, values in enumerate(array.T)]
    return Frame(party, pl.DataFrame(columns), is_bare=True)


def _of_pandas(who: str, name: str, column: Any) -> pl.Series:
    """Return a column of pandas, which has several ways to say that a value is missing."""
    values = column.to_numpy()
    if values.dtype.kind in PLAIN:
        return pl.Series(name, values)
    pairs = zip(column.isna().tolist(), column.tolist(), strict=True)
    return _listed(who, name, [None if gap else value for gap, value in pairs])


def _series(who: str, name: str, values: Array) -> pl.Series:
    return pl.Series(name, values) if values.dtype.kind in PLAIN else _listed(who, name, values.tolist())


def _listed(who: str, name: str, values: list[Any]) -> pl.Series:
    """Return Python objects as a column of one type; NaN among text is a missing value."""
    given = [None if isinstance(value, float) and isnan(value) else value for value in values]
    kinds = {type(value) for value in given if value is not None}
    for base, dtype in ((str, pl.String), (bool, pl.Boolean), (Integral, pl.Int64)):
        if all(issubclass(kind, base) for kind in kinds):
            return pl.Series(name, given, dtype=dtype)
    if all(issubclass(kind, Real) for kind in kinds):
        return pl.Series(name, [None if value is None else float(value) for value in given])
    found = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise DataError(f"{who}: column {name!r} holds {found}: a column is numbers, or text")
