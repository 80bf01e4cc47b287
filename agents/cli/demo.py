"""`hansa demo`: the main job on real data, on this machine alone."""

from pathlib import Path

import click
from rich.console import Console

DEFAULT_FOLDER = Path("hansa-demo")


@click.group()
def demo() -> None:
    """See hansa at work; nothing but this machine is needed."""


@demo.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_FOLDER,
    show_default=True,
    help="Where the agents' homes and the ledger are left.",
)
@click.option("--replace", is_flag=True, help="Remove an earlier demo's folder first.")
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=7, show_default=True, help="Of split and training."
)
@click.option("--pot", default="10000.00", show_default=True, help="EUR to share out by data volume.")
def horizontal(folder: Path, replace: bool, seed: int, pot: str) -> None:
    """Four parties train on digits (non-IID), first a softmax model, then a two-layer network."""
    from hansa.agents.demo.horizontal import run_demo  # loads scikit-learn, which no other command needs

    run_demo(folder, replace=replace, seed=seed, pot=pot, console=Console())
