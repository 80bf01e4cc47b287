"""`hansa predict`: use a model; an exported one alone, or one in parts together with those who hold them."""

from pathlib import Path

import click
import numpy as np
import polars as pl

from hansa.agents.cli.job import fetch
from hansa.agents.cli.options import find_home, folder_option
from hansa.agents.cli.outcome import counted, withdrawn
from hansa.agents.cli.storyteller import waiting_line
from hansa.agents.config import DataSection
from hansa.agents.data.rows import Dataset, load_dataset
from hansa.agents.data.tables import listed, read_csv, read_parquet
from hansa.agents.errors import DataError, JobAborted, ModelFileError
from hansa.agents.home import Home
from hansa.agents.jobs.export import SavedModel, read_model
from hansa.agents.jobs.parts import is_part
from hansa.agents.jobs.progress import JobProgress
from hansa.agents.jobs.serving import Predict
from hansa.agents.jobs.watch import Waiting, watch_job
from hansa.agents.service.logs import printable
from hansa.agents.service.reach import reach
from hansa.protocols import Array, ModelRegistry
from hansa.protocols.inference.job import Output

ASK_S = 300.0  # within which the agent reads its rows and proposes the job
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("model_file", metavar="[MODEL", type=FILE, required=False)
@click.argument("rows", metavar="ROWS]", type=FILE, required=False)
@click.option(
    "--id-column", default="id", show_default=True, help="Column of ROWS that tells the rows apart."
)
@click.option(
    "--target",
    help="Column of ROWS with the true labels, if it is called otherwise than in training; it is left alone.",
)
@click.option(
    "--job", help="Instead of MODEL and ROWS: the training whose model is asked, here at its guest."
)
@click.option("--data", metavar="DATASET", help="Whose rows are meant; without it, the training's.")
@click.option("--id", "ids", metavar="ID", multiple=True, help="One of these rows alone; may be repeated.")
@click.option(
    "--output",
    type=click.Choice(["label", "decile", "score"]),
    help="What is learned of a row; without it, the label, or a linear model's score.",
)
@click.option("--arbiter", help="Who adds up the parts; without it, the training's coordinator.")
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), help="Give up after so long."
)
@folder_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="CSV; otherwise it is printed.")
def predict(
    model_file: Path | None,
    rows: Path | None,
    id_column: str,
    target: str | None,
    job: str | None,
    data: str | None,
    ids: tuple[str, ...],
    output: Output | None,
    arbiter: str | None,
    timeout_s: float | None,
    home: Path,
    out: Path | None,
) -> None:
    """Score ROWS with MODEL, a file of `hansa model export`; or, with --job, with all who hold parts of one.

    With MODEL (and ROWS, CSV or Parquet) nothing leaves this machine. With --job, the ids of the rows go to the
    model's hosts, each of which says how many rows a day it serves ([policy] served_rows).
    """
    if job is not None:
        if model_file is not None:
            raise click.UsageError("--job asks for a model in parts; leave MODEL and ROWS out")
        frame = _together(find_home(home), Predict(job, output, arbiter or "", data or "", ids), timeout_s)
    else:
        if model_file is None or rows is None:
            raise click.UsageError("expected MODEL and ROWS, or --job JOB")
        if data or ids or output or arbiter or timeout_s:
            raise click.UsageError("--data, --id, --output, --arbiter and --timeout go with --job")
        frame = _alone(model_file, rows, id_column, target)
    if out is None:
        click.echo(frame.write_csv(), nl=False)
    else:
        frame.write_csv(out)
        click.echo(f"{out}: {counted(frame.height, 'prediction')}")


# --- with those who hold the other parts ------------------------------------------------------------------
def _together(home: Home, order: Predict, timeout_s: float | None) -> pl.DataFrame:
    """Have a job of joint inference run; return what it says. What it waits for, and unknown ids, go to stderr."""
    with reach(home, alone=False) as ask:
        told = ask(order, ASK_S)
    name = told["job"]
    click.echo(f"{name}: asks {', '.join(told['parties'])} about {counted(told['rows'], 'row')}", err=True)
    _warn(order.job, told["withdrawn"])
    _wait(home, name, timeout_s)
    content, made = fetch(home, name, "csv")
    for what, missing in (("here", told["unknown"]), ("to all who are asked", made["unknown"])):
        if missing:
            click.echo(f"not known {what}: {printable(', '.join(missing))}", err=True)
    return pl.read_csv(content, infer_schema=False)


def _warn(model: str, rows: dict[str, int]) -> None:
    """Say on stderr that rows which a model may have used are withdrawn."""
    if rows:
        click.echo(f"{model}: {withdrawn(rows)}", err=True)


def _wait(home: Home, name: str, timeout_s: float | None) -> None:
    """Wait for a job's end, and say meanwhile what it waits for.

    Raises:
        JobAborted: it has no answer; says who refused and why.
    """
    progress = JobProgress(name)
    for seen in watch_job(home, progress, timeout_s):
        if isinstance(seen, Waiting):
            trouble = f" ({printable(seen.trouble)})" if seen.trouble else ""
            click.echo(f"  {waiting_line(seen)}{trouble}", err=True)
    if progress.outcome == "aborted":
        raise JobAborted(name, printable(progress.reason), progress.missing)


# --- alone ------------------------------------------------------------------------------------------------
def _alone(model_file: Path, rows: Path, id_column: str, target: str | None) -> pl.DataFrame:
    if is_part(model_file):
        raise ModelFileError(
            f"{model_file}: one party's part of a model, which says nothing by itself: hansa predict --job"
        )
    saved = read_model(model_file)
    _warn(str(model_file), saved.card.withdrawn)
    section = DataSection(file=str(rows.resolve()), id=id_column, target=target or _labels(saved, rows))
    return _predictions(saved, load_dataset("rows", section, Path(".")))


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
