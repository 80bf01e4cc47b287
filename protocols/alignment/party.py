"""The party of an alignment: one of two that speak to each other, or one in a ring."""

from hansa.protocols.alignment import pair, ring
from hansa.protocols.alignment.job import ENDED, PARTY, Ended, Seat
from hansa.protocols.machine import Awaited, Brief, Event, RoleSpec, Step

State = pair.State | ring.State


def begin(brief: Brief) -> Step[State]:
    """Begin as the number of parties and the protocol ask.

    Raises:
        LocalProtocolError: the brief does not fit the role, or holds no secret.
    """
    return pair.begin(brief) if Seat.take(brief, PARTY).is_pair else ring.begin(brief)


def step(state: State, event: Event) -> Step[State]:
    """Return the next state and its effects; errors as of the two machines."""
    match state:
        case pair.Readying() | pair.Exchanging() | pair.Matching():
            return pair.step(state, event)
        case ring.Preparing() | ring.Circulating() | ring.Settling():
            return ring.step(state, event)
        case Ended():
            return Step(state)


def awaited(state: State) -> Awaited:
    """Return what the party waits for, and for whom."""
    match state:
        case pair.Readying() | pair.Exchanging() | pair.Matching():
            return pair.awaited(state)
        case ring.Preparing() | ring.Circulating() | ring.Settling():
            return ring.awaited(state)
        case Ended():
            return ENDED


SPEC: RoleSpec[State] = RoleSpec(begin, step, tuple(dict.fromkeys((*pair.STATES, *ring.STATES))), awaited)
