"""The command itself: what it loads, and what becomes of errors."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import hansa.agents
from hansa.agents.cli import main
from hansa.agents.cli.main import COMMANDS, load
from hansa.agents.errors import HomeError


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_lists_each_command_in_its_own_words(name: str) -> None:
    assert COMMANDS[name][1] == load(name).get_short_help_str(limit=200)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["jop"]])
def test_what_needs_no_agent_loads_none(words: list[str]) -> None:
    code = f"""
import sys
from hansa.agents.cli import main
try:
    main({words!r})
except SystemExit:
    print(sorted({{"numpy", "polars", "sqlalchemy", "pika", "pydantic", "hansa.broker"}} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_a_name_that_is_nearly_a_command_is_told_which() -> None:
    assert "Did you mean 'job'?" in CliRunner().invoke(main, ["jop"]).output


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (HomeError("/x: no home"), "Error: /x: no home"),
        (PermissionError(13, "Permission denied", "/x"), "Error: /x: Permission denied"),
    ],
)
def test_what_was_refused_comes_out_as_one_line(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(error, monkeypatch)
    ran = CliRunner().invoke(main, ["agent"])
    assert ran.exit_code == 1
    assert ran.output.splitlines() == [words]


def test_a_fault_of_our_own_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(ZeroDivisionError(), monkeypatch)
    assert isinstance(CliRunner().invoke(main, ["agent"]).exception, ZeroDivisionError)


def fail_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every command fail."""

    def fail() -> None:
        raise error

    # By its globals: `hansa.agents.cli.main` is the command, and no longer the module.
    monkeypatch.setitem(load.__globals__, "load", lambda name: click.Command(name, callback=fail))


def test_every_public_name_is_found_where_it_is_looked_for() -> None:
    for name in hansa.agents.__all__:
        assert getattr(hansa.agents, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Caravan'"):
        hansa.agents.Caravan  # type: ignore[attr-defined]  # noqa: B018
