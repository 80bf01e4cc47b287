"""What have all payouts come to? Rows and totals of an audit's report, for people, spreadsheets and programs."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from hansa.agents.payouts.figures import plain
from hansa.agents.service.logs import printable
from hansa.ledger.report import AuditReport, JobLine, PayoutLine

SHARE_DIGITS = 9  # after the point: weights of valued contributions are billionths

# What a spreadsheet takes for a formula, the wide forms among it; control characters are gone by then.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@dataclass(frozen=True, slots=True)
class Row:
    """What one payout gives one party.

    Attributes:
        payout: its number.
        weight, share: of the party's contribution; None of a withdrawn payout, since contributions may have been
            measured anew, after which nobody can say it of the old ones.
        amount: in decimal digits with the currency's decimal places, "33333.34".
        approved: by whom.
        held, disputed: by whom and why: "name: reason", with "; " between them.
        proposed_at: UTC, by the proposer's clock.
    """

    payout: int
    job: str
    basis: str
    scheme: str
    currency: str
    party: str
    weight: int | None
    share: str | None
    amount: str
    status: str
    approved: str
    held: str
    disputed: str
    reference: str
    proposed_at: str


@dataclass(frozen=True, slots=True)
class Total:
    """What a member gets in one currency: settled, and still on its way; in minor units."""

    party: str
    currency: str
    settled_minor: int
    open_minor: int


COLUMNS: tuple[str, ...] = tuple(each.name for each in fields(Row))


def of_job(report: AuditReport, job: str) -> tuple[PayoutLine, ...]:
    """Return the payouts of one job, or of all if it is ""."""
    return tuple(line for line in report.payouts if job in ("", line.job))


def rows(payouts: Iterable[PayoutLine], jobs: Iterable[JobLine]) -> tuple[Row, ...]:
    """Return a row for each payout and party, in the order of the payouts' numbers and the parties' names."""
    weights = {job.name: job.shares for job in jobs}
    return tuple(
        _row(line, party, weights.get(line.job, {}).get(party, 0), sum(weights.get(line.job, {}).values()))
        for line in payouts
        for party in sorted(line.amounts)
    )


def totals(payouts: Iterable[PayoutLine]) -> tuple[Total, ...]:
    """Return what every member gets, by name and currency; payouts withdrawn don't count."""
    sums: dict[tuple[str, str], list[int]] = {}
    for line in payouts:
        for party, amount in line.amounts.items():
            found = sums.setdefault((party, line.currency), [0, 0])
            if line.status != "withdrawn":
                found[line.status == "open"] += amount
    return tuple(Total(*key, *found) for key, found in sorted(sums.items()))


def as_csv(told: Sequence[Row]) -> str:
    """Return rows as a spreadsheet reads them: with a head line, and no text that it would take for a formula."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in told:
        writer.writerow([_cell(value) for value in astuple(row)])
    return file.getvalue()


def as_json(told: Sequence[Row], sums: Sequence[Total]) -> dict[str, Any]:
    """Return rows and totals for a program: the columns of the CSV file, and texts as they were written."""
    return {
        "payouts": [dict(zip(COLUMNS, astuple(row), strict=True)) for row in told],
        "totals": [
            {
                "party": each.party,
                "currency": each.currency,
                "settled": plain(each.settled_minor, each.currency),
                "open": plain(each.open_minor, each.currency),
            }
            for each in sums
        ],
    }


def moment(time_ms: int) -> str:
    """Return an author's time, UTC, to the second; as a number, if no calendar has it."""
    try:
        return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{time_ms // 1000} s"


def _row(line: PayoutLine, party: str, weight: int, total: int) -> Row:
    known = line.status != "withdrawn" and total > 0
    return Row(
        line.number,
        line.job,
        line.basis,
        line.scheme,
        line.currency,
        party,
        weight if known else None,
        f"{weight / total:.{SHARE_DIGITS}f}" if known else None,
        plain(line.amounts[party], line.currency),
        line.status,
        ", ".join(line.approved),
        _reasons(line.held),
        _reasons(line.disputed),
        line.reference,
        moment(line.proposed_ms),
    )


def _reasons(why: Any) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in sorted(why.items()))


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return "" if value is None else value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
