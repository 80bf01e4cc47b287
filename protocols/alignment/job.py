"""Which customers do we have in common? What a job of alignment chooses, and how it ends.

Two protocols share these pieces. ``alignment`` finds the ids that all parties hold: two parties speak to each
other (``pair``), three and more send their lists round a ring (``ring``) to an aggregator that counts. In
``over-threshold-alignment`` each party learns which of its own ids stand in at least so many lists.

The aggregator is the agent that leads the job. It holds no key and no rows.
"""

import hashlib
from dataclasses import dataclass
from math import isfinite

from hansa.protocols.errors import LocalProtocolError
from hansa.protocols.machine import Awaited, Brief
from hansa.protocols.model import Array

ALIGNMENT_NAME = "alignment"
OVER_THRESHOLD_NAME = "over-threshold-alignment"
VERSION = 1
PARTY = "party"
AGGREGATOR = "aggregator"

SESSION_DOMAIN = b"hansa/alignment/session/1\x00"

# Points in one message and one task: 512 KiB, and about half a second of X25519.
BLOCK = 16_384
MOST_BLOCK = 65_536
# 1 GiB of points in one list; more than that is refused before anything is allocated.
MOST_POINTS = 2**25
# Ids that everybody adds to its list: they must be found again where they were put. See docs/alignment.md.
SENTINELS = 16


@dataclass(frozen=True, slots=True)
class AlignmentSettings:
    """What a job chooses about the intersection of all lists.

    Attributes:
        receiver: the only party that learns it; empty for all of them.
        pad_to: lists are filled up to a multiple of this with points that stand for nobody; 0 tells how many
            rows each party has.
        block: points in one message.
        silence_s: how long a party waits for a word that another owes it.
        deadline_s: how long the aggregator waits for the end.
    """

    receiver: str = ""
    pad_to: int = 0
    block: int = BLOCK
    silence_s: float = 600.0
    deadline_s: float = 86_400.0

    def __post_init__(self) -> None:
        _check_common(self.pad_to, self.block, self.silence_s, self.deadline_s)


@dataclass(frozen=True, slots=True)
class OverThresholdSettings:
    """What a job chooses about ids that stand in several lists.

    Attributes:
        threshold: of how many parties, oneself included, an id must be a customer; at least 2.
        pad_to: as in ``AlignmentSettings``, like those below.
    """

    threshold: int
    pad_to: int = 0
    block: int = BLOCK
    silence_s: float = 600.0
    deadline_s: float = 86_400.0

    def __post_init__(self) -> None:
        if self.threshold < 2:
            raise ValueError(f"threshold must be at least 2, not {self.threshold}")
        _check_common(self.pad_to, self.block, self.silence_s, self.deadline_s)


# -- results ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class AlignedRows:
    """What a party that learns the intersection ends with.

    Attributes:
        rows: (m,) int64, indices of our own rows; the same place is the same id at every party that learns it.
            The order is pseudorandom, and nobody's choice.
        source: (32,) digest of all our rows' ids in their order, by which the indices are known to be still true.
    """

    rows: Array
    source: bytes


@dataclass(frozen=True, slots=True, eq=False)
class SharedRows:
    """What a party ends with over a threshold: ``rows``, (m,) int64, ascending indices of its own rows."""

    rows: Array


@dataclass(frozen=True, slots=True)
class Served:
    """What a party ends with that helps others to learn the intersection."""


@dataclass(frozen=True, slots=True)
class AlignmentClosed:
    """What the aggregator ends with.

    Attributes:
        sizes: by party, how long its list was, padding and sentinels included; empty if two parties spoke to
            each other.
        common: how many ids are in the result; None if only one of two parties learns it.
    """

    sizes: dict[str, int]
    common: int | None


# -- inside all machines ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seat:
    """A brief whose settings are known to be an alignment's; every state carries it. It holds no secret.

    Attributes:
        session: the salt of the ids, and the mark of every message: of this job, its parties and settings.
        threshold: how many lists an id must stand in.
        receivers: who learns it.
        aligned: whether the rows come in one order for all; else each party's come in its own.
    """

    me: str
    coordinator: str
    parties: tuple[str, ...]
    session: bytes
    threshold: int
    receivers: tuple[str, ...]
    aligned: bool
    pad_to: int
    block: int
    silence_s: float
    deadline_s: float

    @classmethod
    def take(cls, brief: Brief, role: str) -> "Seat":
        """Check that a brief makes sense for this role.

        Raises:
            LocalProtocolError: another role or another protocol's settings, an aggregator that does not lead
                or is a party too, a party that isn't among the parties, fewer than two parties, a receiver who
                isn't one of them, or a threshold beyond their number.
        """
        settings, parties = brief.settings, brief.parties
        if not isinstance(settings, AlignmentSettings | OverThresholdSettings):
            raise LocalProtocolError(f"alignment needs its own settings, not {type(settings).__name__}")
        if brief.role != role:
            raise LocalProtocolError(f"a brief for {brief.role} was given to {role}")
        if role == AGGREGATOR and (brief.me != brief.coordinator or brief.me in parties):
            raise LocalProtocolError(f"{brief.me} must lead the job and hold no rows in it to aggregate")
        if role == PARTY and brief.me not in parties:
            raise LocalProtocolError(f"{brief.me} is not among the parties {', '.join(parties)}")
        if len(parties) < 2:
            raise LocalProtocolError(f"alignment takes at least two parties, not {len(parties)}")
        aligned = isinstance(settings, AlignmentSettings)
        threshold = len(parties) if isinstance(settings, AlignmentSettings) else settings.threshold
        if threshold > len(parties):
            raise LocalProtocolError(f"threshold {threshold} of {len(parties)} parties")
        receivers = parties
        if isinstance(settings, AlignmentSettings) and settings.receiver:
            if settings.receiver not in parties:
                raise LocalProtocolError(f"receiver {settings.receiver} is not a party of this job")
            receivers = (settings.receiver,)
        return cls(
            brief.me,
            brief.coordinator,
            parties,
            _session(brief),
            threshold,
            receivers,
            aligned,
            settings.pad_to,
            settings.block,
            settings.silence_s,
            settings.deadline_s,
        )

    @property
    def receives(self) -> bool:
        """Whether we learn the result."""
        return self.me in self.receivers

    @property
    def is_pair(self) -> bool:
        """Whether two parties speak to each other; else the lists go round a ring."""
        return self.aligned and len(self.parties) == 2

    def before(self, party: str) -> str:
        """Return a party's neighbour in the ring, from whom its lists come."""
        return self.parties[self.parties.index(party) - 1]

    def after(self, party: str) -> str:
        """Return a party's neighbour in the ring, to whom it passes them on."""
        return self.parties[(self.parties.index(party) + 1) % len(self.parties)]


@dataclass(frozen=True, slots=True)
class Ended:
    """Finished or aborted, and the secret forgotten: whatever still arrives is ignored."""

    seat: Seat


ENDED = Awaited("")


def _session(brief: Brief) -> bytes:
    """Return 32 bytes that differ between jobs, seeds, parties and settings."""
    words = (brief.job, str(brief.seed), brief.coordinator, *brief.parties, repr(brief.settings))
    digest = hashlib.sha256(SESSION_DOMAIN)
    for word in words:
        encoded = word.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.digest()


def _check_common(pad_to: int, block: int, silence_s: float, deadline_s: float) -> None:
    if not 0 <= pad_to <= MOST_POINTS:
        raise ValueError(f"pad_to must be in [0, {MOST_POINTS}], not {pad_to}")
    if not 1 <= block <= MOST_BLOCK:
        raise ValueError(f"block must be in [1, {MOST_BLOCK}], not {block}")
    if not (isfinite(silence_s) and silence_s > 0):
        raise ValueError(f"silence_s must be positive, not {silence_s}")
    if not (isfinite(deadline_s) and deadline_s > silence_s):
        raise ValueError(f"deadline_s must exceed silence_s ({silence_s:g}), not {deadline_s:g}")
