"""What a probe finds on a real broker, and what it leaves alone."""

import time
from pathlib import Path

import pytest

from hansa.broker import (
    AccessRefused,
    BrokerAddress,
    BrokerUnreachable,
    ConnectionLost,
    UnknownAgent,
    UntrustedBroker,
)
from hansa.broker.layout import queue, user
from hansa.broker.probe import SOON_S, _expiry, find, greet, logged_in, missing_queues, wrong_rights
from tests import servers
from tests.broker.conformance import AGENTS
from tests.broker.conftest import Fragile
from tests.broker.town import Town

NAME = AGENTS[0]


def secured(node: servers.Node, **files: Path | None) -> BrokerAddress:
    """Return an address over TLS."""
    return BrokerAddress("127.0.0.1", node.tls_port, "/", "guest", "guest", tls=True, **files)  # type: ignore[arg-type]


def test_a_sound_place_has_no_troubles_and_no_message_is_moved(town: Town) -> None:
    agent = town.connect(NAME)
    agent.publish(f"{NAME}.{AGENTS[1]}.control", b"waiting", 1)
    with logged_in(town.address(AGENTS[1])) as connection:
        assert list(missing_queues(connection, town.name, AGENTS[1])) == []
        assert list(wrong_rights(connection, town.name, AGENTS[1])) == []
    other = town.connect(AGENTS[1])
    deadline = time.monotonic() + 30
    while not (deliveries := other.deliveries(10)):
        assert time.monotonic() < deadline
        other.wait(1)
    assert [(each.body, each.redelivered) for each in deliveries] == [(b"waiting", False)]
    assert town.dead_letters(AGENTS[1]) == []


def test_an_agent_at_work_is_not_disturbed(town: Town) -> None:
    agent = town.connect(NAME)
    with logged_in(town.address(NAME)) as connection:
        assert list(missing_queues(connection, town.name, NAME)) == []
    assert agent.health().state == "ready"


def test_a_queue_that_is_missing_and_one_that_may_not_be_read_are_named(town: Town) -> None:
    town.management.call("DELETE", f"queues/{town.name}/{queue(NAME, 'data')}")
    with logged_in(town.address(NAME)) as connection:
        [missing] = missing_queues(connection, town.name, NAME)
        assert isinstance(missing, UnknownAgent)
        assert str(missing) == f"queue {NAME}.data is missing"
        foreign = list(missing_queues(connection, town.name, AGENTS[1]))
    assert foreign
    assert all(isinstance(each, AccessRefused) and "may not read" in str(each) for each in foreign)


def test_rights_that_are_too_wide_or_too_narrow_are_named(town: Town) -> None:
    name = user(town.name, NAME).replace(".", "%2E")
    path = f"topic-permissions/{town.name}/{name}"
    town.management.call("PUT", path, {"exchange": town.name, "write": ".*", "read": "^$"})
    with logged_in(town.address(NAME)) as connection:
        assert [str(each) for each in wrong_rights(connection, town.name, NAME)] == [
            "may publish in the names of others"
        ]
    town.management.call("PUT", path, {"exchange": town.name, "write": "^$", "read": "^$"})
    with logged_in(town.address(NAME)) as connection:
        [narrow] = wrong_rights(connection, town.name, NAME)
    assert "may not publish in its own name" in str(narrow)
    town.management.call("DELETE", f"exchanges/{town.name}/{town.name}")
    with logged_in(town.address(NAME)) as connection:
        [gone] = wrong_rights(connection, town.name, NAME)
    assert str(gone) == f"exchange {town.name} is missing"


def test_a_queue_that_anybody_may_consume_from_gives_its_message_back(town: Town) -> None:
    town.management.call("DELETE", f"queues/{town.name}/{queue(NAME, 'control')}")
    town.management.call("PUT", f"queues/{town.name}/{queue(NAME, 'control')}", {"durable": True})
    town.management.call(
        "POST",
        f"bindings/{town.name}/e/{town.name}/q/{queue(NAME, 'control')}",
        {"routing_key": f"*.{NAME}.control"},
    )
    sender = town.connect(AGENTS[1])
    sender.publish(f"{AGENTS[1]}.{NAME}.control", b"hello", 1)
    deadline = time.monotonic() + 30
    while not sender.outcomes():
        assert time.monotonic() < deadline
        sender.wait(1)
    with logged_in(town.address(NAME)) as connection:
        assert list(missing_queues(connection, town.name, NAME)) == []
    assert town.peek(queue(NAME, "control")) == [b"hello"]


def test_what_the_broker_says_of_a_queue_is_passed_on(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hansa.broker.probe._RESOURCE_LOCKED", 0)
    with logged_in(town.address(NAME)) as connection:
        told = list(missing_queues(connection, town.name, NAME))
    assert told
    assert all(isinstance(each, ConnectionLost) and " 405 " in str(each) for each in told)


def test_a_login_that_is_refused_is_named(town: Town) -> None:
    address = BrokerAddress("127.0.0.1", town.amqp_port, town.name, user(town.name, NAME), "wrong")
    with pytest.raises(AccessRefused), logged_in(address):
        pass


def test_a_broker_that_goes_meanwhile_is_named(town: Town) -> None:
    agent = town.connect(NAME)
    address = town.address(NAME, town.proxy(agent).port)

    def look() -> None:
        with logged_in(address) as connection:
            town.proxy(agent).cut()
            list(missing_queues(connection, town.name, NAME))

    with pytest.raises(ConnectionLost):
        look()


def test_a_broker_under_alarm_takes_no_messages_and_is_named(fragile: Fragile) -> None:
    town = Town.on(fragile.node)

    def look() -> None:
        with logged_in(town.address(NAME)) as connection:
            list(wrong_rights(connection, town.name, NAME))

    fragile.node.control("set_vm_memory_high_watermark", "absolute", "1")
    try:
        with pytest.raises(ConnectionLost, match="out of memory or disk"):
            look()
    finally:
        fragile.node.control("set_vm_memory_high_watermark", "0.6")
        town.close()


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [("no-such-host.invalid", 5672, "no such host"), ("127.0.0.1", 1, "Connection refused")],
)
def test_a_host_or_port_that_is_not_there_is_named(host: str, port: int, expected: str) -> None:
    with pytest.raises(BrokerUnreachable, match=expected):
        find(BrokerAddress(host, port, "/", "guest", "guest"))


def test_certificates_are_looked_at_before_they_expire(node: servers.Node) -> None:
    now = time.time()
    authority, _ = node.certificate("ca")
    certificate, key = node.certificate("alice")
    early = now - SOON_S  # the tests' own certificates last two days
    greet(BrokerAddress("127.0.0.1", node.port, "/", "guest", "guest"), now)  # no TLS, nothing to look at
    greet(secured(node, ca_file=authority), early)
    greet(secured(node, ca_file=authority, cert_file=certificate, key_file=key), early)
    with pytest.raises(UntrustedBroker, match="the broker's certificate expires on 20"):
        greet(secured(node, ca_file=authority), now)
    with pytest.raises(UntrustedBroker, match=r"our certificate .*alice\.pem expired on 20"):
        greet(secured(node, ca_file=authority, cert_file=certificate, key_file=key), now + 10 * SOON_S)


def test_a_certificate_that_we_do_not_trust_is_named(node: servers.Node) -> None:
    authority, _ = node.certificate("stranger")
    with pytest.raises(UntrustedBroker, match="no TLS"):
        greet(secured(node, ca_file=authority), time.time())


def test_a_certificate_file_that_is_none_is_named(node: servers.Node, tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("nothing")
    with pytest.raises(UntrustedBroker, match="no certificate"):
        _expiry(tmp_path / "none.pem")


def test_a_port_that_speaks_no_tls_or_is_gone_is_named(node: servers.Node) -> None:
    authority, _ = node.certificate("ca")
    plain = BrokerAddress("127.0.0.1", node.port, "/", "guest", "guest", tls=True, ca_file=authority)
    with pytest.raises(BrokerUnreachable):
        greet(plain, time.time())
    gone = BrokerAddress("127.0.0.1", 1, "/", "guest", "guest", tls=True, ca_file=authority)
    with pytest.raises(BrokerUnreachable, match="no TLS"):
        greet(gone, time.time())
