"""Who may write what, and when? Said of the next entry, given the standing that the ones before made.

    keeper       charter, member-admitted, member-suspended
    any member   keeper-changed, with the names of enough witnesses
    the member   member-left, key-rotated, dataset-registered, dataset-withdrawn, rows-withdrawn
    either       key-revoked
    any member   job-proposed; who writes it coordinates the job
    a party      job-accepted, job-refused; later payout-approved, if it is to be paid
    coordinator  round-closed, model-evaluated, contribution-measured, rows-aligned, job-finished, job-aborted,
                 payout-proposed, payout-settled
    in the job   epoch-ended, parties-overdue, distortion-found; later model-used

The keeper's own keys stay as they are while it keeps the ledger; another keeper is another epoch of the ledger.
"""

from hansa.broker.identity import PublicIdentity
from hansa.ledger.bodies import (
    Body,
    UnknownBody,
)
from hansa.ledger.entry import EntryFields
from hansa.ledger.errors import BadNote, BadProof, NotFinal, RuleBroken
from hansa.ledger.finality import check_payout_finality
from hansa.ledger.jobs import (
    ContributionMeasured,
    DistortionFound,
    EpochEnded,
    JobAborted,
    JobAccepted,
    JobFinished,
    JobProposed,
    JobRefused,
    ModelEvaluated,
    ModelUsed,
    PartiesOverdue,
    RoundClosed,
    RowsAligned,
)
from hansa.ledger.membership import (
    Charter,
    DatasetRegistered,
    DatasetWithdrawn,
    KeeperChanged,
    KeyRevoked,
    KeyRotated,
    MemberAdmitted,
    MemberLeft,
    MemberSuspended,
    RowsWithdrawn,
)
from hansa.ledger.money import (
    PayoutApproved,
    PayoutProposed,
    PayoutSettled,
)
from hansa.ledger.notes import read_note
from hansa.ledger.standing import Job, Member, Payout, Standing


def check_founding(fields: EntryFields, body: Body | UnknownBody) -> PublicIdentity:
    """Say whether this entry may found the federation.

    Returns:
        The keeper as the charter names it; these keys must have signed it.

    Raises:
        RuleBroken: no charter, or its author is not the keeper it names.
    """
    if not isinstance(body, Charter):
        raise RuleBroken(f"the first entry must be a charter, found {fields.kind}")
    if fields.author != body.keeper.name:
        raise RuleBroken(
            f"the charter names {body.keeper.name!r} as keeper, but {fields.author!r:.60} wrote it"
        )
    if fields.federation != body.federation:
        raise RuleBroken(f"the charter of {body.federation!r} in an entry of {fields.federation!r:.60}")
    if fields.author_seq != 0:
        raise RuleBroken(f"expected entry 0 of {fields.author}, found {fields.author_seq}")
    return body.keeper


def check_author(now: Standing, fields: EntryFields) -> None:
    """Say whether this author may write at all, under this number; needs no body.

    Raises:
        RuleBroken: another federation, not an active member, or not a later number than its last.
    """
    if fields.federation != now.charter.federation:
        raise RuleBroken(f"an entry of {fields.federation!r:.60}, not of {now.charter.federation!r}")
    member = now.members.get(fields.author)
    if member is None:
        raise RuleBroken(f"{fields.author!r:.60} is no member")
    if member.status != "active":
        raise RuleBroken(f"{fields.author} may not write: {member.status}")
    # Numbers rise but may skip: a refused entry leaves a gap, and its author's later ones must not wait for it.
    next_seq = now.next_author_seq(fields.author)
    if fields.author_seq < next_seq:
        raise RuleBroken(f"entry {fields.author_seq} of {fields.author} comes after its entry {next_seq - 1}")


def check_body(now: Standing, author: str, body: Body | UnknownBody) -> None:
    """Say whether this author, who may write, may write this now.

    Raises:
        RuleBroken: it may not, and why.
    """
    match body:
        case Charter():
            raise RuleBroken("the federation has its charter")
        case MemberAdmitted():
            _only(author, now.keeper.name, "the keeper admits members")
            member = now.members.get(body.name)
            if member is not None and member.status == "active":
                raise RuleBroken(f"{body.name} is a member already")
            _check_key_is_free(now, body.name, body.verify_key)
        case MemberSuspended(name):
            _only(author, now.keeper.name, "the keeper suspends members")
            _check_not_keeper(now, name)
            if _member(now, name).status != "active":
                raise RuleBroken(f"{name} is not active but {_member(now, name).status}")
        case MemberLeft(name):
            _only(author, name, "each member leaves for itself")
            _check_not_keeper(now, name)
        case KeyRotated():
            _only(author, body.name, "each member rotates its own keys")
            _check_not_keeper(now, body.name)
            _check_key_is_free(now, body.name, body.verify_key)
            if body.verify_key == now.members[author].public.verify_key:
                raise RuleBroken(f"{author} has this key already")
        case KeyRevoked(name):
            if author != now.keeper.name:
                _only(author, name, "a key is revoked by its owner or the keeper")
            _check_not_keeper(now, name)
            if _member(now, name).status == "left":
                raise RuleBroken(f"{name} has left")
            member = _member(now, name)
            keys = [each.verify_key for each in (member.public, member.former) if each is not None]
            if body.verify_key not in keys:
                raise RuleBroken(f"neither the key that {name} has nor the one before it")
            if body.verify_key in now.revoked_keys:
                raise RuleBroken(f"{name}'s key is revoked already")
        case DatasetRegistered(dataset):
            if (author, dataset) in now.datasets:
                raise RuleBroken(f"{author} has registered {dataset} already; withdraw it first")
        case DatasetWithdrawn(dataset):
            if (author, dataset) not in now.datasets:
                raise RuleBroken(f"{author} has not registered {dataset}")
        case RowsWithdrawn(dataset, leaves):
            registered = now.datasets.get((author, dataset))
            if registered is None:
                raise RuleBroken(f"{author} has not registered {dataset}")
            if leaves[-1] >= registered.rows:
                raise RuleBroken(f"{dataset} has {registered.rows} rows, and none at {leaves[-1]}")
            again = registered.withdrawn.intersection(leaves)
            if again:
                raise RuleBroken(f"row {min(again)} of {dataset} is withdrawn already")
        case KeeperChanged():
            _check_succession(now, author, body)
        case PayoutProposed() | PayoutApproved() | PayoutSettled():
            _check_money(now, author, body)
        case (
            JobProposed()
            | JobAccepted()
            | JobRefused()
            | JobFinished()
            | JobAborted()
            | RoundClosed()
            | ContributionMeasured()
            | ModelEvaluated()
            | ModelUsed()
            | EpochEnded()
            | PartiesOverdue()
            | DistortionFound()
            | RowsAligned()
        ):
            _check_job(now, author, body)
        case UnknownBody():
            pass  # its rules are not known here; whoever keeps the ledger knows them


def _check_succession(now: Standing, author: str, body: KeeperChanged) -> None:
    try:
        found = now.roster.check_succession(read_note(body.certificate))
    except (BadNote, NotFinal) as error:
        raise RuleBroken(f"{author} can't take over: {error}") from None
    _only(author, found.keeper, "a certificate names who takes over")
    if (found.size, found.root) != (now.tree.size, now.tree.root):
        raise RuleBroken(f"{author} takes over at {found}, not at this head of {now.tree.size} entries")


# Anybody in a job may say these, each in its own time: its last word may be chained after the job's end.
_Course = EpochEnded | PartiesOverdue | DistortionFound
_JobBody = (
    JobProposed
    | JobAccepted
    | JobRefused
    | JobFinished
    | JobAborted
    | RoundClosed
    | ContributionMeasured
    | ModelEvaluated
    | ModelUsed
    | RowsAligned
    | _Course
)


def _check_job(now: Standing, author: str, body: _JobBody) -> None:
    if isinstance(body, JobProposed):
        if body.job in now.jobs:
            raise RuleBroken(f"job {body.job} was proposed already")
        for party in body.parties:
            if _member(now, party).status != "active":
                raise RuleBroken(f"{party} can't take part: {_member(now, party).status}")
        return
    job = _job(now, body.job)
    match body:
        case JobAccepted() | JobRefused():
            _check_open(job, body.job)
            _check_among(author, job.parties, f"the parties of {body.job}")
            if author in job.accepted or author in job.refused:
                raise RuleBroken(f"{author} has answered {body.job} already")
        case ModelUsed():
            _check_finished(job, body.job)
            if not job.model_digest:
                raise RuleBroken(f"job {body.job} has no model: it made none")
            _check_among(author, (job.coordinator, *job.accepted), f"those who made the model of {body.job}")
        case EpochEnded() | PartiesOverdue() | DistortionFound():
            _check_course(now, author, job, body)
        case JobFinished():
            _coordinates(author, job, body.job)
            _check_open(job, body.job)
            if len(job.accepted) < job.quorum:
                raise RuleBroken(
                    f"{len(job.accepted)} parties of {body.job} accepted, its quorum is {job.quorum}"
                )
        case JobAborted():
            _coordinates(author, job, body.job)
            _check_open(job, body.job)
            for party in body.missing:
                _check_among(party, job.parties, f"the parties of {body.job}")
        case RoundClosed():
            _coordinates(author, job, body.job)
            _check_open(job, body.job)
            if body.round <= now.rounds.get(body.job, -1):
                raise RuleBroken(f"round {body.round} of {body.job} after round {now.rounds[body.job]}")
            for party in (*body.participants, *body.missing):
                _check_among(party, job.accepted, f"those who accepted {body.job}")
            for party in body.missing:
                if party in body.participants:
                    raise RuleBroken(f"{party} took part in round {body.round} and was missing")
        case ContributionMeasured():
            _coordinates(author, job, body.job)
            _check_not_aborted(job, body.job)
            for party in body.shares:
                _check_among(party, job.accepted, f"those who accepted {body.job}")
        case RowsAligned():
            _coordinates(author, job, body.job)
            _check_not_aborted(job, body.job)
            for party in body.sizes:
                _check_among(party, job.accepted, f"those who accepted {body.job}")
        case ModelEvaluated():
            _coordinates(author, job, body.job)
            _check_not_aborted(job, body.job)


def _check_course(now: Standing, author: str, job: Job, body: _Course) -> None:
    members, name = (job.coordinator, *job.accepted), body.job
    _check_among(author, members, f"those in {name}")
    match body:
        case EpochEnded(epoch=epoch):
            newest = now.epochs.get((name, author), -1)
            if epoch <= newest:
                raise RuleBroken(f"epoch {epoch} of {name} after epoch {newest}")
        case PartiesOverdue(missing=missing):
            for party in missing:
                _check_among(party, members, f"those in {name}")
        case DistortionFound():
            pass


def _check_money(now: Standing, author: str, body: PayoutProposed | PayoutApproved | PayoutSettled) -> None:
    match body:
        case PayoutProposed(name):
            job = _job(now, name)
            _coordinates(author, job, name)
            _check_finished(job, name)
            for party in body.amounts:
                _check_among(party, job.accepted, f"those who accepted {name}")
            try:
                check_payout_finality(now, body)
            except (BadNote, BadProof, NotFinal) as error:
                raise RuleBroken(f"what {name} is to be paid for is not final: {error}") from None
        case PayoutApproved(number):
            payout = _payout(now, number)
            _check_among(author, tuple(payout.amounts), f"those whom payout {number} pays")
            if author in payout.approved:
                raise RuleBroken(f"{author} has approved payout {number} already")
        case PayoutSettled(number):
            payout = _payout(now, number)
            _only(author, payout.proposer, "who proposed a payout settles it")
            if payout.settled:
                raise RuleBroken(f"payout {number} is settled already")
            waiting = [party for party in payout.amounts if party not in payout.approved]
            if waiting:
                raise RuleBroken(f"payout {number} is not approved by {', '.join(waiting)}")


# --- the rules' words -----------------------------------------------------------------------------------
def _only(author: str, allowed: str, rule: str) -> None:
    if author != allowed:
        raise RuleBroken(f"{rule}: {allowed}, not {author}")


def _coordinates(author: str, job: Job, name: str) -> None:
    _only(author, job.coordinator, f"{name} has one coordinator")


def _check_among(name: str, group: tuple[str, ...], what: str) -> None:
    if name not in group:
        raise RuleBroken(f"{name} is not among {what}")


def _check_open(job: Job, name: str) -> None:
    if job.status != "open":
        raise RuleBroken(f"job {name} is {job.status}")


def _check_finished(job: Job, name: str) -> None:
    if job.status != "finished":
        raise RuleBroken(f"job {name} has no model: {job.status}")


def _check_not_aborted(job: Job, name: str) -> None:
    if job.status == "aborted":
        raise RuleBroken(f"job {name} is aborted")


def _check_not_keeper(now: Standing, name: str) -> None:
    if name == now.keeper.name:
        raise RuleBroken(f"{name} keeps the ledger, and its keys stay as they are meanwhile")


def _check_key_is_free(now: Standing, name: str, verify_key: bytes) -> None:
    if verify_key in now.revoked_keys:
        raise RuleBroken("this key is revoked")
    holder = now.holders.get(verify_key, name)
    if holder != name:
        raise RuleBroken(f"{holder} has this key already")


def _member(now: Standing, name: str) -> Member:
    member = now.members.get(name)
    if member is None:
        raise RuleBroken(f"{name} is no member")
    return member


def _job(now: Standing, name: str) -> Job:
    job = now.jobs.get(name)
    if job is None:
        raise RuleBroken(f"no job {name} was proposed")
    return job


def _payout(now: Standing, number: int) -> Payout:
    payout = now.payouts.get(number)
    if payout is None:
        raise RuleBroken(f"entry {number} proposes no payout")
    return payout
