"""`hansa model`: take a trained model away."""

from pathlib import Path

import click

from hansa.agents.cli.job import export_model
from hansa.agents.cli.options import home_option
from hansa.agents.home import Home


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
