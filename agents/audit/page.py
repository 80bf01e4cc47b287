"""What did the audit of a ledger find? One HTML file that needs no network, no script and no other file."""

from pathlib import Path

from hansa.agents.audit.checkpoints import checkpoints_section
from hansa.agents.audit.jobs import jobs_section
from hansa.agents.audit.markup import bare, joined, text
from hansa.agents.audit.members import members_section
from hansa.agents.audit.payments import money_section
from hansa.agents.audit.sheet import contents, sheet
from hansa.agents.audit.timeline import timeline_section
from hansa.agents.audit.verdict import findings_section, is_ledger, limits_section, verdict_section
from hansa.agents.home import write_whole
from hansa.ledger.report import AuditReport

_SECTIONS = {
    "findings": "What was checked",
    "timeline": "What happened when",
    "members": "Members",
    "checkpoints": "Checkpoints",
    "jobs": "Jobs",
    "money": "Money",
    "limits": "What this page can’t say",
}


def write_page(report: AuditReport, path: Path, made_at_s: int | None = None) -> None:
    """Write the page of an audit.

    Args:
        made_at_s: when the audit was made, seconds since 1970 UTC, if the page is to say so.

    Raises:
        OSError: the file can't be written; it names it.
    """
    write_whole(path, page(report, made_at_s))


def page(report: AuditReport, made_at_s: int | None = None) -> str:
    """Return the page of an audit; the same report makes the same page."""
    parts = [verdict_section(report, made_at_s)]
    if is_ledger(report):
        parts += [
            contents(_SECTIONS),
            findings_section(report),
            timeline_section(report),
            members_section(report),
            checkpoints_section(report),
            jobs_section(report),
            money_section(report),
            limits_section(report),
        ]
    else:
        parts.append(findings_section(report))
    verdict = "holds" if report.holds and is_ledger(report) else "does not hold"
    title = joined(bare(report.federation or report.source, 60), text(f": the ledger {verdict}"))
    return sheet(title, parts, "hansa ledger audit")
