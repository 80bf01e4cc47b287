"""A party in the ring: every state meets every event."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from hansa.protocols.alignment.job import AlignedRows, Ended, Served, SharedRows
from hansa.protocols.alignment.messages import Ask, Blinded, Here, Passed, Positions, Settled, Tagged
from hansa.protocols.alignment.party import SPEC
from hansa.protocols.alignment.rehearsal import HUB, rehearse
from hansa.protocols.alignment.ring import (
    STATES,
    Circulating,
    Preparing,
    Settling,
    State,
    awaited,
    begin,
    step,
)
from hansa.protocols.alignment.tasks import Inspected
from hansa.protocols.errors import LocalProtocolError, PeerError
from hansa.protocols.machine import (
    Abort,
    Awaited,
    Compute,
    Computed,
    Event,
    PeerLeft,
    Received,
    Send,
    SetTimer,
    TimerFired,
)
from tests.protocols.alignment.parts import (
    AT_TWO,
    BLOCKS,
    COMMON,
    ONE_BLOCK,
    OVER_TWO,
    RING,
    Settings,
    Transcript,
    names,
    only,
    play,
)
from tests.protocols.grid import assert_meets

# Bob is looked at: ann passes on her list and cat's, bob sends hers to cat and is the last for cat's.


@cache
def run(receiver: str = "") -> Transcript:
    return play(RING, replace(ONE_BLOCK, receiver=receiver))


def passed(owner: str) -> Passed:
    return next(m for m in run().told("bob") if isinstance(m, Passed) and m.owner == owner)


def result(task_id: str) -> Any:
    return next(out for who, task, out in run().tasks if (who, task.task_id) == ("bob", task_id))


def positions() -> Positions:
    return next(m for m in run().told("bob") if isinstance(m, Positions))


def first(kind: type) -> Any:
    return next(each for each in run().states["bob"] if type(each) is kind)


def after(state: State, *events: Event) -> State:
    for event in events:
        state = step(state, event).state
    return state


ANNS, CATS = Received("ann", passed("ann")), Received("ann", passed("cat"))
ANNS_RAISED = Computed("raise/ann/0", result("raise/ann/0"))
CATS_RAISED = Computed("raise/cat/0", result("raise/cat/0"))
OURS = Computed("blind/0", result("blind/0"))
SILENCE = TimerFired("silence")

STATES_HERE: dict[str, State] = {
    "preparing": first(Preparing),
    "ahead": after(first(Preparing), ANNS),
    "circulating": first(Circulating),
    "quiet": after(first(Circulating), OURS, SILENCE),
    "unasked": after(first(Circulating), OURS, SILENCE, SILENCE),
    "through": after(first(Circulating), OURS, ANNS, CATS, ANNS_RAISED, CATS_RAISED),
    "settling": first(Settling),
    "ended": first(Ended),
}
OTHER = bytes(32)
EVENTS: dict[str, Event] = {
    "ann's": ANNS,
    "cat's": CATS,
    "bob's own": Received("ann", replace(passed("ann"), owner="bob")),
    "eve's": Received("ann", replace(passed("ann"), owner="eve")),
    "from cat": Received("cat", passed("ann")),
    "of another session": Received("ann", replace(passed("ann"), session=OTHER)),
    "beyond the end": Received("ann", replace(passed("ann"), block=1)),
    "blinded": Received("ann", Blinded(passed("ann").session, 21, 0, passed("ann").points)),
    "positions": Received(HUB, positions()),
    "positions from ann": Received("ann", positions()),
    "positions of another session": Received(HUB, replace(positions(), session=OTHER)),
    "asked": Received(HUB, Ask(passed("ann").session)),
    "asked by ann": Received("ann", Ask(passed("ann").session)),
    "asked elsewhere": Received(HUB, Ask(OTHER)),
    "prepared": Computed("prepare", result("prepare")),
    "unprepared": Computed("prepare", None, "IdError: no"),
    "misprepared": Computed("prepare", Inspected()),
    "ours": OURS,
    "not ours": Computed("blind/0", None, "MemoryError: no"),
    "ann's raised": ANNS_RAISED,
    "ann's not raised": Computed("raise/ann/0", None, "PeerError: small"),
    "cat's raised": CATS_RAISED,
    "settled": Computed("settle", result("settle")),
    "unsettled": Computed("settle", None, "PeerError: no"),
    "mis-settled": Computed("settle", Inspected()),
    "silence": SILENCE,
    "ann left": PeerLeft("ann", "out of disk"),
    "hub left": PeerLeft(HUB, "out of disk"),
    "eve left": PeerLeft("eve", "out of disk"),
}
NOT_ENDED = tuple(name for name in STATES_HERE if name != "ended")
OPEN = ("preparing", "ahead", "circulating", "quiet", "unasked", "through")
TASKS = tuple(name for name, event in EVENTS.items() if isinstance(event, Computed))
MESSAGES = tuple(name for name, event in EVENTS.items() if isinstance(event, Received))
OUTCOMES: dict[tuple[str, str], type | None] = {
    **{(state, message): PeerError for state in NOT_ENDED for message in MESSAGES},
    **{(state, task): LocalProtocolError for state in NOT_ENDED for task in TASKS},
    **{(state, event): Ended for state in NOT_ENDED for event in ("ann left", "hub left")},
    **{
        (state, event): Preparing
        for state in ("preparing", "ahead")
        for event in ("cat's", "silence", "asked")
    },
    ("preparing", "ann's"): Preparing,
    **{(state, "prepared"): Circulating for state in ("preparing", "ahead")},
    **{(state, "unprepared"): Ended for state in ("preparing", "ahead")},
    ("ahead", "ann's raised"): Preparing,
    ("ahead", "ann's not raised"): Ended,
    ("circulating", "ours"): Circulating,
    ("circulating", "not ours"): Ended,
    **{
        (state, event): Circulating
        for state in ("circulating", "quiet", "unasked")
        for event in ("ann's", "cat's", "silence", "asked")
    },
    ("unasked", "silence"): Ended,
    ("through", "silence"): Circulating,
    ("through", "asked"): Circulating,
    ("settling", "asked"): None,
    ("through", "positions"): Settling,
    ("settling", "settled"): Ended,
    ("settling", "unsettled"): Ended,
}


@pytest.mark.parametrize("state_name", STATES_HERE)
@pytest.mark.parametrize("event_name", EVENTS)
def test_every_state_meets_every_event(state_name: str, event_name: str) -> None:
    before, outcome = STATES_HERE[state_name], OUTCOMES.get((state_name, event_name))
    answered = (state_name, event_name) == ("settling", "asked")
    unmoved = (Send(HUB, Here(before.seat.session)),) if answered else ()
    assert_meets(step, before, EVENTS[event_name], outcome, unmoved)


def test_every_state_is_walked() -> None:
    assert {type(each) for each in STATES_HERE.values()} == set(STATES)


def test_the_role_goes_the_same_way() -> None:
    assert type(SPEC.begin(rehearse(RING, ONE_BLOCK).briefs["bob"]).state) is Preparing
    for name, before in STATES_HERE.items():
        assert SPEC.awaited(before) == awaited(before), name
        assert SPEC.step(before, PeerLeft("eve", "no")).state is before, name


def test_a_party_begins_with_its_list_and_a_timer() -> None:
    taken = begin(rehearse(RING, ONE_BLOCK).briefs["bob"])
    assert [each.function for each in only(taken.effects, Compute)] == ["prepare"]
    assert only(taken.effects, SetTimer) == [SetTimer("silence", 60)]


@pytest.mark.parametrize(
    ("state", "event", "reason"),
    [
        ("preparing", "unprepared", "our ids can't be aligned: IdError: no"),
        ("circulating", "not ours", "block 0 of our list can't be blinded: MemoryError: no"),
        ("ahead", "ann's not raised", "block 0 of ann's list: PeerError: small"),
        ("settling", "unsettled", "the aggregator's answer is no use: PeerError: no"),
        ("unasked", "silence", "hub was silent for 180 s"),
        ("settling", "ann left", "ann left: out of disk"),
    ],
)
def test_an_abort_says_who_and_why(state: str, event: str, reason: str) -> None:
    assert step(STATES_HERE[state], EVENTS[event]).effects == (Abort(reason),)


@pytest.mark.parametrize(
    ("state", "event", "message"),
    [
        ("ahead", "ann's", "ann sent block 0 of ann's list twice"),
        ("quiet", "from cat", "cat passed on a list; ours come from ann"),
        ("quiet", "bob's own", "a list of bob, which does not come this way"),
        ("quiet", "eve's", "a list of eve, which does not come this way"),
        ("quiet", "of another session", "ann sent Passed of another session"),
        ("settling", "ann's", "block 0 of ann's list when we had all of them"),
        ("through", "positions from ann", "ann is not the aggregator hub"),
        ("through", "positions of another session", "hub sent Positions of another session"),
        ("quiet", "asked by ann", "ann is not the aggregator hub"),
        ("quiet", "asked elsewhere", "hub sent Ask of another session"),
        ("quiet", "positions", "positions while Circulating, and not all was passed on"),
        ("preparing", "positions", "positions while Preparing"),
        ("quiet", "blinded", "ann sent Blinded, which is not for a party in a ring"),
    ],
)
def test_a_refusal_says_what_was_wrong(state: str, event: str, message: str) -> None:
    with pytest.raises(PeerError, match=message):
        step(STATES_HERE[state], EVENTS[event])


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (STATES_HERE["preparing"], EVENTS["misprepared"]),
        (STATES_HERE["settling"], EVENTS["mis-settled"]),
        (STATES_HERE["ahead"], Computed("raise/ann/0", Inspected())),
        (STATES_HERE["circulating"], Computed("blind/0", Inspected())),
    ],
)
def test_a_result_of_another_type_is_our_own_mistake(state: State, event: Event) -> None:
    with pytest.raises(LocalProtocolError, match="gave Inspected"):
        step(state, event)


def test_a_list_goes_on_to_the_neighbour_or_as_the_last_to_the_aggregator() -> None:
    here = after(first(Circulating), ANNS, CATS)
    [anns] = only(step(here, ANNS_RAISED).effects, Send)
    [cats] = only(step(here, CATS_RAISED).effects, Send)
    assert (anns.recipient, type(anns.message)) == ("cat", Passed)
    assert (cats.recipient, type(cats.message)) == (HUB, Tagged)


def test_a_question_is_answered_and_patience_begins_anew() -> None:
    unasked = STATES_HERE["unasked"]
    asked = step(unasked, EVENTS["asked"])
    assert asked.effects == (Send(HUB, Here(unasked.seat.session)),)
    assert step(asked.state, SILENCE).effects == (SetTimer("silence", 60),)


def test_what_is_awaited_is_said_in_words() -> None:
    said = {name: awaited(each) for name, each in STATES_HERE.items()}
    assert said["preparing"] == Awaited("our list of points")
    assert said["circulating"] == Awaited("X25519 over our blocks and theirs")
    assert said["quiet"] == Awaited("the rest of the lists", ("ann",))
    assert said["through"] == Awaited("the aggregator's count", (HUB,))
    assert said["settling"] == Awaited("our rows of the result")
    assert said["ended"] == Awaited("")


def test_all_learn_the_intersection_in_one_order() -> None:
    seen = play(RING, BLOCKS)
    found = [names(RING, seen, party) for party in RING]
    assert found[0] == found[1] == found[2]
    assert set(found[0]) == COMMON
    assert all(isinstance(seen.results[party], AlignedRows) for party in RING)


def test_over_a_threshold_each_learns_of_its_own_only_and_in_its_own_order() -> None:
    seen = play(RING, OVER_TWO)
    for party in RING:
        assert isinstance(seen.results[party], SharedRows)
        assert set(names(RING, seen, party)) == AT_TWO[party]
        assert (np.diff(seen.results[party].rows) > 0).all()


def test_who_is_not_to_learn_ends_once_all_is_passed_on() -> None:
    seen = run("cat")
    assert seen.results["ann"] == seen.results["bob"] == Served()
    assert set(names(RING, seen, "cat")) == COMMON
    assert not [m for m in (*seen.told("ann"), *seen.told("bob")) if isinstance(m, Positions)]
    assert {m.rows for m in seen.told(HUB) if isinstance(m, Settled)} == {None}
    circulating = next(each for each in seen.states["bob"] if type(each) is Circulating)
    with pytest.raises(PeerError, match="positions, which we are not to learn"):
        step(circulating, Received(HUB, Positions(circulating.seat.session, positions().positions)))


@pytest.mark.parametrize("settings", [BLOCKS, OVER_TWO])
@pytest.mark.parametrize("kind", [Passed, Tagged])
def test_a_list_that_lost_its_order_on_the_way_is_found_out_by_its_owner(
    kind: type[Passed] | type[Tagged], settings: Settings
) -> None:
    def tamper(sender: str, recipient: str, message: Any) -> list[object]:
        if isinstance(message, kind) and message.owner == "ann" and sender != "ann":
            return [replace(message, points=np.ascontiguousarray(message.points[::-1]))]
        return [message]

    seen = play(RING, settings, tamper)
    assert "the sentinels are not where we put them" in seen.aborts["ann"]


def test_a_list_that_was_sent_to_a_party_twice_is_refused() -> None:
    def tamper(sender: str, recipient: str, message: Any) -> list[object]:
        return [message, message] if isinstance(message, Passed) else [message]

    seen = play(RING, ONE_BLOCK, tamper)
    assert len(seen.refused) == 6
    assert all("twice" in str(error) for _, error in seen.refused)
    assert set(names(RING, seen, "ann")) == COMMON
