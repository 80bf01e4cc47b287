"""The fault table as text."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields

from tests.faults.reckoning import Result, Tally

COLUMNS = tuple(each.name for each in fields(Tally))
HEAD = ("fault", "times", *COLUMNS, "jobs ended", "back after (median / worst)")


def cells(result: Result) -> tuple[str, ...]:
    """Return one row."""
    ends = "; ".join(f"{word} × {count}" for word, count in Counter(result.ends).items())
    counts = (f"{getattr(result.tally, name):,}" for name in COLUMNS)
    return (result.fault, str(result.times), *counts, ends, result.back)


def markdown(results: Sequence[Result]) -> str:
    """Return the table, aligned so that it can be read as it stands."""
    total = Result(
        "all", sum((result.tally for result in results), Tally()), sum(r.times for r in results), ()
    )
    rows = [HEAD, *map(cells, results), cells(total)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
