"""Which rows does a database give? The answer to one statement that only reads, in the order of its ids.

A query has no order of its own, and databases sort text each in their own way; so the rows are put in order
here, and a data set's commitment depends on its content alone. That the statement only reads is seen to: SQLite
opens the file for reading and refuses all but SELECT; PostgreSQL gets the query as a subquery, in a transaction
that is READ ONLY. Nothing waits for ever, and no message repeats a password.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from hansa.agents.data.tables import Table, check_names
from hansa.agents.errors import DataError

CONNECT_S = 10
SQLITE_STEPS = 10_000  # virtual machine instructions between two looks at the clock

_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_SECRETS = ("password", "sslpassword", "passfile")  # that may stand in an address's query
_TIMED_OUT = ("57014", "SQLITE_INTERRUPT")
_WORDS = {bool: "booleans", int: "numbers", float: "numbers", Decimal: "numbers", str: "text", UUID: "text"}

Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask.

    Args:
        sql: one statement that only reads; a semicolon at its end does no harm.
        id: the column by which the rows are ordered.
        timeout_s: the longest that the answer may take.
    """

    sql: str
    id: str
    timeout_s: float


def database_url(text: str, home: Path, password: str | None = None) -> URL:
    """Return a database's address, with its password; a relative SQLite path is relative to the home.

    Raises:
        DataError: no address, SQLite without a file, or two passwords.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # its text may hold a password
        raise DataError("url is not an address such as postgresql+psycopg://user@host/database") from None
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise DataError(f"{text}: names no file; write sqlite:///FILE")
        return url.set(database=str((home / str(url.database)).resolve()))
    if password is None:
        return url
    if url.password is not None:
        raise DataError(f"{shown(url)}: a password in the url and a password_file; leave the url's out")
    return url.set(password=password)


def shown(url: URL) -> str:
    """Return an address for people: without password and parameters."""
    bare = URL.create(url.drivername, url.username, host=url.host, port=url.port, database=url.database)
    return bare.render_as_string()


def read_query(name: str, url: URL, question: Question) -> Table:
    """Ask a database; return its rows, ordered by the text of their ids and counted from 1.

    Args:
        name: of the data set, for messages.

    Raises:
        DataError: the database can't be reached or refuses; the query doesn't read, or takes too long; no rows;
            a column without a name, with another's, or with values that are neither numbers, booleans nor text.
    """
    source = f"{shown(url)}, query of data set {name!r} in the order of {question.id!r}"
    with _clear_failures(source, url, question):
        engine = _engine(url, question.timeout_s)
        try:
            with engine.connect() as connection:
                names, rows = _answer(connection, question)
        finally:
            engine.dispose()
    check_names(names, source)
    if not rows:
        raise DataError(f"{source}: no rows")
    if question.id in names:
        place = names.index(question.id)
        rows = sorted(rows, key=lambda row: "" if row[place] is None else str(row[place]).strip())
    columns = [
        _column(column, values, source) for column, values in zip(names, zip(*rows, strict=True), strict=True)
    ]
    return Table(pl.DataFrame(columns), source, 1)


def time_limit(timeout_s: float) -> str:
    """Return the statement by which PostgreSQL gives up after a time."""
    return f"SET LOCAL statement_timeout = {int(timeout_s * 1000)}"


def _engine(url: URL, timeout_s: float) -> Engine:
    if url.get_backend_name() == "sqlite":
        return create_engine(url, poolclass=NullPool, creator=_sqlite_connect(Path(str(url.database))))
    ours = {"connect_timeout": CONNECT_S, "client_encoding": "utf8", "application_name": "hansa"}
    parameters = {name: value for name, value in ours.items() if name not in url.query}
    engine = create_engine(url, poolclass=NullPool, connect_args=parameters)
    event.listen(engine, "do_connect", _postgresql_connect(timeout_s))
    return engine


def _postgresql_connect(timeout_s: float) -> Callable[..., object]:
    def connect(
        _dialect: object, _record: object, arguments: tuple[Any, ...], parameters: dict[str, Any]
    ) -> object:
        from hansa.ledger.patient import PatientConnection  # needs the driver, which is an extra

        connection = PatientConnection.connect(*arguments, **parameters)
        connection.silence_s = timeout_s + CONNECT_S  # a server that works would have given up by then
        return connection

    return connect


def _sqlite_connect(path: Path) -> Callable[[], sqlite3.Connection]:
    def connect() -> sqlite3.Connection:
        path.open("rb").close()  # SQLite would only say that it can't
        return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=CONNECT_S)

    return connect


def _answer(connection: Connection, question: Question) -> tuple[list[str], Sequence[Row]]:
    if connection.dialect.name == "sqlite":
        return _sqlite_answer(connection, question)
    connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    connection.exec_driver_sql(time_limit(question.timeout_s))
    # As a subquery it can only read; with a parameter it goes out by the protocol that takes one statement only.
    sql = question.sql.strip().rstrip(";").replace("%", "%%")
    result = connection.exec_driver_sql(f"SELECT * FROM (\n{sql}\n) AS hansa_rows WHERE %s", (True,))
    return list(result.keys()), result.fetchall()


def _sqlite_answer(connection: Connection, question: Question) -> tuple[list[str], Sequence[Row]]:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    deadline_s = time.monotonic() + question.timeout_s
    driver.set_progress_handler(lambda: time.monotonic() > deadline_s, SQLITE_STEPS)
    driver.set_authorizer(_may)
    # Not through SQLAlchemy's result: it would take the names of doubled columns apart.
    cursor = driver.execute(question.sql)
    if cursor.description is None:
        raise sqlite3.OperationalError("the query is empty")
    return [column[0] for column in cursor.description], cursor.fetchall()


def _may(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY


@contextmanager
def _clear_failures(source: str, url: URL, question: Question) -> Iterator[None]:
    """Turn what the driver raises into one line that knows no password."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise DataError(f"{source}: needs {error.name}: pip install 'hansa[postgresql]'") from None
    except OSError as error:
        raise DataError(f"{source}: {error.strerror}") from None
    except (DBAPIError, sqlite3.Error) as error:
        cause: Any = error.orig if isinstance(error, DBAPIError) else error
        if (getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)) in _TIMED_OUT:
            raise DataError(f"{source}: took longer than timeout_s = {question.timeout_s:g}") from None
        words = " ".join(str(cause).split("\nLINE ")[0].split()) or type(cause).__name__
        raise DataError(f"{source}: {_without_secrets(words, url)}{_way_out(words)}") from None


def _without_secrets(words: str, url: URL) -> str:
    found = [url.query.get(name) for name in _SECRETS]
    for secret in (url.password, *found):
        for each in (secret,) if isinstance(secret, str) else secret or ():
            words = words.replace(each, "***") if each else words
    return words


def _way_out(words: str) -> str:
    if "not authorized" in words or "authorization denied" in words:
        return " (a query may only read)"
    if "password" in words:
        return " (check the user in url, and its password_file)"
    return ""


def _column(name: str, values: Sequence[Any], source: str) -> pl.Series:
    """Return a column's values under one type; databases such as SQLite mix them."""
    kinds = set(map(type, values)) - {type(None)}
    words = {_WORDS.get(kind) for kind in kinds}
    if len(words) > 1 or None in words:
        raise DataError(f"{source}: {_odd_one(name, values)}; cast the column in the query")
    if words == {"text"}:
        return pl.Series(name, [None if value is None else str(value) for value in values], pl.String)
    if kinds & {float, Decimal}:
        return pl.Series(name, [None if value is None else float(value) for value in values], pl.Float64)
    types = {frozenset({bool}): pl.Boolean, frozenset({int}): pl.Int64}
    return pl.Series(name, values, types.get(frozenset(kinds), pl.Null))


def _odd_one(name: str, values: Sequence[Any]) -> str:
    """Say where a value stands that can't serve, or is of another kind than those before it."""
    before: str | None = None
    for row, value in enumerate(values, 1):
        word = _WORDS.get(type(value))
        if value is not None and word is None:
            return f"row {row}, column {name!r}: a {type(value).__name__} is neither number, boolean nor text"
        if value is not None and before not in (None, word):
            return f"row {row}, column {name!r}: {word} after {before}"
        before = before or word
    raise AssertionError("every value is of one kind")
