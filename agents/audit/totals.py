"""What do the payouts come to, by currency and member?"""

from collections.abc import Sequence

from hansa.agents.audit.flow import flow
from hansa.agents.audit.markup import Html, bare, element, joined, left_out, said, table, text
from hansa.agents.audit.payments import cash
from hansa.agents.audit.streams import summed
from hansa.agents.audit.words import counted
from hansa.ledger.report import AuditReport, PayoutLine
from hansa.ledger.terms import amount

MOST_CURRENCIES = 8
MOST_MEMBERS = 300


def totals_section(report: AuditReport) -> Html:
    """List what each member has been paid, and what it is to be paid."""
    heading = element("h2", text("Totals"), id="totals")
    parts = [part for name, lines in _shown(report) for part in _totals(name, lines)]
    return element("section", heading, *parts, _rest(report))


def flow_section(report: AuditReport) -> Html:
    """Draw where the money goes, each currency by itself: their amounts can't be compared."""
    heading = element("h2", text("Flow of money"), id="flow")
    words = "From pots to members, as wide as the amounts. Pots are named by the payout’s number and its job."
    parts = [part for name, lines in _shown(report) for part in (_title(name), flow(lines, name))]
    return element("section", heading, element("p", text(words), class_="quiet"), *parts, _rest(report))


def by_currency(report: AuditReport) -> dict[str, list[PayoutLine]]:
    """Return the payouts of each currency, by the currencies' names, in the order of their proposals."""
    found: dict[str, list[PayoutLine]] = {}
    for line in sorted(report.payouts, key=lambda line: (line.currency, line.number)):
        found.setdefault(line.currency, []).append(line)
    return found


def _shown(report: AuditReport) -> list[tuple[str, list[PayoutLine]]]:
    return list(by_currency(report).items())[:MOST_CURRENCIES]


def _rest(report: AuditReport) -> Html:
    count = len(by_currency(report)) - MOST_CURRENCIES
    return left_out(count, "currencies are", "the JSON report has them all")


def _title(currency: str) -> Html:
    return element("h3", bare(currency, 8))


def _totals(currency: str, lines: Sequence[PayoutLine]) -> list[Html]:
    settled, waiting = (_of(lines, status) for status in ("settled", "open"))
    paid, due = summed(settled), summed(waiting)
    names = sorted({*paid, *due}, key=lambda name: (-paid.get(name, 0), -due.get(name, 0), name))
    rows = [
        [
            said(name, 60),
            text(amount(paid.get(name, 0), currency)),
            text(amount(due.get(name, 0), currency)),
        ]
        for name in names[:MOST_MEMBERS]
    ]
    whole = sum(paid.values()), sum(due.values())
    rows.append([text("Together"), *(element("b", text(amount(each, currency))) for each in whole)])
    heads = ["Member", "Settled", "Proposed, not settled"]
    listing = table("Totals by member", heads, rows, frozenset({1, 2}))
    rest = left_out(len(names) - MOST_MEMBERS, "members are", "the JSON report has them all")
    return [_title(currency), _sentence(currency, lines, whole), joined(listing, rest)]


def _of(lines: Sequence[PayoutLine], status: str) -> list[PayoutLine]:
    return [line for line in lines if line.status == status]


def _sentence(currency: str, lines: Sequence[PayoutLine], whole: tuple[int, int]) -> Html:
    settled, waiting, withdrawn = (len(_of(lines, status)) for status in ("settled", "open", "withdrawn"))
    parts = [joined(cash(whole[0], currency), text(f" settled in {counted(settled, 'payout')}"))]
    if waiting:
        words = text(f" proposed and not settled, in {counted(waiting, 'payout')}")
        parts.append(joined(cash(whole[1], currency), words))
    if withdrawn:
        parts.append(text(f"{counted(withdrawn, 'payout')} withdrawn"))
    return element("p", joined(*parts, by="; "), text("."))
