"""Who may write what about a job, and when? The rules for those entries; see `rules`."""

from hansa.ledger.errors import BadValue, RuleBroken
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
        if body.job in now.jobs:
            raise RuleBroken(f"job {body.job} was proposed already")
        for party in body.parties:
            if member_of(now, party).status != "active":
                raise RuleBroken(f"{party} can't take part: {member_of(now, party).status}")
        return
    job = job_of(now, body.job)
    match body:
        case JobAccepted() | JobRefused():
            check_open(job, body.job)
            check_among(author, job.parties, f"the parties of {body.job}")
            if author in job.accepted or author in job.refused:
                raise RuleBroken(f"{author} has answered {body.job} already")
            if isinstance(body, JobAccepted):
                _check_acceptance(job, body)
        case JobStarted():
            coordinates(author, job, body.job)
            check_open(job, body.job)
            if job.started:
                raise RuleBroken(f"{body.job} has begun already")
            if job.appraisal is None:
                raise RuleBroken(f"in {body.job} nothing is valued that a seed would be drawn for")
            for party in body.parties:
                check_among(party, job.accepted, f"those who accepted {body.job}")
        case CoalitionsValued():
            coordinates(author, job, body.job)
            check_open(job, body.job)
            _check_valued(job, body)
        case ModelUsed():
            check_finished(job, body.job)
            if not job.model_digest:
                raise RuleBroken(f"job {body.job} has no model: it made none")
            check_among(author, (job.coordinator, *job.accepted), f"those who made the model of {body.job}")
        case EpochEnded() | PartiesOverdue() | DistortionFound():
            _check_course(now, author, job, body)
        case JobFinished():
            coordinates(author, job, body.job)
            check_open(job, body.job)
            if len(job.accepted) < job.quorum:
                raise RuleBroken(
                    f"{len(job.accepted)} parties of {body.job} accepted, its quorum is {job.quorum}"
                )
        case JobAborted():
            coordinates(author, job, body.job)
            check_open(job, body.job)
            for party in body.missing:
                check_among(party, job.parties, f"the parties of {body.job}")
        case RoundClosed():
            coordinates(author, job, body.job)
            check_open(job, body.job)
            if body.round <= now.rounds.get(body.job, -1):
                raise RuleBroken(f"round {body.round} of {body.job} after round {now.rounds[body.job]}")
            for party in (*body.participants, *body.missing):
                check_among(party, job.accepted, f"those who accepted {body.job}")
            for party in body.missing:
                if party in body.participants:
                    raise RuleBroken(f"{party} took part in round {body.round} and was missing")
        case ContributionMeasured():
            coordinates(author, job, body.job)
            check_not_aborted(job, body.job)
            for party in body.shares:
                check_among(party, job.accepted, f"those who accepted {body.job}")
        case RowsAligned():
            coordinates(author, job, body.job)
            check_not_aborted(job, body.job)
            for party in body.sizes:
                check_among(party, job.accepted, f"those who accepted {body.job}")
        case ModelEvaluated():
            coordinates(author, job, body.job)
            check_not_aborted(job, body.job)


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


def _check_acceptance(job: Job, body: JobAccepted) -> None:
    if job.started:
        raise RuleBroken(f"{body.job} has begun with {', '.join(job.started)}")
    if (job.appraisal is None) == bool(body.draw):
        wanted = "none" if job.appraisal is None else "one"
        raise RuleBroken(f"expected {wanted} of the draws that a seed is made of in {body.job}")


def _check_valued(job: Job, body: CoalitionsValued) -> None:
    if job.appraisal is None or not job.started:
        raise RuleBroken(f"{body.job} was proposed without coalitions to be valued, or has not begun")
    if body.round in job.appraisal.rounds:
        raise RuleBroken(f"round {body.round} of {body.job} is valued already")
    for player in body.players:
        check_among(player, job.started, f"those with whom {body.job} has begun")
    try:
        job.appraisal.after(body, job.started, job.draws)
    except (BadValue, ValueError) as error:
        raise RuleBroken(f"round {body.round} of {body.job}: {error}") from None
