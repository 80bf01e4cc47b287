"""What does a payout pay to whom, and why that much? Computed from a standing, never read from an entry."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from hansa.agents.errors import PayoutError
from hansa.agents.payouts.figures import read_amount
from hansa.ledger import Job, Payout, PayoutProposed, Standing
from hansa.ledger.money import Basis, Scheme
from hansa.ledger.payouts import needed_approvals
from hansa.ledger.permits import check_finished, coordinates, job_of
from hansa.ledger.split import brought_in, split, uses_pot
from hansa.ledger.terms import Terms, check_currency, money, terms


@dataclass(frozen=True, slots=True)
class Line:
    """One party of a payout.

    Attributes:
        contribution: as measured: whole rows, or rows × columns; or in the utility's unit, perhaps negative.
        weight: by which it is paid, >= 0.
        share: its part of all weights, for people to read.
        amount_minor: what it gets.
    """

    party: str
    contribution: float
    weight: int
    share: float
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """A payout as it is shown before anybody agrees to it.

    Attributes:
        method: by which contributions were measured.
        unit: of contributions: "rows", "cells" (rows × columns), "score" or "loss".
        since, until: of uses, the indices of the first entry and the last, both included; else -1.
        rows: that these uses have scored; else 0.
        rests_at: index of the entry that must be final.
        needed: how many must approve it.
        lines: of all whose contribution was measured, by name.
    """

    job: str
    basis: Basis
    scheme: Scheme
    currency: str
    pot_minor: int
    method: str
    unit: str
    since: int
    until: int
    rows: int
    rests_at: int
    needed: int
    lines: tuple[Line, ...]

    @property
    def amounts(self) -> dict[str, int]:
        """Minor units by party."""
        return {line.party: line.amount_minor for line in self.lines}

    def as_json(self) -> dict[str, Any]:
        """Return it for an answer; `read_sheet` reads it."""
        plain = asdict(self)
        plain["lines"] = list(plain["lines"])
        return plain

    def proposal(self, note: bytes, path: tuple[bytes, ...]) -> PayoutProposed:
        """Return it as an entry.

        Args:
            note: a final head, encoded.
            path: of the entry that it rests on, in that head's tree.
        """
        return PayoutProposed(
            self.job,
            self.currency,
            self.pot_minor,
            self.amounts,
            note,
            path,
            self.basis,
            self.since,
            self.until,
            self.scheme,
        )


def read_sheet(told: Mapping[str, Any]) -> Sheet:
    """Return a sheet from an order's answer; whatever else that says is passed over."""
    fields = {name: told[name] for name in Sheet.__dataclass_fields__}
    return Sheet(**fields | {"lines": tuple(Line(**each) for each in told["lines"])})


def drafted(
    now: Standing, author: str, job: str, pot: str, currency: str, basis: Basis, scheme: Scheme
) -> Sheet:
    """Return what a payout would pay if it were proposed now.

    Args:
        pot: as it was typed; empty takes what the job's terms agreed, or what its uses come to by their price.
        currency: empty takes that of the job's terms.

    Raises:
        RuleBroken: no such job, it has not finished, or another coordinates it; or contributions can't be paid by.
        PayoutError: nothing was typed, and nothing agreed; or there is nothing to be paid for.
        ValueError: no amount, or no currency.
    """
    found = job_of(now, job)
    coordinates(author, found, job)
    check_finished(found, job)
    agreed = terms(found.settings)
    currency = _currency(job, agreed, currency)
    since, until, rows, fixed = -1, -1, 0, agreed.pot_minor if agreed else None
    if basis == "uses":
        since, until, rows, fixed = _uses(now, job)
    elif scheme == "fli" and fixed is not None:  # what the instalments before have left of it
        fixed -= sum(each.pot_minor for _, each in now.payouts_of(job) if each.basis == "training")
    pot_minor = _pot(job, basis, scheme, pot, currency, fixed)
    payout = Payout(job, author, currency, {}, pot_minor, basis, since, until, scheme)
    amounts = split(
        now, job, pot_minor, basis=basis, since=since, until=until, scheme=scheme, currency=currency
    )
    return _sheet(now, payout, rows, amounts)


def recomputed(now: Standing, number: int) -> Sheet:
    """Return what an open payout pays, computed anew from a standing.

    Raises:
        PayoutError: there is no such payout; or its entry says something else.
    """
    payout = payout_of(now, number)
    amounts = split(now, payout.job, payout.pot_minor, scheme=payout.scheme, currency=payout.currency)
    rows, uses = rows_between(now, payout), payout.basis == "uses"
    come_to = brought_in(now, payout.job, payout.since, payout.until) if uses else None
    if come_to not in (None, payout.pot_minor):
        raise _differs(number, payout, "a pot of", payout.pot_minor, come_to or 0)
    for party in sorted({*amounts, *payout.amounts}):
        said, amount = payout.amounts.get(party, 0), amounts.get(party, 0)
        if said != amount:
            raise _differs(number, payout, party, said, amount)
    return _sheet(now, payout, rows, amounts)


def as_paid(now: Standing, number: int) -> Sheet:
    """Return what a payout pays as its entry says, which the rules computed anew when our copy took it in."""
    payout = payout_of(now, number)
    return _sheet(now, payout, rows_between(now, payout), payout.amounts)


def payout_of(now: Standing, number: int) -> Payout:
    """Return a payout; PayoutError names those there are."""
    found = now.payouts.get(number)
    if found is None:
        there = ", ".join(map(str, now.payouts)) or "none yet"
        raise PayoutError(
            f"entry {number} proposes no payout, as far as this copy of the ledger goes; there are: {there}"
        )
    return found


def rows_between(now: Standing, payout: Payout) -> int:
    """Return how many rows the uses have scored that a payout is for; 0 of a training."""
    return now.uses[payout.job].rows(payout.since, payout.until) if payout.basis == "uses" else 0


def unit(job: Job) -> str:
    """Return in what a job's contributions are told."""
    if job.appraisal is not None:
        return job.appraisal.how.utility
    return "rows" if job.model else "cells"


def contribution(job: Job, party: str) -> float:
    """Return what a party has contributed, as measured."""
    if job.appraisal is not None:
        return float(job.appraisal.shares.get(party, 0))
    return job.shares.get(party, 0)


def _currency(job: str, agreed: Terms | None, typed: str) -> str:
    """Return in what is paid: as agreed, or else as typed."""
    if typed:
        check_currency(typed)
    if agreed is not None and typed not in ("", agreed.currency):
        raise PayoutError(f"job {job} has agreed on {agreed.currency}, not {typed}: leave out --currency")
    if agreed is None and not typed:
        raise PayoutError(f"job {job} has agreed on no currency: name one, --currency EUR")
    return typed or (agreed.currency if agreed else "")


def _pot(job: str, basis: Basis, scheme: Scheme, typed: str, currency: str, agreed: int | None) -> int:
    """Return what is to be split, in minor units: as agreed, or else as typed; an instalment may be less."""
    if agreed == 0:
        paid = f"of the pot that {job} has agreed on nothing is left"
        few = f"the uses of {job} come to {money(0, currency)} so far: wait for more of them"
        raise PayoutError(few if basis == "uses" else paid)
    if typed:
        pot_minor = read_amount(typed, currency)
        if agreed is not None and pot_minor != agreed and not (scheme == "fli" and pot_minor < agreed):
            left = "has left" if scheme == "fli" else "has agreed on"
            raise PayoutError(f"job {job} {left} {money(agreed, currency)}, not {money(pot_minor, currency)}")
        return pot_minor
    if agreed is None:
        what = "price for uses" if basis == "uses" else "pot"
        raise PayoutError(f"job {job} has agreed on no {what}: say what is to be split, --pot 100000.00")
    return agreed


def _uses(now: Standing, job: str) -> tuple[int, int, int, int | None]:
    """Return the first and last use that is not paid for, their rows, and what they come to, if that is agreed."""
    if job not in now.uses:
        raise PayoutError(
            f"no use of the model of {job} is on the ledger; those outside hansa are noted by "
            f"hansa model used --job {job} --rows N"
        )
    until = now.uses[job].newest.index
    since, rows, pot_minor = uses_pot(now, job, until)
    return since, until, rows, pot_minor


def _sheet(now: Standing, payout: Payout, rows: int, amounts: Mapping[str, int]) -> Sheet:
    job = now.jobs[payout.job]
    total = sum(job.shares.values())
    lines = tuple(
        Line(party, contribution(job, party), weight, weight / total if total else 0.0, amounts[party])
        for party, weight in ((name, job.shares.get(name, 0)) for name in sorted(amounts))
    )
    payout = replace(payout, amounts=amounts)
    return Sheet(
        payout.job,
        payout.basis,
        payout.scheme,
        payout.currency,
        payout.pot_minor,
        job.method,
        unit(job),
        payout.since,
        payout.until,
        rows,
        payout.until if payout.basis == "uses" else job.rests_at,
        needed_approvals(now.charter, payout),
        lines,
    )


def _differs(number: int, payout: Payout, what: str, said: int, found: int) -> PayoutError:
    return PayoutError(
        f"payout {number} gives {what} {money(said, payout.currency)}, and by our copy of the ledger it is "
        f"{money(found, payout.currency)}: approve nothing, and check the copy: hansa ledger verify"
    )
