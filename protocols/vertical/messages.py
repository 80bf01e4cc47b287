"""What do guest, hosts and arbiter say to each other?

Before the first epoch::

    party   -- MaskKey: for masks between the two          --> every other party
    party   -- Ready: how many rows and columns            --> arbiter
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

After the last epoch::

    party   -- HeldOut: masked scores of rows held out     --> arbiter    (bare ones in a valued job)
    party   -- Part: the digest of its part of the model   --> arbiter
    party   <-- Closed: how good the model is, all digests --  arbiter

Whoever has been held up for a while says so to all but those it waits for: Waiting. Every message carries the
session. Frames are `crypto.wire`'s bytes, as uint8 arrays: large arrays
travel beside their message.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from hansa.protocols.errors import PeerError
from hansa.protocols.model import Array, FloatArray
from hansa.protocols.pairwise import UintArray
from hansa.protocols.vertical.job import Seat
from hansa.protocols.vertical.settings import Verdict

MOST_BITS = 64  # of a number


@dataclass(frozen=True, slots=True)
class MaskKey:
    """Party to party: our X25519 key, of which the two of us make the masks of this job."""

    session: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Ready:
    """Party to arbiter: our rows are in order.

    Attributes:
        rows, held_out: to train and to evaluate on.
        columns: of ours.
        kept: after how many epochs we could go on, ascending; none if the job starts afresh.
    """

    session: bytes
    rows: int
    held_out: int
    columns: int
    kept: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """Arbiter to party: begin.

    Attributes:
        public: the key's bytes.
        rows, held_out: that all have.
        columns: everybody's number.
        epochs: after how many we go on; 0 for a fresh start.
        over: whether these were all, so that only the end is left.
    """

    session: bytes
    public: bytes
    rows: int
    held_out: int
    columns: dict[str, int]
    epochs: int
    over: bool


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Host to guest: a block of its encrypted scores, (rows of the block,)."""

    session: bytes
    round: int
    block: int
    frame: Array = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Residual:
    """Guest to host: a block of the encrypted residuals under fresh masks, (rows of the block,)."""

    session: bytes
    round: int
    block: int
    frame: Array = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Masked:
    """Party to arbiter: its encrypted gradient plus residues that are uniform modulo n, packed."""

    session: bytes
    round: int
    frame: Array = field(repr=False)


@dataclass(frozen=True, slots=True)
class Opened:
    """Arbiter to party: the residues that ``Masked`` decrypts to, each as long as n."""

    session: bytes
    round: int
    residues: bytes


@dataclass(frozen=True, slots=True, eq=False)
class LossTerm:
    """Host to guest: its encrypted part of an epoch's loss, (1,)."""

    session: bytes
    epoch: int
    frame: Array = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class LossSum:
    """Guest to arbiter: an epoch's encrypted loss, summed over parties and rows, (1,)."""

    session: bytes
    epoch: int
    frame: Array = field(repr=False)


@dataclass(frozen=True, slots=True)
class EpochClosed:
    """Arbiter to party: how an epoch went; the loss only if the job shows it."""

    session: bytes
    epoch: int
    loss: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Party to arbiter: what the rows held out are scored.

    Attributes:
        shares: (held_out,) uint64; over all parties the masks cancel, and the sum is the scores'. In a valued job
            there are no masks: our own scores, rounded, and without the guest's intercept.
        labels: (held_out,) the guest's targets, or -1 and +1; empty from hosts.
        intercept: the guest's, in a valued job: the model before any party, and nobody's contribution. Else 0.
    """

    session: bytes
    shares: UintArray = field(repr=False)
    labels: FloatArray = field(repr=False)
    intercept: float = field(default=0.0, repr=False)


@dataclass(frozen=True, slots=True)
class Part:
    """Party to arbiter: the digest of its part of the model."""

    session: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """Arbiter to party: the model is complete.

    Attributes:
        parts: everybody's digest.
        digest: of the whole.
        loss, score, metric, rows: of the rows held out; None, None, "" and 0 if there are none.
        deciles: of their scores, nine; the guest alone is told.
    """

    session: bytes
    parts: dict[str, bytes]
    digest: bytes
    loss: float | None
    score: float | None
    metric: str
    rows: int
    deciles: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Anybody to those it does not wait for: we are there, and held up by those (none: by our own work)."""

    session: bytes
    round: int
    whom: tuple[str, ...]


Message = (
    MaskKey | Ready | Key | Scores | Residual | Masked | Opened | LossTerm | LossSum | EpochClosed
    | HeldOut | Part | Closed | Waiting
)  # fmt: skip


def check_session(seat: Seat, sender: str, message: Message) -> None:
    """Refuse what belongs to another job, or to one that others understand otherwise.

    Raises:
        PeerError: the session is another; or a number is one that no job has, and no error's text should hold.
    """
    if message.session != seat.session:
        raise PeerError(f"{sender} sent {type(message).__name__} of another session")
    if any(number.bit_length() > MOST_BITS for number in _numbers(message)):
        raise PeerError(f"{sender} sent {type(message).__name__} with a number beyond {MOST_BITS} bits")


def _numbers(message: Message) -> Iterator[int]:
    """Yield the integers of a message."""
    for each in fields(message):
        match getattr(message, each.name):
            case int(number):
                yield number
            case dict(named):
                yield from (number for number in named.values() if isinstance(number, int))
            case tuple(listed):
                yield from (number for number in listed if isinstance(number, int))
