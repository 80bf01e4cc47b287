"""The party of federated averaging: every state meets every event."""

from typing import Any

import pytest

from hansa.protocols.errors import LocalProtocolError, PeerError
from hansa.protocols.horizontal.fedavg import (
    PARTY,
    Ended,
    Evaluated,
    ModelReady,
    ModelReceived,
    RoundOpened,
    derived_seed,
)
from hansa.protocols.horizontal.party import SPEC, Evaluating, State, Training, Waiting, begin, step
from hansa.protocols.horizontal.tasks import Trained
from hansa.protocols.machine import (
    Abort,
    CancelTimer,
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
from tests.protocols.fedavg_parts import brief, evaluation, model, only, party_seat, update
from tests.protocols.grid import assert_meets

SEAT = party_seat()
STATES: dict[str, State] = {
    "fresh": Waiting(SEAT, 0),
    "waiting": Waiting(SEAT, 2),
    "training": Training(SEAT, 2),
    "evaluating": Evaluating(SEAT, model()),
    "ended": Ended(SEAT),
}


def opened(number: int) -> RoundOpened:
    return RoundOpened(number, model().digest, model().parameters)


READY = ModelReady(model().digest, model().parameters)
TRAINED = Trained(model(1).parameters, 10, evaluation())
EVENTS: dict[str, Event] = {
    "opens 1": Received("hub", opened(1)),
    "opens 2": Received("hub", opened(2)),
    "opens 3": Received("hub", opened(3)),
    "opens 4": Received("hub", opened(4)),
    "ready": Received("hub", READY),
    "update": Received("hub", update(1)),
    "stranger": Received("eve", opened(3)),
    "trained 1": Computed("round-1/train", TRAINED),
    "trained 2": Computed("round-2/train", TRAINED),
    "failed 2": Computed("round-2/train", None, "ValueError: no"),
    "evaluated": Computed("evaluate", evaluation()),
    "unevaluated": Computed("evaluate", None, "ValueError: no"),
    "silent 0": TimerFired("round-0/silence"),
    "silent 2": TimerFired("round-2/silence"),
    "hub left": PeerLeft("hub", "out of disk"),
    "bob left": PeerLeft("bob", "out of disk"),
}
# Pairs that change the class of the state, or raise; all others leave the state as it is.
OUTCOMES: dict[tuple[str, str], type] = {
    **{("fresh", f"opens {number}"): Training for number in (1, 2, 3)},
    ("waiting", "opens 3"): Training,
    ("training", "opens 3"): Training,
    **{(state, "ready"): Evaluating for state in ("fresh", "waiting", "training")},
    ("training", "trained 2"): Waiting,
    ("training", "failed 2"): Ended,
    ("evaluating", "evaluated"): Ended,
    ("evaluating", "unevaluated"): Ended,
    ("fresh", "silent 0"): Ended,
    ("waiting", "silent 2"): Ended,
    **{(state, "hub left"): Ended for state in ("fresh", "waiting", "training", "evaluating")},
    ("fresh", "opens 4"): PeerError,
    **{(state, f"opens {number}"): PeerError for state in ("waiting", "training") for number in (1, 2, 4)},
    **{("evaluating", f"opens {number}"): PeerError for number in (1, 2, 3, 4)},
    ("evaluating", "ready"): PeerError,
    **{(state, event): PeerError for state in STATES for event in ("update", "stranger")},
}


@pytest.mark.parametrize("state_name", STATES)
@pytest.mark.parametrize("event_name", EVENTS)
def test_every_state_meets_every_event(state_name: str, event_name: str) -> None:
    outcome = OUTCOMES.get((state_name, event_name))
    assert_meets(step, STATES[state_name], EVENTS[event_name], outcome)


def test_every_state_is_listed() -> None:
    assert {type(state) for state in STATES.values()} == set(SPEC.states)


def test_a_party_begins_by_listening() -> None:
    taken = begin(brief(PARTY, "ann"))
    assert taken.state == Waiting(SEAT, 0)
    assert taken.effects == (SetTimer("round-0/silence", 90),)


def test_an_opened_round_is_trained_with_a_seed_of_its_own() -> None:
    taken = step(Waiting(SEAT, 1), Received("hub", opened(2)))
    assert taken.state == Training(SEAT, 2)
    cancel, compute = taken.effects
    assert cancel == CancelTimer("round-1/silence")
    assert isinstance(compute, Compute)
    assert (compute.task_id, compute.function) == ("round-2/train", "train")
    assert compute.seed == derived_seed(7, "ann", 2)


def test_a_trained_round_is_answered_and_patience_begins() -> None:
    taken = step(Training(SEAT, 2), Computed("round-2/train", TRAINED))
    send, timer = taken.effects
    assert isinstance(send, Send)
    assert send.recipient == "hub"
    assert (send.message.round, send.message.rows) == (2, 10)  # type: ignore[attr-defined]
    assert timer == SetTimer("round-2/silence", 90)


def test_a_newer_round_supersedes_the_one_in_training() -> None:
    newer = step(Training(SEAT, 2), Received("hub", opened(3))).state
    assert newer == Training(SEAT, 3)
    assert step(newer, Computed("round-2/train", TRAINED)).effects == ()


def test_the_final_model_is_evaluated_then_kept() -> None:
    evaluating = step(Training(SEAT, 3), Received("hub", READY))
    assert [each.function for each in only(evaluating.effects, Compute)] == ["evaluate"]
    ended = step(evaluating.state, Computed("evaluate", evaluation(0.25)))
    send, finish = ended.effects
    assert send == Send("hub", Evaluated(evaluation(0.25)))
    assert isinstance(finish, Finish)
    assert isinstance(finish.result, ModelReceived)
    assert finish.result.digest == READY.digest


@pytest.mark.parametrize(
    ("state", "event", "reason"),
    [
        ("fresh", "silent 0", "aggregator hub was silent from the start for 90 s"),
        ("waiting", "silent 2", "aggregator hub was silent since round 2 for 90 s"),
        ("training", "failed 2", "training failed in round 2: ValueError: no"),
        ("evaluating", "unevaluated", "the final model's evaluation failed: ValueError: no"),
        ("training", "hub left", "aggregator hub left: out of disk"),
    ],
)
def test_an_abort_says_who_and_why(state: str, event: str, reason: str) -> None:
    assert step(STATES[state], EVENTS[event]).effects == (Abort(reason),)


@pytest.mark.parametrize(
    ("state", "event"),
    [
        ("training", Computed("round-2/train", evaluation())),
        ("evaluating", Computed("evaluate", TRAINED)),
    ],
)
def test_a_result_of_another_type_is_our_own_mistake(state: str, event: Any) -> None:
    with pytest.raises(LocalProtocolError, match="gave"):
        step(STATES[state], event)
