"""What keeps a payout from being settled? For the rules, and for whoever waits for it."""

from hansa.ledger.claims import Payout
from hansa.ledger.membership import Charter
from hansa.ledger.standing import Standing

MOST_NAMED = 5  # in a phrase


def needed_approvals(charter: Charter, payout: Payout) -> int:
    """Return how many of those whom a payout pays must approve it: as the charter says, or more than half.

    Where the charter asks for more than the payout pays, it is all of them.
    """
    payees = len(payout.amounts)
    return min(charter.approvals, payees) if charter.approvals else payees // 2 + 1


def obstacles(now: Standing, payout: Payout) -> tuple[str, ...]:
    """Say why a payout can't be settled yet, in short phrases; none: its proposer may settle it.

    Whoever has left, or may not write, is still among those who are paid, and can't approve: the phrase says so.
    """
    if payout.status != "open":
        return (f"it is {payout.status} already",)
    found = [f"{name} holds it: {why}" for name, why in sorted(payout.held.items())]
    approving, needed = payout.approved, needed_approvals(now.charter, payout)
    silent = sorted(set(payout.amounts) - {*approving, *payout.disputed})
    too_few = len(approving) < needed
    if too_few:
        found.append(f"{len(approving)} of {len(payout.amounts)} payees approve it, {needed} must")
    if payout.disputed and (silent or too_few):
        so_that = "all others must approve it" if silent else "somebody must release it first"
        found.append(f"disputed by {_some(sorted(payout.disputed))}, so that {so_that}")
    if silent and (too_few or payout.disputed):
        found[-1] += f"; not yet {_some(_absent(now, silent))}"
    return tuple(found)


def _absent(now: Standing, silent: list[str]) -> list[str]:
    """Name who has not approved, and say who of them can't."""
    statuses = ((name, now.members[name].status) for name in silent)
    return [name if status == "active" else f"{name} ({status}, and can't)" for name, status in statuses]


def _some(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
