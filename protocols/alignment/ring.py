"""A party in the ring: send our list off, pass the others' on, and learn which of our points were found.

::

    begin --> Preparing --our list is made--> Circulating --Positions--> Settling --> Ended
                                                   '--all passed on, nothing to learn--> Ended

Every list comes from the neighbour before us and goes to the one after, but for the list of the one after:
we are the last on its way, and send it to the aggregator.

A ring stalls as a whole if one party vanishes, and nobody in it can tell which: neighbours wait for each other.
So the aggregator asks all of them now and then, and a party that is not asked any more knows who is gone.
"""

from dataclasses import dataclass, field, replace

from hansa.protocols.alignment.job import ENDED, PARTY, AlignedRows, Ended, Seat, Served, SharedRows
from hansa.protocols.alignment.lists import Block, Incoming, Outgoing, pending
from hansa.protocols.alignment.messages import Ask, Here, Passed, Positions, Settled, Tagged, check_session
from hansa.protocols.alignment.tasks import (
    BLIND,
    PREPARE,
    RAISE,
    SETTLE,
    Answer,
    Points,
    Prepared,
    Rows,
    blinding,
    preparation,
    raising,
)
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
    Send,
    SetTimer,
    Step,
    TimerFired,
)

SILENCE = "silence"

# The aggregator asks once in each period: so many without a question, and it is gone.
PATIENCE = 3


@dataclass(frozen=True, slots=True, eq=False)
class Preparing:
    """Our list is being made.

    Attributes:
        lists: the others', by owner in ascending order, as they come.
        unasked: periods since the aggregator's last word.
    """

    seat: Seat
    secret: bytes = field(repr=False)
    lists: tuple[Incoming, ...]
    unasked: int


@dataclass(frozen=True, slots=True, eq=False)
class Circulating:
    """Blocks travel round; as ``Preparing``, and our own list ``mine`` with them."""

    seat: Seat
    secret: bytes = field(repr=False)
    lists: tuple[Incoming, ...]
    unasked: int
    mine: Outgoing


@dataclass(frozen=True, slots=True)
class Settling:
    """The aggregator's answer is being read; the key is forgotten."""

    seat: Seat
    source: bytes


State = Preparing | Circulating | Settling | Ended


def begin(brief: Brief) -> Step[State]:
    """Have our list made, and listen.

    Raises:
        LocalProtocolError: the brief does not fit the role, or holds no secret.
    """
    seat = Seat.take(brief, PARTY)
    lists = tuple(Incoming(party) for party in seat.parties if party != seat.me)
    timer = SetTimer(SILENCE, seat.silence_s)
    return Step(Preparing(seat, brief.secret, lists, 0), (preparation(seat, brief.secret), timer))


def step(state: State, event: Event) -> Step[State]:
    """Return the next state and its effects.

    Raises:
        PeerError: a message from another than it must come from, of another kind or session, out of turn, or
            of points that can't be.
        LocalProtocolError: a task that nobody asked for, or a result of another type.
    """
    if isinstance(state, Ended):
        return Step(state)
    match event:
        case Received(sender, Passed() as message):
            return _passed(state, sender, message)
        case Received(sender, Ask() as message):
            return _asked(state, sender, message)
        case Received(sender, Positions() as message):
            return _positions(state, sender, message)
        case Received(sender, message):
            raise PeerError(f"{sender} sent {type(message).__name__}, which is not for a party in a ring")
        case Computed():
            return _computed(state, event)
        case TimerFired():
            return _silence(state)
        case PeerLeft(name, reason):
            if name not in (*state.seat.parties, state.seat.coordinator):
                return Step(state)
            return _abort(state, f"{name} left: {reason}")


# -- messages -----------------------------------------------------------------------------------------------


def _passed(state: Preparing | Circulating | Settling, sender: str, message: Passed) -> Step[State]:
    seat, owner, index = state.seat, message.owner, message.block
    check_session(seat, sender, message)
    if sender != seat.before(seat.me):
        raise PeerError(f"{sender} passed on a list; ours come from {seat.before(seat.me)}")
    if owner == seat.me or owner not in seat.parties:
        raise PeerError(f"{sender} passed on a list of {owner:.40}, which does not come this way")
    if isinstance(state, Settling):
        raise PeerError(f"{sender} sent block {index} of {owner}'s list when we had all of them")
    known = next(each for each in state.lists if each.owner == owner)
    taken = known.accept(sender, message.size, index, message.points, seat.block)
    task = raising(_task_id(owner, index), message.points, state.secret)
    return Step(replace(state, lists=_with(state.lists, taken)), (task,))


def _asked(state: Preparing | Circulating | Settling, sender: str, message: Ask) -> Step[State]:
    seat = state.seat
    _check_aggregator(seat, sender, message)
    here = (Send(sender, Here(seat.session)),)
    return Step(state if isinstance(state, Settling) else replace(state, unasked=0), here)


def _positions(state: Preparing | Circulating | Settling, sender: str, message: Positions) -> Step[State]:
    seat = state.seat
    _check_aggregator(seat, sender, message)
    if not seat.receives:
        raise PeerError(f"{sender} sent us positions, which we are not to learn")
    if not isinstance(state, Circulating) or not _through(state):
        raise PeerError(f"{sender} sent positions while {type(state).__name__}, and not all was passed on")
    answer = Answer(state.mine.labels, message.positions, seat.aligned)
    return Step(Settling(seat, state.mine.source), (Compute(SETTLE, SETTLE, answer, 0),))


# -- tasks --------------------------------------------------------------------------------------------------


def _computed(state: Preparing | Circulating | Settling, event: Computed) -> Step[State]:
    name, result = event.task_id, event.result
    match state:
        case Preparing() if name == PREPARE:
            if event.error is not None:
                return _abort(state, f"our ids can't be aligned: {event.error}")
            if isinstance(result, Prepared):
                return _start(state, result)
        case Preparing() | Circulating() if (found := _raised_for(state, name)) is not None:
            incoming, place = found
            if event.error is not None:
                return _abort(state, f"block {place} of {incoming.owner}'s list: {event.error}")
            if isinstance(result, Points):
                return _pass_on(state, incoming, Block(place, result.points))
        case Circulating() if (index := pending(name, BLIND, state.mine.missing())) is not None:
            if event.error is not None:
                return _abort(state, f"block {index} of our list can't be blinded: {event.error}")
            if isinstance(result, Points):
                return _send_ours(state, Block(index, result.points))
        case Settling(seat, source) if name == SETTLE:
            if event.error is not None:
                return _abort(state, f"the aggregator's answer is no use: {event.error}")
            if isinstance(result, Rows):
                rows = AlignedRows(result.rows, source) if seat.aligned else SharedRows(result.rows)
                return Step(Ended(seat), (_settled(seat), Finish(rows)))
        case Preparing() | Circulating() | Settling():
            raise LocalProtocolError(f"task {name} ended in {type(state).__name__}, which has not asked")
    raise LocalProtocolError(f"{name} gave {type(result).__name__}")


def _start(state: Preparing, prepared: Prepared) -> Step[State]:
    mine, chosen = Outgoing(prepared.labels, prepared.digests, prepared.source).begin()
    tasks = tuple(blinding(block, state.secret) for block in chosen)
    return Step(Circulating(state.seat, state.secret, state.lists, state.unasked, mine), tasks)


def _pass_on(state: Preparing | Circulating, incoming: Incoming, block: Block) -> Step[State]:
    seat, session = state.seat, state.seat.session
    after = seat.after(seat.me)
    of = incoming.owner
    if of == after:
        tagged = Tagged(session, of, incoming.size, block.index, block.points)
        send = Send(seat.coordinator, tagged)
    else:
        send = Send(after, Passed(session, of, incoming.size, block.index, block.points))
    passed = replace(state, lists=_with(state.lists, incoming.finish(block.index)))
    return _proceed(passed, (send,))


def _send_ours(state: Circulating, block: Block) -> Step[State]:
    seat = state.seat
    mine, chosen = state.mine.finish(block.index).begin()
    passed = Passed(seat.session, seat.me, mine.size, block.index, block.points)
    tasks = tuple(blinding(each, state.secret) for each in chosen)
    return _proceed(replace(state, mine=mine), (Send(seat.after(seat.me), passed), *tasks))


def _proceed(state: Preparing | Circulating, effects: tuple[Effect, ...]) -> Step[State]:
    """End here if all is passed on, and nothing is ours to learn."""
    if isinstance(state, Preparing) or state.seat.receives or not _through(state):
        return Step(state, effects)
    return Step(Ended(state.seat), (*effects, _settled(state.seat), Finish(Served())))


def _silence(state: Preparing | Circulating | Settling) -> Step[State]:
    if isinstance(state, Settling):
        return Step(state)
    seat, unasked = state.seat, state.unasked + 1
    if unasked >= PATIENCE:
        return _abort(state, f"{seat.coordinator} was silent for {unasked * seat.silence_s:g} s")
    return Step(replace(state, unasked=unasked), (SetTimer(SILENCE, seat.silence_s),))


# -- small things -------------------------------------------------------------------------------------------


def _through(state: Circulating) -> bool:
    return state.mine.complete() and all(each.complete(state.seat.block) for each in state.lists)


def _raised_for(state: Preparing | Circulating, task_id: str) -> tuple[Incoming, int] | None:
    for each in state.lists:
        index = pending(task_id, f"{RAISE}/{each.owner}", each.missing())
        if index is not None:
            return each, index
    return None


def _check_aggregator(seat: Seat, sender: str, message: Ask | Positions) -> None:
    check_session(seat, sender, message)
    if sender != seat.coordinator:
        raise PeerError(f"{sender} is not the aggregator {seat.coordinator}")


def _with(lists: tuple[Incoming, ...], changed: Incoming) -> tuple[Incoming, ...]:
    return tuple(changed if each.owner == changed.owner else each for each in lists)


def _settled(seat: Seat) -> Send:
    return Send(seat.coordinator, Settled(seat.session, None, b""))


def _abort(state: Preparing | Circulating | Settling, reason: str) -> Step[State]:
    return Step(Ended(state.seat), (Abort(reason),))


def _task_id(owner: str, index: int) -> str:
    return f"{RAISE}/{owner}/{index}"


def awaited(state: State) -> Awaited:
    """Return what the party waits for, and for whom."""
    match state:
        case Preparing():
            return Awaited("our list of points")
        case Circulating():
            if state.mine.busy() or any(each.busy() for each in state.lists):
                return Awaited("X25519 over our blocks and theirs")
            if not _through(state):
                return Awaited("the rest of the lists", (state.seat.before(state.seat.me),))
            return Awaited("the aggregator's count", (state.seat.coordinator,))
        case Settling():
            return Awaited("our rows of the result")
        case Ended():
            return ENDED


STATES = (Preparing, Circulating, Settling, Ended)
