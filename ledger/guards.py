"""Does the database still guard the entries, and what time does it think it is?

The triggers that keep entries from being changed stand in the migrations; somebody who owns the database can drop
them. That does not let a change go unnoticed (verification is for that), but more would get there by mistake.
"""

from sqlalchemy import text

from hansa.ledger.store import LedgerStore

TRIGGERS = {
    "sqlite": ("entries_in_order", "entries_no_delete", "entries_no_update"),
    "postgresql": ("entries_frozen", "entries_in_order", "entries_whole"),
}
_FOUND = {
    "sqlite": text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'entries'"),
    "postgresql": text(
        "SELECT tgname FROM pg_trigger"
        " WHERE tgrelid = 'entries'::regclass AND NOT tgisinternal AND tgenabled <> 'D'"
    ),
}
_NOW = text("SELECT extract(epoch FROM clock_timestamp())")


def missing_guards(store: LedgerStore) -> tuple[str, ...]:
    """Return the triggers that are not there, or switched off; StoreError if the database can't be read."""
    with store.reading() as connection:
        dialect = connection.dialect.name
        found = {str(row[0]) for row in connection.execute(_FOUND[dialect])}
    return tuple(name for name in TRIGGERS[dialect] if name not in found)


def server_clock(store: LedgerStore) -> float | None:
    """Return the database server's time, UTC seconds; None where the database is a file of this machine."""
    with store.reading() as connection:
        if connection.dialect.name == "sqlite":
            return None
        return float(connection.execute(_NOW).scalar_one())
