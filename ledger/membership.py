"""Who belongs to the federation, and what data do they hold? The bodies of those entries."""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from hansa.broker.identity import PublicIdentity, check_name
from hansa.ledger.checks import LABEL_CHARS, REASON_CHARS, check_at_least, check_digest, check_text

MOST_CERTIFICATE_BYTES = 60 * 1024  # of a note with some 200 cosignatures; an entry's body takes 64 KiB
MOST_LEAVES_AT_ONCE = 10_000  # rows withdrawn by one entry
_MANY = re.compile("([0-9]{1,9}) columns, sha256 [0-9a-f]{64}")  # of a table too wide for all their names


@dataclass(frozen=True, slots=True)
class Charter:
    """Found a federation: entry 0, signed by the keeper it names; its hash is the federation's fingerprint.

    Attributes:
        quorum: how many parties a job needs at least.
        admission: who lets members in.
        cosigners: how many members beside the keeper must cosign a checkpoint, where half of them are fewer.
        contribution: how contributions are measured in jobs that don't say it themselves, `contribution.METHODS`.
        utility: what a coalition's model is worth where it is valued: its "score" (accuracy, AUC, R²), or its
            "loss" with the sign turned.
        approvals: how many of those whom a payout pays must approve it; 0: more than half of them.
        successor: who may witness alone, and take over, where it is the only one; "": nobody. Once it keeps the
            ledger, the charter's keeper may in its place.
    """

    federation: str
    keeper: PublicIdentity
    organisation: str = ""
    purpose: str = ""
    quorum: int = 2
    admission: Literal["keeper"] = "keeper"
    cosigners: int = 0
    successor: str = ""
    contribution: str = "volume"
    utility: Literal["score", "loss"] = "score"
    approvals: int = 0

    def __post_init__(self) -> None:
        check_name(self.federation)
        check_name(self.contribution)
        check_at_least("approvals", self.approvals, 0)
        check_at_least("cosigners", self.cosigners, 0)
        if self.successor:
            check_name(self.successor)
            if self.successor == self.keeper.name:
                raise ValueError(f"successor: {self.successor} keeps the ledger; name another member")
        check_text("organisation", self.organisation, LABEL_CHARS)
        check_text("purpose", self.purpose, REASON_CHARS)
        check_at_least("quorum", self.quorum, 1)


@dataclass(frozen=True, slots=True)
class MemberAdmitted:
    """Keeper: this organisation's agent takes part from here on, with these keys; also reinstates."""

    name: str
    verify_key: bytes
    seal_key: bytes
    organisation: str = ""

    def __post_init__(self) -> None:
        check_text("organisation", self.organisation, LABEL_CHARS)
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
        check_text("reason", self.reason, REASON_CHARS)


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
        check_digest("verify_key", self.verify_key)
        check_text("reason", self.reason, REASON_CHARS)


@dataclass(frozen=True, slots=True)
class KeeperChanged:
    """New keeper: I keep the ledger from this entry on; the entry's index is the size of the head I took over at.

    Attributes:
        certificate: the signed note of that head in the new epoch, with the cosignatures of those who agree.
    """

    certificate: bytes

    def __post_init__(self) -> None:
        if len(self.certificate) > MOST_CERTIFICATE_BYTES:
            raise ValueError(f"certificate: expected at most {MOST_CERTIFICATE_BYTES} bytes")


@dataclass(frozen=True, slots=True)
class DatasetRegistered:
    """Member: we hold data of this shape; never the rows themselves.

    Attributes:
        columns: names of the features, in the model's order.
        target: name of the label's column, if the data has one.
        commitment: (32,) root of the Merkle tree over the rows, each salted by itself, to be opened in a dispute.
    """

    dataset: str
    rows: int
    columns: tuple[str, ...]
    target: str | None
    commitment: bytes

    def __post_init__(self) -> None:
        check_name(self.dataset)
        check_at_least("rows", self.rows, 0)
        for column in self.columns:
            check_text("columns", column, LABEL_CHARS)
        check_text("target", self.target or "", LABEL_CHARS)
        check_digest("commitment", self.commitment)


def column_count(columns: tuple[str, ...]) -> int:
    """Return how many columns a registration speaks of; a very wide table's are only counted."""
    many = _MANY.fullmatch(columns[0]) if len(columns) == 1 else None
    return int(many[1]) if many else len(columns)


@dataclass(frozen=True, slots=True)
class DatasetWithdrawn:
    """Member: these data serve no later job."""

    dataset: str
    reason: str

    def __post_init__(self) -> None:
        check_name(self.dataset)
        check_text("reason", self.reason, REASON_CHARS)


@dataclass(frozen=True, slots=True)
class RowsWithdrawn:
    """Member: some rows of these data serve no later job, and what would open their commitments is erased.

    Attributes:
        leaves: where they stand in the commitment's tree, rising. Whose rows they are nobody else can tell.
    """

    dataset: str
    leaves: tuple[int, ...]
    reason: str = ""

    def __post_init__(self) -> None:
        check_name(self.dataset)
        check_text("reason", self.reason, REASON_CHARS)
        if not 0 < len(self.leaves) <= MOST_LEAVES_AT_ONCE:
            raise ValueError(f"leaves: expected 1 … {MOST_LEAVES_AT_ONCE}, got {len(self.leaves)}")
        check_at_least("leaves", self.leaves[0], 0)
        if any(after <= before for before, after in pairwise(self.leaves)):
            raise ValueError("leaves: expected rising numbers")
