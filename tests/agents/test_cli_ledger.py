"""`hansa ledger show | verify` as a person types it, on a good folder and on tampered ones."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hansa.agents.cli import main
from tests.agents.federations import found, specification


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ledger") / "federation"
    with found(folder) as local:
        local.run(specification())
        local.settle()
    return folder


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "federation"
    shutil.copytree(pristine, copy)
    return copy


def hansa(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def tamper(home: Path, *statements: str) -> None:
    """Change a copy as an attacker with the file would: without its triggers."""
    database = sqlite3.connect(home / "ledger.sqlite", isolation_level=None)
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        database.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        database.execute(statement)
    database.close()


def test_every_copy_of_a_good_folder_is_verified(folder: Path) -> None:
    result = hansa("ledger", "verify", folder)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 4
    assert all("ledger verified: " in line for line in result.stdout.splitlines())


def test_one_home_can_be_verified_alone_and_as_json(folder: Path) -> None:
    result = hansa("ledger", "verify", folder / "north", "--json")
    verdict = json.loads(result.stdout)
    assert verdict["ok"]
    assert verdict["agent"] == "north"


FLIP = "UPDATE entries SET signed = substr(signed, 1, 40) || x'00' || substr(signed, 42) WHERE idx = 6"
SWAP = (
    "UPDATE entries SET idx = 999 WHERE idx = 5",
    "UPDATE entries SET idx = 5 WHERE idx = 7",
    "UPDATE entries SET idx = 7 WHERE idx = 999",
)
CUT = "DELETE FROM entries WHERE idx > 8"


@pytest.mark.parametrize(
    ("statements", "entry"),
    [((FLIP,), 6), (SWAP, 5), (("DELETE FROM entries WHERE idx = 7",), 7), ((CUT,), 9)],
    ids=["byte changed", "two swapped", "one removed", "tail cut"],
)
def test_a_tampered_copy_is_found_and_its_first_bad_entry_named(
    folder: Path, statements: tuple[str, ...], entry: int
) -> None:
    tamper(folder / "east", *statements)
    result = hansa("ledger", "verify", folder)
    assert result.exit_code == 1
    assert f"east: LEDGER BAD: entry {entry}: " in result.stderr
    assert "1 of 4 copies are bad" in result.stderr
    assert "north: ledger verified" in result.stdout


def test_a_missing_ledger_is_one_clear_line(folder: Path) -> None:
    (folder / "west" / "ledger.sqlite").unlink()
    result = hansa("ledger", "verify", folder / "west")
    assert result.exit_code == 1
    assert "ledger.sqlite" in result.output
    assert "Traceback" not in result.output


def test_a_file_that_is_no_database_is_one_clear_line(folder: Path) -> None:
    (folder / "west" / "ledger.sqlite").write_bytes(b"not a database" * 100)
    result = hansa("ledger", "verify", folder / "west")
    assert result.exit_code == 1
    assert "Traceback" not in result.output


def test_show_lists_the_entries_and_filters_by_kind(folder: Path) -> None:
    everything = hansa("ledger", "show", folder)
    assert everything.exit_code == 0
    assert "charter" in everything.stdout
    assert "job-finished" in everything.stdout
    rounds = hansa("ledger", "show", folder, "--kind", "round-closed", "--json")
    bodies = [json.loads(line)["body"] for line in rounds.stdout.splitlines()]
    assert [body["round"] for body in bodies] == [1, 2, 3]
    assert len(hansa("ledger", "show", folder, "--last", 2, "--json").stdout.splitlines()) == 2


@pytest.mark.parametrize("command", ["show", "verify"])
def test_a_folder_without_homes_is_one_clear_line(command: str, tmp_path: Path) -> None:
    result = hansa("ledger", command, tmp_path)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "no agent's home" in result.stderr


def write(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


def test_a_broken_configuration_names_file_and_key(folder: Path) -> None:
    write(folder / "west" / "agent.toml", lambda text: text.replace("organisation", "organization"))
    result = hansa("ledger", "verify", folder / "west")
    assert result.exit_code == 1
    assert "agent.toml: agent.organization: unknown key" in result.stderr
