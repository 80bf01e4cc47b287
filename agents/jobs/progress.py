"""How far has a job come? Told from the ledger's entries alone, so that every member can tell it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from hansa.agents.jobs.course import Aligned, Epoch, News, Overdue, Round
from hansa.agents.jobs.follow import Told
from hansa.ledger import (
    CoalitionsValued,
    ContributionMeasured,
    DatasetRegistered,
    DistortionFound,
    EpochEnded,
    JobAborted,
    JobAccepted,
    JobFinished,
    JobProposed,
    JobRefused,
    JobStarted,
    ModelEvaluated,
    ModelUsed,
    PartiesOverdue,
    RoundClosed,
    RowsAligned,
    RowsWithdrawn,
    Setting,
    Verdict,
    volume_shares,
)

Outcome = Literal["", "finished", "aborted"]
Unit = Literal["round", "epoch"]


@dataclass(slots=True)
class JobProgress:
    """One job, as far as the ledger tells.

    Attributes:
        registered: rows by (owner, data set), as the entries so far say.
        settings: of its proposal.
        rows: by party, how many it had registered, and not withdrawn, when the job was proposed.
        unit: what it counts: "round" or "epoch".
        rounds: by number; 0 is the initial model.
        epochs: by number, from 1.
        planned: how many rounds or epochs there are at most; 0 if the protocol counts none.
        consent_until_s: when the coordinator stops waiting for consent, UTC seconds.
        overdue: those who are waited for, as others say, until an epoch or round has ended.
        shares: measured weights by party, `method` says of what.
        contributions: by party, as they follow from the values of coalitions, perhaps negative; empty where nothing
            was valued; from the standing.
        served: how many rows this job has scored with another's model.
        used: how many rows its own model has scored since.
        withdrawn: by party, how many rows that it may have used were withdrawn since; from the standing
            (`read_progress`).
    """

    job: str
    registered: dict[tuple[str, str], int] = field(default_factory=dict)
    coordinator: str = ""
    protocol: str = ""
    model: str = ""
    dataset: str = ""
    parties: tuple[str, ...] = ()
    settings: dict[str, Setting] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    minimum: int = 0
    unit: Unit = "round"
    planned: int = 0
    consent_until_s: float = 0.0
    accepted: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    rounds: dict[int, Round] = field(default_factory=dict)
    epochs: dict[int, Epoch] = field(default_factory=dict)
    overdue: dict[str, Overdue] = field(default_factory=dict)
    aligned: Aligned | None = None
    shares: dict[str, int] = field(default_factory=dict)
    method: str = ""
    contributions: dict[str, float] = field(default_factory=dict)
    served: int = 0
    used: int = 0
    withdrawn: dict[str, int] = field(default_factory=dict)
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
        """The newest round closed, or epoch ended; 0 before the first."""
        return max((*self.rounds, *self.epochs), default=0)

    @property
    def distorted(self) -> bool:
        """Whether the training was ended because the loss had jumped."""
        return self._judged("distorted")

    @property
    def uses(self) -> str:
        """The job whose model this one uses, empty if it is not of that sort."""
        return self._says("model")

    @property
    def receiver(self) -> str:
        """The only party that learns which rows are common, empty if all do."""
        return self._says("receiver")

    @property
    def guest(self) -> str:
        """The party that holds the labels, empty if all do or nobody."""
        return self._says("guest")

    @property
    def threshold(self) -> int:
        """In how many lists a row must stand, 0 if in all."""
        return self._counts("threshold")

    def awaited(self) -> tuple[str, tuple[str, ...]]:
        """Return what the job waits for as far as the ledger shows, and for whom."""
        if not self.newest and self.undecided:
            return "consent", self.undecided
        whom = tuple(self.overdue) or tuple(self.accepted)
        if self.planned and (self.newest >= self.planned or self._judged("converged")):
            return "the final evaluation", whom
        if self.planned or self.newest:
            return f"{self.unit} {self.newest + 1}", whom
        return "word", whom

    def take(self, told: Told) -> Iterator[News]:
        """Take in an entry; yield what is new of this job, if it is of this job."""
        body = told.body
        if isinstance(body, ModelUsed):
            yield from self._used(told, body)
        elif isinstance(body, DatasetRegistered):
            self.registered[told.author, body.dataset] = body.rows
        elif isinstance(body, RowsWithdrawn):
            self.registered[told.author, body.dataset] -= len(body.leaves)
        elif getattr(body, "job", None) == self.job:
            yield from self._taken(told)

    def _taken(self, told: Told) -> Iterator[News]:
        match told.body:
            case JobProposed():
                yield self._proposed(told, told.body)
            case JobAccepted():
                self.accepted.append(told.author)
                yield News("job-accepted", told.time_s, {"party": told.author})
            case JobRefused(_, reason):
                self.refused[told.author] = reason
                yield News("job-refused", told.time_s, {"party": told.author, "reason": reason})
            case JobStarted(_, parties):
                yield News("job-started", told.time_s, {"parties": list(parties)})
            case CoalitionsValued():
                yield _valued(told.time_s, told.body)
            case RoundClosed():
                yield self._closed(told.time_s, told.body)
            case ModelEvaluated():
                yield self._evaluated(told.time_s, told.body)
            case EpochEnded() if told.body.epoch not in self.epochs:
                yield self._ended(told, told.body)
            case PartiesOverdue():
                yield self._overdue(told, told.body)
            case DistortionFound(_, epoch, loss, before):
                fields: dict[str, object] = {
                    "epoch": epoch,
                    "loss": loss,
                    "before": before,
                    "by": told.author,
                }
                yield News("distortion-found", told.time_s, fields)
            case RowsAligned(_, sizes, common):
                self.aligned = Aligned(common, dict(sizes) or self.rows)
                yield News("rows-aligned", told.time_s, {"common": common, "sizes": self.aligned.sizes})
            case ContributionMeasured(_, method, shares):
                self.shares, self.method = dict(shares), method
                fields = {"method": method, "shares": dict(shares)}
                yield News("contribution-measured", told.time_s, fields)
            case JobFinished():
                yield self._finished(told.time_s, told.body)
            case JobAborted(_, reason, missing):
                self.outcome, self.reason, self.missing = "aborted", reason, missing
                yield News("job-aborted", told.time_s, {"reason": reason, "missing": list(missing)})
            case _:
                pass  # of money, or an epoch that somebody else has told of already

    def portions(self) -> dict[str, float]:
        """Return each party's part of the whole, as measured; empty before, or if nobody brought anything."""
        if not any(self.shares.values()):
            return {}
        return {party: float(share) for party, share in volume_shares(self.shares).items()}

    def _proposed(self, told: Told, body: JobProposed) -> News:
        self.coordinator, self.parties, self.minimum = told.author, body.parties, body.quorum
        self.protocol, self.model, self.dataset = body.protocol, body.model, body.dataset
        held = {party: self.registered.get((party, body.dataset)) for party in body.parties}
        self.rows = {party: rows for party, rows in held.items() if rows is not None}
        self.settings = dict(body.settings)
        self.unit = "epoch" if "protocol.epochs" in body.settings else "round"
        self.planned = self._counts(f"{self.unit}s")
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
        self.overdue.clear()
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

    def _ended(self, told: Told, body: EpochEnded) -> News:
        self.epochs[body.epoch] = Epoch(body.epoch, body.loss, body.verdict)
        self.overdue.clear()
        fields: dict[str, object] = {
            "epoch": body.epoch,
            "loss": body.loss,
            "verdict": body.verdict,
            "by": told.author,
        }
        return News("epoch-ended", told.time_s, fields)

    def _overdue(self, told: Told, body: PartiesOverdue) -> News:
        for name in body.missing:
            self.overdue.setdefault(name, Overdue(told.author, told.time_s))
        fields: dict[str, object] = {
            "round": body.round,
            "missing": list(body.missing),
            "by": told.author,
        }
        return News("parties-overdue", told.time_s, fields)

    def _used(self, told: Told, body: ModelUsed) -> Iterator[News]:
        """Take in that a model was used: ours, or another's by us, since the purpose is then our name."""
        if body.job == self.job:
            self.used += body.rows
        elif body.purpose == self.job and told.author in (self.coordinator, *self.accepted):
            self.served += body.rows
        else:
            return
        fields: dict[str, object] = {"model": body.job, "rows": body.rows, "purpose": body.purpose}
        yield News("model-used", told.time_s, fields)

    def _judged(self, verdict: Verdict) -> bool:
        return any(epoch.verdict == verdict for epoch in self.epochs.values())

    def _says(self, setting: str) -> str:
        value = self.settings.get(f"protocol.{setting}", "")
        return value if isinstance(value, str) else ""

    def _counts(self, setting: str) -> int:
        value = self.settings.get(f"protocol.{setting}", 0)
        return value if isinstance(value, int) else 0

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


def _valued(time_s: float, body: CoalitionsValued) -> News:
    """Return how many values a round has, not which: there may be thousands."""
    values = dict(zip(body.coalitions, body.values, strict=True))
    fields: dict[str, object] = {
        "round": body.round,
        "players": list(body.players),
        "coalitions": len(values),
        "before": values.get(0),
        "after": values.get(2 ** len(body.players) - 1),
    }
    return News("coalitions-valued", time_s, fields)


def read_progress(told: Iterator[Told]) -> dict[str, JobProgress]:
    """Return every job that these entries speak of, by name, in the order of their proposals."""
    jobs: dict[str, JobProgress] = {}
    registered: dict[tuple[str, str], int] = {}
    for entry in told:
        match entry.body:
            case DatasetRegistered(dataset, rows):
                registered[entry.author, dataset] = rows
            case RowsWithdrawn(dataset, leaves):
                registered[entry.author, dataset] -= len(leaves)
            case _:
                pass
        name = getattr(entry.body, "job", None)
        if not isinstance(name, str):
            continue
        jobs.setdefault(name, JobProgress(name, registered))
        user = entry.body.purpose if isinstance(entry.body, ModelUsed) else name
        for concerned in {name, user} & jobs.keys():
            for _ in jobs[concerned].take(entry):
                pass
    return jobs
