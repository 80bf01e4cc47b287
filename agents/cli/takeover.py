"""`hansa ledger takeover`: have this agent keep the ledger, or agree that another does."""

import time
from typing import Any

import click

from hansa.agents.admission.succession import AbandonHistory, ApproveTakeover, ShowTakeover, TakeOver
from hansa.agents.cli.options import home_option
from hansa.agents.errors import FederationError
from hansa.agents.home import Home
from hansa.agents.service.logs import printable
from hansa.agents.service.reach import Ask, reach

POLL_S = 0.5
WARNING = (
    "what is not final in this copy is set aside, and what this agent signed of it binds it no more; a head that"
    " only others know to be final may be lost by that: compare hansa ledger checkpoints with them first"
)


@click.command()
@home_option
@click.option("--reason", default="", help="For the people at the other members.")
@click.option("--approve", metavar="NAME", help="As a witness: agree that NAME keeps the ledger.")
@click.option("--abandon", is_flag=True, help="As a witness of a fork: give up what here is not final.")
@click.option("--yes", is_flag=True, help="Abandon without asking.")
@click.option("--renew", is_flag=True, help="Begin a new epoch, though this agent keeps the ledger already.")
@click.option("--status", "only_show", is_flag=True, help="Only say how it stands.")
def takeover(
    home: Home, reason: str, approve: str | None, abandon: bool, yes: bool, renew: bool, only_show: bool
) -> None:
    """Offer this agent as keeper of the ledger, in place of one that is gone or has forked it.

    Says who is waited for, until it is done; after Ctrl-C it goes on in the running agent. The others agree by
    themselves if they hold proof against the keeper, or have not heard of it for as long as their policy says.
    """
    name = home.config().agent.name
    with reach(home) as ask:
        if approve is not None:
            _say(name, ask(ApproveTakeover(approve)))
            click.echo(
                f"{name} agrees that {approve} keeps the ledger, if its head continues what {name} has signed"
            )
        elif abandon:
            _abandon(name, ask, yes)
        elif only_show:
            _say(name, ask(ShowTakeover()))
        else:
            _follow(name, ask, ask(TakeOver(reason, renew)))


def _abandon(name: str, ask: Ask, yes: bool) -> None:
    """Give up what is not final here, if a person means it."""
    click.echo(WARNING)
    if not yes:
        click.confirm("Abandon it?", abort=True)
    _say(name, ask(AbandonHistory()))
    click.echo(f"{name} has set aside what is not final here, and may agree to another history")


def _follow(name: str, ask: Ask, told: dict[str, Any]) -> None:
    """Say what changes, until the agent keeps the ledger or has given up."""
    before = ""
    try:
        while told["candidate"]:
            lines = "\n".join(_lines(name, told))
            if lines != before:
                click.echo(lines)
            before = lines
            time.sleep(POLL_S)
            told = ask(ShowTakeover())
    except KeyboardInterrupt:
        click.echo(f"\nit goes on in the agent of {name}; to see how: hansa ledger takeover --status")
        return
    if told["keeper"] != name:
        raise FederationError(told["ended"] or f"{told['keeper']} keeps the ledger")
    click.echo(f"{name} keeps the ledger, in epoch {told['epoch']}")


def _say(name: str, told: dict[str, Any]) -> None:
    for line in _lines(name, told):
        click.echo(line)


def _lines(name: str, told: dict[str, Any]) -> list[str]:
    lines = [f"{told['keeper']} keeps the ledger, in epoch {told['epoch']}"]
    if told["candidate"]:
        lines.append(
            f"{name} wants to, in epoch {told['new_epoch']}: {len(told['agreed'])} of {told['needed']} have agreed"
            f"{_named(told['agreed'])}"
        )
        if not told["agreed"]:
            lines.append(f"  asks what the others hold of the ledger: {len(told['answered'])} have answered")
    elif told["ended"]:
        lines.append(f"{name} does not take over: {printable(told['ended'])}")
    for who, why in told["undecided"].items():
        lines.append(f"  {who}: {printable(why)}")
        lines.append(f"    a person there may type: hansa ledger takeover --approve {name}")
    lines.extend(f"  {who} will not, in this round: {printable(why)}" for who, why in told["refused"].items())
    lines.extend(f"  {who}: no answer yet" for who in told["silent"])
    for who, why in told["offers"].items():
        lines.append(f"{who} wants to keep the ledger; {name} has not agreed: {printable(why)}")
        lines.append(f"  to agree: hansa ledger takeover --approve {who}")
    return lines


def _named(names: list[str]) -> str:
    return f" ({', '.join(names)})" if names else ""
