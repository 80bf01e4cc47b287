"""`hansa federation rotate-keys | revoke-key`: other keys, and keys that count no longer."""

from pathlib import Path

import click

from hansa.agents.admission.rekeying import RevokeKey, RotateKeys, prepare_keys, put_in_place
from hansa.agents.cli.options import home_option
from hansa.agents.home import Home
from hansa.agents.service.passphrase import unlock_with
from hansa.agents.service.reach import reach

ORDER_S = 60.0


@click.command()
@home_option
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Holds the passphrase of the keys, if they have one; the new keys get the same.",
)
@click.option(
    "--revoke-old", metavar="REASON", help="The old keys may be known to others: they count no longer."
)
def rotate_keys(home: Home, passphrase_file: Path | None, revoke_old: str | None) -> None:
    """Replace this agent's keys; the ledger says so, and its agent goes on with them.

    What was sent under the old keys still counts for as long as messages may take, unless --revoke-old.
    """
    identity, passphrase = unlock_with(home, passphrase_file)
    fresh = prepare_keys(home, identity)
    with reach(home) as ask:
        told = ask(RotateKeys(), ORDER_S)
    if not told["chained"]:
        raise click.ClickException(
            f"{told['keeper']} has not booked the new keys yet; type this again when its agent runs"
        )
    put_in_place(home, fresh, passphrase)
    click.echo(f"{identity.name}: new keys, on the ledger and in {home.path}")
    click.echo(f"their fingerprint: {fresh.public.fingerprint}")
    if revoke_old is not None:
        _revoke(home, RevokeKey(identity.name, revoke_old, former=True))
    click.echo("an older backup of this home holds the old keys: make a new one (hansa backup)")


@click.command()
@click.argument("member")
@home_option
@click.option("--reason", required=True, help="For the ledger: everybody reads it.")
@click.option("--former", is_flag=True, help="The keys it had before its present ones; it stays a member.")
@click.option("--yes", is_flag=True, help="Don't ask.")
def revoke_key(member: str, home: Home, reason: str, former: bool, yes: bool) -> None:
    """Have nothing count any more that is signed with MEMBER's keys: they were stolen, say.

    MEMBER itself may do this, or the keeper. Without --former it can speak no more until it is invited again.
    """
    if not yes:
        click.confirm(f"Shall nothing count any more that is signed with {member}'s keys?", abort=True)
    _revoke(home, RevokeKey(member, reason, former))


def _revoke(home: Home, order: RevokeKey) -> None:
    with reach(home) as ask:
        chained = bool(ask(order, ORDER_S)["chained"])
    which = "former keys" if order.former else "keys"
    told = "revoked; the ledger says so" if chained else "revoked as soon as the keeper books it"
    click.echo(f"{order.member}: {which} {told}")
