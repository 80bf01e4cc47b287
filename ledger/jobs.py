"""What was a job to be, how did it go, and what came of it? The bodies of those entries."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from hansa.broker.identity import check_name
from hansa.ledger.checks import (
    LABEL_CHARS,
    REASON_CHARS,
    check_at_least,
    check_between,
    check_digest,
    check_finite,
    check_names,
    check_text,
)

MOST_PLAYERS = 62  # of a round whose coalitions are valued: a coalition is a whole number of 64 bits
MOST_VALUES = 4_096  # of one round: an entry's body takes 64 KiB
MOST_ROWS = 2**53  # of a player in a round: what groups are split by makes sums of shares longer
MOST_USED = 2**32  # rows scored, by one entry: whatever somebody notes, a price of a row keeps it payable

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
    """Party: we consent.

    Attributes:
        draw: where contributions are measured by valuing coalitions, 32 random bytes; else empty. The seed of all
            that is drawn there is made of every party's, so that nobody can choose it alone.
    """

    job: str
    draw: bytes = b""

    def __post_init__(self) -> None:
        check_name(self.job)
        if self.draw:
            check_digest("draw", self.draw)


@dataclass(frozen=True, slots=True)
class JobRefused:
    """Party: we don't, and why."""

    job: str
    reason: str

    def __post_init__(self) -> None:
        check_name(self.job)
        check_text("reason", self.reason, REASON_CHARS)


@dataclass(frozen=True, slots=True)
class JobStarted:
    """Coordinator: these take part, and whoever accepts from here on comes too late.

    Written where contributions are measured by valuing coalitions: the seed is made of the draws of these.
    """

    job: str
    parties: tuple[str, ...]

    def __post_init__(self) -> None:
        check_name(self.job)
        check_names("parties", self.parties)
        if not self.parties or list(self.parties) != sorted(self.parties):
            raise ValueError(f"parties: expected at least one, ascending, got {self.parties}")


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
    """Coordinator: each party's part, in whole weights; a later one replaces it, until a payout rests on it.

    Attributes:
        method: "volume", and the weights are rows, or rows × columns; or the one that the job was proposed with,
            and they are billionths of all that was contributed, as they follow from its `CoalitionsValued`.
    """

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
class CoalitionsValued:
    """Coordinator: what the models are worth that coalitions have made in a round, in the charter's utility.

    With the job's method and seed anybody computes the shares again from it.

    Attributes:
        round: from 1; 0 is the job as a whole.
        players: who took part in it, ascending; at most 62.
        rows: that each has trained on, in that order; 1 … 2^53.
        coalitions: sets of players as whole numbers, player i being bit i; rising, so that none comes twice.
        values: of these, finite.
    """

    job: str
    round: int
    players: tuple[str, ...]
    rows: tuple[int, ...]
    coalitions: tuple[int, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        check_name(self.job)
        check_at_least("round", self.round, 0)
        check_names("players", self.players)
        count = len(self.players)
        if not 1 <= count <= MOST_PLAYERS or list(self.players) != sorted(self.players):
            raise ValueError(f"players: expected 1 … {MOST_PLAYERS} names, ascending, got {count}")
        if len(self.rows) != count:
            raise ValueError(f"rows: expected {count}, one for each player, got {len(self.rows)}")
        for rows in self.rows:
            check_between("rows", rows, 1, MOST_ROWS)
        if len(self.values) != len(self.coalitions) or not 2 <= len(self.values) <= MOST_VALUES:
            raise ValueError(
                f"values: expected 2 … {MOST_VALUES}, one for each coalition, got {len(self.values)} "
                f"for {len(self.coalitions)}"
            )
        if any(after <= before for before, after in pairwise(self.coalitions)):
            raise ValueError("coalitions: expected rising numbers")
        if not 0 <= self.coalitions[0] <= self.coalitions[-1] < 2**count:
            raise ValueError(f"coalitions: expected sets of {count} players, as numbers below 2^{count}")
        for value in self.values:
            check_finite("values", value)


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
        rows: 1 … 2^32; more are noted by several entries.
        purpose: to what end; the name of the job that served the rows, if one did.
    """

    job: str
    rows: int
    purpose: str = ""

    def __post_init__(self) -> None:
        check_name(self.job)
        check_between("rows", self.rows, 1, MOST_USED)
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
