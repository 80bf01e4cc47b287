"""`hansa data`: which rows an organisation offers; the rows themselves stay."""

import json
from pathlib import Path
from typing import Any

import click

from hansa.agents.cli.options import home_option
from hansa.agents.cli.outcome import counted
from hansa.agents.cli.withdrawal import check, prove, withdraw
from hansa.agents.config import DataSection, validate
from hansa.agents.core.policy import allowance
from hansa.agents.data.orders import AddData, Section, write_section
from hansa.agents.data.rows import Dataset
from hansa.agents.errors import ConfigError, DataError
from hansa.agents.home import CONFIG, Home
from hansa.agents.jobs.follow import read_standing
from hansa.agents.service.logs import printable
from hansa.agents.service.reach import reach
from hansa.broker import check_name
from hansa.ledger.membership import column_count
from hansa.protocols.errors import PreparationError

ADDED_S = 120.0  # to read the rows again, withdraw what was there, and hear of the keeper
SHOWN_COLUMNS = 6
SHOWN_DIGITS = 12  # of a commitment


@click.group()
def data() -> None:
    """Offer data sets to the federation, and withdraw them."""


@data.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@home_option
@click.option("--name", required=True, help="Under which jobs ask for it; the same at every party.")
@click.option("--id", "id_column", default="id", show_default=True, help="Column that tells the rows apart.")
@click.option("--target", help="Column that is to be predicted.")
@click.option(
    "--holdout",
    type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True),
    default=0.2,
    show_default=True,
    help="Share of the rows that are kept for evaluation.",
)
@click.option(
    "--category",
    "categories",
    multiple=True,
    metavar="COLUMN",
    help="A column of text or codes, for vertical jobs; several times for several.",
)
@click.option(
    "--fill-missing", is_flag=True, help="Fill empty cells for vertical jobs instead of refusing them."
)
@click.option(
    "--rare",
    type=click.FloatRange(0.0, 1.0, max_open=True),
    help="Categories of a smaller share of the rows get no feature of their own.",
)
@click.option("--keep-scale", is_flag=True, help="Leave numbers as they are instead of standardising them.")
@click.option("--url", help="Of a database instead of FILE: sqlite:///… or postgresql+psycopg://…")
@click.option("--query", help="The SQL that gives the rows; with --url.")
@click.option("--password-file", help="Of the database's user (mode 0600), relative to the home.")
@click.option("--replace", is_flag=True, help="Withdraw the data set of this name first.")
def add(
    file: Path | None,
    home: Home,
    name: str,
    id_column: str,
    target: str | None,
    holdout: float,
    categories: tuple[str, ...],
    fill_missing: bool,
    rare: float | None,
    keep_scale: bool,
    url: str | None,
    query: str | None,
    password_file: str | None,
    replace: bool,
) -> None:
    """Check the rows in FILE (CSV or Parquet) or of a query, and register them as NAME."""
    check_name(name)
    given: dict[str, str | float | bool | tuple[str, ...] | None] = {
        "file": None if file is None else _as_written(file, home),
        "url": url,
        "query": query,
        "password_file": password_file,
        "id": id_column,
        "target": target,
        "holdout": holdout,
        "categories": categories or None,
        "missing": "fill" if fill_missing else None,
        "rare": rare,
        "standardise": False if keep_scale else None,
    }
    section: Section = {key: value for key, value in given.items() if value is not None}
    if name in home.config().data and not replace:
        raise DataError(f"{home.path / CONFIG}: data.{name} is there already; --replace writes it anew")
    try:
        described = validate(DataSection, dict(section), home.path / CONFIG)
    except ConfigError as error:
        raise click.UsageError(str(error).split(": ", 1)[1]) from None
    dataset = home.read(name, described)
    registered, rows = _offer(home, name, section, replace)
    click.echo("\n".join(_added(home, dataset, registered, rows)))


@data.command("list")
@home_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object per data set.")
def list_data(home: Home, as_json: bool) -> None:
    """Show the data sets of agent.toml, and what the ledger has of them."""
    rows = _listing(home)
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
        return
    if not rows:
        click.echo("no data sets; offer one: hansa data add FILE --name NAME")
    for row in rows:
        known = row["registered"]
        out = f" ({row['withdrawn']} withdrawn)" if row["withdrawn"] else ""
        says = (
            f"{row['rows']} rows{out}, {row['columns']} columns on the ledger"
            if known
            else "not on the ledger"
        )
        commitment = (row["commitment"] or "")[:SHOWN_DIGITS]
        source = printable(row["source"] or "not in agent.toml")
        click.echo(f"{row['name']:<16}  {says:<46}  {commitment:<{SHOWN_DIGITS}}  {source}")


data.add_command(withdraw)
data.add_command(prove)
data.add_command(check)


def _as_written(file: Path, home: Home) -> str:
    """Return a file's path as agent.toml has it: relative to the home if it lies there."""
    whole, folder = file.resolve(), home.path.resolve()
    return str(whole.relative_to(folder)) if whole.is_relative_to(folder) else str(whole)


def _offer(home: Home, name: str, section: Section, replace: bool) -> tuple[bool | None, int | None]:
    """Write a section, and return whether the ledger has it by now, and with how many rows.

    Nothing of that is known if the agent belongs to no federation.
    """
    if home.config().membership is None:
        write_section(home, name, section, replace)
        return None, None
    with reach(home) as ask:
        told = ask(AddData(name, section, replace), ADDED_S)
    return told["registered"], told["rows"]


def _added(home: Home, dataset: Dataset, registered: bool | None, rows: int | None) -> list[str]:
    held = int(dataset.held_out().sum())
    names = ", ".join(printable(column) for column in dataset.columns[:SHOWN_COLUMNS])
    more = f", … ({len(dataset.columns)} in all)" if len(dataset.columns) > SHOWN_COLUMNS else ""
    target = "no target" if dataset.target_name is None else f"target {printable(dataset.target_name)}"
    lines = [
        f"{dataset.name}: {dataset.rows} rows ({held} held out for evaluation), {target}",
        f"  features: {names}{more}",
        *_prepared(dataset),
        "  the ledger shows how many rows, these names and a salted commitment; the rows stay here",
    ]
    config = home.config()
    if config.membership is not None:
        lines.append(f"  {config.agent.name} {allowance(config.policy)}")
    if rows is not None and rows < dataset.rows:
        lines.append(f"  {counted(dataset.rows - rows, 'row')} withdrawn before: left out, in every job too")
    match registered:
        case True:
            return [*lines, "  registered"]
        case False:
            return [*lines, "  on its way to the keeper, which has not chained it yet"]
        case None:
            return [
                *lines,
                f"  registered when the agent belongs to a federation: hansa join FILE --home {home.path}",
            ]


def _prepared(dataset: Dataset) -> list[str]:
    """Say what becomes of columns that need preparation."""
    if dataset.unready() is None:
        return []
    try:
        told = f"{len(dataset.prepared().names())} features once prepared"
    except PreparationError as error:  # it may be there to be served from, and not to train on
        told = f"nothing to train on, since {error}"
    return [f"  for vertical jobs only: text or missing values; {told}"]


def _listing(home: Home) -> list[dict[str, Any]]:
    config = home.config()
    me = config.agent.name
    registered = {}
    if config.membership is not None:
        standing = read_standing(home)
        registered = {name: each for (owner, name), each in standing.datasets.items() if owner == me}
    rows = []
    for name in sorted({*config.data, *registered}):
        section, known = config.data.get(name), registered.get(name)
        rows.append(
            {
                "name": name,
                "source": None if section is None else section.file or section.url,
                "registered": known is not None,
                "rows": None if known is None else known.rows,
                "withdrawn": None if known is None else len(known.withdrawn),
                "commitment": None if known is None else known.commitment.hex(),
                "columns": None if known is None else column_count(known.columns),
                "target": None if known is None else known.target,
            }
        )
    return rows
