"""What do all three roles do alike? Check who speaks, keep the timers wound, and end when somebody has left."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from hansa.protocols.errors import LocalProtocolError
from hansa.protocols.inference.job import ENDED, Ended, Seat
from hansa.protocols.inference.messages import Message, Waiting, checked
from hansa.protocols.inference.patience import aborted, excused, fired, stopped, wound_up
from hansa.protocols.machine import (
    Awaited,
    Computed,
    Effect,
    Event,
    Finish,
    PeerLeft,
    Received,
    Step,
    TimerFired,
)


class Running(Protocol):
    """A state of a role that has not ended."""

    @property
    def seat(self) -> Seat:
        """Who we are."""
        ...


RunningT = TypeVar("RunningT", bound=Running)


@dataclass(frozen=True, slots=True)
class Conduct(Generic[RunningT]):
    """A role, as far as it differs from the others.

    Attributes:
        received: what a message of this job, not ``Waiting``, leads to; raises PeerError.
        computed: what the end of a task leads to, error or not; raises LocalProtocolError.
        waiting: what for and for whom a state waits.
        patience: a state's, see `patience`.
    """

    received: Callable[[RunningT, str, Message], Step[RunningT | Ended]]
    computed: Callable[[RunningT, Computed], Step[RunningT | Ended]]
    waiting: Callable[[RunningT], Awaited]
    patience: Callable[[RunningT], int]

    def begin(self, state: RunningT, effects: tuple[Effect, ...] = ()) -> Step[RunningT | Ended]:
        """Return a role's first step, its timers wound up."""
        return self._patient(Step(state, effects))

    def step(self, state: RunningT | Ended, event: Event) -> Step[RunningT | Ended]:
        """Return the next state and its effects.

        Raises:
            PeerError: a message from a stranger, of another kind or session, out of turn, or that can't be.
            LocalProtocolError: a task that nobody asked for, a result of another type, or somebody left who never
                took part.
        """
        if isinstance(state, Ended):
            return Step(state)
        seat = state.seat
        match event:
            case Received(sender, content):
                message = checked(seat, sender, content)
                if isinstance(message, Waiting):
                    return excused(state, seat, sender, self.waiting(state), self.patience(state))
                return self._patient(self.received(state, sender, message))
            case Computed(task_id, _, error) if error is not None:
                return aborted(seat, f"{task_id}: {error}")
            case Computed():
                return self._patient(self.computed(state, event))
            case TimerFired(name):
                return fired(state, seat, name, self.waiting(state), self.patience(state))
            case PeerLeft(name, reason):
                if name not in seat.everybody:
                    raise LocalProtocolError(f"{name} left, but is not in this job")
                return aborted(seat, f"{name} left: {reason}")

    def awaited(self, state: RunningT | Ended) -> Awaited:
        """Return what a role waits for, and for whom."""
        return ENDED if isinstance(state, Ended) else self.waiting(state)

    def _patient(self, done: Step[RunningT | Ended]) -> Step[RunningT | Ended]:
        """Something has happened: whoever is awaited gets the whole time again."""
        if isinstance(done.state, Ended):
            return done
        return Step(done.state, (*done.effects, *wound_up(done.state.seat, self.patience(done.state))))


def unasked(state: Running, event: Computed) -> LocalProtocolError:
    """Return the error that names a task's result which a state has not asked for."""
    return LocalProtocolError(
        f"task {event.task_id} gave {type(event.result).__name__} while {type(state).__name__}"
    )


def finished(seat: Seat, result: object, effects: tuple[Effect, ...] = ()) -> Step[Ended]:
    """Return the end of a role that is done, after these effects."""
    return Step(Ended(seat), (*effects, *stopped(), Finish(result)))
