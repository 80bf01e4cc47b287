"""Where is a party on its way, and for whom does it wait?"""

from dataclasses import dataclass, field

from hansa.protocols.machine import Awaited
from hansa.protocols.vertical.concluding import Concluded
from hansa.protocols.vertical.course import Course, Inbox, Own
from hansa.protocols.vertical.job import ENDED, Ended, Seat
from hansa.protocols.vertical.messages import Residual
from hansa.protocols.vertical.outcome import EpochState, PartyCheckpoint
from hansa.protocols.vertical.patience import FIRST_HAND, GUEST_PATIENCE, HOST_PATIENCE
from hansa.protocols.vertical.tasks import Partial


@dataclass(frozen=True, slots=True)
class Inspecting:
    """Our rows are being looked at.

    Attributes:
        kept: what we have of the job that this one goes on from.
        keys: of our peers, for masks between two; so far.
    """

    seat: Seat
    secret: bytes = field(repr=False)
    kept: PartyCheckpoint | None
    keys: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Our rows are fit, and the key is to come.

    Attributes:
        starts: where we could begin, of which the arbiter chooses.
        inbox, keys: as in ``Course``.
    """

    own: Own
    starts: tuple[EpochState, ...]
    inbox: Inbox
    keys: dict[str, bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Working:
    """A batch is under way, block by block.

    Attributes:
        begun: blocks whose residuals have come, or (guest) are being made.
        residuals: those that wait for the batch's others.
        partials: what tasks have made of residuals.
    """

    course: Course
    begun: tuple[int, ...] = ()
    residuals: tuple[Residual, ...] = field(default=(), repr=False)
    partials: tuple[Partial, ...] = ()


@dataclass(frozen=True, slots=True)
class Masking:
    """The batch's gradient is being masked."""

    course: Course


@dataclass(frozen=True, slots=True)
class Unmasking:
    """The arbiter has our masked gradient."""

    course: Course


@dataclass(frozen=True, slots=True)
class Closing:
    """The epoch is over, and its verdict is to come."""

    course: Course


@dataclass(frozen=True, slots=True)
class Concluding:
    """Training is over. Once all peers' keys for masks are here, the end is computed."""

    course: Course


@dataclass(frozen=True, slots=True)
class Parting:
    """The arbiter has all that it needs of us to close the job."""

    course: Course
    done: Concluded


Training = Working | Masking | Unmasking | Closing
Running = Training | Concluding | Parting
State = Inspecting | Enrolled | Running | Ended
STATES = (Inspecting, Enrolled, Working, Masking, Unmasking, Closing, Concluding, Parting, Ended)


def seat_of(state: State) -> Seat:
    """Return who we are, whatever the state."""
    if isinstance(state, Enrolled):
        return state.own.seat
    return state.course.seat if isinstance(state, Running) else state.seat


def patience_of(state: State) -> int:
    """Return how patient a party is, as a multiple of the job's times: see `patience`."""
    match state:
        case Unmasking() | Concluding():
            return FIRST_HAND
        case Working() | Masking() | Closing() if state.course.seat.me == state.course.seat.guest:
            return GUEST_PATIENCE
    return HOST_PATIENCE


def awaited(state: State) -> Awaited:
    """Return what a party waits for, and for whom."""
    seat = seat_of(state)
    match state:
        case Inspecting():
            return Awaited("our rows")
        case Enrolled():
            return Awaited("the key", (seat.arbiter,))
        case Working(course, begun):
            return Awaited(f"round {course.round}", _awaited_at_work(course, begun))
        case Masking(course):
            return Awaited(f"round {course.round}'s gradient")
        case Unmasking(course):
            return Awaited(f"round {course.round}'s gradient", (seat.arbiter,))
        case Closing(course):
            owing = tuple(host for host in seat.hosts if host not in course.inbox.terms)
            owing = owing if seat.me == seat.guest else ()
            return Awaited(f"epoch {course.epoch + 1}'s verdict", owing or (seat.arbiter,))
        case Concluding(course):
            return Awaited("keys for masks", course.without_key)
        case Parting():
            return Awaited("the end", (seat.arbiter,))
        case Ended():
            return ENDED


def _awaited_at_work(course: Course, begun: tuple[int, ...]) -> tuple[str, ...]:
    seat = course.seat
    open_blocks = [block for block in range(course.blocks) if block not in begun]
    if seat.me != seat.guest:
        return (seat.guest,) if open_blocks else ()
    have = [course.inbox.of(course.round, block) for block in open_blocks]
    return tuple(host for host in seat.hosts if any(host not in frames for frames in have))
