"""The benchmark command runs what is there, names what is not, and keeps its record."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

import benchmarks.__main__ as command
from benchmarks import suite
from benchmarks.flower_peer import PeerUnavailable
from benchmarks.report import Figure, Row, Section

OUTPUT = """
Name                      Stmts   Miss Branch BrPart  Cover
-----------------------------------------------------------
src/hansa/ledger/chain.py   100      3     40      2    96%
src/hansa/agents/cli.py      50     10     10      1    80%
-----------------------------------------------------------
TOTAL                      2450     13    812      3    98%

12 files skipped due to complete coverage.
======================= 412 passed, 1 skipped in 35.20s ========================
"""


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep the true record out of reach and let two suites stand for all."""
    monkeypatch.setattr(command, "RESULTS", tmp_path / "RESULTS.md")
    monkeypatch.setattr(command, "SUITES", ("good", "bad"))
    return tmp_path / "RESULTS.md"


def install(monkeypatch: pytest.MonkeyPatch, name: str, outcome: list[Row] | Exception | None) -> None:
    module = ModuleType(f"benchmarks.{name}")
    module.__spec__ = __import__("importlib.machinery").machinery.ModuleSpec(module.__name__, None)

    def run(quick: bool) -> list[Row]:
        if isinstance(outcome, Exception):
            raise outcome
        assert outcome is not None
        return [*outcome, Row("quick" if quick else "whole", "1 s")]

    if outcome is not None:
        module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_a_whole_run_writes_the_record(monkeypatch: pytest.MonkeyPatch, results: Path) -> None:
    install(monkeypatch, "good", [Row("a row", "1 s")])
    install(monkeypatch, "bad", [])
    assert command.main([]) == 0
    page = results.read_text(encoding="utf-8")
    assert "a row" in page
    assert "| whole |" in page
    assert "`python -m benchmarks`" in page


@pytest.mark.parametrize("argv", [["--quick"], ["--only", "good"]])
def test_a_glance_does_not_wipe_out_the_record(
    argv: list[str], monkeypatch: pytest.MonkeyPatch, results: Path, tmp_path: Path
) -> None:
    install(monkeypatch, "good", [])
    install(monkeypatch, "bad", [])
    assert command.main(argv) == 0
    assert not results.exists()
    assert command.main([*argv, "--out", str(tmp_path / "other.md")]) == 0
    page = (tmp_path / "other.md").read_text(encoding="utf-8")
    assert f"`python -m benchmarks {' '.join(argv)}`" in page


def test_an_area_has_a_page_of_its_own_with_its_drawings_beside_it(
    monkeypatch: pytest.MonkeyPatch, results: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "AREAS", {"some": ("good",)})
    install(monkeypatch, "good", [Row("a row", "1 s")])
    install(monkeypatch, "bad", RuntimeError("not of this area"))
    drawn = Figure("curve.png", "what grows", b"png")
    monkeypatch.setattr(command, "load", lambda name: lambda quick: Section([Row(name, "1 s")], [drawn]))
    assert command.main(["some"]) == 0
    page = (tmp_path / "RESULTS-some.md").read_text(encoding="utf-8")
    assert "| good |" in page
    assert "`python -m benchmarks some`" in page
    assert "![what grows](curve.png)" in page
    assert (tmp_path / "curve.png").read_bytes() == b"png"
    assert not results.exists()


def test_an_area_is_whole_or_single_suites_are_named(results: Path) -> None:
    with pytest.raises(SystemExit):
        command.main(["vertical", "--only", "good"])


def test_a_suite_that_is_missing_or_has_no_run_is_named_and_skipped(
    monkeypatch: pytest.MonkeyPatch, results: Path
) -> None:
    monkeypatch.setattr(command, "SUITES", ("absent", "good", "bad"))
    install(monkeypatch, "good", [])
    install(monkeypatch, "bad", None)
    assert command.main([]) == 0
    page = results.read_text(encoding="utf-8")
    assert "- absent: there is no such module" in page
    assert "- bad: has no run(quick)" in page


def test_a_peer_that_cannot_be_had_is_left_out_in_one_line(
    monkeypatch: pytest.MonkeyPatch, results: Path
) -> None:
    install(monkeypatch, "good", [])
    install(monkeypatch, "bad", PeerUnavailable("no such package"))
    assert command.main([]) == 0
    assert "- bad: no such package\n" in results.read_text(encoding="utf-8")


def test_a_suite_that_fails_shows_where_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "SUITES", ("bad", "good"))
    install(monkeypatch, "good", [])
    install(monkeypatch, "bad", RuntimeError("broken"))
    assert command.main([]) == 1
    page = results.read_text(encoding="utf-8")
    assert "- bad: failed with RuntimeError: broken" in page
    assert "## good" in page
    assert "Traceback" in capsys.readouterr().out


def test_the_suite_comes_only_when_asked_for(monkeypatch: pytest.MonkeyPatch, results: Path) -> None:
    install(monkeypatch, "good", [])
    install(monkeypatch, "bad", [])
    install(monkeypatch, "suite", [Row("make test", "35 s")])
    command.main([])
    assert "make test" not in results.read_text(encoding="utf-8")
    command.main(["--suite"])
    assert "make test" in results.read_text(encoding="utf-8")


def test_the_suites_closing_lines_are_read() -> None:
    result = suite.parse(OUTPUT, passed=True)
    assert (result.seconds, result.counts) == (35.2, "412 passed, 1 skipped")
    assert result.total is not None
    assert result.total.percent == 98
    assert result.gaps("ledger") == (3, 2)
    assert result.gaps("protocols") == (0, 0)
    rows = {row.name: row for row in suite.rows(result)}
    assert rows["make test"].met
    assert rows["coverage of protocols/"].met
    assert rows["coverage of ledger/"].met is False


def test_a_suite_without_coverage_still_has_its_time() -> None:
    (row,) = suite.rows(suite.parse("===== 2 failed in 1.50s =====", passed=False))
    assert row.met is False


def test_a_suite_that_never_ran_is_refused() -> None:
    with pytest.raises(ValueError, match="summary line"):
        suite.parse("make: *** [test] Error 2", passed=False)
