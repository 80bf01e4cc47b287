"""Who may write what about a job, and when? The rules for those entries; see `rules`."""

from hansa.ledger.errors import RuleBroken
from hansa.ledger.jobs import (
    CoalitionsValued,
    ContributionMeasured,
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
)
from hansa.ledger.permits import (
    check_among,
    check_finished,
    check_not_aborted,
    check_open,
    coordinates,
    job_of,
    member_of,
)
from hansa.ledger.share_rules import (
    check_acceptance,
    check_agreed,
    check_closed,
    check_measured,
    check_start,
    check_valued,
)
from hansa.ledger.standing import Job, Standing

# Anybody in a job may say these, each in its own time: its last word may be chained after the job's end.
_Course = EpochEnded | PartiesOverdue | DistortionFound
JobBody = (
    JobProposed
    | JobAccepted
    | JobRefused
    | JobStarted
    | JobFinished
    | JobAborted
    | RoundClosed
    | CoalitionsValued
    | ContributionMeasured
    | ModelEvaluated
    | ModelUsed
    | RowsAligned
    | _Course
)


def check_job(now: Standing, author: str, body: JobBody) -> None:
    """Say whether this author, who may write, may write this about a job now.

    Raises:
        RuleBroken: it may not, and why.
    """
    if isinstance(body, JobProposed):
        _check_proposed(now, author, body)
        return
    job = job_of(now, body.job)
    match body:
        case JobAccepted() | JobRefused():
            _check_answer(author, job, body)
        case ModelUsed():
            check_finished(job, body.job)
            if not job.model_digest:
                raise RuleBroken(f"job {body.job} has no model: it made none")
            check_among(author, (job.coordinator, *job.accepted), f"those who made the model of {body.job}")
        case EpochEnded() | PartiesOverdue() | DistortionFound():
            _check_course(now, author, job, body)
        case JobStarted() | CoalitionsValued() | RoundClosed() | JobFinished() | JobAborted():
            coordinates(author, job, body.job)
            check_open(job, body.job)
            _check_progress(now, job, body)
        case ContributionMeasured() | RowsAligned() | ModelEvaluated():
            coordinates(author, job, body.job)
            check_not_aborted(job, body.job)
            _check_figures(now, job, body)


def _check_proposed(now: Standing, author: str, body: JobProposed) -> None:
    if body.job in now.jobs:
        raise RuleBroken(f"job {body.job} was proposed already")
    for party in body.parties:
        if member_of(now, party).status != "active":
            raise RuleBroken(f"{party} can't take part: {member_of(now, party).status}")
    check_agreed(now, author, body)


def _check_answer(author: str, job: Job, body: JobAccepted | JobRefused) -> None:
    check_open(job, body.job)
    check_among(author, job.parties, f"the parties of {body.job}")
    if author in job.accepted or author in job.refused:
        raise RuleBroken(f"{author} has answered {body.job} already")
    if isinstance(body, JobAccepted):
        check_acceptance(job, body)


def _check_progress(
    now: Standing, job: Job, body: JobStarted | CoalitionsValued | RoundClosed | JobFinished | JobAborted
) -> None:
    """Say whether the coordinator may take an open job further, or to its end, like this."""
    match body:
        case JobStarted():
            check_start(job, body)
        case CoalitionsValued():
            check_valued(now, job, body)
        case RoundClosed():
            _check_round(now, job, body)
        case JobFinished():
            if len(job.accepted) < job.quorum:
                raise RuleBroken(
                    f"{len(job.accepted)} parties of {body.job} accepted, its quorum is {job.quorum}"
                )
        case JobAborted():
            for party in body.missing:
                check_among(party, job.parties, f"the parties of {body.job}")


def _check_round(now: Standing, job: Job, body: RoundClosed) -> None:
    if body.round <= now.rounds.get(body.job, -1):
        raise RuleBroken(f"round {body.round} of {body.job} after round {now.rounds[body.job]}")
    for party in (*body.participants, *body.missing):
        check_among(party, job.accepted, f"those who accepted {body.job}")
    for party in body.missing:
        if party in body.participants:
            raise RuleBroken(f"{party} took part in round {body.round} and was missing")
    check_closed(job, body)


def _check_figures(
    now: Standing, job: Job, body: ContributionMeasured | RowsAligned | ModelEvaluated
) -> None:
    """Say whether the coordinator may give these figures of a job that is not aborted."""
    match body:
        case ContributionMeasured():
            for party in body.shares:
                check_among(party, job.accepted, f"those who accepted {body.job}")
            check_measured(now, job, body)
        case RowsAligned():
            for party in body.sizes:
                check_among(party, job.accepted, f"those who accepted {body.job}")
        case ModelEvaluated():
            pass


def _check_course(now: Standing, author: str, job: Job, body: _Course) -> None:
    members, name = (job.coordinator, *job.accepted), body.job
    check_among(author, members, f"those in {name}")
    match body:
        case EpochEnded(epoch=epoch):
            newest = now.epochs.get((name, author), -1)
            if epoch <= newest:
                raise RuleBroken(f"epoch {epoch} of {name} after epoch {newest}")
        case PartiesOverdue(missing=missing):
            for party in missing:
                check_among(party, members, f"those in {name}")
        case DistortionFound():
            pass
