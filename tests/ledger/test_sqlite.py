"""A ledger in an SQLite file: where it may lie, how it is locked, and what its cells may hold."""

import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine

from hansa.ledger import EMPTY, BadEntry, LedgerStore, StoreCorrupt, StoreError, StoreMissing
from hansa.ledger.sqlite import switch_to_wal
from tests.ledger.places import FilePlace, Hand
from tests.ledger.town import CHAIN


def test_a_ledger_can_lie_in_memory() -> None:
    store = LedgerStore.open("sqlite://")
    store.append(CHAIN)
    assert list(store.read(batch=3)) == CHAIN
    store.close()


def test_drivers_that_name_their_parameters_get_names(path: Path) -> None:
    store = LedgerStore(create_engine(f"sqlite:///{path}", paramstyle="named"))
    store.append(CHAIN)
    assert list(store.read()) == CHAIN
    store.close()


def test_a_missing_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match=r"nowhere\.sqlite: no ledger there"):
        LedgerStore.open(tmp_path / "nowhere.sqlite", create=False)
    with pytest.raises(StoreMissing, match="no folder"):
        LedgerStore.open(tmp_path / "no" / "where.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear Lübeck, the herring has arrived. " * 100, encoding="utf-8")
    with pytest.raises(StoreCorrupt, match="not a database"):
        LedgerStore.open(path)
    assert path.read_text(encoding="utf-8").startswith("Dear")


def test_a_locked_database_is_an_error_not_a_hang(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hansa.ledger.sqlite.BUSY_S", 0.01)
    store = LedgerStore.open(path)
    with FilePlace(path).hand() as hand:
        hand.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            store.append(CHAIN)
    store.append(CHAIN)
    store.close()


def test_an_up_to_date_ledger_opens_fast_and_without_alembic(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("nothing to migrate")

    monkeypatch.setattr(command, "upgrade", fail)
    seconds = []
    for _ in range(20):
        began = time.perf_counter()
        LedgerStore.open(path).close()
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.010


def test_a_ledger_is_made_in_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    LedgerStore.open(tmp_path / "new.sqlite").close()
    with closing(LedgerStore.open(f"sqlite:///{tmp_path / 'new.sqlite'}", create=False)) as store:
        assert store.head() == EMPTY


def test_nobody_else_reads_a_ledger_unless_its_owner_lets_them(tmp_path: Path) -> None:
    path = tmp_path / "new.sqlite"
    with closing(LedgerStore.open(path)) as store:
        store.append(CHAIN)
        files = sorted(tmp_path.iterdir())
        assert [file.name for file in files] == ["new.sqlite", "new.sqlite-shm", "new.sqlite-wal"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    path.chmod(0o640)
    LedgerStore.open(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_ledger_that_cannot_be_made_is_told_by_its_address(path: Path) -> None:
    (path.parent / "folder").mkdir()
    with pytest.raises(StoreError, match="folder"):
        LedgerStore.open(path.parent / "folder")


def test_commits_wait_for_the_disk(path: Path) -> None:
    with closing(LedgerStore.open(path)) as store, store._engine.connect() as connection:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


def test_a_new_file_that_somebody_holds_is_waited_for_only_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = FilePlace(tmp_path / "new.sqlite")
    with place.hand() as hand, closing(sqlite3.connect(place.path, timeout=0)) as connection:
        hand.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr("hansa.ledger.sqlite.BUSY_S", 0.01)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            switch_to_wal(connection)
        monkeypatch.undo()
        monkeypatch.setattr("hansa.ledger.sqlite.time.sleep", lambda _: hand.execute("COMMIT"))
        switch_to_wal(connection)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# --- tampered cells -------------------------------------------------------------------------------------
@pytest.fixture
def tampered(path: Path) -> Iterator[tuple[LedgerStore, Hand]]:
    """A ledger of eight entries without triggers and checks, and a hand in it."""
    place = FilePlace(path)
    with closing(LedgerStore.open(path)) as store:
        store.append(CHAIN)
        place.disarm()
        with place.hand() as hand:
            yield store, hand


@pytest.mark.parametrize("column", ["previous", "signed", "signature", "hash", "receipt"])
@pytest.mark.parametrize("value", ["text", 7, 1.5])
def test_a_cell_of_another_type_is_a_bad_entry(
    tampered: tuple[LedgerStore, Hand], column: str, value: object
) -> None:
    store, hand = tampered
    hand.execute(f"UPDATE entries SET {column} = ? WHERE idx = 7", (value,))
    reason = f"entry 7: column {column}: expected bytes, found {type(value).__name__}"
    for read in (lambda: list(store.read()), store.head, lambda: store.find("lubeck", 7)):
        with pytest.raises(BadEntry, match=reason):
            read()


def test_text_that_is_not_utf8_is_read_all_the_same(tampered: tuple[LedgerStore, Hand]) -> None:
    store, hand = tampered
    hand.execute("UPDATE entries SET kind = CAST(x'ff' AS TEXT) WHERE idx = 7")
    assert next(store.rows(7)).kind == "\udcff"
