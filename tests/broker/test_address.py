"""Broker addresses, and what each way of failing is called."""

import ssl
from pathlib import Path

import pika
import pytest
from pika import exceptions
from pika.adapters.utils import connection_workflow

from hansa.broker import (
    AccessRefused,
    AmqpTransport,
    BadName,
    BrokerAddress,
    BrokerUnreachable,
    ConnectionLost,
    TransportError,
    UnknownAgent,
    UntrustedBroker,
)
from hansa.broker.line import channel_error, connection_error

URL = "amqp://town.alice:p%40ss%2Fword@broker.example/town"
ADDRESS = BrokerAddress.from_url(URL)


def test_an_address_is_read_whole() -> None:
    assert (ADDRESS.host, ADDRESS.port, ADDRESS.vhost) == ("broker.example", 5672, "town")
    assert (ADDRESS.user, ADDRESS.password, ADDRESS.tls) == ("town.alice", "p@ss/word", False)
    assert BrokerAddress.from_url("amqps://a:b@host").port == 5671
    assert BrokerAddress.from_url("amqps://a:b@host:1/%2F").vhost == "/"
    assert BrokerAddress.from_url("amqp://a:b@[::1]:7/v", heartbeat_s=9).heartbeat_s == 9


def test_an_address_shows_neither_user_nor_password() -> None:
    assert str(ADDRESS) == "amqp://broker.example:5672/town"
    assert "ss/word" not in repr(ADDRESS)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://a:secret@host/v",
        "amqp:///v",
        "amqp://a:secret@host/v/w",
        "amqp://a:secret@host/v?x=1",
        "amqp://host/v",
        "amqps://host/v",
    ],
)
def test_what_is_no_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"address") as refused:
        BrokerAddress.from_url(url)
    assert "secret" not in str(refused.value)


def test_certificates_want_tls() -> None:
    with pytest.raises(ValueError, match="amqps"):
        BrokerAddress.from_url(URL, ca_file=Path("ca.pem"))


def test_pika_is_told_what_matters() -> None:
    parameters = ADDRESS.parameters("alice (out)")
    assert isinstance(parameters.credentials, pika.PlainCredentials)
    assert parameters.heartbeat == ADDRESS.heartbeat_s
    assert parameters.ssl_options is None
    secure = BrokerAddress.from_url("amqps://a:b@host/v").parameters("x").ssl_options
    assert secure is not None
    assert secure.context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert secure.context.verify_mode == ssl.CERT_REQUIRED
    assert secure.context.check_hostname


def test_names_are_checked_before_anything_is_connected() -> None:
    for federation, agent in (("Town", "alice"), ("town", "al.ice")):
        with pytest.raises(BadName):
            AmqpTransport(ADDRESS, federation, agent)


NO = repr(exceptions.ConnectionClosedByBroker(530, "NOT_ALLOWED - vhost town not found"))
GONE = repr(exceptions.StreamLostError("Transport indicated EOF"))
FORCED = repr(
    exceptions.ConnectionClosedByBroker(320, "CONNECTION_FORCED - broker forced connection closure")
)


def handshake(error: BaseException) -> BaseException:
    """Wrap a cause as pika does."""
    phase = connection_workflow.AMQPConnectorAMQPHandshakeError(error)
    return exceptions.AMQPConnectionError(connection_workflow.AMQPConnectionWorkflowFailed([phase]))


@pytest.mark.parametrize(
    ("reason", "error", "text"),
    [
        (handshake(exceptions.ProbableAuthenticationError(NO)), AccessRefused, "check user and password"),
        (handshake(exceptions.ProbableAccessDeniedError(NO)), AccessRefused, "virtual host 'town'"),
        # What pika makes of a reset, or of a broker that goes down, while a connection is being opened.
        (handshake(exceptions.ProbableAuthenticationError(GONE)), ConnectionLost, "being opened"),
        (handshake(exceptions.ProbableAccessDeniedError(GONE)), ConnectionLost, "being opened"),
        (handshake(exceptions.ProbableAccessDeniedError(FORCED)), ConnectionLost, "being opened"),
        (exceptions.ConnectionClosedByBroker(403, "ACCESS_REFUSED"), AccessRefused, "ACCESS_REFUSED"),
        (exceptions.ConnectionClosedByBroker(530, "NOT_ALLOWED"), AccessRefused, "NOT_ALLOWED"),
        (exceptions.ConnectionClosedByBroker(320, "FORCED"), ConnectionLost, "320 FORCED"),
        (exceptions.ConnectionClosedByClient(200, "bye"), ConnectionLost, "closed"),
        (exceptions.StreamLostError("gone"), ConnectionLost, "gone"),
        (exceptions.AMQPHeartbeatTimeout("silence"), ConnectionLost, "silence"),
        (handshake(ssl.SSLError(1, "bad")), UntrustedBroker, "no TLS"),
        (handshake(exceptions.IncompatibleProtocolError("SSLError(1)")), UntrustedBroker, "our certificate"),
        (handshake(exceptions.IncompatibleProtocolError("EOF")), BrokerUnreachable, "does not speak AMQP"),
        (handshake(ConnectionRefusedError(111, "refused")), BrokerUnreachable, "refused"),
        (OSError("no such file"), BrokerUnreachable, "no such file"),
    ],
)
def test_what_ends_a_connection_has_a_name(
    reason: BaseException, error: type[TransportError], text: str
) -> None:
    named = connection_error(reason, ADDRESS)
    assert type(named) is error
    assert text in str(named)
    assert "broker.example:5672" in str(named)


@pytest.mark.parametrize(
    ("code", "error"), [(403, AccessRefused), (404, UnknownAgent), (406, ConnectionLost)]
)
def test_what_closes_a_channel_has_a_name(code: int, error: type[TransportError]) -> None:
    named = channel_error(exceptions.ChannelClosedByBroker(code, "the broker's words"))
    assert type(named) is error
    assert "the broker's words" in str(named)
