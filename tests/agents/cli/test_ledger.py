"""`hansa ledger show | verify` as a person types it, on a good folder and on tampered ones."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hansa.agents.cli import main
from hansa.agents.cli.lines import one_line
from hansa.agents.home import Home
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


NO_HEAD = "no head seen: a tail that was cut off can't be noticed"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_looking_leaves_no_trace(folder: Path) -> None:
    before = files(folder)
    assert hansa("ledger", "verify", folder).exit_code == 0
    assert hansa("ledger", "show", folder).exit_code == 0
    assert files(folder) == before


def test_without_a_journal_nothing_is_verified_and_none_is_made(folder: Path) -> None:
    (folder / "north" / "journal.sqlite").unlink()
    result = hansa("ledger", "verify", folder)
    assert result.exit_code == 1
    assert f"north: LEDGER BAD: {NO_HEAD}" in result.stderr
    assert result.stdout.count("ledger verified") == 3
    assert not (folder / "north" / "journal.sqlite").exists()


def test_a_journal_that_saw_no_head_verifies_nothing(folder: Path) -> None:
    database = sqlite3.connect(folder / "north" / "journal.sqlite", isolation_level=None)
    assert database.execute("DELETE FROM journal WHERE key = ?", (b"seen-head",)).rowcount == 1
    database.close()
    result = hansa("ledger", "verify", folder / "north", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"] == NO_HEAD


@pytest.mark.parametrize("name", ["identity.key", "agent.toml", "ledger.sqlite"])
def test_half_a_home_is_bad_and_says_what_it_lacks(folder: Path, name: str) -> None:
    (folder / "east" / name).unlink()
    result = hansa("ledger", "verify", folder)
    assert result.exit_code == 1
    [line, count] = result.stderr.splitlines()
    assert line.startswith("east: LEDGER BAD: ")
    assert name in line
    assert count == "1 of 4 copies are bad"
    assert result.stdout.count("ledger verified") == 3


@pytest.mark.parametrize("name", ["identity.key", "agent.toml", "journal.sqlite", "ledger.sqlite"])
def test_one_broken_home_does_not_stop_the_others(folder: Path, name: str) -> None:
    (folder / "east" / name).write_bytes(b"\xffnonsense" * 100)
    result = hansa("ledger", "verify", folder)
    assert result.exit_code == 1
    assert "east: LEDGER BAD: " in result.stderr
    assert result.stdout.count("ledger verified") == 3


def test_what_the_system_refuses_is_one_line_and_does_not_stop_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Home.missing

    def refuse(home: Home) -> list[str]:
        if home.path.name == "east":
            raise PermissionError(13, "Permission denied", str(home.path))
        return whole(home)

    monkeypatch.setattr(Home, "missing", refuse)
    result = hansa("ledger", "verify", folder)
    assert f"east: LEDGER BAD: {folder / 'east'}: Permission denied" in result.stderr
    assert result.stdout.count("ledger verified") == 3
    result = hansa("ledger", "show", folder / "east")
    assert result.exit_code == 1
    assert result.stderr == f"Error: {folder / 'east'}: Permission denied\n"


def test_an_error_of_the_system_without_a_file_is_told_as_it_is() -> None:
    assert one_line(OSError("disk on fire")) == "disk on fire"


def test_showing_and_verifying_write_nothing_so_that_a_read_only_home_will_do(folder: Path) -> None:
    home = folder / "north"
    before = {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in home.iterdir()}
    for file in home.iterdir():
        file.chmod(0o400 if file.is_file() else 0o500)
    home.chmod(0o500)
    try:
        assert hansa("ledger", "verify", home).exit_code == 0
        assert hansa("ledger", "show", home).exit_code == 0
    finally:
        home.chmod(0o700)
    assert {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in home.iterdir()} == before


def test_a_copy_that_may_not_be_read_is_one_clear_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("hansa.ledger.store.read_only_uri", refuse)
    result = hansa("ledger", "show", folder / "north")
    assert result.exit_code == 1
    assert result.stderr.endswith("ledger.sqlite: cannot read the ledger: Permission denied\n")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (("UPDATE alembic_version SET version_num = '9999'",), "does not know its tables: 9999"),
        (("DROP TABLE alembic_version",), "holds no ledger but checkpoint_signatures, checkpoints, entries"),
        (("DROP TABLE alembic_version", "DROP TABLE entries"), "holds no ledger"),
    ],
)
def test_tables_of_another_kind_are_one_clear_line(
    folder: Path, statements: tuple[str, ...], said: str
) -> None:
    tamper(folder / "north", *statements)
    result = hansa("ledger", "verify", folder / "north")
    assert result.exit_code == 1
    assert said in result.stderr


@pytest.mark.parametrize("url", ["no-such-database://host/ledger", "sqlite://"])
def test_an_address_without_a_ledger_is_one_clear_line(folder: Path, url: str) -> None:
    write(folder / "north" / "agent.toml", lambda text: f'{text}\n[ledger]\nurl = "{url}"\n')
    result = hansa("ledger", "verify", folder / "north")
    assert result.exit_code == 1
    assert "LEDGER BAD: " in result.stderr


def test_show_says_that_it_has_not_verified(folder: Path) -> None:
    note = "not verified; `hansa ledger verify` checks it\n"
    assert hansa("ledger", "show", folder).stderr == note
    assert hansa("ledger", "show", folder, "--json").stderr == ""


def test_going_on_needs_a_broker_to_go_on_with(tmp_path: Path) -> None:
    with found(tmp_path / "homes"):
        pass
    done = CliRunner().invoke(
        main, ["ledger", "go-on", "--home", str(tmp_path / "homes" / "aggregator"), "--without", "west"]
    )
    assert done.exit_code == 1
    assert "broker: missing" in done.stderr
