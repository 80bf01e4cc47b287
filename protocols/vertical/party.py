"""Guest and hosts: from one's own rows to one's own coefficients.

::

    begin --> Inspecting --rows fit--> Enrolled --key--> Working --all blocks folded--> Masking --> Unmasking
                                           |               ^                                           |
                                           |               |----next round-----------------------------|
                                           |               '----next epoch------ Closing <--opened-----'
                                           |                                        | last verdict
                                           '--nothing left to train--> Concluding <-'
                                                                           '--> Parting --closed--> Ended

The guest also gathers everybody's part of the loss in Closing. What leads to the first round is in `enrolling`,
what follows the last one in `closing`. A party that crashes goes on from its last state; for one that is gone see
`patience`. A host may be a round ahead of the guest, or have its key before it.
"""

from dataclasses import replace

from hansa.protocols.errors import LocalProtocolError, PeerError
from hansa.protocols.machine import (
    Abort,
    Computed,
    Effect,
    Event,
    Keep,
    PeerLeft,
    Received,
    Record,
    RoleSpec,
    Send,
    Step,
    TimerFired,
)
from hansa.protocols.vertical import closing, enrolling
from hansa.protocols.vertical.concluding import Concluded
from hansa.protocols.vertical.course import check_place
from hansa.protocols.vertical.frames import check_frame
from hansa.protocols.vertical.job import Ended
from hansa.protocols.vertical.messages import (
    Closed,
    EpochClosed,
    Key,
    LossSum,
    LossTerm,
    Masked,
    MaskKey,
    Message,
    Opened,
    Residual,
    Scores,
    Waiting,
    check_session,
)
from hansa.protocols.vertical.outcome import EpochEnded
from hansa.protocols.vertical.patience import abandoned, excused, fired, wound_up
from hansa.protocols.vertical.rounds import next_round, with_ready_blocks, with_residual, with_total
from hansa.protocols.vertical.stages import (
    STATES,
    Closing,
    Concluding,
    Enrolled,
    Inspecting,
    Masking,
    Parting,
    Running,
    State,
    Training,
    Unmasking,
    Working,
    awaited,
    patience_of,
    seat_of,
)
from hansa.protocols.vertical.tasks import Frame, Inspected, Partial, Sealed


def step(state: State, event: Event) -> Step[State]:
    """Return the next state and its effects.

    Raises:
        PeerError: a message from a stranger, of another kind or session, out of turn, or that can't be.
        LocalProtocolError: a task that nobody asked for, a result of another type, or somebody left who never
            took part.
    """
    if isinstance(state, Ended):
        return Step(state)
    match event:
        case Received(sender, Waiting() as message) if sender in (
            *seat_of(state).parties,
            seat_of(state).arbiter,
        ):
            check_session(seat_of(state), sender, message)
            return _excused(state, sender)
        case Received(sender, message):
            return _patient(_received(state, sender, message))
        case Computed():
            return _patient(_computed(state, event))
        case TimerFired(name):
            return _timer(state, name)
        case PeerLeft(name, reason):
            if name not in (*seat_of(state).parties, seat_of(state).arbiter):
                raise LocalProtocolError(f"{name} left, but is not in this job")
            return abandoned(seat_of(state), f"{name} left: {reason}")


# -- messages -----------------------------------------------------------------------------------------------


def _received(state: Inspecting | Enrolled | Running, sender: str, message: object) -> Step[State]:
    seat = seat_of(state)
    if not isinstance(message, Message):
        raise PeerError(f"{sender} sent {type(message).__name__}, which is no message of this protocol")
    check_session(seat, sender, message)
    if isinstance(message, MaskKey) and sender in seat.parties and sender != seat.me:
        return enrolling.mask_key(state, sender, message)
    if seat.me == seat.guest and sender in seat.hosts and isinstance(state, Enrolled | Running):
        match message, state:
            case Scores(), Enrolled():
                return enrolling.early_scores(state, sender, message)
            case Scores(), Working() | Masking() | Unmasking() | Closing():
                return _scores(state, sender, message)
            case LossTerm(), Working() | Masking() | Unmasking() | Closing():
                return _term(state, sender, message)
    if sender == seat.guest and isinstance(message, Residual) and isinstance(state, Working):
        return _residual(state, sender, message)
    if sender == seat.arbiter:
        match message, state:
            case Key(), Enrolled():
                return enrolling.key(state, sender, message)
            case Opened(), Unmasking():
                return _opened(state, sender, message)
            case EpochClosed(), Closing():
                return _epoch_closed(state, sender, message)
            case Closed(), Parting():
                return closing.closed(state, sender, message)
    raise PeerError(f"{sender} sent {type(message).__name__} while {type(state).__name__}")


def _scores(state: Training, sender: str, message: Scores) -> Step[State]:
    course = state.course
    ahead = int(message.round == course.round + 1)
    check_place(course.seat, course.rows, course.round + ahead, sender, message)
    if not ahead and (not isinstance(state, Working) or message.block in state.begun):
        raise PeerError(f"{sender} sent block {message.block} of round {message.round} again")
    inbox = course.inbox.taking(sender, message)
    return with_ready_blocks(replace(state, course=replace(course, inbox=inbox)))


def _residual(state: Working, sender: str, message: Residual) -> Step[State]:
    course = state.course
    check_place(course.seat, course.rows, course.round, sender, message)
    if message.block in state.begun:
        raise PeerError(f"{sender} sent block {message.block} of round {message.round} again")
    return with_residual(replace(state, begun=(*state.begun, message.block)), message)


def _opened(state: Unmasking, sender: str, message: Opened) -> Step[State]:
    course = state.course
    if message.round != course.round:
        raise PeerError(f"{sender} opened round {message.round} in round {course.round}")
    moved = course.stepped(message.residues)
    if course.is_last_of_epoch:
        return with_total(Closing(moved))
    return next_round(replace(moved, round=course.round + 1))


def _term(state: Training, sender: str, message: LossTerm) -> Step[State]:
    course = state.course
    if message.epoch != course.epoch or not course.is_last_of_epoch or sender in course.inbox.terms:
        raise PeerError(f"{sender} sent its part of epoch {message.epoch}'s loss in round {course.round}")
    check_frame(sender, message.frame, 1, course.seat.settings.key_bits)
    inbox = replace(course.inbox, terms={**course.inbox.terms, sender: message.frame})
    changed = replace(state, course=replace(course, inbox=inbox))
    return with_total(changed) if isinstance(changed, Closing) else Step(changed)


def _epoch_closed(state: Closing, sender: str, message: EpochClosed) -> Step[State]:
    course = state.course
    seat = course.seat
    if message.epoch != course.epoch or (message.loss is not None) != seat.settings.show_loss:
        raise PeerError(
            f"{sender} closed epoch {message.epoch} in epoch {course.epoch}, or against the job's rule"
        )
    mine = seat.me == seat.guest
    noted: tuple[Effect, ...] = (
        (Record(EpochEnded(message.epoch, message.loss, message.verdict)),) if mine else ()
    )
    if message.verdict == "distorted":
        aborted = abandoned(seat, f"the residuals of epoch {message.epoch + 1} have jumped")
        return Step(aborted.state, (*noted, *aborted.effects))
    ended, checkpoint = course.epoch_ended(message.loss)
    over = message.verdict in ("converged", "last")
    onward = closing.concluding(ended) if over else next_round(replace(ended, round=ended.round + 1))
    return Step(onward.state, (*noted, Keep(checkpoint), *onward.effects))


# -- tasks --------------------------------------------------------------------------------------------------


def _computed(state: State, event: Computed) -> Step[State]:
    function, result = event.task_id.split("/")[0], event.result
    if event.error is not None:
        return abandoned(seat_of(state), f"{function}: {event.error}")
    match function, result, state:
        case "inspect", Inspected(), Inspecting():
            return enrolling.enrolled(state, result)
        case "score", Frame(), Working():
            return _sent_scores(state, event.task_id, result)
        case "residual", Frame(), Working():
            return _sent_residual(state, event.task_id, result)
        case "fold", Partial(), Working():
            return _folded(state, result)
        case "seal", Sealed(), Masking():
            return _sealed(state, result)
        case "total", Frame(), Closing():
            seat, epoch = state.course.seat, state.course.epoch
            return Step(state, (Send(seat.arbiter, LossSum(seat.session, epoch, result.frame)),))
        case "conclude", Concluded(), Concluding():
            return closing.parting(state, result)
    raise LocalProtocolError(
        f"task {event.task_id} gave {type(result).__name__} while {type(state).__name__}"
    )


def _sent_scores(state: Working, task_id: str, result: Frame) -> Step[State]:
    seat, course = state.course.seat, state.course
    block = int(task_id.rsplit("/", 1)[1])
    return Step(state, (Send(seat.guest, Scores(seat.session, course.round, block, result.frame)),))


def _sent_residual(state: Working, task_id: str, result: Frame) -> Step[State]:
    seat, course = state.course.seat, state.course
    block = int(task_id.rsplit("/", 1)[1])
    message = Residual(seat.session, course.round, block, result.frame)
    onward = with_residual(state, message)
    return Step(onward.state, (*(Send(host, message) for host in seat.hosts), *onward.effects))


def _folded(state: Working, result: Partial) -> Step[State]:
    partials = (*state.partials, result)
    if len(partials) < state.course.foldings:
        return Step(replace(state, partials=partials))
    return Step(Masking(state.course), (state.course.sealing(partials),))


def _sealed(state: Masking, result: Sealed) -> Step[State]:
    course = state.course
    seat = course.seat
    sends: tuple[Effect, ...] = (Send(seat.arbiter, Masked(seat.session, course.round, result.frame)),)
    if course.is_last_of_epoch and seat.me != seat.guest:
        sends = (*sends, Send(seat.guest, LossTerm(seat.session, course.epoch, result.term)))
    return Step(Unmasking(replace(course, loss=result.loss)), sends)


# -- on the way ---------------------------------------------------------------------------------------------


def _patient(done: Step[State]) -> Step[State]:
    """Something has happened: whoever is awaited gets the whole time again."""
    if isinstance(done.state, Ended):
        return done
    return Step(done.state, (*done.effects, *wound_up(seat_of(done.state), patience_of(done.state))))


def _excused(state: State, sender: str) -> Step[State]:
    """Give one that only waits for others the whole time again, and pass the word on."""
    waiting = awaited(state)
    if sender not in waiting.whom:
        return Step(state)
    return Step(state, excused(seat_of(state), patience_of(state), _round_of(state), waiting))


def _round_of(state: State) -> int:
    return state.course.round if isinstance(state, Running) else 0


def _timer(state: State, name: str) -> Step[State]:
    effects = fired(seat_of(state), patience_of(state), name, _round_of(state), awaited(state))
    over = any(isinstance(effect, Abort) for effect in effects)
    return Step(Ended(seat_of(state)) if over else state, effects)


GUEST_SPEC: RoleSpec[State] = RoleSpec(enrolling.begin_guest, step, STATES, awaited)
HOST_SPEC: RoleSpec[State] = RoleSpec(enrolling.begin_host, step, STATES, awaited)
