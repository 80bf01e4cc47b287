"""Messages that overtake the entry by which their sender is known."""

from collections.abc import Callable

import pytest

from hansa.agents.core import doubts
from hansa.agents.core.doubts import WAIT_S, Doubts
from hansa.broker import BadSignature, Expired, SuspendedSender, UnknownSender
from hansa.broker.transport import Delivery


class Copy:
    """A copy of the ledger, as far as its size goes."""

    size = 7


@pytest.fixture
def copy() -> Copy:
    return Copy()


@pytest.fixture
def waiting(copy: Copy) -> Doubts:
    return Doubts(lambda: copy.size)


@pytest.fixture
def delivery() -> Callable[..., Delivery]:
    def deliver(tag: int = 0, size: int = 10, sender: str = "west") -> Delivery:
        return Delivery(tag, f"{sender}.north.control", bytes(size), "control", False)

    return deliver


Make = Callable[..., Delivery]


def test_what_an_entry_may_explain_waits_and_nothing_else(waiting: Doubts, delivery: Make) -> None:
    assert waiting.keep(UnknownSender("who"), delivery(), 0.0)
    assert waiting.keep(BadSignature("whose"), delivery(), 0.0)
    assert not waiting.keep(SuspendedSender("you"), delivery(), 0.0)
    assert not waiting.keep(Expired("late"), delivery(), 0.0)


def test_it_is_looked_at_again_when_the_ledger_has_grown(waiting: Doubts, copy: Copy, delivery: Make) -> None:
    waiting.keep(UnknownSender("who"), delivery(1), 100.0)
    assert waiting.take(101.0) == []
    assert waiting.next_due() == 100.0 + WAIT_S
    copy.size += 1
    [(again, until)] = waiting.take(102.0)
    assert (again.tag, until) == (1, 100.0 + WAIT_S)
    assert waiting.next_due() is None


def test_its_wait_ends_once_whatever_the_ledger_does(waiting: Doubts, copy: Copy, delivery: Make) -> None:
    waiting.keep(UnknownSender("who"), delivery(), 100.0)
    copy.size += 1
    [(again, until)] = waiting.take(110.0)
    assert waiting.keep(UnknownSender("still"), again, 110.0, until)
    [(again, until)] = waiting.take(100.0 + WAIT_S)
    assert not waiting.keep(UnknownSender("still"), again, 100.0 + WAIT_S, until)
    assert waiting.take(1_000.0) == []


def test_a_flood_of_strangers_is_refused_at_once(waiting: Doubts, delivery: Make) -> None:
    kept = [waiting.keep(UnknownSender("who"), delivery(tag), 0.0) for tag in range(doubts.MOST + 2)]
    assert kept == [True] * doubts.MOST + [False] * 2


def test_large_strangers_are_refused_when_they_take_too_much_room(waiting: Doubts, delivery: Make) -> None:
    assert waiting.keep(UnknownSender("who"), delivery(size=doubts.MOST_BYTES), 0.0)
    assert not waiting.keep(UnknownSender("who"), delivery(size=1), 0.0)


def test_a_flood_takes_nobody_elses_place(waiting: Doubts, delivery: Make) -> None:
    for tag in range(doubts.MOST + 1):
        waiting.keep(UnknownSender("who"), delivery(tag), 0.0)
    assert waiting.keep(UnknownSender("who"), delivery(sender="east", size=doubts.MOST_BYTES), 0.0)
    assert not waiting.keep(UnknownSender("who"), delivery(sender="east"), 0.0)
