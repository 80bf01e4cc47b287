"""The party of an alignment of two: every state meets every event."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from hansa.protocols.alignment.curve import raised
from hansa.protocols.alignment.job import AlignedRows, AlignmentSettings, Ended, Served
from hansa.protocols.alignment.messages import Blinded, Raised, Settled, Tagged
from hansa.protocols.alignment.pair import STATES, Exchanging, Matching, Readying, State, awaited, begin, step
from hansa.protocols.alignment.party import SPEC
from hansa.protocols.alignment.rehearsal import HUB, rehearse
from hansa.protocols.alignment.secret import private_key
from hansa.protocols.alignment.tasks import Inspected, Points
from hansa.protocols.errors import LocalProtocolError, PeerError
from hansa.protocols.machine import (
    Abort,
    Awaited,
    Compute,
    Computed,
    Event,
    Finish,
    PeerLeft,
    Received,
    Send,
    SetTimer,
    TimerFired,
)
from hansa.protocols.model import Array
from tests.protocols.alignment.parts import ANN, BOB, ONE_BLOCK, PAIR, Transcript, only, play
from tests.protocols.grid import assert_meets


@cache
def run(receiver: str = "") -> Transcript:
    """A whole run of one block each way: where the states and events below come from."""
    return play(PAIR, replace(ONE_BLOCK, receiver=receiver))


def state(kind: type, which: int = 0, receiver: str = "") -> Any:
    return [each for each in run(receiver).states["ann"] if type(each) is kind][which]


def message(kind: type, sender: str = "bob", receiver: str = "") -> Any:
    return next(m for who, _, m in run(receiver).messages if who == sender and type(m) is kind)


def result(function: str, party: str = "ann", receiver: str = "") -> Any:
    return next(out for who, task, out in run(receiver).tasks if (who, task.function) == (party, function))


def ahead() -> State:
    """Ann is still making her list when bob's first block is here."""
    return step(state(Readying), Received("bob", message(Blinded))).state


def quiet() -> State:
    """All that is ours is sent, nothing has come, and the timer has run out once."""
    sent = step(state(Exchanging), Computed("blind/0", result("blind"))).state
    return step(sent, TimerFired("silence")).state


def returned() -> State:
    """Everything has come; bob's block is still being raised."""
    theirs = step(quiet(), Received("bob", message(Blinded))).state
    return step(theirs, Received("bob", message(Raised))).state


STATES_HERE: dict[str, State] = {
    "readying": state(Readying),
    "ahead": ahead(),
    "exchanging": state(Exchanging),
    "quiet": quiet(),
    "returned": returned(),
    "matching": state(Matching),
    "ended": state(Ended),
}
HERS: Blinded = message(Blinded, "ann")
ECHO = Raised(HERS.session, 0, HERS.points)
OTHER = bytes(32)
EVENTS: dict[str, Event] = {
    "theirs": Received("bob", message(Blinded)),
    "theirs of another session": Received("bob", replace(message(Blinded), session=OTHER)),
    "theirs beyond the end": Received("bob", replace(message(Blinded), block=1)),
    "theirs without end": Received("bob", replace(message(Blinded), size=2**16_000)),
    "back": Received("bob", message(Raised)),
    "back of another session": Received("bob", replace(message(Raised), session=OTHER)),
    "back beyond the end": Received("bob", replace(message(Raised), block=1)),
    "back in part": Received("bob", replace(message(Raised), points=message(Raised).points[:5])),
    "echo": Received("bob", ECHO),
    "tagged": Received("bob", Tagged(HERS.session, "ann", 1, 0, HERS.points)),
    "stranger": Received("eve", message(Blinded)),
    "hub speaks": Received(HUB, message(Blinded)),
    "prepared": Computed("prepare", result("prepare")),
    "unprepared": Computed("prepare", None, "IdError: row 3: the id is empty"),
    "misprepared": Computed("prepare", Inspected()),
    "blinded": Computed("blind/0", result("blind")),
    "unblinded": Computed("blind/0", None, "MemoryError: no"),
    "raised": Computed("raise/0", result("raise")),
    "unraised": Computed("raise/0", None, "PeerError: the point at 3 has small order"),
    "matched": Computed("match", result("match")),
    "unmatched": Computed("match", None, "PeerError: no"),
    "mismatched": Computed("match", result("raise")),
    "silence": TimerFired("silence"),
    "bob left": PeerLeft("bob", "out of disk"),
    "hub left": PeerLeft(HUB, "out of disk"),
    "cat left": PeerLeft("cat", "out of disk"),
}
NOT_ENDED = tuple(name for name in STATES_HERE if name != "ended")
OPEN = ("readying", "ahead", "exchanging", "quiet", "returned")
TASKS = tuple(name for name, event in EVENTS.items() if isinstance(event, Computed))
MESSAGES = tuple(name for name, event in EVENTS.items() if isinstance(event, Received))
# What each pair leads to; a class of state is a step, also if it stays in it. All others change nothing.
OUTCOMES: dict[tuple[str, str], type] = {
    **{(state, message): PeerError for state in NOT_ENDED for message in MESSAGES},
    **{(state, task): LocalProtocolError for state in NOT_ENDED for task in TASKS},
    **{(state, event): Ended for state in NOT_ENDED for event in ("bob left", "hub left")},
    ("readying", "theirs"): Readying,
    ("exchanging", "theirs"): Exchanging,
    ("quiet", "theirs"): Exchanging,
    ("quiet", "back"): Exchanging,
    **{(state, "prepared"): Exchanging for state in ("readying", "ahead")},
    **{(state, "unprepared"): Ended for state in ("readying", "ahead")},
    ("exchanging", "blinded"): Exchanging,
    ("exchanging", "unblinded"): Ended,
    ("ahead", "raised"): Readying,
    ("ahead", "unraised"): Ended,
    ("matching", "matched"): Ended,
    ("matching", "unmatched"): Ended,
    **{(state, "silence"): Readying for state in ("readying", "ahead")},
    **{(state, "silence"): Exchanging for state in ("exchanging", "returned")},
    ("quiet", "silence"): Ended,
    ("returned", "raised"): Matching,
    ("returned", "unraised"): Ended,
}


@pytest.mark.parametrize("state_name", STATES_HERE)
@pytest.mark.parametrize("event_name", EVENTS)
def test_every_state_meets_every_event(state_name: str, event_name: str) -> None:
    outcome = OUTCOMES.get((state_name, event_name))
    assert_meets(step, STATES_HERE[state_name], EVENTS[event_name], outcome)


def test_every_state_is_walked() -> None:
    assert {type(each) for each in STATES_HERE.values()} == set(STATES)


def test_the_role_goes_the_same_way() -> None:
    brief = rehearse(PAIR, ONE_BLOCK).briefs["ann"]
    assert type(SPEC.begin(brief).state) is Readying
    for name, before in STATES_HERE.items():
        assert SPEC.awaited(before) == awaited(before), name
        assert SPEC.step(before, PeerLeft("cat", "no")).state is before, name


def test_a_party_begins_with_its_list_and_a_timer() -> None:
    taken = begin(rehearse(PAIR, ONE_BLOCK).briefs["ann"])
    compute, timer = taken.effects
    assert isinstance(compute, Compute)
    assert compute.function == "prepare"
    assert timer == SetTimer("silence", 60)


def test_without_a_secret_nothing_begins() -> None:
    brief = rehearse(PAIR, ONE_BLOCK).briefs["ann"]
    with pytest.raises(LocalProtocolError, match="needs 32 secret bytes of the agent, not 0"):
        begin(replace(brief, secret=b""))
    with pytest.raises(LocalProtocolError, match="was given to party"):
        begin(replace(brief, role="aggregator"))


@pytest.mark.parametrize(
    ("state", "event", "reason"),
    [
        ("readying", "unprepared", "our ids can't be aligned: IdError: row 3: the id is empty"),
        ("exchanging", "unblinded", "block 0 of our list can't be blinded: MemoryError: no"),
        ("ahead", "unraised", "block 0 of bob's list: PeerError: the point at 3 has small order"),
        ("matching", "unmatched", "bob's points are no use: PeerError: no"),
        ("quiet", "silence", "bob was silent for 60 s; the rest of its list awaited"),
        ("matching", "bob left", "bob left: out of disk"),
    ],
)
def test_an_abort_says_who_and_why(state: str, event: str, reason: str) -> None:
    assert step(STATES_HERE[state], EVENTS[event]).effects == (Abort(reason),)


@pytest.mark.parametrize(
    ("state", "event", "message"),
    [
        ("quiet", "echo", "bob sent back block 0 of our list with points as we sent them, not raised"),
        ("quiet", "back in part", "block 0 of our list: expected .21, 32. uint8, not .5, 32."),
        ("quiet", "back beyond the end", "block 1 of our list, which we have not sent"),
        ("exchanging", "back", "block 0 of our list, which we have not sent"),
        ("returned", "back", "bob sent back block 0 of our list twice"),
        ("returned", "theirs", "bob sent block 0 of bob's list twice"),
        ("readying", "back", "block 0 of our list while Readying"),
        ("matching", "theirs", "bob sent block 0 of its list when we had all of them"),
        ("quiet", "theirs of another session", "bob sent Blinded of another session"),
        ("quiet", "theirs without end", "bob sent Blinded with a number beyond 64 bits"),
        ("quiet", "back of another session", "bob sent Raised of another session"),
        ("quiet", "stranger", "eve is not bob, the other party"),
        ("quiet", "tagged", "bob sent Tagged, which is not for one of two parties"),
    ],
)
def test_a_refusal_says_what_was_wrong(state: str, event: str, message: str) -> None:
    with pytest.raises(PeerError, match=message):
        step(STATES_HERE[state], EVENTS[event])


@pytest.mark.parametrize(("state", "event"), [("readying", "misprepared"), ("matching", "mismatched")])
def test_a_result_of_another_type_is_our_own_mistake(state: str, event: str) -> None:
    with pytest.raises(LocalProtocolError, match="gave"):
        step(STATES_HERE[state], EVENTS[event])


@pytest.mark.parametrize("task", ["blind/0", "raise/0"])
def test_so_is_a_block_of_another_type(task: str) -> None:
    before = step(state(Exchanging), EVENTS["theirs"]).state
    with pytest.raises(LocalProtocolError, match=f"{task} gave Inspected"):
        step(before, Computed(task, Inspected()))


def test_who_is_not_to_learn_gets_nothing_back_and_says_so_if_it_does() -> None:
    to_bob = [type(m) for m in run("ann").told("bob")]
    assert to_bob == [Blinded]
    bob = [each for each in run("ann").states["bob"] if type(each) is Exchanging][-1]
    with pytest.raises(PeerError, match="which we are not to learn"):
        step(bob, Received("ann", Raised(bob.seat.session, 0, message(Raised).points)))
    assert run("ann").results["bob"] == Served()


def test_silence_is_no_fault_while_we_are_at_work() -> None:
    busy = step(step(quiet(), EVENTS["theirs"]).state, TimerFired("silence")).state
    for _ in range(3):
        taken = step(busy, TimerFired("silence"))
        assert taken.effects == (SetTimer("silence", 60),)
        busy = taken.state


def test_what_is_awaited_is_said_in_words() -> None:
    theirs_done = step(step(quiet(), EVENTS["theirs"]).state, EVENTS["raised"]).state
    said = {name: awaited(each) for name, each in STATES_HERE.items()}
    assert said["readying"] == Awaited("our list of points")
    assert said["exchanging"] == Awaited("X25519 over our blocks and theirs")
    assert said["quiet"] == Awaited("the rest of its list", ("bob",))
    assert awaited(theirs_done) == Awaited("the rest of our list, raised", ("bob",))
    assert said["matching"] == Awaited("the intersection")
    assert said["ended"] == Awaited("")


def test_both_settle_on_the_same_rows_and_the_secret_is_gone() -> None:
    words = [m for m in run().told(HUB) if isinstance(m, Settled)]
    assert len(words) == 2
    assert words[0] == words[1]
    assert words[0].rows == 2
    secret = rehearse(PAIR, ONE_BLOCK).briefs["ann"].secret
    for each in run().states["ann"]:
        assert secret.hex() not in repr(each)
        assert repr(secret) not in repr(each)
    assert not hasattr(STATES_HERE["ended"], "secret")
    assert not hasattr(STATES_HERE["matching"], "secret")


def test_a_count_that_one_side_alone_learns_stays_there() -> None:
    words = [m for m in run("ann").told(HUB) if isinstance(m, Settled)]
    assert {(word.rows, word.digest) for word in words} == {(None, b"")}


def test_the_results_are_rows_in_one_order() -> None:
    ann, bob = run().results["ann"], run().results["bob"]
    assert isinstance(ann, AlignedRows)
    assert [ANN[row] for row in ann.rows] == [BOB[row] for row in bob.rows]
    assert {ANN[row] for row in ann.rows} == {"Cid", "Eve"}


# -- a peer that does not play fair -------------------------------------------------------------------------


def raised_otherwise(points: Array) -> Array:
    return raised(points, b"another key, of thirty-two bytes")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda points: points[::-1], "the sentinels are not where we put them"),
        (raised_otherwise, "the sentinels are not where we put them"),
        (lambda points: np.roll(points, 1, axis=0), "the sentinels are not where we put them"),
    ],
)
def test_a_list_that_comes_back_in_another_order_or_under_another_key_is_found_out(
    change: Any, reason: str
) -> None:
    def tamper(sender: str, recipient: str, message: Any) -> list[object]:
        if sender == "bob" and isinstance(message, Raised):
            return [replace(message, points=np.ascontiguousarray(change(message.points)))]
        return [message]

    run = play(PAIR, ONE_BLOCK, tamper)
    assert reason in run.aborts["ann"]
    assert "bob's points are no use" in run.aborts["ann"]


def test_our_own_points_sent_back_as_theirs_are_found_out() -> None:
    # Who mirrors both our lists would have us find everything we have in common with ourselves.
    def mirror(sender: str, recipient: str, message: Any) -> list[object]:
        if sender == "ann" and isinstance(message, Blinded):
            return [message]
        if sender == "ann" and isinstance(message, Raised):
            return []
        if sender == "bob" and isinstance(message, Blinded):
            return [HERS]
        if sender == "bob" and isinstance(message, Raised):
            key = private_key(rehearse(PAIR, ONE_BLOCK).briefs["ann"].secret)
            return [replace(message, points=raised(HERS.points, key))]
        return [message]

    seen = play(PAIR, ONE_BLOCK, mirror)
    assert "the list holds points of ours, sent back" in seen.aborts["ann"]


def test_a_point_that_is_another_in_disguise_is_found_out() -> None:
    p = 2**255 - 19

    def disguise(points: Array) -> Array:
        first = int.from_bytes(points[0].tobytes(), "little")  # plus the point of order two: 1/u
        twin = np.frombuffer(pow(first, -1, p).to_bytes(32, "little"), dtype=np.uint8)
        return np.vstack([points[:1], twin[None], points[2:]])

    def tamper(sender: str, recipient: str, message: Any) -> list[object]:
        if sender == "bob" and isinstance(message, Blinded):
            return [replace(message, points=disguise(message.points))]
        return [message]

    assert "the list holds a point twice" in play(PAIR, ONE_BLOCK, tamper).aborts["ann"]
    served = play(PAIR, AlignmentSettings(receiver="bob", block=64), tamper)
    assert "the list holds a point twice" in served.aborts["ann"]


def test_our_list_with_a_point_twice_is_found_out() -> None:
    def tamper(sender: str, recipient: str, message: Any) -> list[object]:
        if sender == "bob" and isinstance(message, Raised) and message.block == 1:
            [first] = [m for who, _, m in seen if who == "bob" and isinstance(m, Raised)]
            return [replace(message, points=first.points)]
        seen.append((sender, recipient, message))
        return [message]

    seen: list[tuple[str, str, Any]] = []
    run = play(PAIR, AlignmentSettings(block=11, pad_to=22), tamper)
    assert "our list came back with a point twice" in run.aborts["ann"]


def test_a_point_of_small_order_is_found_out() -> None:
    def tamper(sender: str, recipient: str, message: Any) -> list[object]:
        if sender == "bob" and isinstance(message, Blinded):
            points = message.points.copy()
            points[3] = 0
            return [replace(message, points=points)]
        return [message]

    reason = play(PAIR, ONE_BLOCK, tamper).aborts["ann"]
    assert reason == "block 0 of bob's list: PeerError: the point at 3 has small order"


def test_effects_of_a_block_are_one_message_each() -> None:
    sent = step(state(Exchanging), EVENTS["blinded"])
    assert [type(each.message) for each in only(sent.effects, Send)] == [Blinded]
    back = step(ahead(), Computed("raise/0", Points(result("raise").points)))
    assert [type(each.message) for each in only(back.effects, Send)] == [Raised]
    ended = step(STATES_HERE["matching"], EVENTS["matched"])
    assert [type(each) for each in ended.effects] == [Send, Finish]
