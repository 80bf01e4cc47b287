"""Which home does a command work with? The same option for all of them."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from hansa.agents.errors import HomeError
from hansa.agents.home import Home, find_homes

Command = TypeVar("Command", bound=Callable[..., Any])

# For a command that can do without a home: argument `home`, a Path.
folder_option = click.option(
    "--home",
    "home",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("."),
    show_default=True,
    envvar="HANSA_HOME",
    show_envvar=True,
    help="The agent's folder.",
)


# For a command that reads one or several homes: argument `folder`, a Path.
folder_argument = click.argument(
    "folder", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path(".")
)


def home_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--home` and, as argument `home`, the `Home` it names; HomeError if there is none."""

    @folder_option
    @wraps(command)
    def with_home(*arguments: Any, home: Path, **options: Any) -> Any:
        return command(*arguments, home=find_home(home), **options)

    return with_home


def first_whole(folder: Path) -> Home:
    """Return the first home in a folder, or one level below, that lacks nothing; HomeError if there is none."""
    homes = find_homes(folder)
    return next((home for home in homes if not home.missing()), homes[0])


def find_home(folder: Path) -> Home:
    """Return the home in a folder; HomeError says what is missing and how to get one."""
    home = Home(folder)
    missing = [name for name in home.missing() if not name.endswith(".sqlite")]
    if missing:
        raise HomeError(
            f"{folder}: no agent's home: {' and '.join(missing)} missing; name one with --home, or `hansa init` one"
        )
    return home
