"""What does one column hold? Numbers, categories or ids, as found in a table and checked value by value.

Every refusal names the source, row and column. What a person sees as an empty cell is a missing value: nothing or
spaces in a CSV file, NULL in a database, and NaN, which is how other programs write one down.
"""

from typing import Any

import numpy as np
import polars as pl

from hansa.agents.data.tables import Table
from hansa.agents.errors import DataError
from hansa.protocols import Array, FloatArray
from hansa.protocols.model import BoolArray

TEXTS = (pl.String, pl.Categorical, pl.Enum)

_NO_NUMBER_AT_ALL = "; if the column holds text, name it under categories"


def ids(column: pl.Series, table: Table) -> tuple[str, ...]:
    """Return the rows' ids.

    Raises:
        DataError: one is missing or doubled, or they are neither text nor whole numbers.
    """
    if column.dtype.is_float() or column.dtype.is_decimal():
        raise DataError(
            f"{table.source}: column {column.name!r} is {column.dtype}; an id is text or a whole number"
        )
    seen: dict[str, int] = {}
    for row, value in enumerate(texts(column, table), table.first_row):
        if not value:
            raise DataError(f"{table.source}: row {row}, column {column.name!r}: no id")
        if value in seen:
            raise DataError(
                f"{table.source}: row {row}, column {column.name!r}: id {value!r} stands in row {seen[value]} too"
            )
        seen[value] = row
    return tuple(seen)


def labels(column: pl.Series, table: Table) -> Array:
    """Return a target's values as text; DataError if one is missing."""
    values = texts(column, table)
    for row, value in enumerate(values, table.first_row):
        if not value:
            raise DataError(f"{table.source}: row {row}, column {column.name!r}: no target value")
    return np.array(values, dtype=object)


def categories(column: pl.Series, table: Table, fill: bool) -> Array:
    """Return a category in each row.

    Args:
        fill: whether values may be missing.

    Returns:
        (rows,) of str, and None where one is missing; equal ones are one object.

    Raises:
        DataError: of another type, or a missing value that may not be.
    """
    once: dict[str, str | None] = {"": None}
    if column.dtype.is_float():
        column = column.fill_nan(None)
    values = [once.setdefault(value, value) for value in texts(column, table)]
    if not fill and None in values:
        row, more = values.index(None) + table.first_row, _more(values.count(None))
        raise DataError(f"{table.source}: row {row}, column {column.name!r}: no value{more}")
    return np.array(values, dtype=object)


def numbers(column: pl.Series, table: Table, fill: bool) -> FloatArray:
    """Return a feature's numbers.

    Args:
        fill: whether values may be missing.

    Returns:
        (rows,) float64, finite, but NaN where a value is missing.

    Raises:
        DataError: of another type, infinite or no number, or a missing value that may not be.
    """
    if table.is_text:
        return parsed(column, table.source, table.first_row, fill, _NO_NUMBER_AT_ALL)
    if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)):
        raise DataError(
            f"{table.source}: column {column.name!r} is {column.dtype}; a feature is a number or boolean"
        )
    values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    gaps = np.isnan(values) if fill else None
    return _finite(values, column, table.source, column.name, table.first_row, gaps)


def parsed(
    column: pl.Series, source: str, first_row: int, fill: bool = False, way_out: str = ""
) -> FloatArray:
    """Return a column of text as numbers; errors as for `numbers`.

    Args:
        source: whose column it is, for messages.
        first_row: the number of the first row in messages.
        fill: whether values may be missing.
        way_out: what to say if not one of the values is a number.
    """
    stripped = column.str.strip_chars()
    read = stripped.cast(pl.Float64, strict=False)
    values = read.fill_null(np.nan).to_numpy()
    gaps = (
        (stripped.fill_null("") == "").to_numpy() | read.is_nan().fill_null(False).to_numpy()
        if fill
        else None
    )
    return _finite(values, column, source, column.name, first_row, gaps, way_out)


def of_array(column: Array, source: str, name: str) -> FloatArray:
    """Return a column of an array in memory as numbers, its rows counted from 0; errors as for `numbers`."""
    try:
        values = column.astype(np.float64)
    except (TypeError, ValueError):
        written = [None if value is None else str(value) for value in column.tolist()]
        return parsed(pl.Series(name, written, dtype=pl.String), source, 0)
    return _finite(values, column, source, name, 0)


def texts(column: pl.Series, table: Table) -> list[str]:
    """Return a column's values as text, without spaces around; a missing one is empty."""
    dtype = column.dtype
    if dtype.is_float():  # Python's shortest digits, which read back as the same number
        return ["" if value is None else repr(value) for value in column.to_list()]
    if not (dtype.is_numeric() or dtype in TEXTS or dtype in (pl.Boolean, pl.Null)):
        raise DataError(f"{table.source}: column {column.name!r} is {dtype}, neither text nor a number")
    return [(value or "").strip() for value in column.cast(pl.String).to_list()]


def _finite(
    values: FloatArray,
    originals: "pl.Series | Array",
    source: str,
    name: str,
    first_row: int,
    gaps: BoolArray | None = None,
    way_out: str = "",
) -> FloatArray:
    """Refuse what is not finite, but for gaps."""
    finite = np.isfinite(values)
    wrong = np.flatnonzero(~finite if gaps is None else ~(finite | gaps))
    if wrong.size:
        what = _complaint(originals[int(wrong[0])]) + _more(wrong.size)
        hint = "" if finite.any() or len(values) == 1 else way_out
        raise DataError(f"{source}: row {wrong[0] + first_row}, column {name!r}: {what}{hint}")
    return values


def _complaint(original: Any) -> str:
    if original is None or not str(original).strip():
        return "no value"
    return f"{str(original)!r} is not a finite number"


def _more(wrong: int) -> str:
    return f" (and {wrong - 1} more)" if wrong > 1 else ""
