"""`hansa init`: a home for a new agent."""

from pathlib import Path

import click

from hansa.agents.home import CONFIG, Home, read_secret
from hansa.agents.template import new_config
from hansa.broker import Identity

ROLES = ("party", "aggregator", "arbiter")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", required=True, help="Of the agent: 1 to 40 of a-z, 0-9 and '-'.")
@click.option("--organisation", default="", help="For people: whose agent it is.")
@click.option(
    "--role",
    "roles",
    type=click.Choice(ROLES),
    multiple=True,
    default=("party",),
    show_default=True,
    help="What it does for the federation; may be given again.",
)
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Protect the keys with the passphrase in this file (mode 0600), too.",
)
def init(
    folder: Path, name: str, organisation: str, roles: tuple[str, ...], passphrase_file: Path | None
) -> None:
    """Make an agent's home in FOLDER: new keys, and an agent.toml to fill in."""
    passphrase = None if passphrase_file is None else read_secret(passphrase_file).encode()
    identity = Identity.generate(name)
    Home.create(folder, identity, new_config(name, organisation, roles), passphrase)
    click.echo(f"{name}: home made in {folder}")
    click.echo(f"fingerprint of its keys: {identity.public.fingerprint}")
    click.echo(f"next: name your data sets and policy in {folder / CONFIG}, then")
    founder = "aggregator" in roles
    click.echo(
        "  to come into a federation, with the invite file that it sent you" + (", or" if founder else "")
    )
    click.echo(f"    hansa join FILE --home {folder}")
    if founder:
        click.echo("  to found one, at a broker that all its members reach")
        click.echo(f"    hansa federation create NAME --broker amqps://HOST:PORT --home {folder}")
