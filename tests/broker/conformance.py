"""What every transport must do, whatever carries it.

Each check takes a fresh `Exchange` with the agents alice, bob and carol declared, and uses the
`Transport` interface only. A test module parametrises over `CHECKS` with an exchange of its own kind. Checks
wait by deadline, never by a fixed sleep, and allow everything the promise allows: at least once, any order.
"""

import time
from collections.abc import Callable, Iterable
from typing import Protocol

import pytest

from hansa.broker import Busy, Delivery, Disconnected, MessageTooLarge, Outcome, PublishRefused, Transport
from hansa.broker.transport import MAX_BODY_BYTES, MAX_UNCONFIRMED

AGENTS = ("alice", "bob", "carol")
PATIENCE_S = 20.0  # of a check, before it gives up on what must come
QUIET_S = 0.05  # how long to listen before believing that nothing comes


class Exchange(Protocol):
    """One broker with queues for AGENTS, and a way to cut a connection."""

    def connect(self, agent: str) -> Transport:
        """Open an agent's connection, in place of an earlier one."""
        ...

    def cut(self, transport: Transport) -> None:
        """Lose the connection, as when a process is killed."""
        ...

    def dead_letters(self, agent: str) -> list[bytes]:
        """Return the bodies of what an agent rejected."""
        ...


CHECKS: list[Callable[[Exchange], None]] = []


def check(function: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
    """Add a check to the suite."""
    CHECKS.append(function)
    return function


# --- helpers ---------------------------------------------------------------------------------------------


def take(transport: Transport, count: int) -> list[Delivery]:
    """Wait for this many deliveries, unacknowledged."""
    found: list[Delivery] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < count:
        found += transport.deliveries(count - len(found))
        if len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} deliveries came"
            transport.wait(0.2)
    return found


def take_safely(transport: Transport, count: int) -> list[Delivery]:
    """Wait for this many deliveries and acknowledge them as they come, as an agent does."""
    found: list[Delivery] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < count:
        fresh = transport.deliveries(count - len(found))
        transport.acknowledge(delivery.tag for delivery in fresh)
        found += fresh
        if not fresh:
            assert time.monotonic() < deadline, f"{len(found)} of {count} deliveries came"
            transport.wait(0.2)
    return found


def learn(transport: Transport, count: int) -> list[Outcome]:
    """Wait for this many outcomes."""
    found: list[Outcome] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < count:
        found += transport.outcomes()
        if len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} outcomes came"
            transport.wait(0.2)
    return found


def is_quiet(transport: Transport) -> bool:
    """Say that nothing is delivered within QUIET_S."""
    deadline = time.monotonic() + QUIET_S
    while time.monotonic() < deadline:
        transport.wait(QUIET_S)
        if transport.deliveries(10):
            return False
    return True


def bodies(deliveries: Iterable[Delivery]) -> list[bytes]:
    """Return what was delivered."""
    return [delivery.body for delivery in deliveries]


# --- delivery --------------------------------------------------------------------------------------------


@check
def says_whether_messages_flow_until_it_is_closed(exchange: Exchange) -> None:
    alice = exchange.connect("alice")
    deadline = time.monotonic() + PATIENCE_S
    while not alice.online:
        assert time.monotonic() < deadline
        alice.wait(0.05)
    alice.close()
    with pytest.raises(Disconnected):
        _ = alice.online


@check
def every_message_arrives_and_is_confirmed(exchange: Exchange) -> None:
    alice, bob = exchange.connect("alice"), exchange.connect("bob")
    sent = {tag: f"message {tag}".encode() for tag in range(50)}
    for tag, body in sent.items():
        alice.publish("alice.bob.control", body, tag)
    assert sorted(bodies(take_safely(bob, 50))) == sorted(sent.values())
    assert sorted(outcome.tag for outcome in learn(alice, 50)) == sorted(sent)
    assert is_quiet(bob)


@check
def a_delivery_says_what_it_is(exchange: Exchange) -> None:
    alice, bob = exchange.connect("alice"), exchange.connect("bob")
    assert alice.name == "alice"
    alice.publish("alice.bob.data", b"d", 1)
    (delivery,) = take_safely(bob, 1)
    assert (delivery.routing_key, delivery.traffic, delivery.body) == ("alice.bob.data", "data", b"d")
    assert learn(alice, 1) == [Outcome(1, "confirmed")]


@check
def a_message_waits_for_an_agent_that_is_away(exchange: Exchange) -> None:
    alice = exchange.connect("alice")
    alice.publish("alice.bob.control", b"while you were out", 1)
    assert bodies(take_safely(exchange.connect("bob"), 1)) == [b"while you were out"]


@check
def an_agent_may_write_to_itself(exchange: Exchange) -> None:
    alice = exchange.connect("alice")
    alice.publish("alice.alice.control", b"note", 1)
    assert bodies(take_safely(alice, 1)) == [b"note"]
    assert learn(alice, 1) == [Outcome(1, "confirmed")]


@check
def agents_hear_only_what_is_theirs(exchange: Exchange) -> None:
    alice, bob, carol = map(exchange.connect, AGENTS)
    alice.publish("alice.bob.control", b"for bob", 1)
    alice.publish("alice.carol.data", b"for carol", 2)
    assert bodies(take_safely(bob, 1)) == [b"for bob"]
    assert bodies(take_safely(carol, 1)) == [b"for carol"]
    assert is_quiet(bob)
    assert is_quiet(carol)
    assert is_quiet(alice)


@check
def control_comes_before_data_however_much_there_is(exchange: Exchange) -> None:
    alice, bob = exchange.connect("alice"), exchange.connect("bob")
    for tag in range(20):
        alice.publish("alice.bob.data", b"data", tag)
    alice.publish("alice.bob.control", b"abort", 99)
    deadline = time.monotonic() + PATIENCE_S
    seen: list[Delivery] = []
    while b"abort" not in bodies(seen):
        assert time.monotonic() < deadline
        fresh = bob.deliveries(1)
        seen += fresh
        bob.acknowledge(delivery.tag for delivery in fresh)
        if not fresh:
            bob.wait(0.2)
    # A broker may have handed over some data before it routed the abort, but never made it queue.
    assert len(seen) <= 20
    take_safely(bob, 21 - len(seen))


@check
def a_large_body_arrives_whole(exchange: Exchange) -> None:
    alice, bob = exchange.connect("alice"), exchange.connect("bob")
    body = bytes(range(256)) * (15 * 2**20 // 256)
    alice.publish("alice.bob.data", body, 1)
    (delivery,) = take_safely(bob, 1)
    assert delivery.body == body
    assert learn(alice, 1) == [Outcome(1, "confirmed")]


@check
def a_body_beyond_the_limit_is_not_published(exchange: Exchange) -> None:
    alice, bob = exchange.connect("alice"), exchange.connect("bob")
    with pytest.raises(MessageTooLarge):
        alice.publish("alice.bob.data", bytes(MAX_BODY_BYTES + 1), 1)
    assert is_quiet(bob)
    assert alice.room() == MAX_UNCONFIRMED


# --- loss and recovery -----------------------------------------------------------------------------------


@check
def what_was_not_acknowledged_comes_again(exchange: Exchange) -> None:
    alice, bob = exchange.connect("alice"), exchange.connect("bob")
    for tag in range(4):
        alice.publish("alice.bob.control", b"%d" % tag, tag)
    first = take(bob, 4)
    assert not any(delivery.redelivered for delivery in first)
    bob.acknowledge([delivery.tag for delivery in first if delivery.body == b"2"])
    learn(alice, 1)
    exchange.cut(bob)
    again = take_safely(exchange.connect("bob"), 3)
    assert sorted(bodies(again)) == [b"0", b"1", b"3"]
    assert all(delivery.redelivered for delivery in again)


@check
def a_message_comes_again_until_it_is_acknowledged(exchange: Exchange) -> None:
    exchange.connect("alice").publish("alice.bob.control", b"persistent", 1)
    for life in range(3):
        bob = exchange.connect("bob")
        (delivery,) = take(bob, 1)
        assert delivery.redelivered == (life > 0)
        exchange.cut(bob)
    bob = exchange.connect("bob")
    assert bodies(take_safely(bob, 1)) == [b"persistent"]
    assert is_quiet(bob)


@check
def closing_returns_what_was_not_acknowledged(exchange: Exchange) -> None:
    exchange.connect("alice").publish("alice.bob.control", b"later", 1)
    bob = exchange.connect("bob")
    take(bob, 1)
    bob.close()
    bob.close()
    assert bodies(take_safely(exchange.connect("bob"), 1)) == [b"later"]


@check
def a_newer_connection_takes_over(exchange: Exchange) -> None:
    alice, older = exchange.connect("alice"), exchange.connect("bob")
    alice.publish("alice.bob.control", b"one", 1)
    take(older, 1)
    newer = exchange.connect("bob")
    assert bodies(take_safely(newer, 1)) == [b"one"]
    with pytest.raises(Disconnected):
        older.deliveries(1)
    alice.publish("alice.bob.control", b"two", 2)
    assert bodies(take_safely(newer, 1)) == [b"two"]


@check
def a_closed_connection_says_so(exchange: Exchange) -> None:
    alice = exchange.connect("alice")
    alice.close()
    attempts: list[Callable[[], object]] = [
        lambda: alice.publish("alice.bob.control", b"", 1),
        alice.room,
        lambda: alice.deliveries(1),
        lambda: alice.acknowledge([1]),
        lambda: alice.reject([1]),
        alice.outcomes,
        lambda: alice.wait(0),
        lambda: alice.subscribe("#"),
    ]
    for attempt in attempts:
        with pytest.raises(Disconnected):
            attempt()
    alice.wake()
    alice.close()


@check
def a_publisher_may_go_before_its_message_is_confirmed(exchange: Exchange) -> None:
    alice, bob = exchange.connect("alice"), exchange.connect("bob")
    alice.publish("alice.bob.control", b"last words", 1)
    assert bodies(take(bob, 1)) == [b"last words"]
    exchange.cut(alice)
    exchange.cut(bob)
    assert bodies(take_safely(exchange.connect("bob"), 1)) == [b"last words"]
    assert all(outcome.tag == 1 for outcome in exchange.connect("alice").outcomes())


@check
def an_unknown_tag_is_ignored(exchange: Exchange) -> None:
    alice, bob = exchange.connect("alice"), exchange.connect("bob")
    bob.acknowledge([12_345])
    bob.reject([12_345])
    alice.publish("alice.bob.control", b"still here", 1)
    (delivery,) = take(bob, 1)
    bob.acknowledge([delivery.tag, delivery.tag])
    assert learn(alice, 1) == [Outcome(1, "confirmed")]


@check
def a_rejected_message_is_set_aside_and_never_comes_again(exchange: Exchange) -> None:
    alice, bob = exchange.connect("alice"), exchange.connect("bob")
    alice.publish("alice.bob.control", b"poison", 1)
    bob.reject([take(bob, 1)[0].tag])
    assert learn(alice, 1) == [Outcome(1, "confirmed")]
    deadline = time.monotonic() + PATIENCE_S
    while exchange.dead_letters("bob") != [b"poison"]:
        assert time.monotonic() < deadline
        bob.wait(0.05)
    exchange.cut(bob)
    assert is_quiet(exchange.connect("bob"))
    assert exchange.dead_letters("alice") == []


@check
def a_request_to_join_arrives_by_itself_and_leaves_no_dead_letter(exchange: Exchange) -> None:
    alice, bob = exchange.connect("alice"), exchange.connect("bob")
    alice.publish("alice.bob.join", b"let me in", 1)
    (delivery,) = take(bob, 1)
    assert (delivery.traffic, delivery.body, delivery.redelivered) == ("join", b"let me in", False)
    exchange.cut(bob)
    bob = exchange.connect("bob")
    (again,) = take(bob, 1)
    assert (again.traffic, again.body, again.redelivered) == ("join", b"let me in", True)
    bob.reject([again.tag])
    assert learn(alice, 1) == [Outcome(1, "confirmed")]
    alice.publish("alice.bob.control", b"after it", 2)
    assert bodies(take_safely(bob, 1)) == [b"after it"]
    exchange.cut(bob)
    assert is_quiet(exchange.connect("bob"))
    assert exchange.dead_letters("bob") == []


# --- publishing ------------------------------------------------------------------------------------------


@check
def a_message_to_nobody_comes_back_as_unroutable(exchange: Exchange) -> None:
    alice, bob = exchange.connect("alice"), exchange.connect("bob")
    alice.publish("alice.dave.control", b"hello?", 1)
    assert learn(alice, 1) == [Outcome(1, "unroutable")]
    alice.publish("alice.bob.control", b"hello", 2)
    take_safely(bob, 1)
    assert learn(alice, 1) == [Outcome(2, "confirmed")]


@check
def nobody_publishes_in_anothers_name(exchange: Exchange) -> None:
    alice, carol = exchange.connect("alice"), exchange.connect("carol")
    for key in ("bob.carol.control", "bob.all.event", "alicex.carol.data"):
        with pytest.raises(PublishRefused):
            alice.publish(key, b"forged", 1)
    assert is_quiet(carol)
    assert alice.room() == MAX_UNCONFIRMED


@check
def what_is_no_routing_key_is_not_published(exchange: Exchange) -> None:
    alice = exchange.connect("alice")
    for key in (
        "",
        "alice",
        "alice.bob",
        "alice.*.control",
        "alice.bob.mail",
        "alice.bob.event",
        "alice.all.data",
    ):
        with pytest.raises(PublishRefused):
            alice.publish(key, b"", 1)


@check
def no_more_than_the_window_is_unconfirmed(exchange: Exchange) -> None:
    alice, bob = exchange.connect("alice"), exchange.connect("bob")
    tag = 0
    try:
        while tag < 4 * MAX_UNCONFIRMED:
            assert 0 <= alice.room() <= MAX_UNCONFIRMED
            alice.publish("alice.bob.data", b"x", tag)
            tag += 1
    except Busy:
        assert tag >= MAX_UNCONFIRMED
    take_safely(bob, tag)
    assert sorted(outcome.tag for outcome in learn(alice, tag)) == list(range(tag))
    assert alice.room() == MAX_UNCONFIRMED


# --- events ----------------------------------------------------------------------------------------------


@check
def events_reach_every_subscriber_whose_pattern_matches(exchange: Exchange) -> None:
    alice, bob, carol = map(exchange.connect, AGENTS)
    bob.subscribe("#")
    carol.subscribe("bob.*.event")
    alice.publish("alice.all.event", b"joined", 1)
    (delivery,) = take_safely(bob, 1)
    assert (delivery.body, delivery.traffic, delivery.routing_key) == (b"joined", "event", "alice.all.event")
    assert is_quiet(carol)
    assert is_quiet(alice)


@check
def a_hash_stands_for_no_word_too(exchange: Exchange) -> None:
    alice, bob = exchange.connect("alice"), exchange.connect("bob")
    patterns = ("alice.all.event.#", "#.alice.all.event", "alice.#.all.event", "alice.all.#.#.event")
    for pattern in patterns:
        bob = exchange.connect("bob")
        bob.subscribe(pattern)
        alice.publish("alice.all.event", pattern.encode(), 1)
        assert bodies(take_safely(bob, 1)) == [pattern.encode()]
    bob.close()


@check
def a_star_stands_for_exactly_one_word(exchange: Exchange) -> None:
    alice, bob, carol = map(exchange.connect, AGENTS)
    for pattern in ("*", "alice.*", "alice.*.*.event", "*.alice.all.event"):
        bob.subscribe(pattern)
    carol.subscribe("#")
    alice.publish("alice.all.event", b"unheard", 1)
    take_safely(carol, 1)  # so it has been sent round
    assert is_quiet(bob)
    bob.subscribe("*.*.*")
    alice.publish("alice.all.event", b"heard", 2)
    assert bodies(take_safely(bob, 1)) == [b"heard"]


@check
def an_event_comes_once_however_many_patterns_match(exchange: Exchange) -> None:
    alice, bob = exchange.connect("alice"), exchange.connect("bob")
    bob.subscribe("#")
    bob.subscribe("alice.#")
    alice.publish("alice.all.event", b"once", 1)
    assert bodies(take_safely(bob, 1)) == [b"once"]
    assert is_quiet(bob)


@check
def subscribers_never_hear_what_is_not_an_event(exchange: Exchange) -> None:
    alice, bob, carol = map(exchange.connect, AGENTS)
    carol.subscribe("#")
    alice.publish("alice.bob.control", b"private", 1)
    assert bodies(take_safely(bob, 1)) == [b"private"]
    assert is_quiet(carol)


@check
def an_event_that_nobody_hears_is_confirmed_all_the_same(exchange: Exchange) -> None:
    alice = exchange.connect("alice")
    alice.publish("alice.all.event", b"echo", 7)
    assert learn(alice, 1) == [Outcome(7, "confirmed")]


@check
def events_are_gone_for_whoever_was_away(exchange: Exchange) -> None:
    alice, bob, carol = map(exchange.connect, AGENTS)
    bob.subscribe("#")
    alice.publish("alice.all.event", b"missed", 1)
    take(bob, 1)
    exchange.cut(bob)
    carol.subscribe("#")
    alice.publish("alice.all.event", b"missed too", 2)
    take_safely(carol, 1)
    bob = exchange.connect("bob")
    assert is_quiet(bob)
    bob.subscribe("#")
    assert is_quiet(bob)


@check
def events_do_not_wait_for_room(exchange: Exchange) -> None:
    alice, bob = exchange.connect("alice"), exchange.connect("bob")
    sent = 0
    try:
        while sent < 4 * MAX_UNCONFIRMED:
            alice.publish("alice.bob.data", b"x", sent)
            sent += 1
    except Busy:
        pass
    alice.publish("alice.all.event", b"still speaking", 9_999)
    take_safely(bob, sent)


@check
def a_pattern_that_is_none_is_refused(exchange: Exchange) -> None:
    bob = exchange.connect("bob")
    for pattern in ("", "a..b", "a*"):
        with pytest.raises(ValueError, match=r"empty word|whole words"):
            bob.subscribe(pattern)


# --- waiting ---------------------------------------------------------------------------------------------


@check
def waiting_ends_with_what_there_is_or_with_the_time(exchange: Exchange) -> None:
    alice, bob = exchange.connect("alice"), exchange.connect("bob")
    began = time.monotonic()
    assert bob.wait(0.02) is False
    assert time.monotonic() - began >= 0.019
    alice.publish("alice.bob.control", b"wake up", 1)
    assert bob.wait(PATIENCE_S) is True
    take_safely(bob, 1)
    assert alice.wait(PATIENCE_S) is True
    learn(alice, 1)


@check
def a_wake_ends_the_next_wait_and_only_that(exchange: Exchange) -> None:
    alice = exchange.connect("alice")
    alice.wake()
    assert alice.wait(PATIENCE_S) is True
    assert alice.wait(0.01) is False
