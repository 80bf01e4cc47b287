"""What must an agent not forget? One atomic batch of changes per step.

A step's changes (messages consumed, machine snapshots, sealed outgoing messages, timers, tasks) are
gathered in a `Changes` and committed in one transaction; only then is anything acknowledged or sent.
The journal is a table of (space, key) -> value. Values are sealed with AES-256-GCM under the home's key,
and the place a value stands at is authenticated with it, so that rows cannot be swapped.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hansa.agents.errors import JournalError
from hansa.broker import MalformedMessage, Plain, decode, encode
from hansa.ledger.sqlite import read_only_uri

NONCE_BYTES = 12
RESTORED = ("meta", b"restored")  # when this journal was restored from a backup, if ever; see `mark_restored`

_SCHEMA = """
CREATE TABLE IF NOT EXISTS journal (
    space TEXT NOT NULL,
    key   BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (space, key)
) WITHOUT ROWID
"""

# Written without the home's key, which may be under a passphrase; whoever can write here can do worse.
_MARK = "CREATE TABLE IF NOT EXISTS restored (at_ms INTEGER NOT NULL, without TEXT NOT NULL)"


def pack_row(*fields: Plain) -> bytes:
    """Return a row's bytes."""
    return encode(list(fields))


def unpack_row(row: bytes) -> list[Any]:
    """Read a row that this agent packed itself; what stands in it is known where it is read.

    Raises:
        JournalError: not such a row.
    """
    try:
        fields = decode(row)
    except MalformedMessage as error:
        raise JournalError(f"a row of the journal is malformed: {error}") from error
    if not isinstance(fields, list):
        raise JournalError("a row of the journal is malformed")
    return fields


class Changes:
    """One commit's changes: later puts and drops of a key replace earlier ones.

    Patient changes may wait for others to join them: until they are committed, nothing that depends on them
    is acknowledged, and to lose them costs a repetition (a chunk comes again, a message goes out again).
    """

    __slots__ = ("_rows", "urgent")

    def __init__(self) -> None:
        self._rows: dict[tuple[str, bytes], bytes | Callable[[], bytes] | None] = {}
        self.urgent = False

    def put(self, space: str, key: bytes, value: bytes, patient: bool = False) -> None:
        """Write `value` at (space, key)."""
        self._rows[space, key] = value
        self.urgent |= not patient

    def put_later(self, space: str, key: bytes, value: Callable[[], bytes]) -> None:
        """Write at (space, key) what `value` gives at the commit; never, if the row is dropped before."""
        self._rows[space, key] = value
        self.urgent = True

    def drop(self, space: str, key: bytes, patient: bool = False) -> None:
        """Remove (space, key); removing what is not there is no error."""
        self._rows[space, key] = None
        self.urgent |= not patient

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[tuple[str, bytes, bytes | None]]:
        for (space, key), value in self._rows.items():
            yield space, key, value() if callable(value) else value


class Journal(Protocol):
    """Where an agent keeps what it must not forget."""

    def load(self, space: str) -> dict[bytes, bytes]:
        """Return every (key, value) of a space, in key order."""
        ...

    def commit(self, changes: Changes) -> None:
        """Apply all changes, durably, or none (JournalError)."""
        ...

    def close(self) -> None:
        """Give the file back."""
        ...


class MemoryJournal:
    """A journal that lives as long as its object: for tests, simulation and runs that need no restart."""

    def __init__(self) -> None:
        self._spaces: dict[str, dict[bytes, bytes]] = {}

    def load(self, space: str) -> dict[bytes, bytes]:
        return dict(sorted(self._spaces.get(space, {}).items()))

    def commit(self, changes: Changes) -> None:
        for space, key, value in changes:
            rows = self._spaces.setdefault(space, {})
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value

    def close(self) -> None:
        return None


class SqliteJournal:
    """A journal in one SQLite file (WAL, synchronous=FULL), sealed under the home's key.

    Args:
        path: the file; made if missing, readable by its owner only.
        key: (32,) bytes, the home's key.
        read_only: look at a journal that is there; nothing is made or written.

    Raises:
        JournalError: the file is missing or can't be opened, or was sealed under another key.
    """

    def __init__(self, path: Path, key: bytes, *, read_only: bool = False) -> None:
        self._path = path
        self._aead = AESGCM(key)
        try:
            if not read_only and not path.exists():  # closing one that is open here would drop SQLite's locks
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            address = read_only_uri(path) if read_only else str(path)
            self._database = sqlite3.connect(
                address, isolation_level=None, check_same_thread=False, uri=read_only
            )
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"{path}: cannot open the journal: {error}") from error
        try:
            self._prepare(read_only)
        except JournalError:
            self._database.close()
            raise
        except sqlite3.Error as error:
            self._database.close()
            raise JournalError(f"{path}: cannot open the journal: {error}") from error

    def _prepare(self, read_only: bool) -> None:
        if not read_only:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute(_SCHEMA)
            self._adopt_mark()
        for row in self._database.execute("SELECT space, key, value FROM journal LIMIT 1").fetchall():
            self._open(*row)  # another key must be found out before anything is added under it

    def _adopt_mark(self) -> None:
        """Seal what `mark_restored` left, so that the agent finds it among its rows."""
        if not self._database.execute("SELECT 1 FROM sqlite_master WHERE name = 'restored'").fetchone():
            return
        [(at_ms, without)] = self._database.execute("SELECT at_ms, without FROM restored").fetchall()
        space, key = RESTORED
        row = self._seal(space, key, pack_row(at_ms, without.split()))
        self._database.execute("BEGIN IMMEDIATE")
        self._database.execute("INSERT OR REPLACE INTO journal VALUES (?, ?, ?)", (space, key, row))
        self._database.execute("DROP TABLE restored")
        self._database.execute("COMMIT")

    def load(self, space: str) -> dict[bytes, bytes]:
        try:
            rows = self._database.execute(
                "SELECT key, value FROM journal WHERE space = ? ORDER BY key", (space,)
            ).fetchall()
        except sqlite3.Error as error:
            raise JournalError(f"{self._path}: cannot read the journal: {error}") from error
        return {key: self._open(space, key, value) for key, value in rows}

    def commit(self, changes: Changes) -> None:
        puts: list[tuple[str, bytes, bytes]] = []
        drops: list[tuple[str, bytes]] = []
        for space, key, value in changes:
            if value is None:
                drops.append((space, key))
            else:
                puts.append((space, key, self._seal(space, key, value)))
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("DELETE FROM journal WHERE space = ? AND key = ?", drops)
            self._database.executemany("INSERT OR REPLACE INTO journal VALUES (?, ?, ?)", puts)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):  # closed, or rolled back already
                self._database.execute("ROLLBACK")
            raise JournalError(f"{self._path}: cannot write the journal: {error}") from error

    def close(self) -> None:
        self._database.close()

    def _seal(self, space: str, key: bytes, value: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, value, _place(space, key))

    def _open(self, space: str, key: bytes, sealed: bytes) -> bytes:
        try:
            return self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _place(space, key))
        except (InvalidTag, ValueError, AttributeError, TypeError) as error:  # the last two: of another type
            raise JournalError(
                f"{self._path}: a row of {space!r} was altered or sealed under another key"
            ) from error


def mark_restored(path: Path, at_ms: int, without: Iterable[str] = ()) -> None:
    """Note in a journal's file that it comes from a backup; needs no key, and makes the file if there is none.

    Args:
        at_ms: when it was restored, UTC milliseconds since 1970.
        without: members that a keeper shall not wait for (`hansa.agents.core.restored`).

    Raises:
        JournalError: the file is no journal, or can't be written.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute(_SCHEMA)
            database.execute("DROP TABLE IF EXISTS restored")
            database.execute(_MARK)
            database.execute("INSERT INTO restored VALUES (?, ?)", (at_ms, " ".join(without)))
    except (OSError, sqlite3.Error) as error:
        raise JournalError(f"{path}: cannot mark the journal as restored: {error}") from error


def copy_journal(path: Path, target: Path) -> None:
    """Copy a journal as of one commit, while its agent may be at work.

    Raises:
        JournalError: it can't be read, or the copy not written.
    """
    try:
        with (
            contextlib.closing(sqlite3.connect(read_only_uri(path), uri=True)) as source,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
    except (OSError, sqlite3.Error) as error:
        raise JournalError(f"{path}: cannot copy the journal: {error}") from error


def _place(space: str, key: bytes) -> bytes:
    return len(space).to_bytes(4, "big") + space.encode() + key
