"""How is the story of six parties and a pot told in a terminal? In few lines, each from what has happened."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hansa.agents.cli.storyteller import shows
from hansa.agents.demo.folder import command
from hansa.agents.demo.sixkinds import COPY, KINDS, LITTLE, MUCH, NOISY, POISONER, RIDER
from hansa.agents.demo.telling import mark, say, show, title
from hansa.agents.payouts.sheet import Sheet
from hansa.ledger import AuditReport, CoalitionsValued, Job
from hansa.ledger.contribution import VOLUME, Compared, seed_of
from hansa.ledger.shares import largest_remainder
from hansa.ledger.terms import amount, money

if TYPE_CHECKING:
    from hansa.agents.demo.incentive import Paid

SHOWN_SUBJECTS = ("contributions", "payouts")  # of an audit's findings

# What makes a method say something else; the figures beside it are of this run.
WHY: Mapping[str, str] = {
    "leave-one-out": f"{MUCH} and {COPY} stand in for each other, so that neither is missed",
    "permutation": "two orders of coming together and their reverses, of 720: luck",
    "truncated": "orders end where little is missing, and what they left out is made up for by stretching",
    "gtg": "each comes first once; who comes second and later is drawn",
    "stratified": "coalitions of one and of five are complete, those between drawn",
    "banzhaf": "no estimate but another value: all coalitions count the same, and shares don't sum to the gain",
    "banzhaf-sampled": "that, from sixteen coalitions a round",
    "group": "two groups of three: within a group it goes by rows, whoever has earned it",
    VOLUME: "rows count, whatever is in them",
}


# --- the parties and the job ------------------------------------------------------------------------------
def print_parties(console: Console, leader: str, rows: Mapping[str, int]) -> None:
    """Say who takes part, and what nobody could see from outside."""
    title(console, 1, "Six parties, and what each brings")
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("agent")
    table.add_column("organisation")
    table.add_column("rows", justify="right")
    table.add_column("brings")
    for name, kind in KINDS.items():
        table.add_row(name, kind.organisation, str(rows[name]), kind.brings)
    table.add_row(leader, "", str(rows[leader]), "the agreed rows; leads, keeps the ledger")
    show(console, table)
    say(console, f"All that others see of it: a number of rows, and updates. {RIDER} has made its rows up.")


def print_job(console: Console, job: Job, rounds: Sequence[CoalitionsValued], took_s: float) -> None:
    """Say what was trained, and how it was measured."""
    title(console, 2, "One job, and what every coalition is worth")
    assert job.appraisal is not None
    seed = seed_of(job.started, job.draws)
    before, after = -rounds[0].values[0], -rounds[-1].values[-1]
    say(
        console,
        "All six consent to the job, and with it to the way of measuring and to the pot; each adds 32 random bytes "
        f"to the seed, {seed.hex()[:16]}, so that nobody has chosen it.",
    )
    say(
        console,
        f"{len(rounds)} rounds of a softmax model in {took_s:.1f} s: its loss on the agreed rows falls from "
        f"{before:.2f} to {after:.2f}. Meanwhile the models of {job.appraisal.evaluations} coalitions were rebuilt "
        "from the updates, and their losses put on the ledger.",
    )


def print_methods(console: Console, compared: Sequence[Compared]) -> None:
    """Print what each method makes of the same job, and what is to be learned from it."""
    exact = compared[0]
    console.print()
    say(
        console,
        "From the ledger alone, in percent of what all have gained together; the largest error of any party, the "
        "correlation of ranks, and how many of the values it takes:",
    )
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("method", no_wrap=True)
    for name in KINDS:
        table.add_column(name, justify="right", no_wrap=True)
    for column in ("error", "rank", "values"):
        table.add_column(column, justify="right", no_wrap=True)
    for each in compared:
        cells = [f"{_percent(each, name, exact):.1f}" for name in KINDS]
        error = "" if each is exact else f"{each.error:.1%}"
        style = "bold" if each is exact else ""
        table.add_row(
            each.name, *cells, error, f"{each.rank:.2f}", f"{each.values / each.of:.0%}", style=style
        )
    show(console, table)
    _print_kinds(console, exact)
    _print_errors(console, compared)


def _percent(told: Compared, name: str, exact: Compared) -> float:
    return float(100 * told.shares[name] / sum(exact.shares.values()))


def _print_kinds(console: Console, exact: Compared) -> None:
    said = {name: _percent(exact, name, exact) for name in KINDS}
    apart = abs(said[MUCH] - said[COPY])
    lines = {
        f"{MUCH}, {COPY}": f"{said[MUCH]:.1f} and {said[COPY]:.1f}: the same rows twice share what they add, "
        f"whoever had them first; {apart:.1f} apart by the order of training",
        LITTLE: f"{said[LITTLE]:.1f}: few rows, and right ones",
        NOISY: f"{said[NOISY]:.1f}: more rows than {LITTLE}, and wrong labels among them",
        RIDER: f"{said[RIDER]:.1f}: what it sends back holds the average where it was",
        POISONER: f"{said[POISONER]:.1f}: it pulls the model away, and the others pull it back",
    }
    console.print()
    say(console, "What exact Shapley says of each kind:")
    for name, text in lines.items():
        say(console, f"[bold]{name}[/] {text}", "-", 5)


def _print_errors(console: Console, compared: Sequence[Compared]) -> None:
    exact = compared[0]
    console.print()
    say(console, "What the others get wrong, and of whom most:")
    for each in compared[1:]:
        worst = max(KINDS, key=lambda name: abs(each.shares[name] - exact.shares[name]))
        figures = f"{worst} {_percent(each, worst, exact):.1f} for {_percent(exact, worst, exact):.1f}"
        say(console, f"[bold]{each.name}[/] {figures}: {WHY[each.name]}", "-", 5)


# --- money ------------------------------------------------------------------------------------------------
def print_sheet(console: Console, number: int, sheet: Sheet, rows: Mapping[str, int]) -> None:
    """Say what is proposed, and what it were if rows were all that counts."""
    title(console, 3, f"{money(sheet.pot_minor, sheet.currency)} as agreed, by exact Shapley")
    by_rows = largest_remainder(sheet.pot_minor, rows)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("party")
    for column in ("contribution", "weight", sheet.currency, "by rows it were"):
        table.add_column(column, justify="right")
    for line in sorted(sheet.lines, key=lambda line: (-line.amount_minor, -line.contribution)):
        paid, instead = (amount(each, sheet.currency) for each in (line.amount_minor, by_rows[line.party]))
        table.add_row(line.party, f"{line.contribution:+.4f}", f"{line.share:.1%}", paid, instead)
    show(console, table)
    say(
        console,
        "Who has spoilt more than it has added is paid nothing, and owes nothing. "
        f"Entry {number} proposes it, with the proof that the job's end is final; every agent has computed "
        "each cent anew.",
    )


def print_settlement(console: Console, paid: "Paid", reference: str) -> None:
    """Say who agreed, who did not, and how it ended."""
    good, bad = mark(console, True), mark(console, False)
    say(console, f"{RIDER} disputes it: “{paid.disputed}”" if shows(console, "“”") else paid.disputed, bad)
    willing = f"{', '.join(paid.approved[:-1])} and {paid.approved[-1]}"
    say(console, f"{willing} approve it; without a dispute {paid.sheet.needed} would do", good)
    say(console, f"the aggregator tries to settle it: {paid.refusal.partition('; ')[0]}", bad)
    say(
        console,
        f"{' and '.join(paid.at_last)} has found its labels shifted, and approves: {RIDER} is overruled",
        good,
    )
    say(console, f"settled, reference {reference}", good)


# --- an auditor -------------------------------------------------------------------------------------------
def print_audit(console: Console, report: AuditReport) -> None:
    """Say what the audit of the exported ledger has recomputed."""
    title(console, 4, "An outsider recomputes all of it from one file")
    verdict = "[bold green]HOLDS[/]" if report.holds else "[bold red]DOES NOT HOLD[/]"
    held = sum(finding.holds for finding in report.findings)
    say(
        console,
        f"{verdict}: {held} of {len(report.findings)} points; {report.size} entries, {report.final_size} of them "
        "final",
    )
    for finding in report.findings:
        if finding.subject in SHOWN_SUBJECTS:
            sign = "[yellow]![/]" if finding.concern else mark(console, finding.holds)
            say(console, escape(finding.text), sign)


def print_one_cent(console: Console, found: str) -> None:
    """Say what became of a cent."""
    console.print()
    say(
        console,
        f"The same file, but {RIDER} gets one cent more: changed by the coordinator, which keeps the ledger, and "
        "has signed and chained it all anew.",
    )
    say(console, f"[bold]{escape(found) or 'NOT FOUND'}[/]", mark(console, not found))


def print_end(
    console: Console, folder: Path, papers: Path, payout: int, report: AuditReport, spent_s: float
) -> None:
    """Say what is left, and what to try with it."""
    shown, typed, laid = (
        escape(each) for each in (str(folder), shlex.quote(str(folder)), shlex.quote(str(papers)))
    )
    hansa, charter = escape(shlex.quote(command())), report.fingerprint
    console.print(
        f"\n({spent_s:.0f} s in all) Left in [bold]{shown}[/]: all homes, and the papers. The payouts as a page:\n"
        f"  {escape(str(papers / 'payouts.html'))}\n"
        "Try:\n"
        f"  {hansa} payout report --home {typed}/{MUCH}\n"
        f"  {hansa} payout show {payout} --home {typed}/{RIDER}\n"
        f"  {hansa} ledger audit {laid}/town.ledger --charter {charter}\n"
        f"  {hansa} ledger audit {laid}/one-cent.ledger --charter {charter}\n"
        f"  {hansa} ledger show {typed}/{MUCH} --last 12",
        highlight=False,
        soft_wrap=True,
    )
