"""What does a report say of members, jobs, payouts and the course of time? Counted while the entries go by."""

from collections import Counter
from dataclasses import dataclass, field
from math import sqrt
from typing import Generic, TypeVar

from hansa.ledger.appraisal import Appraisal
from hansa.ledger.bodies import KINDS, Body, UnknownBody
from hansa.ledger.entry import EntryFields
from hansa.ledger.jobs import EpochEnded, JobAborted, JobFinished, ModelEvaluated, ModelUsed
from hansa.ledger.money import PayoutProposed, PayoutSettled
from hansa.ledger.payouts import needed_approvals, obstacles
from hansa.ledger.report import JobLine, MemberLine, PayoutLine, Point, Tick
from hansa.ledger.standing import Job, Standing
from hansa.ledger.terms import minor_digits

MOST_POINTS = 200  # of a job's curve: more than a drawing shows
MOST_TICKS = 120
OTHER = "other"  # kinds that this version does not know, in the timeline

_FINEST_MS = 1_000  # of a slice; it doubles until there are few enough
_Item = TypeVar("_Item")


class Thinned(Generic[_Item]):
    """Every n-th of a series and its last, n doubling so that never more than `most` are kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[_Item] = []
        self._last: tuple[_Item, ...] = ()
        self._every = 1
        self._seen = 0

    def add(self, item: _Item) -> None:
        """Take in the next one."""
        self._last = (item,)
        if self._seen % self._every == 0:
            self._last = ()
            self._kept.append(item)
            if len(self._kept) == self._most:
                self._last = (item,)
                self._kept = self._kept[::2]
                self._every *= 2
        self._seen += 1

    def all(self) -> tuple[_Item, ...]:
        """Return what is left, in order."""
        return (*self._kept, *(each for each in self._last if each is not self._kept[-1]))


@dataclass(slots=True)
class _Course:
    """What a job's entries say of it beside its standing."""

    ended_at: int | None = None
    metric: str = ""
    points: Thinned[Point] = field(default_factory=lambda: Thinned(MOST_POINTS))
    step: int = -1
    uses: int = 0
    reason: str = ""


class Tally:
    """Counts entries as they are taken in.

    Attributes:
        first_ms, last_ms: the authors' times of the first and the last entry.
    """

    def __init__(self) -> None:
        self.first_ms = 0
        self.last_ms = 0
        self._authors: Counter[str] = Counter()
        self._courses: dict[str, _Course] = {}
        self._proposed_ms: dict[int, int] = {}  # by the number of a payout
        self._settled_ms: dict[int, int] = {}
        self._width_ms = _FINEST_MS
        self._slices: dict[int, Counter[str]] = {}

    def take(self, index: int, fields: EntryFields, body: Body | UnknownBody) -> None:
        """Count an entry in."""
        if index == 0:
            self.first_ms = fields.time_ms
        self.last_ms = fields.time_ms
        self._authors[fields.author] += 1
        self._clock(fields)
        match body:
            case ModelEvaluated(job):
                course = self._course(job)
                course.metric = body.metric
                self._point(course, Point(body.round, body.loss, body.score, fields.time_ms))
            case EpochEnded(job):
                self._point(self._course(job), Point(body.epoch, body.loss, None, fields.time_ms))
            case JobFinished(job):
                course = self._course(job)
                course.ended_at, course.metric = index, body.metric
            case JobAborted(job):
                course = self._course(job)
                course.ended_at, course.reason = index, body.reason
            case ModelUsed(job):
                self._course(job).uses += body.rows
            case PayoutProposed():
                self._proposed_ms[index] = fields.time_ms
            case PayoutSettled(number):
                self._settled_ms[number] = fields.time_ms
            case _:
                pass

    def members(self, standing: Standing) -> tuple[MemberLine, ...]:
        """Return everybody who was ever let in, by name."""
        datasets: dict[str, dict[str, tuple[int, int]]] = {}
        for (owner, dataset), held in sorted(standing.datasets.items(), key=lambda each: each[0]):
            datasets.setdefault(owner, {})[dataset] = (held.rows, len(held.withdrawn))
        return tuple(
            MemberLine(
                name=name,
                organisation=member.organisation,
                status=member.status,
                fingerprint=member.public.fingerprint,
                admitted_at=member.admitted_at,
                entries=self._authors[name],
                datasets=datasets.get(name, {}),
            )
            for name, member in sorted(standing.members.items())
        )

    def jobs(self, standing: Standing) -> tuple[JobLine, ...]:
        """Return all jobs in the order of their proposals."""
        return tuple(self._line(name, job) for name, job in standing.jobs.items())

    def payouts(self, standing: Standing) -> tuple[PayoutLine, ...]:
        """Return all payouts in the order of their proposals."""
        return tuple(self._payout(standing, number) for number in standing.payouts)

    def timeline(self) -> tuple[Tick, ...]:
        """Return how many entries of each kind there are in slices of one width; empty ones are left out."""
        width = self._width_ms
        return tuple(
            Tick(number * width, (number + 1) * width, dict(sorted(kinds.items())))
            for number, kinds in sorted(self._slices.items())
        )

    def _payout(self, standing: Standing, number: int) -> PayoutLine:
        payout = standing.payouts[number]
        uses = payout.basis == "uses"
        return PayoutLine(
            number=number,
            job=payout.job,
            basis=payout.basis,
            scheme=payout.scheme,
            currency=payout.currency,
            minor_digits=minor_digits(payout.currency),
            pot_minor=payout.pot_minor,
            amounts=dict(sorted(payout.amounts.items())),
            proposer=payout.proposer,
            proposed_ms=self._proposed_ms[number],
            approved=payout.approved,
            needed=needed_approvals(standing.charter, payout),
            held=dict(payout.held),
            disputed=dict(payout.disputed),
            status=payout.status,
            waiting=obstacles(standing, payout) if payout.status == "open" else (),
            settled_ms=self._settled_ms.get(number),
            reference=payout.reference,
            since=payout.since if uses else None,
            until=payout.until if uses else None,
            rows=standing.uses[payout.job].rows(payout.since, payout.until) if uses else 0,
        )

    def _line(self, name: str, job: Job) -> JobLine:
        course, valued = self._courses.get(name, _Course()), job.appraisal
        return JobLine(
            name=name,
            protocol=job.protocol,
            coordinator=job.coordinator,
            parties=job.parties,
            status=job.status,
            proposed_at=job.proposed_at,
            ended_at=course.ended_at,
            metric=course.metric,
            points=course.points.all(),
            method=job.method,
            shares=dict(job.shares),
            uses=course.uses,
            withdrawn=dict(job.withdrawn),
            model_digest=job.model_digest.hex(),
            reason=course.reason,
            contributions={}
            if valued is None
            else {name: float(each) for name, each in valued.shares.items()},
            errors={} if valued is None else {name: _error(valued, name) for name in valued.shares},
            gain=None if valued is None else float(valued.gain),
            evaluations=0 if valued is None else valued.evaluations,
            utility="" if valued is None else valued.how.utility,
        )

    def _course(self, job: str) -> _Course:
        return self._courses.setdefault(job, _Course())

    def _point(self, course: _Course, point: Point) -> None:
        # Several parties say how an epoch went, one after another: the first one's word makes the point.
        if point.step > course.step:
            course.step = point.step
            course.points.add(point)

    def _clock(self, fields: EntryFields) -> None:
        kind = fields.kind if fields.kind in KINDS else OTHER
        self._slices.setdefault(fields.time_ms // self._width_ms, Counter())[kind] += 1
        while len(self._slices) > MOST_TICKS:
            self._width_ms *= 2
            merged: dict[int, Counter[str]] = {}
            for number, kinds in self._slices.items():
                merged.setdefault(number // 2, Counter()).update(kinds)
            self._slices = merged


def _error(valued: Appraisal, party: str) -> float:
    return sqrt(valued.variances.get(party, 0))
