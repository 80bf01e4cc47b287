"""The database takes new entries at its end, and nothing else."""

import sqlite3
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

from hansa.ledger import (
    EMPTY,
    BadEntry,
    ChainedEntry,
    HeadMoved,
    LedgerStore,
    StoreCorrupt,
    StoreError,
    StoreMissing,
    StoreNewer,
    link,
    read_entry,
    sign_entry,
)
from hansa.ledger.migrations import HEAD_REVISION
from hansa.ledger.tables import METADATA
from tests.ledger.town import CHARTER, FEDERATION, LUBECK


def chain(count: int) -> list[ChainedEntry]:
    """Return entries that continue one another; the store looks no deeper."""
    entries, head = [], EMPTY
    for number in range(count):
        signed = sign_entry(LUBECK, federation=FEDERATION, author_seq=number, body=CHARTER, time_ms=0)
        entries.append(link(LUBECK, FEDERATION, head, signed))
        head = entries[-1].head
    return entries


CHAIN = chain(8)


def at_the_file(path: Path) -> sqlite3.Connection:
    """Connect as anybody could who has the file."""
    return sqlite3.connect(path, isolation_level=None)


# --- reading and writing --------------------------------------------------------------------------------
def test_an_empty_ledger_has_the_empty_head(store: LedgerStore) -> None:
    assert store.head() == EMPTY
    assert list(store.read()) == []
    assert store.find("lubeck", 0) is None


def test_entries_come_back_as_they_were(store: LedgerStore) -> None:
    store.append(CHAIN[:3])
    store.append([])
    store.append(CHAIN[3:], [read_entry(entry.signed) for entry in CHAIN[3:]])
    assert list(store.read()) == CHAIN
    assert store.head() == CHAIN[-1].head
    assert store.find("lubeck", 5) == CHAIN[5]
    assert store.find("lubeck", 8) is None
    assert store.find("bremen", 0) is None


@pytest.mark.parametrize("batch", [1, 3, 8, 9])
@pytest.mark.parametrize(("start", "stop"), [(0, None), (2, 5), (0, 8), (7, 100), (5, 5), (9, None)])
def test_any_range_can_be_read_in_any_batches(
    store: LedgerStore, start: int, stop: int | None, batch: int
) -> None:
    store.append(CHAIN)
    assert list(store.read(start, stop, batch)) == CHAIN[start:stop]


def test_the_ledger_outlives_its_store(path: Path) -> None:
    for part in (CHAIN[:4], CHAIN[4:]):
        store = LedgerStore.open(path, create=False)
        store.append(part)
        store.close()
    store = LedgerStore.open(str(path))
    assert list(store.read()) == CHAIN
    store.close()


def test_entries_that_do_not_continue_one_another_are_a_value_error(store: LedgerStore) -> None:
    with pytest.raises(ValueError, match="entry 2 does not continue entry 0"):
        store.append([CHAIN[0], CHAIN[2]])
    with pytest.raises(ValueError, match="entry 1 does not continue entry 0"):
        store.append([CHAIN[0], replace(CHAIN[1], previous=bytes(32))])


@pytest.mark.parametrize("late", [CHAIN[0], CHAIN[1], CHAIN[3], replace(CHAIN[2], previous=bytes(32))])
def test_entries_that_do_not_continue_the_chain_find_its_head_moved(
    store: LedgerStore, late: ChainedEntry
) -> None:
    store.append(CHAIN[:2])
    with pytest.raises(HeadMoved, match="it ends at 2 entries"):
        store.append([late])
    assert list(store.read()) == CHAIN[:2]


def test_another_refusal_of_the_database_is_not_taken_for_a_lost_race(store: LedgerStore) -> None:
    store.append(CHAIN[:2])
    again = link(LUBECK, FEDERATION, CHAIN[1].head, sign_entry(
        LUBECK, federation=FEDERATION, author_seq=0, body=CHARTER, time_ms=1))  # fmt: skip
    with pytest.raises(StoreError, match="a ledger entry is appended once"):
        store.append([again])
    with pytest.raises(StoreError, match="CHECK constraint failed"):
        store.append([replace(CHAIN[2], receipt=b"short")])
    assert list(store.read()) == CHAIN[:2]


def test_a_batch_is_written_whole_or_not_at_all(store: LedgerStore) -> None:
    with pytest.raises(StoreError):
        store.append([*CHAIN[:5], replace(CHAIN[5], receipt=b"")])
    assert store.head() == EMPTY


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


# --- append-only ----------------------------------------------------------------------------------------
COLUMNS = "idx, previous, signed, signature, hash, receipt, author, author_seq, kind"
ATTACKS = {
    "update": "UPDATE entries SET kind = 'charter'",
    "update index": "UPDATE OR REPLACE entries SET idx = 0 WHERE idx = 1",
    "delete": "DELETE FROM entries WHERE idx = 7",
    "delete all": "DELETE FROM entries",
    "replace": f"INSERT OR REPLACE INTO entries SELECT {COLUMNS} FROM entries WHERE idx = 3",
    "replace by author": (
        "INSERT OR REPLACE INTO entries SELECT 8, (SELECT hash FROM entries WHERE idx = 7), signed, signature,"
        " hash, receipt, author, author_seq, kind FROM entries WHERE idx = 3"
    ),
    "upsert": (
        f"INSERT INTO entries SELECT {COLUMNS} FROM entries WHERE idx = 3 ON CONFLICT DO UPDATE SET kind = 'x'"
    ),
    "gap": (
        "INSERT INTO entries SELECT 9, (SELECT hash FROM entries WHERE idx = 7), signed, signature, hash, receipt,"
        " author, 99, kind FROM entries WHERE idx = 3"
    ),
    "no index": (
        "INSERT INTO entries SELECT NULL, (SELECT hash FROM entries WHERE idx = 7), signed, signature, hash,"
        " receipt, author, 99, kind FROM entries WHERE idx = 3"
    ),
    "fork": (
        "INSERT INTO entries SELECT 8, previous, signed, signature, hash, receipt, author, 99, kind"
        " FROM entries WHERE idx = 3"
    ),
}


@pytest.mark.parametrize("statement", ATTACKS.values(), ids=ATTACKS.keys())
def test_the_database_itself_refuses_anything_but_the_next_entry(
    store: LedgerStore, path: Path, statement: str
) -> None:
    store.append(CHAIN)
    connection = at_the_file(path)
    with pytest.raises(sqlite3.IntegrityError, match=r"ledger entr|UNIQUE"):
        connection.execute(statement)
    connection.close()
    assert list(store.read()) == CHAIN


def test_commits_wait_for_the_disk(store: LedgerStore) -> None:
    with store._engine.connect() as connection:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


# --- opening --------------------------------------------------------------------------------------------
def test_a_new_ledger_is_made_where_there_is_none(tmp_path: Path) -> None:
    LedgerStore.open(tmp_path / "new.sqlite").close()
    store = LedgerStore.open(f"sqlite:///{tmp_path / 'new.sqlite'}", create=False)
    assert store.head() == EMPTY
    store.close()


def test_an_empty_file_becomes_a_ledger_only_on_request(tmp_path: Path) -> None:
    path = tmp_path / "empty.sqlite"
    path.touch()
    with pytest.raises(StoreMissing, match="holds no ledger"):
        LedgerStore.open(path, create=False)
    LedgerStore.open(path).close()
    LedgerStore.open(path, create=False).close()


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


def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    connection = at_the_file(path)
    connection.execute("CREATE TABLE herrings (weight)")
    connection.close()
    with pytest.raises(StoreCorrupt, match="no ledger but herrings"):
        LedgerStore.open(path)


def test_a_newer_ledger_is_refused_by_name(path: Path) -> None:
    connection = at_the_file(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreNewer, match="9999"):
        LedgerStore.open(path)


def test_tables_without_a_revision_are_refused(path: Path) -> None:
    connection = at_the_file(path)
    connection.execute("DELETE FROM alembic_version")
    connection.close()
    with pytest.raises(StoreError, match="holds no ledger but alembic_version, entries"):
        LedgerStore.open(path)


def test_a_locked_database_is_an_error_not_a_hang(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hansa.ledger.sqlite.BUSY_S", 0.01)
    store = LedgerStore.open(path)
    connection = at_the_file(path)
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        store.append(CHAIN)
    connection.execute("ROLLBACK")
    connection.close()
    store.append(CHAIN)
    store.close()


def test_a_table_gone_missing_is_an_error_of_the_store(store: LedgerStore, path: Path) -> None:
    connection = at_the_file(path)
    connection.execute("DROP TABLE entries")
    connection.close()
    with pytest.raises(StoreError, match="no such table"):
        store.head()


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


@pytest.mark.parametrize("url", ["abacus://counting/house", "postgresql+herring://x/y", "sqlite://host/file"])
def test_an_address_that_no_driver_serves_is_named(url: str) -> None:
    with pytest.raises(StoreError, match="no database can be opened"):
        LedgerStore.open(url)


# --- tampered cells -------------------------------------------------------------------------------------
@pytest.mark.parametrize("column", ["previous", "signed", "signature", "hash", "receipt"])
@pytest.mark.parametrize("value", ["text", 7, 1.5])
def test_a_cell_of_another_type_is_a_bad_entry(
    store: LedgerStore, path: Path, column: str, value: object
) -> None:
    store.append(CHAIN)
    connection = at_the_file(path)
    connection.execute("DROP TRIGGER entries_no_update")
    connection.execute("PRAGMA ignore_check_constraints=ON")
    connection.execute(f"UPDATE entries SET {column} = ? WHERE idx = 7", (value,))
    connection.close()
    reason = f"entry 7: column {column}: expected bytes, found {type(value).__name__}"
    for read in (lambda: list(store.read()), store.head, lambda: store.find("lubeck", 7)):
        with pytest.raises(BadEntry, match=reason):
            read()


def test_text_that_is_not_utf8_is_read_all_the_same(store: LedgerStore, path: Path) -> None:
    store.append(CHAIN)
    connection = at_the_file(path)
    connection.execute("DROP TRIGGER entries_no_update")
    connection.execute("UPDATE entries SET kind = CAST(x'ff' AS TEXT) WHERE idx = 7")
    connection.close()
    assert next(store.rows(7)).kind == "\udcff"


# --- migrations -----------------------------------------------------------------------------------------
def test_the_revision_that_opening_looks_for_is_the_newest() -> None:
    config = Config()
    config.set_main_option("script_location", "hansa.ledger:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD_REVISION]


def test_migrations_lead_to_the_tables_that_the_code_knows(path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    table = METADATA.tables["entries"]
    found = {column["name"]: column for column in inspect(engine).get_columns("entries")}
    assert list(found) == table.columns.keys()
    for column in table.columns:
        assert str(found[column.name]["type"]) == column.type.compile(engine.dialect)
        assert found[column.name]["nullable"] == column.nullable
    unique = inspect(engine).get_unique_constraints("entries")
    assert [constraint["column_names"] for constraint in unique] == [["author", "author_seq"]]
    engine.dispose()


def test_a_ledger_is_never_taken_apart() -> None:
    script = import_module("hansa.ledger.migrations.versions.0001_entries")
    with pytest.raises(RuntimeError, match="never taken apart"):
        script.downgrade()
