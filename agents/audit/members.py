"""Who belongs to the federation? One card for each member, with the fingerprint that two people compare."""

from hansa.agents.audit.markup import NOTHING, Html, element, joined, left_out, said, table, text
from hansa.agents.audit.verdict import digits
from hansa.agents.audit.words import counted, percent
from hansa.ledger.report import AuditReport, MemberLine

MOST_MEMBERS = 300
_AT_ONCE = 12  # the others of them on demand
MOST_DATASETS = 12  # of one member


def members_section(report: AuditReport) -> Html:
    """Show the members as of the ledger's end."""
    heading = element("h2", text("Members"), id="members")
    if not report.members:
        return element("section", heading, element("p", text("The ledger names no members."), class_="quiet"))
    active = sum(member.status == "active" for member in report.members)
    note = (
        f"{counted(len(report.members), 'member')}, {active} active at the end. Fingerprints are of the keys that"
        " each had then: compare them by telephone, four digits at a time."
    )
    cards = [_card(member, member.name == report.keeper) for member in report.members[:MOST_MEMBERS]]
    shown, folded = cards[:_AT_ONCE], cards[_AT_ONCE:]
    rest = left_out(len(report.members) - MOST_MEMBERS, "members are", "the JSON report has them all")
    more = NOTHING
    if folded:
        summary = element("summary", text(counted(len(folded), "more member", "more members")))
        more = element("details", summary, element("div", *folded, class_="cards"))
    return element(
        "section", heading, element("p", text(note)), element("div", *shown, class_="cards"), more, rest
    )


def _card(member: MemberLine, keeps: bool) -> Html:
    status = element("span", text("keeper" if keeps else member.status), class_="pill")
    if keeps and member.status != "active":
        status = joined(status, element("span", said(member.status, 40), class_="pill"))
    name = element("h3", said(member.name, 60), status)
    organisation = (
        element("p", said(member.organisation, 200), class_="quiet") if member.organisation else NOTHING
    )
    wrote = (
        f"{counted(member.entries, 'entry', 'entries')} written · admitted by entry {member.admitted_at:,}"
    )
    facts = element("p", text(wrote), class_="small")
    return element(
        "article", name, organisation, digits(member.fingerprint), facts, _datasets(member), class_="card"
    )


def _datasets(member: MemberLine) -> Html:
    if not member.datasets:
        return NOTHING
    ordered = sorted(member.datasets.items())
    rows = [
        [
            said(name, 60),
            text(f"{rows:,}"),
            text(f"{withdrawn:,} ({percent(withdrawn, rows)})" if withdrawn else "0"),
        ]
        for name, (rows, withdrawn) in ordered[:MOST_DATASETS]
    ]
    heads = ["Data set", "Rows", "Withdrawn"]
    listing = table("Data sets", heads, rows, frozenset({1, 2}))
    return joined(
        listing, left_out(len(ordered) - MOST_DATASETS, "data sets are", "the JSON report has them all")
    )
