"""`hansa data withdraw`, `prove` and `check`: rows that may be used no longer, and rows opened to an auditor."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from hansa.agents.cli.options import find_home, folder_option, home_option
from hansa.agents.cli.outcome import counted
from hansa.agents.data.orders import WithdrawData, drop_section
from hansa.agents.data.proofs import RowProof, read_proof
from hansa.agents.data.withdrawing import ProveRow, WithdrawRows
from hansa.agents.errors import DataError
from hansa.agents.home import CONFIG, Home
from hansa.agents.jobs.export import write_private
from hansa.agents.jobs.follow import read_standing
from hansa.agents.service.control import MOST_LINE_BYTES
from hansa.agents.service.logs import printable
from hansa.agents.service.reach import reach
from hansa.broker import check_name
from hansa.ledger import DatasetRegistered, decode_body, read_entry

WITHDRAWN_S = 120.0  # to find the rows, hear of the keeper, and erase what opens them
PROVED_S = 300.0  # all rows are read, checked and hashed
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("name")
@home_option
@click.option("--id", "ids", metavar="ID", multiple=True, help="Of one row alone; may be repeated.")
@click.option("--ids-from", type=FILE, metavar="FILE", help="Of rows alone: UTF-8 text, one id on each line.")
@click.option(
    "--reason",
    default="",
    help="For the ledger, where every member reads it, for good: in one line, and without anybody's name.",
)
def withdraw(name: str, home: Home, ids: tuple[str, ...], ids_from: Path | None, reason: str) -> None:
    """Have NAME, or single rows of it, serve no later job.

    Of a whole data set the file stays; what the ledger says of the past stays too. Single rows may stay in the
    table: no job gets them any more, also after `hansa data add --replace`. What would open their commitments is
    erased, and the models they were used for are marked.
    """
    check_name(name)
    if ids_from is not None:
        ids = (*ids, *_ids(ids_from))
        if not ids:
            raise click.UsageError(f"{ids_from}: no ids; expected one on each line")
    if ids:
        _withdraw_rows(name, home, tuple(dict.fromkeys(ids)), reason)
        return
    if not reason:
        raise click.UsageError("--reason: missing; it stands on the ledger")
    if home.config().membership is None:
        if name not in home.config().data:
            raise DataError(f"{home.path / CONFIG}: data.{name}: no such section")
        drop_section(home, name)
        told: dict[str, Any] = {"withdrawn": True, "was_registered": False}
    else:
        with reach(home) as ask:
            told = ask(WithdrawData(name, reason), WITHDRAWN_S)
    if not told["was_registered"]:
        click.echo(f"{name}: taken out of agent.toml; it was not on the ledger")
    elif told["withdrawn"]:
        click.echo(f"{name}: withdrawn")
    else:
        click.echo(f"{name}: on its way to the keeper, which has not chained it yet")


@click.command()
@click.argument("name")
@home_option
@click.option("--id", "row", metavar="ID", required=True, help="Of the row that is to be shown.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="FILE.json.")
def prove(name: str, home: Home, row: str, out: Path) -> None:
    """Write a file that shows one row of NAME to be among those registered; it holds the row in clear."""
    check_name(name)
    with reach(home) as ask:
        told = ask(ProveRow(name, row), PROVED_S)
    write_private(out, told["proof"].encode())
    click.echo(f"{out}: written; it holds the row in clear, for an auditor: hansa data check {out}")


@click.command()
@click.argument("file", type=FILE)
@folder_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check(file: Path, home: Path, as_json: bool) -> None:
    """Check what `hansa data prove` has written; with a home, also against its copy of the ledger."""
    proof = read_proof(file)
    proof.check()
    compared, withdrawn = False, False
    if Home(home).exists():
        withdrawn = _compare(find_home(home), proof, file)
        compared = True
    if as_json:
        told = {
            "dataset": proof.dataset,
            "owner": proof.owner,
            "entry": proof.entry,
            "row": proof.leaf,
            "root": proof.root,
            "on_ledger": compared,
            "withdrawn": withdrawn,
        }
        click.echo(json.dumps(told))
        return
    whose = f"data set {printable(proof.dataset)} of {printable(proof.owner)}"
    what = f"row {proof.leaf + 1} of {proof.rows}, of {whose}"
    click.echo(f"{file}: holds: this is {what}")
    if not compared:
        click.echo(
            f"  if entry {proof.entry} of the ledger of {printable(proof.federation)} registers {proof.rows} rows"
            f" with this commitment: {proof.root}"
        )
    else:
        since = "; withdrawn since" if withdrawn else ""
        click.echo(f"  by entry {proof.entry} of this copy of the ledger{since}")


def _withdraw_rows(name: str, home: Home, ids: tuple[str, ...], reason: str) -> None:
    if home.config().membership is None:
        raise DataError(f"data set {name!r} is not registered: leave the rows out of its table")
    order = WithdrawRows(name, ids, reason)
    size = sum(len(json.dumps(each)) + 2 for each in ids)
    if size > MOST_LINE_BYTES // 2:
        raise DataError(f"{len(ids)} ids are too many for one command: name fewer at a time")
    with reach(home) as ask:
        told = ask(order, WITHDRAWN_S)
    rows = counted(told["rows"], "row")
    if told["erased"]:
        click.echo(f"{name}: {rows} withdrawn, and what opens their commitments erased")
        click.echo("  backups made before, and old blocks of the disk, may hold it still: docs/data.md")
    elif told["withdrawn"]:
        click.echo(f"{name}: {rows} withdrawn; the agent has still to erase what opens their commitments")
    else:
        click.echo(
            f"{name}: {rows} on the way to the keeper, which has not chained it yet; no job gets them any more"
        )


def _ids(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{file}: not UTF-8 text") from None
    return [line.strip() for line in lines if line.strip()]


def _compare(home: Home, proof: RowProof, file: Path) -> bool:
    """Return whether the row has been withdrawn since; DataError if a copy of the ledger registers no such data."""
    standing = read_standing(home)
    body, author = None, ""
    with closing(home.stored()) as store:
        for entry in store.read(proof.entry, proof.entry + 1) if proof.entry >= 0 else ():
            fields = read_entry(entry.signed)
            body, author = decode_body(fields.kind, fields.schema, fields.body), fields.author
    if (
        not isinstance(body, DatasetRegistered)
        or (author, body.dataset, body.rows) != (proof.owner, proof.dataset, proof.rows)
        or body.commitment.hex() != proof.root
        or standing.charter.federation != proof.federation
    ):
        raise DataError(
            f"{file}: sound in itself, but entry {proof.entry} of {home.path}'s ledger registers no such data set"
        )
    held = standing.datasets.get((proof.owner, proof.dataset))
    return held is None or held.registered_at != proof.entry or proof.leaf in held.withdrawn
