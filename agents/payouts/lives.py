"""What has been said of each payout so far? Read from a home's copy of the ledger, whether its agent runs or not.

The rules are checked on the way, and with them every amount: a copy with one cent that does not follow from the
entries before it can't be read.
"""

from dataclasses import dataclass

from hansa.agents.home import Home
from hansa.agents.jobs.follow import Told, follow
from hansa.ledger import (
    PayoutApproved,
    PayoutDisputed,
    PayoutHeld,
    PayoutProposed,
    PayoutReleased,
    PayoutSettled,
    PayoutWithdrawn,
    Standing,
)


@dataclass(frozen=True, slots=True)
class Lives:
    """All payouts of a copy of the ledger.

    Attributes:
        now: the standing that the copy amounts to.
        said: by payout, its entries in their order: the proposal, and what came after it.
    """

    now: Standing
    said: dict[int, list[Told]]


def read_lives(home: Home) -> Lives:
    """Return what a home's copy of the ledger tells of payouts.

    Raises:
        ConfigError: the home's agent belongs to no federation yet.
        LedgerError: the copy is missing, can't be read, or breaks a rule.
    """
    said: dict[int, list[Told]] = {}
    with follow(home) as view:
        for index, told in enumerate(view.news()):
            match told.body:
                case PayoutProposed():
                    said[index] = [told]
                case (
                    PayoutApproved(number)
                    | PayoutHeld(number)
                    | PayoutDisputed(number)
                    | PayoutReleased(number)
                    | PayoutWithdrawn(number)
                    | PayoutSettled(number)
                ):
                    said[number].append(told)
                case _:
                    pass
        return Lives(view.standing, said)
