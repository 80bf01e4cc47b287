"""How is a ledger reached that lies in an SQLite file?

In WAL mode, waiting for the disk at every commit (synchronous=FULL). A writer takes the file's lock at once and
waits `BUSY_S` for another one to commit.
"""

import os
import sqlite3
import threading
import time
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.pool import ConnectionPoolEntry

from hansa.ledger.errors import StoreCorrupt, StoreError

BUSY_S = 30.0  # how long a writer waits for another one to commit
RETRY_S = 0.005

_MAKING = threading.Lock()


def path_of(url: URL) -> Path | None:
    """Return the file behind a URL; None for memory and for servers."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))


def engine_for(url: URL) -> Engine:
    """Return an engine for a file, or for a database in memory."""
    path = path_of(url)
    if path is None:  # one database in memory is one connection
        engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    else:
        engine = create_engine(url, connect_args={"timeout": BUSY_S})
        event.listen(engine, "do_connect", lambda *_: _make_private(path))
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def reading_engine(url: URL, uri: str) -> Engine:
    """Return an engine for what a `read_only_uri` leads to."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, timeout=BUSY_S, check_same_thread=False)

    engine = create_engine(url, creator=connect)
    event.listen(engine, "connect", _prepare_reading)
    event.listen(engine, "begin", _begin)
    return engine


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


def failure(address: str, error: Exception) -> StoreError:
    """Return what an error of the driver means: SQLite's "not a database" and "malformed" are damage.

    So is a schema whose names are not UTF-8, over which SQLAlchemy stumbles.
    """
    words = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, OperationalError | ProgrammingError | sqlite3.OperationalError):
        return StoreError(f"{address}: {words}")
    return StoreCorrupt(f"{address}: {words}")


def _make_private(path: Path) -> None:
    """Make the file that SQLite would make with the umask's mode; -wal and -shm take the mode of their file.

    One that is there keeps its mode: somebody may have let a reader in. And it is not opened here: closing it would
    drop the locks that SQLite holds on it anywhere in this process (fcntl(2)), which is why one makes it at a time.
    """
    with _MAKING, suppress(OSError):  # SQLite says better what is wrong
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _prepare(connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
    _prepare_reading(connection, entry)
    switch_to_wal(connection)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def switch_to_wal(connection: sqlite3.Connection) -> None:
    """Have a new file written with a log; SQLite does not wait by itself for others that do the same."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(RETRY_S)
        else:
            return


def _prepare_reading(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions are begun below, not guessed by the driver
    # Text that is not UTF-8 is an attacker's; it must reach verification instead of stopping it.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")


def _begin(connection: Connection) -> None:
    # A writer takes its lock at once: a lock upgraded later fails instead of waiting its turn.
    writes = connection.get_execution_options().get("hansa_writes", False)
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
