"""The party of federated averaging: train on whatever model the aggregator opens a round with.

::

    begin --> Waiting --RoundOpened--> Training --Computed--> Waiting ...
                 '------ModelReady--> Evaluating --Computed--> Ended
"""

from dataclasses import dataclass

from hansa.protocols.errors import LocalProtocolError, PeerError
from hansa.protocols.horizontal.fedavg import (
    ENDED,
    PARTY,
    Ended,
    Evaluated,
    ModelReady,
    ModelReceived,
    RoundOpened,
    Seat,
    Update,
    derived_seed,
)
from hansa.protocols.horizontal.tasks import EVALUATE, TRAIN, GlobalModel, Trained
from hansa.protocols.machine import (
    Abort,
    Awaited,
    Brief,
    CancelTimer,
    Compute,
    Computed,
    Event,
    Finish,
    PeerLeft,
    Received,
    RoleSpec,
    Send,
    SetTimer,
    Step,
    TimerFired,
)
from hansa.protocols.model import Evaluation


@dataclass(frozen=True, slots=True)
class Waiting:
    """Round ``round`` is done (0: none yet); the aggregator has the word."""

    seat: Seat
    round: int


@dataclass(frozen=True, slots=True)
class Training:
    """The task of this round is running."""

    seat: Seat
    round: int


@dataclass(frozen=True, slots=True, eq=False)
class Evaluating:
    """The final model is here; its evaluation is running."""

    seat: Seat
    model: GlobalModel


State = Waiting | Training | Evaluating | Ended


def begin(brief: Brief) -> Step[State]:
    """Wait for the first round."""
    seat = Seat.take(brief, PARTY)
    return Step(Waiting(seat, 0), (_listen(seat, 0),))


def step(state: State, event: Event) -> Step[State]:
    """Return the next state and its effects.

    Raises:
        PeerError: a message from somebody other than the aggregator, of a kind that isn't for parties, or of
            a round that is over or never comes.
        LocalProtocolError: a task's result is of another type.
    """
    match event:
        case Received(sender, _) if sender != state.seat.coordinator:
            raise PeerError(f"{sender} is not the aggregator {state.seat.coordinator}")
        case Received(_, RoundOpened() as opened):
            return _open(state, opened)
        case Received(_, ModelReady(digest, parameters)):
            return _evaluate(state, GlobalModel(digest, parameters))
        case Received(sender, message):
            raise PeerError(f"{sender} sent {type(message).__name__}, which is not for parties")
        case Computed():
            return _computed(state, event)
        case TimerFired(name):
            return _silence(state, name)
        case PeerLeft(name, reason):
            if name != state.seat.coordinator or isinstance(state, Ended):
                return Step(state)
            return _abort(state, f"aggregator {name} left: {reason}")


def _open(state: State, opened: RoundOpened) -> Step[State]:
    seat, number = state.seat, opened.round
    match state:
        case Waiting(round=latest) | Training(round=latest):
            if not latest < number <= seat.settings.rounds:
                raise PeerError(f"round {number} of {seat.settings.rounds} was opened after round {latest}")
            task = Compute(
                _task_id(number),
                TRAIN,
                GlobalModel(opened.digest, opened.parameters),
                derived_seed(seat.seed, seat.me, number),
            )
            # While we train the aggregator may rightly be silent, so our patience starts with our answer.
            return Step(Training(seat, number), (CancelTimer(_timer(latest)), task))
        case Evaluating():
            raise PeerError(f"round {number} was opened after the final model")
        case Ended():
            return Step(state)


def _evaluate(state: State, model: GlobalModel) -> Step[State]:
    match state:
        case Waiting(seat, latest) | Training(seat, latest):
            task = Compute(EVALUATE, EVALUATE, model, derived_seed(seat.seed, seat.me, EVALUATE))
            return Step(Evaluating(seat, model), (CancelTimer(_timer(latest)), task))
        case Evaluating():
            raise PeerError("the final model arrived twice")
        case Ended():
            return Step(state)


def _computed(state: State, event: Computed) -> Step[State]:
    match state:
        case Training(seat, number) if event.task_id == _task_id(number):
            if event.error is not None:
                return _abort(state, f"training failed in round {number}: {event.error}")
            if not isinstance(event.result, Trained):
                raise LocalProtocolError(f"{TRAIN} gave {type(event.result).__name__}, not Trained")
            trained = event.result
            update = Update(number, trained.parameters, trained.rows, trained.evaluation)
            return Step(Waiting(seat, number), (Send(seat.coordinator, update), _listen(seat, number)))
        case Evaluating(seat, model) if event.task_id == EVALUATE:
            if event.error is not None:
                return _abort(state, f"the final model's evaluation failed: {event.error}")
            if not isinstance(event.result, Evaluation):
                raise LocalProtocolError(f"{EVALUATE} gave {type(event.result).__name__}, not Evaluation")
            result = ModelReceived(model.parameters, model.digest, event.result)
            return Step(Ended(seat), (Send(seat.coordinator, Evaluated(event.result)), Finish(result)))
        case Waiting() | Training() | Evaluating() | Ended():
            return Step(state)  # of a round that a newer one, or the final model, has superseded


def _silence(state: State, name: str) -> Step[State]:
    match state:
        case Waiting(seat, latest) if name == _timer(latest):
            heard = f"since round {latest}" if latest else "from the start"
            return _abort(
                state, f"aggregator {seat.coordinator} was silent {heard} for {seat.settings.silence_s:g} s"
            )
        case Waiting() | Training() | Evaluating() | Ended():
            return Step(state)  # it fired as we cancelled it


def _listen(seat: Seat, number: int) -> SetTimer:
    return SetTimer(_timer(number), seat.settings.silence_s)


def _abort(state: State, reason: str) -> Step[State]:
    return Step(Ended(state.seat), (Abort(reason),))


def _task_id(number: int) -> str:
    return f"round-{number}/train"


def _timer(number: int) -> str:
    # The round in the name tells a timer that fired while being cancelled from the one that now counts.
    return f"round-{number}/silence"


def awaited(state: State) -> Awaited:
    """Return what the party waits for, and for whom."""
    match state:
        case Waiting(seat, 0):
            return Awaited("the first round", (seat.coordinator,))
        case Waiting(seat, latest):
            return Awaited(f"what follows round {latest}", (seat.coordinator,))
        case Training(_, number):
            return Awaited(f"our training in round {number}")
        case Evaluating():
            return Awaited("our evaluation of the final model")
        case Ended():
            return ENDED


SPEC: RoleSpec[State] = RoleSpec(begin, step, (Waiting, Training, Evaluating, Ended), awaited)
