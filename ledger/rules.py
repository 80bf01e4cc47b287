"""Who may write what, and when? Said of the next entry, given the standing that the ones before made.

    keeper       charter, member-admitted, member-suspended
    any member   keeper-changed, with the names of enough witnesses
    the member   member-left, key-rotated, dataset-registered, dataset-withdrawn, rows-withdrawn
    either       key-revoked
    any member   job-proposed; who writes it coordinates the job
    a party      job-accepted, job-refused
    coordinator  job-started, round-closed, model-evaluated, coalitions-valued, contribution-measured, rows-aligned,
                 job-finished, job-aborted, payout-proposed, payout-withdrawn, payout-settled
    in the job   epoch-ended, parties-overdue, distortion-found; later model-used
    a payee      payout-approved, payout-disputed
    either       payout-held: who proposed it, or the keeper
    who said it  payout-released, of a hold or a dispute

The keeper's own keys stay as they are while it keeps the ledger; another keeper is another epoch of the ledger.
"""

from hansa.broker.identity import PublicIdentity
from hansa.ledger.bodies import (
    Body,
    UnknownBody,
)
from hansa.ledger.entry import EntryFields
from hansa.ledger.errors import BadNote, NotFinal, RuleBroken
from hansa.ledger.job_rules import check_job
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
    PayoutDisputed,
    PayoutHeld,
    PayoutProposed,
    PayoutReleased,
    PayoutSettled,
    PayoutWithdrawn,
)
from hansa.ledger.money_rules import check_money
from hansa.ledger.notes import read_note
from hansa.ledger.permits import check_key_is_free, check_not_keeper, member_of, only
from hansa.ledger.standing import Standing


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
            only(author, now.keeper.name, "the keeper admits members")
            member = now.members.get(body.name)
            if member is not None and member.status == "active":
                raise RuleBroken(f"{body.name} is a member already")
            check_key_is_free(now, body.name, body.verify_key)
        case MemberSuspended(name):
            only(author, now.keeper.name, "the keeper suspends members")
            check_not_keeper(now, name)
            if member_of(now, name).status != "active":
                raise RuleBroken(f"{name} is not active but {member_of(now, name).status}")
        case MemberLeft(name):
            only(author, name, "each member leaves for itself")
            check_not_keeper(now, name)
        case KeyRotated():
            only(author, body.name, "each member rotates its own keys")
            check_not_keeper(now, body.name)
            check_key_is_free(now, body.name, body.verify_key)
            if body.verify_key == now.members[author].public.verify_key:
                raise RuleBroken(f"{author} has this key already")
        case KeyRevoked(name):
            if author != now.keeper.name:
                only(author, name, "a key is revoked by its owner or the keeper")
            check_not_keeper(now, name)
            if member_of(now, name).status == "left":
                raise RuleBroken(f"{name} has left")
            member = member_of(now, name)
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
        case (
            PayoutProposed()
            | PayoutApproved()
            | PayoutHeld()
            | PayoutDisputed()
            | PayoutReleased()
            | PayoutWithdrawn()
            | PayoutSettled()
        ):
            check_money(now, author, body)
        case (
            JobProposed()
            | JobAccepted()
            | JobRefused()
            | JobStarted()
            | JobFinished()
            | JobAborted()
            | RoundClosed()
            | CoalitionsValued()
            | ContributionMeasured()
            | ModelEvaluated()
            | ModelUsed()
            | EpochEnded()
            | PartiesOverdue()
            | DistortionFound()
            | RowsAligned()
        ):
            check_job(now, author, body)
        case UnknownBody():
            pass  # its rules are not known here; whoever keeps the ledger knows them


def _check_succession(now: Standing, author: str, body: KeeperChanged) -> None:
    try:
        found = now.roster.check_succession(read_note(body.certificate))
    except (BadNote, NotFinal) as error:
        raise RuleBroken(f"{author} can't take over: {error}") from None
    only(author, found.keeper, "a certificate names who takes over")
    if (found.size, found.root) != (now.tree.size, now.tree.root):
        raise RuleBroken(f"{author} takes over at {found}, not at this head of {now.tree.size} entries")
