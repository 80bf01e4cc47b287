"""Who may write what about money, and when? The rules for those entries; see `rules`."""

from hansa.ledger.errors import BadNote, BadProof, NotFinal, RuleBroken
from hansa.ledger.finality import check_payout_finality
from hansa.ledger.money import (
    PayoutApproved,
    PayoutDisputed,
    PayoutHeld,
    PayoutProposed,
    PayoutReleased,
    PayoutSettled,
    PayoutWithdrawn,
)
from hansa.ledger.permits import check_among, check_finished, coordinates, job_of, only, payout_of
from hansa.ledger.standing import Standing

MoneyBody = (
    PayoutProposed
    | PayoutApproved
    | PayoutHeld
    | PayoutDisputed
    | PayoutReleased
    | PayoutWithdrawn
    | PayoutSettled
)


def check_money(now: Standing, author: str, body: MoneyBody) -> None:
    """Say whether this author, who may write, may write this about a payout now.

    Raises:
        RuleBroken: it may not, and why.
    """
    match body:
        case PayoutProposed(name):
            job = job_of(now, name)
            coordinates(author, job, name)
            check_finished(job, name)
            for party in body.amounts:
                check_among(party, job.accepted, f"those who accepted {name}")
            try:
                check_payout_finality(now, body)
            except (BadNote, BadProof, NotFinal) as error:
                raise RuleBroken(f"what {name} is to be paid for is not final: {error}") from None
        case PayoutApproved(number):
            payout = payout_of(now, number)
            check_among(author, tuple(payout.amounts), f"those whom payout {number} pays")
            if author in payout.approved:
                raise RuleBroken(f"{author} has approved payout {number} already")
        case PayoutSettled(number):
            payout = payout_of(now, number)
            only(author, payout.proposer, "who proposed a payout settles it")
            if payout.status != "open":
                raise RuleBroken(f"payout {number} is {payout.status} already")
            waiting = [party for party in payout.amounts if party not in payout.approved]
            if waiting:
                raise RuleBroken(f"payout {number} is not approved by {', '.join(waiting)}")
