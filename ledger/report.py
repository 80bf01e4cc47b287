"""What did an audit find? Plain values, to be printed, shown as a page, or sent as JSON.

Texts are for people and hold what authors wrote: whoever shows them must escape them for where they are shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Subject = Literal[
    "file",
    "charter",
    "entries",
    "signatures",
    "receipts",
    "tree",
    "checkpoints",
    "keepers",
    "contributions",
    "payouts",
    "evidence",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that holds, or doesn't.

    Attributes:
        text: a sentence or two in plain words; of what does not hold, with what was expected and found.
        index: the entry it is about, if it is about one.
        concern: it holds, but whoever pays by it should read this (entries that are not final yet, say).
    """

    subject: Subject
    holds: bool
    text: str
    index: int | None = None
    concern: bool = False


@dataclass(frozen=True, slots=True)
class MemberLine:
    """A member as of the end.

    Attributes:
        fingerprint: of its keys, 64 hex digits: what two people compare.
        entries: how many it wrote.
        datasets: by name, rows registered and of them withdrawn.
    """

    name: str
    organisation: str
    status: str
    fingerprint: str
    admitted_at: int
    entries: int
    datasets: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Point:
    """How good a job's model was after one round or epoch; what the job does not tell is None."""

    step: int
    loss: float | None
    score: float | None
    time_ms: int


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job as of the end.

    Attributes:
        proposed_at, ended_at: indices of entries.
        metric: what `score` is.
        points: by step, at most `audit.MOST_POINTS`, evenly thinned.
        shares: measured weights by party, and by which `method`.
        uses: rows that its model has scored since.
        withdrawn: rows by party, withdrawn since it may have used them.
        contributions: by party, as they follow from the values of coalitions, in the utility's unit; a negative one
            has a share of 0. Empty where contributions are volumes.
        errors: by party, the standard error of its contribution over what was drawn; 0 of an exact method.
        gain: what everybody together has made the model worth more; the contributions of an efficient method sum
            to it. None where nothing was valued.
        evaluations: how many coalitions were valued.
        utility: what a model is worth: its "score", or its "loss" with the sign turned; "" where nothing was
            valued.
    """

    name: str
    protocol: str
    coordinator: str
    parties: tuple[str, ...]
    status: str
    proposed_at: int
    ended_at: int | None
    metric: str
    points: tuple[Point, ...]
    method: str
    shares: Mapping[str, int]
    uses: int
    withdrawn: Mapping[str, int]
    model_digest: str = ""
    reason: str = ""
    contributions: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    gain: float | None = None
    evaluations: int = 0
    utility: str = ""


@dataclass(frozen=True, slots=True)
class PayoutLine:
    """A payout as of the end; its amounts are those that the audit has computed itself.

    Attributes:
        number: index of its proposal.
        basis: for the "training", or for "uses" of the model.
        scheme: "weights", or "fli".
        minor_digits: decimal places of the currency: an amount of 1234 with 2 is 12.34.
        pot_minor, amounts: in minor units; by party, in the order of their names.
        proposed_ms, settled_ms: the authors' times, since 1970 UTC; None of what is not settled.
        approved: by whom, in their order.
        needed: how many must approve it.
        held, disputed: by whom, and why; without those who have released it since.
        status: "open", "settled" or "withdrawn".
        waiting: why an open one can't be settled yet, each a short phrase.
        reference: of the settlement.
        since, until: of uses, indices of the first entry and the last; else None.
        rows: that those uses have scored; 0 of a training.
    """

    number: int
    job: str
    basis: str
    scheme: str
    currency: str
    minor_digits: int
    pot_minor: int
    amounts: Mapping[str, int]
    proposer: str
    proposed_ms: int
    approved: tuple[str, ...] = ()
    needed: int = 0
    held: Mapping[str, str] = field(default_factory=dict)
    disputed: Mapping[str, str] = field(default_factory=dict)
    status: str = "open"
    waiting: tuple[str, ...] = ()
    settled_ms: int | None = None
    reference: str = ""
    since: int | None = None
    until: int | None = None
    rows: int = 0


@dataclass(frozen=True, slots=True)
class CheckpointLine:
    """A signed head, and who put their names to it.

    Attributes:
        root: 64 hex digits.
        cosigners: by member, when, seconds since 1970 UTC, by its own clock.
        needed: how many make it final.
        valid: the keeper's signature, the root and all cosignatures are as they should be.
    """

    size: int
    epoch: int
    keeper: str
    root: str
    cosigners: Mapping[str, int]
    needed: int
    valid: bool

    @property
    def final(self) -> bool:
        """Whether enough members have put their names to it."""
        return self.valid and len(self.cosigners) >= self.needed


@dataclass(frozen=True, slots=True)
class Tick:
    """How many entries of each kind bear a time in one slice of the ledger's life."""

    start_ms: int
    stop_ms: int
    kinds: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class AuditReport:
    """All that an audit found.

    Attributes:
        source: the file's name, without its folder.
        fingerprint: of the charter, 64 hex digits; "" if there is none to be read.
        pinned: whether the auditor brought the fingerprint along.
        size: entries that hold together, from the first on.
        root, head: 64 hex digits, of the tree over them and of the last one.
        final_size: entries under the newest final checkpoint.
        first_ms, last_ms: the authors' times of the first and the last entry; 0 of none.
        findings: in the order in which the checks were made.
        timeline: at most `audit.MOST_TICKS` slices.
        payouts: in the order of their proposals.
    """

    source: str
    federation: str
    purpose: str
    fingerprint: str
    pinned: bool
    size: int
    root: str
    head: str
    epoch: int
    keeper: str
    final_size: int
    first_ms: int
    last_ms: int
    findings: tuple[Finding, ...]
    members: tuple[MemberLine, ...] = ()
    jobs: tuple[JobLine, ...] = ()
    checkpoints: tuple[CheckpointLine, ...] = ()
    timeline: tuple[Tick, ...] = ()
    payouts: tuple[PayoutLine, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing was found that does not hold."""
        return all(finding.holds for finding in self.findings)
