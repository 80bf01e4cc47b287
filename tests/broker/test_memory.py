"""The memory transport: the conformance suite, and what is its own."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from hansa.broker import (
    BadName,
    Disconnected,
    MemoryBroker,
    MemoryTransport,
    Outcome,
    Transport,
    UnknownAgent,
)
from hansa.broker.memory import MAX_EVENTS
from tests.broker.conformance import AGENTS, CHECKS, Exchange, bodies, learn, take, take_safely


class MemoryExchange:
    """A memory broker as the conformance suite wants it."""

    def __init__(self) -> None:
        self.broker = MemoryBroker("hanse")
        for agent in AGENTS:
            self.broker.declare(agent)

    def connect(self, agent: str) -> Transport:
        return self.broker.connect(agent)

    def cut(self, transport: Transport) -> None:
        transport.close()

    def dead_letters(self, agent: str) -> list[bytes]:
        return bodies(self.broker.dead_letters(agent))


@pytest.fixture
def exchange() -> MemoryExchange:
    return MemoryExchange()


@pytest.fixture
def broker(exchange: MemoryExchange) -> MemoryBroker:
    return exchange.broker


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conformance(exchange: Exchange, check: Callable[[Exchange], None]) -> None:
    check(exchange)


def test_a_message_is_confirmed_only_when_its_recipient_has_made_it_safe(broker: MemoryBroker) -> None:
    alice, bob = broker.connect("alice"), broker.connect("bob")
    alice.publish("alice.bob.control", b"text", 1)
    (delivery,) = take(bob, 1)
    assert alice.outcomes() == []
    bob.close()
    assert alice.outcomes() == []
    bob = broker.connect("bob")
    (delivery,) = take(bob, 1)
    bob.acknowledge([delivery.tag])
    assert alice.outcomes() == [Outcome(1, "confirmed")]


def test_a_publisher_that_left_learns_nothing_in_its_next_life(broker: MemoryBroker) -> None:
    alice, bob = broker.connect("alice"), broker.connect("bob")
    alice.publish("alice.bob.control", b"text", 1)
    alice = broker.connect("alice")
    take_safely(bob, 1)
    assert alice.outcomes() == []
    assert alice.room() == 256


def test_what_comes_again_comes_in_another_order(broker: MemoryBroker) -> None:
    alice, bob = broker.connect("alice"), broker.connect("bob")
    for tag in range(4):
        alice.publish("alice.bob.data", b"%d" % tag, tag)
    take(bob, 3)
    assert bodies(take(broker.connect("bob"), 4)) == [b"2", b"1", b"0", b"3"]


def test_the_backlog_counts_bytes_until_they_are_acknowledged(broker: MemoryBroker) -> None:
    alice, bob = broker.connect("alice"), broker.connect("bob")
    bob.subscribe("#")
    alice.publish("alice.bob.control", b"12345", 1)
    alice.publish("alice.bob.data", b"123", 2)
    alice.publish("alice.all.event", b"not counted", 3)
    assert broker.backlog("bob") == 8
    deliveries = take(bob, 3)
    assert broker.backlog("bob") == 8
    bob.acknowledge([delivery.tag for delivery in deliveries if delivery.traffic == "data"])
    assert broker.backlog("bob") == 5
    bob.close()
    assert broker.backlog("bob") == 5
    assert broker.backlog("carol") == 0


def test_an_agent_that_was_never_declared_has_no_queues_to_look_at(broker: MemoryBroker) -> None:
    with pytest.raises(UnknownAgent, match="'dave' was never declared in 'hanse'"):
        broker.backlog("dave")
    with pytest.raises(UnknownAgent):
        broker.dead_letters("dave")
    with pytest.raises(BadName):
        broker.declare("Dave")


def test_a_guest_without_queues_may_publish_and_hear_events(broker: MemoryBroker) -> None:
    guest, bob = broker.connect("dashboard"), broker.connect("bob")
    guest.subscribe("#")
    bob.publish("bob.all.event", b"news", 1)
    (event,) = take(guest, 1)
    guest.reject([event.tag])  # an event leaves no dead letter
    guest.publish("dashboard.bob.control", b"request", 2)
    take_safely(bob, 1)
    assert learn(guest, 1) == [Outcome(2, "confirmed")]
    guest.close()


def test_an_agent_may_be_declared_while_it_is_connected(broker: MemoryBroker) -> None:
    alice, dave = broker.connect("alice"), broker.connect("dave")
    broker.declare("dave")
    broker.declare("dave")
    alice.publish("alice.dave.control", b"welcome", 1)
    assert bodies(take_safely(dave, 1)) == [b"welcome"]


def test_a_listener_that_never_listens_holds_a_bounded_number_of_events(broker: MemoryBroker) -> None:
    alice, bob = broker.connect("alice"), broker.connect("bob")
    bob.subscribe("#")
    for tag in range(MAX_EVENTS + 5):
        alice.publish("alice.all.event", b"%d" % tag, tag)
    heard = bodies(bob.deliveries(2 * MAX_EVENTS))
    assert len(heard) == MAX_EVENTS
    assert heard[0] == b"5"


def test_deliveries_come_by_class_and_no_more_than_asked_for(broker: MemoryBroker) -> None:
    alice, bob = broker.connect("alice"), broker.connect("bob")
    bob.subscribe("#")
    for tag, key in enumerate(
        ("alice.bob.data", "alice.all.event", "alice.bob.control", "alice.bob.control")
    ):
        alice.publish(key, b"%d" % tag, tag)
    assert bob.deliveries(0) == []
    assert bodies(bob.deliveries(3)) == [b"2", b"3", b"1"]
    assert bodies(bob.deliveries(3)) == [b"0"]


def test_a_delivery_does_not_show_its_body(broker: MemoryBroker) -> None:
    alice, bob = broker.connect("alice"), broker.connect("bob")
    alice.publish("alice.bob.control", b"private", 1)
    (delivery,) = bob.deliveries(1)
    assert "private" not in repr(delivery)
    assert replace(delivery, tag=9).body == b"private"


def test_a_wait_ends_when_the_connection_does(broker: MemoryBroker) -> None:
    bob = broker.connect("bob")
    ended: list[str] = []

    def wait() -> None:
        try:
            bob.wait(20)
        except Disconnected:
            ended.append("disconnected")

    waiting = threading.Thread(target=wait)
    waiting.start()
    broker.connect("bob")
    waiting.join(10)
    assert ended == ["disconnected"]


def test_many_threads_lose_and_double_nothing() -> None:
    broker = MemoryBroker("hanse")
    names = [f"agent-{number}" for number in range(4)]
    for name in names:
        broker.declare(name)
    received: dict[str, list[bytes]] = {name: [] for name in names}
    each = 100

    def live(transport: MemoryTransport) -> None:
        name = transport.name
        others = [other for other in names if other != name]
        todo = [(other, b"%s %d" % (name.encode(), number)) for number in range(each) for other in others]
        confirmed = 0
        while confirmed < each * len(others) or len(received[name]) < each * len(others):
            while todo and transport.room():
                recipient, body = todo.pop()
                transport.publish(f"{name}.{recipient}.control", body, len(todo))
            deliveries = transport.deliveries(50)
            received[name] += bodies(deliveries)
            transport.acknowledge(delivery.tag for delivery in deliveries)
            confirmed += len(transport.outcomes())
            transport.wait(0.01)

    threads = [threading.Thread(target=live, args=(broker.connect(name),)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for name in names:
        expected = [b"%s %d" % (other.encode(), n) for other in names if other != name for n in range(each)]
        assert sorted(received[name]) == sorted(expected)
