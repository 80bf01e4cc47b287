"""What can be said on the ledger? One frozen class per kind of entry.

A class says what its fields may hold by themselves: names, lengths, digests, ranges. Who may write it, and
when, is for `rules`. Kinds are named as strings on the chain; an entry of a kind or schema that this version
does not know is verified and kept as `UnknownBody`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, TypeAlias

from hansa.broker.codec import decode
from hansa.broker.errors import Refused
from hansa.broker.identity import PublicIdentity, check_name
from hansa.broker.records import from_plain
from hansa.ledger.errors import MalformedEntry

SCHEMA = 1  # of every kind below
REASON_CHARS = 500  # free text: reasons, purposes, references
LABEL_CHARS = 200  # what people and libraries name: organisations, columns, models, metrics
DIGEST_BYTES = 32
MAX_MINOR = 2**53  # money, in minor units: exact in every language that may recompute it

Setting = str | int | float | bool


# --- the federation -------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Charter:
    """Found a federation: entry 0, signed by the keeper it names; its hash is the federation's fingerprint.

    Attributes:
        quorum: how many parties a job needs at least.
        admission: who lets members in.
    """

    federation: str
    keeper: PublicIdentity
    organisation: str = ""
    purpose: str = ""
    quorum: int = 2
    admission: Literal["keeper"] = "keeper"

    def __post_init__(self) -> None:
        check_name(self.federation)
        _text("organisation", self.organisation, LABEL_CHARS)
        _text("purpose", self.purpose, REASON_CHARS)
        _at_least("quorum", self.quorum, 1)


@dataclass(frozen=True, slots=True)
class MemberAdmitted:
    """Keeper: this organisation's agent takes part from here on, with these keys; also reinstates."""

    name: str
    verify_key: bytes
    seal_key: bytes
    organisation: str = ""

    def __post_init__(self) -> None:
        _text("organisation", self.organisation, LABEL_CHARS)
        _ = self.public

    @property
    def public(self) -> PublicIdentity:
        """The member's name and keys."""
        return PublicIdentity(self.name, self.verify_key, self.seal_key)


@dataclass(frozen=True, slots=True)
class MemberSuspended:
    """Keeper: this member may not speak until it is admitted again."""

    name: str
    reason: str

    def __post_init__(self) -> None:
        check_name(self.name)
        _text("reason", self.reason, REASON_CHARS)


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """Member: we take part no longer."""

    name: str

    def __post_init__(self) -> None:
        check_name(self.name)


@dataclass(frozen=True, slots=True)
class KeyRotated:
    """Member: our later entries bear these keys."""

    name: str
    verify_key: bytes
    seal_key: bytes

    def __post_init__(self) -> None:
        _ = self.public

    @property
    def public(self) -> PublicIdentity:
        """The member's name and new keys."""
        return PublicIdentity(self.name, self.verify_key, self.seal_key)


@dataclass(frozen=True, slots=True)
class KeyRevoked:
    """Member or keeper: nothing signed with this key counts from here on."""

    name: str
    verify_key: bytes
    reason: str

    def __post_init__(self) -> None:
        check_name(self.name)
        _digest("verify_key", self.verify_key)
        _text("reason", self.reason, REASON_CHARS)


# --- data sets ------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class DatasetRegistered:
    """Member: we hold data of this shape; never the rows themselves.

    Attributes:
        columns: names of the features, in the model's order.
        target: name of the label's column, if the data has one.
        commitment: (32,) salted digest of the rows, to be opened in a dispute.
    """

    dataset: str
    rows: int
    columns: tuple[str, ...]
    target: str | None
    commitment: bytes

    def __post_init__(self) -> None:
        check_name(self.dataset)
        _at_least("rows", self.rows, 0)
        for column in self.columns:
            _text("columns", column, LABEL_CHARS)
        _text("target", self.target or "", LABEL_CHARS)
        _digest("commitment", self.commitment)


@dataclass(frozen=True, slots=True)
class DatasetWithdrawn:
    """Member: these data serve no later job."""

    dataset: str
    reason: str

    def __post_init__(self) -> None:
        check_name(self.dataset)
        _text("reason", self.reason, REASON_CHARS)


# --- jobs -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class JobProposed:
    """Coordinator: let these parties train this model; the author coordinates.

    Attributes:
        settings: hyperparameters of the model and settings of the protocol.
        dataset: the name under which each party has registered its rows.
        quorum: how many parties must accept.
        deadline_s: how long the answers may take, seconds.
        specification: (32,) digest of all that the parties are offered; they consent to that and nothing else.
    """

    job: str
    protocol: str
    model: str
    settings: dict[str, Setting]
    parties: tuple[str, ...]
    dataset: str
    quorum: int
    deadline_s: float
    specification: bytes

    def __post_init__(self) -> None:
        check_name(self.job)
        check_name(self.dataset)
        _digest("specification", self.specification)
        _text("protocol", self.protocol, LABEL_CHARS)
        _text("model", self.model, LABEL_CHARS)
        for key, value in self.settings.items():
            _text("settings", key, LABEL_CHARS)
            if isinstance(value, str):
                _text(f"settings.{key}", value, REASON_CHARS)
        _names("parties", self.parties)
        if not 1 <= self.quorum <= len(self.parties):
            raise ValueError(f"quorum: expected 1 … {len(self.parties)} of the parties, got {self.quorum}")
        if not self.deadline_s > 0:
            raise ValueError(f"deadline_s: expected a duration > 0, got {self.deadline_s}")


@dataclass(frozen=True, slots=True)
class JobAccepted:
    """Party: we consent."""

    job: str

    def __post_init__(self) -> None:
        check_name(self.job)


@dataclass(frozen=True, slots=True)
class JobRefused:
    """Party: we don't, and why."""

    job: str
    reason: str

    def __post_init__(self) -> None:
        check_name(self.job)
        _text("reason", self.reason, REASON_CHARS)


@dataclass(frozen=True, slots=True)
class JobFinished:
    """Coordinator: there is a model, and this is how good it is."""

    job: str
    model_digest: bytes
    loss: float
    score: float
    metric: str
    rounds: int

    def __post_init__(self) -> None:
        check_name(self.job)
        _digest("model_digest", self.model_digest)
        _scored(self.loss, self.score, self.metric)
        _at_least("rounds", self.rounds, 0)


@dataclass(frozen=True, slots=True)
class JobAborted:
    """Coordinator: there is no model, why, and who was missing."""

    job: str
    reason: str
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.job)
        _text("reason", self.reason, REASON_CHARS)
        _names("missing", self.missing)


@dataclass(frozen=True, slots=True)
class RoundClosed:
    """Coordinator: this round's model, and whose updates are in it.

    Attributes:
        missing: parties of the job that did not answer in time.
    """

    job: str
    round: int
    model_digest: bytes
    participants: tuple[str, ...]
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.job)
        _at_least("round", self.round, 0)
        _digest("model_digest", self.model_digest)
        _names("participants", self.participants)
        _names("missing", self.missing)


@dataclass(frozen=True, slots=True)
class ContributionMeasured:
    """Coordinator: what each party brought in, as integer weights (rows, say); a later one replaces it."""

    job: str
    method: str
    shares: dict[str, int]

    def __post_init__(self) -> None:
        check_name(self.job)
        _text("method", self.method, LABEL_CHARS)
        _names("shares", self.shares)
        for party, weight in self.shares.items():
            _at_least(f"shares.{party}", weight, 0)


@dataclass(frozen=True, slots=True)
class ModelEvaluated:
    """Coordinator: how good a model is on so many rows it was not trained on."""

    job: str
    round: int
    model_digest: bytes
    loss: float
    score: float
    metric: str
    rows: int

    def __post_init__(self) -> None:
        check_name(self.job)
        _at_least("round", self.round, 0)
        _digest("model_digest", self.model_digest)
        _scored(self.loss, self.score, self.metric)
        _at_least("rows", self.rows, 0)


@dataclass(frozen=True, slots=True)
class ModelUsed:
    """Anyone in the job: its model has scored so many rows, to this end."""

    job: str
    rows: int
    purpose: str = ""

    def __post_init__(self) -> None:
        check_name(self.job)
        _at_least("rows", self.rows, 1)
        _text("purpose", self.purpose, REASON_CHARS)


# --- money ----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class PayoutProposed:
    """Coordinator: this pot, split like this; the entry's index is the payout's number.

    Attributes:
        currency: ISO 4217, "EUR".
        pot_minor: the whole, in minor units (cents).
        amounts: by party, in minor units; they sum to the pot.
    """

    job: str
    currency: str
    pot_minor: int
    amounts: dict[str, int]

    def __post_init__(self) -> None:
        check_name(self.job)
        if not (len(self.currency) == 3 and self.currency.isascii() and self.currency.isupper()):
            raise ValueError(f"currency: expected three capitals (ISO 4217), got {self.currency!r:.40}")
        _names("amounts", self.amounts)
        for party, amount in self.amounts.items():
            _at_least(f"amounts.{party}", amount, 0)
        if not 0 < self.pot_minor <= MAX_MINOR:
            raise ValueError(f"pot_minor: expected 1 … 2^53, got {self.pot_minor}")
        if sum(self.amounts.values()) != self.pot_minor:
            raise ValueError(f"amounts: sum to {sum(self.amounts.values())}, the pot is {self.pot_minor}")


@dataclass(frozen=True, slots=True)
class PayoutApproved:
    """Payee: we agree to the payout proposed in this entry."""

    payout: int

    def __post_init__(self) -> None:
        _at_least("payout", self.payout, 0)


@dataclass(frozen=True, slots=True)
class PayoutSettled:
    """Proposer: the money has moved; the reference is the bank's or the books'."""

    payout: int
    reference: str

    def __post_init__(self) -> None:
        _at_least("payout", self.payout, 0)
        _text("reference", self.reference, REASON_CHARS)


@dataclass(frozen=True, slots=True)
class UnknownBody:
    """Written by a later version of hansa; kept, not understood.

    Attributes:
        raw: the encoded body.
    """

    kind: str
    schema: int
    raw: bytes = field(repr=False)


Body: TypeAlias = (
    Charter
    | MemberAdmitted
    | MemberSuspended
    | MemberLeft
    | KeyRotated
    | KeyRevoked
    | DatasetRegistered
    | DatasetWithdrawn
    | JobProposed
    | JobAccepted
    | JobRefused
    | JobFinished
    | JobAborted
    | RoundClosed
    | ContributionMeasured
    | ModelEvaluated
    | ModelUsed
    | PayoutProposed
    | PayoutApproved
    | PayoutSettled
)
KINDS: dict[str, type[Body]] = {
    "charter": Charter,
    "member-admitted": MemberAdmitted,
    "member-suspended": MemberSuspended,
    "member-left": MemberLeft,
    "key-rotated": KeyRotated,
    "key-revoked": KeyRevoked,
    "dataset-registered": DatasetRegistered,
    "dataset-withdrawn": DatasetWithdrawn,
    "job-proposed": JobProposed,
    "job-accepted": JobAccepted,
    "job-refused": JobRefused,
    "job-finished": JobFinished,
    "job-aborted": JobAborted,
    "round-closed": RoundClosed,
    "contribution-measured": ContributionMeasured,
    "model-evaluated": ModelEvaluated,
    "model-used": ModelUsed,
    "payout-proposed": PayoutProposed,
    "payout-approved": PayoutApproved,
    "payout-settled": PayoutSettled,
}
_KIND_OF: dict[type, str] = {body: kind for kind, body in KINDS.items()}


def kind_of(body: Body | UnknownBody) -> str:
    """Return the name that the body's kind has on the chain."""
    return body.kind if isinstance(body, UnknownBody) else _KIND_OF[type(body)]


def decode_body(kind: str, schema: int, raw: bytes) -> Body | UnknownBody:
    """Read an entry's body.

    Raises:
        MalformedEntry: not a body of this kind; names the field.
    """
    known = KINDS.get(kind)
    if known is None or schema != SCHEMA:
        return UnknownBody(kind, schema, raw)
    try:
        return from_plain(known, decode(raw))
    except Refused as error:
        raise MalformedEntry(f"{kind} body: {error}") from None


# --- what a field may hold ------------------------------------------------------------------------------
def _text(name: str, value: str, limit: int) -> None:
    if len(value) > limit:
        raise ValueError(f"{name}: expected at most {limit} characters, got {len(value)}")


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, got {value}")


def _digest(name: str, value: bytes) -> None:
    if len(value) != DIGEST_BYTES:
        raise ValueError(f"{name}: expected {DIGEST_BYTES} bytes, got {len(value)}")


def _names(name: str, values: Iterable[str]) -> None:
    listed = tuple(values)
    for value in listed:
        check_name(value)
    if len(set(listed)) != len(listed):
        raise ValueError(f"{name}: somebody is named twice")


def _scored(loss: float, score: float, metric: str) -> None:
    if not (isfinite(loss) and isfinite(score)):
        raise ValueError(f"expected a finite loss and score, got {loss} and {score}")
    _text("metric", metric, LABEL_CHARS)
