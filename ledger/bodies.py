"""What can be said on the ledger? One frozen class per kind of entry: in `membership`, `jobs` and `money`.

A class says what its fields may hold by themselves: names, lengths, digests, ranges. Who may write it, and
when, is for `rules`. Kinds are named as strings on the chain; an entry of a kind or schema that this version
does not know is verified and kept as `UnknownBody`.
"""

from dataclasses import dataclass, field, fields
from typing import TypeAlias

from hansa.broker.codec import Plain, decode
from hansa.broker.errors import Refused
from hansa.broker.records import from_plain, to_plain
from hansa.ledger.errors import MalformedEntry
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
    | KeeperChanged
    | DatasetRegistered
    | DatasetWithdrawn
    | RowsWithdrawn
    | JobProposed
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
    | EpochEnded
    | PartiesOverdue
    | DistortionFound
    | RowsAligned
    | PayoutProposed
    | PayoutApproved
    | PayoutHeld
    | PayoutDisputed
    | PayoutReleased
    | PayoutWithdrawn
    | PayoutSettled
)
KINDS: dict[str, type[Body]] = {
    "charter": Charter,
    "member-admitted": MemberAdmitted,
    "member-suspended": MemberSuspended,
    "member-left": MemberLeft,
    "key-rotated": KeyRotated,
    "key-revoked": KeyRevoked,
    "keeper-changed": KeeperChanged,
    "dataset-registered": DatasetRegistered,
    "dataset-withdrawn": DatasetWithdrawn,
    "rows-withdrawn": RowsWithdrawn,
    "job-proposed": JobProposed,
    "job-accepted": JobAccepted,
    "job-refused": JobRefused,
    "job-started": JobStarted,
    "job-finished": JobFinished,
    "job-aborted": JobAborted,
    "round-closed": RoundClosed,
    "coalitions-valued": CoalitionsValued,
    "contribution-measured": ContributionMeasured,
    "model-evaluated": ModelEvaluated,
    "model-used": ModelUsed,
    "epoch-ended": EpochEnded,
    "parties-overdue": PartiesOverdue,
    "distortion-found": DistortionFound,
    "rows-aligned": RowsAligned,
    "payout-proposed": PayoutProposed,
    "payout-approved": PayoutApproved,
    "payout-held": PayoutHeld,
    "payout-disputed": PayoutDisputed,
    "payout-released": PayoutReleased,
    "payout-withdrawn": PayoutWithdrawn,
    "payout-settled": PayoutSettled,
}
SCHEMAS = {
    "charter": 3,
    "job-finished": 2,
    "job-accepted": 2,
    "payout-proposed": 2,
    "payout-approved": 2,
}  # the newest form that a kind's body has here; of all others 1
LATER_FIELDS: dict[str, tuple[tuple[int, tuple[str, ...]], ...]] = {
    "charter": ((2, ("cosigners", "successor")), (3, ("contribution", "utility", "approvals"))),
    "job-accepted": ((2, ("draw",)),),
    "payout-proposed": ((2, ("basis", "since", "until", "scheme")),),
    "payout-approved": ((2, ("digest",)),),
}  # (schema, fields that the ones before it lack): written only if they say something
_KIND_OF: dict[type, str] = {body: kind for kind, body in KINDS.items()}


def kind_of(body: Body | UnknownBody) -> str:
    """Return the name that the body's kind has on the chain."""
    return body.kind if isinstance(body, UnknownBody) else _KIND_OF[type(body)]


def schema_of(body: Body) -> int:
    """Return the number of the form in which a body is written: the oldest that can say it.

    So that members whose version knows no newer one go on reading all that they could always read.
    """
    if isinstance(body, JobFinished):
        return 2 if not body.model_digest or body.loss is None or body.score is None else 1
    usual = {each.name: each.default for each in fields(body)}
    said = [
        schema
        for schema, names in LATER_FIELDS.get(kind_of(body), ())
        if any(getattr(body, name) != usual[name] for name in names)
    ]
    return max(said, default=1)


def plain_body(body: Body) -> Plain:
    """Return a body as a plain map, in the form that its schema has."""
    plain = to_plain(body)
    assert isinstance(plain, dict)
    for name in _lacking(kind_of(body), schema_of(body)):
        del plain[name]
    return plain


def _lacking(kind: str, schema: int) -> list[str]:
    """Return the fields that a kind's body does not have in a schema."""
    return [name for later, names in LATER_FIELDS.get(kind, ()) if later > schema for name in names]


def decode_body(kind: str, schema: int, raw: bytes) -> Body | UnknownBody:
    """Read an entry's body.

    Raises:
        MalformedEntry: not a body of this kind, naming the field; or in another form than the oldest that can
            say it, which a version without the newer one would refuse or not understand.
    """
    known = KINDS.get(kind)
    if known is None or not 1 <= schema <= SCHEMAS.get(kind, 1):
        return UnknownBody(kind, schema, raw)
    try:
        plain = decode(raw)
        body = from_plain(known, plain)
    except Refused as error:
        raise MalformedEntry(f"{kind} body: {error}") from None
    if schema != schema_of(body):
        raise MalformedEntry(f"{kind} body: expected schema {schema_of(body)} for it, found {schema}")
    later = set(_lacking(kind, schema)) & set(plain if isinstance(plain, dict) else ())
    if later:
        raise MalformedEntry(f"{kind} body: schema {schema} has no {min(later)}")
    return body
