"""The AMQP transport over a real RabbitMQ: the conformance suite, and what only a broker can do to us."""

import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hansa.broker import (
    AccessRefused,
    AmqpTransport,
    BrokerUnreachable,
    Busy,
    Disconnected,
    Outcome,
    TransportError,
    UnknownAgent,
    UntrustedBroker,
)
from hansa.broker.amqp import MAX_UNCONFIRMED_BYTES
from hansa.broker.layout import exchange, queue
from hansa.broker.publisher import DATA_IN_FLIGHT
from hansa.broker.transport import MAX_UNCONFIRMED
from tests import servers
from tests.broker.conformance import (
    CHECKS,
    PATIENCE_S,
    Exchange,
    bodies,
    is_quiet,
    learn,
    take,
    take_safely,
)
from tests.broker.conftest import Fragile
from tests.broker.town import Town
from tests.proxy import Proxy


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conformance(town: Exchange, check: Callable[[Exchange], None]) -> None:
    check(town)


def eventually(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Traffic:
    """Messages from alice to bob, published until confirmed, whatever happens; counted at both ends."""

    def __init__(self, alice: AmqpTransport, bob: AmqpTransport, count: int) -> None:
        self.alice, self.bob = alice, bob
        self.todo = list(range(count))
        self.attempted = 0
        self.acknowledged: set[int] = set()
        self.received: Counter[int] = Counter()

    def step(self) -> None:
        """Do what an agent's step does."""
        while self.todo and self.alice.room():
            number = self.todo.pop()
            self.alice.publish("alice.bob.control", b"%d" % number, number)
            self.attempted += 1
        for outcome in self.alice.outcomes():
            if outcome.status == "confirmed":
                self.acknowledged.add(outcome.tag)
            else:
                self.todo.append(outcome.tag)
        deliveries = self.bob.deliveries(100)
        self.received.update(int(delivery.body) for delivery in deliveries)
        self.bob.acknowledge(delivery.tag for delivery in deliveries)
        self.bob.wait(0.002)

    def until(self, reached: int, patience_s: float = PATIENCE_S) -> None:
        """Go on until so many are confirmed and everything confirmed has been received."""
        deadline = time.monotonic() + patience_s
        while len(self.acknowledged) < reached or not self.acknowledged <= self.received.keys():
            assert time.monotonic() < deadline, self.report()
            self.step()

    def report(self) -> str:
        """In the columns of published chaos suites."""
        return (
            f"attempted {self.attempted} acknowledged {len(self.acknowledged)} ok {len(self.received)} "
            f"lost {len(self.acknowledged - self.received.keys())} "
            f"duplicated {sum(self.received.values()) - len(self.received)} {self.alice.health()}"
        )


# --- connections that end --------------------------------------------------------------------------------


def test_nothing_confirmed_is_lost_while_connections_are_reset(town: Town) -> None:
    alice, bob = town.connect("alice"), town.connect("bob")
    traffic = Traffic(alice, bob, 3_000)
    dice = random.Random(1)
    for stop in range(300, 3_000, 300):
        traffic.until(stop)
        for _ in range(dice.randrange(30)):
            traffic.step()
        town.proxy(dice.choice((alice, bob))).reset()
    traffic.until(3_000, 60)
    assert set(traffic.received) == set(range(3_000))


def test_what_is_unconfirmed_when_the_connection_goes_is_reported_lost(town: Town) -> None:
    alice = town.connect("alice")
    town.proxy(alice).freeze()
    for tag in range(5):
        alice.publish("alice.bob.control", b"into the void", tag)
    town.proxy(alice).cut()
    town.proxy(alice).thaw()
    assert sorted(outcome.tag for outcome in learn(alice, 5)) == list(range(5))
    assert alice.room() == 0
    with pytest.raises(Busy):
        alice.publish("alice.bob.control", b"later", 6)
    alice.publish("alice.all.event", b"nobody hears", 7)
    assert alice.outcomes() == [Outcome(7, "confirmed")]
    assert alice.health().state == "connecting"
    town.proxy(alice).refusing = False
    alice.ready(PATIENCE_S)
    assert alice.wait(PATIENCE_S) is True  # there is room again: the agent's loop must turn
    assert alice.room() == MAX_UNCONFIRMED


def test_an_acknowledgement_of_an_earlier_connection_settles_nothing(town: Town) -> None:
    alice, bob = town.connect("alice"), town.connect("bob")
    alice.publish("alice.bob.control", b"first", 1)
    (stale,) = take(bob, 1)
    town.proxy(bob).reset()
    (fresh,) = take(bob, 1)
    bob.acknowledge([stale.tag])
    town.cut(bob)
    assert bodies(take_safely(town.connect("bob"), 1)) == [fresh.body]


def test_heartbeats_are_served_while_the_agent_computes(town: Town) -> None:
    bob = town.connect("bob", heartbeat_s=1)
    until = time.monotonic() + 4
    while time.monotonic() < until:
        sum(range(10_000))
    assert town.proxy(bob).accepted == 2
    assert bob.health().state == "ready"


def test_a_pulled_cable_is_noticed_and_survived(town: Town) -> None:
    alice, bob = town.connect("alice"), town.connect("bob", heartbeat_s=1)
    town.proxy(bob).freeze()
    eventually(lambda: bob.health().state == "connecting")
    alice.publish("alice.bob.control", b"meanwhile", 1)
    town.proxy(bob).reset()
    town.proxy(bob).thaw()
    assert bodies(take_safely(bob, 1)) == [b"meanwhile"]


def test_a_subscription_outlives_an_outage(town: Town) -> None:
    alice, bob = town.connect("alice"), town.connect("bob")
    bob.subscribe("#")
    town.proxy(bob).reset()
    eventually(lambda: bob.health().state != "ready")
    bob.ready(PATIENCE_S)
    alice.publish("alice.all.event", b"after", 1)
    assert bodies(take_safely(bob, 1)) == [b"after"]


def test_a_channel_that_the_broker_closes_is_opened_again(town: Town) -> None:
    alice, bob = town.connect("alice"), town.connect("bob")
    # 406, as when a delivery was held beyond the broker's timeout.
    bob._post(lambda: bob._consumer._channels["control"].basic_ack(12_345))
    eventually(lambda: town.proxy(bob).accepted == 3)
    alice.publish("alice.bob.control", b"still here", 1)
    assert bodies(take_safely(bob, 1)) == [b"still here"]


def test_a_consumer_that_the_broker_cancels_comes_back(town: Town) -> None:
    bob = town.connect("bob")
    town.management.call("DELETE", f"queues/{town.name}/{queue('bob', 'control')}")
    eventually(lambda: isinstance(bob.health().trouble, UnknownAgent))
    town.provision()
    eventually(lambda: bob.health().state == "ready")
    town.connect("alice").publish("alice.bob.control", b"welcome back", 1)
    assert bodies(take_safely(bob, 1)) == [b"welcome back"]


def test_an_older_connection_waits_and_takes_its_turn(town: Town) -> None:
    alice = town.connect("alice")
    older = AmqpTransport(town.address("bob"), town.name, "bob")
    older.ready(PATIENCE_S)
    older._stamp = (0, "old")  # as if it had been made long ago, on a machine that was away
    newer = town.connect("bob")
    with Proxy(town.amqp_port) as proxy:
        late = AmqpTransport(town.address("bob", proxy.port), town.name, "bob")
        late._stamp = (1, "late")
        eventually(lambda: late.health().state == "standby")
        assert late.room() == 0
        with pytest.raises(TransportError, match="another connection of bob"):
            late.ready(0.1)
        alice.publish("alice.bob.control", b"for the newest", 1)
        assert bodies(take_safely(newer, 1)) == [b"for the newest"]
        newer.close()
        late.ready(PATIENCE_S)
        late.close()
    with pytest.raises(Disconnected, match="newer connection"):
        older.room()
    older.close()


# --- a broker in trouble ---------------------------------------------------------------------------------


def test_nothing_confirmed_is_lost_when_the_broker_is_killed(fragile: Fragile) -> None:
    town = Town.on(fragile.node)
    traffic = Traffic(town.connect("alice"), town.connect("bob"), 4_000)
    traffic.until(1_500)
    for _ in range(5):
        traffic.step()
    fragile.node.kill()
    eventually(lambda: traffic.alice.health().state == "connecting")
    fragile.restart()
    traffic.until(4_000, 90)
    assert set(traffic.received) == set(range(4_000))
    town.close()


def test_a_broker_out_of_memory_blocks_publishers_only_and_is_named(fragile: Fragile) -> None:
    town = Town.on(fragile.node)
    alice, bob = town.connect("alice"), town.connect("bob")
    alice.publish("alice.bob.control", b"before", 1)
    assert learn(alice, 1) == [Outcome(1, "confirmed")]
    fragile.node.control("set_vm_memory_high_watermark", "0")
    try:
        # The broker says so to whoever publishes next.
        alice.publish("alice.bob.control", b"during", 2)
        eventually(lambda: alice.health().state == "blocked")
        assert "out of disk or memory" in str(alice.health())
        assert alice.room() == 0
        assert bodies(take_safely(bob, 1)) == [b"before"]  # and the acknowledgement is heard:
        counts = fragile.node.control("list_queues", "-q", "-p", town.name, "name", "messages").split()
        assert counts[counts.index(queue("bob", "control")) + 1] in ("0", "1")  # "during", if it got in
        carol = town.connect_without_waiting("carol")
        began = time.monotonic()
        carol.close()
        assert time.monotonic() - began < 10
    finally:
        fragile.node.control("set_vm_memory_high_watermark", "0.4")
    assert bodies(take_safely(bob, 1)) == [b"during"]
    assert learn(alice, 1) == [Outcome(2, "confirmed")]
    eventually(lambda: alice.room() == MAX_UNCONFIRMED)
    town.close()


def test_a_full_queue_refuses_and_the_publisher_keeps_the_message(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    town.policy("full", r"^bob\.control$", {"max-length": 1, "overflow": "reject-publish"})
    alice = town.connect("alice")
    outcomes: list[Outcome] = []
    tag = 0
    deadline = time.monotonic() + PATIENCE_S
    while not any(outcome.status == "lost" for outcome in outcomes):
        assert time.monotonic() < deadline
        alice.publish("alice.bob.control", b"%d" % tag, tag)
        tag += 1
        alice.wait(0.1)
        outcomes += alice.outcomes()
    for _ in range(2):
        alice.publish("alice.bob.control", b"%d" % tag, tag)
        tag += 1
    outcomes += learn(alice, tag - len(outcomes))
    assert [outcome.status for outcome in outcomes].count("lost") > 1
    said = [line for line in caplog.messages if "takes no message under alice.bob.control for now" in line]
    assert len(said) == 1, "once until it is taken, not once a try"
    confirmed = {b"%d" % outcome.tag for outcome in outcomes if outcome.status == "confirmed"}
    held = bodies(take_safely(town.connect("bob"), len(confirmed)))
    assert set(held) == confirmed


def test_a_publisher_that_is_refused_for_long_connects_anew_and_loses_nothing(
    town: Town, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("hansa.broker.publisher.STALE_S", 0.1)
    town.policy("full", r"^bob\.control$", {"max-length": 1, "overflow": "reject-publish"})
    alice = town.connect("alice")
    outcomes: list[Outcome] = []
    tag = 0
    deadline = time.monotonic() + PATIENCE_S
    with caplog.at_level(logging.DEBUG, "hansa.broker"):
        while "alice.bob.control is still refused; connecting anew" not in caplog.text:
            assert time.monotonic() < deadline
            if alice.room():
                alice.publish("alice.bob.control", b"%d" % tag, tag)
                tag += 1
            alice.wait(0.1)
            outcomes += alice.outcomes()
    outcomes += learn(alice, tag - len(outcomes))
    confirmed = {b"%d" % outcome.tag for outcome in outcomes if outcome.status == "confirmed"}
    assert set(bodies(take_safely(town.connect("bob"), len(confirmed)))) == confirmed


def test_what_comes_back_too_often_is_set_aside(town: Town) -> None:
    town.policy(
        "brief",
        r"^bob\.control$",
        {"delivery-limit": 2, "dead-letter-exchange": f"{town.name}.dead", "overflow": "reject-publish"},
    )
    town.connect("alice").publish("alice.bob.control", b"crashes bob", 1)
    for _ in range(3):
        bob = town.connect("bob")
        take(bob, 1)
        town.cut(bob)
    assert is_quiet(town.connect("bob"))
    eventually(lambda: town.dead_letters("bob") == [b"crashes bob"])


def test_a_message_in_the_wrong_queue_is_set_aside(town: Town) -> None:
    bob = town.connect("bob")
    path = f"bindings/{town.name}/e/{exchange(town.name)}/q/{queue('bob', 'control')}"
    town.management.call("POST", path, {"routing_key": "alice.carol.control"})
    town.management.call("POST", path, {"routing_key": "alice.*.*.*"})
    alice = town.connect("alice")
    alice.publish("alice.carol.control", b"for carol", 1)
    eventually(lambda: town.dead_letters("carol") == [b"for carol"])
    assert is_quiet(bob)
    assert bodies(take_safely(town.connect("carol"), 1)) == [b"for carol"]


# --- how much is under way -------------------------------------------------------------------------------


def test_bytes_are_bounded_as_well_as_messages(town: Town) -> None:
    alice, bob = town.connect("alice"), town.connect("bob")
    town.proxy(alice).freeze()
    body = bytes(10 * 2**20)
    tag = 0
    while alice.room():
        alice.publish("alice.bob.data", body, tag)
        tag += 1
    assert tag == -(-MAX_UNCONFIRMED_BYTES // len(body))
    assert alice._publisher._data_bytes <= DATA_IN_FLIGHT
    town.proxy(alice).thaw()
    assert all(delivery.body == body for delivery in take_safely(bob, tag))
    assert {outcome.status for outcome in learn(alice, tag)} == {"confirmed"}


def test_control_overtakes_data_that_waits_for_its_turn(town: Town) -> None:
    alice, bob = town.connect("alice"), town.connect("bob")
    town.proxy(alice).freeze()
    for tag in range(6):
        alice.publish("alice.bob.data", bytes(10 * 2**20), tag)
    alice.publish("alice.bob.control", b"abort", 99)
    town.proxy(alice).thaw()
    order = [outcome.tag for outcome in learn(alice, 7)]
    assert order.index(99) <= 2
    take_safely(bob, 7)


# --- getting in ------------------------------------------------------------------------------------------


def fails(transport: AmqpTransport, error: type[TransportError], text: str) -> None:
    """Check that a transport does not get ready, and why; close it."""
    try:
        with pytest.raises(error, match=text) as caught:
            transport.ready(2 if error is BrokerUnreachable else PATIENCE_S)
        assert type(caught.value) is error
    finally:
        transport.close()


def test_what_is_in_the_way_is_named(town: Town, node: servers.Node) -> None:
    good = town.address("alice")
    fails(AmqpTransport(replace(good, password="wrong"), town.name, "alice"), AccessRefused, "refused")
    fails(
        AmqpTransport(replace(good, vhost="elsewhere"), town.name, "alice"),
        AccessRefused,
        "elsewhere|refused",
    )
    fails(AmqpTransport(good, town.name, "bob"), AccessRefused, r"bob\.(control|data|events)")
    with Proxy(town.amqp_port) as proxy:
        proxy.refusing = True
        fails(
            AmqpTransport(replace(good, port=proxy.port), town.name, "alice"),
            BrokerUnreachable,
            "no connection|hung up",
        )
    nobody = AmqpTransport(replace(good, port=1), town.name, "alice")
    fails(nobody, BrokerUnreachable, "127.0.0.1:1")
    with pytest.raises(Disconnected):
        nobody.ready(1)
    assert nobody.health().state == "closed"


def test_a_missing_queue_is_named(town: Town) -> None:
    town.management.call("DELETE", f"queues/{town.name}/{queue('alice', 'data')}")
    fails(AmqpTransport(town.address("alice"), town.name, "alice"), UnknownAgent, r"alice\.data")


def test_tls_trusts_the_named_authority_only(node: servers.Node) -> None:
    town = Town.on(node)
    ca, _ = node.certificate("ca")
    wrong, _ = node.certificate("stranger")
    good = replace(town.address("alice", node.tls_port), tls=True, ca_file=ca)
    alice = AmqpTransport(good, town.name, "alice")
    alice.ready(PATIENCE_S)
    alice.publish("alice.alice.control", b"over TLS", 1)
    assert bodies(take_safely(alice, 1)) == [b"over TLS"]
    alice.close()
    fails(
        AmqpTransport(replace(good, ca_file=wrong), town.name, "alice"),
        UntrustedBroker,
        "TLS",
    )
    fails(AmqpTransport(replace(good, port=node.port), town.name, "alice"), UntrustedBroker, "TLS")
    with pytest.raises(OSError, match="No such file"):
        AmqpTransport(replace(good, ca_file=ca.with_name("missing.pem")), town.name, "alice")
    town.close()


def test_a_client_certificate_stands_for_user_and_password(node: servers.Node) -> None:
    town = Town.on(node, "town")
    ca, _ = node.certificate("ca")
    cert, key = node.certificate("alice")
    address = replace(
        town.address("alice", node.tls_port),
        user="",
        password="",
        tls=True,
        ca_file=ca,
        cert_file=cert,
        key_file=key,
    )
    alice = AmqpTransport(address, town.name, "alice")
    alice.ready(PATIENCE_S)
    alice.publish("alice.alice.control", b"certified", 1)
    assert bodies(take_safely(alice, 1)) == [b"certified"]
    alice.close()
    fails(AmqpTransport(address, town.name, "bob"), AccessRefused, "bob")
    cert, key = node.certificate("stranger")
    refused = AmqpTransport(replace(address, cert_file=cert, key_file=key), town.name, "alice")
    fails(refused, UntrustedBroker, "TLS")
    town.close()


def test_a_certificate_that_is_gone_is_named_and_looked_for_again(node: servers.Node, tmp_path: Path) -> None:
    town = Town.on(node)
    ca = tmp_path / "ca.pem"
    authority = node.certificate("ca")[0].read_bytes()
    ca.write_bytes(authority)
    with Proxy(node.tls_port) as proxy:
        address = replace(town.address("alice", proxy.port), tls=True, ca_file=ca)
        alice = AmqpTransport(address, town.name, "alice")
        alice.ready(PATIENCE_S)
        ca.unlink()
        proxy.reset()
        eventually(lambda: isinstance(alice.health().trouble, BrokerUnreachable))
        assert "No such file" in str(alice.health())
        ca.write_bytes(authority)
        alice.ready(PATIENCE_S)
        alice.close()
    town.close()


def test_closing_does_not_wait_for_a_broker_that_says_nothing(town: Town) -> None:
    with Proxy(town.amqp_port) as proxy:
        proxy.freeze()
        alice = AmqpTransport(town.address("alice", proxy.port), town.name, "alice")
        eventually(lambda: proxy.accepted == 2)
        began = time.monotonic()
        alice.close()
        assert time.monotonic() - began < 3
        assert not alice._thread.is_alive()


def test_a_failure_on_the_connections_thread_ends_the_transport_loudly(town: Town) -> None:
    alice = town.connect("alice")

    def fail() -> None:
        raise ZeroDivisionError("a bug")

    alice._post(fail)
    with pytest.raises(Disconnected, match="internal error"):
        alice.wait(PATIENCE_S)
    alice.close()
