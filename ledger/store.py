"""Where do the entries lie? In a SQL database that takes new ones at the end and nothing else.

The store keeps bytes and order; whether the bytes are right is for `chain.Verifier` to say. SQLite runs in
WAL mode and waits for the disk at every commit (synchronous=FULL); everything else is plain SQL, so that
another database serves by its URL. Two writers at once can't fork the chain: the database takes one entry
per index, and whoever comes second gets `HeadMoved`.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    StaticPool,
    create_engine,
    event,
    insert,
    inspect,
    make_url,
    text,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.pool import ConnectionPoolEntry

from hansa.ledger.chain import EMPTY, ChainedEntry, Head
from hansa.ledger.entry import EntryFields, read_entry
from hansa.ledger.errors import BadEntry, HeadMoved, StoreCorrupt, StoreError, StoreMissing, StoreNewer
from hansa.ledger.migrations import HEAD_REVISION
from hansa.ledger.tables import ENTRIES

BUSY_S = 30.0  # how long a writer waits for another one to commit
BATCH_ENTRIES = 1000  # rows fetched at once
BEFORE_ALL = -(2**63)  # below every index a database can hold: shows a row smuggled in before the genesis

_COLUMNS = "idx, previous, signed, signature, hash, receipt, author, author_seq, kind"
# Text, not Core: the cells come as the driver gives them. Core's types would trip over a tampered one.
_RANGE = text(f"SELECT {_COLUMNS} FROM entries WHERE idx >= :start AND idx < :stop ORDER BY idx LIMIT :batch")
_FIND = text(f"SELECT {_COLUMNS} FROM entries WHERE author = :author AND author_seq = :author_seq")
_HEAD = text(f"SELECT {_COLUMNS} FROM entries ORDER BY idx DESC LIMIT 1")
_COUNT = text("SELECT count(*) FROM entries WHERE idx IS NULL OR idx < :stop")
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

    def __repr__(self) -> str:
        return f"LedgerStore({self.address!r})"

    @property
    def address(self) -> str:
        """The database's URL, without its password."""
        return self._engine.url.render_as_string(hide_password=True)

    @classmethod
    def open(cls, url_or_path: str | Path, create: bool = True) -> "LedgerStore":
        """Open a ledger, bringing its tables up to date where they aren't.

        Args:
            url_or_path: a SQLAlchemy URL, or the path of an SQLite file.
            create: make a new, empty ledger where there is none.

        Raises:
            StoreMissing: nothing there and `create` is false, or no folder to create it in.
            StoreNewer: its tables are of a later version of hansa.
            StoreCorrupt: something else is there, or it is damaged.
            StoreError: no such kind of database here, or it can't be reached.
        """
        try:
            url = _url(url_or_path)
            engine = _engine(url)
        except (ArgumentError, ImportError) as error:
            raise StoreError(f"no database can be opened by this address: {error}") from None
        path = _sqlite_path(url)
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
    def open_read_only(cls, url_or_path: str | Path) -> "LedgerStore":
        """Open a ledger to look at it: nothing is made, migrated or written, not even beside it.

        Raises:
            StoreMissing: nothing there.
            StoreNewer: its tables are of a version that this one doesn't know.
            StoreCorrupt: something else is there, or it is damaged.
            StoreError: no such kind of database here, or it can't be read.
        """
        try:
            url = _url(url_or_path)
            path = _sqlite_path(url)
            engine = _engine(url) if path is None else _reading_engine(url, read_only_uri(path))
        except (ArgumentError, ImportError) as error:
            raise StoreError(f"no database can be opened by this address: {error}") from None
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
        """Write entries at the end, all or none; on return they are on the disk.

        Args:
            said: what the entries say, if the caller has read them already.

        Raises:
            ValueError: the entries don't continue one another.
            MalformedEntry: one of them is none.
            HeadMoved: the chain ends elsewhere than where the first entry continues it.
            StoreError: the database refuses them for another reason.
        """
        if not entries:
            return
        for before, after in pairwise(entries):
            if after.index != before.index + 1 or after.previous != before.hash:
                raise ValueError(f"entry {after.index} does not continue entry {before.index}")
        if said is None:
            said = [read_entry(entry.signed) for entry in entries]
        rows = [_cells(entry, fields) for entry, fields in zip(entries, said, strict=True)]
        expected = Head(entries[0].index, entries[0].previous)
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

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _stored(self, cells: Sequence[Any]) -> StoredRow:
        if not isinstance(cells[0], int):
            raise StoreCorrupt(f"{self.address} holds a row with index {cells[0]!r:.80}")
        return StoredRow(*cells)

    def _prepare(self, create: bool) -> None:
        if self._revision() == HEAD_REVISION:
            return
        with self._connected(self._writer) as connection:  # and nobody else meanwhile
            tables = set(inspect(connection).get_table_names())
            if not tables and not create:
                raise StoreMissing(f"{self.address} holds no ledger")
            known = "alembic_version" in tables and connection.execute(_REVISION).first()
            if tables and not known:
                raise StoreCorrupt(f"{self.address} holds no ledger but {', '.join(sorted(tables))}")
            self._migrate(connection)

    def _look(self) -> None:
        with self._connected(self._engine) as connection:
            tables = set(inspect(connection).get_table_names())
            known = connection.execute(_REVISION).first() if "alembic_version" in tables else None
        if not tables:
            raise StoreMissing(f"{self.address} holds no ledger")
        if known is None:
            raise StoreCorrupt(f"{self.address} holds no ledger but {', '.join(sorted(tables))}")
        if known[0] != HEAD_REVISION:
            raise StoreNewer(f"{self.address}: this version of hansa does not know its tables: {known[0]}")

    def _revision(self) -> str | None:
        """Return the tables' revision, or None where there seem to be none."""
        try:
            with self._connected(self._engine) as connection:
                row = connection.execute(_REVISION).first()
        except StoreCorrupt:
            raise
        except StoreError:  # no such table; anything worse comes again in a moment
            return None
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
            raise _Conflict(str(error.orig)) from None
        except (OperationalError, ProgrammingError, sqlite3.OperationalError) as error:
            raise StoreError(f"{self.address}: {_cause(error)}") from None
        # SQLite's "not a database" and "malformed"; a damaged schema's names may not even be UTF-8.
        except (DBAPIError, sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise StoreCorrupt(f"{self.address}: {_cause(error)}") from None


class _Conflict(StoreError):
    """A constraint or a trigger said no."""


def _cause(error: Exception) -> object:
    """Return the driver's own words."""
    return error.orig if isinstance(error, DBAPIError) else error


def _cells(entry: ChainedEntry, fields: EntryFields) -> tuple[object, ...]:
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
    )


def _named(cells: tuple[object, ...]) -> dict[str, object]:
    """Return a row for drivers that take parameters by name."""
    return dict(zip(ENTRIES.columns.keys(), cells, strict=True))


# --- the engine -----------------------------------------------------------------------------------------
def _url(url_or_path: str | Path) -> URL:
    if isinstance(url_or_path, str) and "://" in url_or_path:
        return make_url(url_or_path)
    return URL.create("sqlite", database=str(url_or_path))


def _sqlite_path(url: URL) -> Path | None:
    """Return the file behind an SQLite URL; None for memory and for servers."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))


def read_only_uri(path: Path) -> str:
    """Return the URI by which SQLite reads a file without writing to it or beside it.

    A database in WAL mode makes its -wal and -shm even for readers, and leaves them behind, perhaps under an
    owner its agent can't write as. Where no log is left nobody has the file open and nothing is pending, so
    that it can be read as immutable; otherwise the log that is there is read with it.

    Raises:
        OSError: the file is missing or can't be read.
    """
    path.open("rb").close()  # SQLite would only say that it can't
    file = path.resolve()
    log, index = (file.with_name(file.name + ending) for ending in ("-wal", "-shm"))
    pending = log.exists() and (log.stat().st_size > 0 or index.exists())
    return f"{file.as_uri()}?mode=ro" + ("" if pending else "&immutable=1")


def _reading_engine(url: URL, uri: str) -> Engine:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, timeout=BUSY_S, check_same_thread=False)

    engine = create_engine(url, creator=connect)
    event.listen(engine, "connect", _prepare_reading)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url)
    if _sqlite_path(url) is None:  # one database in memory is one connection
        engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    else:
        engine = create_engine(url, connect_args={"timeout": BUSY_S})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
    _prepare_reading(connection, entry)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _prepare_reading(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions are begun below, not guessed by the driver
    # Text that is not UTF-8 is an attacker's; it must reach verification instead of stopping it.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once: a lock upgraded later fails instead of waiting its turn.
    writes = connection.get_execution_options().get("hansa_writes", False)
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
