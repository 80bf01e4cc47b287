"""Federated averaging: what do the aggregator and the parties say to each other?

Rounds count from 1 to ``rounds``; model 0 is the initial one, and round r turns model r-1 into model r::

    aggregator                                  party
    RoundOpened(r, digest, parameters)    -->   check the digest, evaluate model r-1, train on from it
                                          <--   Update(r, parameters, rows, evaluation of model r-1)
    weighted average, RoundClosed, ...
    ModelReady(digest, parameters)        -->   check the digest, evaluate
                                          <--   Evaluated(evaluation)

Where contributions are measured by valuing coalitions, the aggregator has each round valued while the parties go on
with the next, and ends when all are.

The aggregator waits for all parties, but no longer than the deadline, and goes on with a quorum. It sees each
party's update in the clear: an honest but curious aggregator learns from it about that party's rows.

Source: McMahan et al. 2017, "Communication-Efficient Learning of Deep Networks from Decentralized Data",
Algorithm 1, with every party in every round.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import fsum, isfinite

from hansa.protocols.errors import LocalProtocolError
from hansa.protocols.machine import Awaited, Brief, Start
from hansa.protocols.model import Array, Evaluation

NAME = "horizontal-fedavg"
VERSION = 1
AGGREGATOR = "aggregator"
PARTY = "party"


@dataclass(frozen=True, slots=True)
class FedAvgSettings:
    """What a job chooses about its rounds.

    Attributes:
        rounds: at most so many, at least 1.
        quorum: parties without whose updates a round fails, at least 1.
        round_deadline_s: how long the aggregator waits for a round's updates.
        silence_s: how long a party waits for the aggregator; longer than ``round_deadline_s``, which the
            aggregator may spend waiting for others.
        tol: a round improves the loss if it lowers the least so far by at least this.
        patience: stop after so many rounds in a row without improvement; 0 never stops early.
        start_job: the job whose last model this one starts from; empty for a fresh one.
        start_digest: that model's digest, as the ledger has it: 64 of 0-9 and a-f.
    """

    rounds: int
    quorum: int
    round_deadline_s: float
    silence_s: float
    tol: float = 0.0
    patience: int = 0
    start_job: str = ""
    start_digest: str = ""

    def __post_init__(self) -> None:
        for name, value in (("rounds", self.rounds), ("quorum", self.quorum)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if not (isfinite(self.round_deadline_s) and self.round_deadline_s > 0):
            raise ValueError(f"round_deadline_s must be positive, not {self.round_deadline_s}")
        if not (isfinite(self.silence_s) and self.silence_s > self.round_deadline_s):
            raise ValueError(
                f"silence_s must exceed round_deadline_s ({self.round_deadline_s:g}), not {self.silence_s:g}"
            )
        if not (isfinite(self.tol) and self.tol >= 0):
            raise ValueError(f"tol must be at least 0, not {self.tol}")
        if self.patience < 0:
            raise ValueError(f"patience must be at least 0, not {self.patience}")
        if bool(self.start_job) != bool(self.start_digest):
            raise ValueError("start_job and start_digest go together")
        if not re.fullmatch("([0-9a-f]{64})?", self.start_digest):
            raise ValueError(f"start_digest must be 64 of 0-9 and a-f, not {self.start_digest!r:.80}")


# Records that hold arrays compare by identity (eq=False), since `==` on arrays has no single answer; the
# arrays are compared by digest.


# -- messages -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class RoundOpened:
    """Aggregator to party: train on from this model."""

    round: int
    digest: bytes
    parameters: tuple[Array, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """Party to aggregator: what came of it.

    ``evaluation`` is of the incoming model, on the party's holdout; ``rows`` is the average's weight.
    """

    round: int
    parameters: tuple[Array, ...]
    rows: int
    evaluation: Evaluation


@dataclass(frozen=True, slots=True, eq=False)
class ModelReady:
    """Aggregator to party: the final model."""

    digest: bytes
    parameters: tuple[Array, ...]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Party to aggregator: how good the final model is on its holdout."""

    evaluation: Evaluation


# -- facts: for the ledger ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RoundClosed:
    """A round ended with this model; ``missing`` says of each absent party why."""

    round: int
    digest: bytes
    participants: tuple[str, ...]
    missing: dict[str, str]


@dataclass(frozen=True, slots=True)
class ModelEvaluated:
    """Model ``round``, averaged over the parties' holdouts by rows."""

    round: int
    digest: bytes
    evaluation: Evaluation


# -- kept: for another job ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The model of the last round closed."""

    round: int
    digest: bytes
    parameters: tuple[Array, ...]


def start(settings: FedAvgSettings) -> Start | None:
    """Return where a job of these settings starts from, or None if it starts afresh."""
    if not settings.start_job:
        return None
    return Start(settings.start_job, bytes.fromhex(settings.start_digest))


# -- results ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class TrainingDone:
    """What the aggregator ends with.

    Attributes:
        rows: by party, what it last said it trained on.
        contributions: by party, what it has added to the model, summed over the rounds that were valued; exact, as
            of ``ratios``. Empty if none were.
    """

    parameters: tuple[Array, ...]
    digest: bytes
    rounds: int
    evaluation: Evaluation
    rows: dict[str, int]
    contributions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class ModelReceived:
    """What a party ends with: the final model, and how good it is on its own holdout."""

    parameters: tuple[Array, ...]
    digest: bytes
    evaluation: Evaluation


# -- inside both machines -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seat:
    """A brief whose settings are known to be FedAvg's; every state carries it.

    Attributes:
        valued: whether the aggregator has each round's coalitions valued.
        registered: at the aggregator, rows by party, of those that have registered any.
    """

    job: str
    me: str
    coordinator: str
    parties: tuple[str, ...]
    settings: FedAvgSettings
    seed: int
    valued: bool = False
    registered: dict[str, int] = field(default_factory=dict)

    @classmethod
    def take(cls, brief: Brief, role: str) -> "Seat":
        """Check that a brief makes sense for this role.

        Raises:
            LocalProtocolError: another role or another protocol's settings, an aggregator that does not lead,
                a party that isn't among the parties, or a quorum that all of them together miss.
        """
        settings = brief.settings
        if not isinstance(settings, FedAvgSettings):
            raise LocalProtocolError(f"{NAME} needs FedAvgSettings, not {type(settings).__name__}")
        if brief.role != role:
            raise LocalProtocolError(f"a brief for {brief.role} was given to {role}")
        if role == AGGREGATOR and brief.me != brief.coordinator:
            raise LocalProtocolError(f"{brief.me} aggregates, but {brief.coordinator} leads the job")
        if role == PARTY and brief.me not in brief.parties:
            raise LocalProtocolError(f"{brief.me} is not among the parties {', '.join(brief.parties)}")
        if settings.quorum > len(brief.parties):
            raise LocalProtocolError(f"quorum {settings.quorum} of {len(brief.parties)} parties")
        registered = {party: rows for party, (rows, _) in brief.volumes.items()}
        who = (brief.job, brief.me, brief.coordinator, brief.parties)
        return cls(*who, settings, brief.seed, brief.valued, registered)


@dataclass(frozen=True, slots=True)
class Ended:
    """Finished or aborted: whatever still arrives is ignored."""

    seat: Seat


ENDED = Awaited("")


def derived_seed(seed: int, *path: str | int) -> int:
    """Return a seed in [0, 2**32) for one purpose, from the job's seed by SHA-256.

    Python's and scikit-learn's generators take 32 bits; these seeds order batches, they keep no secret.
    """
    text = "\x00".join(str(part) for part in (NAME, seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


def pooled(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Average evaluations of one model by rows, whatever their order.

    Loss and accuracy come out as on the pooled rows; r2, which depends on each holdout's own variance, as the
    mean of the parties' figures.

    Raises:
        ValueError: none given, or not all of one metric.
    """
    metrics = sorted({each.metric for each in evaluations})
    if len(metrics) != 1:
        raise ValueError(f"cannot pool {len(evaluations)} evaluations by {', '.join(metrics) or 'nothing'}")
    rows = sum(each.rows for each in evaluations)
    loss = fsum(each.rows / rows * each.loss for each in evaluations)
    score = fsum(each.rows / rows * each.score for each in evaluations)
    return Evaluation(rows, loss, score, metrics[0])
