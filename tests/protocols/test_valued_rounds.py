"""An aggregator who has each round's coalitions valued: what it asks for, when it says so, and how it ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
import pytest

from hansa.protocols.errors import LocalProtocolError, Overstated
from hansa.protocols.horizontal import tasks
from hansa.protocols.horizontal.aggregation import weighted_average
from hansa.protocols.horizontal.aggregator import (
    Aggregating,
    Appraising,
    Collecting,
    Concluding,
    State,
    awaited,
    begin,
    step,
)
from hansa.protocols.horizontal.fedavg import AGGREGATOR, Ended, Evaluated, RoundClosed, TrainingDone
from hansa.protocols.horizontal.progress import Progress
from hansa.protocols.horizontal.softmax import SoftmaxRegression
from hansa.protocols.horizontal.tasks import TASKS, VALUE, RoundToValue, value
from hansa.protocols.machine import (
    Abort,
    Awaited,
    Compute,
    Computed,
    Event,
    Finish,
    PeerLeft,
    Received,
    Record,
    Step,
    TimerFired,
    Valuation,
    Worth,
)
from hansa.protocols.model import Evaluation, ModelShape
from hansa.protocols.workbench import BareWorkbench, Rows
from tests.protocols.fedavg_parts import (
    PARTIES,
    brief,
    evaluation,
    model,
    only,
    training_done,
    update,
    valuation,
    valued_seat,
)

SEAT = valued_seat()
FRESH = Progress({}, {})


def after(state: State, *events: Event) -> Step[State]:
    """Return the last step of several."""
    taken = Step(state)
    for event in events:
        taken = step(taken.state, event)
    return taken


def everyone(number: int) -> list[Event]:
    return [Received(name, update(number)) for name in PARTIES]


def averaged(number: int) -> Computed:
    return Computed(f"round-{number}/aggregate", model(1))


def valued(number: int, **shares: str) -> Computed:
    return Computed(f"round-{number}/value", valuation(number, **shares))


def records(taken: Step[State]) -> list[object]:
    return [each.fact for each in only(taken.effects, Record)]


# -- asking -------------------------------------------------------------------------------------------------


def test_a_round_is_averaged_and_valued_from_the_same_updates() -> None:
    taken = after(Collecting(SEAT, FRESH, 1, model(), {}), *everyone(1))
    average, appraisal = only(taken.effects, Compute)
    assert (average.function, appraisal.function, appraisal.task_id) == ("aggregate", VALUE, "round-1/value")
    asked = appraisal.inputs
    assert isinstance(asked, RoundToValue)
    assert (asked.number, asked.parties, asked.rows) == (1, PARTIES, (10, 10, 10))
    assert np.array_equal(asked.base[0], model().parameters[0])
    assert isinstance(taken.state, Aggregating)
    assert taken.state.progress.valuing == (1,)


def test_it_is_arithmetic_for_a_process_of_its_own() -> None:
    assert TASKS[VALUE].heavy
    assert not TASKS["aggregate"].uses_bench  # which would have the coordinator's rows read in every round


def test_who_is_not_in_a_round_is_not_in_its_coalitions() -> None:
    state = Collecting(SEAT, FRESH, 2, model(), {"ann": update(2), "cat": update(2)})
    asked = only(step(state, TimerFired("round-2/deadline")).effects, Compute)[1].inputs
    assert isinstance(asked, RoundToValue)
    assert asked.parties == ("ann", "cat")


# -- being told ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["averaged", "valued"])
def test_a_valuation_is_recorded_after_its_rounds_close_whichever_comes_first(first: str) -> None:
    events = [averaged(1), valued(1)] if first == "averaged" else [valued(1), averaged(1)]
    taken: Step[State] = Step(Aggregating(SEAT, FRESH.asking(1), 1, PARTIES, {}))
    told: list[object] = []
    for event in events:
        taken = step(taken.state, event)
        told += records(taken)
    assert [type(each) for each in told] == [RoundClosed, Valuation]
    assert isinstance(taken.state, Collecting)
    assert (taken.state.progress.valuing, taken.state.progress.early) == ((), ())
    assert taken.state.progress.contributions == dict.fromkeys(PARTIES, "0x1/0x3")


def test_the_next_rounds_go_on_while_an_earlier_one_is_valued() -> None:
    taken = after(
        Collecting(SEAT, FRESH, 1, model(), {}), *everyone(1), averaged(1), *everyone(2), averaged(2)
    )
    assert isinstance(taken.state, Collecting)
    assert (taken.state.round, taken.state.progress.valuing) == (3, (1, 2))
    late = step(taken.state, valued(2))
    assert records(late) == [valuation(2)]
    assert step(late.state, valued(1)).state.progress.valuing == ()  # type: ignore[union-attr]


def test_shares_of_rounds_are_summed_exactly() -> None:
    progress = FRESH.asking(1).asking(2).valued(valuation(1, ann="1/3", bob="-1/7"))
    progress = progress.valued(valuation(2, ann="1/6", cat="1/10"))
    assert progress.contributions == {"ann": "0x1/0x2", "bob": "-0x1/0x7", "cat": "0x1/0xa"}
    assert progress.valuing == ()


def test_the_end_waits_for_every_round_and_then_brings_the_contributions() -> None:
    concluding = Concluding(SEAT, replace(FRESH, valuing=(2, 3)), 3, model(), {})
    taken = after(concluding, *(Received(name, Evaluated(evaluation())) for name in PARTIES))
    assert isinstance(taken.state, Appraising)
    assert not only(taken.effects, Finish)
    assert awaited(taken.state) == Awaited("the valuation of rounds 2, 3")
    taken = step(taken.state, valued(3))
    assert awaited(taken.state) == Awaited("the valuation of round 2")
    taken = step(taken.state, valued(2))
    assert isinstance(taken.state, Ended)
    (finish,) = only(taken.effects, Finish)
    assert isinstance(finish.result, TrainingDone)
    assert finish.result.contributions == dict.fromkeys(PARTIES, "0x2/0x3")
    assert records(taken) == [valuation(2)]


def test_a_job_whose_rounds_are_all_valued_ends_at_once() -> None:
    concluding = Concluding(SEAT, replace(FRESH, contributions={"ann": "1/2"}), 3, model(), {})
    taken = after(concluding, *(Received(name, Evaluated(evaluation())) for name in PARTIES))
    (finish,) = only(taken.effects, Finish)
    assert isinstance(finish.result, TrainingDone)
    assert finish.result.contributions == {"ann": "1/2"}


def test_whoever_leaves_while_only_valuations_are_awaited_is_not_missed() -> None:
    state = Appraising(SEAT, replace(FRESH, valuing=(3,)), 3, training_done())
    assert step(state, PeerLeft("bob", "done here")) == Step(state)


@pytest.mark.parametrize(
    "state",
    [
        Collecting(SEAT, FRESH.asking(1), 2, model(), {}),
        Aggregating(SEAT, FRESH.asking(1).asking(2), 2, PARTIES, {}),
        Concluding(SEAT, FRESH.asking(1), 3, model(), {}),
        Appraising(SEAT, FRESH.asking(1), 3, training_done()),
    ],
    ids=lambda state: type(state).__name__,
)
def test_a_round_that_cant_be_valued_ends_the_job_with_the_reason(state: State) -> None:
    taken = step(state, Computed("round-1/value", None, "the data set can't be used"))
    assert isinstance(taken.state, Ended)
    assert taken.effects == (Abort("round 1 could not be valued: the data set can't be used"),)


@pytest.mark.parametrize("result", [model(), valuation(2)])
def test_the_valuation_of_another_round_is_our_own_mistake(result: object) -> None:
    with pytest.raises(LocalProtocolError, match="round-1/value gave"):
        step(Collecting(SEAT, FRESH.asking(1), 2, model(), {}), Computed("round-1/value", result))


# -- rows that nobody has registered ------------------------------------------------------------------------


def test_an_update_of_more_rows_than_are_registered_is_refused_by_name() -> None:
    with pytest.raises(Overstated, match="bob trained on 11 rows, it says, and has registered 10"):
        step(Collecting(SEAT, FRESH, 1, model(), {}), Received("bob", update(1, rows=11)))
    assert step(Collecting(SEAT, FRESH, 1, model(), {}), Received("bob", update(1, rows=10))).effects == ()


def test_what_nobody_knows_the_size_of_is_not_bounded() -> None:
    started = begin(replace(brief(AGGREGATOR, "hub"), volumes={"ann": (10, 2)}))
    opened = step(started.state, Computed("initial", model()))
    assert step(opened.state, Received("bob", update(1, rows=10**6))).effects == ()


# -- the task -----------------------------------------------------------------------------------------------

SHAPE = ModelShape(2, (0, 1))


@dataclass(frozen=True, slots=True)
class Bench(BareWorkbench):
    """Asks for all coalitions, in two goes, and tells what it was told."""

    rows: Rows
    asked: list[int] = field(default_factory=list)
    told: dict[frozenset[str], Evaluation] = field(default_factory=dict)

    def model(self) -> SoftmaxRegression:
        return SoftmaxRegression(SHAPE)

    def validation(self) -> Rows:
        return self.rows

    def appraise(self, number: int, rows: Mapping[str, int], worth: Worth) -> Valuation:
        players = tuple(rows)
        every = [frozenset(each) for size in range(4) for each in combinations(players, size)]
        for batch in (every[:2], every[2:]):
            self.told.update(zip(batch, worth(batch), strict=True))
            self.asked.append(len(batch))
        return valuation(number)


def round_of(seed: int) -> tuple[RoundToValue, Rows]:
    generator = np.random.default_rng(seed)

    def parameters() -> tuple[np.ndarray, ...]:
        return tuple(generator.normal(size=each.shape) for each in SoftmaxRegression(SHAPE).get_parameters())

    X = generator.normal(size=(50, 2))
    held = RoundToValue(4, parameters(), PARTIES, tuple(parameters() for _ in PARTIES), (5, 10, 20))
    return held, (X, (X[:, 0] > 0).astype(np.int64))


def worth_of(held: RoundToValue, coalition: Sequence[str], rows: Rows) -> Evaluation:
    """Return what a coalition's model is worth, found in another way."""
    model = SoftmaxRegression(SHAPE)
    inside = [place for place, name in enumerate(held.parties) if name in coalition]
    updates = [held.updates[place] for place in inside]
    model.set_parameters(
        weighted_average(updates, [held.rows[p] for p in inside]) if inside else list(held.base)
    )
    return model.evaluate(*rows)


@pytest.mark.parametrize("at_once", [1, 3, 256])
def test_coalitions_models_are_evaluated_on_the_agreed_rows(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "MOST_AT_ONCE", at_once)
    held, rows = round_of(3)
    bench = Bench(rows)
    assert value(held, bench, 0) == valuation(4)
    assert bench.asked == [2, 6]
    assert len(bench.told) == 8
    for coalition, found in bench.told.items():
        assert found == worth_of(held, sorted(coalition), rows)
