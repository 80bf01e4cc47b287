"""Which rows stand in a file? Those of a CSV or Parquet file, read with polars, as a table still to be checked.

In a CSV file everything is text; in a Parquet file columns have types, and keep them.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from hansa.agents.errors import DataError


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as they were found.

    Args:
        frame: at least one row; every column has a name of its own.
        source: where the rows come from, for messages.
        first_row: the number of the first row in messages.
        is_text: every column is text, in which numbers are written out.
    """

    frame: pl.DataFrame = field(repr=False)
    source: str
    first_row: int
    is_text: bool = False


def read_csv(path: Path, name: str) -> Table:
    """Return a CSV file's columns as text; the header is row 1.

    Args:
        path: the file, plain or compressed with gzip or zstd.
        name: of the data set, for messages.

    Raises:
        DataError: no such file, not CSV, a column without a name or with another's, or no rows.
    """
    try:  # the header is read as a row, since polars renames doubled columns
        frame = pl.read_csv(path, has_header=False, infer_schema=False, glob=False)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file (data set {name!r})") from None
    except pl.exceptions.NoDataError:
        raise DataError(f"{path}: the file is empty") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path}: {_complaint(path) or str(error).splitlines()[0]}") from None
    header = [(column or "").strip() for column in frame.row(0)]
    check_names(header, f"{path}: row 1")
    filled = frame.select(pl.any_horizontal(pl.all().is_not_null())).to_series().arg_true()
    if len(filled) == 1:
        raise DataError(f"{path}: a header but no rows")
    frame = frame[1 : filled[-1] + 1]  # without the blank lines that editors leave at the end
    frame.columns = header
    return Table(frame, str(path), 2, is_text=True)


def read_parquet(path: Path, name: str) -> Table:
    """Return a Parquet file's columns with their types; the first row is row 1.

    Raises:
        DataError: no such file, not Parquet, a column without a name or with another's, or no rows.
    """
    if path.is_dir():  # polars would read whatever lies in it
        raise DataError(f"{path}: a folder, not a file")
    try:
        frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file (data set {name!r})") from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise DataError(f"{path}: no readable Parquet file: {str(error).splitlines()[0]}") from None
    check_names(frame.columns, str(path))
    if frame.is_empty():
        raise DataError(f"{path}: no rows")
    return Table(frame, str(path), 1)


def check_names(names: Sequence[str], source: str) -> None:
    """Refuse a column without a name, or with another's; DataError counts columns from 1."""
    for place, column in enumerate(names):
        if not column.strip():
            raise DataError(f"{source}: column {place + 1} has no name")
        if column in names[:place]:
            raise DataError(
                f"{source}: columns {names.index(column) + 1} and {place + 1} are both {column!r}"
            )


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return the first names, quoted, and how many there are if that is not all."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown + (f", … ({len(names)} in all)" if len(names) > most else "")


def _complaint(path: Path) -> str | None:
    """Say what keeps a file from being CSV, and where: polars seldom says where."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        return error.strerror
    texts: list[str] = []
    for number, line in enumerate(lines, 1):
        try:
            texts.append(line.decode())
        except UnicodeDecodeError:
            return f"line {number} is not UTF-8 text"
    rows = csv.reader(texts, strict=True)
    width = 0
    try:
        for number, row in enumerate(rows, 1):
            width = width or len(row)
            if len(row) > width:
                return f"row {number} has {len(row)} values, the header {width}"
    except csv.Error as error:
        return f"line {rows.line_num} is not CSV: {error}"
    return None
