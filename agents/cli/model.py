"""`hansa model` and `hansa predict`: take a trained model away, and use it on rows of one's own."""

from pathlib import Path

import click
import numpy as np
import polars as pl

from hansa.agents.cli.job import export_model
from hansa.agents.cli.options import home_option
from hansa.agents.config import DataSection
from hansa.agents.data.rows import Dataset, load_dataset
from hansa.agents.data.tables import listed, read_csv, read_parquet
from hansa.agents.errors import DataError
from hansa.agents.home import Home
from hansa.agents.jobs.export import SavedModel, read_model
from hansa.protocols import Array, ModelRegistry


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
    """Write the model that JOB has ended with at this agent, as arrays and a description."""
    export_model(home, name, out)


@click.command()
@click.argument("model_file", metavar="MODEL", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("rows", metavar="ROWS", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--id", "id_column", default="id", show_default=True, help="Column that tells the rows apart.")
@click.option(
    "--target",
    help="Column with the true labels, if it is called otherwise than in training; it is left alone.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="CSV; otherwise it is printed.")
def predict(model_file: Path, rows: Path, id_column: str, target: str | None, out: Path | None) -> None:
    """Score ROWS (CSV or Parquet) with MODEL, a file of `hansa model export`; nothing leaves this machine."""
    saved = read_model(model_file)
    section = DataSection(file=str(rows.resolve()), id=id_column, target=target or _labels(saved, rows))
    dataset = load_dataset("rows", section, Path("."))
    frame = _predictions(saved, dataset)
    if out is None:
        click.echo(frame.write_csv(), nl=False)
    else:
        frame.write_csv(out)
        click.echo(f"{out}: {dataset.rows} predictions")


def _labels(saved: SavedModel, rows: Path) -> str | None:
    """Return the column of the true labels, if the rows still have it."""
    name = saved.card.target
    read = read_parquet if rows.suffix == ".parquet" else read_csv
    return name if name in read(rows, "rows").frame.columns else None


def _predictions(saved: SavedModel, dataset: Dataset) -> pl.DataFrame:
    """Return id, prediction, and each class's probability if the model gives them."""
    built = saved.build(ModelRegistry())
    features = _in_order(saved, dataset)
    columns: dict[str, Array | list[str]] = {"id": list(dataset.ids), "prediction": built.predict(features)}
    probabilities = getattr(built, "predict_proba", None)
    if saved.card.classes and probabilities is not None:
        values = np.asarray(probabilities(features))
        columns |= {f"p({label})": values[:, place] for place, label in enumerate(saved.card.classes)}
    return pl.DataFrame(columns)


def _in_order(saved: SavedModel, dataset: Dataset) -> Array:
    """Return the rows' features in the model's order; by name where the names are known."""
    wanted = saved.card.columns
    if not wanted:
        if len(dataset.columns) != saved.card.features:
            has = f"{len(dataset.columns)} feature columns"
            raise DataError(f"{dataset.source}: {has}; the model was trained on {saved.card.features}")
        return dataset.features
    missing = [column for column in wanted if column not in dataset.columns]
    if missing:
        raise DataError(f"{dataset.source}: no column {missing[0]!r}; the model needs {listed(wanted)}")
    extra = [column for column in dataset.columns if column not in wanted]
    if extra:
        raise DataError(f"{dataset.source}: column {extra[0]!r} is none of the model's: {listed(wanted)}")
    return dataset.features[:, [dataset.columns.index(column) for column in wanted]]
