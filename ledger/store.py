"""Where do the entries lie? In a SQL database that takes new ones at the end and nothing else.

The store keeps bytes and order; whether the bytes are right is for `chain.Verifier` to say. An SQLite file
(`sqlite`) and PostgreSQL (`postgresql`) serve by their URLs; here is what they have in common. Two writers at
once can't fork the chain: the database takes one entry per index, and whoever comes second gets `HeadMoved`.
A connection lost during a commit leaves open whether it was made; the next head tells.
"""

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, insert, inspect, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from hansa.ledger import beside, postgresql, sqlite
from hansa.ledger.address import engine_for, read_address
from hansa.ledger.chain import EMPTY, ChainedEntry, Head
from hansa.ledger.checkpoints import read_checkpoint
from hansa.ledger.entry import EntryFields, read_entry
from hansa.ledger.errors import (
    BadEntry,
    BadNote,
    HeadMoved,
    StoreCorrupt,
    StoreError,
    StoreMissing,
    StoreNewer,
)
from hansa.ledger.merkle import Frontier, complete_subtrees, leaf_hash
from hansa.ledger.migrations import EARLIER_REVISIONS, HEAD_REVISION
from hansa.ledger.notes import Note
from hansa.ledger.row import StoredRow, cells_of, named
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
        url = read_address(url_or_path, password)
        engine = engine_for(url)
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
        url = read_address(url_or_path, password)
        path = sqlite.path_of(url)
        try:
            if path is None:
                engine = engine_for(url, read_only=True)
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
            rows.append(cells_of(entry, fields, b"".join(completed)))
        try:
            with self._connected(self._writer) as connection:
                connection.exec_driver_sql(self._insert, rows if self._positional else list(map(named, rows)))
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

    def add_checkpoint(self, note: Note) -> bool:
        """Keep a checkpoint and the names under it; on return they are on the disk.

        Lines under other names than the ledger's own are left out. Of two lines under one name and key the first
        one stays: whoever puts in a stranger's line has checked it.

        Returns:
            Whether anything of it was new.

        Raises:
            ValueError: the text is no checkpoint, or nobody has signed it.
            StoreError: the database refuses it.
        """
        try:
            checkpoint = read_checkpoint(note.text)
        except BadNote as error:
            raise ValueError(str(error)) from None
        own = re.compile(rf"{re.escape(checkpoint.origin)}(/[a-z0-9-]{{1,40}})?")
        lines = [line for line in note.signatures if own.fullmatch(line.name)]
        if not lines:
            raise ValueError(f"nobody has signed this checkpoint: {checkpoint}")
        with self._connected(self._writer) as connection:
            return beside.add_checkpoint(connection, checkpoint, lines)

    def checkpoints(self, start_size: int = 0, newest_first: bool = False) -> Iterator[Note]:
        """Return the checkpoints of `start_size` entries and more by size and epoch; the keeper's line comes first.

        Raises:
            StoreCorrupt: a cell is of the wrong type.
            StoreError: the database can't be read.
        """
        return beside.notes(self.reading, start_size, newest_first)

    def checkpoint(self, size: int, epoch: int) -> tuple[Note, ...]:
        """Return what the keeper of an epoch signed as a head of so many entries: two roots are a fork.

        Errors as for `checkpoints`.
        """
        with self._connected(self._engine) as connection:
            return beside.notes_at(connection, size, epoch)

    def set_aside(self, size: int) -> int:
        """Move the entries from `size` on to those that were replaced, all or none; return how many there were.

        On return they are on the disk, where `superseded` finds them.

        Raises:
            ValueError: of the charter.
            StoreError: the database refuses it.
        """
        if size < 1:
            raise ValueError(f"the charter stays: expected 1 or more entries to keep, got {size}")
        with self._connected(self._writer) as connection:
            return beside.set_aside(connection, size)

    def add_superseded(self, entries: Sequence[ChainedEntry]) -> None:
        """Keep entries that another copy of this ledger set aside; all or none, on the disk on return.

        Raises:
            MalformedEntry: one of them is none.
            StoreError: the database refuses them.
        """
        said = [read_entry(entry.signed) for entry in entries]
        with self._connected(self._writer) as connection:
            beside.add_superseded(connection, list(map(cells_of, entries, said)))

    def superseded(self) -> Iterator[ChainedEntry]:
        """Return the entries that were set aside, in the order in which they were; errors as for `read`."""
        return (self._stored(cells).entry() for cells in beside.superseded(self.reading))

    def add_evidence(self, kind: str, content: bytes) -> bool:
        """Keep a piece of evidence, which on return is on the disk; whether it proves anything is not looked at.

        Returns:
            Whether it was new.

        Raises:
            ValueError: a kind that there is not.
            StoreError: the database refuses it.
        """
        if kind not in beside.EVIDENCE_KINDS:
            raise ValueError(f"expected evidence of {', '.join(beside.EVIDENCE_KINDS)}, got {kind!r}")
        with self._connected(self._writer) as connection:
            return beside.add_evidence(connection, kind, content)

    def evidence(self) -> Iterator[tuple[str, bytes]]:
        """Return (kind, content) of the evidence, the oldest first; errors as for `checkpoints`."""
        return beside.evidence(self.reading)

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
