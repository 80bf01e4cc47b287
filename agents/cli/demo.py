"""`hansa demo`: the main job on real data, on this machine alone or over a broker; and its data, to try by hand."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from hansa.agents.cli.management import VARIABLE

F = TypeVar("F", bound=Callable[..., Any])

seed_option = click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=7,
    show_default=True,
    help="Of the split, and of the training.",
)


replace_option = click.option("--replace", is_flag=True, help="Remove an earlier demo's folder first.")
pot_option = click.option(
    "--pot", default="10000.00", show_default=True, help="EUR to share out by contribution."
)


def folder_option(default: str) -> Callable[[F], F]:
    """Return the option for the demo's folder."""
    return click.option(
        "--folder",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path(default),
        show_default=True,
        help="Where the agents' homes and the ledger are left.",
    )


@click.group()
def demo() -> None:
    """See hansa at work on real data."""


@demo.command()
@folder_option("hansa-demo")
@replace_option
@seed_option
@pot_option
@click.option(
    "--broker",
    metavar="URL",
    help="amqp://user:password@host:port of a RabbitMQ: every agent is a process, and that is between them.",
)
@click.option(
    "--management",
    envvar=VARIABLE,
    show_envvar=True,
    metavar="URL",
    help="The broker's management API; without it, the broker's host and user at port 15672.",
)
def horizontal(
    folder: Path, replace: bool, seed: int, pot: str, broker: str | None, management: str | None
) -> None:
    """Four parties train on digits (non-IID), first a softmax model, then a two-layer network."""
    if broker is not None:
        from hansa.agents.demo.network import run_demo_over

        run_demo_over(broker, management, folder, replace=replace, seed=seed, pot=pot, console=Console())
        return
    from hansa.agents.demo.horizontal import run_demo  # loads scikit-learn, which no other command needs

    run_demo(folder, replace=replace, seed=seed, pot=pot, console=Console())


@demo.command()
@folder_option("hansa-demo-vertical")
@replace_option
@seed_option
@pot_option
def vertical(folder: Path, replace: bool, seed: int, pot: str) -> None:
    """A bank and a shop train on columns of the same customers, a clinic with two hosts; an arbiter has the key."""
    from hansa.agents.demo.vertical import run_demo  # loads scikit-learn, as above

    run_demo(folder, replace=replace, seed=seed, pot=pot, console=Console())


@demo.command()
@folder_option("hansa-demo-lending")
@replace_option
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=7, show_default=True, help="Of who borrows where."
)
def lending(folder: Path, replace: bool, seed: int) -> None:
    """Five banks find who borrows at three or more of them, each among its own customers only."""
    from hansa.agents.demo.lending import run_demo

    run_demo(folder, replace=replace, seed=seed, console=Console())


@demo.command()
@folder_option("hansa-demo-fork")
@replace_option
@seed_option
def fork(folder: Path, replace: bool, seed: int) -> None:
    """The ledger's keeper shows two histories: it is caught, another takes over, and an outsider audits."""
    from hansa.agents.demo.fork import run_demo  # loads scikit-learn, as above

    run_demo(folder, replace=replace, seed=seed, console=Console())


@demo.command()
@folder_option("hansa-demo-incentive")
@replace_option
@seed_option
@pot_option
def incentive(folder: Path, replace: bool, seed: int, pot: str) -> None:
    """Six parties, a free rider and a poisoner among them: who is paid what by which method, and who can cheat."""
    from hansa.agents.demo.incentive import run_demo  # loads scikit-learn, as above

    run_demo(folder, replace=replace, seed=seed, pot=pot, console=Console())


@demo.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--of",
    type=click.Choice(["digits", "customers"]),
    default="digits",
    show_default=True,
    help="Rows of the same columns, or columns of the same customers.",
)
@seed_option
def data(folder: Path, of: str, seed: int) -> None:
    """Write the parties' tables, as the demos split them, to FOLDER/PARTY: digits.csv, or customers.csv."""
    if of == "digits":
        from hansa.agents.demo.digits import write_data  # loads scikit-learn, as above
    else:
        from hansa.agents.demo.vertical import write_data
    written = write_data(folder, seed)
    for file, rows in written.items():
        click.echo(f"{file}: {rows} rows")
    first, target = shlex.quote(str(next(iter(written)))), "digit" if of == "digits" else "diagnosis"
    click.echo(f"next: hansa data add {first} --name {of} --target {target} --home HOME")
