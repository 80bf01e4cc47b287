"""What do guest, hosts and arbiter say to each other?

Those who give shares agree on masks, each with each and directly, at the beginning::

    sharer  -- MaskKey: an X25519 key                        --> every other sharer

Then, for one batch of rows::

    guest   -- Ask: the rows' ids                            --> hosts
    host    -- Known: which of them it has                   --> guest
    guest   -- Chosen: those that all have                   --> hosts
    guest   -- Due: how many these are, and the edges        --> arbiter    if there is one
    sharer  -- Share: its part of each score, masked         --> arbiter, or the guest if there is none
    arbiter -- Answer: a label or decile for each row        --> guest

and at any time::

    anybody -- Waiting: who holds us up                      --> those that we do not wait for
"""

from dataclasses import dataclass, field

from hansa.protocols.errors import PeerError
from hansa.protocols.inference.job import Seat
from hansa.protocols.model import Array

MOST_BITS = 64  # of a number

# Records that hold arrays compare by identity (eq=False), since `==` on arrays has no single answer.


@dataclass(frozen=True, slots=True)
class MaskKey:
    """Sharer to sharer: the public key that our masks come from, 32 bytes."""

    session: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Ask:
    """Guest to hosts: what does the model of this digest say about these rows?"""

    session: bytes
    digest: bytes
    ids: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Host to guest: (ids,) bool, which of them it has."""

    session: bytes
    known: Array


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Guest to hosts: (rows,) int64, where in the ids the rows stand that all have; ascending."""

    session: bytes
    positions: Array


@dataclass(frozen=True, slots=True)
class Due:
    """Guest to arbiter: how many rows will come, and for deciles the nine edges between them."""

    session: bytes
    rows: int
    edges: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """Sharer to collector: (rows,) uint64, its part of each score as `pairwise` encodes it, plus its masks.

    Only where a single host sends it to the guest itself, there is nobody to mask it with.
    """

    session: bytes
    numbers: Array


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Arbiter to guest: (rows,) int64, labels 0 or 1, or deciles from 1 to 10."""

    session: bytes
    values: Array


@dataclass(frozen=True, slots=True)
class Waiting:
    """Anybody to those it does not wait for: we are there, and held up by those (none: by our own work)."""

    session: bytes
    whom: tuple[str, ...]


Message = MaskKey | Ask | Known | Chosen | Due | Share | Answer | Waiting


def checked(seat: Seat, sender: str, message: object) -> Message:
    """Return what came, if it is a message of this job.

    Raises:
        PeerError: from a stranger, no message of this protocol, of another job or one that others understand
            otherwise, or with a number that no job has and no error's text should have to hold.
    """
    if sender not in seat.everybody or sender == seat.me:
        raise PeerError(f"{sender} has no part in this job")
    if not isinstance(message, Message):
        raise PeerError(f"{sender} sent {type(message).__name__}, which is no message of this protocol")
    if message.session != seat.session:
        raise PeerError(f"{sender} sent {type(message).__name__} of another session")
    if isinstance(message, Due) and message.rows.bit_length() > MOST_BITS:
        raise PeerError(f"{sender} sent Due with a number beyond {MOST_BITS} bits")
    return message
