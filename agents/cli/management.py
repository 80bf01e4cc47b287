"""Where is the broker's management API, and who administers it? The same options for every command that asks."""

import ssl
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from hansa.agents.errors import FederationError
from hansa.agents.home import read_secret
from hansa.broker import Management

VARIABLE = "HANSA_MANAGEMENT"


administrator_option = click.option(
    "--administrator", default="guest", show_default=True, help="The broker's user who types printed lines."
)


def management_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--management` and `--management-ca` and, as `management`, what they name, or None."""

    @click.option(
        "--management",
        "address",
        envvar=VARIABLE,
        show_envvar=True,
        metavar="URL",
        help="The broker's management API, http(s)://user:password@host:port, or @FILE (mode 0600) that holds it: "
        "other users of this machine can read what stands on a command line.",
    )
    @click.option(
        "--management-ca",
        "authority",
        type=click.Path(path_type=Path, dir_okay=False),
        help="PEM of who vouches for it over https, if not the system's authorities.",
    )
    @wraps(command)
    def with_management(*arguments: Any, address: str | None, authority: Path | None, **options: Any) -> Any:
        management = None if not address else open_management(address, authority)
        return command(*arguments, management=management, **options)

    return with_management


def open_management(address: str, authority: Path | None = None) -> Management:
    """Return the API that a URL, or a file with one, names.

    Raises:
        FederationError: no such URL; the text never repeats the password.
        HomeError: the file is missing, or others can read it.
    """
    if address.startswith("@"):
        address = read_secret(Path(address[1:]))
    try:
        context = None if authority is None else ssl.create_default_context(cafile=authority)
        return Management.from_url(address, context)
    except ValueError as error:
        raise FederationError(str(error)) from None
    except ssl.SSLError as error:
        raise FederationError(f"{authority}: no file of certificates: {error}") from None
