"""What does a job of joint inference choose, who sits where, and how does it end?

The guest, who leads the job, asks for its own rows what a model says that was trained with hosts
(`protocols.vertical`); each host has columns of the same rows and its own coefficients. An arbiter, a party without
any, may add up the shares, so that the guest learns labels or deciles only.
"""

import hashlib
import math
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

import numpy as np

from hansa.protocols.errors import LocalProtocolError
from hansa.protocols.machine import Awaited, Brief
from hansa.protocols.model import Array, IndexArray
from hansa.protocols.vertical.settings import LEAST_OVERDUE_S

NAME = "vertical-inference"
VERSION = 1
GUEST = "guest"
HOST = "host"
ARBITER = "arbiter"

SESSION_DOMAIN = b"hansa/inference/session/1\x00"
KEY_DOMAIN = b"hansa/inference/masks/1\x00"
SECRET_BYTES = 32

# Ids travel in one message of at most 1 MiB.
MOST_ROWS = 10_000
MOST_ID_BYTES = 2**19
# Bringing a text to Unicode's NFC takes time that grows with its length's square: minutes, of a whole message.
MOST_ID_CHARS = 1_000
# Bits of a party's share, sign apart: 11 of the 63 are left for the number of parties, and for noticing a sum that
# is none, since masks that do not cancel lie anywhere.
SHARE_BITS = 52
MOST_PARTIES = 64
EDGES = 9  # between ten deciles

Output = Literal["score", "decile", "label"]


@dataclass(frozen=True, slots=True)
class InferenceSettings:
    """What a job chooses.

    Attributes:
        model: the job that trained it.
        output: what the guest learns of each row: its score (logistic: a probability), which tenth of the scores of
            the rows held out at the training it lies in, or which of two classes it is.
        arbiter: the party that adds up shares for labels and deciles.
        rows: the guest's data set with the rows; its agent alone reads this.
        most_rows: hosts answer for no more.
        score_limit: bound of each party's part of a score.
        overdue_s: after so long without progress those who are awaited are named.
        give_up_s: and after so long the job ends.
    """

    model: str
    output: Output = "label"
    arbiter: str = ""
    rows: str = ""
    most_rows: int = 1_000
    score_limit: float = 2.0**20
    overdue_s: float = 30.0
    give_up_s: float = 600.0

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("model must name the job that trained it")
        if self.output != "score" and not self.arbiter:
            raise ValueError(
                f'output = "{self.output}" takes an arbiter: a party that adds up the shares for the guest'
            )
        if self.output == "score" and self.arbiter:
            raise ValueError('output = "score" takes no arbiter: the guest itself adds up the shares')
        if not 1 <= self.most_rows <= MOST_ROWS:
            raise ValueError(f"most_rows must be in [1, {MOST_ROWS}], not {self.most_rows}")
        if not (isfinite(self.score_limit) and 1 <= self.score_limit <= 2.0**40):
            raise ValueError(f"score_limit must be in [1, 2^40], not {self.score_limit:g}")
        if not (isfinite(self.overdue_s) and self.overdue_s >= LEAST_OVERDUE_S):
            raise ValueError(f"overdue_s must be at least {LEAST_OVERDUE_S}, not {self.overdue_s:g}")
        if not (isfinite(self.give_up_s) and self.give_up_s > self.overdue_s):
            raise ValueError(f"give_up_s must exceed overdue_s ({self.overdue_s:g}), not {self.give_up_s:g}")

    @property
    def score_bits(self) -> int:
        """Fractional bits of a share: as many as there is room for."""
        return SHARE_BITS - math.ceil(math.log2(self.score_limit))


# -- facts and results --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModelServed:
    """A model was used on so many rows; the first host by name says so, once for each batch."""

    model: str
    rows: int


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What the guest ends with.

    Attributes:
        ids: of all rows that it asked for, in their order.
        known: (rows,) bool, which of them everybody knows; there is nothing about the others.
        values: for each of those, in order: its score (float64), its decile from 1 to 10, or 1 for the positive and
            0 for the other class (int64).
        output: which of these.
    """

    ids: tuple[str, ...] = field(repr=False)
    known: Array = field(repr=False)
    values: Array = field(repr=False)
    output: Output

    @property
    def positions(self) -> IndexArray:
        """(values,) where in ``ids`` the values belong."""
        return positions_of(self.known)


@dataclass(frozen=True, slots=True)
class Answered:
    """What a host and the arbiter end with: for how many rows they have given their share, or added shares up."""

    rows: int


# -- inside all machines ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seat:
    """A brief whose settings are known to be joint inference's; every state carries it. It holds no secret.

    Attributes:
        session: the mark of every message: of this job, its parties and settings.
        hosts: all parties but the arbiter.
    """

    me: str
    guest: str
    hosts: tuple[str, ...]
    settings: InferenceSettings
    session: bytes

    @classmethod
    def take(cls, brief: Brief, role: str) -> "Seat":
        """Check that a brief makes sense for this role.

        Raises:
            LocalProtocolError: another role or another protocol's settings, a guest who is a party too, an arbiter
                who is none, no host or too many, or a secret of another length.
        """
        settings, me = brief.settings, brief.me
        if not isinstance(settings, InferenceSettings):
            raise LocalProtocolError(f"joint inference needs its settings, not {type(settings).__name__}")
        if brief.coordinator in brief.parties:
            raise LocalProtocolError(f"{brief.coordinator} leads the job as its guest and can't be a party")
        if settings.arbiter and settings.arbiter not in brief.parties:
            raise LocalProtocolError(f"arbiter {settings.arbiter} is not a party of this job")
        hosts = tuple(party for party in brief.parties if party != settings.arbiter)
        if not 1 <= len(hosts) < MOST_PARTIES:
            raise LocalProtocolError(
                f"joint inference takes 1 to {MOST_PARTIES - 1} hosts beside the guest and the arbiter, "
                f"not {len(hosts)}"
            )
        fitting = GUEST if me == brief.coordinator else role_of(settings, me)
        if fitting != brief.role or brief.role != role or me not in (brief.coordinator, *brief.parties):
            raise LocalProtocolError(f"{me} was given a brief for {brief.role} and put on as {role}")
        if len(brief.secret) != SECRET_BYTES:
            raise LocalProtocolError(f"a role needs {SECRET_BYTES} secret bytes, not {len(brief.secret)}")
        return cls(me, brief.coordinator, hosts, settings, _session(brief))

    @property
    def arbiter(self) -> str:
        """The party that adds up, or empty."""
        return self.settings.arbiter

    @property
    def collector(self) -> str:
        """Who adds up the shares."""
        return self.arbiter or self.guest

    @property
    def everybody(self) -> tuple[str, ...]:
        """All who take part."""
        return (self.guest, *self.hosts, *((self.arbiter,) if self.arbiter else ()))

    @property
    def sharers(self) -> tuple[str, ...]:
        """Who sends its share of each score to the collector, masked if there are several."""
        return (self.guest, *self.hosts) if self.arbiter else self.hosts

    @property
    def peers(self) -> tuple[str, ...]:
        """With whom we agree on masks: the other sharers, if we are one."""
        return tuple(each for each in self.sharers if each != self.me) if self.me in self.sharers else ()


@dataclass(frozen=True, slots=True)
class Ended:
    """Finished or aborted, and all secrets forgotten: whatever still arrives is ignored."""

    seat: Seat


ENDED = Awaited("")


def role_of(settings: InferenceSettings, party: str) -> str:
    """Return the role of a party; the guest leads the job and is none."""
    return ARBITER if party == settings.arbiter else HOST


def mask_secret(secret: bytes) -> bytes:
    """Return what a role's masks come from: its secret, for this use alone."""
    return hashlib.sha256(KEY_DOMAIN + secret).digest()


def positions_of(known: Array) -> IndexArray:
    """Return where rows are known, ascending."""
    return np.flatnonzero(known).astype(np.int64)


def _session(brief: Brief) -> bytes:
    """Return 32 bytes that differ between jobs, seeds, parties and settings."""
    words = (brief.job, str(brief.seed), brief.coordinator, *brief.parties, repr(brief.settings))
    digest = hashlib.sha256(SESSION_DOMAIN)
    for word in words:
        encoded = word.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.digest()
