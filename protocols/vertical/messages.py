"""What do guest, hosts and arbiter say to each other?

Before the first epoch::

    party   -- Ready: how many rows and columns           --> arbiter
    party   <-- Key: the public key, everybody's columns   --  arbiter

A round, one for each batch; u is a party's share of the scores, d the residuals (docs/vertical.md)::

    host    -- Scores: [[slope·u_A]], block by block       --> guest
    host    <-- Residual: [[d]], fresh masks, by block     --  guest
    party   -- Masked: [[Xᵀd + R]], packed                 --> arbiter
    party   <-- Opened: Xᵀd + R modulo n                   --  arbiter

At the end of an epoch::

    host    -- LossTerm: its part of the loss, encrypted   --> guest
    guest   -- LossSum: the sum of all parts, encrypted    --> arbiter
    party   <-- EpochClosed: the verdict                   --  arbiter

Whoever has been held up for a while says so to all but those it waits for: Waiting. Every message carries the
session. Frames are `crypto.wire`'s.
"""

from dataclasses import dataclass

from hansa.protocols.errors import PeerError
from hansa.protocols.vertical.job import Seat, Verdict


@dataclass(frozen=True, slots=True)
class Ready:
    """Party to arbiter: our rows are in order."""

    session: bytes
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Key:
    """Arbiter to party: the public key's bytes, the rows that all have, and everybody's number of columns."""

    session: bytes
    public: bytes
    rows: int
    columns: dict[str, int]


@dataclass(frozen=True, slots=True)
class Scores:
    """Host to guest: a block of its encrypted scores, (rows of the block,)."""

    session: bytes
    round: int
    block: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Residual:
    """Guest to host: a block of the encrypted residuals under fresh masks, (rows of the block,)."""

    session: bytes
    round: int
    block: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Masked:
    """Party to arbiter: its encrypted gradient plus residues that are uniform modulo n, packed."""

    session: bytes
    round: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """Arbiter to party: the residues that ``Masked`` decrypts to, each as long as n."""

    session: bytes
    round: int
    residues: bytes


@dataclass(frozen=True, slots=True)
class LossTerm:
    """Host to guest: its encrypted part of an epoch's loss, (1,)."""

    session: bytes
    epoch: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class LossSum:
    """Guest to arbiter: an epoch's encrypted loss, summed over parties and rows, (1,)."""

    session: bytes
    epoch: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class EpochClosed:
    """Arbiter to party: how an epoch went; the loss only if the job shows it."""

    session: bytes
    epoch: int
    loss: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Waiting:
    """Anybody to those it does not wait for: we are there, and held up by those (none: by our own work)."""

    session: bytes
    round: int
    whom: tuple[str, ...]


Message = Ready | Key | Scores | Residual | Masked | Opened | LossTerm | LossSum | EpochClosed | Waiting


def check_session(seat: Seat, sender: str, message: Message) -> None:
    """Refuse what belongs to another job, or to one that others understand otherwise.

    Raises:
        PeerError: the session is another.
    """
    if message.session != seat.session:
        raise PeerError(f"{sender} sent {type(message).__name__} of another session")
