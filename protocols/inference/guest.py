"""The guest of a joint inference: ask for our rows, and learn what the job lets us.

::

    begin --> Reading --ids read--> Asking --everybody has answered--.
                                                                     |
        without an arbiter: Adding --shares of all--> Ended       <--+
        with one: Lacking --all keys--> Giving --sent--> Expecting --its answer--> Ended

Rows that somebody lacks are left out, and are nobody's error.
"""

from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np

from hansa.protocols.digest import freeze
from hansa.protocols.errors import PeerError
from hansa.protocols.inference.conduct import Conduct, finished, unasked
from hansa.protocols.inference.job import GUEST, Ended, Scored, Seat, positions_of
from hansa.protocols.inference.keys import Keys, announced, missing, taking
from hansa.protocols.inference.messages import Answer, Ask, Chosen, Due, Known, MaskKey, Message, Share
from hansa.protocols.inference.part import OwnPart, own_part
from hansa.protocols.inference.patience import FIRST_HAND, FOR_ANSWER, FOR_SHARES, aborted
from hansa.protocols.inference.shares import SharesRefused, added, check_share, probability
from hansa.protocols.inference.tasks import Listed, Numbers, listing, scoring
from hansa.protocols.machine import Awaited, Brief, Computed, Effect, RoleSpec, Send, Step
from hansa.protocols.model import Array


@dataclass(frozen=True, slots=True)
class Reading:
    """Our rows are being read."""

    seat: Seat
    secret: bytes = field(repr=False)
    part: OwnPart
    keys: Keys


@dataclass(frozen=True, slots=True, eq=False)
class Asking:
    """Hosts look up which rows they have.

    Attributes:
        ids: of our rows.
        known: (ids,) bool, which of them we can score.
        answers: by host, the same of theirs.
    """

    seat: Seat
    secret: bytes = field(repr=False)
    part: OwnPart
    keys: Keys
    ids: tuple[str, ...] = field(repr=False)
    known: Array = field(repr=False)
    answers: dict[str, Array] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Adding:
    """Shares come in, and our own is being made; there is no arbiter.

    Attributes:
        logistic: whether a score becomes a probability.
        known: (ids,) bool, which rows all have.
        shares: by name.
    """

    seat: Seat
    logistic: bool
    ids: tuple[str, ...] = field(repr=False)
    known: Array = field(repr=False)
    shares: dict[str, Array] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Lacking:
    """A host's key for our masks is to come; there is an arbiter."""

    seat: Seat
    secret: bytes = field(repr=False)
    part: OwnPart
    keys: Keys
    ids: tuple[str, ...] = field(repr=False)
    known: Array = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Giving:
    """Our share is being made for the arbiter."""

    seat: Seat
    ids: tuple[str, ...] = field(repr=False)
    known: Array = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Expecting:
    """The arbiter has our share, and is to answer."""

    seat: Seat
    ids: tuple[str, ...] = field(repr=False)
    known: Array = field(repr=False)


Running = Reading | Asking | Adding | Lacking | Giving | Expecting
State = Running | Ended


def begin(brief: Brief) -> Step[State]:
    """Have our rows read, and tell our peers the key that our masks come from.

    Raises:
        LocalProtocolError: the brief does not fit the role, or the model left here not the job.
    """
    seat = Seat.take(brief, GUEST)
    part = own_part(seat, brief.start)
    first = (*announced(seat, brief.secret), listing(seat, part))
    return CONDUCT.begin(Reading(seat, brief.secret, part, {}), first)


# -- messages -----------------------------------------------------------------------------------------------


def _received(state: Running, sender: str, message: Message) -> Step[State]:
    match message, state:
        case MaskKey(), Reading() | Asking():
            return Step(replace(state, keys=taking(state.seat, state.keys, sender, message)))
        case MaskKey(), Lacking():
            keys = taking(state.seat, state.keys, sender, message)
            return _with_keys(replace(state, keys=keys))
        case Known(), Asking() if sender in state.seat.hosts:
            return _known(state, sender, message)
        case Share(), Adding():
            check_share(state.seat, sender, message, state.shares)
            return _with_shares(replace(state, shares={**state.shares, sender: message.numbers}))
        case Answer(), Expecting() if sender == state.seat.arbiter:
            return _answered(state, sender, message)
    raise PeerError(f"{sender} sent {type(message).__name__} while {type(state).__name__}")


def _known(state: Asking, sender: str, message: Known) -> Step[State]:
    known = message.known
    if sender in state.answers:
        raise PeerError(f"{sender} said twice which rows it has")
    if known.dtype != np.bool_ or known.shape != (len(state.ids),):
        raise PeerError(
            f"{sender} answered {known.shape} {known.dtype} when asked which of {len(state.ids)} rows it has"
        )
    answers = {**state.answers, sender: known}
    if len(answers) < len(state.seat.hosts):
        return Step(replace(state, answers=answers))
    return _choose(state, freeze(reduce(np.logical_and, answers.values(), state.known)))


def _choose(state: Asking, known: Array) -> Step[State]:
    """Tell everybody which rows all have, and go on to their scores, if there are any."""
    seat, positions = state.seat, positions_of(known)
    sends: tuple[Effect, ...] = tuple(Send(host, Chosen(seat.session, positions)) for host in seat.hosts)
    if seat.arbiter:
        edges = state.part.deciles if seat.settings.output == "decile" else ()
        sends = (*sends, Send(seat.arbiter, Due(seat.session, len(positions), edges)))
    if not len(positions):
        kind = np.float64 if seat.settings.output == "score" else np.int64
        return finished(seat, _scored(seat, state.ids, known, np.zeros(0, kind)), sends)
    if seat.arbiter:
        onward = _with_keys(Lacking(seat, state.secret, state.part, state.keys, state.ids, known))
        return Step(onward.state, (*sends, *onward.effects))
    task = scoring(seat, state.secret, state.part, _common(state.ids, known), {})
    return Step(Adding(seat, state.part.logistic, state.ids, known, {}), (*sends, task))


def _with_keys(state: Lacking) -> Step[State]:
    """Have our share made once every host's key is here."""
    seat = state.seat
    if missing(seat, state.keys):
        return Step(state)
    task = scoring(seat, state.secret, state.part, _common(state.ids, state.known), state.keys)
    return Step(Giving(seat, state.ids, state.known), (task,))


def _with_shares(state: Adding) -> Step[State]:
    """Add up once all shares are here."""
    seat = state.seat
    if len(state.shares) <= len(seat.hosts):
        return Step(state)
    try:
        scores = added(seat, state.shares, len(positions_of(state.known)))
    except SharesRefused as error:
        return aborted(seat, str(error))
    values = probability(scores) if state.logistic else scores
    return finished(seat, _scored(seat, state.ids, state.known, values))


def _answered(state: Expecting, sender: str, message: Answer) -> Step[State]:
    values, rows = message.values, len(positions_of(state.known))
    least, most = (0, 1) if state.seat.settings.output == "label" else (1, 10)
    if values.dtype != np.int64 or values.shape != (rows,):
        raise PeerError(f"{sender} answered {values.shape} {values.dtype} for {rows} rows")
    if ((values < least) | (values > most)).any():
        raise PeerError(f"{sender} answered what is no {state.seat.settings.output}")
    return finished(state.seat, _scored(state.seat, state.ids, state.known, values))


# -- tasks --------------------------------------------------------------------------------------------------


def _computed(state: Running, event: Computed) -> Step[State]:
    match event.result, state:
        case Listed() as listed, Reading():
            return _listed(state, listed)
        case Numbers(numbers), Adding(seat) if seat.me not in state.shares:
            return _with_shares(replace(state, shares={**state.shares, seat.me: numbers}))
        case Numbers(numbers), Giving(seat):
            send = Send(seat.arbiter, Share(seat.session, numbers))
            return Step(Expecting(seat, state.ids, state.known), (send,))
    raise unasked(state, event)


def _listed(state: Reading, listed: Listed) -> Step[State]:
    seat, most = state.seat, state.seat.settings.most_rows
    if not listed.rows:
        return aborted(seat, f"{seat.me} has no rows to be scored")
    if not listed.ids:
        what = f"more than {most}" if listed.rows > most else "whose ids fill more than one message"
        return aborted(seat, f"{seat.me} has {listed.rows} rows to be scored, {what}: score them in parts")
    ask = Ask(seat.session, state.part.digest, listed.ids)
    asking = Asking(seat, state.secret, state.part, state.keys, listed.ids, listed.known, {})
    return Step(asking, tuple(Send(host, ask) for host in seat.hosts))


# -- the rest -----------------------------------------------------------------------------------------------


def _common(ids: tuple[str, ...], known: Array) -> tuple[str, ...]:
    return tuple(ids[position] for position in positions_of(known).tolist())


def _scored(seat: Seat, ids: tuple[str, ...], known: Array, values: Array) -> Scored:
    return Scored(ids, known, freeze(values), seat.settings.output)


def _waiting(state: Running) -> Awaited:
    match state:
        case Reading():
            return Awaited("our rows")
        case Asking(seat):
            return Awaited("which rows hosts have", tuple(h for h in seat.hosts if h not in state.answers))
        case Adding(seat):
            return Awaited("shares of the scores", tuple(h for h in seat.hosts if h not in state.shares))
        case Lacking(seat):
            return Awaited("the keys for our masks", missing(seat, state.keys))
        case Giving():
            return Awaited("our share of the scores")
        case Expecting(seat):
            return Awaited("the arbiter's answer", (seat.arbiter,))


def _patience(state: Running) -> int:
    match state:
        case Adding():
            return FOR_SHARES
        case Giving() | Expecting():
            return FOR_ANSWER
        case Reading() | Asking() | Lacking():
            return FIRST_HAND


CONDUCT: Conduct[Running] = Conduct(_received, _computed, _waiting, _patience)
SPEC: RoleSpec[State] = RoleSpec(
    begin, CONDUCT.step, (Reading, Asking, Adding, Lacking, Giving, Expecting, Ended), CONDUCT.awaited
)
