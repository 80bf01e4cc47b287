"""Where a ledger lies, seen by somebody who has the database itself: an SQLite file, or a PostgreSQL database."""

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg.rows import TupleRow

from hansa.ledger import LedgerStore
from tests.postgres import Server

REFUSALS = (sqlite3.IntegrityError, psycopg.IntegrityError)
"""What the drivers raise where a constraint or a trigger says no."""


class Hand(Protocol):
    """A hand in the database; each statement is a transaction."""

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        """Run a statement with `?` for each value."""


class Place(Protocol):
    """One ledger's database."""

    @property
    def url(self) -> str:
        """What `LedgerStore.open` takes."""

    def hand(self) -> AbstractContextManager[Hand]:
        """Reach into the database, past hansa."""

    def disarm(self) -> None:
        """Drop triggers and checks, as its owner can."""

    def remove(self) -> None:
        """Leave nothing behind."""


class Places(Protocol):
    """Makes databases of one kind."""

    kind: str

    def nothing(self) -> Place:
        """Return a database without tables."""

    def blank(self) -> Place:
        """Return a ledger without entries."""

    def copy(self, place: Place) -> Place:
        """Return another database with the same content; nobody may have the first one open."""


# --- SQLite ---------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class FilePlace:
    """A ledger in a file."""

    path: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    @contextmanager
    def hand(self) -> Iterator[Hand]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=OFF")  # an attacker in a hurry; so are the tests
            connection.execute("PRAGMA ignore_check_constraints=ON")
            yield _FileHand(connection)

    def disarm(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            triggers = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall()
            for (trigger,) in triggers:
                connection.execute(f"DROP TRIGGER {trigger}")

    def remove(self) -> None:
        for leftover in self.path.parent.glob(f"{self.path.name}*"):
            leftover.unlink()


@dataclass(frozen=True, slots=True)
class _FileHand:
    connection: sqlite3.Connection

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        self.connection.execute(statement, tuple(values))


class Files:
    """Ledgers in the files of a folder."""

    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self._blank = self.nothing()
        LedgerStore.open(self._blank.url).close()

    def nothing(self) -> FilePlace:
        path = self._folder / f"{next(self._numbers)}.sqlite"
        path.touch()
        return FilePlace(path)

    def blank(self) -> FilePlace:
        return self.copy(self._blank)

    def copy(self, place: Place) -> FilePlace:
        assert isinstance(place, FilePlace)
        copied = self.nothing()
        shutil.copy(place.path, copied.path)
        return copied


# --- PostgreSQL -----------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class DatabasePlace:
    """A ledger in a database of a server."""

    server: Server
    name: str

    @property
    def url(self) -> str:
        return self.server.address(self.name)

    @contextmanager
    def hand(self) -> Iterator[Hand]:
        with self.server.connected(self.name) as connection:
            yield _DatabaseHand(connection)

    def disarm(self) -> None:
        with self.server.connected(self.name) as connection:
            tables = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            ).fetchall()
            for (table,) in tables:
                connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
            checks = connection.execute(
                "SELECT conname FROM pg_constraint WHERE conrelid = 'entries'::regclass AND contype = 'c'"
            ).fetchall()
            for (check,) in checks:
                connection.execute(f'ALTER TABLE entries DROP CONSTRAINT "{check}"'.encode())

    def remove(self) -> None:
        self.server.drop(self.name)


@dataclass(frozen=True, slots=True)
class _DatabaseHand:
    connection: psycopg.Connection[TupleRow]

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        self.connection.execute(statement.replace("?", "%s").encode(), tuple(values) or None)


class Databases:
    """Ledgers in the databases of a server."""

    kind = "postgresql"

    def __init__(self, server: Server) -> None:
        self.server = server
        self._blank = self.nothing()
        LedgerStore.open(self._blank.url).close()

    def nothing(self) -> DatabasePlace:
        return DatabasePlace(self.server, self.server.create())

    def blank(self) -> DatabasePlace:
        return self.copy(self._blank)

    def copy(self, place: Place) -> DatabasePlace:
        assert isinstance(place, DatabasePlace)
        return DatabasePlace(self.server, self.server.create(place.name))

    def close(self) -> None:
        """Drop what blank ledgers are copied from."""
        self._blank.remove()
