"""Does the database still guard the entries, and what time does it think it is?

The triggers that keep entries from being changed stand in the migrations; somebody who owns the database can drop
them. That does not let a change go unnoticed (verification is for that), but more would get there by mistake.
"""

from sqlalchemy import text

from hansa.ledger.store import LedgerStore

_BESIDE = ("checkpoints", "checkpoint_signatures", "superseded", "evidence")
# (table, trigger)
TRIGGERS = {
    "sqlite": (
        *(("entries", name) for name in ("entries_in_order", "entries_no_delete", "entries_no_update")),
        *((table, f"{table}_no_{what}") for table in _BESIDE for what in ("delete", "replace", "update")),
    ),
    "postgresql": (
        *(("entries", f"entries_{what}") for what in ("frozen", "in_order", "set_aside", "whole")),
        *((table, f"{table}_{what}") for table in _BESIDE for what in ("frozen", "whole")),
    ),
}
_FOUND = {
    "sqlite": text("SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'"),
    "postgresql": text(
        "SELECT relname, tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
        " WHERE relnamespace = current_schema()::regnamespace AND NOT tgisinternal AND tgenabled <> 'D'"
    ),
}
_NOW = text("SELECT extract(epoch FROM clock_timestamp())")


def missing_guards(store: LedgerStore) -> tuple[str, ...]:
    """Return the triggers that are not there, or switched off; StoreError if the database can't be read."""
    with store.reading() as connection:
        dialect = connection.dialect.name
        found = {(str(table), str(name)) for table, name in connection.execute(_FOUND[dialect])}
    return tuple(trigger for table, trigger in TRIGGERS[dialect] if (table, trigger) not in found)


def server_clock(store: LedgerStore) -> float | None:
    """Return the database server's time, UTC seconds; None where the database is a file of this machine."""
    with store.reading() as connection:
        if connection.dialect.name == "sqlite":
            return None
        return float(connection.execute(_NOW).scalar_one())
