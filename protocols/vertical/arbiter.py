"""The arbiter: make the key, open what is masked, and judge each epoch by its loss.

::

    begin --> Gathering --everybody ready--> Keying --> Serving --last epoch judged--> Ended

It opens one masked gradient for each party and round, of exactly as many ciphertexts as the party's columns fill,
and one loss for each epoch; whatever else it is sent, it refuses. What it opens for a party is uniform modulo n to
it. It must not collude with any party, and trusts the guest to ask for the loss and nothing else.
"""

import math
from dataclasses import dataclass, field, replace

from hansa.protocols.crypto import PublicKey
from hansa.protocols.errors import LocalProtocolError, PeerError
from hansa.protocols.machine import (
    Abort,
    Awaited,
    Brief,
    Compute,
    Computed,
    Effect,
    Event,
    Finish,
    PeerLeft,
    Received,
    RoleSpec,
    Send,
    Step,
    TimerFired,
)
from hansa.protocols.vertical.job import (
    ARBITER,
    ENDED,
    MOST_COLUMNS,
    MOST_ROWS,
    Ended,
    Seat,
    TrainingClosed,
    Verdict,
    drawn_seed,
)
from hansa.protocols.vertical.messages import (
    EpochClosed,
    Key,
    LossSum,
    Masked,
    Message,
    Opened,
    Ready,
    Waiting,
    check_session,
)
from hansa.protocols.vertical.patience import ARBITER_PATIENCE, FIRST_HAND, excuse, fired, stopped, wound_up
from hansa.protocols.vertical.tasks import (
    MAKE_KEY,
    OPEN,
    OPEN_LOSS,
    KeyPair,
    KeyWish,
    LossOpened,
    LossOpening,
    Opening,
    Residues,
)

# Σ(log 2 − ½yu + ⅛u²) is Σ(½u − y)·d with d = ¼u − ½y, and this for each row (y² = 1).
LOGISTIC_CONSTANT = math.log(2) - 0.5


@dataclass(frozen=True, slots=True)
class Gathering:
    """Parties look at their rows; ``ready`` are those that have."""

    seat: Seat
    secret: bytes = field(repr=False)
    ready: dict[str, Ready]


@dataclass(frozen=True, slots=True)
class Keying:
    """The key is being made.

    Attributes:
        rows: that all have.
        columns: by party.
    """

    seat: Seat
    rows: int
    columns: dict[str, int]


@dataclass(frozen=True, slots=True)
class Serving:
    """Training is under way.

    Attributes:
        key: the secret key's bytes.
        public: the public key's.
        next_rounds: by party, the round whose gradient it may send next.
        opening: parties whose gradient is being opened.
        epoch: the present one, from 0.
        asked: whether its loss has come.
        loss: of the present epoch, once it is known.
        losses: of those before.
        stalled: how many epochs in a row have not improved.
    """

    seat: Seat
    key: bytes = field(repr=False)
    public: bytes = field(repr=False)
    rows: int
    columns: dict[str, int]
    next_rounds: dict[str, int]
    opening: tuple[str, ...]
    epoch: int
    asked: bool
    loss: float | None
    losses: tuple[float, ...]
    stalled: int


State = Gathering | Keying | Serving | Ended


def begin(brief: Brief) -> Step[State]:
    """Wait for everybody to be ready.

    Raises:
        LocalProtocolError: the brief does not fit the role.
    """
    seat = Seat.take(brief, ARBITER)
    return Step(Gathering(seat, brief.secret, {}), wound_up(seat, FIRST_HAND))


def step(state: State, event: Event) -> Step[State]:
    """Return the next state and its effects.

    Raises:
        PeerError: a message from a stranger, of another kind or session, or more than a party may ask for.
        LocalProtocolError: a task that nobody asked for, a result of another type, or somebody left who never
            took part.
    """
    if isinstance(state, Ended):
        return Step(state)
    match event:
        case Received(sender, Waiting() as message) if sender in state.seat.parties:
            check_session(state.seat, sender, message)
            return _excused(state, sender)
        case Received(sender, message):
            return _patient(_received(state, sender, message))
        case Computed():
            return _patient(_computed(state, event))
        case TimerFired(name):
            return _timer(state, name)
        case PeerLeft(name, reason):
            if name not in state.seat.parties:
                raise LocalProtocolError(f"{name} left, but is no party of this job")
            return _abort(state, f"{name} left: {reason}")


# -- messages -----------------------------------------------------------------------------------------------


def _received(state: Gathering | Keying | Serving, sender: str, message: object) -> Step[State]:
    seat = state.seat
    if sender not in seat.parties:
        raise PeerError(f"{sender} is not a party of this job")
    if not isinstance(message, Message):
        raise PeerError(f"{sender} sent {type(message).__name__}, which is no message of this protocol")
    check_session(seat, sender, message)
    match message, state:
        case Ready(), Gathering():
            return _ready(state, sender, message)
        case Masked(), Serving():
            return _masked(state, sender, message)
        case LossSum(), Serving():
            return _loss_sum(state, sender, message)
    raise PeerError(f"{sender} sent {type(message).__name__} while {type(state).__name__}")


def _ready(state: Gathering, sender: str, message: Ready) -> Step[State]:
    if sender in state.ready:
        raise PeerError(f"{sender} was ready twice")
    if not (1 <= message.rows <= MOST_ROWS and 1 <= message.columns <= MOST_COLUMNS):
        raise PeerError(f"{sender} is ready with {message.rows} rows and {message.columns} columns")
    seat, ready = state.seat, {**state.ready, sender: message}
    if len(ready) < len(seat.parties):
        return Step(replace(state, ready=ready))
    rows = {party: ready[party].rows for party in seat.parties}
    if len(set(rows.values())) > 1:
        told = ", ".join(f"{party} {count}" for party, count in rows.items())
        return _abort(state, f"parties have different numbers of aligned rows: {told}")
    columns = {party: ready[party].columns for party in seat.parties}
    wish = KeyWish(seat.settings.key, seat.settings.key_bits, drawn_seed(state.secret, "key"))
    return Step(Keying(seat, message.rows, columns), (Compute(MAKE_KEY, MAKE_KEY, wish, 0),))


def _masked(state: Serving, sender: str, message: Masked) -> Step[State]:
    seat, plan = state.seat, state.seat.plan(state.rows)
    allowed = state.next_rounds[sender]
    epoch_ended = allowed // plan.batches != state.epoch
    if message.round != allowed or sender in state.opening or epoch_ended:
        raise PeerError(f"{sender} asked to open round {message.round}; its next is {allowed}, one at a time")
    packing = seat.packing(PublicKey.from_bytes(state.public), plan.size(allowed % plan.batches))
    count = packing.packed_size(seat.gradients(sender, state.columns[sender]))
    task = Compute(f"{OPEN}/{allowed}/{sender}", OPEN, Opening(state.key, message.frame, count), 0)
    return Step(replace(state, opening=(*state.opening, sender)), (task,))


def _loss_sum(state: Serving, sender: str, message: LossSum) -> Step[State]:
    if sender != state.seat.guest or message.epoch != state.epoch or state.asked:
        raise PeerError(f"{sender} sent a loss of epoch {message.epoch} in epoch {state.epoch}")
    task = Compute(f"{OPEN_LOSS}/{state.epoch}", OPEN_LOSS, LossOpening(state.key, message.frame), 0)
    return Step(replace(state, asked=True), (task,))


# -- tasks --------------------------------------------------------------------------------------------------


def _computed(state: Gathering | Keying | Serving, event: Computed) -> Step[State]:
    if event.error is not None:
        return _abort(state, f"{event.task_id}: {event.error}")
    match event.result, state:
        case KeyPair() as pair, Keying():
            return _keyed(state, pair)
        case Residues() as opened, Serving():
            return _opened(state, event.task_id, opened)
        case LossOpened(loss), Serving():
            plain = LOGISTIC_CONSTANT if state.seat.logistic else 0.0
            return _judged(replace(state, loss=loss / state.rows + plain))
    raise LocalProtocolError(
        f"task {event.task_id} gave {type(event.result).__name__} while {type(state).__name__}"
    )


def _keyed(state: Keying, pair: KeyPair) -> Step[State]:
    seat = state.seat
    first = dict.fromkeys(seat.parties, 0)
    serving = Serving(
        seat, pair.secret, pair.public, state.rows, state.columns, first, (), 0, False, None, (), 0
    )
    message = Key(seat.session, pair.public, state.rows, state.columns)
    return Step(serving, tuple(Send(party, message) for party in seat.parties))


def _opened(state: Serving, task_id: str, opened: Residues) -> Step[State]:
    party = task_id.split("/", 2)[2]
    round_ = state.next_rounds[party]
    onward = replace(
        state,
        next_rounds={**state.next_rounds, party: round_ + 1},
        opening=tuple(each for each in state.opening if each != party),
    )
    judged = _judged(onward)
    answer = Send(party, Opened(state.seat.session, round_, opened.residues))
    return Step(judged.state, (answer, *judged.effects))


def _judged(state: Serving) -> Step[State]:
    """Close the epoch once its loss is known and every gradient of it has been opened."""
    seat, loss = state.seat, state.loss
    end = (state.epoch + 1) * seat.plan(state.rows).batches
    if loss is None or any(reached < end for reached in state.next_rounds.values()):
        return Step(state)
    verdict, stalled = _verdict(state, loss)
    shown = loss if seat.settings.show_loss else None
    message = EpochClosed(seat.session, state.epoch, shown, verdict)
    sends: tuple[Effect, ...] = tuple(Send(party, message) for party in seat.parties)
    losses = (*state.losses, loss)
    match verdict:
        case "distorted":
            aborted = _abort(state, f"the residuals of epoch {state.epoch} have jumped")
            return Step(aborted.state, (*sends, *aborted.effects))
        case "converged" | "last":
            told = losses if seat.settings.show_loss else ()
            done = Finish(TrainingClosed(told, state.epoch + 1))
            return Step(Ended(seat), (*sends, *stopped(), done))
        case "improved" | "stalled":
            onward = replace(
                state, epoch=state.epoch + 1, asked=False, loss=None, losses=losses, stalled=stalled
            )
            return Step(onward, sends)


def _verdict(state: Serving, loss: float) -> tuple[Verdict, int]:
    """Return what an epoch's loss means, and how many epochs in a row have not improved."""
    settings = state.seat.settings
    least = min(state.losses, default=math.inf)
    if loss > settings.alarm * least:
        return "distorted", state.stalled
    stalled = state.stalled + 1 if loss > least - settings.tol else 0
    if settings.patience and stalled >= settings.patience:
        return "converged", stalled
    if state.epoch + 1 == settings.epochs:
        return "last", stalled
    return ("stalled" if stalled else "improved"), stalled


# -- on the way ---------------------------------------------------------------------------------------------


def _patience(state: State) -> int:
    return FIRST_HAND if isinstance(state, Gathering) else ARBITER_PATIENCE


def _patient(done: Step[State]) -> Step[State]:
    """Something has happened: whoever is awaited gets the whole time again."""
    if isinstance(done.state, Ended):
        return done
    return Step(done.state, (*done.effects, *wound_up(done.state.seat, _patience(done.state))))


def _excused(state: Gathering | Keying | Serving, sender: str) -> Step[State]:
    """Give one that only waits for others the whole time again, and pass the word on."""
    waiting = awaited(state)
    if sender not in waiting.whom:
        return Step(state)
    return _patient(Step(state, excuse(state.seat, _round_of(state), waiting)))


def _round_of(state: Gathering | Keying | Serving) -> int:
    return min(state.next_rounds.values()) if isinstance(state, Serving) else 0


def _timer(state: Gathering | Keying | Serving, name: str) -> Step[State]:
    effects = fired(state.seat, _patience(state), name, _round_of(state), awaited(state))
    over = any(isinstance(effect, Abort) for effect in effects)
    return Step(Ended(state.seat) if over else state, effects)


def _abort(state: Gathering | Keying | Serving, reason: str) -> Step[State]:
    return Step(Ended(state.seat), (*stopped(), Abort(reason)))


def awaited(state: State) -> Awaited:
    """Return what the arbiter waits for, and for whom."""
    match state:
        case Gathering(seat, _, ready):
            return Awaited("everybody's rows", tuple(party for party in seat.parties if party not in ready))
        case Keying():
            return Awaited("the key")
        case Serving():
            return Awaited(f"epoch {state.epoch}", _awaited_in(state))
        case Ended():
            return ENDED


def _awaited_in(state: Serving) -> tuple[str, ...]:
    """Return who keeps the present round; where nobody has masked it yet, the guest, who knows for whom."""
    if state.opening or (state.asked and state.loss is None):
        return ()
    guest, rounds = state.seat.guest, state.next_rounds
    behind = tuple(party for party in state.seat.parties if rounds[party] < max(rounds.values()))
    return behind or (guest,)


SPEC: RoleSpec[State] = RoleSpec(begin, step, (Gathering, Keying, Serving, Ended), awaited)
