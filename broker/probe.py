"""Does the broker let an agent do its work, and no more? Asked without touching a message of anybody's.

The agent may be at work meanwhile: a probe opens connections of its own, consumes nothing and announces nothing.
Reading is tried with a `get`, which the broker refuses on a queue that is for one consumer at a time, but not
before it has looked at the user's rights; publishing, with a key under which no queue is bound.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pika
from cryptography import x509
from pika import exceptions
from pika.adapters.blocking_connection import BlockingChannel

from hansa.broker import layout
from hansa.broker.address import BrokerAddress
from hansa.broker.errors import (
    AccessRefused,
    BrokerUnreachable,
    ConnectionLost,
    TransportError,
    UnknownAgent,
    UntrustedBroker,
)
from hansa.broker.line import connection_error

TIMEOUT_S = 4.0  # of each attempt
SOON_S = 14 * 86_400.0  # a certificate that expires within two weeks is told of
PROBE = "probe"  # the class of a routing key that no queue is bound to

_RESOURCE_LOCKED, _REFUSED, _MISSING = 405, 403, 404


def find(address: BrokerAddress) -> None:
    """Find the host and open a TCP connection.

    Raises:
        BrokerUnreachable: names what fails.
    """
    where = f"{address.host}:{address.port}"
    try:
        socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BrokerUnreachable(f"{address.host}: no such host: {error.strerror}") from None
    try:
        socket.create_connection((address.host, address.port), TIMEOUT_S).close()
    except OSError as error:
        raise BrokerUnreachable(f"{where}: no connection: {error.strerror or error}") from None


def greet(address: BrokerAddress, now_s: float) -> None:
    """Try TLS, if the address asks for it, and look at the certificates.

    Raises:
        UntrustedBroker: the broker's certificate is not one we trust, or one of both expires soon.
        BrokerUnreachable: it hung up.
        OSError: a certificate file cannot be read.
    """
    if not address.tls:
        return
    where = f"{address.host}:{address.port}"
    options = address.parameters(PROBE).ssl_options
    assert options is not None  # of a TLS address
    if address.cert_file is not None:
        _check_expiry(f"our certificate {address.cert_file}", _expiry(address.cert_file), now_s)
    try:
        with (
            socket.create_connection((address.host, address.port), TIMEOUT_S) as plain,
            options.context.wrap_socket(plain, server_hostname=address.host) as secured,
        ):
            shown = secured.getpeercert() or {}
    except ssl.SSLError as error:
        raise UntrustedBroker(f"{where}: no TLS: {getattr(error, 'verify_message', '') or error}") from None
    except OSError as error:
        raise BrokerUnreachable(f"{where}: no TLS: {error.strerror or error}") from None
    _check_expiry(
        f"{where}: the broker's certificate", ssl.cert_time_to_seconds(str(shown["notAfter"])), now_s
    )


@contextmanager
def logged_in(address: BrokerAddress) -> Iterator[pika.BlockingConnection]:
    """Lend a connection of the agent's user.

    Raises:
        TransportError: the subclass says what is in the way.
    """
    parameters = address.parameters(PROBE)
    parameters.socket_timeout = parameters.stack_timeout = parameters.blocked_connection_timeout = TIMEOUT_S
    try:
        connection = pika.BlockingConnection(parameters)
    except (exceptions.AMQPError, OSError) as error:
        raise connection_error(error, address) from None
    try:
        yield connection
    except exceptions.ConnectionBlockedTimeout:
        raise ConnectionLost(
            f"{address.host}:{address.port} takes no messages: it is out of memory or disk"
        ) from None
    except exceptions.AMQPConnectionError as error:
        raise connection_error(error, address) from None
    finally:
        with suppress(exceptions.AMQPError, OSError):
            connection.close()


def missing_queues(
    connection: pika.BlockingConnection, federation: str, agent: str
) -> Iterator[TransportError]:
    """Yield a complaint about each queue of the agent's that is not there, or that it may not read."""
    for queue in layout.queues(federation, agent):
        code, text = _try(connection, lambda channel, name=queue.name: _look_into(channel, name))  # type: ignore[misc]
        if code == _MISSING:
            yield UnknownAgent(f"queue {queue.name} is missing")
        elif code == _REFUSED:
            yield AccessRefused(f"may not read queue {queue.name}")
        elif code not in (0, _RESOURCE_LOCKED):
            yield ConnectionLost(f"queue {queue.name}: {code} {text}")


def wrong_rights(
    connection: pika.BlockingConnection, federation: str, agent: str
) -> Iterator[TransportError]:
    """Yield a complaint about what the agent's user may not do and must, or may do and must not."""
    house = layout.exchange(federation)
    for speaker, must in ((agent, True), (f"not-{agent}"[:40], False)):
        key = f"{speaker}.{speaker}.{PROBE}"
        code, text = _try(connection, lambda channel, key=key: channel.basic_publish(house, key, b""))  # type: ignore[misc]
        if code == _MISSING:
            yield UnknownAgent(f"exchange {house} is missing")
            return
        if must and code:
            yield AccessRefused(f"may not publish in its own name: {code} {text}")
        if not must and code != _REFUSED:
            yield AccessRefused("may publish in the names of others")


def _look_into(channel: BlockingChannel, queue: str) -> None:
    channel.queue_declare(queue, passive=True)
    method, _, _ = channel.basic_get(queue)
    if method is not None:  # a queue that is not for one consumer only: put it back
        channel.basic_nack(method.delivery_tag, requeue=True)


def _try(connection: pika.BlockingConnection, action: Callable[[BlockingChannel], object]) -> tuple[int, str]:
    """Do one thing on a channel of its own; return the broker's refusal, or 0."""
    channel = connection.channel()
    try:
        channel.confirm_delivery()
        action(channel)
    except exceptions.ChannelClosedByBroker as error:
        return error.reply_code, error.reply_text
    channel.close()
    return 0, ""


def _expiry(file: Path) -> float:
    try:
        return x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc.timestamp()
    except ValueError as error:
        raise UntrustedBroker(f"{file}: no certificate: {error}") from None


def _check_expiry(what: str, expires_s: float, now_s: float) -> None:
    left_s = expires_s - now_s
    if left_s < SOON_S:
        day = time.strftime("%Y-%m-%d", time.gmtime(expires_s))
        raise UntrustedBroker(f"{what} {'expired' if left_s < 0 else 'expires'} on {day}")
