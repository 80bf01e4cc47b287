"""How does one AMQP connection stay up?

A `Line` opens a connection, tells its user, and opens another when it ends, for whatever reason: a cut
network, a broker restarting, a channel the broker closed. There is one way back from everything, which makes
it the best tested. The pause before each attempt doubles, with full jitter, so that a thousand agents do not
return in step (Brooker, "Exponential Backoff And Jitter", 2015): up to `SHORT_PAUSE_S` while the outage is young,
since a broker restarts in seconds and a round waits for the last of its agents, and to `MAX_PAUSE_S` later.

Everything here runs on the transport's own thread.
"""

import logging
import random
import ssl
import time
from collections.abc import Callable
from typing import Protocol

import pika
from pika import exceptions
from pika.adapters.select_connection import IOLoop
from pika.adapters.utils import connection_workflow
from pika.channel import Channel

from hansa.broker.address import FRAME_BYTES, BrokerAddress
from hansa.broker.errors import (
    AccessRefused,
    BrokerUnreachable,
    ConnectionLost,
    TransportError,
    UnknownAgent,
    UntrustedBroker,
)

FIRST_PAUSE_S = 0.2
SHORT_PAUSE_S = 2.0
MAX_PAUSE_S = 10.0
YOUNG_S = 60.0  # an outage no older than that is young
REFUSALS = (403, 530)  # AMQP's access-refused and not-allowed: wrong password, no such virtual host

_DICE = random.Random()  # of our own: programs that seed the shared one want to repeat themselves

# Bytes that one read takes from the socket: pika's 4 KiB cost half of a receiver's processor time, since each piece
# is joined to all of its frame that came before. As many as a frame has: more would be copied when frames are cut.
READ_BYTES = FRAME_BYTES

log = logging.getLogger(__name__)
# pika reports every failed attempt some five times, with tracebacks; a line says it once.
logging.getLogger("pika").setLevel(logging.CRITICAL)


class LineUser(Protocol):
    """Who works on a line; called on its thread."""

    def opened(self, connection: pika.SelectConnection) -> None:
        """Open channels on a fresh connection."""
        ...

    def lost(self, error: TransportError) -> None:
        """Forget everything that belonged to the connection; or an attempt to open one failed."""
        ...

    def blocked(self, reason: str | None) -> None:
        """The broker takes no messages for want of a resource, or does again (None)."""
        ...


class Line:
    """One connection, kept up until stopped.

    Args:
        name, purpose: for logs and the broker's operator: whose it is, and "out" or "in".
    """

    def __init__(self, loop: IOLoop, address: BrokerAddress, name: str, purpose: str, user: LineUser) -> None:
        self._loop = loop
        self._address = address
        self._name = f"{name} ({purpose})"
        self._user = user
        self._connection: pika.SelectConnection | None = None
        self._failure: TransportError | None = None  # why we closed the connection ourselves
        self._aborted = False
        self._attempts = 0
        self._away_since: float | None = None  # monotonic; None while the connection does its work
        self._stopped: Callable[[], None] | None = None

    def start(self) -> None:
        """Open a connection."""
        if self._stopped is not None:
            return
        try:
            parameters = self._address.parameters(self._name)  # afresh: certificates are renewed on disk
        except OSError as error:
            self._ended(None, error)
            return
        self._connection = pika.SelectConnection(
            parameters,
            on_open_callback=self._opened,
            on_open_error_callback=self._ended,
            on_close_callback=self._ended,
            custom_ioloop=self._loop,
        )

    def steady(self) -> None:
        """Note that the connection does its work, so that the next pause is short again."""
        self._attempts, self._away_since = 0, None

    def fail(self, error: TransportError) -> None:
        """Give this connection up for a new one."""
        if self._failure is None and self._connection is not None:
            self._failure = error
            self._close()

    def stop(self, stopped: Callable[[], None]) -> None:
        """Close for good; `stopped` is called when that is done, which may be at once."""
        self._stopped = stopped
        if self._connection is None:
            stopped()
        else:
            self._close()

    def abort(self) -> None:
        """Drop the socket of a connection that does not close: a blocked broker reads nothing from us."""
        if self._connection is not None and not self._aborted:
            self._aborted = True
            # pika has no public way to end a connection without the broker's answer. And its public `close`
            # must not be used on one that is still opening: 1.4.4 fails an assertion of its own then.
            self._connection._terminate_stream(exceptions.AMQPConnectionError("gave up waiting"))

    def watch(self, channel: Channel) -> None:
        """Give the connection up if this channel closes."""
        channel.add_on_close_callback(self._channel_closed)

    def _close(self) -> None:
        if self._connection is None or self._connection.is_closing or self._connection.is_closed:
            return
        if self._connection.is_open:
            self._connection.close()
        else:
            self.abort()

    def _opened(self, connection: pika.SelectConnection) -> None:
        # pika has no public way to say so; a version that calls it something else is merely slower.
        connection._transport._MAX_RECV_BYTES = READ_BYTES  # type: ignore[union-attr]  # it is open: there is one
        connection.add_on_connection_blocked_callback(
            lambda _connection, method: self._user.blocked(str(method.method.reason))
        )
        connection.add_on_connection_unblocked_callback(lambda _connection, _method: self._user.blocked(None))
        self._user.opened(connection)

    def _channel_closed(self, channel: Channel, reason: Exception) -> None:
        if isinstance(reason, exceptions.ChannelClosedByBroker):
            self.fail(channel_error(reason))

    def _ended(self, _connection: object, reason: BaseException) -> None:
        error = self._failure or connection_error(reason, self._address)
        self._connection = self._failure = None
        self._aborted = False
        self._user.lost(error)
        if self._stopped is not None:
            self._stopped()
            return
        if self._away_since is None:
            self._away_since = time.monotonic()
        pause_s = _DICE.uniform(0, longest_pause(self._attempts, time.monotonic() - self._away_since))
        self._attempts += 1
        # For debugging: `AmqpTransport.health` has what a person should know.
        log.debug("%s: %s; next attempt in %.1f s", self._name, error, pause_s)
        self._loop.call_later(pause_s, self.start)


def longest_pause(attempts: int, away_s: float) -> float:
    """Return the seconds that the next attempt may wait at most, after so many in an outage of so long."""
    most = SHORT_PAUSE_S if away_s <= YOUNG_S else MAX_PAUSE_S
    return min(most, FIRST_PAUSE_S * 2.0 ** min(attempts, 20))


def channel_error(reason: exceptions.ChannelClosedByBroker) -> TransportError:
    """Name what made the broker close a channel."""
    match reason.reply_code:
        case 403:
            return AccessRefused(f"the broker refused: {reason.reply_text}")
        case 404:
            return UnknownAgent(f"not provisioned on the broker: {reason.reply_text}")
        case code:
            # 406 among them: a delivery was held beyond the broker's consumer timeout.
            return ConnectionLost(f"the broker closed a channel: {code} {reason.reply_text}")


def connection_error(reason: BaseException, address: BrokerAddress) -> TransportError:
    """Name what ended a connection or kept it from opening."""
    cause = _root(reason)
    where = f"{address.host}:{address.port}"
    match cause:
        case exceptions.ProbableAuthenticationError() | exceptions.ProbableAccessDeniedError() if (
            not _said_no(cause)
        ):
            return ConnectionLost(f"connection to {where} lost while it was being opened")
        case exceptions.ProbableAuthenticationError() | exceptions.AuthenticationError():
            return AccessRefused(
                f"{where} refused the login: check user and password, or the certificate's name"
            )
        case exceptions.ProbableAccessDeniedError():
            return AccessRefused(f"{where} refused the virtual host {address.vhost!r}")
        case exceptions.ConnectionClosedByBroker(reply_code=code, reply_text=text) if code in REFUSALS:
            return AccessRefused(f"{where} refused: {text}")
        case exceptions.ConnectionClosedByBroker(reply_code=code, reply_text=text):
            return ConnectionLost(f"{where} closed the connection: {code} {text}")
        case exceptions.ConnectionClosedByClient():
            return ConnectionLost(f"connection to {where} closed")
        case ssl.SSLError():
            return UntrustedBroker(f"no TLS with {where}: {getattr(cause, 'verify_message', '') or cause}")
        case exceptions.IncompatibleProtocolError() if "SSLError" in str(cause):  # told after the handshake
            return UntrustedBroker(f"no TLS with {where}: it does not accept our certificate")
        case exceptions.IncompatibleProtocolError():
            return BrokerUnreachable(f"{where} does not speak AMQP, or hung up at once")
        case exceptions.StreamLostError() | exceptions.AMQPHeartbeatTimeout():
            return ConnectionLost(f"connection to {where} lost: {cause}")
        case _:
            return BrokerUnreachable(f"no connection to {where}: {cause!s:.200}")


def _said_no(guess: BaseException) -> bool:
    """Whether the broker itself refused: pika takes every end at this stage for that, a mere reset too."""
    return any(f"({code})" in str(guess) for code in REFUSALS)


def _root(reason: BaseException) -> BaseException:
    """Unwrap what pika's connection workflow puts around the first cause."""
    while True:
        match reason:
            case exceptions.AMQPConnectionError(
                args=(connection_workflow.AMQPConnectorException() as inner, *_)
            ):
                reason = inner
            case connection_workflow.AMQPConnectionWorkflowFailed():
                reason = reason.exceptions[-1]
            case connection_workflow.AMQPConnectorPhaseErrorBase():
                reason = reason.exception
            case _:
                return reason
