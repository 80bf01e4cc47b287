"""What carries messages between agents of one process?

A small broker with the manners of the real one, so that what works here works there: routing keys are
checked, a lost connection brings its deliveries back in another order, a message without a queue comes back
as unroutable. Two things differ. Nothing survives the process, so a message is confirmed only when its
recipient acknowledges it, its journal having committed; and queues have no length limit.
"""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from hansa.broker.errors import Busy, Disconnected, UnknownAgent
from hansa.broker.identity import check_name
from hansa.broker.topics import Traffic, check_pattern, matches
from hansa.broker.transport import MAX_UNCONFIRMED, Delivery, Outcome, check_publish

MAX_EVENTS = 10_000  # held for one listener; then the oldest go, since events are best effort


@dataclass(eq=False, slots=True)
class _Parcel:
    """A message in a queue or under way, and who waits to hear that it arrived."""

    routing_key: str
    body: bytes = field(repr=False)
    traffic: Traffic
    publisher: "MemoryTransport"
    tag: int
    redelivered: bool = False


@dataclass(frozen=True, slots=True)
class _Mailbox:
    """One agent's durable queues, and what it refused."""

    control: deque[_Parcel] = field(default_factory=deque)
    join: deque[_Parcel] = field(default_factory=deque)
    data: deque[_Parcel] = field(default_factory=deque)
    dead: list[Delivery] = field(default_factory=list)

    def lane(self, traffic: Traffic) -> deque[_Parcel]:
        """Return the queue for one class of traffic, which is none of events."""
        return {"control": self.control, "join": self.join, "data": self.data}[traffic]

    def waiting(self) -> int:
        """How many messages are in the queues."""
        return len(self.control) + len(self.join) + len(self.data)


class MemoryBroker:
    """The exchange and the queues of one federation; safe to use from many threads.

    Args:
        federation: its id, for people who debug with two of them.
    """

    def __init__(self, federation: str) -> None:
        self.federation = federation
        self._lock = threading.Lock()
        self._mailboxes: dict[str, _Mailbox] = {}
        self._connections: dict[str, MemoryTransport] = {}

    def declare(self, agent: str) -> None:
        """Make an agent's queues, for control, requests to join and data; again is fine."""
        with self._lock:
            mailbox = self._mailboxes.setdefault(check_name(agent), _Mailbox())
            if agent in self._connections:
                self._connections[agent].mailbox = mailbox

    def connect(self, agent: str) -> "MemoryTransport":
        """Open an agent's connection; an older one ends, and its unacknowledged deliveries come again.

        An agent without queues may publish and hear events: a dashboard needs no mailbox.
        """
        transport = MemoryTransport(self, check_name(agent), self._lock)
        with self._lock:
            older = self._connections.get(agent)
            if older is not None:
                self._drop(older)
            self._connections[agent] = transport
            transport.mailbox = self._mailboxes.get(agent)
        return transport

    def backlog(self, agent: str) -> int:
        """Bytes in an agent's queues or delivered to it and not yet acknowledged."""
        with self._lock:
            mailbox = self._mailbox(agent)
            transport = self._connections.get(agent)
            under_way = transport.unacknowledged.values() if transport else ()
            queued = (*mailbox.control, *mailbox.join, *mailbox.data)
            return sum(len(parcel.body) for parcel in (*queued, *under_way) if parcel.traffic != "event")

    def dead_letters(self, agent: str) -> tuple[Delivery, ...]:
        """What an agent rejected, in the order it did."""
        with self._lock:
            return tuple(self._mailbox(agent).dead)

    # What follows is for `MemoryTransport`, which holds the lock.

    def route(self, parcel: _Parcel, recipient: str) -> bool:
        """Put a parcel where it belongs; False if there is no such queue."""
        if parcel.traffic == "event":
            for listener in self._connections.values():
                if any(matches(pattern, parcel.routing_key) for pattern in listener.patterns):
                    listener.events.append(parcel)
                    listener.ready.notify_all()
            return True
        mailbox = self._mailboxes.get(recipient)
        if mailbox is None:
            return False
        mailbox.lane(parcel.traffic).append(parcel)
        transport = self._connections.get(recipient)
        if transport is not None:
            transport.ready.notify_all()
        return True

    def bury(self, agent: str, delivery: Delivery) -> None:
        """Keep a rejected delivery for the operator to look at."""
        self._mailbox(agent).dead.append(delivery)

    def leave(self, transport: "MemoryTransport") -> None:
        """End a connection, if it has not ended."""
        if self._connections.get(transport.name) is transport:
            self._drop(transport)
            del self._connections[transport.name]

    def _drop(self, transport: "MemoryTransport") -> None:
        transport.connected = False
        mailbox = transport.mailbox
        if mailbox is not None:
            # Each goes to the front in turn, so the last comes first: callers that count on order fail here.
            for parcel in transport.unacknowledged.values():
                if parcel.traffic != "event":
                    parcel.redelivered = True
                    mailbox.lane(parcel.traffic).appendleft(parcel)
        transport.unacknowledged.clear()
        transport.ready.notify_all()

    def _mailbox(self, agent: str) -> _Mailbox:
        try:
            return self._mailboxes[agent]
        except KeyError:
            raise UnknownAgent(f"{agent!r} was never declared in {self.federation!r}") from None


class MemoryTransport:
    """One agent's connection to a `MemoryBroker`; see `transport.Transport` for what each method promises."""

    def __init__(self, broker: MemoryBroker, name: str, lock: threading.Lock) -> None:
        self._broker = broker
        self._name = name
        self._lock = lock
        self._next_tag = 0
        self._unconfirmed = 0
        self._outcomes: list[Outcome] = []
        self._woken = False
        # The broker's view of this connection, guarded by its lock like everything here.
        self.ready = threading.Condition(lock)
        self.connected = True
        self.mailbox: _Mailbox | None = None
        self.patterns: list[str] = []
        self.events: deque[_Parcel] = deque(maxlen=MAX_EVENTS)
        self.unacknowledged: dict[int, _Parcel] = {}

    @property
    def name(self) -> str:
        """The agent it belongs to."""
        return self._name

    @property
    def online(self) -> bool:
        """Whether messages flow both ways now."""
        with self._lock:
            self._check_connected()
            return True

    def publish(self, routing_key: str, body: bytes, tag: int) -> None:
        """Hand a message over; its outcome follows under `tag`."""
        recipient, traffic = check_publish(self._name, routing_key, body)
        with self._lock:
            self._check_connected()
            if traffic != "event":
                if self._unconfirmed >= MAX_UNCONFIRMED:
                    raise Busy(f"{self._name} has {self._unconfirmed} unconfirmed messages")
                self._unconfirmed += 1
            parcel = _Parcel(routing_key, body, traffic, self, tag)
            if not self._broker.route(parcel, recipient):
                self._settle(parcel, Outcome(tag, "unroutable"))
            elif traffic == "event":
                self._outcomes.append(Outcome(tag, "confirmed"))

    def room(self) -> int:
        """How many more messages may be published before some are confirmed."""
        with self._lock:
            self._check_connected()
            return MAX_UNCONFIRMED - self._unconfirmed

    def deliveries(self, limit: int) -> list[Delivery]:
        """Take up to `limit` of what has come: control first, then events, requests to join, and data."""
        with self._lock:
            self._check_connected()
            return [self._deliver(parcel) for parcel in islice(self._take(), limit)]

    def acknowledge(self, tags: Iterable[int]) -> None:
        """Say that these deliveries are safe with us; confirms them to their publishers."""
        with self._lock:
            self._check_connected()
            for tag in tags:
                parcel = self.unacknowledged.pop(tag, None)
                if parcel is not None:
                    self._confirm(parcel)

    def reject(self, tags: Iterable[int]) -> None:
        """Have these deliveries set aside as dead letters; their publishers are done with them too.

        Requests to join are dropped.
        """
        with self._lock:
            self._check_connected()
            for tag in tags:
                parcel = self.unacknowledged.pop(tag, None)
                if parcel is not None and parcel.traffic != "event":
                    letter = Delivery(
                        tag, parcel.routing_key, parcel.body, parcel.traffic, parcel.redelivered
                    )
                    if parcel.traffic != "join":
                        self._broker.bury(self._name, letter)
                    self._confirm(parcel)

    def outcomes(self) -> list[Outcome]:
        """Take what is known of published messages since the last call."""
        with self._lock:
            self._check_connected()
            outcomes, self._outcomes = self._outcomes, []
            return outcomes

    def wait(self, timeout_s: float) -> bool:
        """Sleep until deliveries or outcomes are there, or `wake` is called; False if time ran out."""
        with self._lock:
            awake = self.ready.wait_for(
                lambda: not self.connected or self._woken or self._pending(), timeout_s
            )
            self._check_connected()
            self._woken = False
            return awake

    def wake(self) -> None:
        """End the current `wait`, or the next one."""
        with self._lock:
            self._woken = True
            self.ready.notify_all()

    def subscribe(self, pattern: str) -> None:
        """Hear events whose routing key matches, from now until the connection ends."""
        with self._lock:
            self._check_connected()
            self.patterns.append(check_pattern(pattern))

    def close(self) -> None:
        """Leave; unacknowledged deliveries go back to their queues."""
        with self._lock:
            self._broker.leave(self)

    def _take(self) -> Iterator[_Parcel]:
        empty: deque[_Parcel] = deque()
        box = self.mailbox
        control, join, data = (box.control, box.join, box.data) if box else (empty, empty, empty)
        for queue in (control, self.events, join, data):
            while queue:
                yield queue.popleft()

    def _deliver(self, parcel: _Parcel) -> Delivery:
        tag = self._next_tag
        self._next_tag += 1
        self.unacknowledged[tag] = parcel
        return Delivery(tag, parcel.routing_key, parcel.body, parcel.traffic, parcel.redelivered)

    def _pending(self) -> bool:
        queued = self.mailbox is not None and self.mailbox.waiting() > 0
        return queued or bool(self.events or self._outcomes)

    def _confirm(self, parcel: _Parcel) -> None:
        publisher = parcel.publisher
        if parcel.traffic != "event" and publisher.connected:
            publisher._settle(parcel, Outcome(parcel.tag, "confirmed"))

    def _settle(self, parcel: _Parcel, outcome: Outcome) -> None:
        self._unconfirmed -= 1
        self._outcomes.append(outcome)
        self.ready.notify_all()

    def _check_connected(self) -> None:
        if not self.connected:
            raise Disconnected(f"this connection of {self._name} is closed, or a newer one took over")
