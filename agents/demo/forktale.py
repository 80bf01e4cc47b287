"""How is the story of a fork told in a terminal? In few lines, each from what has happened."""

import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hansa.agents.core.coordination import Over
from hansa.agents.core.heads import SignedHead
from hansa.agents.demo.folder import command
from hansa.agents.demo.telling import mark, say, show, title
from hansa.ledger import AuditReport, Checkpoint, Standing, largest_remainder, read_entry

if TYPE_CHECKING:
    from hansa.agents.demo.fork import Caught, Shunned, Takeover, Told

POT_MINOR = 1_000_000  # cents
CURRENCY_UNITS = 100
SHOWN_SUBJECTS = ("keepers", "evidence")  # of an audit's findings

_SHOWN = re.compile(r"the keeper has signed two histories: (\S+) was shown ")
_TOLD = re.compile(r"; (\S+) has told us, and proves it$")


def _clock(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%H:%M:%S")


def _head(head: Checkpoint) -> str:
    return f"{head.size} entries, root {head.root.hex()[:16]}"


def _short(head: Checkpoint) -> str:
    return f"{head.size}: {head.root.hex()[:16]}"


# --- one ledger -----------------------------------------------------------------------------------------
def print_members(
    console: Console, organisations: Mapping[str, str], keeper: str, rows: Mapping[str, int]
) -> None:
    """Say who takes part."""
    title(console, 1, "Four organisations, one ledger")
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("agent", "organisation", "part"):
        table.add_column(column)
    table.add_column("rows", justify="right")
    for name, organisation in organisations.items():
        part = "keeps the ledger, leads the job" if name == keeper else "party, and witness of the ledger"
        table.add_row(name, organisation, part, f"{rows[name]:,}" if name in rows else "")
    show(console, table)


def print_job(console: Console, over: Over, score: float, leader: str, rounds: int) -> None:
    """Say what came of a job."""
    spec = over.spec
    say(
        console,
        f"job {spec.job}, led by {leader}: {', '.join(spec.parties)} train a {spec.model} model, "
        f"{rounds} rounds; {over.outcome}, accuracy {score:.1%}",
    )


def print_final(console: Console, head: SignedHead, standing: Standing) -> None:
    """Say who has put their names to a head, and when."""
    needed = standing.roster_at(head.checkpoint.size).needed
    names = ", ".join(f"{each.member} {_clock(each.time_s)}" for each in head.cosigned)
    say(
        console,
        f"[bold]final[/]: all {_head(head.checkpoint)}, epoch {head.checkpoint.epoch}; {needed} names beside "
        f"the keeper's are needed, there are {len(head.cosigned)}: {names} UTC",
    )


# --- two histories --------------------------------------------------------------------------------------
def print_fork(
    console: Console, keeper: str, told: tuple["Told", "Told"], caught: Mapping[str, "Caught"], needed: int
) -> None:
    """Say what the keeper has signed, and who has noticed."""
    title(console, 2, f"{keeper} shows two histories")
    say(console, f"It values the job anew. Of a pot of {_money(POT_MINOR)} EUR, each would get:")
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(f"as {keeper} told")
    names = sorted(told[0].shares)
    for name in names:
        table.add_column(name, justify="right")
    table.add_column("under its signed head")
    for each in told:
        amounts = largest_remainder(POT_MINOR, each.shares)
        to = " and ".join(each.to)
        table.add_row(to, *(_money(amounts[name]) for name in names), _short(each.head.checkpoint))
    show(console, table)
    for which, each in zip(("first", "second"), told, strict=True):
        names = [line.member for line in each.head.cosigned]
        state = "final" if len(names) >= needed else "not final"
        say(console, f"names under the {which}: {' and '.join(names) or 'none'}, so it is {state}")
    say(console, "Both sides have caught it, each by what the other members had been shown:")
    for name, when in caught.items():
        say(console, f"{name} after {when.after_s:.2f} s: {_how(when.words)}", mark(console, True))


def _money(minor: int) -> str:
    return f"{minor / CURRENCY_UNITS:,.2f}"


def _how(words: str) -> str:
    """Return how a member found out, from what it cried."""
    if (shown := _SHOWN.search(words)) is not None:
        return f"{shown[1]} told it a head that its own copy contradicts"
    if (told := _TOLD.search(words)) is not None:
        return f"{told[1]} sent it the proof, and it checked that"
    return "two signatures of the keeper for one place in the ledger"


def print_shunned(console: Console, keeper: str, shunned: "Shunned") -> None:
    """Say what the members do once they know."""
    because, _, shows_it = shunned.reason.partition(": ")
    say(console, f"From now on: {because} ({shows_it}).")
    bad, job = mark(console, False), shunned.over.spec.job
    refused = " and ".join(shunned.refused)
    say(console, f"it proposes job {job}: {refused} refuse, and it is {shunned.over.outcome}", bad)
    names = f"{len(shunned.awaited.named)} of the {shunned.awaited.needed} names needed"
    say(console, f"it asks for names under a next head, of {shunned.size} entries: {names}", bad)


# --- another keeper -------------------------------------------------------------------------------------
def print_takeover(console: Console, former: str, deceived: str, takeover: "Takeover") -> None:
    """Say who agreed, from where on, and what became of the rest."""
    head = takeover.head
    title(console, 3, f"{former} is stopped for good; {head.keeper} takes over")
    good = mark(console, True)
    say(
        console,
        f"in {takeover.took_s:.2f} s, from entry {head.size} on, in epoch {head.epoch}; agreed: "
        f"{' and '.join(takeover.agreed)}, who hold the proof, so that nobody had to ask a person",
        good,
    )
    same = "the same root as before" if takeover.root == takeover.final.root else "ANOTHER ROOT"
    say(console, f"nothing final is lost: the first {takeover.final.size} entries have {same}", good)
    say(console, f"{deceived} follows, and sets aside what it alone was told:", good)
    for entry in takeover.aside:
        said = read_entry(entry.signed)
        again = takeover.again.get(entry.index)
        fate = "stays aside" if again is None else f"sent again, byte by byte, now entry {again}"
        say(console, f"entry {entry.index}, {said.kind} by {said.author}: {fate}", "-", 5)


# --- an auditor -----------------------------------------------------------------------------------------
def print_audit(console: Console, report: AuditReport, papers: Path) -> None:
    """Say what the audit of the ledger has found."""
    title(console, 4, "An outsider audits one file, with the charter's fingerprint alone")
    verdict = "[bold green]HOLDS[/]" if report.holds else "[bold red]DOES NOT HOLD[/]"
    held = sum(finding.holds for finding in report.findings)
    say(
        console,
        f"{verdict}: {held} of {len(report.findings)} points; {report.size} entries, {report.final_size} of them "
        f"final; {report.keeper} keeps the ledger, in epoch {report.epoch}",
    )
    for finding in report.findings:
        if finding.subject in SHOWN_SUBJECTS:
            sign = "[yellow]![/]" if finding.concern else mark(console, finding.holds)
            say(console, escape(finding.text), sign)
    say(console, f"as a page: {escape(str(papers / 'report.html'))}")


def print_counterfeits(console: Console, done: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Say what was done to copies, and what their audits say first."""
    console.print()
    say(console, f"{len(done)} counterfeits, and what the audit says of each:")
    for file, what in done.items():
        first = found[file].partition(". ")[0].partition(": this is")[0].rstrip(".")
        say(console, f"{what}: [bold]{escape(first) or 'NOT FOUND'}[/]", mark(console, not found[file]))


def print_end(console: Console, folder: Path, report: AuditReport, index: int, spent_s: float) -> None:
    """Say what is left, and what to try with it."""
    shown, typed = escape(str(folder)), escape(shlex.quote(str(folder)))
    hansa, papers = escape(shlex.quote(command())), escape(shlex.quote(str(folder / "audit")))
    charter = report.fingerprint
    console.print(
        f"\n({spent_s:.0f} s in all) Left in [bold]{shown}[/]: all homes, and what an auditor gets. Try:\n"
        f"  {hansa} ledger checkpoints {typed}\n"
        f"  {hansa} ledger evidence {typed}\n"
        f"  {hansa} ledger prove {index} {typed} --out {papers}/entry.proof\n"
        f"  {hansa} ledger check-proof {papers}/entry.proof --charter {charter}\n"
        f"  {hansa} ledger audit {papers}/town.ledger --charter {charter}\n"
        f"  {hansa} ledger audit {papers}/rolled-back.ledger --charter {charter} "
        f"--at-least {papers}/seen.checkpoint",
        highlight=False,
        soft_wrap=True,
    )
