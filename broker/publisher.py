"""How do messages reach the broker, and when do we know?

Publisher confirms, tracked here and never waited for one by one (measured: waiting for each costs fifteen
times the rate). Control messages and events go out at once; data only while less than `DATA_IN_FLIGHT` is
unconfirmed, so that an abort is behind megabytes in our socket and not behind everything there is to send.

Publishing has a connection of its own: a broker short of memory stops reading from publishers, and what
it needs then most is to hear acknowledgements.
"""

import logging
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeAlias

import pika
from pika.adapters.select_connection import IOLoop
from pika.channel import Channel
from pika.frame import Method
from pika.spec import Basic

from hansa.broker.address import BrokerAddress
from hansa.broker.arrays import CHUNK_BYTES
from hansa.broker.errors import ConnectionLost, TransportError
from hansa.broker.layout import exchange
from hansa.broker.line import Line
from hansa.broker.topics import Traffic

# Bytes of data handed to the socket and not yet confirmed: four chunks, with what frames them.
DATA_IN_FLIGHT = 4 * (CHUNK_BYTES + 1_024)
REFUSED_PAUSE_S = 1.0  # a refusal is told this late, or the outbox would knock at once

STALE_S = 5.0  # after so long without anything taken, and then twice as long each time, we connect anew
MOST_STALE_S = 300.0

Status: TypeAlias = Literal["confirmed", "unroutable", "lost"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message on its way out; without a tag nobody waits to hear of it."""

    routing_key: str
    body: bytes = field(repr=False)
    traffic: Traffic
    tag: int | None


class Refusal(NamedTuple):
    """What to do where nothing is taken: when to connect anew (monotonic), and how long we waited for that."""

    renew_at: float
    pause_s: float


class PublisherOwner(Protocol):
    """Who wants to hear of it; called on the transport's thread."""

    def settled(self, parcels: Iterable[Parcel], status: Status) -> None:
        """The fate of these messages is known."""
        ...

    def publishing(self, *, possible: bool, error: TransportError | None) -> None:
        """Messages can be taken from now on, or not, and why."""
        ...

    def blocked(self, reason: str | None) -> None:
        """The broker lacks memory or disk, or has it again (None)."""
        ...


class Publisher:
    """The outgoing half of a transport."""

    def __init__(
        self, loop: IOLoop, address: BrokerAddress, agent: str, federation: str, owner: PublisherOwner
    ) -> None:
        self.line = Line(loop, address, agent, "out", self)
        self._loop = loop
        self._exchange = exchange(federation)
        self._user = address.user or None  # the messages' user-id, which the broker checks
        self._owner = owner
        self._channel: Channel | None = None
        self._sequence = 0
        self._prompt: deque[Parcel] = deque()
        self._data: deque[Parcel] = deque()
        self._unconfirmed: dict[int, Parcel] = {}  # by sequence on the channel, rising
        self._returned: set[int] = set()
        self._refused: dict[int, Parcel] = {}
        self._refusals: dict[str, Refusal] = {}  # by routing key, until something is taken under it
        self._data_bytes = 0  # of what is unconfirmed

    def publish(self, parcel: Parcel) -> None:
        """Send a message, as soon as it is its turn."""
        (self._data if parcel.traffic == "data" else self._prompt).append(parcel)

    def flush(self) -> None:
        """Hand to the socket what may go."""
        channel = self._channel
        if channel is None:
            self._give_up()  # published while the connection was breaking
            return
        if not channel.is_open:
            return  # it is closing: `lost` gives up what waits
        while self._prompt:
            self._send(channel, self._prompt.popleft())
        while self._data and (
            not self._data_bytes or self._data_bytes + len(self._data[0].body) <= DATA_IN_FLIGHT
        ):
            parcel = self._data.popleft()
            self._data_bytes += len(parcel.body)
            self._send(channel, parcel)

    # --- what the line tells ---------------------------------------------------------------------------

    def opened(self, connection: pika.SelectConnection) -> None:
        """Open the channel."""
        connection.channel(on_open_callback=self._channel_opened)

    def lost(self, error: TransportError) -> None:
        """Report everything unconfirmed as lost."""
        self._channel = None
        self._owner.publishing(possible=False, error=error)
        self._give_up()

    def blocked(self, reason: str | None) -> None:
        """Pass the broker's notice on."""
        if reason is None:
            log.info("the broker takes messages again")
        else:
            log.error("the broker is out of disk or memory and takes no messages: %s", reason)
        self._owner.blocked(reason)

    # --- the channel -----------------------------------------------------------------------------------

    def _channel_opened(self, channel: Channel) -> None:
        self.line.watch(channel)
        channel.add_on_return_callback(self._came_back)
        channel.confirm_delivery(self._confirmed, callback=lambda _frame: self._ready(channel))

    def _ready(self, channel: Channel) -> None:
        self._channel, self._sequence = channel, 0
        self.line.steady()
        self._owner.publishing(possible=True, error=None)

    def _send(self, channel: Channel, parcel: Parcel) -> None:
        self._sequence += 1
        self._unconfirmed[self._sequence] = parcel
        event = parcel.tag is None
        properties = pika.BasicProperties(  # type: ignore[no-untyped-call]  # pika has not annotated it
            delivery_mode=1 if event else 2, message_id=str(self._sequence), user_id=self._user
        )
        # Mandatory: without it a confirm does not say that there was a queue.
        channel.basic_publish(
            self._exchange, parcel.routing_key, parcel.body, properties, mandatory=not event
        )

    def _came_back(
        self, _channel: Channel, _method: Basic.Return, properties: pika.BasicProperties, _body: bytes
    ) -> None:
        self._returned.add(int(properties.message_id or 0))  # its confirm follows

    def _confirmed(self, frame: "Method[Basic.Ack | Basic.Nack]") -> None:
        confirm = frame.method
        if confirm.multiple:
            numbers = [number for number in self._unconfirmed if number <= confirm.delivery_tag]
        else:
            numbers = [confirm.delivery_tag]
        confirmed: list[Parcel] = []
        unroutable: list[Parcel] = []
        for number in numbers:
            parcel = self._unconfirmed.pop(number)
            if parcel.traffic == "data":
                self._data_bytes -= len(parcel.body)
            if isinstance(confirm, Basic.Nack):
                self._refuse(number, parcel)
            elif number in self._returned:
                self._returned.remove(number)
                unroutable.append(parcel)
            else:
                self._refusals.pop(parcel.routing_key, None)
                confirmed.append(parcel)
        self._owner.settled(confirmed, "confirmed")
        self._owner.settled(unroutable, "unroutable")
        self.flush()

    def _refuse(self, number: int, parcel: Parcel) -> None:
        now, refusal = time.monotonic(), self._refusals.get(parcel.routing_key)
        if refusal is None:
            self._refusals[parcel.routing_key] = Refusal(now + STALE_S, STALE_S)
            # RabbitMQ refuses in the same words when a quorum queue is full and when nobody leads it just now.
            log.warning(
                "the broker takes no message under %s for now, which is sent again until it does: "
                "the queue is full, or has lost its leader",
                parcel.routing_key,
            )
        elif now >= refusal.renew_at:
            pause_s = min(2 * refusal.pause_s, MOST_STALE_S)
            self._refusals[parcel.routing_key] = Refusal(now + pause_s, pause_s)
            # A channel of RabbitMQ 3.10 that first published while the queue had lost its leader asks the lost one
            # again for ever, and refuses; a new channel asks the one that leads now.
            self.line.fail(ConnectionLost(f"{parcel.routing_key} is still refused; connecting anew"))
        self._refused[number] = parcel

        def tell() -> None:
            # Gone or another's if the connection was lost meanwhile: then it has been told already.
            if self._refused.get(number) is parcel:
                del self._refused[number]
                self._owner.settled([parcel], "lost")

        self._loop.call_later(REFUSED_PAUSE_S, tell)

    def _give_up(self) -> None:
        gone = [*self._unconfirmed.values(), *self._refused.values(), *self._prompt, *self._data]
        for held in (self._unconfirmed, self._refused, self._returned, self._prompt, self._data):
            held.clear()
        self._data_bytes = 0
        self._owner.settled(gone, "lost")
