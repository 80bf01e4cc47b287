"""The aggregator of federated averaging: every state meets every event."""

from dataclasses import replace

import numpy as np
import pytest

from hansa.protocols.errors import LocalProtocolError, PeerError
from hansa.protocols.horizontal.aggregator import (
    MOST_ROWS,
    SPEC,
    Aggregating,
    Appraising,
    Collecting,
    Concluding,
    Preparing,
    State,
    begin,
    step,
)
from hansa.protocols.horizontal.fedavg import (
    AGGREGATOR,
    Ended,
    Evaluated,
    FedAvgSettings,
    ModelEvaluated,
    ModelReady,
    RoundClosed,
    RoundOpened,
    TrainingDone,
    Update,
    pooled,
)
from hansa.protocols.horizontal.progress import Progress
from hansa.protocols.horizontal.tasks import Contributions
from hansa.protocols.machine import (
    Abort,
    CancelTimer,
    Compute,
    Computed,
    Event,
    Finish,
    PeerLeft,
    Received,
    Record,
    Send,
    SetTimer,
    Step,
    TimerFired,
)
from hansa.protocols.model import Evaluation
from tests.protocols.fedavg_parts import (
    SETTINGS,
    brief,
    evaluation,
    hub_seat,
    model,
    only,
    training_done,
    update,
    valuation,
    with_settings,
)
from tests.protocols.grid import assert_meets

SEAT = hub_seat()
FRESH = Progress({}, {})
STATES: dict[str, State] = {
    "preparing": Preparing(SEAT, FRESH),
    "open": Collecting(SEAT, FRESH, 2, model(), {}),
    "one": Collecting(SEAT, FRESH, 2, model(), {"ann": update(2)}),
    "two": Collecting(SEAT, FRESH, 2, model(), {"ann": update(2), "cat": update(2)}),
    "aggregating": Aggregating(SEAT, FRESH, 2, ("ann", "cat"), {"bob": "no answer in time"}),
    "concluding": Concluding(SEAT, FRESH, 3, model(), {}),
    "concluded": Concluding(SEAT, FRESH, 3, model(), {"ann": evaluation(), "cat": evaluation()}),
    "appraising": Appraising(SEAT, replace(FRESH, valuing=(2,)), 3, training_done()),
    "ended": Ended(SEAT),
}
EVENTS: dict[str, Event] = {
    "ann 1": Received("ann", update(1)),
    "ann 2": Received("ann", update(2)),
    "bob 2": Received("bob", update(2)),
    "bob 0": Received("bob", update(0)),
    "bob 4": Received("bob", update(4)),
    "ann evaluated": Received("ann", Evaluated(evaluation())),
    "bob evaluated": Received("bob", Evaluated(evaluation())),
    "opened": Received("ann", RoundOpened(1, b"", ())),
    "stranger": Received("eve", update(2)),
    "made": Computed("initial", model()),
    "not made": Computed("initial", None, "ValueError: no"),
    "averaged": Computed("round-2/aggregate", model(1)),
    "not averaged": Computed("round-2/aggregate", None, "ValueError: no"),
    "valued": Computed("round-2/value", valuation(2)),
    "not valued": Computed("round-2/value", None, "AgentError: no"),
    "deadline 1": TimerFired("round-1/deadline"),
    "deadline 2": TimerFired("round-2/deadline"),
    "final": TimerFired("final"),
    "bob left": PeerLeft("bob", "out of disk"),
    "eve left": PeerLeft("eve", "out of disk"),
}
RUNNING = [name for name in STATES if name != "ended"]
COLLECTING = ["open", "one", "two"]
CONCLUDING = ["concluding", "concluded"]
# Pairs that take a step to a state of this class, or raise; all others leave the state as it is.
OUTCOMES: dict[tuple[str, str], type] = {
    ("preparing", "made"): Collecting,
    ("preparing", "not made"): Ended,
    ("open", "ann 2"): Collecting,
    ("open", "bob 2"): Collecting,
    ("one", "bob 2"): Collecting,
    ("two", "bob 2"): Aggregating,
    ("open", "deadline 2"): Ended,
    ("one", "deadline 2"): Ended,
    ("two", "deadline 2"): Aggregating,
    ("aggregating", "averaged"): Collecting,
    ("aggregating", "not averaged"): Ended,
    ("concluding", "ann evaluated"): Concluding,
    ("concluding", "bob evaluated"): Concluding,
    ("concluded", "bob evaluated"): Ended,
    ("appraising", "valued"): Ended,
    ("appraising", "not valued"): Ended,
    ("concluding", "final"): Ended,
    ("concluded", "final"): Ended,
    ("preparing", "bob left"): Preparing,
    ("open", "bob left"): Collecting,
    ("one", "bob left"): Collecting,
    ("two", "bob left"): Aggregating,
    ("aggregating", "bob left"): Aggregating,
    ("concluding", "bob left"): Concluding,
    ("concluded", "bob left"): Ended,
    ("preparing", "ann 1"): PeerError,
    ("preparing", "ann 2"): PeerError,
    ("preparing", "bob 2"): PeerError,
    ("one", "ann 2"): PeerError,
    ("two", "ann 2"): PeerError,
    ("aggregating", "ann 2"): PeerError,
    **{(state, event): PeerError for state in RUNNING for event in ("bob 0", "bob 4")},
    **{
        (state, event): PeerError
        for state in ("preparing", *COLLECTING, "aggregating")
        for event in ("ann evaluated", "bob evaluated")
    },
    ("concluded", "ann evaluated"): PeerError,
    **{(state, event): PeerError for state in STATES for event in ("opened", "stranger")},
    **{(state, "eve left"): LocalProtocolError for state in STATES},
    **{
        (state, event): LocalProtocolError
        for state in (*COLLECTING, *CONCLUDING, "appraising")
        for event in ("made", "not made", "averaged", "not averaged")
    },
    **{
        (state, event): LocalProtocolError
        for state in ("preparing", *COLLECTING, "aggregating", *CONCLUDING)
        for event in ("valued", "not valued")
    },
    ("preparing", "averaged"): LocalProtocolError,
    ("preparing", "not averaged"): LocalProtocolError,
    ("aggregating", "made"): LocalProtocolError,
    ("aggregating", "not made"): LocalProtocolError,
}


@pytest.mark.parametrize("state_name", STATES)
@pytest.mark.parametrize("event_name", EVENTS)
def test_every_state_meets_every_event(state_name: str, event_name: str) -> None:
    outcome = OUTCOMES.get((state_name, event_name))
    assert_meets(step, STATES[state_name], EVENTS[event_name], outcome)


def test_every_state_is_listed() -> None:
    assert {type(state) for state in STATES.values()} == set(SPEC.states)


# -- rounds -------------------------------------------------------------------------------------------------


def after(state: State, *events: Event) -> Step[State]:
    """Return the last step of several."""
    taken = Step(state)
    for event in events:
        taken = step(taken.state, event)
    return taken


def averaged(number: int, value: float = 1.0) -> Computed:
    return Computed(f"round-{number}/aggregate", model(value))


def collecting(number: int, settings: FedAvgSettings = SETTINGS, **changes: object) -> Collecting:
    return Collecting(hub_seat(settings), replace(FRESH, **changes), number, model(), {})  # type: ignore[arg-type]


def everyone(number: int, loss: float = 1.0) -> list[Event]:
    return [Received(name, update(number, loss=loss)) for name in ("cat", "ann", "bob")]


def test_the_initial_model_opens_the_first_round_to_all() -> None:
    started = begin(brief(AGGREGATOR, "hub"))
    assert [each.function for each in only(started.effects, Compute)] == ["initial"]
    taken = step(started.state, Computed("initial", model()))
    sends = only(taken.effects, Send)
    assert [each.recipient for each in sends] == ["ann", "bob", "cat"]
    for send in sends:
        assert isinstance(send.message, RoundOpened)
        assert (send.message.round, send.message.digest) == (1, model().digest)
    assert taken.effects[-1] == SetTimer("round-1/deadline", 60)


def test_a_full_round_closes_at_once_with_updates_in_the_parties_order() -> None:
    taken = after(collecting(1), *everyone(1))
    cancel, record, compute = taken.effects
    assert cancel == CancelTimer("round-1/deadline")
    assert record == Record(ModelEvaluated(0, model().digest, Evaluation(30, 1.0, 0.5, "accuracy")))
    assert isinstance(compute, Compute)
    assert isinstance(compute.inputs, Contributions)
    assert compute.inputs.rows == (10, 10, 10)
    assert isinstance(taken.state, Aggregating)
    assert taken.state.participants == ("ann", "bob", "cat")
    assert taken.state.progress.rows == {"ann": 10, "bob": 10, "cat": 10}


def test_updates_are_averaged_in_the_same_order_whatever_the_arrival() -> None:
    arrivals = [Received(name, update(1, rows=rows)) for name, rows in (("ann", 1), ("bob", 2), ("cat", 3))]
    for order in (arrivals, arrivals[::-1]):
        (compute,) = only(after(collecting(1), *order).effects, Compute)
        assert isinstance(compute.inputs, Contributions)
        assert compute.inputs.rows == (1, 2, 3)


def test_at_the_deadline_the_quorum_goes_on_and_the_missing_are_named() -> None:
    closing = after(collecting(1), *everyone(1)[:2], TimerFired("round-1/deadline"))
    taken = step(closing.state, averaged(1))
    assert taken.effects[0] == Record(
        RoundClosed(1, model(1).digest, ("ann", "cat"), {"bob": "no answer in time"})
    )
    assert [each.recipient for each in only(taken.effects, Send)] == ["ann", "bob", "cat"]


def test_a_late_update_is_dropped_and_the_party_may_answer_the_next_round() -> None:
    closing = after(collecting(1), *everyone(1)[:2], TimerFired("round-1/deadline"))
    assert step(closing.state, Received("bob", update(1))).effects == ()
    opened = step(closing.state, averaged(1)).state
    assert step(opened, Received("bob", update(1))) == Step(opened)
    assert isinstance(after(opened, *everyone(2)).state, Aggregating)


def test_below_the_quorum_the_job_aborts_and_names_the_missing() -> None:
    taken = after(
        collecting(1, with_settings(quorum=2)),
        PeerLeft("cat", "out of disk"),
        Received("ann", update(1)),
        TimerFired("round-1/deadline"),
    )
    assert only(taken.effects, Abort) == [
        Abort(
            "round 1: 1 of 3 parties answered, the quorum is 2; "
            "missing: bob (no answer in time); cat (left: out of disk)",
            ("bob", "cat"),
        )
    ]


def test_a_party_that_left_is_not_waited_for_nor_asked_again() -> None:
    closing = after(collecting(1), *everyone(1)[:2], PeerLeft("bob", "out of disk"))
    assert isinstance(closing.state, Aggregating)
    taken = step(closing.state, averaged(1))
    closed = only(taken.effects, Record)[0].fact
    assert isinstance(closed, RoundClosed)
    assert closed.missing == {"bob": "left: out of disk"}
    assert [each.recipient for each in only(taken.effects, Send)] == ["ann", "cat"]


def test_a_party_that_left_keeps_what_it_has_given_to_the_round() -> None:
    taken = after(collecting(1), Received("bob", update(1)), PeerLeft("bob", "done with it"))
    closing = after(taken.state, *everyone(1)[:2])
    assert isinstance(closing.state, Aggregating)
    assert closing.state.participants == ("ann", "bob", "cat")


def test_a_party_that_left_is_refused_and_leaves_only_once() -> None:
    left = step(collecting(1), PeerLeft("bob", "out of disk")).state
    with pytest.raises(PeerError, match="bob left earlier: out of disk"):
        step(left, Received("bob", update(1)))
    assert step(left, PeerLeft("bob", "again")) == Step(left)


def test_when_too_few_remain_the_job_aborts_without_waiting() -> None:
    taken = after(collecting(1), PeerLeft("bob", "x"), PeerLeft("cat", "y"))
    (abort,) = only(taken.effects, Abort)
    assert "0 of 3 parties answered" in abort.reason
    assert abort.reason.endswith("missing: ann (no answer yet); bob (left: x); cat (left: y)")


@pytest.mark.parametrize("state", ["preparing", "aggregating"])
def test_when_too_few_remain_during_a_task_no_round_is_opened(state: str) -> None:
    task = Computed("initial", model()) if state == "preparing" else averaged(2)
    taken = after(STATES[state], PeerLeft("ann", "x"), PeerLeft("bob", "y"), task)
    assert isinstance(taken.state, Ended)
    number = 1 if state == "preparing" else 3
    assert only(taken.effects, Abort) == [
        Abort(
            f"round {number}: 1 of 3 parties remain, the quorum is 2; left: ann (x); bob (y)", ("ann", "bob")
        )
    ]


# -- the end ------------------------------------------------------------------------------------------------


def test_the_last_round_publishes_the_final_model() -> None:
    taken = after(collecting(3), *everyone(3), averaged(3))
    sends = only(taken.effects, Send)
    assert [each.recipient for each in sends] == ["ann", "bob", "cat"]
    assert all(isinstance(each.message, ModelReady) for each in sends)
    assert taken.effects[-1] == SetTimer("final", 60)


def test_final_evaluations_are_pooled_and_the_job_finishes() -> None:
    published = after(collecting(3), *everyone(3), averaged(3)).state
    taken = after(
        published,
        Received("ann", Evaluated(Evaluation(10, 1.0, 0.5, "accuracy"))),
        Received("bob", Evaluated(Evaluation(30, 2.0, 0.9, "accuracy"))),
        Received("cat", Evaluated(Evaluation(10, 1.0, 0.5, "accuracy"))),
    )
    cancel, record, finish = taken.effects
    assert cancel == CancelTimer("final")
    expected = pooled([Evaluation(20, 1.0, 0.5, "accuracy"), Evaluation(30, 2.0, 0.9, "accuracy")])
    assert record == Record(ModelEvaluated(3, model(1).digest, expected))
    assert isinstance(finish, Finish)
    assert isinstance(finish.result, TrainingDone)
    assert (finish.result.digest, finish.result.rounds) == (model(1).digest, 3)
    assert finish.result.evaluation == expected
    assert finish.result.rows == {"ann": 10, "bob": 10, "cat": 10}


def test_a_quorum_of_final_evaluations_is_enough_at_the_deadline() -> None:
    taken = after(STATES["concluded"], TimerFired("final"))
    assert len(only(taken.effects, Finish)) == 1


def test_too_few_final_evaluations_abort_by_name() -> None:
    taken = after(STATES["concluding"], Received("ann", Evaluated(evaluation())), TimerFired("final"))
    (abort,) = only(taken.effects, Abort)
    assert abort.reason.startswith("the final evaluation: 1 of 3 parties answered")
    assert "bob (no answer in time); cat (no answer in time)" in abort.reason


def test_too_few_left_for_the_final_model_abort_at_once() -> None:
    last = Aggregating(SEAT, FRESH, 3, ("ann", "bob", "cat"), {})
    taken = after(last, PeerLeft("ann", "x"), PeerLeft("bob", "y"), averaged(3))
    assert isinstance(only(taken.effects, Record)[0].fact, RoundClosed)
    assert only(taken.effects, Abort)[0].reason.startswith("the final evaluation: 1 of 3 parties remain")


@pytest.mark.parametrize(
    ("losses", "rounds"),
    [
        ([1.0, 0.9, 0.8, 0.7, 0.6], 5),
        ([1.0, 0.99, 0.985, 0.7, 0.6], 3),
        ([1.0, 0.8, 0.9, 0.85, 0.6], 4),
        ([1.0, 0.95, 0.8, 0.79, 0.6], 5),
    ],
)
def test_training_stops_when_the_loss_no_longer_improves(losses: list[float], rounds: int) -> None:
    settings = with_settings(rounds=5, tol=0.1, patience=2)
    state: State = collecting(1, settings)
    for number, loss in enumerate(losses, start=1):
        state = after(state, *everyone(number, loss), averaged(number)).state
        if isinstance(state, Concluding):
            break
    assert isinstance(state, Concluding)
    assert state.round == rounds


def test_without_patience_only_the_rounds_end_it() -> None:
    state: State = collecting(1, with_settings(rounds=4, tol=1.0))
    for number in range(1, 5):
        assert isinstance(state, Collecting)
        state = after(state, *everyone(number), averaged(number)).state
    assert isinstance(state, Concluding)


# -- refusals -----------------------------------------------------------------------------------------------

GOOD = update(2)


@pytest.mark.parametrize(
    ("forged", "message"),
    [
        (replace(GOOD, rows=0), "bob trained on 0 rows"),
        (replace(GOOD, rows=-5), "bob trained on -5 rows"),
        (replace(GOOD, rows=MOST_ROWS + 1), "a party has 1 to 9007199254740992"),
        (replace(GOOD, parameters=GOOD.parameters[:1]), "1 arrays, expected 2"),
        (
            replace(GOOD, parameters=(np.zeros(4), np.zeros(2))),
            r"array 0 has shape \(4,\), expected \(2, 2\)",
        ),
        (
            replace(GOOD, parameters=(np.zeros((2, 2), np.float32), np.zeros(2))),
            "array 0 is float32, expected float64",
        ),
        (replace(GOOD, parameters=(np.full((2, 2), np.nan), np.zeros(2))), "array 0 holds NaN or infinity"),
        (replace(GOOD, evaluation=Evaluation(1, 0.0, 0.0, "r2")), "bob measured r2, but ann accuracy"),
    ],
)
def test_a_forged_update_is_refused_by_name(forged: Update, message: str) -> None:
    with pytest.raises(PeerError, match=message):
        step(STATES["one"], Received("bob", forged))


def test_a_final_evaluation_by_another_metric_is_refused() -> None:
    with pytest.raises(PeerError, match="bob measured r2, but ann accuracy"):
        step(STATES["concluded"], Received("bob", Evaluated(Evaluation(1, 0.0, 0.0, "r2"))))


def test_a_step_changes_no_earlier_state() -> None:
    first = collecting(1)
    second = step(first, Received("ann", update(1))).state
    step(second, PeerLeft("bob", "x"))
    assert first.updates == {}
    assert isinstance(second, Collecting)
    assert second.progress.gone == {}


def test_a_result_of_another_type_is_our_own_mistake() -> None:
    with pytest.raises(LocalProtocolError, match="initial gave Evaluation, not GlobalModel"):
        step(STATES["preparing"], Computed("initial", evaluation()))


@pytest.mark.parametrize(
    ("state", "event", "reason"),
    [
        ("preparing", "not made", "the initial model could not be made: ValueError: no"),
        ("aggregating", "not averaged", "round 2 could not be averaged: ValueError: no"),
    ],
)
def test_a_task_that_fails_aborts_with_its_error(state: str, event: str, reason: str) -> None:
    assert step(STATES[state], EVENTS[event]).effects == (Abort(reason),)
