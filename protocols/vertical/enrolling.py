"""How does a party come to its first round? Its rows are looked at, keys are exchanged, and a start is agreed.

A job that goes on from another begins at the last epoch that all parties and the arbiter have kept; the rows, the
batches and everybody's coefficients are those of the other job, so that no gradient is of new company.
"""

from dataclasses import replace

from hansa.protocols.crypto import PublicKey
from hansa.protocols.crypto.errors import KeyRefused
from hansa.protocols.errors import LocalProtocolError, PeerError
from hansa.protocols.machine import Brief, Compute, Keep, Send, Step
from hansa.protocols.pairwise import check_key, public_key
from hansa.protocols.vertical import closing
from hansa.protocols.vertical.concluding import MASK_KEY
from hansa.protocols.vertical.course import Course, Inbox, Own, check_place
from hansa.protocols.vertical.errors import LeakRefused
from hansa.protocols.vertical.guard import check_balance, check_batches
from hansa.protocols.vertical.job import GUEST, HOST, MOST_COLUMNS, Seat, drawn_seed, key_kind
from hansa.protocols.vertical.messages import Key, MaskKey, Ready, Scores
from hansa.protocols.vertical.optimiser import Learner
from hansa.protocols.vertical.outcome import EpochState, PartyCheckpoint
from hansa.protocols.vertical.patience import HOST_PATIENCE, abandoned, wound_up
from hansa.protocols.vertical.rounds import next_round
from hansa.protocols.vertical.stages import Concluding, Enrolled, Inspecting, Running, State, seat_of
from hansa.protocols.vertical.tasks import INSPECT, Inspected, Inspection


def begin_guest(brief: Brief) -> Step[State]:
    """Have our rows and labels looked at.

    Raises:
        LocalProtocolError: the brief does not fit the role.
    """
    return _begin(Seat.take(brief, GUEST), brief)


def begin_host(brief: Brief) -> Step[State]:
    """Have our rows looked at.

    Raises:
        LocalProtocolError: the brief does not fit the role.
    """
    return _begin(Seat.take(brief, HOST), brief)


def _begin(seat: Seat, brief: Brief) -> Step[State]:
    kept = brief.start
    if kept is not None and not isinstance(kept, PartyCheckpoint):
        raise LocalProtocolError(f"a party goes on from its last epochs, not from {type(kept).__name__}")
    look = Compute(INSPECT, INSPECT, Inspection(seat, brief.secret), 0)
    return Step(Inspecting(seat, brief.secret, kept, {}), (look, *wound_up(seat, HOST_PATIENCE)))


def enrolled(state: Inspecting, found: Inspected) -> Step[State]:
    """Tell our peers a key for masks between two, if there will be any, and the arbiter that we are ready."""
    seat, kept = state.seat, state.kept
    if kept is not None and kept.footing != found.footing:
        what = "our rows, or the job's parties, seed, batches or optimiser"
        return abandoned(seat, f"{what}, are not those of job {seat.settings.start_job}")
    own = Own(seat, state.secret, found.rows, found.held_out, found.columns, found.footing)
    if kept is not None:
        starts = kept.states
    else:
        starts = () if seat.settings.start_job else (EpochState(0, Learner.at(found.theta), ()),)
    hello = MaskKey(seat.session, public_key(drawn_seed(state.secret, MASK_KEY)))
    peers = () if seat.valued else seat.parties
    greeted = (Send(peer, hello) for peer in peers if peer != seat.me)
    epochs = tuple(start.epochs for start in starts)
    ready = Ready(seat.session, found.rows, found.held_out, found.columns, epochs)
    return Step(Enrolled(own, starts, Inbox(), state.keys), (*greeted, Send(seat.arbiter, ready)))


def mask_key(state: Inspecting | Enrolled | Running, sender: str, message: MaskKey) -> Step[State]:
    """Take a peer's key for masks; hosts may be slow with it until the very end.

    Raises:
        PeerError: a second one, or none that masks could be made with, or in a job without masks.
    """
    if seat_of(state).valued:
        raise PeerError(f"{sender} sent a key for masks, and a valued job has none")
    known = state.course.keys if isinstance(state, Running) else state.keys
    if sender in known:
        raise PeerError(f"{sender} sent its key for masks again")
    check_key(sender, message.key)
    keys = {**known, sender: message.key}
    if not isinstance(state, Running):
        return Step(replace(state, keys=keys))
    course = replace(state.course, keys=keys)
    if isinstance(state, Concluding) and course.own.held_out:
        return closing.concluding(course)
    return Step(replace(state, course=course))


def key(state: Enrolled, sender: str, message: Key) -> Step[State]:
    """Begin where the arbiter says that all can, with its key.

    Raises:
        PeerError: other rows or parties than ours, a start of which we have kept nothing, or another key than the
            job says.
    """
    own = state.own
    seat, mine = own.seat, (own.rows, own.held_out, own.columns)
    if (
        sorted(message.columns) != list(seat.parties)
        or (message.rows, message.held_out, message.columns[seat.me]) != mine
        or not all(1 <= columns <= MOST_COLUMNS for columns in message.columns.values())
    ):
        raise PeerError(f"{sender} sent a key for other rows or parties than ours")
    start = next((each for each in state.starts if each.epochs == message.epochs), None)
    if start is None:
        raise PeerError(f"{sender} goes on after {message.epochs} epochs, of which we have kept nothing")
    _check_key(seat, sender, message.public)
    if seat.settings.guard:
        plan = seat.plan(own.rows)
        try:
            check_batches(plan, max(message.columns.values()))
            gradients = {name: seat.gradients(name, columns) for name, columns in message.columns.items()}
            check_balance(plan, gradients, seat.settings.score_bits)
        except LeakRefused as error:
            return abandoned(seat, f"{type(error).__name__}: {error}")
    widest = max(columns for name, columns in message.columns.items() if name != seat.me)
    course = Course.begun(own, message.public, widest, start, state.inbox, state.keys)
    onward = closing.concluding(course) if message.over else next_round(course)
    return Step(onward.state, (Keep(PartyCheckpoint(own.footing, (start,))), *onward.effects))


def early_scores(state: Enrolled, sender: str, message: Scores) -> Step[State]:
    """Take a block from a host that has its key before us: of the first round, wherever we may begin.

    Raises:
        PeerError: of another round, or beyond its blocks, or sent before.
    """
    own = state.own
    batches = own.seat.plan(own.rows).batches
    firsts = [start.epochs * batches for start in state.starts]
    expected = message.round if message.round in firsts else max(firsts, default=0)
    check_place(own.seat, own.rows, expected, sender, message)
    return Step(replace(state, inbox=state.inbox.taking(sender, message)))


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
