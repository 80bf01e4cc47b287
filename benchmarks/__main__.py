"""Run the benchmarks, print their table and write it down.

    python -m benchmarks [AREA] [--quick] [--only NAME ...] [--suite] [--out FILE]

A whole run writes benchmarks/RESULTS.md; that of an area its own page, such as RESULTS-vertical.md, with drawings
beside it. A quick or partial one writes only where `--out` says, so that a glance at one figure does not wipe out
the record. Exits with 1 if a suite failed; a missed bar is in the table.
"""

import argparse
import importlib
import importlib.util
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks.flower_peer import PeerUnavailable
from benchmarks.report import ROOT, Figure, Report, Row, Section, machine, markdown, revision, table

RESULTS = ROOT / "benchmarks" / "RESULTS.md"
SUITES = (
    "fedavg_round",
    "flower_peer",
    "envelope",
    "ledger",
    "merkle",
    "audit",
    "broker",
    "payloads",
    "network_round",
    "daemon",
    "alignment",
    "paillier",
    "vertical",
    "vertical_accuracy",
    "growth",
    "contribution",
    "group_leak",
)
SUITE = "suite"
AREAS = {
    "ledger": ("ledger", "merkle", "audit"),
    "vertical": ("paillier", "alignment", "vertical", "vertical_accuracy", "growth"),
    "contribution": ("contribution", "group_leak"),
}

Suite = Callable[[bool], list[Row] | Section]


class SuiteMissing(Exception):
    """A suite is not there to be run; the message is one line."""


def load(name: str) -> Suite:
    """Return `benchmarks.<name>.run`; imported only now, so that one broken suite does not stop the others.

    Raises:
        SuiteMissing: no such module, or it has no `run`.
    """
    if importlib.util.find_spec(f"benchmarks.{name}") is None:
        raise SuiteMissing(f"{name}: there is no such module")
    run: Suite | None = getattr(importlib.import_module(f"benchmarks.{name}"), "run", None)
    if run is None:
        raise SuiteMissing(f"{name}: has no run(quick)")
    return run


def measure(names: Sequence[str], *, quick: bool, command: str, console: Console) -> tuple[Report, bool]:
    """Run the suites in turn; return the report and whether each one finished."""
    here, commit, began = machine(), revision(), datetime.now(UTC)
    sections: dict[str, Sequence[Row]] = {}
    figures: dict[str, Sequence[Figure]] = {}
    left_out: list[str] = []
    finished = True
    for name in names:
        console.print(f"[dim]{name} …[/]")
        try:
            found = load(name)(quick)
        except (SuiteMissing, PeerUnavailable) as reason:
            left_out.append(str(reason) if isinstance(reason, SuiteMissing) else f"{name}: {reason}")
            console.print(f"left out: {left_out[-1]}", markup=False)
        except Exception as error:
            finished = False
            left_out.append(f"{name}: failed with {type(error).__name__}: {error}")
            console.print(traceback.format_exc(), markup=False)
        else:
            section = found if isinstance(found, Section) else Section(found)
            sections[name], figures[name] = section.rows, section.figures
            console.print(table(name, section.rows))
    return Report(command, here, commit, began, sections, left_out, figures), finished


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure hansa against limits and peers."
    )
    parser.add_argument(
        "area", nargs="?", choices=AREAS, help="the suites of one area, with a page of its own"
    )
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer runs, for a look")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=SUITES, help=f"some of: {', '.join(SUITES)}"
    )
    parser.add_argument("--suite", action="store_true", help="also run make test for its time and coverage")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the Markdown here")
    options = parser.parse_args(argv)

    if options.area and options.only:
        parser.error("name an area, or single suites with --only")
    names = [*(options.only or AREAS.get(options.area, SUITES)), *([SUITE] if options.suite else [])]
    console = Console()
    report, finished = measure(names, quick=options.quick, command=_command(options), console=console)
    console.print(report.verdict(), markup=False)
    whole = not options.quick and options.only is None
    out: Path | None = options.out or (_page(options.area) if whole else None)
    if out is not None:
        write(report, out)
        console.print(f"Written to {out.name}.", markup=False)
    return 0 if finished else 1


def write(report: Report, page: Path) -> None:
    """Write the page, and its drawings beside it."""
    page.write_text(markdown(report), encoding="utf-8")
    for figure in (each for figures in report.figures.values() for each in figures):
        (page.parent / figure.file).write_bytes(figure.png)


def _page(area: str | None) -> Path:
    return RESULTS.with_name(f"{RESULTS.stem}-{area}.md") if area else RESULTS


def _command(options: argparse.Namespace) -> str:
    """Return what to type for the same figures; where they were written does not matter."""
    words = ["python", "-m", "benchmarks"]
    words += [options.area] if options.area else []
    words += ["--quick"] if options.quick else []
    words += ["--only", *options.only] if options.only else []
    words += ["--suite"] if options.suite else []
    return " ".join(words)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and end what was started, as at Ctrl-C
    sys.exit(main())
