"""`hansa model`: take a trained model away, and note what it was used for."""

from pathlib import Path

import click

from hansa.agents.cli.job import export_model
from hansa.agents.cli.options import home_option
from hansa.agents.cli.outcome import counted
from hansa.agents.home import Home
from hansa.agents.payouts.orders import NoteUse
from hansa.agents.service.reach import reach


@click.group()
def model() -> None:
    """Trained models."""


@model.command()
@click.argument("name", metavar="JOB")
@home_option
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="FILE.npz or FILE.json."
)
def export(name: str, home: Home, out: Path) -> None:
    """Write the model that JOB has ended with at this agent, or its own part of one, with a description."""
    export_model(home, name, out)


@model.command()
@click.option("--job", required=True, help="That has made the model.")
@click.option("--rows", type=click.IntRange(min=1), required=True, help="How many it has scored.")
@click.option("--purpose", default="", help="To what end, for everybody to read.")
@home_option
def used(job: str, rows: int, purpose: str, home: Home) -> None:
    """Put on the ledger that the model of JOB has scored rows outside hansa: payouts for uses rest on it."""
    with reach(home) as ask:
        told = ask(NoteUse(job, rows, purpose))
    click.echo(
        f"{job}: noted as entry {told['entry']}; its model has scored {counted(told['rows'], 'row')} in all"
    )
