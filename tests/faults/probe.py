"""Numbered messages while something breaks: sealed, signed, sent until confirmed, opened, put in order.

Two agents that do nothing else, each with a connection of its own; what they have sent and received is kept in
memory, since it is the broker and the network that are tried here and not a journal.
"""

import threading
import time
from collections import Counter

from hansa.broker import (
    Accepted,
    AmqpTransport,
    BrokerAddress,
    Busy,
    Identity,
    Inbox,
    Refused,
    open_message,
    seal_message,
)

PACE_S = 0.004  # between two messages: some are unconfirmed at any time
DAY_MS = 86_400_000


class Probe:
    """A stream of numbered messages from one agent to another, for as long as it is left running.

    Attributes:
        attempted: how many were handed to the connection, each number once.
        acknowledged: numbers that the broker has confirmed.
        in_doubt: numbers whose connection went before their confirm, so that nobody knew.
        received: how often each number came out of the inbox.
        repeated: how many came again and were recognised as such.
        refused: what was wrong with the others.
    """

    def __init__(
        self, federation: str, source: BrokerAddress, sink: BrokerAddress, names: tuple[str, str]
    ) -> None:
        self._federation = federation
        self._from, self._to = (Identity.generate(name) for name in names)
        self._source = AmqpTransport(source, federation, names[0])
        self._sink = AmqpTransport(sink, federation, names[1])
        self._inbox = Inbox()
        self._frames: dict[int, bytes] = {}
        self._again: list[int] = []  # to be sent, for the first time or once more
        self.attempted = 0
        self.acknowledged: set[int] = set()
        self.in_doubt: set[int] = set()
        self.received: Counter[int] = Counter()
        self.repeated = 0
        self.refused: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
        self._thread.start()

    @property
    def blocked(self) -> bool:
        """Whether the broker takes no messages at present; somebody must be sending to find out."""
        return self._source.health().state == "blocked"

    def close(self, patience_s: float) -> None:
        """Send no more, wait until everything is confirmed and received, and end."""
        self._stop.set()
        self._thread.join(patience_s)
        self._source.close()
        self._sink.close()

    def _run(self) -> None:
        while not (self._stop.is_set() and self._settled()):
            self._send()
            self._receive()
            self._sink.wait(PACE_S)

    def _settled(self) -> bool:
        return len(self.acknowledged) == self.attempted and len(self.received) == self.attempted

    def _send(self) -> None:
        for outcome in self._source.outcomes():
            if outcome.status == "confirmed":
                self.acknowledged.add(outcome.tag)
                self._frames.pop(outcome.tag, None)
            else:
                self.in_doubt.add(outcome.tag)
                self._again.append(outcome.tag)
        if not self._stop.is_set() and not self._again and self._source.room():
            self._frames[self.attempted] = self._seal(self.attempted)
            self._again.append(self.attempted)
            self.attempted += 1
        while self._again and self._source.room():
            key = f"{self._from.name}.{self._to.name}.control"
            try:
                self._source.publish(key, self._frames[self._again[0]], self._again[0])
            except Busy:  # the connection went just now
                return
            self._again.pop(0)

    def _seal(self, number: int) -> bytes:
        now_ms = int(time.time() * 1000)
        return seal_message(
            self._from,
            self._to.public,
            federation=self._federation,
            session="probe",
            incarnation=0,
            sequence=number,
            kind="probe",
            schema=1,
            sent_at_ms=now_ms,
            expires_at_ms=now_ms + DAY_MS,
            body=b"%d" % number,
        )

    def _receive(self) -> None:
        deliveries = self._sink.deliveries(256)
        for delivery in deliveries:
            try:
                message = open_message(
                    delivery.body,
                    self._to,
                    federation=self._federation,
                    lookup=lambda _name: self._from.public,
                    now_ms=int(time.time() * 1000),
                )
                offered = self._inbox.offer(message, time.monotonic())
            except Refused as error:
                self.refused.append(str(error))
                continue
            if isinstance(offered, Accepted):
                self.received.update(int(each.body) for each in offered.released)
            else:
                self.repeated += delivery.redelivered or message.header.sequence in self.received
        self._sink.acknowledge(delivery.tag for delivery in deliveries)
