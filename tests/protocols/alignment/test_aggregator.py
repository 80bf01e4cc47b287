"""The aggregator of an alignment: every state meets every event."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from hansa.protocols.alignment.aggregator import (
    SPEC,
    Collecting,
    Concluding,
    Counting,
    State,
    awaited,
    begin,
    step,
)
from hansa.protocols.alignment.curve import blind
from hansa.protocols.alignment.ids import id_digests
from hansa.protocols.alignment.job import AlignmentClosed, Ended
from hansa.protocols.alignment.messages import Ask, Blinded, Here, Positions, Settled, Tagged
from hansa.protocols.alignment.rehearsal import HUB, rehearse
from hansa.protocols.alignment.tasks import Inspected
from hansa.protocols.errors import LocalProtocolError, PeerError
from hansa.protocols.machine import (
    Abort,
    Awaited,
    CancelTimer,
    Computed,
    Event,
    Finish,
    PeerLeft,
    Received,
    Send,
    SetTimer,
    TimerFired,
)
from tests.protocols.alignment.parts import BLOCKS, ONE_BLOCK, OVER_TWO, PAIR, RING, Transcript, only, play
from tests.protocols.grid import assert_meets


@cache
def run() -> Transcript:
    return play(RING, ONE_BLOCK)


def tagged(owner: str) -> Received:
    return next(
        Received(who, m) for who, _, m in run().messages if isinstance(m, Tagged) and m.owner == owner
    )


def after(state: State, *events: Event) -> State:
    for event in events:
        state = step(state, event).state
    return state


def here(who: str, session: bytes = b"") -> Received:
    return Received(who, Here(session or SESSION))


def settled(who: str, rows: int | None = None, digest: bytes = b"", session: bytes = b"") -> Received:
    return Received(who, Settled(session or SESSION, rows, digest))


COLLECTING: State = begin(rehearse(RING, ONE_BLOCK).briefs[HUB]).state
PAIRED: State = begin(rehearse(PAIR, ONE_BLOCK).briefs[HUB]).state
SESSION, PAIR_SESSION = COLLECTING.seat.session, PAIRED.seat.session
SILENCE = TimerFired("silence")
COUNTED = Computed("count", next(out for who, _, out in run().tasks if who == HUB))
COUNTING = after(COLLECTING, tagged("ann"), tagged("bob"), tagged("cat"))
CONCLUDING = after(COUNTING, COUNTED)
BODY: Any = tagged("ann").message

STATES_HERE: dict[str, State] = {
    "collecting": COLLECTING,
    "one here": after(COLLECTING, tagged("ann")),
    "last": after(COLLECTING, tagged("bob"), tagged("cat")),
    "asking": after(COLLECTING, SILENCE, here("ann")),
    "all there": after(COLLECTING, SILENCE, here("ann"), here("bob"), here("cat")),
    "counting": COUNTING,
    "asked counting": after(COLLECTING, SILENCE, tagged("ann"), tagged("bob"), tagged("cat")),
    "concluding": CONCLUDING,
    "nearly": after(CONCLUDING, settled("ann"), settled("bob")),
    "asked nearly": after(CONCLUDING, SILENCE, settled("ann"), settled("bob")),
    "ended": after(CONCLUDING, settled("ann"), settled("bob"), settled("cat")),
}
EVENTS: dict[str, Event] = {
    "ann's": tagged("ann"),
    "ann's by bob": Received("bob", BODY),
    "eve's": Received("cat", replace(BODY, owner="eve")),
    "of another session": Received("cat", replace(BODY, session=bytes(32))),
    "beyond the end": Received("cat", replace(BODY, block=1)),
    "blinded": Received("ann", Blinded(SESSION, 1, 0, BODY.points)),
    "stranger": Received("eve", BODY),
    "cat is here": here("cat"),
    "ann is here": here("ann"),
    "cat is elsewhere": here("cat", bytes(32)),
    "cat settles": settled("cat"),
    "ann settles": settled("ann"),
    "cat settles elsewhere": settled("cat", session=PAIR_SESSION),
    "cat settles with a count": settled("cat", 3, bytes(32)),
    "cat settles with a digest": settled("cat", None, bytes(32)),
    "counted": COUNTED,
    "uncounted": Computed("count", None, "PeerError: no"),
    "miscounted": Computed("count", Inspected()),
    "other task": Computed("prepare", Inspected()),
    "deadline": TimerFired("deadline"),
    "silence": SILENCE,
    "ann left": PeerLeft("ann", "out of disk"),
    "eve left": PeerLeft("eve", "out of disk"),
}
NOT_ENDED = tuple(name for name in STATES_HERE if name != "ended")
GATHERING = ("collecting", "one here", "last", "asking", "all there")
COUNTED_ON = ("counting", "asked counting")
TASKS = tuple(name for name, event in EVENTS.items() if isinstance(event, Computed))
MESSAGES = tuple(name for name, event in EVENTS.items() if isinstance(event, Received))
OUTCOMES: dict[tuple[str, str], type | None] = {
    **{(state, message): PeerError for state in NOT_ENDED for message in MESSAGES},
    **{(state, task): LocalProtocolError for state in NOT_ENDED for task in TASKS},
    **{(state, "eve left"): LocalProtocolError for state in NOT_ENDED},
    **{(state, "ann left"): Ended for state in NOT_ENDED if "nearly" not in state},
    **{(state, "ann left"): None for state in NOT_ENDED if "nearly" in state},
    **{(state, "ann's"): Collecting for state in ("collecting", "asking", "all there")},
    ("last", "ann's"): Counting,
    **{(state, "deadline"): Ended for state in NOT_ENDED},
    **{(state, "silence"): type(STATES_HERE[state]) for state in NOT_ENDED},
    **{(state, "silence"): Ended for state in ("asking", "asked counting", "asked nearly")},
    **{(state, "cat is here"): type(STATES_HERE[state]) for state in NOT_ENDED if "ask" in state},
    ("asked counting", "ann is here"): Counting,
    ("asked nearly", "ann is here"): Concluding,
    **{(state, "counted"): Concluding for state in COUNTED_ON},
    **{(state, "uncounted"): Ended for state in COUNTED_ON},
    ("concluding", "cat settles"): Concluding,
    ("concluding", "ann settles"): Concluding,
    **{(state, "cat settles"): Ended for state in ("nearly", "asked nearly")},
}


@pytest.mark.parametrize("state_name", STATES_HERE)
@pytest.mark.parametrize("event_name", EVENTS)
def test_every_state_meets_every_event(state_name: str, event_name: str) -> None:
    outcome = OUTCOMES.get((state_name, event_name))
    assert_meets(step, STATES_HERE[state_name], EVENTS[event_name], outcome)


def test_every_state_is_walked() -> None:
    assert {type(each) for each in STATES_HERE.values()} == set(SPEC.states)


def test_the_aggregator_of_two_has_only_to_wait_for_their_last_words() -> None:
    taken = begin(rehearse(PAIR, ONE_BLOCK).briefs[HUB])
    assert isinstance(taken.state, Concluding)
    assert taken.effects == (SetTimer("deadline", 900),)


def test_the_aggregator_of_a_ring_asks_for_signs_of_life() -> None:
    effects = begin(rehearse(RING, ONE_BLOCK).briefs[HUB]).effects
    assert effects == (SetTimer("deadline", 900), SetTimer("silence", 60))
    *asks, timer = step(STATES_HERE["all there"], SILENCE).effects
    assert asks == [Send(party, Ask(SESSION)) for party in ("ann", "bob", "cat")]
    assert timer == SetTimer("silence", 60)
    *asks, _ = step(STATES_HERE["nearly"], SILENCE).effects
    assert asks == [Send("cat", Ask(SESSION))]


def test_positions_go_to_their_owners() -> None:
    effects = step(COUNTING, COUNTED).effects
    sends = only(effects, Send)
    assert [(each.recipient, type(each.message)) for each in sends] == [
        (party, Positions) for party in ("ann", "bob", "cat")
    ]
    assert len(effects) == 3


def test_the_result_says_how_many_and_how_long_the_lists_were() -> None:
    *cancels, finish = step(STATES_HERE["nearly"], settled("cat")).effects
    assert cancels == [CancelTimer("deadline"), CancelTimer("silence")]
    assert finish == Finish(AlignmentClosed({"ann": 21, "bob": 20, "cat": 22}, 2))
    over = play(RING, OVER_TWO).results[HUB]
    assert over == AlignmentClosed({"ann": 21, "bob": 20, "cat": 22}, 4)


def test_a_padded_list_does_not_tell_its_length() -> None:
    closed = play(RING, replace(BLOCKS, pad_to=30)).results[HUB]
    assert closed == AlignmentClosed(dict.fromkeys(RING, 30), 2)


@pytest.mark.parametrize(
    ("state", "event", "reason"),
    [
        ("counting", "uncounted", "the lists can't be counted: PeerError: no"),
        ("asking", "silence", "no sign of life from bob, cat for 60 s"),
        ("asked nearly", "silence", "no sign of life from cat for 60 s"),
        ("counting", "deadline", "the lists were not counted within 900 s"),
        ("one here", "deadline", "the lists of bob, cat were not round within 900 s"),
        ("nearly", "deadline", "no last word from cat within 900 s"),
        ("counting", "ann left", "ann left: out of disk"),
    ],
)
def test_an_abort_says_who_and_why(state: str, event: str, reason: str) -> None:
    assert step(STATES_HERE[state], EVENTS[event]).effects == (Abort(reason),)


@pytest.mark.parametrize(
    ("state", "event", "message"),
    [
        ("one here", "ann's", "cat sent block 0 of ann's list twice"),
        ("counting", "ann's", "cat sent block 0 of ann's list while Counting"),
        ("collecting", "ann's by bob", "bob sent a list of ann, on whose way it is not the last"),
        ("collecting", "eve's", "cat sent a list of eve, on whose way"),
        ("collecting", "of another session", "cat sent Tagged of another session"),
        ("collecting", "stranger", "eve is not a party of this job"),
        ("collecting", "blinded", "ann sent Blinded, which is not for aggregators"),
        ("collecting", "cat is here", "cat answered a question that it was not asked"),
        ("asking", "ann is here", "ann answered a question that it was not asked"),
        ("asking", "cat is elsewhere", "cat sent Here of another session"),
        ("collecting", "cat settles", "cat settled before it could know the result"),
        ("nearly", "ann settles", "ann settled twice"),
        ("concluding", "cat settles with a count", "cat settled with a count, against the job's rule"),
        ("concluding", "cat settles with a digest", "settled on None rows and a digest of 32 bytes"),
        ("concluding", "cat settles elsewhere", "cat sent Settled of another session"),
    ],
)
def test_a_refusal_says_what_was_wrong(state: str, event: str, message: str) -> None:
    with pytest.raises(PeerError, match=message):
        step(STATES_HERE[state], EVENTS[event])


def pair_settles(who: str, rows: int | None, digest: bytes) -> Received:
    return settled(who, rows, digest, PAIR_SESSION)


def test_two_that_found_the_same_are_done() -> None:
    state = after(PAIRED, pair_settles("ann", 2, bytes(32)))
    *_, finish = step(state, pair_settles("bob", 2, bytes(32))).effects
    assert finish == Finish(AlignmentClosed({}, 2))


@pytest.mark.parametrize(("rows", "digest"), [(3, bytes(32)), (2, b"\x01" * 32)])
def test_two_that_found_something_else_are_not(rows: int, digest: bytes) -> None:
    state = after(PAIRED, pair_settles("ann", 2, bytes(32)))
    assert step(state, pair_settles("bob", rows, digest)).effects == (
        Abort("ann and bob found different intersections"),
    )


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (pair_settles("ann", None, b""), "ann settled without a count"),
        (pair_settles("ann", -1, bytes(32)), "settled on -1 rows"),
        (pair_settles("ann", 2, bytes(31)), "a digest of 31 bytes"),
        (here("ann", PAIR_SESSION), "ann answered a question that it was not asked"),
        (Received("ann", replace(BODY, session=PAIR_SESSION)), "on whose way it is not the last"),
        (Received("bob", replace(BODY, session=PAIR_SESSION)), "list while Concluding"),
    ],
)
def test_two_are_held_to_their_own_rule(event: Event, message: str) -> None:
    with pytest.raises(PeerError, match=message):
        step(PAIRED, event)


def test_two_that_never_settle_are_named_at_the_deadline() -> None:
    assert step(PAIRED, TimerFired("deadline")).effects == (Abort("no last word from ann, bob within 900 s"),)


def test_what_is_awaited_is_said_in_words() -> None:
    said = {name: awaited(each) for name, each in STATES_HERE.items()}
    assert said["collecting"] == Awaited("the lists, 0 of 0 blocks announced", ("ann", "bob", "cat"))
    assert said["one here"] == Awaited("the lists, 1 of 1 blocks announced", ("ann", "bob"))
    assert said["counting"] == Awaited("the count")
    assert said["nearly"] == Awaited("the last words", ("cat",))
    assert said["ended"] == Awaited("")


# -- lists that are not what they should be -----------------------------------------------------------------


def tampered(change: Any) -> Transcript:
    def tamper(sender: str, recipient: str, message: Any) -> list[object]:
        if isinstance(message, Tagged) and message.owner == "ann":
            return [replace(message, points=change(message.points))]
        return [message]

    return play(RING, replace(ONE_BLOCK, pad_to=30), tamper)


def test_a_list_without_the_sentinels_is_found_out() -> None:
    def replaced(points: np.ndarray[Any, Any]) -> Any:
        digests = id_digests([str(number) for number in range(len(points))], bytes(32))
        return blind(digests, bytes(32))

    assert "only 0 points are in all lists; everybody adds the same 16" in tampered(replaced).aborts[HUB]


def test_a_point_in_two_blocks_of_a_list_is_found_out_and_the_owner_named() -> None:
    seen: list[Tagged] = []

    def tamper(sender: str, recipient: str, message: Any) -> list[object]:
        if isinstance(message, Tagged) and message.owner == "ann":
            seen.append(message)
            return [replace(message, points=seen[0].points)]
        return [message]

    run = play(RING, replace(BLOCKS, pad_to=4), tamper)
    assert "ann's list holds a point twice" in run.aborts[HUB]
