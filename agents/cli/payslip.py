"""How does a payout read in a terminal? Who gets what and why, how far it has come, and what all came to."""

from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from hansa.agents.cli.outcome import counted
from hansa.agents.payouts.account import Total
from hansa.agents.payouts.sheet import Line, Sheet
from hansa.agents.service.logs import printable
from hansa.ledger import Payout
from hansa.ledger.report import PayoutLine
from hansa.ledger.terms import amount, money

UNITS = {"rows": "rows", "cells": "rows × columns", "score": "score", "loss": "less loss"}


def heading(sheet: Sheet) -> str:
    """Return in a line what is split, for what and by what."""
    what = "for training it"
    if sheet.basis == "uses":
        what = f"for {counted(sheet.rows, 'row')} of uses, entries {sheet.since} … {sheet.until}"
    how = "as fli spreads it over instalments" if sheet.scheme == "fli" else "by contribution"
    pot, method = money(sheet.pot_minor, sheet.currency), printable(sheet.method)
    return f"{sheet.job}: {pot} {what}, {how}, measured by {method}"


def sheet_table(sheet: Sheet) -> Table:
    """Return who gets what: contribution, share and amount; a negative contribution is shown, and gets nothing."""
    table = Table(box=None, header_style="bold", pad_edge=False, show_footer=True)
    table.add_column("party", "total")
    table.add_column(f"contribution ({UNITS[sheet.unit]})", justify="right")
    table.add_column("share", justify="right")
    table.add_column(sheet.currency, amount(sheet.pot_minor, sheet.currency), justify="right")
    for line in sheet.lines:
        paid = amount(line.amount_minor, sheet.currency)
        table.add_row(line.party, _contribution(line, sheet.unit), f"{line.share:.1%}", paid)
    return table


def state_line(told: dict[str, Any]) -> str:
    """Return how far a payout has come, from an order's answer."""
    if told["status"] != "open":
        return f"payout {told['number']} is {told['status']}"
    words = [f"approved by {', '.join(told['approved']) or 'nobody yet'}, {told['needed']} must"]
    for what in ("held", "disputed"):
        words += [f"{what} by {name}: {printable(why)}" for name, why in told[what].items()]
    line = f"payout {told['number']} is open: {'; '.join(words)}"
    if told["waiting"]:
        return line
    return f"{line}; {told['proposer']} may settle it: hansa payout settle {told['number']} --reference TEXT"


def summary(number: int, payout: Payout, waiting: Sequence[str]) -> str:
    """Return a payout in a line."""
    state: str = payout.status
    if payout.status == "open":
        over = f", though disputed by {', '.join(sorted(payout.disputed))}" if payout.disputed else ""
        state = f"open: {'; '.join(map(printable, waiting))}" if waiting else f"open: may be settled{over}"
    if payout.reference:
        state += f": {printable(payout.reference)}"
    return f"{number:>5}  {payout.job}  {payout.basis}  {money(payout.pot_minor, payout.currency)}  {state}"


def report_table(payouts: Sequence[PayoutLine]) -> Table:
    """Return every payout's amounts by party, with how far it has come."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("payout", justify="right")
    for column in ("job", "basis", "party"):
        table.add_column(column)
    table.add_column("amount", justify="right")
    table.add_column("status")
    for line in payouts:
        first = (str(line.number), line.job, line.basis)
        state = line.status + (f": {printable(line.reference)}" if line.reference else "")
        for party in sorted(line.amounts):
            table.add_row(*first, party, money(line.amounts[party], line.currency), escape(state))
            first, state = ("", "", ""), ""
    return table


def totals_table(sums: Sequence[Total]) -> Table:
    """Return what every member gets in each currency."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("member")
    for column in ("settled", "open"):
        table.add_column(column, justify="right")
    for each in sums:
        table.add_row(
            each.party, money(each.settled_minor, each.currency), money(each.open_minor, each.currency)
        )
    return table


def _contribution(line: Line, unit: str) -> str:
    if unit in ("rows", "cells"):
        return f"{line.contribution:,.0f}"
    return f"{line.contribution:+.4f}"
