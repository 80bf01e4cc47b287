"""What does an entry cost at least? Its primitives and the bare driver, on a database of their own."""

import hashlib
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from psycopg.rows import TupleRow

from hansa.ledger import SignedEntry

Row = tuple[int, bytes, bytes, bytes, bytes, bytes]
"""Index, previous hash, signed bytes, signature, hash, receipt."""


class Limit(ABC):
    """Verifies, hashes, signs and commits, without anything that makes a ledger of it."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.public = self._key.public_key()
        self._size = 0
        self._previous = bytes(32)

    def append(self, entries: Sequence[SignedEntry], keys: Sequence[Ed25519PublicKey]) -> None:
        """Verify, hash, sign and commit one batch."""
        rows: list[Row] = []
        for entry, key in zip(entries, keys, strict=True):
            key.verify(entry.signature, entry.signed)
            digest = hashlib.sha256(self._previous + entry.signed + entry.signature).digest()
            receipt = self._key.sign(digest)
            rows.append((self._size, self._previous, entry.signed, entry.signature, digest, receipt))
            self._size += 1
            self._previous = digest
        self.commit(rows)

    def verify(self, keys: Sequence[Ed25519PublicKey]) -> None:
        """Read everything back; check both signatures and the hash."""
        for (_, previous, signed, signature, digest, receipt), key in zip(self.rows(), keys, strict=True):
            key.verify(signature, signed)
            self.public.verify(receipt, digest)
            assert hashlib.sha256(previous + signed + signature).digest() == digest

    @abstractmethod
    def commit(self, rows: Sequence[Row]) -> None:
        """Write rows in one transaction that is on the disk afterwards."""

    @abstractmethod
    def rows(self) -> Iterable[Row]:
        """Return all of them, in order."""


class FileLimit(Limit):
    """In an SQLite file, as the ledger's: WAL, synchronous=FULL."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute(
            "CREATE TABLE entries (idx INTEGER PRIMARY KEY, previous, signed, signature, hash, receipt)"
        )

    def commit(self, rows: Sequence[Row]) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._database.execute("COMMIT")

    def rows(self) -> Iterable[Row]:
        return self._database.execute("SELECT * FROM entries ORDER BY idx")

    def close(self) -> None:
        """Close the database."""
        self._database.close()


class ServerLimit(Limit):
    """On a PostgreSQL server, over a connection that commits each statement.

    Args:
        connection: to an empty database; whoever opened it closes it.
    """

    def __init__(self, connection: psycopg.Connection[TupleRow]) -> None:
        super().__init__()
        self._database = connection
        connection.execute(
            "CREATE TABLE entries (idx bigint PRIMARY KEY, previous bytea, signed bytea, signature bytea,"
            " hash bytea, receipt bytea)"
        )

    def commit(self, rows: Sequence[Row]) -> None:
        with self._database.transaction(), self._database.cursor() as cursor:
            cursor.executemany("INSERT INTO entries VALUES (%s, %s, %s, %s, %s, %s)", rows)

    def rows(self) -> Iterable[Row]:
        return self._database.execute("SELECT * FROM entries ORDER BY idx").fetchall()
