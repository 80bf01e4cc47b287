"""`hansa join`: come into a federation by an invitation."""

from pathlib import Path

import click

from hansa.agents.admission.invite import read_invite
from hansa.agents.admission.joining import join as ask_to_join
from hansa.agents.cli.options import home_option
from hansa.agents.core.policy import allowance
from hansa.agents.home import Home
from hansa.agents.service.passphrase import unlock
from hansa.ledger import Charter
from hansa.ledger.contribution import VOLUME


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@home_option
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the keeper; the request stands after that.",
)
def join(file: Path, home: Home, wait_s: float) -> None:
    """Ask to be let in, with the invitation in FILE, and set this home up once the keeper says yes.

    It may be interrupted and run again; nothing is written before the keeper has admitted us.
    """
    invite = read_invite(file)
    identity = unlock(home)
    click.echo(f"{invite.federation}: fingerprint of the charter {invite.fingerprint}")
    click.echo(f"{identity.name}: fingerprint of our keys        {identity.public.fingerprint}")
    click.echo(f"{invite.federation}: {_terms(invite.founding())}")
    ask_to_join(home, identity, invite, wait_s=wait_s, tell=click.echo)
    click.echo(f"{identity.name} belongs to {invite.federation} now")
    click.echo(f"  it {allowance(home.config().policy)}")
    click.echo(f"next: hansa agent run --home {home.path}")


def _terms(charter: Charter) -> str:
    """Say what whoever joins agrees to about contributions and money."""
    worth = "" if charter.contribution == VOLUME else f", a model's worth being its {charter.utility}"
    approvals = f"{charter.approvals} payees" if charter.approvals else "more than half of the payees"
    measured = f"contributions count by {charter.contribution}{worth}, unless a job says otherwise"
    return f"{measured}; {approvals} approve a payout"
