"""Guest and hosts: from one's own rows to one's own coefficients.

::

    begin --> Inspecting --rows fit--> Enrolled --key--> Working --all blocks folded--> Sealed
                                                           ^  '--last of its epoch---.   |
                                                           |                         |   v
                                                           '---next round----------- Awaiting Opened
                                                           '---next epoch--- Closing <---'
                                                                                '--verdict--> Ended

The guest also gathers everybody's part of the loss in Closing. A party that crashes goes on from its last state;
for one that is gone see `patience`. A host may be a round ahead of the guest, or have its key before it.
"""

from dataclasses import replace

from hansa.protocols.crypto import PublicKey
from hansa.protocols.crypto.errors import KeyRefused
from hansa.protocols.errors import LocalProtocolError, PeerError
from hansa.protocols.machine import (
    Abort,
    Brief,
    Compute,
    Computed,
    Effect,
    Event,
    Finish,
    PeerLeft,
    Received,
    Record,
    RoleSpec,
    Send,
    Step,
    TimerFired,
)
from hansa.protocols.vertical.course import Course, Inbox, check_place
from hansa.protocols.vertical.errors import SmallBatch
from hansa.protocols.vertical.guard import check_batches
from hansa.protocols.vertical.job import (
    GUEST,
    HOST,
    Distorted,
    Ended,
    EpochEnded,
    OwnCoefficients,
    Seat,
    key_kind,
)
from hansa.protocols.vertical.messages import (
    EpochClosed,
    Key,
    LossSum,
    LossTerm,
    Masked,
    Message,
    Opened,
    Ready,
    Residual,
    Scores,
    Waiting,
    check_session,
)
from hansa.protocols.vertical.optimiser import Learner
from hansa.protocols.vertical.patience import (
    HOST_PATIENCE,
    excuse,
    fired,
    stopped,
    wound_up,
)
from hansa.protocols.vertical.stages import (
    STATES,
    Closing,
    Enrolled,
    Inspecting,
    Masking,
    Running,
    State,
    Unmasking,
    Working,
    awaited,
    patience_of,
    seat_of,
)
from hansa.protocols.vertical.tasks import (
    INSPECT,
    Frame,
    Inspected,
    Inspection,
    Partial,
    Sealed,
)


def begin_guest(brief: Brief) -> Step[State]:
    """Have our rows and labels looked at.

    Raises:
        LocalProtocolError: the brief does not fit the role.
    """
    return _begin(Seat.take(brief, GUEST), brief.secret)


def begin_host(brief: Brief) -> Step[State]:
    """Have our rows looked at.

    Raises:
        LocalProtocolError: the brief does not fit the role.
    """
    return _begin(Seat.take(brief, HOST), brief.secret)


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
            return _abort(state, f"{name} left: {reason}")


# -- set-up -------------------------------------------------------------------------------------------------


def _begin(seat: Seat, secret: bytes) -> Step[State]:
    look = Compute(INSPECT, INSPECT, Inspection(seat, secret), 0)
    return Step(Inspecting(seat, secret), (look, *wound_up(seat, HOST_PATIENCE)))


def _enrolled(state: Inspecting, found: Inspected) -> Step[State]:
    seat = state.seat
    ready = Ready(seat.session, found.rows, found.columns)
    return Step(
        Enrolled(seat, state.secret, found.rows, found.columns, found.theta, Inbox()),
        (Send(seat.arbiter, ready),),
    )


def _key(state: Enrolled, sender: str, message: Key) -> Step[State]:
    seat = state.seat
    if sorted(message.columns) != list(seat.parties) or (
        (message.rows, message.columns[seat.me]) != (state.rows, state.columns)
    ):
        raise PeerError(f"{sender} sent a key for other rows or parties than ours")
    _check_key(seat, sender, message.public)
    if seat.settings.guard:
        try:
            check_batches(seat.plan(state.rows), max(message.columns.values()))
        except SmallBatch as error:
            return _abort(state, f"SmallBatch: {error}")
    learner = Learner.at(state.theta)
    course = Course(seat, state.secret, message.public, state.rows, learner, 0, b"", (), state.inbox)
    return _next_round(course)


def _check_key(seat: Seat, sender: str, public: bytes) -> None:
    """Refuse a key that is weaker, or of another kind, than the job says."""
    try:
        key = PublicKey.from_bytes(public)
    except KeyRefused as error:
        raise PeerError(f"{sender} sent no key: {error}") from error
    if (key.kind, key.bits) != (key_kind(seat.settings), seat.settings.key_bits):
        raise PeerError(
            f"{sender} sent a {key.kind.name.lower()} key of {key.bits} bits; "
            f"the job says {seat.settings.key}, {seat.settings.key_bits}"
        )


# -- messages -----------------------------------------------------------------------------------------------


def _received(state: State, sender: str, message: object) -> Step[State]:
    seat = seat_of(state)
    if not isinstance(message, Message):
        raise PeerError(f"{sender} sent {type(message).__name__}, which is no message of this protocol")
    check_session(seat, sender, message)
    if seat.me == seat.guest and sender in seat.hosts and isinstance(state, Enrolled | Running):
        match message, state:
            case Scores(), Enrolled():
                check_place(seat, state.rows, 0, sender, message)
                return Step(replace(state, inbox=state.inbox.taking(sender, message)))
            case Scores(), Working() | Masking() | Unmasking() | Closing():
                return _scores(state, sender, message)
            case LossTerm(), Working() | Masking() | Unmasking() | Closing():
                return _term(state, sender, message)
    if sender == seat.guest and isinstance(message, Residual) and isinstance(state, Working):
        return _residual(state, sender, message)
    if sender == seat.arbiter:
        match message, state:
            case Key(), Enrolled():
                return _key(state, sender, message)
            case Opened(), Unmasking():
                return _opened(state, sender, message)
            case EpochClosed(), Closing():
                return _closed(state, sender, message)
    raise PeerError(f"{sender} sent {type(message).__name__} while {type(state).__name__}")


def _scores(state: Running, sender: str, message: Scores) -> Step[State]:
    course = state.course
    ahead = int(message.round == course.round + 1)
    check_place(course.seat, course.rows, course.round + ahead, sender, message)
    if not ahead and (not isinstance(state, Working) or message.block in state.begun):
        raise PeerError(f"{sender} sent block {message.block} of round {message.round} again")
    inbox = course.inbox.taking(sender, message)
    return _with_ready_blocks(replace(state, course=replace(course, inbox=inbox)))


def _residual(state: Working, sender: str, message: Residual) -> Step[State]:
    course = state.course
    check_place(course.seat, course.rows, course.round, sender, message)
    if message.block in state.begun:
        raise PeerError(f"{sender} sent block {message.block} of round {message.round} again")
    return Step(
        replace(state, begun=(*state.begun, message.block)), (course.folding(message.block, message.frame),)
    )


def _opened(state: Unmasking, sender: str, message: Opened) -> Step[State]:
    course = state.course
    if message.round != course.round:
        raise PeerError(f"{sender} opened round {message.round} in round {course.round}")
    moved = course.stepped(message.residues)
    if course.is_last_of_epoch:
        return _with_total(Closing(moved))
    return _next_round(replace(moved, round=course.round + 1))


def _term(state: Running, sender: str, message: LossTerm) -> Step[State]:
    course = state.course
    if message.epoch != course.epoch or not course.is_last_of_epoch or sender in course.inbox.terms:
        raise PeerError(f"{sender} sent its part of epoch {message.epoch}'s loss in round {course.round}")
    inbox = replace(course.inbox, terms={**course.inbox.terms, sender: message.frame})
    changed = replace(state, course=replace(course, inbox=inbox))
    return _with_total(changed) if isinstance(changed, Closing) else Step(changed)


def _closed(state: Closing, sender: str, message: EpochClosed) -> Step[State]:
    course = state.course
    seat, losses = course.seat, course.losses
    if message.epoch != course.epoch or (message.loss is not None) != seat.settings.show_loss:
        raise PeerError(
            f"{sender} closed epoch {message.epoch} in epoch {course.epoch}, or against the job's rule"
        )
    told = losses if message.loss is None else (*losses, message.loss)
    mine = seat.me == seat.guest
    noted: tuple[Effect, ...] = (
        (Record(EpochEnded(message.epoch, message.loss, message.verdict)),) if mine else ()
    )
    match message.verdict:
        case "distorted":
            before = min(losses) if losses else None
            proof = (Record(Distorted(message.epoch, message.loss, before)),) if mine else ()
            aborted = _abort(state, f"the residuals of epoch {message.epoch} have jumped")
            return Step(aborted.state, (*noted, *proof, *aborted.effects))
        case "converged" | "last":
            done = Finish(_coefficients(course, told))
            return Step(Ended(seat), (*noted, *stopped(), done))
        case "improved" | "stalled":
            inbox = replace(course.inbox, terms={})
            onward = _next_round(replace(course, round=course.round + 1, loss=b"", losses=told, inbox=inbox))
            return Step(onward.state, (*noted, *onward.effects))


# -- tasks --------------------------------------------------------------------------------------------------


def _computed(state: State, event: Computed) -> Step[State]:
    function, result = event.task_id.split("/")[0], event.result
    if event.error is not None:
        return _abort(state, f"{function}: {event.error}")
    match function, result, state:
        case "inspect", Inspected(), Inspecting():
            return _enrolled(state, result)
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
    return Step(state, (*(Send(host, message) for host in seat.hosts), course.folding(block, result.frame)))


def _folded(state: Working, result: Partial) -> Step[State]:
    partials = (*state.partials, result)
    if len(partials) < state.course.blocks:
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


def _next_round(course: Course) -> Step[State]:
    state = Working(course, (), ())
    if course.seat.me == course.seat.guest:
        return _with_ready_blocks(state)
    return Step(state, tuple(course.scoring(block) for block in range(course.blocks)))


def _with_ready_blocks(state: Running) -> Step[State]:
    """Have residuals made of every block for which all hosts' scores are here."""
    if not isinstance(state, Working):
        return Step(state)
    effects: tuple[Effect, ...] = ()
    for block in range(state.course.blocks):
        course = state.course
        if len(course.inbox.of(course.round, block)) == len(course.seat.hosts):
            effects = (*effects, course.residuals(block))
            left = replace(course, inbox=course.inbox.without(course.round, block))
            state = replace(state, course=left, begun=(*state.begun, block))
    return Step(state, effects)


def _with_total(state: Closing) -> Step[State]:
    """Have the epoch's loss summed once all parts are here; only the guest ever has any."""
    course = state.course
    complete = course.seat.me == course.seat.guest and len(course.inbox.terms) == len(course.seat.hosts)
    return Step(state, (course.totalling(),) if complete else ())


def _coefficients(course: Course, losses: tuple[float, ...]) -> OwnCoefficients:
    theta, seat = course.learner.theta, course.seat
    has_intercept = seat.me == seat.guest and seat.settings.intercept
    columns, intercept = (theta[:-1], float(theta[-1])) if has_intercept else (theta, 0.0)
    return OwnCoefficients(columns, intercept, losses, course.epoch + 1)


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
    return _patient(Step(state, excuse(seat_of(state), _round_of(state), waiting)))


def _round_of(state: State) -> int:
    return state.course.round if isinstance(state, Running) else 0


def _timer(state: State, name: str) -> Step[State]:
    effects = fired(seat_of(state), patience_of(state), name, _round_of(state), awaited(state))
    over = any(isinstance(effect, Abort) for effect in effects)
    return Step(Ended(seat_of(state)) if over else state, effects)


def _abort(state: State, reason: str) -> Step[State]:
    return Step(Ended(seat_of(state)), (*stopped(), Abort(reason)))


GUEST_SPEC: RoleSpec[State] = RoleSpec(begin_guest, step, STATES, awaited)
HOST_SPEC: RoleSpec[State] = RoleSpec(begin_host, step, STATES, awaited)
