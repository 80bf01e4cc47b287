"""`hansa payout`: propose who is paid what, agree to it, settle it, and see what all came to."""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import click
from rich.console import Console

from hansa.agents.cli.audit import AuditProgress
from hansa.agents.cli.options import home_option
from hansa.agents.cli.payslip import heading, report_table, sheet_table, state_line, summary, totals_table
from hansa.agents.errors import PayoutError
from hansa.agents.home import Home, write_whole
from hansa.agents.jobs.follow import Told
from hansa.agents.payouts.account import Total, as_csv, as_json, moment, of_job, rows, totals
from hansa.agents.payouts.figures import plain
from hansa.agents.payouts.lives import read_lives
from hansa.agents.payouts.orders import (
    ApprovePayout,
    DisputePayout,
    DraftPayout,
    Finality,
    HoldPayout,
    ProposePayout,
    ReleasePayout,
    ReviewPayout,
    SettlePayout,
    WithdrawPayout,
)
from hansa.agents.payouts.sheet import Sheet, as_paid, payout_of, read_sheet
from hansa.agents.service.logs import printable
from hansa.agents.service.office import Order
from hansa.agents.service.reach import Ask, reach
from hansa.ledger import AuditReport, Standing, kind_of
from hansa.ledger.audit import audit as audited
from hansa.ledger.export import export_to
from hansa.ledger.money import Basis, Scheme
from hansa.ledger.payouts import needed_approvals, obstacles
from hansa.ledger.report import PayoutLine

POLL_S = 0.5
WAIT_S = 60.0  # for names under an entry; their owners answer within seconds, if they are there


def _words(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("expected some words, for everybody to read", context, parameter)
    return value


number_argument = click.argument("number", type=click.IntRange(min=0), metavar="N")
reason_option = click.option(
    "--reason", required=True, callback=_words, help="For everybody to read, in one line."
)
yes_option = click.option("--yes", is_flag=True, help="Without asking.")


@click.group()
def payout() -> None:
    """Propose who is paid what for a job, approve it, settle it, and report on it."""


@payout.command()
@click.option("--job", required=True, help="What is paid for; this agent must have coordinated it.")
@click.option("--pot", default="", help="What is split, like 100000.00; without it, as the job has agreed.")
@click.option("--currency", default="", help="Three capitals, like EUR; without it, as the job has agreed.")
@click.option(
    "--uses", is_flag=True, help="For uses of the model that no payout covers, not for the training."
)
@click.option(
    "--scheme",
    type=click.Choice(["weights", "fli"]),
    default="weights",
    show_default=True,
    help="Split by contribution, or spread over instalments as FLI does.",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=WAIT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait until what is paid for is final.",
)
@yes_option
@home_option
def propose(
    job: str, pot: str, currency: str, uses: bool, scheme: str, wait_s: float, yes: bool, home: Home
) -> None:
    """Show who would get what, and propose it once the entry that it rests on is final."""
    basis: Basis = "uses" if uses else "training"
    with reach(home) as ask:
        told = ask(DraftPayout(job, pot, currency, basis, cast(Scheme, scheme)))
        sheet = read_sheet(told)
        _show(sheet, "computed from our own copy of the ledger")
        if not yes:
            click.confirm("Propose it?", abort=True)
        _await_final(ask, sheet.rests_at, wait_s)
        proposed = ask(ProposePayout(sheet))
    number = proposed["payout"]
    click.echo(f"payout {number} proposed; {sheet.needed} of those whom it pays must approve it, each by:")
    click.echo(f"  hansa payout approve {number}")


@payout.command()
@number_argument
@yes_option
@home_option
def approve(number: int, yes: bool, home: Home) -> None:
    """Agree to payout N, after computing it anew from this agent's own copy of the ledger."""
    with reach(home) as ask:
        _show(
            read_sheet(ask(ReviewPayout(number))),
            "recomputed from our own copy of the ledger, and the same as in the entry",
        )
        if not yes:
            click.confirm(f"Approve payout {number}?", abort=True)
        told = ask(ApprovePayout(number))
    click.echo(state_line(told))


@payout.command()
@number_argument
@reason_option
@home_option
def hold(number: int, reason: str, home: Home) -> None:
    """Have payout N not be settled before it is released: for its proposer, and the keeper."""
    _say(home, HoldPayout(number, reason))


@payout.command()
@number_argument
@reason_option
@home_option
def dispute(number: int, reason: str, home: Home) -> None:
    """Contest payout N: for those whom it pays. All the others must approve it then."""
    _say(home, DisputePayout(number, reason))


@payout.command()
@number_argument
@home_option
def release(number: int, home: Home) -> None:
    """Hold or dispute payout N no more."""
    _say(home, ReleasePayout(number))


@payout.command()
@number_argument
@reason_option
@home_option
def withdraw(number: int, reason: str, home: Home) -> None:
    """Take the open payout N back: for its proposer."""
    _say(home, WithdrawPayout(number, reason))


@payout.command()
@number_argument
@click.option("--reference", required=True, callback=_words, help="The bank's, or the books'.")
@home_option
def settle(number: int, reference: str, home: Home) -> None:
    """Say that the money of payout N has moved: for its proposer, once enough have approved."""
    _say(home, SettlePayout(number, reference))


@payout.command("list")
@home_option
@click.option("--json", "as_lines", is_flag=True, help="One JSON object per line.")
def list_payouts(home: Home, as_lines: bool) -> None:
    """Show all payouts, oldest first."""
    now = read_lives(home).now
    for number, found in now.payouts.items():
        if as_lines:
            click.echo(json.dumps(_summary(now, number)))
        else:
            click.echo(summary(number, found, obstacles(now, found)))
    if not now.payouts and not as_lines:
        click.echo("no payouts yet")


@payout.command()
@number_argument
@home_option
@click.option("--json", "as_object", is_flag=True, help="One JSON object.")
def show(number: int, home: Home, as_object: bool) -> None:
    """Show who gets what by payout N, and what was said of it."""
    lives = read_lives(home)
    sheet = as_paid(lives.now, number)
    if as_object:
        said = [_as_json(told) for told in lives.said[number]]
        click.echo(json.dumps(_summary(lives.now, number) | {"sheet": sheet.as_json(), "said": said}))
        return
    _show(sheet, "every amount as this copy of the ledger makes it")
    for told in lives.said[number]:
        click.echo(_event(told))
    found = payout_of(lives.now, number)
    click.echo(summary(number, found, obstacles(lives.now, found)).strip())


@payout.command()
@click.option("--job", default="", help="Only payouts of this job.")
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also a row for each payout and party, for a spreadsheet.",
)
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Also a page, with plots.")
@click.option("--json", "as_object", is_flag=True, help="One JSON object.")
@home_option
def report(job: str, csv_file: Path | None, html: Path | None, as_object: bool, home: Home) -> None:
    """Audit this agent's copy of the ledger, and report what everybody was paid by it.

    Exits with 1 if the ledger does not hold.
    """
    found = _audited(home, aloud=not as_object)
    wrong = next((finding.text for finding in found.findings if not finding.holds), "")
    if wrong:
        click.echo(f"THE LEDGER DOES NOT HOLD, pay nothing by this: {printable(wrong)}", err=True)
    if job and job not in {each.name for each in found.jobs}:
        raise PayoutError(f"no job {printable(job)} was proposed")
    payouts = of_job(found, job)
    told, sums = rows(payouts, found.jobs), totals(payouts)
    if as_object:
        click.echo(json.dumps({"holds": found.holds, **as_json(told, sums)}))
    else:
        _tell_report(payouts, sums)
        if found.holds:
            click.echo("every amount is recomputed from the ledger, which holds")
    if csv_file is not None and found.holds:  # a table can't say that nothing is to be paid by it
        write_whole(csv_file, as_csv(told))
        _written(csv_file, "a row for each payout and party", as_object)
    if html is not None:
        from hansa.agents.audit import write_payouts  # draws with more than most reports need

        write_payouts(replace(found, payouts=payouts), html, int(time.time()))
        _written(html, "the report as a page", as_object)
    sys.exit(0 if found.holds else 1)


# --- as people read it ----------------------------------------------------------------------------------
def _written(path: Path, what: str, quiet: bool) -> None:
    """Say what a file has come to hold, but not where a program reads what we say."""
    if not quiet:
        click.echo(f"{path}: {what}")


def _show(sheet: Sheet, whence: str) -> None:
    click.echo(heading(sheet))
    Console(highlight=False).print(sheet_table(sheet))
    click.echo(f"  {whence}; {sheet.needed} of {len(sheet.lines)} must approve")


def _await_final(ask: Ask, index: int, wait_s: float) -> None:
    """Wait until an entry is final, and say for whom, whenever that changes; PayoutError if it takes too long."""
    deadline, before = time.monotonic() + wait_s, ""
    while not (told := ask(Finality(index)))["final"]:
        if time.monotonic() >= deadline:
            raise PayoutError(
                f"entry {index}, which is paid for, is not final after {wait_s:g} s: {printable(told['lacks'])}; "
                "propose again later (hansa ledger checkpoints shows who has cosigned)"
            )
        if told["lacks"] != before:
            before = told["lacks"]
            click.echo(f"waits until entry {index}, which is paid for, is final: {printable(before)}")
        time.sleep(POLL_S)


def _say(home: Home, order: Order) -> None:
    """Have an order carried out that follows a payout up; say how far that has come."""
    with reach(home) as ask:
        told = ask(order)
    click.echo(state_line(told))


def _event(told: Told) -> str:
    said = _as_json(told)
    words = said.get("reason") or said.get("reference") or ""
    kind = said["kind"].removeprefix("payout-")
    return f"  {said['at']}  {kind} by {said['by']}" + (f": {printable(words)}" if words else "")


def _tell_report(payouts: Sequence[PayoutLine], sums: Sequence[Total]) -> None:
    if not payouts:
        click.echo("no payouts")
        return
    console = Console(highlight=False)
    console.print(report_table(payouts))
    click.echo()
    console.print(totals_table(sums))


# --- as programs read it --------------------------------------------------------------------------------
def _summary(now: Standing, number: int) -> dict[str, Any]:
    found = payout_of(now, number)
    return {
        "payout": number,
        "job": found.job,
        "basis": found.basis,
        "scheme": found.scheme,
        "proposer": found.proposer,
        "currency": found.currency,
        "pot": plain(found.pot_minor, found.currency),
        "amounts": {party: plain(each, found.currency) for party, each in sorted(found.amounts.items())},
        "status": found.status,
        "approved": list(found.approved),
        "needed": needed_approvals(now.charter, found),
        "held": dict(found.held),
        "disputed": dict(found.disputed),
        "waiting": list(obstacles(now, found)) if found.status == "open" else [],
        "reference": found.reference,
    }


def _as_json(told: Told) -> dict[str, Any]:
    """Return who said what of a payout, and when, UTC."""
    body = told.body
    said = {"kind": kind_of(body), "by": told.author, "at": moment(round(told.time_s * 1000))}
    words = {name: getattr(body, name) for name in ("reason", "reference") if hasattr(body, name)}
    return said | words


def _audited(home: Home, aloud: bool) -> AuditReport:
    """Export a home's copy of the ledger, and audit that: as anybody would who has nothing else."""
    config, progress = home.config(), AuditProgress(aloud and sys.stderr.isatty())
    federation = config.federation
    with tempfile.TemporaryDirectory(prefix="hansa-") as folder:
        path = Path(folder) / f"{config.agent.name}'s copy of {federation.id}"  # the page names it
        with closing(home.stored()) as store:
            export_to(store, path)
        report = audited(path, charter=bytes.fromhex(federation.charter), progress=progress)
    progress.clear()
    return report
