"""A joiner's connection, on a real broker."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pika import exceptions

from hansa.broker import (
    AccessRefused,
    Account,
    AmqpTransport,
    BrokerUnreachable,
    Busy,
    ConnectionLost,
    Doorway,
    UnknownAgent,
    provision,
)
from tests.broker.conformance import PATIENCE_S, bodies, learn, take_safely
from tests.broker.town import PASSWORD, Town
from tests.proxy import Proxy

DOOR = "join-0123abcd"


@pytest.fixture(scope="module")
def place() -> Iterator[Town]:
    """A federation with a door to alice."""
    town = Town.somewhere()
    provision(town.management, town.name, [Account(DOOR, PASSWORD, door_to="alice")])
    town.agents = (*town.agents, DOOR)
    yield town
    town.close()


def through(place: Town, port: int | None = None) -> Doorway:
    return Doorway(place.address(DOOR, port), place.name, DOOR, "alice")


def say(alice: AmqpTransport, body: bytes) -> None:
    alice.publish(f"alice.{DOOR}.control", body, 1)
    learn(alice, 1)


def test_what_is_asked_reaches_the_keeper_and_the_answer_comes_back(place: Town) -> None:
    alice = place.connect("alice")
    with through(place) as doorway:
        doorway.ask(b"let me in")
        (delivery,) = take_safely(alice, 1)
        assert (delivery.traffic, delivery.routing_key) == ("join", f"{DOOR}.alice.join")
        assert delivery.body == b"let me in"
        say(alice, b"come in")
        assert doorway.answer(PATIENCE_S) == b"come in"
        doorway.acknowledge()
        assert doorway.answer(0) is None


def test_an_answer_that_was_not_acknowledged_comes_again(place: Town) -> None:
    say(place.connect("alice"), b"come in")
    with through(place) as doorway:
        assert doorway.answer(PATIENCE_S) == b"come in"
    with through(place) as doorway:
        assert doorway.answer(PATIENCE_S) == b"come in"
        doorway.acknowledge()


def test_waiting_ends_in_time(place: Town) -> None:
    with through(place) as doorway:
        began = time.monotonic()
        assert doorway.answer(0.3) is None
        assert time.monotonic() - began >= 0.3


def test_a_request_waits_for_a_keeper_that_is_away(place: Town) -> None:
    with through(place) as doorway:
        doorway.ask(b"nobody in?")
    assert bodies(take_safely(place.connect("alice"), 1)) == [b"nobody in?"]


def test_a_door_that_is_shut_says_so(place: Town) -> None:
    with pytest.raises(AccessRefused, match="refused the login"):
        Doorway(replace(place.address(DOOR), password="wrong"), place.name, DOOR, "alice")


def test_a_broker_that_is_not_there_is_named(place: Town) -> None:
    with pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1:1\b"):
        through(place, 1)


def test_a_door_that_leads_elsewhere_is_refused(place: Town) -> None:
    with (
        Doorway(place.address(DOOR), place.name, DOOR, "bob") as doorway,
        pytest.raises(AccessRefused, match="the broker refused"),
    ):
        doorway.ask(b"let me in")


def test_a_keeper_without_a_queue_is_named(town: Town) -> None:
    provision(town.management, town.name, [Account(DOOR, PASSWORD, door_to="alice")])
    town.agents = (*town.agents, DOOR)
    town.management.call("DELETE", f"queues/{town.name}/alice.join")
    with through(town) as doorway, pytest.raises(UnknownAgent, match="alice has no queue"):
        doorway.ask(b"let me in")


def test_a_full_queue_says_to_come_later(town: Town) -> None:
    town.policy("tiny", r"\.join$", {"max-length": 1, "overflow": "reject-publish"})
    provision(town.management, town.name, [Account(DOOR, PASSWORD, door_to="alice")])
    town.agents = (*town.agents, DOOR)

    def insist(doorway: Doorway) -> None:
        for _ in range(50):  # a policy takes a moment, and a queue lets a few more in
            doorway.ask(b"let me in")

    with through(town) as doorway, pytest.raises(Busy, match="too many requests wait for alice"):
        insist(doorway)


def test_a_lost_connection_is_named_and_closing_it_is_fine(place: Town) -> None:
    with Proxy(place.amqp_port) as proxy, through(place, proxy.port) as doorway:
        proxy.cut()
        with pytest.raises(ConnectionLost):
            doorway.answer(PATIENCE_S)


def test_a_broker_without_room_is_named(place: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    with through(place) as doorway:

        def blocked(*_: object, **__: object) -> None:
            raise exceptions.ConnectionBlockedTimeout("for too long")

        monkeypatch.setattr(doorway._channel, "basic_publish", blocked)
        with pytest.raises(Busy, match="out of disk or memory"):
            doorway.ask(b"let me in")


def test_what_fails_on_the_way_in_leaves_no_connection(place: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def fail(connection: object, *_: object) -> None:
        opened.append(connection)
        raise exceptions.AMQPConnectionError("no channel today")

    monkeypatch.setattr("pika.BlockingConnection.channel", fail)
    with pytest.raises(BrokerUnreachable, match="no channel today"):
        through(place)
    assert [connection.is_open for connection in opened] == [False]  # type: ignore[attr-defined]
