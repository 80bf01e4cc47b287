"""How far has a payout come? Values of a `Standing`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from hansa.ledger.money import (
    Basis,
    PayoutApproved,
    PayoutDisputed,
    PayoutHeld,
    PayoutProposed,
    PayoutReleased,
    PayoutSettled,
    PayoutWithdrawn,
    Scheme,
)

FollowUp = PayoutApproved | PayoutHeld | PayoutDisputed | PayoutReleased | PayoutWithdrawn | PayoutSettled


@dataclass(frozen=True, slots=True)
class Payout:
    """A split of money, on its way.

    Attributes:
        amounts: minor units of `currency` by party; all of these are payees, those who get 0 as well.
        basis, since, until, scheme: as in `PayoutProposed`.
        approved: by whom, in their order; a dispute takes an approval back.
        held, disputed: by whom, and why; without those who have released it since.
        status: "open" until it is settled or withdrawn.
        reference: of the settlement.
        digest: (32,) SHA-256 of the proposal's body: whoever approves it names that.
    """

    job: str
    proposer: str
    currency: str
    amounts: Mapping[str, int]
    pot_minor: int = 0
    basis: Basis = "training"
    since: int = -1
    until: int = -1
    scheme: Scheme = "weights"
    approved: tuple[str, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)
    disputed: Mapping[str, str] = field(default_factory=dict)
    status: Literal["open", "settled", "withdrawn"] = "open"
    reference: str = ""
    digest: bytes = b""

    @classmethod
    def proposed(cls, author: str, body: PayoutProposed, digest: bytes) -> "Payout":
        """Return a payout as it is proposed, in a body of this digest."""
        return cls(
            body.job,
            author,
            body.currency,
            body.amounts,
            body.pot_minor,
            body.basis,
            body.since,
            body.until,
            body.scheme,
            digest=digest,
        )


def followed(payout: Payout, author: str, body: FollowUp) -> Payout:
    """Return a payout after what somebody has said of it, which the rules allow."""
    match body:
        case PayoutApproved():
            return replace(payout, approved=(*payout.approved, author))
        case PayoutHeld(reason=reason):
            return replace(payout, held={**payout.held, author: reason})
        case PayoutDisputed(reason=reason):
            approved = tuple(name for name in payout.approved if name != author)
            return replace(payout, approved=approved, disputed={**payout.disputed, author: reason})
        case PayoutReleased():
            held, disputed = (
                {name: why for name, why in each.items() if name != author}
                for each in (payout.held, payout.disputed)
            )
            return replace(payout, held=held, disputed=disputed)
        case PayoutWithdrawn():
            return replace(payout, status="withdrawn")
        case PayoutSettled(reference=reference):
            return replace(payout, status="settled", reference=reference)
