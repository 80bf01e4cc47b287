"""What does everybody get of a pot, to the cent? Computed from the ledger and nothing else.

The one computation of the house: the rule holds a proposed payout against it, the audit does by that rule, and the
command that proposes one takes its amounts from here. One rule holds for all: where nobody's weight is positive no
pot can be split, and nobody is paid.
"""

from bisect import bisect_left

from hansa.ledger.claims import Payout
from hansa.ledger.errors import RuleBroken
from hansa.ledger.fli import instalment_weights
from hansa.ledger.money import Basis, Scheme
from hansa.ledger.permits import job_of
from hansa.ledger.shares import largest_remainder
from hansa.ledger.standing import Job, Standing
from hansa.ledger.terms import Terms, terms
from hansa.ledger.uses import Uses


def split(
    now: Standing,
    job: str,
    pot_minor: int,
    *,
    basis: Basis = "training",
    since: int = -1,
    until: int = -1,
    scheme: Scheme = "weights",
    currency: str = "EUR",
) -> dict[str, int]:
    """Split a pot for a job among all who had a part in it, in whole minor units that sum to it.

    Whoever consented to a job by volume has a part in it, measured or not: nobody is left out of a payout by being
    left out of the measurement, and so can't dispute it. Where coalitions are valued all are measured.

    Args:
        basis, since, until, scheme: as in `PayoutProposed`.
        currency: of the pot; with the scheme "fli", regrets are in it, and against the job's coordinator.

    Returns:
        By party, in the order of their names; those who get nothing as well.

    Raises:
        RuleBroken: no such job, nothing measured, nobody has contributed; of uses, others than those that are to be
            paid for next; of instalments, that the parties agreed on no costs.
    """
    found = job_of(now, job)
    if not found.shares:
        raise RuleBroken(f"nobody can be paid for {job}: what each party has brought in was not measured")
    if not any(found.shares.values()):
        raise RuleBroken(
            f"nobody can be paid for {job}: all its measured weights are 0, and no pot can be split by these"
        )
    weights = dict.fromkeys(sorted({*found.shares, *(() if found.started else found.accepted)}), 0)
    weights |= found.shares
    if basis == "uses":
        first, _, _ = uses_pot(now, job, until)
        if since != first:
            raise RuleBroken(f"the uses of {job} that no payout covers begin at entry {first}, not {since}")
    if scheme == "fli":
        agreed = agreed_terms(found, job)
        if agreed is None or agreed.cost_micros is None:
            raise RuleBroken(f"{job} has agreed on no costs, and so on no instalments that would repay any")
        costs = now.costs_of(job, currency)
        keys = {party: (found.coordinator, currency, party) for party in weights}
        regrets = {party: now.fli[key] for party, key in keys.items() if key in now.fli}
        return largest_remainder(pot_minor, instalment_weights(pot_minor, weights, costs, regrets))
    return largest_remainder(pot_minor, weights)


def agreed_terms(job: Job, name: str) -> Terms | None:
    """Return what a job's parties agreed on money; None: nothing.

    Raises:
        RuleBroken: its settings hold what is none of that.
    """
    try:
        return terms(job.settings)
    except ValueError as error:
        raise RuleBroken(f"what {name} agreed on money can't be read: {error}") from None


def uses_pot(now: Standing, job: str, until: int) -> tuple[int, int, int | None]:
    """Return what a payout for uses covers that reaches to one of them.

    Returns:
        (index of the first use that no payout covers, rows scored from there to `until`, what they bring in as of
        `brought_in`).

    Raises:
        RuleBroken: `until` is no use of the job's model, or is covered, or uses between are.
    """
    _ = job_of(now, job)
    uses = now.uses.get(job, Uses())
    if uses.at(until) is None:
        raise RuleBroken(f"entry {until} is no use of the model of {job}")
    covered = sorted((each.since, each.until, number) for number, each in _paid(now, job, "uses"))
    first = next(iter(uses)).index
    for since, last, _ in covered:
        if since > first:
            break
        following = uses.following(last)
        if following is None:
            raise RuleBroken(f"every use of the model of {job} is covered by a payout")
        first = following.index
    if until < first:
        raise RuleBroken(f"entry {until} is covered by a payout; the uses that none covers begin at {first}")
    place = bisect_left(covered, (first,))
    if place < len(covered) and covered[place][0] <= until:
        since, _, number = covered[place]
        raise RuleBroken(f"the uses of {job} from entry {since} on are covered by payout {number}")
    return first, uses.rows(first, until), brought_in(now, job, first, until)


def brought_in(now: Standing, job: str, since: int, until: int) -> int | None:
    """Return what uses from one to another bring in at the agreed price, in minor units; None: none was agreed.

    What all uses up to one of them bring in is rounded down, and not each payout's part of it: whoever pays often
    keeps nothing back.

    Raises:
        RuleBroken: as `agreed_terms`.
        ValueError: one of them is no use.
    """
    agreed, uses = agreed_terms(job_of(now, job), job), now.uses[job]
    so_far = uses.rows(next(iter(uses)).index, until)
    before = so_far - uses.rows(since, until)
    if agreed is None or agreed.price_micros is None:
        return None
    return agreed.price_of(so_far) - agreed.price_of(before)


def _paid(now: Standing, job: str, basis: Basis) -> list[tuple[int, Payout]]:
    return [(number, each) for number, each in now.payouts_of(job) if each.basis == basis]
