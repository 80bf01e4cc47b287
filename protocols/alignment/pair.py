"""The party of an alignment of two: blind our ids, raise the other's, and intersect if we are to learn it.

::

    begin --> Readying --our list is made--> Exchanging --all blocks to and fro--> Matching --> Ended

Blocks of the other's list are raised as they come, in Readying and Exchanging alike. The two sides do the same;
one that is not to learn the result just never gets its own points back.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from hansa.protocols.alignment.curve import check_points
from hansa.protocols.alignment.job import ENDED, PARTY, AlignedRows, Ended, Seat, Served
from hansa.protocols.alignment.lists import Block, Incoming, Outgoing, pending
from hansa.protocols.alignment.messages import Blinded, Raised, Settled, check_session
from hansa.protocols.alignment.points import repetition
from hansa.protocols.alignment.tasks import (
    BLIND,
    INSPECT,
    MATCH,
    PREPARE,
    RAISE,
    Inspected,
    Inspection,
    Matched,
    Pairing,
    Points,
    Prepared,
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


@dataclass(frozen=True, slots=True, eq=False)
class Readying:
    """Our list is being made.

    Attributes:
        theirs: the other's list as it comes.
        tags: its blocks, as we raised them.
        heard: whether anything has happened since the timer was set.
    """

    seat: Seat
    secret: bytes = field(repr=False)
    theirs: Incoming
    tags: tuple[Block, ...]
    heard: bool


@dataclass(frozen=True, slots=True, eq=False)
class Exchanging:
    """Blocks travel both ways; as ``Readying``, and our own list with it.

    Attributes:
        mine: our list.
        away: our blocks as we sent them, which are to come back.
        returned: those that have, under both keys.
    """

    seat: Seat
    secret: bytes = field(repr=False)
    theirs: Incoming
    tags: tuple[Block, ...]
    heard: bool
    mine: Outgoing
    away: tuple[Block, ...]
    returned: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Matching:
    """Everything is here, and the last task is at work; the key is its alone now."""

    seat: Seat
    source: bytes


State = Readying | Exchanging | Matching | Ended


def begin(brief: Brief) -> Step[State]:
    """Have our list made, and listen.

    Raises:
        LocalProtocolError: the brief does not fit the role, or holds no secret.
    """
    seat = Seat.take(brief, PARTY)
    state = Readying(seat, brief.secret, Incoming(_other(seat)), (), True)
    return Step(state, (preparation(seat, brief.secret), SetTimer(SILENCE, seat.silence_s)))


def step(state: State, event: Event) -> Step[State]:
    """Return the next state and its effects.

    Raises:
        PeerError: a message from somebody else, of another kind or session, out of turn, or of points that
            can't be.
        LocalProtocolError: a task that nobody asked for, or a result of another type.
    """
    if isinstance(state, Ended):
        return Step(state)
    match event:
        case Received(sender, _) if sender != _other(state.seat):
            raise PeerError(f"{sender} is not {_other(state.seat)}, the other party")
        case Received(sender, Blinded() as message):
            return _blinded(state, sender, message)
        case Received(sender, Raised() as message):
            return _raised(state, sender, message)
        case Received(sender, message):
            raise PeerError(f"{sender} sent {type(message).__name__}, which is not for one of two parties")
        case Computed():
            return _computed(state, event)
        case TimerFired():
            return _silence(state)
        case PeerLeft(name, reason):
            if name not in (_other(state.seat), state.seat.coordinator):
                return Step(state)
            return _abort(state, f"{name} left: {reason}")


# -- messages -----------------------------------------------------------------------------------------------


def _blinded(state: Readying | Exchanging | Matching, sender: str, message: Blinded) -> Step[State]:
    seat, index = state.seat, message.block
    check_session(seat, sender, message)
    if isinstance(state, Matching):
        raise PeerError(f"{sender} sent block {index} of its list when we had all of them")
    theirs = state.theirs.accept(sender, message.size, index, message.points, seat.block)
    task = raising(f"{RAISE}/{index}", message.points, state.secret)
    return Step(replace(state, theirs=theirs, heard=True), (task,))


def _raised(state: Readying | Exchanging | Matching, sender: str, message: Raised) -> Step[State]:
    check_session(state.seat, sender, message)
    what = f"{sender} sent back block {message.block} of our list"
    if not state.seat.receives:
        raise PeerError(f"{what}, which we are not to learn")
    if not isinstance(state, Exchanging):
        raise PeerError(f"{what} while {type(state).__name__}")
    sent = next((each for each in state.away if each.index == message.block), None)
    if sent is None:
        before = any(each.index == message.block for each in state.returned)
        raise PeerError(f"{what} twice" if before else f"{what}, which we have not sent")
    try:
        check_points(message.points, len(sent.points))
    except ValueError as error:
        raise PeerError(f"{what}: {error}") from error
    if repetition(np.concatenate([sent.points, message.points])) is not None:
        raise PeerError(f"{what} with points as we sent them, not raised")
    away = tuple(each for each in state.away if each is not sent)
    returned = (*state.returned, Block(message.block, message.points))
    return _proceed(replace(state, away=away, returned=returned, heard=True))


# -- tasks --------------------------------------------------------------------------------------------------


def _computed(state: Readying | Exchanging | Matching, event: Computed) -> Step[State]:
    name, result = event.task_id, event.result
    match state:
        case Readying() if name == PREPARE:
            if event.error is not None:
                return _abort(state, f"our ids can't be aligned: {event.error}")
            if isinstance(result, Prepared):
                return _start(state, result)
        case Readying() | Exchanging() if (index := pending(name, RAISE, state.theirs.missing())) is not None:
            if event.error is not None:
                return _abort(state, f"block {index} of {_other(state.seat)}'s list: {event.error}")
            if isinstance(result, Points):
                return _send_back(state, Block(index, result.points))
        case Exchanging() if (index := pending(name, BLIND, state.mine.missing())) is not None:
            if event.error is not None:
                return _abort(state, f"block {index} of our list can't be blinded: {event.error}")
            if isinstance(result, Points):
                return _send_ours(state, Block(index, result.points))
        case Matching() if name in (MATCH, INSPECT):
            if event.error is not None:
                return _abort(state, f"{_other(state.seat)}'s points are no use: {event.error}")
            if isinstance(result, Matched | Inspected):
                return _finish(state, result)
        case Readying() | Exchanging() | Matching():
            raise LocalProtocolError(f"task {name} ended in {type(state).__name__}, which has not asked")
    raise LocalProtocolError(f"{name} gave {type(result).__name__}")


def _start(state: Readying, prepared: Prepared) -> Step[State]:
    mine, chosen = Outgoing(prepared.labels, prepared.digests, prepared.source).begin()
    started = Exchanging(state.seat, state.secret, state.theirs, state.tags, True, mine, (), ())
    return Step(started, tuple(blinding(block, state.secret) for block in chosen))


def _send_back(state: Readying | Exchanging, block: Block) -> Step[State]:
    """The other's block is raised: keep it for us, and send it back if it is theirs to learn."""
    seat = state.seat
    tagged = replace(state, theirs=state.theirs.finish(block.index), tags=(*state.tags, block), heard=True)
    sends: tuple[Effect, ...] = ()
    if _other(seat) in seat.receivers:
        sends = (Send(_other(seat), Raised(seat.session, block.index, block.points)),)
    return _proceed(tagged, sends)


def _send_ours(state: Exchanging, block: Block) -> Step[State]:
    """A block of ours is blinded: send it, and begin another."""
    seat = state.seat
    mine, chosen = state.mine.finish(block.index).begin()
    away = (*state.away, block) if seat.receives else ()
    send = Send(_other(seat), Blinded(seat.session, mine.size, block.index, block.points))
    tasks = tuple(blinding(each, state.secret) for each in chosen)
    return _proceed(replace(state, mine=mine, away=away, heard=True), (send, *tasks))


def _proceed(state: Readying | Exchanging, effects: tuple[Effect, ...] = ()) -> Step[State]:
    """Go on to the last task if both lists are through."""
    if not isinstance(state, Exchanging) or not state.mine.complete():
        return Step(state, effects)
    seat = state.seat
    back = not seat.receives or len(state.returned) == len(state.mine.done)
    if not back or not state.theirs.complete(seat.block):
        return Step(state, effects)
    if seat.receives:
        pairing = Pairing(seat.session, state.secret, state.mine.labels, state.returned, state.tags)
        return Step(Matching(seat, state.mine.source), (*effects, Compute(MATCH, MATCH, pairing, 0)))
    return Step(
        Matching(seat, state.mine.source), (*effects, Compute(INSPECT, INSPECT, Inspection(state.tags), 0))
    )


def _finish(state: Matching, result: Matched | Inspected) -> Step[State]:
    seat = state.seat
    match result:
        case Matched(rows, digest):
            told = len(seat.receivers) == len(seat.parties)  # else the count is the receiver's alone
            settled = Settled(seat.session, len(rows), digest) if told else Settled(seat.session, None, b"")
            return Step(
                Ended(seat), (Send(seat.coordinator, settled), Finish(AlignedRows(rows, state.source)))
            )
        case Inspected():
            settled = Settled(seat.session, None, b"")
            return Step(Ended(seat), (Send(seat.coordinator, settled), Finish(Served())))


# -- the rest -----------------------------------------------------------------------------------------------


def _silence(state: Readying | Exchanging | Matching) -> Step[State]:
    """Blame the other only if it owes us a word: if nothing has happened, and nothing of ours is at work."""
    if isinstance(state, Matching):
        return Step(state)
    seat = state.seat
    busy = isinstance(state, Readying) or state.theirs.busy() or state.mine.busy()
    if busy or state.heard:
        return Step(replace(state, heard=False), (SetTimer(SILENCE, seat.silence_s),))
    return _abort(state, f"{_other(seat)} was silent for {seat.silence_s:g} s; {awaited(state).what} awaited")


def _abort(state: Readying | Exchanging | Matching, reason: str) -> Step[State]:
    return Step(Ended(state.seat), (Abort(reason),))


def _other(seat: Seat) -> str:
    one, two = seat.parties
    return two if seat.me == one else one


def awaited(state: State) -> Awaited:
    """Return what the party waits for, and for whom."""
    match state:
        case Readying():
            return Awaited("our list of points")
        case Exchanging():
            if state.mine.busy() or state.theirs.busy():
                return Awaited("X25519 over our blocks and theirs")
            if not state.theirs.complete(state.seat.block):
                return Awaited("the rest of its list", (_other(state.seat),))
            return Awaited("the rest of our list, raised", (_other(state.seat),))
        case Matching():
            return Awaited("the intersection")
        case Ended():
            return ENDED


STATES = (Readying, Exchanging, Matching, Ended)
