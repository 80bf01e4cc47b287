"""What do the roles of an alignment say to each other?

Two parties, A and B; either may be the only one to learn the result, and then nobody sends it to the other::

    A  --  Blinded: A's ids under a, in A's secret order    -->  B
    A  <-- Blinded: B's ids under b, in B's secret order     --  B
    A  <-- Raised:  A's points under a and b, in A's order   --  B     if A learns the result
    A  --  Raised:  B's points under a and b, in B's order   --> B     if B learns it

A ring, each list starting at its owner, who alone shuffles it::

    owner -- Passed --> next -- Passed --> ... last -- Tagged --> aggregator
    owner <-- Positions: which of its points stand in enough lists -- aggregator
    party <-- Ask: are you there?                     --  aggregator
    party --  Here                                    --> aggregator

In both, every party ends with Settled to the aggregator. Every message carries the session, and every list
travels in numbered blocks of the same length, the last excepted.
"""

from dataclasses import dataclass, fields

from hansa.protocols.alignment.job import Seat
from hansa.protocols.errors import PeerError
from hansa.protocols.model import Array

MOST_BITS = 64  # of a size or number

# Records that hold arrays compare by identity (eq=False), since `==` on arrays has no single answer.


@dataclass(frozen=True, slots=True, eq=False)
class Blinded:
    """A block of the sender's list, under the sender's key.

    Attributes:
        size: of the whole list.
        block: which block, from 0.
        points: (n, 32) uint8.
    """

    session: bytes
    size: int
    block: int
    points: Array


@dataclass(frozen=True, slots=True, eq=False)
class Raised:
    """A block of the recipient's list as it was blinded, raised by the sender: the same points in order."""

    session: bytes
    block: int
    points: Array


@dataclass(frozen=True, slots=True, eq=False)
class Passed:
    """A block of the owner's list on its way round the ring."""

    session: bytes
    owner: str
    size: int
    block: int
    points: Array


@dataclass(frozen=True, slots=True, eq=False)
class Tagged:
    """A block of the owner's list, under every party's key: from the last of its way to the aggregator."""

    session: bytes
    owner: str
    size: int
    block: int
    points: Array


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """Aggregator to a party: (m,) int64, where in its list the points stand that are in enough lists."""

    session: bytes
    positions: Array


@dataclass(frozen=True, slots=True)
class Ask:
    """Aggregator to each party of a ring, now and then: are you there?"""

    session: bytes


@dataclass(frozen=True, slots=True)
class Here:
    """Party to aggregator: yes, at work or waiting."""

    session: bytes


@dataclass(frozen=True, slots=True)
class Settled:
    """Party to aggregator: we are done.

    Attributes:
        rows: how many ids two parties have in common, if both learn it; else None.
        digest: of these points, so that the aggregator sees that both found the same; else empty.
    """

    session: bytes
    rows: int | None
    digest: bytes


Message = Blinded | Raised | Passed | Tagged | Positions | Ask | Here | Settled


def check_session(seat: Seat, sender: str, message: Message) -> None:
    """Refuse what belongs to another job, or to one that others understand otherwise.

    Raises:
        PeerError: the session is another; or a number has more than 64 bits, which no list needs, and which
            Python might refuse to write into the error's text.
    """
    if message.session != seat.session:
        raise PeerError(f"{sender} sent {type(message).__name__} of another session")
    values = (getattr(message, each.name) for each in fields(message))
    if any(isinstance(value, int) and value.bit_length() > MOST_BITS for value in values):
        raise PeerError(f"{sender} sent {type(message).__name__} with a number beyond {MOST_BITS} bits")
