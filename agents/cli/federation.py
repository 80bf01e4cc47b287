"""`hansa federation`: found one, invite, admit and suspend members, leave."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import click

from hansa.agents.admission.founding import found
from hansa.agents.admission.invite import bare_url, load_invite, write_invite
from hansa.agents.admission.membership import (
    ARRIVED_S,
    Admit,
    AwaitArrival,
    CloseInvite,
    ForgetDoors,
    Leave,
    OpenInvite,
    Reinstate,
    Reject,
    ShowApplicant,
    ShuttableDoors,
    Suspend,
)
from hansa.agents.admission.roster import Row, read_roster
from hansa.agents.admission.settling import read_ca
from hansa.agents.cli.keys import revoke_key, rotate_keys
from hansa.agents.cli.management import administrator_option, management_options
from hansa.agents.cli.options import home_option
from hansa.agents.errors import ConfigError, FederationError
from hansa.agents.home import Home
from hansa.agents.service.logs import printable
from hansa.agents.service.passphrase import unlock
from hansa.agents.service.reach import Ask, reach
from hansa.broker import Account, Management, commands, provision, withdraw
from hansa.broker.provision import claim, member_commands
from hansa.ledger.contribution import METHODS, VOLUME

ORDER_S = 60.0  # an admission waits for the chain and for the joiner
TYPE_THEM = (
    "# On the broker's node, and with rabbitmqadmin of its management plugin (passwords stand in the lines):"
)


@click.group()
def federation() -> None:
    """Found a federation, let members in and out, or leave one."""


federation.add_command(rotate_keys)
federation.add_command(revoke_key)


@federation.command()
@click.argument("name")
@home_option
@click.option("--broker", required=True, metavar="URL", help="amqp(s)://host:port, as this agent reaches it.")
@click.option(
    "--ca", type=click.Path(path_type=Path, dir_okay=False), help="PEM of who vouches for the broker."
)
@click.option("--purpose", default="", help="What it is for; stands in the charter.")
@click.option(
    "--successor", default="", metavar="NAME", help="May take over while it is the only other member."
)
@click.option(
    "--cosigners",
    type=click.IntRange(min=0),
    default=0,
    help="How many others make a head of the ledger final; 0: more than half.",
)
@click.option(
    "--contribution",
    type=click.Choice(METHODS),
    default=VOLUME,
    show_default=True,
    help="How jobs measure contributions that don't say it themselves.",
)
@click.option(
    "--utility",
    type=click.Choice(("score", "loss")),
    default="score",
    show_default=True,
    help="What models of coalitions are worth: their score, or their loss with the sign turned.",
)
@click.option(
    "--approvals",
    type=click.IntRange(min=0),
    default=0,
    help="How many of those whom a payout pays must approve it; 0: more than half.",
)
@administrator_option
@management_options
def create(
    name: str,
    home: Home,
    broker: str,
    ca: Path | None,
    purpose: str,
    successor: str,
    cosigners: int,
    contribution: str,
    utility: Literal["score", "loss"],
    approvals: int,
    administrator: str,
    management: Management | None,
) -> None:
    """Found the federation NAME: its charter and ledger, here; its place on the broker, there.

    Without --management, the lines are printed that somebody who runs the broker types.
    """
    identity = unlock(home)
    owner = identity.public.fingerprint

    def provide(account: Account) -> None:
        if management is not None:
            claim(management, name, account, owner)
        else:
            _print(commands(name, [account], administrator, owner))

    try:
        fingerprint = found(
            home,
            identity,
            name,
            broker,
            provide,
            purpose=purpose,
            ca=read_ca(ca),
            successor=successor,
            cosigners=cosigners,
            contribution=contribution,
            utility=utility,
            approvals=approvals,
        )
    except ValueError as error:
        raise FederationError(str(error)) from None
    if management is None:
        click.echo(f"# To see these lines again: hansa broker commands --home {home.path}")
    click.echo(f"{name}: founded; {home.config().agent.name} keeps its ledger")
    click.echo(f"fingerprint of the charter: {fingerprint}")
    click.echo("next: hansa agent run, and hansa federation invite MEMBER")


@federation.command()
@click.argument("member")
@home_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; MEMBER.invite otherwise.",
)
@click.option("--hours", type=float, default=72.0, show_default=True, help="How long it holds.")
@click.option("--admit", "automatic", is_flag=True, help="Let it in as soon as it asks, without a person.")
@click.option(
    "--broker-url", metavar="URL", help="amqp(s)://host:port as the member reaches it, if not as we do."
)
@click.option(
    "--ca", type=click.Path(path_type=Path, dir_okay=False), help="PEM of who vouches for that address."
)
@management_options
def invite(
    member: str,
    home: Home,
    out: Path | None,
    hours: float,
    automatic: bool,
    broker_url: str | None,
    ca: Path | None,
    management: Management | None,
) -> None:
    """Write an invitation for MEMBER: one file that lets its agent ask to be let in.

    It replaces an earlier one. Without --management, the lines are printed that somebody who runs the broker types.
    """
    target = out or Path(f"{member}.invite")
    if target.exists():
        raise FederationError(f"{target} exists; name another file with --out, or remove it")
    config = home.config()
    name = config.federation.id
    broker, authority = _broker(home, broker_url, ca)
    with reach(home) as ask:
        shuttable = ask(ShuttableDoors())["doors"]
        told = ask(OpenInvite(member, hours, automatic, broker, authority), ORDER_S)
        door = Account(told["door"], told["door_password"], door_to=config.agent.name)
        try:
            if management is not None and told["again"]:
                withdraw(management, name, member)  # mail to the keys it had before
            accounts = [door, Account(member, told["member_password"])]
            if management is not None:
                owner = load_invite(told["file"]).founder().fingerprint
                provision(management, name, accounts, owner)
            else:
                _print(member_commands(name, accounts))
            write_invite(target, told["file"])
        except BaseException:
            ask(CloseInvite(member))
            raise
        _shut(ask, management, name, shuttable)
    until = _time(told["expires_ms"])
    replaced = "; the earlier one holds no longer" if told["replaced"] else ""
    click.echo(f"{target}: invitation of {member} until {until} UTC{replaced}", err=management is None)
    click.echo(f"fingerprint of the charter: {told['fingerprint']}", err=management is None)
    click.echo("hand the file over by a way that is safe: it holds a secret", err=management is None)


@federation.command("withdraw-invite")
@click.argument("member")
@home_option
@management_options
def withdraw_invite(member: str, home: Home, management: Management | None) -> None:
    """Take back the invitation of MEMBER, if nobody has been admitted by it."""
    with reach(home) as ask:
        ask(CloseInvite(member))
        _shut(ask, management, home.config().federation.id, ask(ShuttableDoors())["doors"])
    click.echo(f"{member}: the invitation holds no longer")


@federation.command()
@click.argument("member")
@home_option
@click.option("--yes", is_flag=True, help="Don't ask: the fingerprint was compared.")
@click.option("--reject", "reason", metavar="REASON", help="Turn it away instead, and say why.")
@management_options
def admit(member: str, home: Home, yes: bool, reason: str | None, management: Management | None) -> None:
    """Let in MEMBER, who asks with an invitation; its keys' fingerprint is shown before."""
    name = home.config().federation.id
    with reach(home) as ask:
        shuttable = ask(ShuttableDoors())["doors"]
        if reason is not None:
            ask(Reject(member, reason), ORDER_S)
            click.echo(f"{member}: turned away")
            _shut(ask, management, name, shuttable)
            return
        told = ask(ShowApplicant(member), ORDER_S)
        whose = f" ({printable(told['organisation'])})" if told["organisation"] else ""
        click.echo(f"{member}{whose} asks since {_time(told['since_ms'])} UTC with keys of the fingerprint")
        click.echo(f"  {told['fingerprint']}")
        if not yes:
            click.confirm("Is that what its operator reads to you?", abort=True)
        ask(Admit(member, told["fingerprint"]), ORDER_S)
        click.echo(f"{member}: admitted; waiting up to {ARRIVED_S:.0f} s for it to fetch its answer")
        if ask(AwaitArrival(member), ORDER_S)["arrived"]:
            shuttable = ask(ShuttableDoors())["doors"]
        else:
            click.echo(
                f"{member} has not fetched its answer yet; `hansa join` does, until the invitation expires"
            )
        _shut(ask, management, name, shuttable)


@federation.command()
@home_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def members(home: Home, as_json: bool) -> None:
    """List who belongs to the federation, by this home's copy of the ledger; at the keeper, who is invited too."""
    roster = read_roster(home, unlock)
    rows = roster.rows
    if as_json:
        for row in rows:
            click.echo(json.dumps(row.as_json()))
        return
    width = max((len(row.name) for row in rows), default=0)
    for row in rows:
        click.echo(_describe(row, width))
    if roster.keeper != home.config().agent.name:
        copy = f"this home's copy of the ledger, as of entry {roster.entries - 1}"
        click.echo(f"({copy}: the agent fetches newer ones from {roster.keeper} while it runs)")


@federation.command()
@click.argument("member")
@home_option
@click.option("--reason", required=True, help="Stands on the ledger.")
def suspend(member: str, home: Home, reason: str) -> None:
    """Have everybody refuse what MEMBER says, until it is reinstated."""
    with reach(home) as ask:
        ask(Suspend(member, reason), ORDER_S)
    click.echo(f"{member}: suspended")


@federation.command()
@click.argument("member")
@home_option
def reinstate(member: str, home: Home) -> None:
    """Let MEMBER, who was suspended, take part again."""
    with reach(home) as ask:
        ask(Reinstate(member), ORDER_S)
    click.echo(f"{member}: reinstated")


@federation.command()
@home_option
@click.option("--yes", is_flag=True, help="Don't ask.")
def leave(home: Home, yes: bool) -> None:
    """Take part no longer: leave the jobs under way, and say so on the ledger."""
    config = home.config()
    name, federation_id = config.agent.name, config.federation.id
    if not yes:
        click.confirm(f"Shall {name} leave {federation_id} for good?", abort=True)
    with reach(home) as ask:
        told = ask(Leave(), ORDER_S)
    if told["chained"]:
        click.echo(f"{name} has left {federation_id}; the ledger says so")
    else:
        click.echo(f"{name} leaves {federation_id}: {told['keeper']} books it when its agent runs")


def _print(lines: list[str]) -> None:
    """Show what somebody who runs the broker types."""
    click.echo(TYPE_THEM)
    for line in lines:
        click.echo(line)


def _shut(ask: Ask, management: Management | None, name: str, doors: list[str]) -> None:
    """Withdraw temporary users that nobody needs any more, or say that they still stand."""
    if not doors:
        return
    if management is None:
        click.echo(
            f"temporary users still at the broker: {', '.join(doors)}; "
            "with --management the next invite or admit withdraws them",
            err=True,
        )
        return
    for door in doors:
        withdraw(management, name, door)
    ask(ForgetDoors(tuple(doors)))


def _broker(home: Home, url: str | None, ca: Path | None) -> tuple[str, str]:
    """Return the address for the joiner, and who vouches for it: ours, unless another is named."""
    section = home.config().broker
    if section is None:
        raise ConfigError(f"{home.path}: agent.toml has no [broker]: `hansa federation create` writes it")
    if url is not None:
        return url, read_ca(ca)
    ours = None if section.ca_file is None else home.path / section.ca_file
    return bare_url(section.url), read_ca(ca or ours)


def _describe(row: Row, width: int) -> str:
    whose = f"  {printable(row.organisation)}" if row.organisation else ""
    since = "" if row.since_ms is None else f"  since {_time(row.since_ms)} UTC"
    until = "" if row.until_ms is None else f"  until {_time(row.until_ms)} UTC"
    key = f"  {row.fingerprint[:16]}" if row.fingerprint else ""
    return f"{row.name:<{width}}  {row.status:<9}{key}{since}{until}{whose}"


def _time(time_ms: Any) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
