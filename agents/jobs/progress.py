"""How far has a job come? Told from the ledger's entries alone, so that every member can tell it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from hansa.agents.jobs.follow import Told
from hansa.ledger import (
    ContributionMeasured,
    JobAborted,
    JobAccepted,
    JobFinished,
    JobProposed,
    JobRefused,
    ModelEvaluated,
    RoundClosed,
    volume_shares,
)

Outcome = Literal["", "finished", "aborted"]


@dataclass(frozen=True, slots=True)
class News:
    """Something new of a job.

    Attributes:
        kind: the entry's: `job-proposed`, `round-closed`, …
        time_s: when, UTC seconds, by the author's clock.
        fields: what a script wants to know of it; fits JSON.
    """

    kind: str
    time_s: float
    fields: dict[str, object]


@dataclass(slots=True)
class Round:
    """A round's model: whose updates are in it, who was missing, and how good it is once that is known."""

    number: int
    participants: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    loss: float | None = None
    score: float | None = None
    metric: str = ""


@dataclass(slots=True)
class JobProgress:
    """One job, as far as the ledger tells.

    Attributes:
        rounds: by number; 0 is the initial model.
        planned: how many rounds there are at most; 0 if the protocol counts none.
        consent_until_s: when the coordinator stops waiting for consent, UTC seconds.
        shares: measured weights by party, `method` says of what.
    """

    job: str
    coordinator: str = ""
    protocol: str = ""
    model: str = ""
    dataset: str = ""
    parties: tuple[str, ...] = ()
    minimum: int = 0
    planned: int = 0
    consent_until_s: float = 0.0
    accepted: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    rounds: dict[int, Round] = field(default_factory=dict)
    shares: dict[str, int] = field(default_factory=dict)
    method: str = ""
    outcome: Outcome = ""
    reason: str = ""
    missing: tuple[str, ...] = ()
    ending: JobFinished | None = None

    @property
    def proposed(self) -> bool:
        """Whether the ledger has the job."""
        return bool(self.coordinator)

    @property
    def undecided(self) -> tuple[str, ...]:
        """The parties that have neither consented nor refused."""
        return tuple(p for p in self.parties if p not in self.accepted and p not in self.refused)

    @property
    def newest(self) -> int:
        """The newest round closed, 0 before the first."""
        return max(self.rounds, default=0)

    def awaited(self) -> tuple[str, tuple[str, ...]]:
        """Return what the job waits for as far as the ledger shows, and for whom."""
        if not self.newest and self.undecided:
            return "consent", self.undecided
        if self.planned and self.newest >= self.planned:
            return "the final evaluation", tuple(self.accepted)
        return f"round {self.newest + 1}", tuple(self.accepted)

    def take(self, told: Told) -> Iterator[News]:
        """Take in an entry; yield what is new of this job, if it is of this job."""
        if getattr(told.body, "job", None) != self.job:
            return
        match told.body:
            case JobProposed():
                yield self._proposed(told, told.body)
            case JobAccepted():
                self.accepted.append(told.author)
                yield News("job-accepted", told.time_s, {"party": told.author})
            case JobRefused(_, reason):
                self.refused[told.author] = reason
                yield News("job-refused", told.time_s, {"party": told.author, "reason": reason})
            case RoundClosed():
                yield self._closed(told.time_s, told.body)
            case ModelEvaluated():
                yield self._evaluated(told.time_s, told.body)
            case ContributionMeasured(_, method, shares):
                self.shares, self.method = dict(shares), method
                fields: dict[str, object] = {"method": method, "shares": dict(shares)}
                yield News("contribution-measured", told.time_s, fields)
            case JobFinished():
                yield self._finished(told.time_s, told.body)
            case JobAborted(_, reason, missing):
                self.outcome, self.reason, self.missing = "aborted", reason, missing
                yield News("job-aborted", told.time_s, {"reason": reason, "missing": list(missing)})
            case _:
                pass  # of money, or of a model's use: not of its training

    def portions(self) -> dict[str, float]:
        """Return each party's part of the whole, as measured; empty before, or if nobody brought anything."""
        if not any(self.shares.values()):
            return {}
        return {party: float(share) for party, share in volume_shares(self.shares).items()}

    def _proposed(self, told: Told, body: JobProposed) -> News:
        self.coordinator, self.parties, self.minimum = told.author, body.parties, body.quorum
        self.protocol, self.model, self.dataset = body.protocol, body.model, body.dataset
        rounds = body.settings.get("protocol.rounds", 0)
        self.planned = rounds if isinstance(rounds, int) else 0
        self.consent_until_s = told.time_s + body.deadline_s
        fields: dict[str, object] = {
            "coordinator": told.author,
            "protocol": body.protocol,
            "model": body.model,
            "dataset": body.dataset,
            "parties": list(body.parties),
            "minimum_parties": body.quorum,
            "settings": dict(body.settings),
        }
        return News("job-proposed", told.time_s, fields)

    def _closed(self, time_s: float, body: RoundClosed) -> News:
        entry = self.rounds.setdefault(body.round, Round(body.round))
        entry.participants, entry.missing = body.participants, body.missing
        fields: dict[str, object] = {
            "round": body.round,
            "participants": list(body.participants),
            "missing": list(body.missing),
            "model_digest": body.model_digest.hex(),
        }
        return News("round-closed", time_s, fields)

    def _evaluated(self, time_s: float, body: ModelEvaluated) -> News:
        entry = self.rounds.setdefault(body.round, Round(body.round))
        entry.loss, entry.score, entry.metric = body.loss, body.score, body.metric
        fields: dict[str, object] = {
            "round": body.round,
            "loss": body.loss,
            "score": body.score,
            "metric": body.metric,
            "rows": body.rows,
        }
        return News("model-evaluated", time_s, fields)

    def _finished(self, time_s: float, body: JobFinished) -> News:
        self.outcome, self.ending = "finished", body
        fields: dict[str, object] = {
            "rounds": body.rounds,
            "loss": body.loss,
            "score": body.score,
            "metric": body.metric,
            "model_digest": body.model_digest.hex(),
        }
        return News("job-finished", time_s, fields)


def read_progress(told: Iterator[Told]) -> dict[str, JobProgress]:
    """Return every job that these entries speak of, by name, in the order of their proposals."""
    jobs: dict[str, JobProgress] = {}
    for entry in told:
        name = getattr(entry.body, "job", None)
        if isinstance(name, str):
            for _ in jobs.setdefault(name, JobProgress(name)).take(entry):
                pass
    return jobs
