"""The arbiter of a joint inference: add up masked shares, and tell the guest labels or deciles.

::

    begin --> Opening --the guest says how many rows--> Adding --shares of all--> Ended

It sees the scores of rows without names, and no share by itself. It has no part of the model and no rows, and must
not collude with anybody. Shares may come before the guest's word.
"""

from dataclasses import dataclass, field, replace

from hansa.protocols.digest import freeze
from hansa.protocols.errors import PeerError
from hansa.protocols.inference.conduct import Conduct, finished, unasked
from hansa.protocols.inference.job import ARBITER, Answered, Ended, Seat
from hansa.protocols.inference.messages import Answer, Due, Message, Share
from hansa.protocols.inference.patience import FOR_GUEST, FOR_SHARES, aborted
from hansa.protocols.inference.shares import SharesRefused, added, check_edges, check_share, sorted_in
from hansa.protocols.machine import Awaited, Brief, Computed, RoleSpec, Send, Step
from hansa.protocols.model import Array


@dataclass(frozen=True, slots=True, eq=False)
class Opening:
    """The guest is to say how many rows there are; ``shares`` came before, by name."""

    seat: Seat
    shares: dict[str, Array] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Adding:
    """Shares of so many rows come in; what lies between these edges is one answer."""

    seat: Seat
    shares: dict[str, Array] = field(repr=False)
    rows: int
    edges: tuple[float, ...] = field(repr=False)


Running = Opening | Adding
State = Running | Ended


def begin(brief: Brief) -> Step[State]:
    """Wait for the guest's word.

    Raises:
        LocalProtocolError: the brief does not fit the role.
    """
    return CONDUCT.begin(Opening(Seat.take(brief, ARBITER), {}))


def _received(state: Running, sender: str, message: Message) -> Step[State]:
    match message, state:
        case Due(), Opening() if sender == state.seat.guest:
            return _due(state, sender, message)
        case Share(), Opening():
            check_share(state.seat, sender, message, state.shares)
            return Step(replace(state, shares={**state.shares, sender: message.numbers}))
        case Share(), Adding():
            check_share(state.seat, sender, message, state.shares)
            return _with_shares(replace(state, shares={**state.shares, sender: message.numbers}))
    raise PeerError(f"{sender} sent {type(message).__name__} while {type(state).__name__}")


def _due(state: Opening, sender: str, message: Due) -> Step[State]:
    seat = state.seat
    most = seat.settings.most_rows
    if not 0 <= message.rows <= most:
        raise PeerError(f"{sender} asks for {message.rows} rows; the job allows at most {most}")
    edges = check_edges(sender, seat.settings.output, message.edges)
    if not message.rows:
        return finished(seat, Answered(0))
    return _with_shares(Adding(seat, state.shares, message.rows, edges))


def _with_shares(state: Adding) -> Step[State]:
    """Add up and answer once all shares are here."""
    seat = state.seat
    if len(state.shares) < len(seat.sharers):
        return Step(state)
    try:
        scores = added(seat, state.shares, state.rows)
    except SharesRefused as error:
        return aborted(seat, str(error))
    first = 0 if seat.settings.output == "label" else 1
    answer = Answer(seat.session, freeze(sorted_in(scores, state.edges) + first))
    return finished(seat, Answered(state.rows), (Send(seat.guest, answer),))


def _computed(state: Running, event: Computed) -> Step[State]:
    raise unasked(state, event)


def _waiting(state: Running) -> Awaited:
    match state:
        case Opening(seat):
            return Awaited("how many rows there are", (seat.guest,))
        case Adding(seat, shares):
            return Awaited("shares of the scores", tuple(s for s in seat.sharers if s not in shares))


def _patience(state: Running) -> int:
    return FOR_GUEST if isinstance(state, Opening) else FOR_SHARES


CONDUCT: Conduct[Running] = Conduct(_received, _computed, _waiting, _patience)
SPEC: RoleSpec[State] = RoleSpec(begin, CONDUCT.step, (Opening, Adding, Ended), CONDUCT.awaited)
