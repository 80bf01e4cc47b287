"""The arbiter: make the key, open what is masked, and judge each epoch by its loss.

::

    begin --> Gathering --everybody ready--> Keying --> Serving --last epoch judged--> Settling --> Ended
                                               '-------nothing left to train-------------'

It opens one masked gradient for each party and round, of exactly as many ciphertexts as the party's columns fill,
and one loss for each epoch; whatever else it is sent, it refuses. What it opens for a party is uniform modulo n to
it. It must not collude with any party, and trusts the guest to ask for the loss and nothing else. How it closes the
job is in `settling`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hansa.protocols.crypto import PublicKey
from hansa.protocols.errors import LocalProtocolError, Overstated, PeerError
from hansa.protocols.machine import (
    Abort,
    Awaited,
    Brief,
    Compute,
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
from hansa.protocols.vertical import settling
from hansa.protocols.vertical.concluding import Appraised
from hansa.protocols.vertical.frames import check_frame
from hansa.protocols.vertical.job import (
    ARBITER,
    ENDED,
    MOST_COLUMNS,
    MOST_ROWS,
    Ended,
    Seat,
    drawn_seed,
)
from hansa.protocols.vertical.judging import common_start, over_already, verdict
from hansa.protocols.vertical.messages import (
    EpochClosed,
    HeldOut,
    Key,
    LossSum,
    Masked,
    Message,
    Opened,
    Part,
    Ready,
    Waiting,
    check_session,
)
from hansa.protocols.vertical.outcome import ArbiterCheckpoint, Distorted
from hansa.protocols.vertical.patience import (
    ARBITER_PATIENCE,
    FIRST_HAND,
    SETTLING_PATIENCE,
    abandoned,
    excused,
    fired,
    wound_up,
)
from hansa.protocols.vertical.settling import Settling
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
from hansa.protocols.vertical.valuing import Valued

# Σ(log 2 − ½yu + ⅛u²) is Σ(½u − y)·d with d = ¼u − ½y, and this for each row (y² = 1).
LOGISTIC_CONSTANT = math.log(2) - 0.5


@dataclass(frozen=True, slots=True)
class Gathering:
    """Parties look at their rows.

    Attributes:
        losses: of the job that this one goes on from, if it does.
        ready: those that have looked.
    """

    seat: Seat
    secret: bytes = field(repr=False)
    losses: tuple[float, ...]
    ready: dict[str, Ready]


@dataclass(frozen=True, slots=True)
class Keying:
    """The key is being made.

    Attributes:
        rows, held_out: that all have.
        columns: by party.
        losses: of the epochs after which we go on.
    """

    seat: Seat
    rows: int
    held_out: int
    columns: dict[str, int]
    losses: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Serving:
    """Training is under way.

    Attributes:
        key: the secret key's bytes.
        public: the public key's.
        rows, held_out, columns: as in ``Keying``.
        next_rounds: by party, the round whose gradient it may send next.
        opening: parties whose gradient is being opened.
        asked: whether the present epoch's loss has come.
        loss: of the present epoch, once it is known.
        losses: of those before.
    """

    seat: Seat
    key: bytes = field(repr=False)
    public: bytes = field(repr=False)
    rows: int
    held_out: int
    columns: dict[str, int]
    next_rounds: dict[str, int]
    opening: tuple[str, ...]
    asked: bool
    loss: float | None
    losses: tuple[float, ...]

    @property
    def epoch(self) -> int:
        """The present one, from 0."""
        return len(self.losses)


Active = Gathering | Keying | Serving | Settling
State = Active | Ended


def begin(brief: Brief) -> Step[State]:
    """Wait for everybody to be ready.

    Raises:
        LocalProtocolError: the brief does not fit the role, or we have not kept what the job is to go on from.
    """
    seat = Seat.take(brief, ARBITER)
    losses = _kept_losses(seat, brief.start)
    return Step(Gathering(seat, brief.secret, losses, {}), wound_up(seat, FIRST_HAND))


def _kept_losses(seat: Seat, kept: object | None) -> tuple[float, ...]:
    earlier = seat.settings.start_job
    if not earlier:
        return ()
    if not isinstance(kept, ArbiterCheckpoint):
        raise LocalProtocolError(f"the epochs of job {earlier} are not here: nothing to go on from")
    if kept.footing != seat.footing():
        raise LocalProtocolError(f"parties, seed, batches or optimiser are not those of job {earlier}")
    return kept.losses


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
            return abandoned(state.seat, f"{name} left: {reason}")


# -- messages -----------------------------------------------------------------------------------------------


def _received(state: Active, sender: str, message: object) -> Step[State]:
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
        case HeldOut(), Settling():
            return settling.taken_held_out(state, sender, message)
        case Part(), Settling():
            return settling.taken_part(state, sender, message)
    raise PeerError(f"{sender} sent {type(message).__name__} while {type(state).__name__}")


def _ready(state: Gathering, sender: str, message: Ready) -> Step[State]:
    if sender in state.ready:
        raise PeerError(f"{sender} was ready twice")
    rows, columns, held_out = message.rows, message.columns, message.held_out
    if not (1 <= rows <= MOST_ROWS and 1 <= columns <= MOST_COLUMNS and 0 <= held_out <= MOST_ROWS):
        raise PeerError(f"{sender} is ready with {rows} rows, {held_out} held out, and {columns} columns")
    registered, _ = state.seat.volumes.get(sender, (rows + held_out, columns))
    if rows + held_out > registered:
        raise Overstated(f"{sender} is ready with {rows + held_out} rows, and has registered {registered}")
    gathered = replace(state, ready={**state.ready, sender: message})
    return Step(gathered) if len(gathered.ready) < len(state.seat.parties) else _all_ready(gathered)


def _all_ready(state: Gathering) -> Step[State]:
    seat, ready = state.seat, state.ready
    numbers = {party: (ready[party].rows, ready[party].held_out) for party in seat.parties}
    if len(set(numbers.values())) > 1:
        told = _listed({party: f"{rows} and {held_out}" for party, (rows, held_out) in numbers.items()})
        return abandoned(
            seat, f"parties have different numbers of aligned rows, to train and held out: {told}"
        )
    if seat.valued and not ready[seat.guest].held_out:
        return abandoned(seat, "contributions are valued on rows held out, and of so few rows there are none")
    start = common_start({party: ready[party].kept for party in seat.parties}, len(state.losses))
    if start is None:
        told = _listed({party: ", ".join(map(str, ready[party].kept)) or "none" for party in seat.parties})
        earlier = f"{seat.settings.start_job}; ours {len(state.losses)}"
        return abandoned(seat, f"no epoch that all have kept of job {earlier}, {told}")
    rows, held_out = numbers[seat.guest]
    columns = {party: ready[party].columns for party in seat.parties}
    wish = KeyWish(seat.settings.key, seat.settings.key_bits, drawn_seed(state.secret, "key"))
    keying = Keying(seat, rows, held_out, columns, state.losses[:start])
    return Step(keying, (Compute(MAKE_KEY, MAKE_KEY, wish, 0),))


def _listed(of_parties: Mapping[str, str]) -> str:
    return ", ".join(f"{party} {what}" for party, what in of_parties.items())


def _masked(state: Serving, sender: str, message: Masked) -> Step[State]:
    seat, plan = state.seat, state.seat.plan(state.rows)
    allowed = state.next_rounds[sender]
    epoch_ended = allowed // plan.batches != state.epoch
    if message.round != allowed or sender in state.opening or epoch_ended:
        raise PeerError(f"{sender} asked to open round {message.round}; its next is {allowed}, one at a time")
    packing = seat.packing(PublicKey.from_bytes(state.public), plan.size(allowed % plan.batches))
    count = packing.packed_size(seat.gradients(sender, state.columns[sender]))
    check_frame(sender, message.frame, count, seat.settings.key_bits)
    task = Compute(f"{OPEN}/{allowed}/{sender}", OPEN, Opening(state.key, message.frame, count), 0)
    return Step(replace(state, opening=(*state.opening, sender)), (task,))


def _loss_sum(state: Serving, sender: str, message: LossSum) -> Step[State]:
    if sender != state.seat.guest or message.epoch != state.epoch or state.asked:
        raise PeerError(f"{sender} sent a loss of epoch {message.epoch} in epoch {state.epoch}")
    check_frame(sender, message.frame, 1, state.seat.settings.key_bits)
    task = Compute(f"{OPEN_LOSS}/{state.epoch}", OPEN_LOSS, LossOpening(state.key, message.frame), 0)
    return Step(replace(state, asked=True), (task,))


# -- tasks --------------------------------------------------------------------------------------------------


def _computed(state: Active, event: Computed) -> Step[State]:
    if event.error is not None:
        return abandoned(state.seat, f"{event.task_id}: {event.error}")
    match event.result, state:
        case KeyPair() as pair, Keying():
            return _keyed(state, pair)
        case Residues() as opened, Serving():
            return _opened(state, event.task_id, opened)
        case LossOpened(loss), Serving():
            plain = LOGISTIC_CONSTANT if state.seat.logistic else 0.0
            return _judged(replace(state, loss=loss / state.rows + plain))
        case Appraised() as found, Settling():
            return settling.appraised(state, found)
        case Valued() as valued, Settling():
            return settling.valued(state, valued)
    raise LocalProtocolError(
        f"task {event.task_id} gave {type(event.result).__name__} while {type(state).__name__}"
    )


def _keyed(state: Keying, pair: KeyPair) -> Step[State]:
    seat, losses = state.seat, state.losses
    over = over_already(seat.settings, losses)
    message = Key(
        seat.session, pair.public, state.rows, state.held_out, state.columns, epochs=len(losses), over=over
    )
    sends: tuple[Effect, ...] = tuple(Send(party, message) for party in seat.parties)
    if over:
        return Step(_settling(state, losses), (_keep(seat, losses), *sends))
    first = dict.fromkeys(seat.parties, len(losses) * seat.plan(state.rows).batches)
    serving = Serving(
        seat,
        pair.secret,
        pair.public,
        state.rows,
        state.held_out,
        state.columns,
        first,
        (),
        False,
        None,
        losses,
    )
    return Step(serving, (_keep(seat, losses), *sends))


def _settling(state: Keying | Serving, losses: tuple[float, ...]) -> Settling:
    """Return how the end begins: without the key."""
    return Settling(state.seat, state.rows, state.held_out, state.columns, losses, {}, {})


def _keep(seat: Seat, losses: tuple[float, ...]) -> Keep:
    return Keep(ArbiterCheckpoint(seat.footing(), losses))


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
    judged = verdict(seat.settings, state.losses, loss)
    told, before = (loss, min(state.losses, default=None)) if seat.settings.show_loss else (None, None)
    message = EpochClosed(seat.session, state.epoch, told, judged)
    sends: tuple[Effect, ...] = tuple(Send(party, message) for party in seat.parties)
    if judged == "distorted":
        aborted = abandoned(seat, f"the residuals of epoch {state.epoch + 1} have jumped")
        # Said by us: the guest may hear that a host has left before it hears why.
        proof = Record(Distorted(state.epoch, told, before))
        return Step(aborted.state, (proof, *sends, *aborted.effects))
    losses = (*state.losses, loss)
    onward: Serving | Settling = replace(state, asked=False, loss=None, losses=losses)
    if judged in ("converged", "last"):
        onward = _settling(state, losses)
    return Step(onward, (_keep(seat, losses), *sends))


# -- on the way ---------------------------------------------------------------------------------------------


def _patience(state: State) -> int:
    match state:
        case Gathering():
            return FIRST_HAND
        case Settling():
            return SETTLING_PATIENCE
    return ARBITER_PATIENCE


def _patient(done: Step[State]) -> Step[State]:
    """Something has happened: whoever is awaited gets the whole time again."""
    if isinstance(done.state, Ended):
        return done
    return Step(done.state, (*done.effects, *wound_up(done.state.seat, _patience(done.state))))


def _excused(state: Active, sender: str) -> Step[State]:
    """Give one that only waits for others the whole time again, and pass the word on."""
    waiting = awaited(state)
    if sender not in waiting.whom:
        return Step(state)
    return Step(state, excused(state.seat, _patience(state), _round_of(state), waiting))


def _round_of(state: Active) -> int:
    match state:
        case Serving():
            return min(state.next_rounds.values())
        case Settling(seat, rows):
            return len(state.losses) * seat.plan(rows).batches
    return 0


def _timer(state: Active, name: str) -> Step[State]:
    effects = fired(state.seat, _patience(state), name, _round_of(state), awaited(state))
    over = any(isinstance(effect, Abort) for effect in effects)
    return Step(Ended(state.seat) if over else state, effects)


def awaited(state: State) -> Awaited:
    """Return what the arbiter waits for, and for whom."""
    match state:
        case Gathering(seat, _, _, ready):
            return Awaited("everybody's rows", tuple(party for party in seat.parties if party not in ready))
        case Keying():
            return Awaited("the key")
        case Serving():
            return Awaited(f"epoch {state.epoch + 1}", _awaited_in(state))
        case Settling():
            return Awaited("everybody's part", state.owing)
        case Ended():
            return ENDED


def _awaited_in(state: Serving) -> tuple[str, ...]:
    """Return who keeps the present round; where nobody has masked it yet, the guest, who knows for whom."""
    if state.opening or (state.asked and state.loss is None):
        return ()
    guest, rounds = state.seat.guest, state.next_rounds
    behind = tuple(party for party in state.seat.parties if rounds[party] < max(rounds.values()))
    return behind or (guest,)


SPEC: RoleSpec[State] = RoleSpec(begin, step, (Gathering, Keying, Serving, Settling, Ended), awaited)
