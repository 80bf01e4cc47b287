"""What was measured, on which machine, beside what, and was the bar met?

Every claim of speed is a ratio of two things run by one command on one machine; the seconds beside it are for
information. A suite returns `Row`s; this module times, summarises and renders them.
"""

import os
import platform
import re
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.table import Table
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hansa", "numpy", "cryptography", "msgpack", "sqlalchemy", "scikit-learn")
GIB = 2**30
NONE = "–"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        name: what was measured, with its size.
        measured: our figure, with its unit.
        limit_or_peer: the figure it is held against, and whose it is.
        ratio: as the bar wants it; None for a figure given for information.
        bar: what the ratio has to be, such as "≤ 3".
        met: whether it is; None without a bar.
        note: what a reader must know to judge the row.
    """

    name: str
    measured: str
    limit_or_peer: str = NONE
    ratio: float | None = None
    bar: str = NONE
    met: bool | None = None
    note: str = ""


def at_most(name: str, measured: str, limit: str, ratio: float, most: float, note: str = "") -> Row:
    """Return the row of a cost: `ratio` = ours ÷ limit, and no more than `most`."""
    return Row(name, measured, limit, ratio, f"≤ {most:g}", ratio <= most, note)


def at_least(name: str, measured: str, limit: str, ratio: float, least: float, note: str = "") -> Row:
    """Return the row of a rate (ours ÷ limit) or a gain (peer's seconds ÷ ours): no less than `least`."""
    return Row(name, measured, limit, ratio, f"≥ {least:g}", ratio >= least, note)


@dataclass(frozen=True, slots=True)
class Spread:
    """The seconds of several runs of one thing."""

    median_s: float
    low_s: float
    high_s: float
    runs: int

    def __str__(self) -> str:
        return (
            f"{duration(self.median_s)} ({duration(self.low_s)} … {duration(self.high_s)}, {self.runs} runs)"
        )


def median_of(runs: Sequence[float]) -> Spread:
    """Summarise runs, in seconds.

    Raises:
        ValueError: there are none.
    """
    if not runs:
        raise ValueError("expected at least one run, got none")
    return Spread(statistics.median(runs), min(runs), max(runs), len(runs))


def interleaved(
    contenders: Mapping[str, Callable[[], object]],
    times: int,
    *,
    warm_up: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Spread]:
    """Time contenders in turn, so that a slow minute of the machine falls on all of them.

    Every other turn goes backwards: none always runs in the wake of the same neighbour.
    """
    order = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in order}
    for turn in range(warm_up + times):
        for name in order if turn % 2 == 0 else reversed(order):
            started = clock()
            contenders[name]()
            if turn >= warm_up:
                seconds[name].append(clock() - started)
    return {name: median_of(runs) for name, runs in seconds.items()}


def duration(seconds: float) -> str:
    """Return seconds with three digits, in the unit a reader would choose."""
    if seconds >= 100:
        return f"{seconds:,.0f} s"
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:#.3g}".rstrip(".") + f" {unit}"
    return f"{seconds / 1e-6:#.3g}".rstrip(".") + " µs"


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the figures come from."""

    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str
    versions: Mapping[str, str]
    load: float  # average runnable processes over the minute before: what the figures had to share with

    def lines(self) -> list[str]:
        """Return the facts, one a line."""
        return [
            f"CPU: {self.cpu}, {self.cores} cores; memory {self.memory_gib:.0f} GiB",
            f"Load in the minute before: {self.load:.1f}",
            f"System: {self.system}; {self.python}",
            "Versions: " + ", ".join(f"{name} {number}" for name, number in self.versions.items()),
        ]


def machine() -> Machine:
    """Describe this machine and the packages that the figures depend on."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
        load = os.getloadavg()[0]
    except (AttributeError, OSError, ValueError):  # no such calls here, Windows for one
        memory = load = float("nan")
    return Machine(
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        memory_gib=memory,
        system=_system(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        versions={**dict(_versions(PACKAGES)), "SQLite": sqlite3.sqlite_version},
        load=load,
    )


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return f"{found[1]} ({platform.machine()})" if found else platform.processor() or platform.machine()


def _system() -> str:
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {platform.system()} {platform.release()}"
    except (OSError, KeyError):
        return platform.platform()


def _versions(packages: Iterable[str]) -> Iterable[tuple[str, str]]:
    for package in packages:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue


def revision() -> str:
    """Return the commit that was measured, "with changes" if the tree had any, or "unknown"."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        return f"{commit} with changes" if _git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing that belongs to a suite's rows.

    Attributes:
        file: its name beside the page.
        caption: what is to be seen.
        png: the file's bytes.
    """

    file: str
    caption: str
    png: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Section:
    """What a suite that also draws returns."""

    rows: Sequence[Row]
    figures: Sequence[Figure] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """One run of the benchmarks."""

    command: str
    machine: Machine
    revision: str
    began: datetime
    sections: Mapping[str, Sequence[Row]]  # by suite, in the order they ran
    left_out: Sequence[str] = ()  # one line for each suite that gave no rows, with the reason
    figures: Mapping[str, Sequence[Figure]] = field(default_factory=dict)  # by suite, where there are any

    @property
    def rows(self) -> list[Row]:
        return [row for rows in self.sections.values() for row in rows]

    def verdict(self) -> str:
        """Say how many of the bars were met, and name the others."""
        barred = [row for row in self.rows if row.met is not None]
        missed = [row.name for row in barred if not row.met]
        return f"{len(barred) - len(missed)} of {len(barred)} bars met" + (
            f"; missed: {', '.join(missed)}" if missed else ""
        )


HEADINGS = ("What", "Measured", "Limit or peer", "Ratio", "Bar", "Met")


def _cells(row: Row) -> tuple[str, ...]:
    ratio = NONE if row.ratio is None else f"{row.ratio:.2f}"
    met = {True: "yes", False: "**no**", None: NONE}[row.met]
    return row.name, row.measured, row.limit_or_peer, ratio, row.bar, met


def markdown(report: Report) -> str:
    """Render the report as a page: machine, settings, a table for each suite with its notes below."""
    parts = [
        "# Benchmarks: results",
        f"Written by `{report.command}` at commit {report.revision}, "
        f"{report.began.astimezone(UTC):%Y-%m-%d %H:%M} UTC. Ratios are taken within one run; seconds are for "
        "information. A figure is the median; in brackets the lowest, the highest and the number of runs.",
        "\n".join(f"- {line}" for line in report.machine.lines()),
        f"**{report.verdict()}.**",
    ]
    for suite, rows in report.sections.items():
        lines = ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(row)) + " |" for row in rows]
        parts += [f"## {suite}", "\n".join(lines)]
        parts += [f"![{each.caption}]({each.file})" for each in report.figures.get(suite, ())]
        parts += (
            ["\n".join(notes)] if (notes := [f"- {row.name}: {row.note}" for row in rows if row.note]) else []
        )
    if report.left_out:
        parts += ["## Left out", "\n".join(f"- {line}" for line in report.left_out)]
    return "\n\n".join(parts) + "\n"


def table(suite: str, rows: Sequence[Row]) -> Table:
    """Render one suite for the terminal."""
    result = Table(title=suite, title_justify="left", title_style="bold")
    for heading in HEADINGS:
        result.add_column(heading, justify="right" if heading == "Ratio" else "left")
    for row in rows:
        *cells, met = _cells(row)
        style = {True: "green", False: "bold red", None: ""}[row.met]
        result.add_row(*map(Text, cells), Text(met.strip("*"), style=style))
    return result
