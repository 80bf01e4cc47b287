"""What waits for a channel that is closing is told as lost, and nothing is written to it."""

from collections.abc import Iterable
from typing import Any
from unittest.mock import Mock

from hansa.broker.address import BrokerAddress
from hansa.broker.errors import TransportError
from hansa.broker.publisher import Parcel, Publisher


class Owner:
    """Notes what became of messages."""

    def __init__(self) -> None:
        self.fates: list[tuple[Parcel, str]] = []

    def settled(self, parcels: Iterable[Parcel], status: str) -> None:
        self.fates += [(parcel, status) for parcel in parcels]

    def publishing(self, *, possible: bool, error: TransportError | None) -> None: ...
    def blocked(self, reason: str | None) -> None: ...


def test_what_is_published_while_the_channel_closes_is_lost_and_breaks_nothing() -> None:
    owner: Any = Owner()
    address = BrokerAddress.from_url("amqp://a:b@127.0.0.1/f")
    publisher = Publisher(Mock(), address, "bob", "f", owner)
    channel = Mock(is_open=False)
    publisher._channel = channel
    parcel = Parcel("bob.alice.control", b"words", "control", 7)
    publisher.publish(parcel)
    publisher.flush()
    channel.basic_publish.assert_not_called()
    assert owner.fates == []
    publisher.lost(TransportError("the connection has ended"))
    assert owner.fates == [(parcel, "lost")]
