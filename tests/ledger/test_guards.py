"""Guards that somebody has taken away are missed, in either kind of database."""

import time

import pytest
from sqlalchemy import text

from hansa.ledger import LedgerStore, StoreError, missing_guards, server_clock
from hansa.ledger.guards import TRIGGERS


def kind(store: LedgerStore) -> str:
    with store.reading() as connection:
        return connection.dialect.name


def test_a_fresh_ledger_is_guarded(store: LedgerStore) -> None:
    assert missing_guards(store) == ()


def test_triggers_that_were_dropped_are_named(store: LedgerStore) -> None:
    dropped = []
    for table, name in TRIGGERS[kind(store)]:
        on = f" ON {table}" if kind(store) == "postgresql" else ""
        with store.reading() as connection:
            connection.execute(text(f"DROP TRIGGER {name}{on}"))
        dropped.append(name)
        assert missing_guards(store) == tuple(dropped)


def test_a_trigger_that_was_switched_off_counts_as_missing(store: LedgerStore) -> None:
    if kind(store) == "sqlite":
        return  # its triggers are always on
    with store.reading() as connection:
        connection.execute(text("ALTER TABLE entries DISABLE TRIGGER entries_frozen"))
    assert missing_guards(store) == ("entries_frozen",)


def test_a_server_has_a_clock_and_a_file_has_none(store: LedgerStore) -> None:
    found = server_clock(store)
    if kind(store) == "sqlite":
        assert found is None
    else:
        assert found is not None
        assert abs(found - time.time()) < 60


def test_a_ledger_that_cannot_be_read_is_a_store_error(store: LedgerStore) -> None:
    def read() -> None:
        with store.reading() as connection:
            connection.execute(text("SELECT 1 FROM no_such_table"))

    with pytest.raises(StoreError, match="no_such_table"):
        read()
