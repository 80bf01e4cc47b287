"""What does an agent ask of whatever carries its messages?

A transport promises *at least once, in any order*: nothing that was confirmed is lost, but everything may
come twice, late, or after something newer. The inbox makes a stream of it again. An agent owns two durable
queues, control and data, so that an abort never waits behind gigabytes, a small third one for those who ask
to join, and may listen to events, which are best effort: whoever is not connected misses them.

The life of a message: `publish` hands it over without waiting; an `Outcome` with the same tag follows.
At the other end it is a `Delivery` until it is acknowledged, which the recipient does when its journal has
committed; if the connection goes before that, it is delivered again, marked `redelivered`.

Only the implementation touches threads and sockets. All methods return at once, except `wait`, and all may
be called from one thread of the agent's; `wake` from any.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from hansa.broker.errors import MessageTooLarge, PublishRefused
from hansa.broker.topics import Traffic, parse_key

MAX_UNCONFIRMED = 256
MAX_BODY_BYTES = 16 * 2**20  # RabbitMQ 4's default


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that came in and wants to be acknowledged or rejected.

    Attributes:
        tag: names it on this connection.
        routing_key: what it was published under; a broker has checked its first word.
        redelivered: it may have been seen before; never a proof that it was.
    """

    tag: int
    routing_key: str
    body: bytes = field(repr=False)
    traffic: Traffic
    redelivered: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a published message.

    Attributes:
        tag: the one `publish` was given.
        status: ``confirmed``: the carrier answers for it. ``unroutable``: nobody has such a queue; publish
            it again later, or tell the operator. ``lost``: the connection went first, so nobody knows;
            publish the same bytes again.
    """

    tag: int
    status: Literal["confirmed", "unroutable", "lost"]


def check_publish(name: str, routing_key: str, body: bytes) -> tuple[str, Traffic]:
    """Return the recipient and the class of what an agent wants to publish.

    Raises:
        PublishRefused: not a routing key, or one that does not begin with `name`.
        MessageTooLarge: over `MAX_BODY_BYTES`.
    """
    try:
        sender, recipient, traffic = parse_key(routing_key)
    except ValueError as error:
        raise PublishRefused(str(error)) from None
    if sender != name:
        raise PublishRefused(f"{name} may not publish under {routing_key!r}")
    if len(body) > MAX_BODY_BYTES:
        raise MessageTooLarge(f"{len(body)} bytes under {routing_key!r}; at most {MAX_BODY_BYTES}")
    return recipient, traffic


class Transport(Protocol):
    """One agent's connection; every implementation passes ``tests/broker/conformance.py``.

    After `close`, or once a newer connection of the same agent took over, every method but `close` and
    `wake` raises `Disconnected`.
    """

    @property
    def name(self) -> str:
        """The agent it belongs to."""
        ...

    @property
    def online(self) -> bool:
        """Whether messages flow both ways now; while they don't, silence says nothing about anybody."""
        ...

    def publish(self, routing_key: str, body: bytes, tag: int) -> None:
        """Hand a message over; its outcome follows under `tag`.

        Events are best effort: they take no room and are confirmed at once, whether or not anybody hears.

        Raises:
            PublishRefused: not a routing key, or one that does not begin with `name`.
            MessageTooLarge: over `MAX_BODY_BYTES`.
            Busy: `room` is 0.
        """
        ...

    def room(self) -> int:
        """How many more messages may be published before some are confirmed; at most MAX_UNCONFIRMED."""
        ...

    def deliveries(self, limit: int) -> list[Delivery]:
        """Take up to `limit` of what has come: control first, then events, requests to join, and data.

        A transport may hold more back until some of what it gave is acknowledged.
        """
        ...

    def acknowledge(self, tags: Iterable[int]) -> None:
        """Say that these deliveries are safe with us.

        Unknown tags are ignored: after a lost connection the delivery comes again under another.
        """
        ...

    def reject(self, tags: Iterable[int]) -> None:
        """Have these deliveries set aside as dead letters, never to come again; unknown tags as above.

        Requests to join are dropped instead: strangers shall not crowd out what members sent.
        """
        ...

    def outcomes(self) -> list[Outcome]:
        """Take what is known of published messages since the last call."""
        ...

    def wait(self, timeout_s: float) -> bool:
        """Sleep until deliveries or outcomes are there, or `wake` is called; False if time ran out."""
        ...

    def wake(self) -> None:
        """End the current `wait`, or the next one; for other threads, and never an error."""
        ...

    def subscribe(self, pattern: str) -> None:
        """Hear events whose routing key matches, from now until the connection ends.

        Raises:
            ValueError: not a pattern (see `topics.check_pattern`).
        """
        ...

    def close(self) -> None:
        """Leave; unacknowledged deliveries go back to their queues. Closing twice is fine."""
        ...
