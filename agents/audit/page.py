"""What did the audit of a ledger find? One HTML file that needs no network, no script and no other file."""

from pathlib import Path

from hansa.agents.audit.checkpoints import checkpoints_section
from hansa.agents.audit.jobs import jobs_section
from hansa.agents.audit.markup import Html, bare, element, joined, text
from hansa.agents.audit.members import members_section
from hansa.agents.audit.style import stylesheet
from hansa.agents.audit.timeline import timeline_section
from hansa.agents.audit.verdict import findings_section, is_ledger, limits_section, verdict_section
from hansa.agents.home import write_whole
from hansa.ledger.report import AuditReport

# A browser loads nothing, runs nothing and sends nothing, whatever an author has written.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

_SECTIONS = {
    "findings": "What was checked",
    "timeline": "What happened when",
    "members": "Members",
    "checkpoints": "Checkpoints",
    "jobs": "Jobs",
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
            _contents(),
            findings_section(report),
            timeline_section(report),
            members_section(report),
            checkpoints_section(report),
            jobs_section(report),
            limits_section(report),
        ]
    else:
        parts.append(findings_section(report))
    made = element("footer", text("Made by hansa ledger audit. This page loads nothing and sends nothing."))
    return f"<!DOCTYPE html>\n{element('html', _head(report), _body(*parts, made), lang='en')}\n"


def _body(*parts: Html) -> Html:
    return element("body", element("main", *parts))


def _head(report: AuditReport) -> Html:
    verdict = "holds" if report.holds and is_ledger(report) else "does not hold"
    name = report.federation or report.source
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", joined(bare(name, 60), text(f": the ledger {verdict}"))),
        element("style", Html(stylesheet())),
    )


def _contents() -> Html:
    links = (element("li", element("a", text(title), href=f"#{name}")) for name, title in _SECTIONS.items())
    return element("nav", element("ul", *links), aria_label="On this page")
