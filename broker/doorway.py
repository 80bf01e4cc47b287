"""How does a joiner speak with the keeper? Through its door: one connection, one key, one queue, a few words.

A person waits at a terminal, so this is a plain blocking connection with deadlines of its own: what is published
is confirmed or fails by name, and answers come one at a time. A connection that breaks is for the caller to open
anew; nothing is lost, since requests and answers lie in durable queues.
"""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

import pika
from pika import exceptions
from pika.adapters.blocking_connection import BlockingChannel

from hansa.broker.address import BrokerAddress
from hansa.broker.errors import Busy, TransportError, UnknownAgent
from hansa.broker.layout import exchange, queue
from hansa.broker.line import channel_error, connection_error
from hansa.broker.topics import routing_key

BLOCKED_S = 15.0  # a broker that is out of memory or disk is given so long
POLL_S = 0.25  # between two looks into the queue: a person waits


class Doorway:
    """An open door; a context manager.

    Args:
        address: with the temporary user that the invitation brings.
        federation: its id.
        door: the temporary user's name in the federation.
        keeper: to whom the door leads.

    Raises:
        AccessRefused: the broker does not know the invitation's user: used, expired or withdrawn.
        TransportError: any other way of not getting through.
    """

    def __init__(self, address: BrokerAddress, federation: str, door: str, keeper: str) -> None:
        self._address = address
        self._exchange = exchange(federation)
        self._key = routing_key(door, keeper, "join")
        self._keeper = keeper
        self._queue = queue(door, "control")
        self._last = 0  # delivery tag of the last answer
        parameters = address.parameters(door)
        parameters.blocked_connection_timeout = BLOCKED_S
        with self._named():
            self._connection = pika.BlockingConnection(parameters)
            try:
                self._channel: BlockingChannel = self._connection.channel()
                self._channel.confirm_delivery()
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> "Doorway":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, frame: bytes) -> None:
        """Hand a request to the broker; on return a majority of its nodes has it.

        Raises:
            UnknownAgent: the keeper has no queue for requests.
            Busy: that queue is full.
            TransportError: it may or may not have arrived; ask again.
        """
        with self._named():
            try:
                self._channel.basic_publish(
                    self._exchange,
                    self._key,
                    frame,
                    pika.BasicProperties(delivery_mode=2),  # type: ignore[no-untyped-call]
                    mandatory=True,
                )
            except exceptions.UnroutableError:
                raise UnknownAgent(
                    f"{self._keeper} has no queue for requests to join on this broker"
                ) from None
            except exceptions.NackError:
                raise Busy(
                    f"too many requests wait for {self._keeper} already; try again when its agent has run"
                ) from None

    def answer(self, timeout_s: float) -> bytes | None:
        """Wait for the next answer and return it, or None if none has come.

        Raises:
            TransportError: the connection ended.
        """
        deadline = time.monotonic() + timeout_s
        with self._named():
            while True:
                method, _, body = self._channel.basic_get(self._queue)
                if method is not None and body is not None:
                    self._last = int(method.delivery_tag or 0)
                    return body
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return None
                self._connection.sleep(min(left_s, POLL_S))

    def acknowledge(self) -> None:
        """Be done with the last answer; otherwise it comes again when this connection has ended.

        Raises:
            TransportError: the connection ended; the answer comes again.
        """
        with self._named():
            self._channel.basic_ack(self._last)

    def close(self) -> None:
        """Leave; an answer not yet acknowledged comes again."""
        with suppress(exceptions.AMQPError):  # it may break just now
            if self._connection.is_open:
                self._connection.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Turn pika's errors into the house's."""
        try:
            yield
        except TransportError:
            raise
        except exceptions.ChannelClosedByBroker as error:
            raise channel_error(error) from None
        except exceptions.ConnectionBlockedTimeout:
            raise Busy(f"{self._address} is out of disk or memory and takes no messages") from None
        except (exceptions.AMQPError, ssl.SSLError, OSError) as error:
            raise connection_error(error, self._address) from None
