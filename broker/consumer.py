"""How do messages come from the broker, and how do we say that they are safe?

One channel per class of traffic, each with its own bound on what is under way, so that a control message
passes however much data waits. A delivery counts only as long as its connection: when that goes, whatever
was not acknowledged comes again.
"""

from collections.abc import Iterable
from functools import partial
from typing import Protocol

import pika
from pika.adapters.select_connection import IOLoop
from pika.channel import Channel
from pika.spec import Basic

from hansa.broker.address import BrokerAddress
from hansa.broker.errors import ConnectionLost, TransportError
from hansa.broker.layout import LANES, queue
from hansa.broker.line import Line
from hansa.broker.topics import Traffic

PREFETCH: dict[Traffic, int] = {"control": 512, "data": 16, "join": 16}  # messages; sixteen chunks are 64 MiB


class ConsumerOwner(Protocol):
    """Who takes them; called on the transport's thread."""

    def arrived(self, traffic: Traffic, number: int, method: Basic.Deliver, body: bytes) -> None:
        """A message came; `number` names it to `Consumer.settle`, for as long as this connection lasts."""
        ...

    def consuming(self, *, possible: bool, error: TransportError | None) -> None:
        """Messages come from now on; or not, why, and every number is void."""
        ...


class Consumer:
    """The incoming half of a transport."""

    def __init__(self, loop: IOLoop, address: BrokerAddress, agent: str, owner: ConsumerOwner) -> None:
        self.line = Line(loop, address, agent, "in", self)
        self._agent = agent
        self._owner = owner
        self._channels: dict[Traffic, Channel] = {}
        self._consuming = 0
        # Delivery tags not yet settled, rising, by lane; kept as dicts for their order.
        self._open: dict[Traffic, dict[int, None]] = {}

    def settle(self, traffic: Traffic, numbers: Iterable[int], *, safe: bool) -> None:
        """Acknowledge deliveries, or have them dead-lettered; numbers of an earlier connection never come here."""
        channel = self._channels.get(traffic)
        if channel is None or not channel.is_open:
            return
        under_way = self._open[traffic]
        settled = {number for number in numbers if number in under_way}
        if safe:
            # Most batches are acknowledged whole, in order: one frame says it for all.
            upto = 0
            for number in under_way:
                if number not in settled:
                    break
                upto = number
            if upto:
                channel.basic_ack(upto, multiple=True)
            for number in sorted(number for number in settled if number > upto):
                channel.basic_ack(number)
        else:
            for number in sorted(settled):
                channel.basic_reject(number, requeue=False)
        for number in settled:
            del under_way[number]

    # --- what the line tells ---------------------------------------------------------------------------

    def opened(self, connection: pika.SelectConnection) -> None:
        """Open a channel per class of traffic."""
        self._consuming = 0
        self._open = {lane: {} for lane in LANES}
        for lane in LANES:
            connection.channel(on_open_callback=partial(self._channel_opened, lane))

    def lost(self, error: TransportError) -> None:
        """Forget every delivery: it will come again."""
        self._channels.clear()
        self._open.clear()
        self._owner.consuming(possible=False, error=error)

    def blocked(self, reason: str | None) -> None:
        """Nothing to us: a broker goes on reading from those who only consume."""

    # --- the channels ----------------------------------------------------------------------------------

    def _channel_opened(self, lane: Traffic, channel: Channel) -> None:
        self._channels[lane] = channel
        self.line.watch(channel)

        def cancelled(_frame: object) -> None:
            self.line.fail(ConnectionLost(f"the broker took {queue(self._agent, lane)} away from us"))

        channel.add_on_cancel_callback(cancelled)
        if lane == "event":
            # What was said while we were away is not for us.
            channel.queue_purge(
                queue(self._agent, lane), callback=lambda _frame: self._consume(lane, channel)
            )
        else:
            channel.basic_qos(
                prefetch_count=PREFETCH[lane], callback=lambda _frame: self._consume(lane, channel)
            )

    def _consume(self, lane: Traffic, channel: Channel) -> None:
        def arrived(
            _channel: Channel, method: Basic.Deliver, _properties: pika.BasicProperties, body: bytes
        ) -> None:
            if lane != "event":
                self._open[lane][method.delivery_tag] = None
            self._owner.arrived(lane, method.delivery_tag, method, body)

        channel.basic_consume(
            queue(self._agent, lane), arrived, auto_ack=lane == "event", callback=self._consumes
        )

    def _consumes(self, _frame: object) -> None:
        self._consuming += 1
        if self._consuming == len(LANES):
            self.line.steady()
            self._owner.consuming(possible=True, error=None)
