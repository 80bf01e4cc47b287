"""Where do the entries lie? In a SQL database that takes new ones at the end and nothing else.

The store keeps bytes and order; whether the bytes are right is for `chain.Verifier` to say. An SQLite file
(`sqlite`) and PostgreSQL (`postgresql`) serve by their URLs; here is what they have in common. Two writers at
once can't fork the chain: the database takes one entry per index, and whoever comes second gets `HeadMoved`.
A connection lost during a commit leaves open whether it was made; the next head tells.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, insert, inspect, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError

from hansa.ledger import postgresql, sqlite
from hansa.ledger.chain import EMPTY, ChainedEntry, Head
from hansa.ledger.entry import EntryFields, read_entry
from hansa.ledger.errors import BadEntry, HeadMoved, StoreCorrupt, StoreError, StoreMissing, StoreNewer
from hansa.ledger.merkle import Frontier, complete_subtrees, leaf_hash
from hansa.ledger.migrations import EARLIER_REVISIONS, HEAD_REVISION
from hansa.ledger.sqlite import read_only_uri
from hansa.ledger.tables import ENTRIES
from hansa.ledger.tree import StoredTree, last_leaf, subtree_hash

BATCH_ENTRIES = 1000  # rows fetched at once
BEFORE_ALL = -(2**63)  # below every index a database can hold: shows a row smuggled in before the genesis

_COLUMNS = "idx, previous, signed, signature, hash, receipt, author, author_seq, kind, nodes"
# Text, not Core: the cells come as the driver gives them. Core's types would trip over a tampered one.
_RANGE = text(f"SELECT {_COLUMNS} FROM entries WHERE idx >= :start AND idx < :stop ORDER BY idx LIMIT :batch")
_FIND = text(f"SELECT {_COLUMNS} FROM entries WHERE author = :author AND author_seq = :author_seq")
_HEAD = text(f"SELECT {_COLUMNS} FROM entries ORDER BY idx DESC LIMIT 1")
_COUNT = text("SELECT count(*) FROM entries WHERE idx IS NULL OR idx < :stop")
_LEAVES = text("SELECT idx, hash, nodes FROM entries WHERE idx IN :indices").bindparams(
    bindparam("indices", expanding=True)
)
_REVISION = text("SELECT version_num FROM alembic_version")


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One row as the database gave it: a cell may be of any type, if somebody has been at the file."""

    idx: int
    previous: object
    signed: object
    signature: object
    hash: object
    receipt: object
    author: object
    author_seq: object
    kind: object
    nodes: object

    def entry(self) -> ChainedEntry:
        """Return the row as an entry, unverified; BadEntry names a cell of the wrong type."""
        match self:
            case StoredRow(
                index, bytes(previous), bytes(signed), bytes(signature), bytes(digest), bytes(receipt)
            ):
                return ChainedEntry(index, previous, signed, signature, digest, receipt)
        for column in ("previous", "signed", "signature", "hash"):
            if not isinstance(getattr(self, column), bytes):
                break
        else:
            column = "receipt"
        found = type(getattr(self, column)).__name__
        raise BadEntry(self.idx, f"column {column}: expected bytes, found {found}")


class LedgerStore:
    """The entries of one ledger in one database; threads may share it. Make one with `LedgerStore.open`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(hansa_writes=True)
        # Compiled once and handed to the driver as it is: Core's own way costs a third of an entry's insert.
        compiled = insert(ENTRIES).compile(dialect=engine.dialect)
        self._insert = str(compiled)
        self._positional = compiled.positional
        # A chain's head stands for all of it: whoever moved it, a frontier kept with its head is right or unused.
        self._edge = (EMPTY, Frontier())

    def __repr__(self) -> str:
        return f"LedgerStore({self.address!r})"

    @property
    def address(self) -> str:
        """The database's URL, without its password."""
        return postgresql.hidden(self._engine.url)

    @classmethod
    def open(cls, url_or_path: str | Path, create: bool = True, password: str | None = None) -> "LedgerStore":
        """Open a ledger, bringing its tables up to date where they aren't.

        Args:
            url_or_path: a SQLAlchemy URL, or the path of an SQLite file.
            create: make a new, empty ledger where there is none.
            password: of the URL's user, if it does not stand in the URL.

        Raises:
            StoreMissing: nothing there and `create` is false, or no folder to create it in.
            StoreNewer: its tables are of a later version of hansa.
            StoreCorrupt: something else is there, or it is damaged.
            StoreError: no such kind of database here, or it can't be reached.
        """
        url = _url(url_or_path, password)
        engine = _engine(url)
        path = sqlite.path_of(url)
        if path is not None and not path.exists():
            if not create:
                raise StoreMissing(f"{path}: no ledger there")
            if not path.parent.is_dir():
                raise StoreMissing(f"{path}: no folder {path.parent} to create it in")
        store = cls(engine)
        try:
            store._prepare(create)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def open_read_only(cls, url_or_path: str | Path, password: str | None = None) -> "LedgerStore":
        """Open a ledger to look at it: nothing is made, migrated or written, not even beside it.

        Raises:
            StoreMissing: nothing there.
            StoreNewer: its tables are of a version that this one doesn't know.
            StoreCorrupt: something else is there, or it is damaged.
            StoreError: no such kind of database here, it can't be read, or its tables are of an earlier version.
        """
        url = _url(url_or_path, password)
        path = sqlite.path_of(url)
        try:
            if path is None:
                engine = _engine(url, read_only=True)
            else:
                engine = sqlite.reading_engine(url, read_only_uri(path))
        except FileNotFoundError:
            raise StoreMissing(f"{path}: no ledger there") from None
        except OSError as error:
            raise StoreError(f"{path}: cannot read the ledger: {error.strerror}") from None
        store = cls(engine)
        try:
            store._look()
        except BaseException:
            store.close()
            raise
        return store

    def head(self) -> Head:
        """Return where the chain ends, as its last row says.

        Raises:
            BadEntry: a cell of the last row is of the wrong type.
            StoreError: the database can't be read.
        """
        with self._connected(self._engine) as connection:
            row = connection.execute(_HEAD).first()
        return EMPTY if row is None else self._stored(row).entry().head

    def append(self, entries: Sequence[ChainedEntry], said: Sequence[EntryFields] | None = None) -> None:
        """Write entries, and what they add to the tree, at the end, all or none; on return they are on the disk.

        Args:
            said: what the entries say, if the caller has read them already.

        Raises:
            ValueError: the entries don't continue one another.
            MalformedEntry: one of them is none.
            HeadMoved: the chain ends elsewhere than where the first entry continues it.
            BadEntry: a row that the tree is continued from has been tampered with.
            StoreError: the database refuses them for another reason.
        """
        if not entries:
            return
        for before, after in pairwise(entries):
            if after.index != before.index + 1 or after.previous != before.hash:
                raise ValueError(f"entry {after.index} does not continue entry {before.index}")
        if said is None:
            said = [read_entry(entry.signed) for entry in entries]
        expected = Head(entries[0].index, entries[0].previous)
        frontier = self._frontier(expected)
        rows = []
        for entry, fields in zip(entries, said, strict=True):
            frontier, completed = frontier.append(leaf_hash(entry.hash))
            rows.append(_cells(entry, fields, b"".join(completed)))
        try:
            with self._connected(self._writer) as connection:
                connection.exec_driver_sql(
                    self._insert, rows if self._positional else list(map(_named, rows))
                )
        except _Conflict as error:
            found = self.head()
            if found != expected:
                raise HeadMoved(f"expected the chain to end at {expected}; it ends at {found}") from None
            raise StoreError(f"the database refuses entry {expected.size} or one after it: {error}") from None
        self._edge = (entries[-1].head, frontier)

    def tree(self) -> StoredTree:
        """Return the Merkle tree over the entries that there are now; errors as for `head`."""
        return StoredTree(self.head().size, self._leaves)

    def read(
        self, start: int = 0, stop: int | None = None, batch: int = BATCH_ENTRIES
    ) -> Iterator[ChainedEntry]:
        """Yield entries from `start` up to, not including, `stop` (or the end), unverified.

        Raises:
            BadEntry: a cell of the wrong type.
            StoreError: the database can't be read.
        """
        for row in self.rows(start, stop, batch):
            yield row.entry()

    def rows(
        self, start: int = BEFORE_ALL, stop: int | None = None, batch: int = BATCH_ENTRIES
    ) -> Iterator[StoredRow]:
        """Yield rows as they are, by index; each batch is a short transaction of its own.

        Raises:
            BadEntry: an index that is no integer.
            StoreError: the database can't be read.
        """
        end = -BEFORE_ALL - 1 if stop is None else stop
        while start < end:
            with self._connected(self._engine) as connection:
                rows = connection.execute(_RANGE, {"start": start, "stop": end, "batch": batch}).all()
            for row in rows:
                if not isinstance(row.idx, int):
                    raise BadEntry(max(start, 0), f"column idx: expected an integer, found {row.idx!r:.80}")
                start = row.idx + 1
                yield StoredRow(*row)
            if len(rows) < batch:
                return

    def find(self, author: str, author_seq: int) -> ChainedEntry | None:
        """Return the entry that an author gave this number, or None; errors as for `read`."""
        with self._connected(self._engine) as connection:
            row = connection.execute(_FIND, {"author": author, "author_seq": author_seq}).first()
        return None if row is None else self._stored(row).entry()

    def count(self, stop: int) -> int:
        """Return how many rows there are below an index, those without any index included.

        A database whose constraints somebody has removed may hold rows that `rows` never comes to.
        """
        with self._connected(self._engine) as connection:
            return int(connection.execute(_COUNT, {"stop": stop}).scalar_one())

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Lend a connection in a transaction that writes nothing; StoreError if the database can't be read."""
        with self._connected(self._engine) as connection:
            yield connection

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _frontier(self, expected: Head) -> Frontier:
        """Return the tree's right edge where the chain ends at `expected`; HeadMoved if it doesn't."""
        head, frontier = self._edge
        if head == expected:
            return frontier
        nodes = complete_subtrees((0, expected.size))
        rows = self._leaves([last_leaf(node) for node in nodes])
        last, _ = rows.get(expected.size - 1, (None, None))
        if expected.size != 0 and last != expected.hash:
            raise HeadMoved(f"expected the chain to end at {expected}; it ends at {self.head()}")
        return Frontier(expected.size, tuple(subtree_hash(node, rows) for node in nodes))

    def _leaves(self, indices: Sequence[int]) -> dict[int, tuple[object, object]]:
        """Return `hash` and `nodes` of the rows that are there, by index."""
        if not indices:
            return {}
        with self._connected(self._engine) as connection:
            found = connection.execute(_LEAVES, {"indices": indices}).all()
        return {index: (digest, nodes) for index, digest, nodes in found}

    def _stored(self, cells: Sequence[Any]) -> StoredRow:
        if not isinstance(cells[0], int):
            raise StoreCorrupt(f"{self.address} holds a row with index {cells[0]!r:.80}")
        return StoredRow(*cells)

    def _prepare(self, create: bool) -> None:
        if self._revision() == HEAD_REVISION:
            return
        with self._connected(self._writer) as connection:  # and nobody else meanwhile
            if connection.dialect.name == "postgresql":
                postgresql.lock_for_migration(connection)
            tables = set(inspect(connection).get_table_names())
            if not tables and not create:
                raise StoreMissing(f"{self.address} holds no ledger")
            known = "alembic_version" in tables and connection.execute(_REVISION).first()
            if tables and not known:
                raise self._occupied(tables)
            self._migrate(connection)

    def _look(self) -> None:
        with self._connected(self._engine) as connection:
            tables = set(inspect(connection).get_table_names())
            known = connection.execute(_REVISION).first() if "alembic_version" in tables else None
        if not tables:
            raise StoreMissing(f"{self.address} holds no ledger")
        if known is None:
            raise self._occupied(tables)
        if known[0] in EARLIER_REVISIONS:
            raise StoreError(
                f"{self.address}: of an earlier version of hansa: its agent, once started, brings it up to date"
            )
        if known[0] != HEAD_REVISION:
            raise StoreNewer(f"{self.address}: this version of hansa does not know its tables: {known[0]}")

    def _occupied(self, tables: Iterable[str]) -> StoreCorrupt:
        return StoreCorrupt(
            f"{self.address} holds no ledger but {', '.join(sorted(tables))}: give the ledger a place of its own"
        )

    def _revision(self) -> str | None:
        """Return the tables' revision, or None where there seem to be none."""
        with self._connected(self._engine) as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            row = connection.execute(_REVISION).first()
        return None if row is None else str(row[0])

    def _migrate(self, connection: Connection) -> None:
        # Alembic takes longer to import than a ledger to open, and is needed once in a ledger's life.
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", "hansa.ledger:migrations")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreNewer(
                f"{self.address}: this version of hansa does not know its tables: {error}"
            ) from None

    @contextmanager
    def _connected(self, engine: Engine) -> Iterator[Connection]:
        """Lend a connection in a transaction; the driver's errors come out as ours."""
        try:
            with engine.begin() as connection:
                yield connection
        except IntegrityError as error:
            raise _Conflict(str(error.orig).partition("\n")[0]) from None
        except (DBAPIError, sqlite3.Error, UnicodeDecodeError) as error:
            backend = sqlite if engine.dialect.name == "sqlite" else postgresql
            raise backend.failure(self.address, error) from None


class _Conflict(StoreError):
    """A constraint or a trigger said no."""


def _cells(entry: ChainedEntry, fields: EntryFields, nodes: bytes) -> tuple[object, ...]:
    """Return a row in the order of the table's columns."""
    return (
        entry.index,
        entry.previous,
        entry.signed,
        entry.signature,
        entry.hash,
        entry.receipt,
        fields.author,
        fields.author_seq,
        fields.kind,
        nodes,
    )


def _named(cells: tuple[object, ...]) -> dict[str, object]:
    """Return a row for drivers that take parameters by name."""
    return dict(zip(ENTRIES.columns.keys(), cells, strict=True))


def _url(url_or_path: str | Path, password: str | None) -> URL:
    if not isinstance(url_or_path, str) or "://" not in url_or_path:
        return URL.create("sqlite", database=str(url_or_path))
    try:
        url = make_url(url_or_path)
    except ArgumentError as error:
        raise _unusable(str(error)) from None
    except ValueError:  # its words are the port's, which may be a password in the wrong place
        raise _unusable("its port is no number") from None
    if url.get_backend_name() == "sqlite" and url.host:
        raise _unusable("a file's is sqlite:///relative/path or sqlite:////absolute/path")
    if "@" in (url.host or ""):  # or a part of the password would be taken for the host, and shown
        raise _unusable("write %40 for an @ in the password")
    if password is None:
        return url
    if url.password is not None:
        raise _unusable("it holds a password, and there is another one for it; leave the address's out")
    return url.set(password=password)


def _engine(url: URL, read_only: bool = False) -> Engine:
    """Return an engine for a URL; `read_only` is for servers."""
    try:
        match url.drivername:
            case "sqlite" | "sqlite+pysqlite":
                return sqlite.engine_for(url)
            case "postgresql" | "postgresql+psycopg":
                return postgresql.engine_for(url.set(drivername="postgresql+psycopg"), read_only)
            case other:
                raise _unusable(f"expected sqlite:/// or postgresql+psycopg://, found {other}://")
    except ModuleNotFoundError as error:
        missing = f"the driver {error.name} is not installed: pip install 'hansa[postgresql]'"
        raise StoreError(f"{postgresql.hidden(url)}: {missing}") from None


def _unusable(reason: str) -> StoreError:
    return StoreError(f"no database can be opened by this address: {reason}")
