"""An agent's folder: made whole or not at all, opened only by its owner, found where people look."""

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from copy import deepcopy
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import tomlkit
from sqlalchemy import make_url

from hansa.agents.core.journal import Changes
from hansa.agents.errors import ConfigError, DataError, HomeError, JournalError
from hansa.agents.home import CONFIG, IDENTITY, LEDGER, Home, find_homes
from hansa.broker import Identity
from hansa.ledger import LedgerError
from tests import postgres

NORTH = Identity.generate("north")
SOUTH = Identity.generate("south")


def config(**agent: Any) -> dict[str, Any]:
    return {
        "agent": {"name": "north", **agent},
        "federation": {"id": "baltic", "keeper": "hub", "charter": "5a" * 32},
        "data": {"loans": {"file": "loans.csv", "target": "defaulted"}},
    }


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.create(tmp_path / "north", NORTH, config())


# --- making ---------------------------------------------------------------------------------------------
def test_a_new_home_holds_keys_and_configuration(home: Home) -> None:
    assert home.exists()
    assert home.identity().public == NORTH.public
    assert home.config().agent.name == "north"
    assert sorted(file.name for file in home.path.iterdir()) == [CONFIG, IDENTITY]


def test_a_new_home_is_its_owners_only(home: Home) -> None:
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((home.path / IDENTITY).stat().st_mode) == 0o600


def test_a_home_may_be_made_in_a_folder_that_holds_data_already(tmp_path: Path) -> None:
    (tmp_path / "loans.csv").write_text("id,age,defaulted\na,31,no\n")
    home = Home.create(tmp_path, NORTH, config())
    assert home.dataset("loans").rows == 1


def test_a_home_is_never_made_over_another(home: Home) -> None:
    with pytest.raises(HomeError) as caught:
        Home.create(home.path, SOUTH, config(name="south"))
    assert str(caught.value) == f"{home.path}: there is an agent's home already: identity.key exists"
    assert home.identity().public == NORTH.public


@pytest.mark.parametrize("left", [IDENTITY, CONFIG])
def test_half_a_home_is_not_written_over_either(home: Home, left: str) -> None:
    (home.path / (CONFIG if left == IDENTITY else IDENTITY)).unlink()
    content = (home.path / left).read_bytes()
    assert not home.exists()
    with pytest.raises(HomeError, match=f"{left} without .*restore a backup, or remove it if"):
        Home.create(home.path, SOUTH, config(name="south"))
    assert (home.path / left).read_bytes() == content


def test_making_a_home_that_was_interrupted_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with monkeypatch.context() as patch:
        patch.setattr(Identity, "save", Mock(side_effect=full))
        with pytest.raises(OSError, match="No space left") as told:
            Home.create(tmp_path / "north", NORTH, config())
        assert told.value.filename == str(tmp_path / "north" / IDENTITY)
    home = Home.create(tmp_path / "north", NORTH, config())
    assert home.identity().public == NORTH.public


def test_a_full_disk_is_told_with_the_file_and_leaves_no_draft(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = home.config()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(OSError, match="No space left") as told:
            home.edit(lambda document: document.update({"daemon": {"listen": "127.0.0.1:1"}}))
    assert told.value.filename == str(home.path / CONFIG)
    assert home.config() == before
    assert not list(home.path.glob(".*.new"))


def test_changes_at_the_same_time_are_all_kept(home: Home) -> None:
    def name(number: int) -> None:
        def change(document: tomlkit.TOMLDocument) -> None:
            sections = document.setdefault("data", {})
            sections[f"set-{number}"] = {"file": f"{number}.csv"}

        home.edit(change)

    with ThreadPoolExecutor(8) as people:
        list(people.map(name, range(16)))
    assert {f"set-{number}" for number in range(16)} <= set(home.config().data)


def test_a_configuration_that_is_not_valid_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Home.create(tmp_path / "north", NORTH, config(workers=0))
    assert str(caught.value).startswith(f"{tmp_path / 'north' / CONFIG}: agent.workers: ")
    assert not (tmp_path / "north").exists()


def test_keys_and_configuration_of_different_agents_make_no_home(tmp_path: Path) -> None:
    with pytest.raises(HomeError) as caught:
        Home.create(tmp_path / "north", SOUTH, config())
    assert str(caught.value) == f"{tmp_path / 'north'}: the keys are south's, agent.toml is north's"
    assert not (tmp_path / "north").exists()


# --- opening --------------------------------------------------------------------------------------------
def test_a_home_whose_configuration_names_another_agent_does_not_open(home: Home) -> None:
    text = (home.path / CONFIG).read_text()
    (home.path / CONFIG).write_text(text.replace('name = "north"', 'name = "south"'))
    with pytest.raises(HomeError) as caught:
        home.identity()
    assert str(caught.value) == f"{home.path}: the keys are north's, agent.toml is south's"


def test_missing_keys_are_a_home_error_that_names_the_file(home: Home) -> None:
    (home.path / IDENTITY).unlink()
    with pytest.raises(HomeError, match=f"no key file at {home.path / IDENTITY}"):
        home.identity()


def test_damaged_keys_are_a_home_error(home: Home) -> None:
    (home.path / IDENTITY).write_bytes(b"not a key")
    with pytest.raises(HomeError, match="is not a key file"):
        home.identity()


def test_keys_that_others_can_read_are_a_home_error(home: Home) -> None:
    (home.path / IDENTITY).chmod(0o644)
    with pytest.raises(HomeError, match="chmod 600"):
        home.identity()


def test_keys_that_are_a_folder_are_a_home_error(home: Home) -> None:
    (home.path / IDENTITY).unlink()
    (home.path / IDENTITY).mkdir()
    with pytest.raises(HomeError, match="Is a directory"):
        home.identity()


def test_protected_keys_open_with_their_passphrase_only(home: Home) -> None:
    (home.path / IDENTITY).unlink()
    NORTH.save(home.path / IDENTITY, b"correct horse")
    assert home.identity(b"correct horse").public == NORTH.public
    for wrong in (None, b"battery staple"):
        with pytest.raises(HomeError, match="passphrase"):
            home.identity(wrong)


def test_a_missing_configuration_is_a_config_error(home: Home) -> None:
    (home.path / CONFIG).unlink()
    with pytest.raises(ConfigError, match=r"agent\.toml: no such file"):
        home.identity()


# --- what lies in it ------------------------------------------------------------------------------------
def test_the_journal_opens_with_the_keys_of_the_home_only(home: Home) -> None:
    journal = home.journal(NORTH)
    changes = Changes()
    changes.put("machine", b"job", b"state")
    journal.commit(changes)
    journal.close()
    again = home.journal(home.identity())
    assert again.load("machine") == {b"job": b"state"}
    again.close()
    with pytest.raises(JournalError, match="another key"):
        home.journal(SOUTH)


def test_chunks_lie_in_a_folder_of_their_own(home: Home) -> None:
    files = home.files()
    files.write(b"a" * 16, 0, b"chunk")
    files.flush()
    assert home.files().ids() == [b"a" * 16]
    assert (home.path / "chunks").is_dir()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (None, "sqlite:///{home}/ledger.sqlite"),
        ("sqlite:///books.sqlite", "sqlite:///{home}/books.sqlite"),
        ("sqlite:////srv/books.sqlite", "sqlite:////srv/books.sqlite"),
        ("postgresql://hansa@db/ledger", "postgresql://hansa@db/ledger"),
    ],
)
def test_a_relative_ledger_lies_in_the_home(tmp_path: Path, url: str | None, expected: str) -> None:
    content = deepcopy(config())
    if url is not None:
        content["ledger"] = {"url": url}
    home = Home.create(tmp_path / "north", NORTH, content)
    assert home.ledger_url() == expected.format(home=home.path.resolve())


def test_a_ledger_on_a_server_finds_its_password_in_a_file(tmp_path: Path) -> None:
    server = postgres.shared()
    name = server.create()
    url = make_url(server.address(name))
    bare = f"postgresql+psycopg://{url.username}@{url.host}:{url.port}/{name}"
    content = deepcopy(config()) | {"ledger": {"url": bare, "password_file": "db.password"}}
    home = Home.create(tmp_path / "north", NORTH, content)
    with pytest.raises(HomeError, match=r"db\.password"):
        home.store(create=True)
    file = home.path / "db.password"
    file.touch(mode=0o600)
    file.write_text(f"{url.password}\n")
    home.store(create=True).close()
    with closing(home.stored()) as store:
        assert store.head().size == 0
    server.drop(name)


def test_the_copy_of_the_ledger_is_made_when_asked_for_and_only_then(home: Home) -> None:
    with pytest.raises(LedgerError):
        home.store()
    assert not (home.path / "ledger.sqlite").exists()
    home.store(create=True).close()
    store = home.store()
    assert store.head().size == 0
    store.close()


def test_a_copy_of_the_ledger_is_looked_at_without_a_trace(home: Home) -> None:
    with pytest.raises(LedgerError, match="no ledger there"):
        home.stored()
    home.store(create=True).close()
    before = sorted(home.path.iterdir())
    store = home.stored()
    assert store.head().size == 0
    assert sorted(home.path.iterdir()) == before
    store.close()
    assert sorted(home.path.iterdir()) == before


def test_a_data_set_is_read_from_the_home(home: Home) -> None:
    with pytest.raises(DataError, match=r"loans\.csv: no such file"):
        home.dataset("loans")
    (home.path / "loans.csv").write_text("id,age,defaulted\na,31,no\n")
    assert home.dataset("loans").columns == ("age",)


def test_the_password_of_a_data_set_is_read_from_its_file_or_the_file_is_named(tmp_path: Path) -> None:
    section = {
        "url": "postgresql+psycopg://reader:other@db/books",
        "query": "SELECT 1",
        "password_file": "db.password",
    }
    home = Home.create(tmp_path / "north", NORTH, config() | {"data": {"loans": section}})
    password = home.path / "db.password"
    with pytest.raises(DataError, match=r"db\.password: No such file"):
        home.dataset("loans")
    password.write_text("hidden\n")
    password.chmod(0o644)
    with pytest.raises(DataError, match=r"db\.password: mode 0644 lets others read it: chmod 600 it"):
        home.dataset("loans")
    password.chmod(0o600)
    with pytest.raises(DataError, match="a password in the url and a password_file"):
        home.dataset("loans")


def test_a_data_set_that_is_not_configured_is_a_config_error(home: Home) -> None:
    with pytest.raises(ConfigError) as caught:
        home.dataset("tides")
    assert str(caught.value) == f"{home.path / CONFIG}: data.tides: no such section"


# --- finding --------------------------------------------------------------------------------------------
def test_a_home_is_found_as_itself(home: Home) -> None:
    assert find_homes(home.path) == [home]


def test_homes_are_found_one_level_below_by_name(tmp_path: Path) -> None:
    south = Home.create(tmp_path / "south", SOUTH, config(name="south"))
    north = Home.create(tmp_path / "north", NORTH, config())
    Home.create(tmp_path / "deeper" / "north", NORTH, config())
    (tmp_path / "half").mkdir()
    SOUTH.save(tmp_path / "half" / IDENTITY)
    (tmp_path / "notes.txt").write_text("not a folder")
    assert find_homes(tmp_path) == [Home(tmp_path / "half"), north, south]


@pytest.mark.parametrize("only", [IDENTITY, CONFIG, LEDGER])
def test_a_part_of_a_home_is_found_and_says_what_it_lacks(tmp_path: Path, only: str) -> None:
    part = tmp_path / "part"
    part.mkdir()
    (part / only).touch()
    assert find_homes(part) == find_homes(tmp_path) == [Home(part)]
    missing = Home(part).missing()
    assert missing == ([IDENTITY] if only == CONFIG else [n for n in (IDENTITY, CONFIG, LEDGER) if n != only])


def test_a_folder_that_may_not_be_looked_into_is_not_passed_over(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refuse)
    assert home.begun()


def test_a_folder_without_homes_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(HomeError) as caught:
        find_homes(tmp_path)
    expected = f"{tmp_path}: no agent's home (identity.key and agent.toml) here or one level below"
    assert str(caught.value) == expected


@pytest.mark.parametrize("name", ["missing", "file"])
def test_what_is_no_folder_holds_no_homes(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeError) as caught:
        find_homes(tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name}: no such folder"
