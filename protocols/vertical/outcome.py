"""What does a vertical regression leave behind? Facts, epochs to go on from, and each role's own part of the end.

Records that hold arrays compare by identity (eq=False), since `==` on arrays has no single answer.
"""

from dataclasses import dataclass, field
from typing import Literal

from hansa.protocols.model import FloatArray
from hansa.protocols.preparation import Preparation
from hansa.protocols.vertical.optimiser import Learner
from hansa.protocols.vertical.settings import Verdict

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


# -- kept: for a job that goes on from here -----------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class EpochState:
    """A party after so many epochs; ``losses`` are those that it was told."""

    epochs: int
    learner: Learner
    losses: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PartyCheckpoint:
    """A party's last epochs: two, since some may have heard of an epoch's end when others have not.

    Attributes:
        footing: the mark of all that must not change, see ``Seat.footing``; of our own rows too.
        states: oldest first, one or two.
    """

    footing: bytes
    states: tuple[EpochState, ...]


@dataclass(frozen=True, slots=True)
class ArbiterCheckpoint:
    """The arbiter's losses of all epochs so far; ``footing`` knows no rows."""

    footing: bytes
    losses: tuple[float, ...]


# -- results ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class OwnCoefficients:
    """What a party ends with: its own part of the model, and what everybody was told about the whole.

    Attributes:
        theta: (columns,) float64, in the order of its own prepared columns.
        intercept: the guest's; 0 at hosts.
        preparation: how its own raw columns become those.
        role, guest, hosts: who holds which part; hosts sorted.
        logistic: whether a score stands for two classes (positive: the greater label), or is the prediction.
        losses: by epoch, if they are shown.
        epochs: how many there were, those of an earlier job included.
        salt: what keeps others from trying out coefficients until they have the digest of our part.
        parts: by party, the digest of its part.
        digest: of the whole, from these.
        loss: of the rows held out: mean log loss, or squared error; None if there were none.
        score, metric: "auc" ("accuracy" if one class alone was held out) or "r2"; None and "" likewise.
        rows: held out.
        deciles: at the guest, the nine inner edges between tenths of their scores; else empty.
    """

    theta: FloatArray = field(repr=False)
    intercept: float = field(repr=False)
    preparation: Preparation = field(repr=False)
    role: Literal["guest", "host"]
    guest: str
    hosts: tuple[str, ...]
    logistic: bool
    losses: tuple[float, ...]
    epochs: int
    salt: bytes = field(repr=False)
    parts: dict[str, bytes]
    digest: bytes
    loss: float | None
    score: float | None
    metric: str
    rows: int
    deciles: tuple[float, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class TrainingClosed:
    """What the arbiter ends with; what is not said here as in ``OwnCoefficients``.

    Attributes:
        cells: by party, the values that it has trained on: rows × columns, as many as it has registered.
        contributions: by party, what its part of the model has added, as in `Valuation.shares`; empty if coalitions
            were not valued.
    """

    losses: tuple[float, ...]
    epochs: int
    digest: bytes
    loss: float | None
    score: float | None
    metric: str
    rows: int
    cells: dict[str, int]
    contributions: dict[str, str] = field(default_factory=dict)
