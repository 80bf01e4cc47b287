"""What is true in a federation as of one head of the chain? Its members, data sets, jobs and payouts.

Everyone who replays the chain comes to the same standing: no clock, no file, no network. Which entry may come
next is for `rules`.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256

from hansa.broker.identity import PublicIdentity
from hansa.ledger.appraisal import Appraisal
from hansa.ledger.bodies import (
    Body,
    UnknownBody,
)
from hansa.ledger.checkpoints import Checkpoint, read_head
from hansa.ledger.claims import Payout, followed
from hansa.ledger.costs import costs_of
from hansa.ledger.entry import EntryFields
from hansa.ledger.errors import RuleBroken
from hansa.ledger.fli import Regret
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
    column_count,
)
from hansa.ledger.merkle import Frontier, leaf_hash
from hansa.ledger.money import (
    PayoutApproved,
    PayoutDisputed,
    PayoutHeld,
    PayoutProposed,
    PayoutReleased,
    PayoutSettled,
    PayoutWithdrawn,
)
from hansa.ledger.roster import Roster
from hansa.ledger.states import Dataset, Job, Member, Status, Volume
from hansa.ledger.uses import Uses
from hansa.ledger.witnesses import History, Keys, Witnesses

__all__ = ["Dataset", "Job", "Member", "Standing", "Status", "Volume"]

_OF_MEMBERS = (Charter, KeeperChanged, MemberAdmitted, MemberSuspended, MemberLeft, KeyRotated, KeyRevoked)


class Standing:
    """Members, data sets, jobs and payouts as of one head of the chain.

    Attributes:
        keeper: whose receipts chain the entries from here on.
        epoch: 0 under the charter's keeper; another's is higher.
        tree: over the hashes of the entries so far.
        rosters: (size from which on, roster), a new one at every change of members or their keys.
        members: by name; those who left stay, with that status.
        holders: members' names by their present verify key.
        datasets: by (owner, name); those withdrawn are gone.
        jobs: by name.
        rounds: the newest round closed, by job.
        epochs: the newest epoch ended, by (job, who says so).
        payouts: by the index of their proposal.
        instalments: the number of the open payout after FLI, by (proposer, currency).
        fli: what instalments after FLI have left open, by (proposer, currency, party); as of the last one settled.
            Nobody's budget repays what another's has left open.
        uses: of a job's model, by job.
        revoked_keys: never to be anybody's again.
        unknown_kinds: kinds met that this version does not know; while there are any, take no new job.
    """

    __slots__ = (
        "_active",
        "_charter",
        "_fingerprint",
        "_histories",
        "_keeper",
        "_next_seq",
        "_payouts_of",
        "datasets",
        "epoch",
        "epochs",
        "fli",
        "holders",
        "instalments",
        "jobs",
        "members",
        "payouts",
        "revoked_keys",
        "rosters",
        "rounds",
        "tree",
        "unknown_kinds",
        "uses",
    )

    def __init__(self) -> None:
        self._charter: Charter | None = None
        self._fingerprint = b""
        self._keeper = ""
        self._next_seq: dict[str, int] = {}
        self._histories: dict[str, History] = {}  # of the members' keys; rosters look into it
        self._active = 0  # members
        self.epoch = 0
        self.tree = Frontier()
        self.rosters: tuple[tuple[int, Roster], ...] = ()
        self.revoked_keys: frozenset[bytes] = frozenset()
        self.members: dict[str, Member] = {}
        self.holders: dict[bytes, str] = {}
        self.datasets: dict[tuple[str, str], Dataset] = {}
        self.jobs: dict[str, Job] = {}
        self.rounds: dict[str, int] = {}
        self.epochs: dict[tuple[str, str], int] = {}
        self.payouts: dict[int, Payout] = {}
        self._payouts_of: dict[str, tuple[int, ...]] = {}  # by job; those withdrawn are gone
        self.instalments: dict[tuple[str, str], int] = {}
        self.fli: dict[tuple[str, str, str], Regret] = {}
        self.uses: dict[str, Uses] = {}
        self.unknown_kinds: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Standing({len(self.members)} members, {len(self.jobs)} jobs)"

    @property
    def founded(self) -> bool:
        """Whether there is a charter yet."""
        return self._charter is not None

    @property
    def charter(self) -> Charter:
        """The charter.

        Raises:
            RuleBroken: nothing is founded yet.
        """
        if self._charter is None:
            raise RuleBroken("the first entry must be a charter")
        return self._charter

    @property
    def keeper(self) -> PublicIdentity:
        """Who keeps the ledger now, and with which keys; RuleBroken if nothing is founded yet."""
        _ = self.charter
        return self.members[self._keeper].public

    @property
    def roster(self) -> Roster:
        """Who keeps and who witnesses as of this head; RuleBroken if nothing is founded yet."""
        _ = self.charter
        return self.rosters[-1][1]

    def roster_at(self, size: int) -> Roster:
        """Return who kept and who witnessed the ledger when it had so many entries; the charter is there from 1 on.

        Raises:
            RuleBroken: nothing was founded then.
        """
        place = bisect_right(self.rosters, size, key=lambda each: each[0])
        if not place:
            raise RuleBroken(f"nobody keeps a ledger of {size} entries")
        return self.rosters[place - 1][1]

    def roster_of(self, epoch: int) -> Roster | None:
        """Return who kept and who witnessed the ledger as an epoch ended, or now; None: no such epoch."""
        place = bisect_right(self.rosters, epoch, key=lambda each: each[1].epoch)
        found = self.rosters[place - 1][1] if place else None
        return found if found is not None and found.epoch == epoch else None

    def keeper_of(self, epoch: int) -> PublicIdentity | None:
        """Return who kept the ledger in an epoch, or None."""
        roster = self.roster_of(epoch)
        return None if roster is None else roster.keeper

    def head_checkpoint(self) -> Checkpoint:
        """Return this head as its keeper signs it; RuleBroken if nothing is founded yet."""
        return Checkpoint(
            self.charter.federation,
            self._fingerprint,
            self.tree.size,
            self.tree.root,
            self.epoch,
            self.keeper.name,
        )

    def copy(self) -> "Standing":
        """Return an independent standing; the values are frozen and shared."""
        twin = Standing()
        twin._charter = self._charter
        twin._fingerprint = self._fingerprint
        twin._keeper = self._keeper
        twin.epoch = self.epoch
        twin.tree = self.tree
        twin.rosters = self.rosters
        twin._next_seq = self._next_seq.copy()
        twin._histories = self._histories.copy()
        twin._active = self._active
        twin.revoked_keys = self.revoked_keys
        twin.members = self.members.copy()
        twin.holders = self.holders.copy()
        twin.datasets = self.datasets.copy()
        twin.jobs = self.jobs.copy()
        twin.rounds = self.rounds.copy()
        twin.epochs = self.epochs.copy()
        twin.payouts = self.payouts.copy()
        twin._payouts_of = self._payouts_of.copy()
        twin.instalments = self.instalments.copy()
        twin.fli = self.fli.copy()
        twin.uses = self.uses.copy()
        twin.unknown_kinds = self.unknown_kinds
        return twin

    def next_author_seq(self, author: str) -> int:
        """Return the least number that this author's next entry may bear."""
        return self._next_seq.get(author, 0)

    def payouts_of(self, job: str) -> Iterator[tuple[int, Payout]]:
        """Yield a job's payouts with their numbers, in order, without those withdrawn."""
        for number in self._payouts_of.get(job, ()):
            yield number, self.payouts[number]

    def costs_of(self, job: str, currency: str) -> Mapping[str, Fraction]:
        """Return what a job's next instalment after FLI counts as costs: those agreed, in the first one only.

        Args:
            currency: of the instalment.

        Returns:
            By party, in minor units; empty if there is nothing to count.
        """
        if any(each.status == "settled" and each.scheme == "fli" for _, each in self.payouts_of(job)):
            return {}
        return costs_of(self.jobs[job], currency)

    def apply(self, index: int, digest: bytes, fields: EntryFields, body: Body | UnknownBody) -> None:
        """Take in the next entry, which the rules allow.

        Args:
            digest: (32,) hash of the entry in its place.
        """
        if not self.founded:
            self._fingerprint = digest
        self.tree, _ = self.tree.append(leaf_hash(digest))
        self._take_in(index, digest, fields, body)
        if isinstance(body, JobFinished | ContributionMeasured):
            self.jobs[body.job] = replace(self.jobs[body.job], rests_at=index, rests_on=digest)
        if isinstance(body, _OF_MEMBERS):
            if not isinstance(body, KeeperChanged):
                self._note_keys(index + 1, body.keeper.name if isinstance(body, Charter) else body.name)
            self.rosters = (*self.rosters, (index + 1, self._roster(index + 1)))

    def _note_keys(self, size: int, name: str) -> None:
        """Note whether a member is active from this size on, and under which keys."""
        member, history = self.members[name], self._histories.get(name, ())
        keys: Keys = ()
        if member.status == "active":
            keys = (member.public,) if member.former is None else (member.public, member.former)
        self._active += bool(keys) - bool(history and history[-1][1])
        self._histories[name] = (*history, (size, keys))

    def _roster(self, size: int) -> Roster:
        charter = self.charter
        witnesses = Witnesses(self._histories, size, self._keeper, self._active - 1)
        origin = self.head_checkpoint().origin
        # Of two members, whichever does not keep the ledger is the other's successor.
        successor = charter.keeper.name if self._keeper == charter.successor else charter.successor
        return Roster(origin, self.epoch, self.keeper, witnesses, charter.cosigners, successor)

    def _take_in(self, index: int, digest: bytes, fields: EntryFields, body: Body | UnknownBody) -> None:
        author = fields.author
        self._next_seq[author] = fields.author_seq + 1
        match body:
            case Charter():
                self._charter = body
                self._keeper = body.keeper.name
                self._seat(Member(body.keeper, body.organisation, "active", index, index))
            case MemberAdmitted():
                self._seat(Member(body.public, body.organisation, "active", index, index))
            case MemberSuspended(name):
                self.members[name] = replace(self.members[name], status="suspended", status_at=index)
            case MemberLeft(name):
                self.members[name] = replace(self.members[name], status="left", status_at=index)
            case KeyRotated(name):
                member = self.members[name]
                self._seat(
                    replace(member, public=body.public, former=member.public, rotated_ms=fields.time_ms)
                )
            case KeyRevoked(name):
                self.revoked_keys |= {body.verify_key}
                member = self.members[name]
                if member.former is not None and member.former.verify_key == body.verify_key:
                    self.members[name] = replace(member, former=None)
                else:
                    self.members[name] = replace(member, status="revoked", status_at=index)
            case KeeperChanged():
                self._keeper = author
                self.epoch = read_head(body.certificate).epoch
            case DatasetRegistered(dataset):
                self.datasets[author, dataset] = Dataset(
                    author, body.rows, body.columns, body.target, index, commitment=body.commitment
                )
            case DatasetWithdrawn(dataset):
                del self.datasets[author, dataset]
            case RowsWithdrawn(dataset, leaves):
                self._withdraw(author, dataset, leaves)
            case JobProposed(job):
                self.jobs[job] = Job(
                    author,
                    body.protocol,
                    body.model,
                    body.dataset,
                    body.parties,
                    body.quorum,
                    body.specification,
                    proposed_at=index,
                    settings=body.settings,
                    withdrawn=self._inherited(body),
                    volumes=self._volumes(body),
                    appraisal=Appraisal.begun(body.settings),
                )
            case JobAccepted(job):
                found = self.jobs[job]
                draws = {**found.draws, author: body.draw} if body.draw else found.draws
                self.jobs[job] = replace(found, accepted=(*found.accepted, author), draws=draws)
            case JobRefused(job):
                self.jobs[job] = replace(self.jobs[job], refused=(*self.jobs[job].refused, author))
            case JobStarted(job, parties):
                self.jobs[job] = replace(self.jobs[job], started=parties)
            case CoalitionsValued(job):
                self._appraise(body)
            case JobFinished(job):
                self.jobs[job] = replace(self.jobs[job], status="finished", model_digest=body.model_digest)
            case JobAborted(job):
                self.jobs[job] = replace(self.jobs[job], status="aborted")
            case RoundClosed(job):
                self.rounds[job] = body.round
                open_job = self.jobs[job]
                if open_job.appraisal is not None:
                    self.jobs[job] = replace(open_job, appraisal=open_job.appraisal.closed(body))
            case EpochEnded(job):
                self.epochs[job, author] = body.epoch
            case ContributionMeasured(job):
                self.jobs[job] = replace(self.jobs[job], method=body.method, shares=body.shares)
            case PayoutProposed(job):
                self.payouts[index] = Payout.proposed(author, body, sha256(fields.body).digest())
                self._payouts_of[job] = (*self._payouts_of.get(job, ()), index)
                if body.scheme == "fli":
                    self.instalments[author, body.currency] = index
            case PayoutApproved() | PayoutHeld() | PayoutDisputed() | PayoutReleased():
                self.payouts[body.payout] = followed(self.payouts[body.payout], author, body)
            case PayoutWithdrawn() | PayoutSettled():
                self._close(author, body)
            case ModelUsed(job):
                self.uses[job] = self.uses.get(job, Uses()).after(index, digest, body.rows)
            case ModelEvaluated() | PartiesOverdue() | DistortionFound() | RowsAligned():
                pass  # read from the entries by whoever reports or pays
            case UnknownBody(kind):
                self.unknown_kinds |= {kind}

    def _seat(self, member: Member) -> None:
        """Have a member with these keys in the place of what its name stood for before."""
        name = member.public.name
        if name in self.members:
            del self.holders[self.members[name].public.verify_key]
        self.members[name] = member
        self.holders[member.public.verify_key] = name

    def _volumes(self, body: JobProposed) -> Mapping[str, Volume]:
        """Return what the parties have registered of the data that a job is about."""
        held = {party: self.datasets.get((party, body.dataset)) for party in body.parties}
        return {
            party: Volume(found.usable, column_count(found.columns))
            for party, found in held.items()
            if found is not None
        }

    def _appraise(self, body: CoalitionsValued) -> None:
        job = self.jobs[body.job]
        assert job.appraisal is not None  # the rules see to it
        self.jobs[body.job] = replace(job, appraisal=job.appraisal.after(body, job.started, job.draws))

    def _close(self, author: str, body: PayoutWithdrawn | PayoutSettled) -> None:
        """Take a payout off those that are open; an instalment that is settled lessens regrets."""
        number, payout = body.payout, self.payouts[body.payout]
        if payout.scheme == "fli":
            del self.instalments[payout.proposer, payout.currency]
        if isinstance(body, PayoutWithdrawn):
            rest = tuple(each for each in self._payouts_of[payout.job] if each != number)
            self._payouts_of[payout.job] = rest
        elif payout.scheme == "fli":
            self._regret(payout)
        self.payouts[number] = followed(payout, author, body)

    def _regret(self, payout: Payout) -> None:
        costs = self.costs_of(payout.job, payout.currency)
        for party, amount in payout.amounts.items():
            place = payout.proposer, payout.currency, party
            self.fli[place] = self.fli.get(place, Regret()).after(costs.get(party, Fraction(0)), amount)

    def _inherited(self, body: JobProposed) -> Mapping[str, int]:
        """Return what was withdrawn of the data behind the model that a job starts from, if it does."""
        before = self.jobs.get(str(body.settings.get("protocol.start_job", "")))
        return {} if before is None else before.withdrawn

    def _withdraw(self, owner: str, dataset: str, leaves: tuple[int, ...]) -> None:
        """Note rows as withdrawn, and mark the models they may have been used for: all of these data."""
        found = self.datasets[owner, dataset]
        self.datasets[owner, dataset] = replace(found, withdrawn=found.withdrawn.union(leaves))
        for name, job in self.jobs.items():
            if job.dataset == dataset and owner in job.accepted and job.proposed_at > found.registered_at:
                count = job.withdrawn.get(owner, 0) + len(leaves)
                self.jobs[name] = replace(job, withdrawn={**job.withdrawn, owner: count})
