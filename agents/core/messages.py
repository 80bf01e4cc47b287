"""What agents say to each other besides a protocol's own messages: ledger traffic and jobs."""

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from hansa.broker import encode, to_plain

Setting = str | int | float | bool

MOST_ITEMS = 4_096  # parties, classes, or settings of one job
TEXT_CHARS = 200
OWN_SESSIONS = frozenset({"ledger", "transfer"})  # never a job's: its end would have their numbers forgotten


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job as proposed: everything a party needs to decide, and to take part.

    Args:
        job: its name in the federation, `[a-z0-9-]{1,40}`, used once.
        protocol: a name in `hansa.protocols.PROTOCOLS`.
        model: a name in the entry points `hansa.models`.
        dataset: the name under which every party has registered its rows.
        parties: invited agents, sorted.
        classes: the labels in the model's order; empty for a regression.
        features: columns that the model sees.
        hyperparameters: the model's own.
        settings: the protocol's own.
        minimum_parties: how many must accept.
        consent_s: how long to wait for their answers.
        seed: of everything random but secret in this job.
        contribution: how contributions are measured, `hansa.ledger.contribution.chosen`: method, utility,
            validation and the method's own settings; empty: by volume.
        payout: what was agreed on money, `hansa.ledger.terms`; empty: nothing.
    """

    job: str
    protocol: str
    model: str
    dataset: str
    parties: tuple[str, ...]
    classes: tuple[str, ...]
    features: int
    hyperparameters: dict[str, Setting]
    settings: dict[str, Setting]
    minimum_parties: int
    consent_s: float
    seed: int
    contribution: dict[str, Setting] = field(default_factory=dict)
    payout: dict[str, Setting] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Bound what a peer can make us store and repeat; whether the job makes sense is the policy's question."""
        texts: tuple[str, ...] = (
            self.job,
            self.dataset,
            *self.parties,
            self.protocol,
            self.model,
            *self.classes,
            *self.hyperparameters,
            *self.settings,
            *self.contribution,
            *self.payout,
        )
        values = (
            *self.hyperparameters.values(),
            *self.settings.values(),
            *self.contribution.values(),
            *self.payout.values(),
        )
        texts = (*texts, *(value for value in values if isinstance(value, str)))
        numbers: tuple[int, ...] = (self.features, self.minimum_parties, self.seed)
        numbers = (*numbers, *(value for value in values if isinstance(value, int)))
        if max(len(self.parties), len(self.classes), len(values)) > MOST_ITEMS:
            raise ValueError(f"a job has at most {MOST_ITEMS} parties, classes or settings")
        if any(len(text) > TEXT_CHARS for text in texts):
            raise ValueError(f"the texts of a job have at most {TEXT_CHARS} characters")
        if any(abs(number) >= 2**63 for number in numbers):
            raise ValueError("the whole numbers of a job lie within ±2^63")


def spec_digest(spec: JobSpec) -> bytes:
    """Return the (32,) digest of a job as offered; the ledger's proposal carries it."""
    return hashlib.sha256(b"hansa-job-v1" + encode(to_plain(spec))).digest()


@dataclass(frozen=True, slots=True)
class JobOffer:
    """Coordinator to each invited party."""

    spec: JobSpec


@dataclass(frozen=True, slots=True)
class JobAnswer:
    """Party to coordinator: yes, or no and why."""

    accepted: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class JobStart:
    """Coordinator to the accepted parties: these take part."""

    parties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JobLeft:
    """Party to coordinator: I can't go on, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class JobAbort:
    """Coordinator to everyone in the job: it is over without a model, and why."""

    reason: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobFinish:
    """Coordinator to everyone in the job: it is over, and the ledger has it."""

    model_digest: bytes


@dataclass(frozen=True, slots=True)
class SignedRow:
    """An author's entry on its way to the keeper."""

    signed: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class LedgerAppend:
    """Author to keeper: please chain these."""

    rows: tuple[SignedRow, ...]


@dataclass(frozen=True, slots=True)
class ChainedRow:
    """An entry of the chain on its way to a replica."""

    index: int
    previous: bytes
    signed: bytes
    signature: bytes
    hash: bytes
    receipt: bytes


@dataclass(frozen=True, slots=True)
class LedgerEntries:
    """Keeper to member: what the chain has gained. Member to a restored keeper: what it has forgotten."""

    rows: tuple[ChainedRow, ...]


@dataclass(frozen=True, slots=True)
class LedgerRefused:
    """Keeper to author: this entry is not going on the chain, and why."""

    author_seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class LedgerFetch:
    """I have the chain up to here; send what follows, and say when that is all.

    From a member to the keeper, or from a keeper that was restored from a backup to its members.
    """

    start: int


@dataclass(frozen=True, slots=True)
class JoinAnswer:
    """Keeper to whoever asks to join.

    Args:
        nonce: (32,) of the request that is answered.
        verdict: "waiting": for a person at the keeper.
        reason: of a refusal.
        password: of the member's own user at the broker, if it is admitted.
        again: the name was a member's before, so that its streams don't begin at 0.
    """

    nonce: bytes
    verdict: Literal["admitted", "refused", "waiting"]
    reason: str = ""
    password: str = field(default="", repr=False)
    again: bool = False


@dataclass(frozen=True, slots=True)
class LedgerHeld:
    """Answer to a fetch, after the entries: these were all; I hold so many."""

    size: int


@dataclass(frozen=True, slots=True)
class CosignAsked:
    """Keeper to each witness: this is the newest head; please put your name to it. A sign of life, too."""

    note: bytes


@dataclass(frozen=True, slots=True)
class HeadTold:
    """Anybody to anybody: the newest head I know, with the names that I have seen under it.

    A witness answers the keeper with it, its own name under the note; the keeper tells all when a head is final;
    and witnesses tell each other what the keeper shows them, so that two histories come out.

    Args:
        note: b"" if none is known.
        purpose: "asked": tell me in return the newest that you know with my name; "answered": that is this one.
    """

    note: bytes
    purpose: Literal["told", "asked", "answered"] = "told"


@dataclass(frozen=True, slots=True)
class CosignDeclined:
    """Witness to keeper: I won't, and why.

    Args:
        epoch: the newest that I am pledged to.
    """

    size: int
    epoch: int
    reason: str


@dataclass(frozen=True, slots=True)
class ForkTold:
    """Anybody to anybody: the proof that a keeper has signed two histories (`hansa.ledger.evidence`)."""

    evidence: bytes


@dataclass(frozen=True, slots=True)
class SuccessionAsked:
    """Who wants to keep the ledger, to each witness: what do you hold beyond my head?"""

    epoch: int
    size: int
    reason: str


@dataclass(frozen=True, slots=True)
class SuccessionHeld:
    """Witness to the candidate, after the entries it lacked: I hold so many, and am pledged to this epoch."""

    epoch: int
    size: int


@dataclass(frozen=True, slots=True)
class SuccessionProposed:
    """The candidate to each witness: the head at which I take over, in the new epoch, signed by me."""

    note: bytes


@dataclass(frozen=True, slots=True)
class SuccessionAnswered:
    """Witness to the candidate: the note with my name under it, or why not, or that a person here is to decide."""

    epoch: int
    verdict: Literal["agreed", "refused", "undecided"]
    note: bytes = b""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ChunkCredit:
    """Receiver to sender of a large array: this many chunks are safe on my disk."""

    blob_id: bytes
    received: int = field(default=0)
