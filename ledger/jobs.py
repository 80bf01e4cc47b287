"""What was a job to be, how did it go, and what came of it? The bodies of those entries."""

from dataclasses import dataclass
from typing import Literal

from hansa.broker.identity import check_name
from hansa.ledger.checks import (
    LABEL_CHARS,
    REASON_CHARS,
    check_at_least,
    check_digest,
    check_finite,
    check_names,
    check_text,
)

Setting = str | int | float | bool
Verdict = Literal["improved", "stalled", "converged", "distorted", "last"]


@dataclass(frozen=True, slots=True)
class JobProposed:
    """Coordinator: let these parties train this model; the author coordinates.

    Attributes:
        settings: hyperparameters of the model and settings of the protocol.
        dataset: the name under which each party has registered its rows.
        quorum: how many parties must accept.
        deadline_s: how long the answers may take, seconds.
        specification: (32,) digest of all that the parties are offered; they consent to that and nothing else.
    """

    job: str
    protocol: str
    model: str
    settings: dict[str, Setting]
    parties: tuple[str, ...]
    dataset: str
    quorum: int
    deadline_s: float
    specification: bytes

    def __post_init__(self) -> None:
        check_name(self.job)
        check_name(self.dataset)
        check_digest("specification", self.specification)
        check_text("protocol", self.protocol, LABEL_CHARS)
        check_text("model", self.model, LABEL_CHARS)
        for key, value in self.settings.items():
            check_text("settings", key, LABEL_CHARS)
            if isinstance(value, str):
                check_text(f"settings.{key}", value, REASON_CHARS)
        check_names("parties", self.parties)
        if not 1 <= self.quorum <= len(self.parties):
            raise ValueError(f"quorum: expected 1 … {len(self.parties)} of the parties, got {self.quorum}")
        if not self.deadline_s > 0:
            raise ValueError(f"deadline_s: expected a duration > 0, got {self.deadline_s}")


@dataclass(frozen=True, slots=True)
class JobAccepted:
    """Party: we consent."""

    job: str

    def __post_init__(self) -> None:
        check_name(self.job)


@dataclass(frozen=True, slots=True)
class JobRefused:
    """Party: we don't, and why."""

    job: str
    reason: str

    def __post_init__(self) -> None:
        check_name(self.job)
        check_text("reason", self.reason, REASON_CHARS)


@dataclass(frozen=True, slots=True)
class JobFinished:
    """Coordinator: the job is done; this is its model, and how good it is.

    Attributes:
        model_digest: (32,) bytes; empty if the job makes no model: it found common rows, or served a model.
        loss: of the model; None if nobody was to see it, or without a model.
        score: on rows it was not trained on, in terms of `metric`; None if there were none, or without a model.
        rounds: how many it took, or epochs, or batches.
    """

    job: str
    model_digest: bytes
    loss: float | None
    score: float | None
    metric: str
    rounds: int

    def __post_init__(self) -> None:
        check_name(self.job)
        if self.model_digest:
            check_digest("model_digest", self.model_digest)
        elif not (self.loss is None and self.score is None):
            raise ValueError("loss, score: given without a model they could be of")
        check_finite("loss", self.loss)
        check_finite("score", self.score)
        check_text("metric", self.metric, LABEL_CHARS)
        check_at_least("rounds", self.rounds, 0)


@dataclass(frozen=True, slots=True)
class JobAborted:
    """Coordinator: there is no model, why, and who was missing."""

    job: str
    reason: str
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.job)
        check_text("reason", self.reason, REASON_CHARS)
        check_names("missing", self.missing)


@dataclass(frozen=True, slots=True)
class RoundClosed:
    """Coordinator: this round's model, and whose updates are in it.

    Attributes:
        missing: parties of the job that did not answer in time.
    """

    job: str
    round: int
    model_digest: bytes
    participants: tuple[str, ...]
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.job)
        check_at_least("round", self.round, 0)
        check_digest("model_digest", self.model_digest)
        check_names("participants", self.participants)
        check_names("missing", self.missing)


@dataclass(frozen=True, slots=True)
class ContributionMeasured:
    """Coordinator: what each party brought in, as integer weights (rows, say); a later one replaces it."""

    job: str
    method: str
    shares: dict[str, int]

    def __post_init__(self) -> None:
        check_name(self.job)
        check_text("method", self.method, LABEL_CHARS)
        check_names("shares", self.shares)
        for party, weight in self.shares.items():
            check_at_least(f"shares.{party}", weight, 0)


@dataclass(frozen=True, slots=True)
class ModelEvaluated:
    """Coordinator: how good a model is on so many rows it was not trained on."""

    job: str
    round: int
    model_digest: bytes
    loss: float
    score: float
    metric: str
    rows: int

    def __post_init__(self) -> None:
        check_name(self.job)
        check_at_least("round", self.round, 0)
        check_digest("model_digest", self.model_digest)
        check_finite("loss", self.loss)
        check_finite("score", self.score)
        check_text("metric", self.metric, LABEL_CHARS)
        check_at_least("rows", self.rows, 0)


@dataclass(frozen=True, slots=True)
class ModelUsed:
    """Anyone in the job: its model has scored so many rows.

    Attributes:
        job: that made the model, not the one that used it.
        purpose: to what end; the name of the job that served the rows, if one did.
    """

    job: str
    rows: int
    purpose: str = ""

    def __post_init__(self) -> None:
        check_name(self.job)
        check_at_least("rows", self.rows, 1)
        check_text("purpose", self.purpose, REASON_CHARS)


@dataclass(frozen=True, slots=True)
class EpochEnded:
    """Anyone in the job: so far the training has come.

    Attributes:
        epoch: from 1, as rounds are; rises with every entry of an author. A resumed job counts on.
        loss: of the epoch; None if the job hides it.
        verdict: what follows from it: "improved" and "stalled" go on; "converged", "last" and "distorted" end it.
    """

    job: str
    epoch: int
    loss: float | None
    verdict: Verdict

    def __post_init__(self) -> None:
        check_name(self.job)
        check_at_least("epoch", self.epoch, 1)
        check_finite("loss", self.loss)


@dataclass(frozen=True, slots=True)
class PartiesOverdue:
    """Anyone in the job: we have long had no word from these, and wait for them; nothing else follows from it.

    Attributes:
        round: the author's present one, as its protocol counts.
        missing: at least one.
    """

    job: str
    round: int
    missing: tuple[str, ...]

    def __post_init__(self) -> None:
        check_name(self.job)
        check_at_least("round", self.round, 0)
        check_names("missing", self.missing)
        if not self.missing:
            raise ValueError("missing: expected at least one name")


@dataclass(frozen=True, slots=True)
class DistortionFound:
    """Anyone in the job: the loss has jumped, so somebody's part is not what it was; the evidence.

    Attributes:
        epoch: in which, counted as in `EpochEnded`.
        loss: of that epoch; None if the job hides it.
        before: the least loss of those before it; None likewise.
    """

    job: str
    epoch: int
    loss: float | None
    before: float | None

    def __post_init__(self) -> None:
        check_name(self.job)
        check_at_least("epoch", self.epoch, 1)
        check_finite("loss", self.loss)
        check_finite("before", self.before)


@dataclass(frozen=True, slots=True)
class RowsAligned:
    """Coordinator: the parties' lists have been compared. A later one replaces it.

    Attributes:
        sizes: how many rows a party's list had, as far as the coordinator knows; padding counts.
        common: how many rows are in the result; None if not even the coordinator is told.
    """

    job: str
    sizes: dict[str, int]
    common: int | None

    def __post_init__(self) -> None:
        check_name(self.job)
        check_names("sizes", self.sizes)
        for party, rows in self.sizes.items():
            check_at_least(f"sizes.{party}", rows, 0)
        if self.common is not None:
            check_at_least("common", self.common, 0)
