"""Which database does an address lead to? A path is an SQLite file; a URL may also be a server's."""

from pathlib import Path

from sqlalchemy import Engine, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from hansa.ledger import postgresql, sqlite
from hansa.ledger.errors import StoreError


def read_address(url_or_path: str | Path, password: str | None) -> URL:
    """Return the URL that is meant; StoreError, without any secret in it, if it can't be one.

    Args:
        password: of the URL's user, if it does not stand in the URL.
    """
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


def engine_for(url: URL, read_only: bool = False) -> Engine:
    """Return an engine for a URL; `read_only` is for servers. StoreError if there is no driver for it."""
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
