"""What does a job of vertical regression choose, who sits where, and how does it end?

The guest holds the labels and some columns, hosts hold further columns of the same rows in the same order, and the
arbiter, the agent that leads the job, holds the key. Yang et al. 2019, Tables 1 and 2; Hardy et al. 2017.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

from hansa.protocols.crypto import KeyKind, Packing, PublicKey
from hansa.protocols.errors import LocalProtocolError
from hansa.protocols.machine import Awaited, Brief
from hansa.protocols.model import FloatArray
from hansa.protocols.vertical.batches import Plan
from hansa.protocols.vertical.optimiser import Rule

LINEAR_NAME = "vertical-linear"
LOGISTIC_NAME = "vertical-logistic"
VERSION = 1
GUEST = "guest"
HOST = "host"
ARBITER = "arbiter"

SESSION_DOMAIN = b"hansa/vertical/session/1\x00"
SECRET_DOMAIN = b"hansa/vertical/secret/1\x00"
SECRET_BYTES = 32

LEAST_KEY_BITS, MOST_KEY_BITS = 512, 8_192
MOST_BLOCK = 65_536
MOST_ROWS, MOST_COLUMNS = 2**25, 2**16
# How finely coefficients and what is plain in the loss are rounded where the loss is put together; the
# coefficients themselves stay float64.
THETA_BITS, THETA_LIMIT = 30, 2.0**20
PENALTY_BITS, PENALTY_LIMIT = 16, 2.0**44

Verdict = Literal["improved", "stalled", "converged", "distorted", "last"]
KeyName = Literal["subgroup", "standard"]


@dataclass(frozen=True, slots=True)
class VerticalSettings:
    """What a job chooses.

    Attributes:
        guest: the party that holds the labels.
        epochs: at most so many.
        batch: rows in a batch; 0 for all of them.
        learning_rate, optimiser: of every step.
        penalty: λ of λ/2·‖θ‖² beside the mean loss; the guest's intercept is not in it.
        intercept: whether the guest has one.
        show_loss: whether parties are told the loss of an epoch, or only the verdict on it.
        tol, patience: end when the loss has improved by less than ``tol`` for ``patience`` epochs; 0 for never.
        alarm: end when the loss is beyond so many times the least so far.
        guard: whether the leak guard is on; off is for showing what it prevents.
        start_spread: the standard deviation of the guest's first scores in every batch.
        key, key_bits: of the arbiter's key; below 2048 bits only for trials with the guard off.
        feature_limit, feature_bits: bound and fractional bits of features as they are encrypted with.
        score_limit, score_bits: the same of each party's scores, and of a linear guest's targets.
        block: rows in one message and one task.
        overdue_s: after so long without progress those who are awaited are named.
        give_up_s: and after so long the job ends.
    """

    guest: str
    epochs: int = 20
    batch: int = 0
    learning_rate: float = 0.1
    optimiser: Rule = "sgd"
    penalty: float = 0.0
    intercept: bool = True
    show_loss: bool = True
    tol: float = 1e-4
    patience: int = 3
    alarm: float = 4.0
    guard: bool = True
    start_spread: float = 1.0
    key: KeyName = "subgroup"
    key_bits: int = 2_048
    feature_limit: float = 64.0
    feature_bits: int = 23
    score_limit: float = 4_096.0
    score_bits: int = 36
    block: int = 4_096
    overdue_s: float = 60.0
    give_up_s: float = 3_600.0

    def __post_init__(self) -> None:
        whole = {"epochs": self.epochs, "block": self.block}
        positive = {
            "learning_rate": self.learning_rate,
            "feature_limit": self.feature_limit,
            "score_limit": self.score_limit,
            "overdue_s": self.overdue_s,
        }
        natural = {
            "batch": self.batch,
            "penalty": self.penalty,
            "tol": self.tol,
            "patience": self.patience,
            "start_spread": self.start_spread,
            "feature_bits": self.feature_bits,
            "score_bits": self.score_bits,
        }
        _refuse("at least 1", whole, lambda value: value >= 1)
        _refuse("positive", positive, lambda value: isfinite(value) and value > 0)
        _refuse("at least 0", natural, lambda value: isfinite(value) and value >= 0)
        self._check_relations()

    def _check_relations(self) -> None:
        if not self.guest:
            raise ValueError("guest must name the party that holds the labels")
        if self.block > MOST_BLOCK:
            raise ValueError(f"block must be at most {MOST_BLOCK}, not {self.block}")
        if not (isfinite(self.alarm) and self.alarm > 1):
            raise ValueError(f"alarm must exceed 1, not {self.alarm}")
        if not (isfinite(self.give_up_s) and self.give_up_s > self.overdue_s):
            raise ValueError(f"give_up_s must exceed overdue_s ({self.overdue_s:g}), not {self.give_up_s:g}")
        least = 2_048 if self.guard else LEAST_KEY_BITS
        if self.key_bits % 2 or not least <= self.key_bits <= MOST_KEY_BITS:
            raise ValueError(
                f"key_bits must be even and in [{least}, {MOST_KEY_BITS}] here, not {self.key_bits}"
            )
        for name, limit, bits in (
            ("feature", self.feature_limit, self.feature_bits),
            ("score", self.score_limit, self.score_bits),
        ):
            if math.log2(limit) + bits >= 61:
                raise ValueError(f"{name}_bits and {name}_limit: limit × 2^bits must stay below 2^61")


@dataclass(frozen=True, slots=True)
class LinearSettings(VerticalSettings):
    """Of a linear regression: residual d = u − y, loss ½·mean(d²)."""


@dataclass(frozen=True, slots=True)
class LogisticSettings(VerticalSettings):
    """Of a logistic regression by Taylor's expansion around 0: d = ¼u − ½y, loss mean(log 2 − ½yu + ⅛u²)."""


# -- facts --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Overdue:
    """Nothing has been heard for ``overdue_s`` from those of whom a round needs a word; it waits for them."""

    round: int
    whom: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EpochEnded:
    """An epoch ended: its loss, if it is shown, and what follows from it."""

    epoch: int
    loss: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Distorted:
    """The residuals' size has jumped: somebody's scores are not what they were. Losses only if they are shown."""

    epoch: int
    loss: float | None
    before: float | None


# -- results ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class OwnCoefficients:
    """What a party ends with: its own part of the model.

    Attributes:
        theta: (columns,) float64, in the order of its own columns.
        intercept: the guest's; 0 at hosts.
        losses: by epoch, if they are shown.
        epochs: how many there were.
    """

    theta: FloatArray = field(repr=False)
    intercept: float = field(repr=False)
    losses: tuple[float, ...]
    epochs: int


@dataclass(frozen=True, slots=True)
class TrainingClosed:
    """What the arbiter ends with; ``losses`` as in ``OwnCoefficients``."""

    losses: tuple[float, ...]
    epochs: int


# -- inside all machines ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ended:
    """Finished or aborted, and all secrets forgotten: whatever still arrives is ignored."""

    seat: "Seat"


ENDED = Awaited("")


@dataclass(frozen=True, slots=True)
class Seat:
    """A brief whose settings are known to be vertical regression's; every state carries it. It holds no secret.

    Attributes:
        session: the mark of every message: of this job, its parties and settings.
        hosts: all parties but the guest.
    """

    me: str
    arbiter: str
    parties: tuple[str, ...]
    hosts: tuple[str, ...]
    settings: LinearSettings | LogisticSettings
    seed: int
    session: bytes

    @classmethod
    def take(cls, brief: Brief, role: str) -> "Seat":
        """Check that a brief makes sense for this role.

        Raises:
            LocalProtocolError: another role or another protocol's settings, an arbiter that does not lead or is
                a party, a guest who is not a party, no host, or a secret of another length.
        """
        settings, me = brief.settings, brief.me
        if not isinstance(settings, LinearSettings | LogisticSettings):
            raise LocalProtocolError(f"vertical regression needs its settings, not {type(settings).__name__}")
        if settings.guest not in brief.parties:
            raise LocalProtocolError(f"guest {settings.guest} is not a party of this job")
        if len(brief.parties) < 2 or brief.coordinator in brief.parties:
            raise LocalProtocolError("vertical regression takes a guest, a host, and an arbiter beside them")
        fitting = {brief.coordinator: ARBITER, settings.guest: GUEST}.get(me, HOST)
        if fitting != brief.role or brief.role != role or (role == HOST and me not in brief.parties):
            raise LocalProtocolError(f"{me} was given a brief for {brief.role} and put on as {role}")
        if len(brief.secret) != SECRET_BYTES:
            raise LocalProtocolError(f"a role needs {SECRET_BYTES} secret bytes, not {len(brief.secret)}")
        hosts = tuple(party for party in brief.parties if party != settings.guest)
        return cls(me, brief.coordinator, brief.parties, hosts, settings, brief.seed, _session(brief))

    @property
    def guest(self) -> str:
        """The party that holds the labels."""
        return self.settings.guest

    @property
    def logistic(self) -> bool:
        """Whether labels are two classes."""
        return isinstance(self.settings, LogisticSettings)

    @property
    def slope(self) -> float:
        """What a score is multiplied with before it is encrypted: d = slope·u − t."""
        return 0.25 if self.logistic else 1.0

    def plan(self, rows: int) -> Plan:
        """Return how so many rows are cut."""
        return Plan(rows, self.settings.batch, self.settings.block, self.seed)

    def gradients(self, party: str, columns: int) -> int:
        """Return how long a party's gradient is: its columns, and the guest's intercept."""
        return columns + (party == self.guest and self.settings.intercept)

    def residual_limit(self) -> int:
        """Return the bound of an encrypted residual, as an integer: a score from everybody."""
        return len(self.parties) * math.ceil(self.settings.score_limit * 2.0**self.settings.score_bits)

    def packing(self, public: PublicKey, rows: int) -> Packing:
        """Return how gradients of a batch of so many rows share ciphertexts.

        At the most rows and limits that there may be, a gradient has less than 200 bits: one always has room.
        """
        feature = math.ceil(self.settings.feature_limit * 2.0**self.settings.feature_bits)
        return Packing.of(public, rows * feature * self.residual_limit())


def drawn_seed(secret: bytes, *purpose: str | int) -> bytes:
    """Return 32 secret bytes for one purpose, which must never be used for another.

    The same purpose gives the same bytes, so that a task that is run again after a crash makes the same masks for
    the same plaintexts.
    """
    text = "\x00".join(str(part) for part in purpose)
    return hashlib.sha256(SECRET_DOMAIN + secret + text.encode()).digest()


def key_kind(settings: VerticalSettings) -> KeyKind:
    """Return the kind of key that a job asks for."""
    return KeyKind.SUBGROUP if settings.key == "subgroup" else KeyKind.STANDARD


def _session(brief: Brief) -> bytes:
    """Return 32 bytes that differ between jobs, seeds, parties and settings."""
    words = (brief.job, str(brief.seed), brief.coordinator, *brief.parties, repr(brief.settings))
    digest = hashlib.sha256(SESSION_DOMAIN)
    for word in words:
        encoded = word.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.digest()


def _refuse(rule: str, values: Mapping[str, float], holds: Callable[[float], bool]) -> None:
    for name, value in values.items():
        if not holds(value):
            raise ValueError(f"{name} must be {rule}, not {value}")
