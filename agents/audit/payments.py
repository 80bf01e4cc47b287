"""Who is paid what, who has agreed to it, and has the money moved? A table of all payouts, and a card for each."""

from collections.abc import Mapping

from hansa.agents.audit.markup import (
    NOTHING,
    Html,
    bare,
    element,
    joined,
    left_out,
    listed,
    said,
    table,
    text,
)
from hansa.agents.audit.words import counted, minute, percent
from hansa.ledger.report import AuditReport, PayoutLine
from hansa.ledger.terms import amount

MOST_LISTED = 1_000  # payouts in the table
MOST_SHOWN = 50  # payouts with a card
_AT_ONCE = 6  # the others of them on demand
MOST_PARTIES = 20  # of one payout
MOST_NAMES = 8  # of those who approved, hold or dispute one


def money_section(report: AuditReport) -> Html:
    """Show the payouts, the newest first."""
    heading = element("h2", text("Money"), id="money")
    if not report.payouts:
        words = element("p", text("No payout was ever proposed."), class_="quiet")
        return element("section", heading, words)
    note = (
        f"{counted(len(report.payouts), 'payout')}. Amounts are those that the audit has computed itself, from the"
        " measured shares. A settlement is its proposer’s word that money has moved: compare the reference with"
        " the bank’s."
    )
    return element("section", heading, element("p", text(note)), *overview(report), cards(report))


def overview(report: AuditReport) -> list[Html]:
    """List the payouts as a table, the newest first; one alone needs none."""
    if len(report.payouts) < 2:
        return []
    rows = [
        [
            text(f"{line.number:,}"),
            element("span", said(line.job, 60), class_="named"),
            _state(line),
            cash(line.pot_minor, line.currency),
            text("training" if line.basis == "training" else "uses"),
            text(f"{len(line.approved):,}, needs {line.needed:,}"),
        ]
        for line in _newest(report)[:MOST_LISTED]
    ]
    heads = ["Payout", "Job", "State", "Pot", "For", "Approved"]
    rest = left_out(len(report.payouts) - MOST_LISTED, "older payouts are", "the JSON report has them all")
    return [table("Payouts, the newest first", heads, rows, frozenset({3})), rest]


def cards(report: AuditReport) -> Html:
    """Show each of the newest payouts."""
    shown = [payout_card(line) for line in _newest(report)[:MOST_SHOWN]]
    more = NOTHING
    if older := shown[_AT_ONCE:]:
        summary = element("summary", text(f"{counted(len(older), 'payout')} before these"))
        more = element("details", summary, element("div", *older, class_="cards wide"))
    rest = NOTHING
    if len(report.payouts) > MOST_SHOWN:
        words = f"{len(report.payouts) - MOST_SHOWN:,} older payouts are in the table above alone."
        rest = element("p", text(words), class_="quiet")
    return joined(element("div", *shown[:_AT_ONCE], class_="cards wide"), more, rest)


def payout_card(line: PayoutLine) -> Html:
    """Show one payout: what for, who gets what, who agrees, who doesn't, and what came of it."""
    number = text(f"Payout {line.number:,}")
    return element(
        "article",
        element("h3", number, _state(line)),
        element("p", cash(line.pot_minor, line.currency), class_="pot"),
        element("p", *_purpose(line), class_="small"),
        _amounts(line),
        element("p", *_approvals(line), class_="small"),
        *_against("Held by ", line.held),
        *_against("Disputed by ", line.disputed),
        _outcome(line),
        class_="card",
    )


def cash(minor: int, currency: str) -> Html:
    """Say an amount of money, on one line: 1,234.50 EUR."""
    words = text(amount(minor, currency) + "\N{NO-BREAK SPACE}")
    return element("span", words, bare(currency, 8), class_="cash")


def _newest(report: AuditReport) -> list[PayoutLine]:
    return sorted(report.payouts, key=lambda line: line.number, reverse=True)


def _state(line: PayoutLine) -> Html:
    marks = [element("span", said(line.status, 40), class_="pill")]
    if line.status == "open":
        told = (("held", line.held), ("disputed", line.disputed))
        marks += [element("span", text(words), class_="pill warn") for words, names in told if names]
    return joined(*marks, by=" ")


def _purpose(line: PayoutLine) -> list[Html]:
    if line.basis == "training":
        what = [text("For having trained "), said(line.job, 60)]
    else:
        scored = text(f"For {counted(line.rows, 'row')} scored by ")
        what = [scored, said(line.job, 60), text(f", entries {_entry(line.since)} to {_entry(line.until)}")]
    scheme = (
        "spread over instalments by what each has put in and waited for (FLI)"
        if line.scheme == "fli"
        else "split by the measured shares"
    )
    when = text(f"; {scheme}. Proposed on {minute(line.proposed_ms)} UTC by ")
    return [*what, when, said(line.proposer, 60), text(".")]


def _entry(index: int | None) -> str:
    return "–" if index is None else f"{index:,}"


def _amounts(line: PayoutLine) -> Html:
    ordered = sorted(line.amounts.items(), key=lambda item: (-item[1], item[0]))
    rows = [
        [
            joined(said(party, 60), _said_of(line, party)),
            text(amount(minor, line.currency) if minor else "nothing"),
            text(percent(minor, line.pot_minor)),
        ]
        for party, minor in ordered[:MOST_PARTIES]
    ]
    caption = f"Amounts of payout {line.number:,}"
    listing = table(caption, ["Party", "Amount", "Of the pot"], rows, frozenset({1, 2}))
    rest = left_out(len(ordered) - MOST_PARTIES, "smaller amounts are", "the JSON report has them all")
    return joined(listing, rest)


def _said_of(line: PayoutLine, party: str) -> Html:
    found = []
    if party in line.approved:
        found.append("approves")
    if party in line.disputed:
        found.append("disputes")
    return element("span", text(" and ".join(found)), class_="when small quiet") if found else NOTHING


def _approvals(line: PayoutLine) -> list[Html]:
    names = _names(list(line.approved)) if line.approved else text("nobody")
    needed = "1 is needed" if line.needed == 1 else f"{line.needed:,} are needed"
    return [text("Approved by "), names, text(f"; {needed}.")]


def _names(names: list[str]) -> Html:
    parts = [said(name, 60) for name in names[:MOST_NAMES]]
    if len(names) > MOST_NAMES:
        parts.append(text(f"{len(names) - MOST_NAMES} more"))
    return listed(parts)


def _against(what: str, reasons: Mapping[str, str]) -> list[Html]:
    """Quote those who hold or dispute a payout."""
    ordered = sorted(reasons.items())
    found = [
        element("p", text(what), element("b", said(name, 60)), text(": "), said(reason), class_="note warn")
        for name, reason in ordered[:MOST_NAMES]
    ]
    rest = left_out(len(ordered) - MOST_NAMES, "more who say so are", "the JSON report quotes them")
    return [*found, rest]


def _outcome(line: PayoutLine) -> Html:
    if line.status == "settled":
        when = "" if line.settled_ms is None else f" on {minute(line.settled_ms)} UTC"
        reference = said(line.reference) if line.reference else text("none was given")
        return element("p", text(f"Settled{when}, reference: "), reference, class_="note")
    if line.waiting:
        reasons = joined(*(said(reason, 200) for reason in line.waiting[:MOST_NAMES]), by="; ")
        return element("p", text("Before it can be settled: "), reasons, text("."), class_="small")
    if line.status == "open":
        return element("p", text("Nothing stands in the way of its settlement."), class_="small")
    return NOTHING
