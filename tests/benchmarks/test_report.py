"""The table says what was measured, and a figure is not lost on its way into it."""

import io
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from benchmarks.report import (
    Machine,
    Report,
    Row,
    at_least,
    at_most,
    duration,
    interleaved,
    machine,
    markdown,
    median_of,
    revision,
    table,
)

HERE = Machine("a CPU", 2, 24.0, "a system", "CPython 3.11.7", {"numpy": "2.4.6"}, 0.5)


def report_of(**sections: list[Row]) -> Report:
    began = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    return Report(
        "python -m benchmarks", HERE, "abc1234", began, sections, ("ledger: there is no such module",)
    )


@pytest.mark.parametrize(("ratio", "met"), [(2.9, True), (3.0, True), (3.1, False)])
def test_a_cost_is_met_up_to_its_bar(ratio: float, met: bool) -> None:
    row = at_most("round", "30 ms", "10 ms", ratio, 3.0)
    assert (row.met, row.bar) == (met, "≤ 3")


@pytest.mark.parametrize(("ratio", "met"), [(0.59, False), (0.6, True), (0.61, True)])
def test_a_rate_is_met_from_its_bar_on(ratio: float, met: bool) -> None:
    row = at_least("append", "600/s", "1,000/s", ratio, 0.6)
    assert (row.met, row.bar) == (met, "≥ 0.6")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1234.5, "1,234 s"),
        (100.0, "100 s"),
        (12.34, "12.3 s"),
        (0.3104, "310 ms"),
        (0.00123, "1.23 ms"),
        (1e-6, "1.00 µs"),
    ],
)
def test_a_duration_is_told_in_the_unit_a_reader_would_choose(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_a_median_lies_between_the_lowest_and_the_highest_run(runs: list[float]) -> None:
    spread = median_of(runs)
    assert min(runs) == spread.low_s <= spread.median_s <= spread.high_s == max(runs)
    assert spread.runs == len(runs)


def test_no_runs_have_no_median() -> None:
    with pytest.raises(ValueError, match="at least one run"):
        median_of([])


def test_contenders_take_turns_and_warm_ups_do_not_count() -> None:
    now, calls = [0.0], []

    def contender(name: str, cost: float) -> Callable[[], None]:
        def run() -> None:
            calls.append(name)
            now[0] += cost if len(calls) > 2 else 100.0

        return run

    spreads = interleaved({"a": contender("a", 1.0), "b": contender("b", 2.0)}, times=3, clock=lambda: now[0])
    assert "".join(calls) == "abbaabba"
    assert (spreads["a"].high_s, spreads["b"].low_s, spreads["a"].runs) == (1.0, 2.0, 3)


def test_the_page_holds_machine_table_notes_and_what_was_left_out() -> None:
    missed = at_most("a|b", "40 ms", "numpy 10 ms", 4.0, 3.0, note="on a busy machine")
    page = markdown(report_of(round=[missed, Row("information", "1 s")]))
    assert "| a\\|b | 40 ms | numpy 10 ms | 4.00 | ≤ 3 | **no** |" in page
    assert "| information | 1 s | – | – | – | – |" in page
    for line in (
        "abc1234",
        "2026-01-02 03:04 UTC",
        "a CPU, 2 cores",
        "- a|b: on a busy machine",
        "- ledger: there is",
    ):
        assert line in page
    assert "0 of 1 bars met; missed: a|b" in page


def test_a_page_without_notes_or_gaps_has_no_empty_sections() -> None:
    whole = Report(
        "python -m benchmarks", HERE, "abc1234", datetime(2026, 1, 1, tzinfo=UTC), {"one": [Row("a", "1 s")]}
    )
    page = markdown(whole)
    assert "Left out" not in page
    assert "\n\n\n" not in page
    assert whole.verdict() == "0 of 0 bars met"


def test_the_terminal_shows_names_with_brackets_as_they_are() -> None:
    console = Console(file=io.StringIO(), width=200)
    console.print(
        table("suite", [at_least("flwr[simulation]", "1 s", "2 s", 2.0, 2.0), Row("information", "1 s")])
    )
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert "flwr[simulation]" in printed
    assert "yes" in printed


def test_this_machine_can_be_described() -> None:
    here = machine()
    assert here.cpu
    assert here.cores >= 1
    assert {"hansa", "numpy", "cryptography", "SQLite"} <= set(here.versions)
    assert all(here.lines())
    assert revision()
