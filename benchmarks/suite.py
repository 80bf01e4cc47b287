"""How long does `make test` take, and what does it leave uncovered?

Runs the suite once, as a person would, and reads pytest's and coverage's own closing lines.
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.report import ROOT, Row, duration

# The rooms of which every branch should be covered.
ROOMS = ("protocols", "ledger", "broker")

SUMMARY = re.compile(r"^=+ (?P<counts>[^=]*?) in (?P<seconds>[\d.]+)s\b", re.MULTILINE)
# coverage's report with branches: name, statements, missed, branches, partly taken, per cent
COUNTED = re.compile(r"^(\S+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)%", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Covered:
    """One line of coverage's report."""

    name: str
    statements: int
    missed: int
    branches: int
    partial: int
    percent: int


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """What pytest and coverage said."""

    counts: str
    seconds: float
    passed: bool
    total: Covered | None
    files: tuple[Covered, ...]  # those not wholly covered; coverage leaves the others out

    def gaps(self, room: str) -> tuple[int, int]:
        """Return how many lines were not run and how many branches not taken in a room."""
        files = [file for file in self.files if f"/{room}/" in f"/{file.name}"]
        return sum(file.missed for file in files), sum(file.partial for file in files)


def parse(output: str, passed: bool) -> SuiteResult:
    """Read the closing lines of `make test`.

    Raises:
        ValueError: pytest printed no summary.
    """
    summaries = list(SUMMARY.finditer(output))
    if not summaries:
        raise ValueError("make test ended without pytest's summary line")
    summary = summaries[-1]
    covered = [
        Covered(name, *map(int, numbers))
        for name, *numbers in (match.groups() for match in COUNTED.finditer(output))
    ]
    total = next((line for line in covered if line.name == "TOTAL"), None)
    files = tuple(line for line in covered if line.name.endswith(".py"))
    return SuiteResult(summary["counts"], float(summary["seconds"]), passed, total, files)


def run(quick: bool) -> list[Row]:
    """Run `make test` once (a quick run makes no difference) and return its rows."""
    done = subprocess.run(["make", "test"], cwd=ROOT, capture_output=True, text=True, check=False)
    return list(rows(parse(done.stdout + done.stderr, done.returncode == 0)))


def rows(result: SuiteResult) -> Iterator[Row]:
    """Yield the time, the total and a line for each room that should have no gap."""
    yield Row("make test", duration(result.seconds), bar="passes", met=result.passed, note=result.counts)
    if result.total is None:
        return
    yield Row("coverage, lines and branches", f"{result.total.percent} %")
    for room in ROOMS:
        lines, branches = result.gaps(room)
        measured = f"{lines} lines, {branches} branches left"
        yield Row(f"coverage of {room}/", measured, bar="0 left", met=lines + branches == 0)
