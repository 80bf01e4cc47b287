"""What if a message arrives before the entry that explains it? It waits a little for the ledger.

A member admitted a moment ago, or one whose keys have just changed, is known to everybody by an entry of the
ledger; its first message may overtake that entry, or stand in the same batch. Such a message looks like a
stranger's or a forger's. It is neither acknowledged nor rejected until our copy has grown, or the wait is over.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from hansa.broker import BadSignature, Refused, UnknownSender
from hansa.broker.transport import Delivery

WAIT_S = 30.0
MOST = 64  # deliveries of one sender; its flood is refused at once beyond that, and takes nobody else's place
MOST_BYTES = 16 * 2**20  # likewise


@dataclass(frozen=True, slots=True)
class _Doubt:
    delivery: Delivery
    until: float
    size: int  # of our copy of the ledger, when we last looked

    @property
    def sender(self) -> str:
        return _sender(self.delivery)


class Doubts:
    """Deliveries that may make sense once our copy of the ledger has grown.

    Args:
        ledger_size: how many entries our copy has.
    """

    def __init__(self, ledger_size: Callable[[], int]) -> None:
        self._ledger_size = ledger_size
        self._waiting: deque[_Doubt] = deque()

    def keep(self, error: Refused, delivery: Delivery, now_s: float, until: float | None = None) -> bool:
        """Have a refused delivery wait; False if no entry could help, it has waited already, or too many do."""
        if not isinstance(error, UnknownSender | BadSignature):
            return False
        until = now_s + WAIT_S if until is None else until
        held = [len(each.delivery.body) for each in self._waiting if each.sender == _sender(delivery)]
        if until <= now_s or len(held) >= MOST or sum(held) + len(delivery.body) > MOST_BYTES:
            return False
        self._waiting.append(_Doubt(delivery, until, self._ledger_size()))
        return True

    def take(self, now_s: float) -> list[tuple[Delivery, float]]:
        """Take what is worth another look: the ledger has grown, or the wait is over; with the end of its wait."""
        size = self._ledger_size()
        due = [each for each in self._waiting if each.size != size or each.until <= now_s]
        if due:
            self._waiting = deque(each for each in self._waiting if each.size == size and each.until > now_s)
        return [(each.delivery, each.until) for each in due]

    def next_due(self) -> float | None:
        """When the first wait is over, UTC seconds, or None."""
        return min((each.until for each in self._waiting), default=None)


def _sender(delivery: Delivery) -> str:
    """Return who published it: the broker checks the first word of a routing key."""
    return delivery.routing_key.split(".")[0]
