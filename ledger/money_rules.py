"""Who may write what about money, and when? The rules for those entries; see `rules`.

A payout is not believed but computed again: its pot from what the job's parties agreed, its amounts from the
measured weights, to the cent (`split`). Whoever replays the chain does so by these rules, the audit among them.
"""

from hansa.ledger.claims import Payout
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
from hansa.ledger.payouts import obstacles
from hansa.ledger.permits import (
    check_among,
    check_finished,
    check_open_payout,
    coordinates,
    job_of,
    only,
    payout_of,
)
from hansa.ledger.split import agreed_terms, split, uses_pot
from hansa.ledger.standing import Standing
from hansa.ledger.terms import money

FollowingBody = (
    PayoutApproved | PayoutHeld | PayoutDisputed | PayoutReleased | PayoutWithdrawn | PayoutSettled
)
MoneyBody = PayoutProposed | FollowingBody

MOST_TOLD = 5  # wrong amounts told one by one


def check_money(now: Standing, author: str, body: MoneyBody) -> None:
    """Say whether this author, who may write, may write this about a payout now.

    Raises:
        RuleBroken: it may not, and why.
    """
    if isinstance(body, PayoutProposed):
        _check_proposed(now, author, body)
        return
    payout = payout_of(now, body.payout)
    check_open_payout(payout, body.payout)
    _check_following(now, author, payout, body)


def _check_proposed(now: Standing, author: str, body: PayoutProposed) -> None:
    job = job_of(now, body.job)
    coordinates(author, job, body.job)
    check_finished(job, body.job)
    if body.basis == "training":
        _check_unpaid(now, author, body)
    computed = split(
        now,
        body.job,
        body.pot_minor,
        basis=body.basis,
        since=body.since,
        until=body.until,
        scheme=body.scheme,
        currency=body.currency,
    )
    _check_pot(now, body)
    _check_amounts(body, computed)
    try:
        check_payout_finality(now, body)
    except (BadNote, BadProof, NotFinal) as error:
        raise RuleBroken(f"what {body.job} is to be paid for is not final: {error}") from None


def _check_unpaid(now: Standing, author: str, body: PayoutProposed) -> None:
    """Refuse to pay for a training twice, but for instalments after FLI: these come one after another."""
    for number, payout in now.payouts_of(body.job):
        if payout.basis == "training" and (payout.scheme, body.scheme) != ("fli", "fli"):
            raise RuleBroken(
                f"the training of {body.job} is paid by payout {number}, which is {payout.status}"
            )
    open_one = now.instalments.get((author, body.currency))
    if body.scheme == "fli" and open_one is not None:
        raise RuleBroken(
            f"payout {open_one} is open, and of {author}'s instalments in {body.currency} only one is"
        )


def _check_pot(now: Standing, body: PayoutProposed) -> None:
    """Hold currency and pot against what the job's parties agreed, as far as they did."""
    name, terms = body.job, agreed_terms(job_of(now, body.job), body.job)
    if terms is None:
        return
    if body.currency != terms.currency:
        raise RuleBroken(f"{name} is paid in {terms.currency} as agreed, not in {body.currency}")
    found = money(body.pot_minor, body.currency)
    if body.basis == "uses":
        _, rows, pot = uses_pot(now, name, body.until)
        if pot is not None and pot != body.pot_minor:
            expected = f"{rows:,} rows bring in {money(pot, terms.currency)} at the agreed price"
            raise RuleBroken(f"the pot for uses of {name}: {expected}, found {found}")
    elif terms.pot_minor is not None:
        paid = sum(each.pot_minor for _, each in now.payouts_of(name) if each.basis == "training")
        left = money(terms.pot_minor - paid, terms.currency)
        if body.scheme == "weights" and body.pot_minor != terms.pot_minor:
            raise RuleBroken(f"the pot of {name}: expected {left} as agreed, found {found}")
        if paid + body.pot_minor > terms.pot_minor:
            raise RuleBroken(f"the pot of {name}: expected at most {left}, the rest of it, found {found}")


def _check_amounts(body: PayoutProposed, computed: dict[str, int]) -> None:
    """Hold each amount against the one computed again."""
    wrong = [
        f"{party}: expected {_told(computed, party, body)}, found {_told(body.amounts, party, body)}"
        for party in sorted({*computed, *body.amounts})
        if computed.get(party) != body.amounts.get(party)
    ]
    if wrong:
        more = f"; {len(wrong) - MOST_TOLD} more likewise" if len(wrong) > MOST_TOLD else ""
        raise RuleBroken(
            f"the pot of {money(body.pot_minor, body.currency)} for {body.job} is split wrongly: "
            + "; ".join(wrong[:MOST_TOLD])
            + more
        )


def _told(amounts: dict[str, int], party: str, body: PayoutProposed) -> str:
    return money(amounts[party], body.currency) if party in amounts else "none"


def _check_following(now: Standing, author: str, payout: Payout, body: FollowingBody) -> None:
    number = body.payout
    payees = tuple(payout.amounts)
    match body:
        case PayoutApproved():
            check_among(author, payees, f"those whom payout {number} pays")
            if body.digest not in (b"", payout.digest):
                raise RuleBroken(
                    f"{author} approves another payout than the one that entry {number} proposes"
                )
            if author in payout.approved:
                raise RuleBroken(f"{author} has approved payout {number} already")
            if author in payout.disputed:
                raise RuleBroken(f"{author} disputes payout {number}, and releases it before it approves")
        case PayoutHeld():
            check_among(author, (payout.proposer, now.keeper.name), f"those who may hold payout {number}")
            if author in payout.held:
                raise RuleBroken(f"{author} holds payout {number} already")
        case PayoutDisputed():
            check_among(author, payees, f"those whom payout {number} pays")
            if author in payout.disputed:
                raise RuleBroken(f"{author} disputes payout {number} already")
        case PayoutReleased():
            holders = (*payout.held, *payout.disputed)
            check_among(author, holders, f"those who hold or dispute payout {number}")
        case PayoutWithdrawn():
            only(author, payout.proposer, "who proposed a payout withdraws it")
        case PayoutSettled():
            only(author, payout.proposer, "who proposed a payout settles it")
            waiting = obstacles(now, payout)
            if waiting:
                raise RuleBroken(f"payout {number} can't be settled: {'; '.join(waiting)}")
