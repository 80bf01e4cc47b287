"""`hansa backup` and `hansa restore`: a home in one file, and back."""

from pathlib import Path

import click

from hansa.agents.care.backup import make_backup, restore_backup
from hansa.agents.cli.options import home_option
from hansa.agents.home import Home, read_secret

passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Holds the passphrase that the backup is sealed under (mode 0600).",
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@home_option
@passphrase_option
def backup(file: Path, home: Home, passphrase_file: Path | None) -> None:
    """Write the home into FILE: keys, configuration, journal, ledger. The agent may run meanwhile.

    Not in it: the rows of data sets, and files outside the home that agent.toml names.
    """
    made = make_backup(home, file, _passphrase(passphrase_file))
    manifest = made.manifest
    ledger = f", ledger of {manifest.entries} entries" if manifest.entries else ""
    click.echo(f"{file}: backup of {manifest.agent}, {_size(made.bytes)}{ledger}")
    for name in manifest.left_out:
        click.echo(f"not in it, since it lies outside the home: {name}", err=True)
    if made.in_clear:
        click.echo(
            f"{file} holds the keys of {manifest.agent} in clear: keep it as you keep the keys, or seal it with"
            " --passphrase-file",
            err=True,
        )


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--home",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    help="A new folder for the agent's home.",
)
@passphrase_option
@click.option(
    "--without",
    multiple=True,
    metavar="NAME",
    help="For the keeper of the ledger: a member that is gone for good, not to be asked what it holds. Repeatable.",
)
def restore(file: Path, folder: Path, passphrase_file: Path | None, without: tuple[str, ...]) -> None:
    """Make a home of the backup in FILE, in place of the one that was lost.

    The agent leaves the jobs that were open when the backup was made. See that its former self never starts again.
    """
    manifest = restore_backup(file, folder, _passphrase(passphrase_file), without=without)
    ledger = f", ledger of {manifest.entries} entries" if manifest.entries else ""
    click.echo(f"{folder}: home of {manifest.agent} as it was backed up{ledger}")
    for name in manifest.left_out:
        click.echo(f"not in the backup: {name}; put it in place", err=True)
    click.echo(f"next: hansa doctor --home {folder}; then hansa agent run --home {folder}")


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 1024:.0f} KiB"


def _passphrase(file: Path | None) -> bytes | None:
    return None if file is None else read_secret(file).encode()
