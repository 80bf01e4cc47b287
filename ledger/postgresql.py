"""How is a ledger reached that lies in PostgreSQL, and what does it mean when the server says no?

The driver is psycopg 3 (the extra `postgresql`), the address `postgresql+psycopg://user:password@host/database`.
A password may also stand in `~/.pgpass` or `PGPASSWORD`; it is shown nowhere. Each ledger has a database or a
schema of its own: `?options=-csearch_path%3Dbremen` leads to the schema `bremen`.

Nothing here waits for ever. The server gives up on a statement or a lock after the times below (`options` of the
address may say otherwise: `-cstatement_timeout=5min`), and a server that has fallen silent is left (`patient`).
A commit has reached the server's disk when it returns, whatever the server's own default is.
"""

import re
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from hansa.ledger.errors import StoreCorrupt, StoreError

CONNECT_S = 10  # for each host of the address
LOCK_S = 30  # how long a writer waits for another one to commit
STATEMENT_S = 60  # and for an agent frozen in the middle of its transaction

SECRETS = ("password", "sslpassword")  # that may stand in an address's query

CORRUPT = ("XX001", "XX002", "22021")  # damaged data, damaged index, text that is none

_LIMITS = (
    f"-csynchronous_commit=on -clock_timeout={LOCK_S}s -cstatement_timeout={STATEMENT_S}s"
    f" -cidle_in_transaction_session_timeout={STATEMENT_S}s"
)
# Held until the transaction ends: of several agents that find an empty schema, one makes the tables.
_MIGRATION_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('hansa.ledger'), hashtext(current_schema()))")

# What to do, by SQLSTATE.
_BY_STATE = {
    "25006": "this is a standby, or read-only: name the primary in the address",
    "3F000": "create the schema that the address names in search_path",
    "42501": "grant this user USAGE and CREATE on the ledger's schema",
    "53100": "make room on the server's disk",
    "53300": "allow more connections (max_connections), or end others",
    "55P03": "another writer holds the ledger: let it end, or end it",
    "57014": "the server is overloaded, or its statement_timeout too short",
    "57P01": "try again once it is up",
    "57P02": "try again once it is up",
    "57P03": "try again in a moment",
}
# Refused connections have no SQLSTATE, only words: the client's, or those of a server that speaks English.
_BY_WORDS = {
    "password authentication failed": "check user and password of the address",
    "no password supplied": "put it into the address, ~/.pgpass or PGPASSWORD",
    r"(database|role) \".*\" does not exist": "create it, or correct the address",
    "no pg_hba.conf entry": "let this client in, in the server's pg_hba.conf",
    "connection refused": "is PostgreSQL running there?",
    r"failed to resolve|could not translate": "correct the host in the address, or the name server",
    r"timeout expired|timed out|no route to host|network is unreachable": "is the host up, and a firewall open?",
    "the database system is": "try again in a moment",
    "server closed the connection": "try again once it is up",
    "does not support ssl": "turn TLS on at the server, or sslmode off in the address",
    "too many (clients|connections)": "allow more connections (max_connections), or end others",
}


def engine_for(url: URL, read_only: bool = False) -> Engine:
    """Return an engine whose connections are checked before use, and that gives up in time.

    Raises:
        ModuleNotFoundError: the driver is not installed.
    """
    options = [_LIMITS, *_values(url, "options")]
    if read_only:
        options.append("-cdefault_transaction_read_only=on")
    ours = {"connect_timeout": CONNECT_S, "client_encoding": "utf8", "application_name": "hansa"}
    parameters = {name: value for name, value in ours.items() if name not in url.query}
    engine = create_engine(
        url,
        connect_args={**parameters, "options": " ".join(options)},
        isolation_level="READ COMMITTED",  # what the triggers' and the head's logic counts on
        pool_pre_ping=True,
    )
    event.listen(engine, "do_connect", _connect)
    return engine


def lock_for_migration(connection: Connection) -> None:
    """Wait until nobody else makes tables in this schema; the transaction's end lets the next one in."""
    connection.execute(_MIGRATION_LOCK)


def failure(address: str, error: Exception) -> StoreError:
    """Return what an error of the driver means: one line, with the way out where it is known."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None)
    # Without what follows in further lines: the statement, or a row.
    words = str(cause).partition("\n")[0].strip()
    kind = StoreCorrupt if state in CORRUPT else StoreError
    return kind(f"{address}: {words}{_way_out(state, words)}")


def hidden(url: URL) -> str:
    """Return the address without any password in it."""
    secrets = {name: "***" for name in SECRETS if name in url.query}
    return url.update_query_dict(secrets).render_as_string(hide_password=True)


def _way_out(state: str | None, words: str) -> str:
    if state in _BY_STATE:
        return f" ({_BY_STATE[state]})"
    for pattern, advice in _BY_WORDS.items():
        if re.search(pattern, words, re.IGNORECASE):
            return f" ({advice})"
    return ""


def _values(url: URL, name: str) -> tuple[str, ...]:
    """Return the values of a query parameter, which may stand there several times."""
    value = url.query.get(name, ())
    return (value,) if isinstance(value, str) else value


def _connect(
    _dialect: object, _record: object, arguments: tuple[Any, ...], parameters: dict[str, Any]
) -> object:
    from hansa.ledger.patient import PatientConnection  # needs the driver, which is an extra

    return PatientConnection.connect(*arguments, **parameters)
