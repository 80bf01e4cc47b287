"""`hansa broker`: what whoever runs the broker does for a federation."""

import secrets
from pathlib import Path

import click

from hansa.agents.cli.management import VARIABLE, management_options
from hansa.agents.errors import FederationError
from hansa.agents.home import read_secret, write_whole
from hansa.agents.registrar import PASSWORD_BYTES
from hansa.broker import Account, Management, commands
from hansa.broker import provision as build
from hansa.broker import withdraw as remove

federation_option = click.option("--federation", required=True, help="Its name.")
agents_option = click.option(
    "--agent", "agents", multiple=True, required=True, help="Its name; may be given again."
)
folder_option = click.option(
    "--password-dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where passwords are kept, one file AGENT.password each (mode 0600); those that are there are used again.",
)


@click.group()
def broker() -> None:
    """Give a federation its place on a RabbitMQ broker, by the management API or by lines to type."""


@broker.command()
@federation_option
@agents_option
@folder_option
@management_options
def provision(
    federation: str, agents: tuple[str, ...], folder: Path | None, management: Management | None
) -> None:
    """Build virtual host, exchange, policies and, for each agent, queues, user and permissions; again is fine."""
    accounts = _accounts(agents, folder)
    build(_required(management), federation, accounts)
    for account in accounts:
        if folder is None:
            click.echo(f"{account.agent}: provisioned; password (shown this once): {account.password}")
        else:
            click.echo(f"{account.agent}: provisioned; password in {folder / account.agent}.password")


@broker.command("commands")
@federation_option
@agents_option
@folder_option
@click.option("--administrator", default="guest", show_default=True, help="The broker's user who types them.")
def show_commands(federation: str, agents: tuple[str, ...], folder: Path | None, administrator: str) -> None:
    """Print what somebody types to the same effect: rabbitmqctl and rabbitmqadmin, passwords included."""
    for line in commands(federation, _accounts(agents, folder), administrator):
        click.echo(line)


@broker.command()
@federation_option
@agents_option
@management_options
def withdraw(federation: str, agents: tuple[str, ...], management: Management | None) -> None:
    """Remove agents' users and queues, with what is in them."""
    for agent in agents:
        remove(_required(management), federation, agent)
        click.echo(f"{agent}: gone from the broker")


def _required(management: Management | None) -> Management:
    if management is None:
        raise FederationError(f"name the broker's management API: --management URL or {VARIABLE}")
    return management


def _accounts(agents: tuple[str, ...], folder: Path | None) -> list[Account]:
    """Return each agent with its password: the one in its file, or a fresh one, kept there."""
    accounts = []
    for agent in agents:
        kept = None if folder is None else folder / f"{agent}.password"
        if kept is not None and kept.exists():
            accounts.append(Account(agent, read_secret(kept)))
            continue
        account = Account(agent, secrets.token_urlsafe(PASSWORD_BYTES))
        if kept is not None:
            kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(kept, account.password + "\n")
        accounts.append(account)
    return accounts
