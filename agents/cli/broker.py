"""`hansa broker`: what whoever runs the broker does for a federation."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from hansa.agents.admission.registrar import PASSWORD_BYTES
from hansa.agents.cli.management import VARIABLE, administrator_option, management_options
from hansa.agents.cli.options import find_home
from hansa.agents.errors import ConfigError, FederationError
from hansa.agents.home import Home, read_secret, write_whole
from hansa.agents.jobs.follow import read_standing
from hansa.broker import Account, Management, commands
from hansa.broker import provision as build
from hansa.broker import withdraw as remove
from hansa.broker.layout import check_member
from hansa.broker.provision import check_new

federation_option = click.option("--federation", required=True, help="Its name.")
agents_option = click.option(
    "--agent", "agents", multiple=True, required=True, help="Its name; may be given again."
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which accounts a federation shall have on the broker.

    Attributes:
        owner: fingerprint of its keeper's first keys; "" if we can't know.
        fresh: where passwords made just now are to be kept, by agent.
        kept_in: what to say of where each agent's password is; none: it is shown.
    """

    federation: str
    owner: str
    accounts: tuple[Account, ...]
    fresh: dict[str, Path]
    kept_in: dict[str, Path]

    def keep(self) -> None:
        """Write down the passwords that were made just now."""
        for account in self.accounts:
            if account.agent in self.fresh:
                path = self.fresh[account.agent]
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_whole(path, account.password + "\n")


def wanted_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the ways to name accounts and, as `wanted`, what they name."""

    @click.option("--federation", help="Its name.")
    @click.option("--agent", "agents", multiple=True, help="Its name; may be given again.")
    @click.option(
        "--home",
        "folder",
        type=click.Path(path_type=Path, file_okay=False),
        help="Instead: the agent that lives here, with its own password, and its federation.",
    )
    @click.option(
        "--password-dir",
        "passwords",
        type=click.Path(path_type=Path, file_okay=False),
        help="Where passwords are kept, one file AGENT.password each (mode 0600); those there are used again.",
    )
    @click.option(
        "--reset-password", "reset", is_flag=True, help="Change the passwords of users that are there."
    )
    @wraps(command)
    def with_wanted(
        *arguments: Any,
        federation: str | None,
        agents: tuple[str, ...],
        folder: Path | None,
        passwords: Path | None,
        reset: bool,
        **options: Any,
    ) -> Any:
        if folder is not None:
            if federation or agents or passwords or reset:
                raise click.UsageError("--home says all: give it alone")
            wanted = _of_home(find_home(folder))
        elif federation and agents:
            wanted = _named(federation, agents, passwords, reset)
        else:
            raise click.UsageError("name the accounts: --federation and --agent, or --home")
        return command(*arguments, wanted=wanted, **options)

    return with_wanted


@click.group()
def broker() -> None:
    """Give a federation its place on a RabbitMQ broker, by the management API or by lines to type."""


@broker.command()
@wanted_options
@management_options
def provision(wanted: Wanted, management: Management | None) -> None:
    """Build virtual host, exchange, policies and, for each agent, queues, user and permissions.

    Again is fine; but a user that is there keeps its password, unless --reset-password says otherwise.
    """
    management = _required(management)
    check_new(management, wanted.federation, wanted.accounts)
    wanted.keep()
    build(management, wanted.federation, wanted.accounts, wanted.owner)
    for account in wanted.accounts:
        file = wanted.kept_in.get(account.agent)
        told = f"password in {file}" if file else f"password (shown this once): {account.password}"
        click.echo(f"{account.agent}: provisioned; {told}")


@broker.command("commands")
@wanted_options
@administrator_option
def show_commands(wanted: Wanted, administrator: str) -> None:
    """Print what somebody types to the same effect: rabbitmqctl and rabbitmqadmin, passwords included."""
    wanted.keep()
    for line in commands(wanted.federation, wanted.accounts, administrator, wanted.owner):
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


def _of_home(home: Home) -> Wanted:
    """Return the account of the agent that lives in a home, with the password it has there."""
    config = home.config()
    name, federation = config.agent.name, config.federation.id
    if config.broker is None or config.broker.password_file is None:
        raise ConfigError(f"{home.path}: agent.toml names no broker.password_file, so there is no password")
    file = home.path / config.broker.password_file
    owner = read_standing(home).charter.keeper.fingerprint
    return Wanted(federation, owner, (Account(name, read_secret(file)),), {}, {name: file})


def _named(federation: str, agents: tuple[str, ...], folder: Path | None, reset: bool) -> Wanted:
    """Return accounts by name, each with the password in its file or a fresh one."""
    accounts: list[Account] = []
    fresh: dict[str, Path] = {}
    files = {} if folder is None else {agent: folder / f"{check_member(agent)}.password" for agent in agents}
    for agent in agents:
        file = files.get(agent)
        if file is not None and file.exists():
            accounts.append(Account(agent, read_secret(file)))
            continue
        accounts.append(Account(agent, secrets.token_urlsafe(PASSWORD_BYTES), anew=not reset))
        if file is not None:
            fresh[agent] = file
    return Wanted(federation, "", tuple(accounts), fresh, files)
