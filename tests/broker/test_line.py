"""A line comes back soon from a short outage, rarely knocks during a long one, and reads whole frames."""

import time
from collections.abc import Callable, Iterable
from statistics import mean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika.adapters.utils import io_services_utils

from hansa.broker import line
from hansa.broker.address import BrokerAddress
from hansa.broker.errors import TransportError
from hansa.broker.line import FIRST_PAUSE_S, MAX_PAUSE_S, SHORT_PAUSE_S, YOUNG_S, Line, longest_pause
from tests.broker.conformance import bodies, take_safely
from tests.broker.town import Town

REFUSED = ConnectionRefusedError(111, "Connection refused")


class Loop:
    """Instead of pika's: notes how late it is asked to call back, and never does."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def call_later(self, seconds: float, _callback: Callable[[], None]) -> None:
        self.pauses.append(seconds)


class User:
    """Whoever has a line that never works."""

    def opened(self, connection: object) -> None: ...
    def blocked(self, reason: str | None) -> None: ...
    def lost(self, error: TransportError) -> None: ...


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterable[float]], list[float]]:
    """Return what fails a line at these moments, and tells the pauses it then made."""

    def pauses(moments: Iterable[float]) -> list[float]:
        loop: Any = Loop()
        knocking = Line(loop, BrokerAddress.from_url("amqp://a:b@127.0.0.1/f"), "bob", "in", User())
        for moment in moments:
            monkeypatch.setattr("time.monotonic", lambda moment=moment: moment)
            knocking._ended(None, REFUSED)
        return list(loop.pauses)

    return pauses


@given(attempts=st.integers(0, 10_000), away_s=st.floats(0, 1e9))
def test_a_pause_has_an_end_that_depends_on_how_long_the_outage_is(attempts: int, away_s: float) -> None:
    most = longest_pause(attempts, away_s)
    assert FIRST_PAUSE_S <= most <= (SHORT_PAUSE_S if away_s <= YOUNG_S else MAX_PAUSE_S)
    assert most <= longest_pause(attempts + 1, away_s)


def test_in_its_first_minute_an_outage_is_left_within_two_seconds_and_later_within_ten(
    away: Callable[[Iterable[float]], list[float]],
) -> None:
    young = away(range(60))
    assert max(young) <= SHORT_PAUSE_S
    assert max(young[:1]) <= FIRST_PAUSE_S
    old = away(range(600))[60:]
    assert SHORT_PAUSE_S < max(old) <= MAX_PAUSE_S


def test_agents_that_lost_the_broker_together_do_not_return_together(
    away: Callable[[Iterable[float]], list[float]],
) -> None:
    fifth = sorted(away(range(5))[-1] for _ in range(1_000))
    assert mean(fifth) == pytest.approx(SHORT_PAUSE_S / 2, rel=0.1)
    for tenth in range(10):  # of the time; full jitter spreads them evenly
        begins, ends = (SHORT_PAUSE_S * number / 10 for number in (tenth, tenth + 1))
        assert 50 <= sum(begins <= pause < ends for pause in fifth) <= 150


def test_a_line_that_did_its_work_begins_with_short_pauses_again(monkeypatch: pytest.MonkeyPatch) -> None:
    loop: Any = Loop()
    knocking = Line(loop, BrokerAddress.from_url("amqp://a:b@127.0.0.1/f"), "bob", "in", User())
    longest: list[tuple[int, float]] = []

    def note(attempts: int, away_s: float) -> float:
        longest.append((attempts, away_s))
        return 0.0

    monkeypatch.setattr(line, "longest_pause", note)
    start = time.monotonic()
    for moment, steady in ((0, False), (100, False), (200, True), (300, False)):
        monkeypatch.setattr("time.monotonic", lambda moment=moment: start + moment)
        knocking._ended(None, REFUSED)
        if steady:
            knocking.steady()
    assert longest == [(0, 0.0), (1, pytest.approx(100)), (2, pytest.approx(200)), (0, 0.0)]


def test_a_whole_frame_is_read_from_the_socket_at_once(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    receive = io_services_utils._AsyncTransportBase._sigint_safe_recv

    def spy(sock: Any, most: int) -> bytes:
        data: bytes = receive(sock, most)
        read.append(len(data))
        return data

    monkeypatch.setattr(io_services_utils._AsyncTransportBase, "_sigint_safe_recv", staticmethod(spy))
    alice, bob = town.connect("alice"), town.connect("bob")
    for tag in range(8):
        alice.publish("alice.bob.data", bytes(2**20), tag)
    assert bodies(take_safely(bob, 8)) == [bytes(2**20)] * 8
    assert max(read) > 65_536  # pika's own reads are of 4,096 bytes
