"""What does a keeper look like that shows some members one history and the others another? Like two agents.

Two whole agents of one keeper, each with its own copy of the ledger and its own journal, share the keeper's
connection: each speaks to its own audience and hears nobody else. Streams count per recipient, so nobody sees it in
an envelope. It is here to be caught (`hansa demo fork`, and the tests).
"""

import threading
from collections import deque
from collections.abc import Collection, Iterable

from hansa.broker.topics import parse_key
from hansa.broker.transport import Delivery, Outcome, Transport

MOST_AT_ONCE = 256  # deliveries and outcomes taken from the connection at once
LOOK_S = 0.05  # so long a face waits at most: the other one may have taken what is its own


class TwoFaces:
    """One connection, split between two agents of the same name.

    Args:
        transport: the keeper's.
        right: whom the right face speaks to; the left one speaks to everybody else.
    """

    def __init__(self, transport: Transport, right: Collection[str]) -> None:
        self.transport = transport
        self._right = frozenset(right)
        self._lock = threading.Lock()
        self._open = 2
        self.left, self.right = Face(self, 0), Face(self, 1)

    def side(self, peer: str) -> int:
        """Return who speaks to a peer: 0 for the left face, 1 for the right one."""
        return int(peer in self._right)

    def take(self) -> None:
        """Hand what has come to the face it is for."""
        faces = (self.left, self.right)
        with self._lock:
            for delivery in self.transport.deliveries(MOST_AT_ONCE):
                sender, _, _ = parse_key(delivery.routing_key)
                faces[self.side(sender)].came.append(delivery)
            for outcome in self.transport.outcomes():
                faces[outcome.tag % 2].sent.append(Outcome(outcome.tag // 2, outcome.status))

    def left_by(self) -> None:
        """A face has gone; the connection goes with the second one."""
        with self._lock:
            self._open -= 1
            if not self._open:
                self.transport.close()


class Face:
    """One of the two; see `hansa.broker.transport.Transport` for what each method promises."""

    def __init__(self, both: TwoFaces, side: int) -> None:
        self._both = both
        self._side = side
        self._closed = False
        self.came: deque[Delivery] = deque()
        self.sent: deque[Outcome] = deque()

    @property
    def name(self) -> str:
        """The keeper's name."""
        return self._both.transport.name

    @property
    def online(self) -> bool:
        """Whether messages flow both ways now."""
        return self._both.transport.online

    def publish(self, routing_key: str, body: bytes, tag: int) -> None:
        """Hand a message over if it is for our audience; what is not counts as confirmed, and nobody gets it."""
        _, recipient, traffic = parse_key(routing_key)
        if traffic == "event" or self._both.side(recipient) == self._side:
            self._both.transport.publish(routing_key, body, 2 * tag + self._side)
        else:
            self.sent.append(Outcome(tag, "confirmed"))

    def room(self) -> int:
        """How many more messages may be published."""
        return self._both.transport.room()

    def deliveries(self, limit: int) -> list[Delivery]:
        """Take what our audience has sent."""
        self._both.take()
        return [self.came.popleft() for _ in range(min(limit, len(self.came)))]

    def acknowledge(self, tags: Iterable[int]) -> None:
        """Say that deliveries are safe with us."""
        self._both.transport.acknowledge(tags)

    def reject(self, tags: Iterable[int]) -> None:
        """Have deliveries set aside."""
        self._both.transport.reject(tags)

    def outcomes(self) -> list[Outcome]:
        """Take what is known of what we published."""
        self._both.take()
        return [self.sent.popleft() for _ in range(len(self.sent))]

    def wait(self, timeout_s: float) -> bool:
        """Sleep until something may have come."""
        if self.came or self.sent:
            return True
        return self._both.transport.wait(min(timeout_s, LOOK_S)) or bool(self.came or self.sent)

    def wake(self) -> None:
        """End the current `wait`."""
        self._both.transport.wake()

    def subscribe(self, pattern: str) -> None:
        """Hear events; the left face does."""
        self._both.transport.subscribe(pattern)

    def close(self) -> None:
        """Leave."""
        if not self._closed:
            self._closed = True
            self._both.left_by()
