"""The aggregator of federated averaging: open rounds, wait for a quorum, average, say who was missing.

::

    begin --> Preparing --Computed--> Collecting --all here, or deadline--> Aggregating
                                          ^----------Computed, more rounds------' |
                      Ended <-- Appraising <-- Concluding <--Computed, last----'

Where contributions are measured by it, a round's coalitions are valued as it closes, while the next is under way.
Only ``Appraising`` waits for that. A round's valuation is recorded after its close.

An update may come late, to a round that has closed without it: it is dropped. A party that was missing is
offered the next round all the same; only one that has left (``PeerLeft``) is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hansa.protocols.errors import LocalProtocolError, Overstated, PeerError
from hansa.protocols.horizontal.fedavg import (
    AGGREGATOR,
    ENDED,
    Checkpoint,
    Ended,
    Evaluated,
    ModelEvaluated,
    ModelReady,
    RoundClosed,
    RoundOpened,
    Seat,
    TrainingDone,
    Update,
    derived_seed,
    pooled,
)
from hansa.protocols.horizontal.progress import Progress
from hansa.protocols.horizontal.tasks import (
    AGGREGATE,
    CONTINUE,
    INITIAL,
    VALUE,
    Contributions,
    GlobalModel,
    Nothing,
    RoundToValue,
)
from hansa.protocols.machine import (
    Abort,
    Awaited,
    Brief,
    CancelTimer,
    Compute,
    Computed,
    Effect,
    Event,
    Finish,
    Keep,
    PeerLeft,
    Received,
    Record,
    RoleSpec,
    Send,
    SetTimer,
    Step,
    TimerFired,
    Valuation,
)
from hansa.protocols.model import Evaluation, check_parameters

FINAL = "final"

# Why a party that has not left did not answer: the deadline passed, or too many others left before it.
SILENT = "no answer in time"
PENDING = "no answer yet"

# Rows weigh in the average as floats: beyond this they would no longer be exact.
MOST_ROWS = 2**53


@dataclass(frozen=True, slots=True)
class Preparing:
    """The initial model is being made."""

    seat: Seat
    progress: Progress


@dataclass(frozen=True, slots=True, eq=False)
class Collecting:
    """Round ``round`` is open on ``model``; ``updates`` are those that have come."""

    seat: Seat
    progress: Progress
    round: int
    model: GlobalModel
    updates: dict[str, Update]


@dataclass(frozen=True, slots=True)
class Aggregating:
    """Round ``round`` has all it will get; the average is being computed."""

    seat: Seat
    progress: Progress
    round: int
    participants: tuple[str, ...]
    missing: dict[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Concluding:
    """The final model is out; ``evaluations`` are those that have come."""

    seat: Seat
    progress: Progress
    round: int
    model: GlobalModel
    evaluations: dict[str, Evaluation]


@dataclass(frozen=True, slots=True, eq=False)
class Appraising:
    """The model is evaluated; rounds are still being valued."""

    seat: Seat
    progress: Progress
    round: int
    done: TrainingDone


Running = Preparing | Collecting | Aggregating | Concluding
State = Running | Appraising | Ended


def begin(brief: Brief) -> Step[State]:
    """Have the initial model made, or the one checked that an earlier job has left.

    Raises:
        LocalProtocolError: the brief does not fit the role, or the model to start from is not here.
    """
    seat = Seat.take(brief, AGGREGATOR)
    return Step(Preparing(seat, Progress({}, {})), (_initial(seat, brief.start),))


def _initial(seat: Seat, kept: object | None) -> Compute:
    seed, digest = derived_seed(seat.seed, INITIAL), seat.settings.start_digest
    if not digest:
        return Compute(INITIAL, INITIAL, Nothing(), seed)
    if not isinstance(kept, Checkpoint):
        raise LocalProtocolError(f"the last model of job {seat.settings.start_job} is not here")
    return Compute(INITIAL, CONTINUE, GlobalModel(bytes.fromhex(digest), kept.parameters), seed)


def step(state: State, event: Event) -> Step[State]:
    """Return the next state and its effects.

    Raises:
        PeerError: a message from a stranger or from a party that has left, of a kind that isn't for
            aggregators, out of turn, twice, or with parameters, rows or a metric that don't fit.
        LocalProtocolError: a task's result is of another type, or somebody left who never took part.
    """
    match event:
        case Received(sender, _) if sender not in state.seat.parties:
            raise PeerError(f"{sender} is not a party of this job")
        case Received(sender, Update() as update):
            return _update(state, sender, update)
        case Received(sender, Evaluated(evaluation)):
            return _evaluated(state, sender, evaluation)
        case Received(sender, message):
            raise PeerError(f"{sender} sent {type(message).__name__}, which is not for aggregators")
        case Computed():
            return _computed(state, event)
        case TimerFired(name):
            return _deadline(state, name)
        case PeerLeft(name, reason):
            return _left(state, name, reason)


# -- events -------------------------------------------------------------------------------------------------


def _update(state: State, sender: str, update: Update) -> Step[State]:
    match state:
        case Preparing():
            raise PeerError(f"{sender} sent an update before any round was open")
        case Collecting() if update.round == state.round:
            _check_present(state, sender)
            _check_update(state, sender, update)
            return _proceed(replace(state, updates={**state.updates, sender: update}))
        case Aggregating() if update.round == state.round and sender in state.participants:
            raise PeerError(f"{sender} sent its update of round {update.round} twice")
        case Collecting() | Aggregating() | Concluding() | Appraising():
            if not 1 <= update.round <= state.round:
                raise PeerError(f"{sender} sent an update of round {update.round} during round {state.round}")
            return Step(state)  # late: its round closed without it
        case Ended():
            return Step(state)


def _evaluated(state: State, sender: str, evaluation: Evaluation) -> Step[State]:
    match state:
        case Preparing() | Collecting() | Aggregating():
            raise PeerError(f"{sender} evaluated a final model that is not out yet")
        case Concluding():
            _check_present(state, sender)
            if sender in state.evaluations:
                raise PeerError(f"{sender} sent its final evaluation twice")
            _check_metric(sender, evaluation, state.evaluations)
            return _conclude(replace(state, evaluations={**state.evaluations, sender: evaluation}))
        case Appraising() | Ended():
            return Step(state)


def _computed(state: State, event: Computed) -> Step[State]:
    if not isinstance(state, Ended):
        for number in state.progress.valuing:
            if event.task_id == _value_id(number):
                return _valued(state, number, event)
    match state:
        case Preparing() if event.task_id == INITIAL:
            if event.error is not None:
                return _abort(state, f"the initial model could not be made: {event.error}")
            return _open(state, 1, _model(event))
        case Aggregating(round=number) if event.task_id == _task_id(number):
            if event.error is not None:
                return _abort(state, f"round {number} could not be averaged: {event.error}")
            return _close(state, _model(event))
        case Ended():
            return Step(state)
        case Preparing() | Collecting() | Aggregating() | Concluding() | Appraising():
            raise LocalProtocolError(
                f"task {event.task_id} ended in {type(state).__name__}, which has not asked"
            )


def _deadline(state: State, name: str) -> Step[State]:
    match state:
        case Collecting(round=number) if name == _timer(number):
            return _average(state, SILENT)
        case Concluding() if name == FINAL:
            return _finish(state, SILENT)
        case Preparing() | Collecting() | Aggregating() | Concluding() | Appraising() | Ended():
            return Step(state)  # it fired as we cancelled it


def _left(state: State, name: str, reason: str) -> Step[State]:
    if name not in state.seat.parties:
        raise LocalProtocolError(f"{name} left, but is not a party of this job")
    if isinstance(state, Appraising | Ended) or name in state.progress.gone:
        return Step(state)
    progress = replace(state.progress, gone={**state.progress.gone, name: reason})
    match state:
        case Preparing() | Aggregating():
            return Step(replace(state, progress=progress))  # counted when the next round opens
        case Collecting():
            return _proceed(replace(state, progress=progress))
        case Concluding():
            return _conclude(replace(state, progress=progress))


# -- a round ------------------------------------------------------------------------------------------------


def _open(state: Preparing | Aggregating, number: int, model: GlobalModel) -> Step[State]:
    seat, progress = state.seat, state.progress
    present = _present(state)
    if len(present) < seat.settings.quorum:
        return _too_few_left(state, f"round {number}")
    opened = RoundOpened(number, model.digest, model.parameters)
    sends = tuple(Send(party, opened) for party in present)
    timer = SetTimer(_timer(number), seat.settings.round_deadline_s)
    return Step(Collecting(seat, progress, number, model, {}), (*sends, timer))


def _proceed(state: Collecting) -> Step[State]:
    """Go on at once if nobody is left to wait for, or if too few can still come."""
    waiting = [party for party in _present(state) if party not in state.updates]
    if waiting and len(state.updates) + len(waiting) >= state.seat.settings.quorum:
        return Step(state)
    return _average(state, PENDING)


def _average(state: Collecting, silence: str) -> Step[State]:
    seat, number = state.seat, state.round
    participants = tuple(sorted(state.updates))
    missing = _absence(state, participants, silence)
    if len(participants) < seat.settings.quorum:
        return _too_few(state, f"round {number}", participants, missing, CancelTimer(_timer(number)))
    updates = [state.updates[party] for party in participants]
    evaluation = pooled([update.evaluation for update in updates])
    rows = {**state.progress.rows, **{party: state.updates[party].rows for party in participants}}
    progress = replace(state.progress, rows=rows).after(evaluation.loss, seat.settings.tol)
    parameters, counts = tuple(each.parameters for each in updates), tuple(each.rows for each in updates)
    tasks = [
        Compute(
            _task_id(number),
            AGGREGATE,
            Contributions(parameters, counts),
            derived_seed(seat.seed, AGGREGATE, number),
        )
    ]
    if seat.valued:
        progress = progress.asking(number)
        held = RoundToValue(number, state.model.parameters, participants, parameters, counts)
        tasks.append(Compute(_value_id(number), VALUE, held, derived_seed(seat.seed, VALUE, number)))
    evaluated = Record(ModelEvaluated(number - 1, state.model.digest, evaluation))
    return Step(
        Aggregating(seat, progress, number, participants, missing),
        (CancelTimer(_timer(number)), evaluated, *tasks),
    )


def _close(state: Aggregating, model: GlobalModel) -> Step[State]:
    settings = state.seat.settings
    closed = Record(RoundClosed(state.round, model.digest, state.participants, state.missing))
    valued = tuple(Record(each) for each in state.progress.early)
    state = replace(state, progress=replace(state.progress, early=()))
    settled = 0 < settings.patience <= state.progress.stale
    if state.round < settings.rounds and not settled:
        following = _open(state, state.round + 1, model)
    else:
        following = _publish(state, model)
    keep = Keep(Checkpoint(state.round, model.digest, model.parameters))
    return replace(following, effects=(closed, *valued, keep, *following.effects))


def _valued(state: Running | Appraising, number: int, event: Computed) -> Step[State]:
    """Record what a round's coalitions are worth, once that round is closed."""
    if event.error is not None:
        return _abort(state, f"round {number} could not be valued: {event.error}")
    valuation = event.result
    if not isinstance(valuation, Valuation) or valuation.round != number:
        raise LocalProtocolError(f"{event.task_id} gave {type(valuation).__name__}, not its Valuation")
    progress = state.progress.valued(valuation)
    match state:
        case Aggregating(round=unclosed) if unclosed == number:
            return Step(replace(state, progress=replace(progress, early=(valuation,))))
        case Appraising() if not progress.valuing:
            done = replace(state.done, contributions=progress.contributions)
            return Step(Ended(state.seat), (Record(valuation), Finish(done)))
        case Preparing() | Collecting() | Aggregating() | Concluding() | Appraising():
            return Step(replace(state, progress=progress), (Record(valuation),))


# -- the end ------------------------------------------------------------------------------------------------


def _publish(state: Aggregating, model: GlobalModel) -> Step[State]:
    present = _present(state)
    if len(present) < state.seat.settings.quorum:
        return _too_few_left(state, "the final evaluation")
    ready = ModelReady(model.digest, model.parameters)
    sends = tuple(Send(party, ready) for party in present)
    timer = SetTimer(FINAL, state.seat.settings.round_deadline_s)
    return Step(Concluding(state.seat, state.progress, state.round, model, {}), (*sends, timer))


def _conclude(state: Concluding) -> Step[State]:
    waiting = [party for party in _present(state) if party not in state.evaluations]
    if waiting and len(state.evaluations) + len(waiting) >= state.seat.settings.quorum:
        return Step(state)
    return _finish(state, PENDING)


def _finish(state: Concluding, silence: str) -> Step[State]:
    parties = tuple(sorted(state.evaluations))
    if len(parties) < state.seat.settings.quorum:
        missing = _absence(state, parties, silence)
        return _too_few(state, "the final evaluation", parties, missing, CancelTimer(FINAL))
    evaluation = pooled([state.evaluations[party] for party in parties])
    model, progress = state.model, state.progress
    done = TrainingDone(
        model.parameters, model.digest, state.round, evaluation, progress.rows, progress.contributions
    )
    concluded = (CancelTimer(FINAL), Record(ModelEvaluated(state.round, model.digest, evaluation)))
    if progress.valuing:
        return Step(Appraising(state.seat, progress, state.round, done), concluded)
    return Step(Ended(state.seat), (*concluded, Finish(done)))


def _too_few(
    state: Running, what: str, answered: tuple[str, ...], missing: Mapping[str, str], *before: Effect
) -> Step[State]:
    settings = state.seat.settings
    absent = "; ".join(f"{party} ({why})" for party, why in missing.items())
    reason = (
        f"{what}: {len(answered)} of {len(state.seat.parties)} parties answered, "
        f"the quorum is {settings.quorum}; missing: {absent}"
    )
    return Step(Ended(state.seat), (*before, Abort(reason, tuple(missing))))


def _too_few_left(state: Running, what: str) -> Step[State]:
    """Abort before asking anybody; only those that left are to blame."""
    seat, gone = state.seat, state.progress.gone
    left = "; ".join(f"{party} ({gone[party]})" for party in sorted(gone))
    count = len(seat.parties)
    return _abort(
        state,
        f"{what}: {count - len(gone)} of {count} parties remain, the quorum is {seat.settings.quorum}; "
        f"left: {left}",
        tuple(sorted(gone)),
    )


def _abort(state: State, reason: str, missing: tuple[str, ...] = ()) -> Step[State]:
    return Step(Ended(state.seat), (Abort(reason, missing),))


# -- small questions ----------------------------------------------------------------------------------------


def _present(state: Running) -> tuple[str, ...]:
    return tuple(party for party in state.seat.parties if party not in state.progress.gone)


def _absence(state: Running, answered: tuple[str, ...], silence: str) -> dict[str, str]:
    """Say of each party that has not answered why; ``silence`` if it hasn't left."""
    reasons = {}
    for party in state.seat.parties:
        if party in answered:
            continue
        gone = state.progress.gone.get(party)
        reasons[party] = silence if gone is None else f"left: {gone}"
    return reasons


def _check_present(state: Collecting | Concluding, sender: str) -> None:
    if sender in state.progress.gone:
        raise PeerError(f"{sender} left earlier: {state.progress.gone[sender]}")


def _check_update(state: Collecting, sender: str, update: Update) -> None:
    if sender in state.updates:
        raise PeerError(f"{sender} sent its update of round {update.round} twice")
    if not 1 <= update.rows <= MOST_ROWS:
        raise PeerError(f"{sender} trained on {update.rows} rows; a party has 1 to {MOST_ROWS}")
    registered = state.seat.registered.get(sender, MOST_ROWS)
    if update.rows > registered:
        raise Overstated(f"{sender} trained on {update.rows} rows, it says, and has registered {registered}")
    try:
        check_parameters(update.parameters, state.model.parameters)
    except ValueError as error:
        raise PeerError(f"{sender}'s update of round {update.round}: {error}") from error
    _check_metric(sender, update.evaluation, {name: each.evaluation for name, each in state.updates.items()})


def _check_metric(sender: str, evaluation: Evaluation, others: Mapping[str, Evaluation]) -> None:
    for other, known in others.items():
        if known.metric != evaluation.metric:
            raise PeerError(f"{sender} measured {evaluation.metric}, but {other} {known.metric}")


def _model(event: Computed) -> GlobalModel:
    if not isinstance(event.result, GlobalModel):
        raise LocalProtocolError(f"{event.task_id} gave {type(event.result).__name__}, not GlobalModel")
    return event.result


def awaited(state: State) -> Awaited:
    """Return what the aggregator waits for, and for whom."""
    match state:
        case Preparing():
            return Awaited("the initial model")
        case Collecting(round=number):
            return Awaited(f"round {number}", tuple(p for p in _present(state) if p not in state.updates))
        case Aggregating(round=number):
            return Awaited(f"the average of round {number}")
        case Concluding():
            waiting = tuple(p for p in _present(state) if p not in state.evaluations)
            return Awaited("the final evaluation", waiting)
        case Appraising():
            return Awaited(f"the valuation of {_rounds(state.progress.valuing)}")
        case Ended():
            return ENDED


def _rounds(numbers: tuple[int, ...]) -> str:
    named = ", ".join(str(number) for number in numbers)
    return f"round{'s' if len(numbers) > 1 else ''} {named}"


def _task_id(number: int) -> str:
    return f"round-{number}/aggregate"


def _value_id(number: int) -> str:
    return f"round-{number}/value"


def _timer(number: int) -> str:
    return f"round-{number}/deadline"


SPEC: RoleSpec[State] = RoleSpec(
    begin, step, (Preparing, Collecting, Aggregating, Concluding, Appraising, Ended), awaited
)
