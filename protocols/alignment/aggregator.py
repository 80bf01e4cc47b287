"""The aggregator of an alignment: count the ring's lists, tell each party its own positions, close.

::

    begin --> Collecting --all lists--> Counting --> Concluding --everybody settled--> Ended
      '--------two parties speak to each other---------^

It holds no key and no rows. Of a ring it sees the lists under all keys, and so how many ids each set of parties
shares (2^k numbers); it must not collude with any party. Of two parties it sees nothing but that they are done.

In a ring it also asks everybody now and then for a sign of life: whoever gives none is named. Two parties watch
each other.
"""

from dataclasses import dataclass, replace

from hansa.protocols.alignment.job import AGGREGATOR, ENDED, AlignmentClosed, Ended, Seat
from hansa.protocols.alignment.lists import Block, Incoming, blocks_of
from hansa.protocols.alignment.messages import Ask, Here, Positions, Settled, Tagged, check_session
from hansa.protocols.alignment.tasks import COUNT, Counted, Tags, Tally
from hansa.protocols.errors import LocalProtocolError, PeerError
from hansa.protocols.machine import (
    Abort,
    Awaited,
    Brief,
    CancelTimer,
    Compute,
    Computed,
    Effect,
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

DEADLINE = "deadline"
SILENCE = "silence"
DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True, eq=False)
class Collecting:
    """Lists arrive.

    Attributes:
        lists: what has come, by owner in ascending order.
        tags: its blocks, in the same order.
        asked: who has been asked and not answered.
        words: who has settled.
    """

    seat: Seat
    lists: tuple[Incoming, ...]
    tags: tuple[Tags, ...]
    asked: tuple[str, ...]
    words: dict[str, Settled]


@dataclass(frozen=True, slots=True)
class Counting:
    """All lists are here; the count is at work."""

    seat: Seat
    sizes: dict[str, int]
    asked: tuple[str, ...]
    words: dict[str, Settled]


@dataclass(frozen=True, slots=True)
class Concluding:
    """What remains are everybody's last words; ``sizes`` and ``common`` as in ``AlignmentClosed``."""

    seat: Seat
    sizes: dict[str, int]
    common: int | None
    asked: tuple[str, ...]
    words: dict[str, Settled]


Running = Collecting | Counting | Concluding
State = Running | Ended


def begin(brief: Brief) -> Step[State]:
    """Wait for the lists, or for the last words of two that don't need us.

    Raises:
        LocalProtocolError: the brief does not fit the role.
    """
    seat = Seat.take(brief, AGGREGATOR)
    timer = SetTimer(DEADLINE, seat.deadline_s)
    if seat.is_pair:
        return Step(Concluding(seat, {}, None, (), {}), (timer,))
    lists = tuple(Incoming(party) for party in seat.parties)
    tags = tuple(Tags(party, ()) for party in seat.parties)
    return Step(Collecting(seat, lists, tags, (), {}), (timer, SetTimer(SILENCE, seat.silence_s)))


def step(state: State, event: Event) -> Step[State]:
    """Return the next state and its effects.

    Raises:
        PeerError: a message from a stranger or out of turn, of another kind or session, or of points that
            can't be.
        LocalProtocolError: a task that nobody asked for, a result of another type, or somebody left who never
            took part.
    """
    if isinstance(state, Ended):
        return Step(state)
    match event:
        case Received(sender, _) if sender not in state.seat.parties:
            raise PeerError(f"{sender} is not a party of this job")
        case Received(sender, Tagged() as message):
            return _tagged(state, sender, message)
        case Received(sender, Here() as message):
            return _here(state, sender, message)
        case Received(sender, Settled() as message):
            return _settled(state, sender, message)
        case Received(sender, message):
            raise PeerError(f"{sender} sent {type(message).__name__}, which is not for aggregators")
        case Computed():
            return _computed(state, event)
        case TimerFired(name):
            return _overdue(state, name)
        case PeerLeft(name, reason):
            return _left(state, name, reason)


# -- messages -----------------------------------------------------------------------------------------------


def _tagged(state: Running, sender: str, message: Tagged) -> Step[State]:
    seat, owner = state.seat, message.owner
    check_session(seat, sender, message)
    if owner not in seat.parties or seat.before(owner) != sender:
        raise PeerError(f"{sender} sent a list of {owner:.40}, on whose way it is not the last")
    if not isinstance(state, Collecting):
        raise PeerError(f"{sender} sent block {message.block} of {owner}'s list while {type(state).__name__}")
    place = seat.parties.index(owner)
    taken = state.lists[place].accept(sender, message.size, message.block, message.points, seat.block)
    taken = taken.finish(message.block)  # here a block is done as it comes
    tags = Tags(owner, (*state.tags[place].blocks, Block(message.block, message.points)))
    gathered = replace(
        state,
        lists=(*state.lists[:place], taken, *state.lists[place + 1 :]),
        tags=(*state.tags[:place], tags, *state.tags[place + 1 :]),
    )
    if not all(each.complete(seat.block) for each in gathered.lists):
        return Step(gathered)
    sizes = {each.owner: each.size for each in gathered.lists}
    tally = Tally(gathered.tags, seat.threshold)
    return Step(Counting(seat, sizes, state.asked, state.words), (Compute(COUNT, COUNT, tally, 0),))


def _here(state: Running, sender: str, message: Here) -> Step[State]:
    check_session(state.seat, sender, message)
    if sender not in state.asked:
        raise PeerError(f"{sender} answered a question that it was not asked")
    return Step(replace(state, asked=tuple(name for name in state.asked if name != sender)))


def _settled(state: Running, sender: str, message: Settled) -> Step[State]:
    seat = state.seat
    check_session(seat, sender, message)
    if sender in state.words:
        raise PeerError(f"{sender} settled twice")
    if sender in seat.receivers and not isinstance(state, Concluding):
        raise PeerError(f"{sender} settled before it could know the result")
    told = message.rows is not None
    if told != (seat.is_pair and len(seat.receivers) == 2):
        raise PeerError(f"{sender} settled {'with' if told else 'without'} a count, against the job's rule")
    if (message.rows or 0) < 0 or len(message.digest) != (DIGEST_BYTES if told else 0):
        raise PeerError(
            f"{sender} settled on {message.rows} rows and a digest of {len(message.digest)} bytes"
        )
    return _proceed(replace(state, words={**state.words, sender: message}))


# -- on the way ---------------------------------------------------------------------------------------------


def _computed(state: Running, event: Computed) -> Step[State]:
    if not isinstance(state, Counting) or event.task_id != COUNT:
        raise LocalProtocolError(f"task {event.task_id} ended in {type(state).__name__}, which has not asked")
    if event.error is not None:
        return _abort(state, f"the lists can't be counted: {event.error}")
    if not isinstance(event.result, Counted):
        raise LocalProtocolError(f"{COUNT} gave {type(event.result).__name__}, not Counted")
    seat, counted = state.seat, event.result
    sends: tuple[Effect, ...] = tuple(
        Send(party, Positions(seat.session, positions))
        for party, positions in zip(seat.parties, counted.positions, strict=True)
        if party in seat.receivers
    )
    return Step(Concluding(seat, state.sizes, counted.common, state.asked, state.words), sends)


def _proceed(state: Running) -> Step[State]:
    """Close the job once everybody has settled."""
    seat = state.seat
    if not isinstance(state, Concluding) or len(state.words) < len(seat.parties):
        return Step(state)
    common = state.common
    if seat.is_pair:
        one, two = (state.words[party] for party in seat.parties)
        if (one.rows, one.digest) != (two.rows, two.digest):
            return _abort(state, f"{' and '.join(seat.parties)} found different intersections")
        common = one.rows
    timers = (CancelTimer(DEADLINE), CancelTimer(SILENCE))
    return Step(Ended(seat), (*timers, Finish(AlignmentClosed(state.sizes, common))))


def _overdue(state: Running, name: str) -> Step[State]:
    seat = state.seat
    unsettled = tuple(party for party in seat.parties if party not in state.words)
    if name == DEADLINE:
        return _too_late(state, ", ".join(unsettled))
    silent = ", ".join(party for party in state.asked if party in unsettled)
    if silent:
        return _abort(state, f"no sign of life from {silent} for {seat.silence_s:g} s")
    asks = tuple(Send(party, Ask(seat.session)) for party in unsettled)
    return Step(replace(state, asked=unsettled), (*asks, SetTimer(SILENCE, seat.silence_s)))


def _too_late(state: Running, unsettled: str) -> Step[State]:
    within = f"within {state.seat.deadline_s:g} s"
    match state:
        case Collecting():
            owners = ", ".join(each.owner for each in state.lists if not each.complete(state.seat.block))
            return _abort(state, f"the lists of {owners} were not round {within}")
        case Counting():
            return _abort(state, f"the lists were not counted {within}")
        case Concluding():
            return _abort(state, f"no last word from {unsettled} {within}")


def _left(state: Running, name: str, reason: str) -> Step[State]:
    if name not in state.seat.parties:
        raise LocalProtocolError(f"{name} left, but is not a party of this job")
    if name in state.words:
        return Step(state)  # it had nothing left to do
    return _abort(state, f"{name} left: {reason}")


def _abort(state: Running, reason: str) -> Step[State]:
    return Step(Ended(state.seat), (Abort(reason),))


def awaited(state: State) -> Awaited:
    """Return what the aggregator waits for, and for whom."""
    match state:
        case Collecting(seat):
            unfinished = [each for each in state.lists if not each.complete(seat.block)]
            have = sum(len(each.done) for each in state.lists)
            of = sum(blocks_of(each.size, seat.block) for each in state.lists)
            whom = tuple(sorted({seat.before(each.owner) for each in unfinished}))
            return Awaited(f"the lists, {have} of {of} blocks announced", whom)
        case Counting():
            return Awaited("the count")
        case Concluding(seat):
            return Awaited("the last words", tuple(p for p in seat.parties if p not in state.words))
        case Ended():
            return ENDED


SPEC: RoleSpec[State] = RoleSpec(begin, step, (Collecting, Counting, Concluding, Ended), awaited)
