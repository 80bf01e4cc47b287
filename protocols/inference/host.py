"""The host of a joint inference: say which rows we have, and give our share of their scores.

::

    begin --> Open --asked--> Finding --looked up--> Told --chosen--> Lacking --all keys--> Giving --made--> Ended

The keys of those with whom we agree on masks may come at any time before Giving; if all are there already, or we
are alone, Lacking is passed over.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from hansa.protocols.errors import PeerError
from hansa.protocols.inference.conduct import Conduct, finished, unasked
from hansa.protocols.inference.job import HOST, MOST_ID_CHARS, Answered, Ended, ModelServed, Seat
from hansa.protocols.inference.keys import Keys, announced, missing, taking
from hansa.protocols.inference.messages import Ask, Chosen, Known, MaskKey, Message, Share
from hansa.protocols.inference.part import OwnPart, own_part
from hansa.protocols.inference.patience import FIRST_HAND, FOR_GUEST, aborted
from hansa.protocols.inference.tasks import Found, Numbers, scoring, searching
from hansa.protocols.machine import Awaited, Brief, Computed, Effect, Record, RoleSpec, Send, Step
from hansa.protocols.model import Array


@dataclass(frozen=True, slots=True)
class Open:
    """The guest is to ask."""

    seat: Seat
    secret: bytes = field(repr=False)
    part: OwnPart
    keys: Keys


@dataclass(frozen=True, slots=True)
class Finding:
    """The rows are being looked up."""

    seat: Seat
    secret: bytes = field(repr=False)
    part: OwnPart
    keys: Keys
    ids: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """The guest knows which of the rows we have, and is to choose."""

    seat: Seat
    secret: bytes = field(repr=False)
    part: OwnPart
    keys: Keys
    ids: tuple[str, ...] = field(repr=False)
    known: Array = field(repr=False)


@dataclass(frozen=True, slots=True)
class Lacking:
    """The rows are chosen; ``ids`` are theirs alone. A peer's key is to come."""

    seat: Seat
    secret: bytes = field(repr=False)
    part: OwnPart
    keys: Keys
    ids: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Giving:
    """Our share is being made."""

    seat: Seat
    rows: int


Running = Open | Finding | Told | Lacking | Giving
State = Running | Ended


def begin(brief: Brief) -> Step[State]:
    """Tell our peers the key that our masks come from, and wait to be asked.

    Raises:
        LocalProtocolError: the brief does not fit the role, or the model left here not the job.
    """
    seat = Seat.take(brief, HOST)
    part = own_part(seat, brief.start)
    return CONDUCT.begin(Open(seat, brief.secret, part, {}), announced(seat, brief.secret))


# -- messages -----------------------------------------------------------------------------------------------


def _received(state: Running, sender: str, message: Message) -> Step[State]:
    match message, state:
        case MaskKey(), Open() | Finding() | Told():
            return Step(replace(state, keys=taking(state.seat, state.keys, sender, message)))
        case MaskKey(), Lacking():
            keys = taking(state.seat, state.keys, sender, message)
            return _with_keys(replace(state, keys=keys))
        case Ask(), Open() if sender == state.seat.guest:
            return _asked(state, sender, message)
        case Chosen(), Told() if sender == state.seat.guest:
            return _chosen(state, sender, message)
    raise PeerError(f"{sender} sent {type(message).__name__} while {type(state).__name__}")


def _asked(state: Open, sender: str, message: Ask) -> Step[State]:
    seat, most = state.seat, state.seat.settings.most_rows
    if not 1 <= len(message.ids) <= most:
        raise PeerError(f"{sender} asked for {len(message.ids)} rows; the job allows 1 to {most}")
    longest = max(map(len, message.ids))
    if longest > MOST_ID_CHARS:
        raise PeerError(f"{sender} asked for a row by {longest} characters; ids have {MOST_ID_CHARS} at most")
    if message.digest != state.part.digest:
        return aborted(seat, f"{sender} asks another model of {seat.settings.model} than {seat.me} has")
    finding = Finding(seat, state.secret, state.part, state.keys, message.ids)
    return Step(finding, (searching(state.part, message.ids),))


def _chosen(state: Told, sender: str, message: Chosen) -> Step[State]:
    positions = message.positions
    if positions.dtype != np.int64 or positions.ndim != 1 or len(positions) > len(state.ids):
        raise PeerError(f"{sender} chose rows by {positions.shape} {positions.dtype}, not by positions")
    outside = (positions < 0) | (positions >= len(state.ids))
    if outside.any() or (np.diff(positions) <= 0).any() or not state.known[positions].all():
        raise PeerError(f"{sender} chose rows out of order, or that {state.seat.me} does not have")
    if not len(positions):
        return finished(state.seat, Answered(0))
    ids = tuple(state.ids[position] for position in positions.tolist())
    return _with_keys(Lacking(state.seat, state.secret, state.part, state.keys, ids))


def _with_keys(state: Lacking) -> Step[State]:
    """Have our share made once every peer's key is here."""
    if missing(state.seat, state.keys):
        return Step(state)
    task = scoring(state.seat, state.secret, state.part, state.ids, state.keys)
    return Step(Giving(state.seat, len(state.ids)), (task,))


# -- tasks --------------------------------------------------------------------------------------------------


def _computed(state: Running, event: Computed) -> Step[State]:
    match event.result, state:
        case Found(known), Finding(seat):
            told = Told(seat, state.secret, state.part, state.keys, state.ids, known)
            return Step(told, (Send(seat.guest, Known(seat.session, known)),))
        case Numbers(numbers), Giving(seat, rows):
            share: tuple[Effect, ...] = (Send(seat.collector, Share(seat.session, numbers)),)
            if seat.me == seat.hosts[0]:
                share = (*share, Record(ModelServed(seat.settings.model, rows)))
            return finished(seat, Answered(rows), share)
    raise unasked(state, event)


# -- the rest -----------------------------------------------------------------------------------------------


def _waiting(state: Running) -> Awaited:
    match state:
        case Open(seat):
            return Awaited("the rows to be scored", (seat.guest,))
        case Finding():
            return Awaited("which rows we have")
        case Told(seat):
            return Awaited("the rows that all have", (seat.guest,))
        case Lacking(seat):
            return Awaited("the keys for our masks", missing(seat, state.keys))
        case Giving():
            return Awaited("our share of the scores")


def _patience(state: Running) -> int:
    return FIRST_HAND if isinstance(state, Lacking) else FOR_GUEST


CONDUCT: Conduct[Running] = Conduct(_received, _computed, _waiting, _patience)
SPEC: RoleSpec[State] = RoleSpec(
    begin, CONDUCT.step, (Open, Finding, Told, Lacking, Giving, Ended), CONDUCT.awaited
)
