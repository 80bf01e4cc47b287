"""Who is paid what, and why? The report of payouts as one HTML file: amounts, their flow, and what they rest on."""

from dataclasses import replace
from pathlib import Path

from hansa.agents.audit.checkpoints import cosigners
from hansa.agents.audit.jobs import MOST_OPEN, MOST_SHOWN, curves, earned, withdrawn
from hansa.agents.audit.markup import Html, bare, element, joined, left_out, said, text
from hansa.agents.audit.payments import cards, overview
from hansa.agents.audit.sheet import contents, sheet
from hansa.agents.audit.totals import flow_section, totals_section
from hansa.agents.audit.verdict import findings_section, is_ledger, limits_section, verdict_section
from hansa.agents.audit.words import counted
from hansa.agents.home import write_whole
from hansa.ledger.report import AuditReport, CheckpointLine, Finding, JobLine, PayoutLine

MOST_PAYOUTS = 20  # of one job, in the table of what they rest on

_SECTIONS = {
    "findings": "What was checked",
    "totals": "Totals",
    "flow": "Flow of money",
    "payouts": "Payouts",
    "paid": "What was paid for",
    "limits": "What this page can’t say",
}
_LIMIT = "That money has moved: a settlement’s reference is its proposer’s word. Compare it with the bank’s."


def write_payouts(report: AuditReport, path: Path, made_at_s: int | None = None) -> None:
    """Write the page of a ledger's payouts.

    Args:
        made_at_s: when the audit was made, seconds since 1970 UTC, if the page is to say so.

    Raises:
        OSError: the file can't be written; it names it.
    """
    write_whole(path, payouts_page(report, made_at_s))


def payouts_page(report: AuditReport, made_at_s: int | None = None) -> str:
    """Return the page of a ledger's payouts; the same report makes the same page."""
    told = replace(report, findings=tuple(each for each in report.findings if _matters(each)))
    parts = [verdict_section(report, made_at_s, "Payouts of a hansa ledger", _headline(report))]
    if not is_ledger(report):
        parts.append(findings_section(report))
    elif not report.payouts:
        words = element("p", text("There is no payout to be shown."), class_="quiet")
        parts += [element("section", words), findings_section(told)]
    else:
        parts += [
            contents(_SECTIONS),
            findings_section(told),
            totals_section(report),
            flow_section(report),
            _payouts_section(report),
            _paid_section(report),
            limits_section(report, _LIMIT),
        ]
    verdict = "holds" if report.holds and is_ledger(report) else "does not hold"
    title = joined(bare(report.federation or report.source, 60), text(f": payouts; the ledger {verdict}"))
    return sheet(title, parts, "hansa payout report")


def final_under(report: AuditReport, index: int) -> CheckpointLine | None:
    """Return the first final checkpoint over an entry; None if there is none among those of the report."""
    lines = [line for line in report.checkpoints if line.final and line.size > index]
    return min(lines, key=lambda line: (line.size, line.epoch), default=None)


def _matters(finding: Finding) -> bool:
    return not finding.holds or finding.concern or finding.subject in ("contributions", "payouts")


def _headline(report: AuditReport) -> Html:
    if not is_ledger(report):
        return text("No ledger could be read.")
    if report.holds:
        return joined(text("The ledger behind the payouts of "), said(report.federation, 60), text(" holds."))
    return joined(
        text("Do not pay by the ledger of "), said(report.federation, 60), text(": it does not hold.")
    )


def _payouts_section(report: AuditReport) -> Html:
    heading = element("h2", text("Payouts"), id="payouts")
    note = "Amounts are those that the audit has computed itself, from the measured shares."
    return element("section", heading, element("p", text(note)), *overview(report), cards(report))


def _paid_section(report: AuditReport) -> Html:
    """Show each job that is paid for: how good its model became, by whom, and who vouches for that."""
    heading = element("h2", text("What was paid for"), id="paid")
    lines: dict[str, list[PayoutLine]] = {}
    for line in sorted(report.payouts, key=lambda line: -line.number):
        if line.status != "withdrawn":
            lines.setdefault(line.job, []).append(line)
    jobs = sorted((job for job in report.jobs if job.name in lines), key=lambda job: -job.proposed_at)
    if not jobs:
        return element("section", heading, element("p", text("Nothing is to be paid for."), class_="quiet"))
    shown = [_job(report, job, lines[job.name], at < MOST_OPEN) for at, job in enumerate(jobs[:MOST_SHOWN])]
    rest = left_out(len(jobs) - MOST_SHOWN, "older jobs are", "the page of hansa ledger audit lists them")
    return element("section", heading, *shown, rest)


def _job(report: AuditReport, job: JobLine, lines: list[PayoutLine], is_open: bool) -> Html:
    pill = element("span", text(counted(len(lines), "payout")), class_="pill")
    summary = element("summary", element("h3", said(job.name, 60)), pill)
    body = (withdrawn(job), curves(job), earned(job), _rests(report, job, lines))
    opened = {"open": "open"} if is_open else {}
    return element("details", summary, *body, class_="job", **opened)


def _rests(report: AuditReport, job: JobLine, lines: list[PayoutLine]) -> Html:
    """Say under whose names the entries are final that payouts rest on: nobody can take these back."""
    title = element("h4", text("Who vouches for what was paid"))
    items = (
        element("li", element("b", text(f"Payout {line.number:,}")), *_ground(report, job, line))
        for line in lines[:MOST_PAYOUTS]
    )
    rest = left_out(len(lines) - MOST_PAYOUTS, "older payouts are", "the JSON report has them all")
    return joined(title, element("ul", *items, class_="plain"), rest)


def _ground(report: AuditReport, job: JobLine, line: PayoutLine) -> list[Html]:
    index = job.ended_at if line.until is None else line.until
    if index is None:
        return [text(" rests on a job that has not ended.")]
    what = text(f" rests on {'the job’s end' if line.until is None else 'the last use'}, entry {index:,}; ")
    found = final_under(report, index)
    if found is None:
        return [what, text("no checkpoint of this report makes that final.")]
    head = f"it is final under the checkpoint over the first {found.size:,} entries (epoch {found.epoch}, kept by "
    return [what, text(head), said(found.keeper, 60), text("), with the names of "), cosigners(found)]
