"""What makes the entries one sequence that nobody can rearrange? A hash chain, and the keeper's receipts.

    hash    := SHA-256(fields("hansa-chain-v1"; index, previous, signed, signature))
    receipt := Ed25519_keeper(fields("hansa-receipt-v1"; federation, index, hash))              in epoch 0
    receipt := Ed25519_keeper(fields("hansa-receipt-v2"; federation, epoch, index, hash))       in a later one

`previous` is the hash of the entry before, 32 zero bytes before the first. A receipt is of one epoch, since a
member may keep the ledger in two: what it chained in the first and had to give up is no evidence against it.

Entry 0 is the charter, signed by the keeper it names; its hash is the federation's fingerprint, and whoever
holds that needs to trust nothing else. A chain alone can be rewritten whole by its keeper: two receipts for
one index are the proof of it (`ForkFound`).
"""

import hashlib
from dataclasses import dataclass, field

from hansa.broker.errors import BadSignature
from hansa.broker.fields import pack_fields
from hansa.broker.identity import SIGNATURE_BYTES, Identity, PublicIdentity
from hansa.ledger.bodies import Body, UnknownBody, decode_body
from hansa.ledger.checkpoints import read_head
from hansa.ledger.checks import DIGEST_BYTES
from hansa.ledger.entry import EntryFields, SignedEntry, read_entry
from hansa.ledger.errors import BadEntry, ForgedEntry, LedgerError, RuleBroken
from hansa.ledger.membership import Charter, KeeperChanged
from hansa.ledger.rules import check_author, check_body, check_founding
from hansa.ledger.standing import Standing

CHAIN_DOMAIN = "hansa-chain-v1"
RECEIPT_DOMAIN = "hansa-receipt-v1"
LATER_RECEIPT_DOMAIN = "hansa-receipt-v2"
ATTEMPTS = 100  # races with another writer lost in a row before something must be wrong


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends: how many entries, and the last one's (32,) hash."""

    size: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.size} entries, {self.hash.hex()[:16]}"


EMPTY = Head(0, bytes(DIGEST_BYTES))


@dataclass(frozen=True, slots=True)
class ChainedEntry:
    """An entry in its place.

    Attributes:
        index: from 0, without gaps.
        previous: (32,) hash of the entry before.
        signature: (64,) the author's.
        hash: (32,) of everything above.
        receipt: (64,) the keeper's signature over federation, index and hash.
    """

    index: int
    previous: bytes
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    hash: bytes
    receipt: bytes = field(repr=False)

    @property
    def head(self) -> Head:
        """The head of a chain that ends here."""
        return Head(self.index + 1, self.hash)


def chain_hash(index: int, previous: bytes, signed: bytes, signature: bytes) -> bytes:
    """Return the (32,) hash of an entry in its place."""
    return hashlib.sha256(pack_fields(CHAIN_DOMAIN, index, previous, signed, signature)).digest()


def link(keeper: Identity, federation: str, head: Head, entry: SignedEntry, epoch: int = 0) -> ChainedEntry:
    """Chain an entry to a head and sign its receipt; whether it may be chained is not looked at."""
    digest = chain_hash(head.size, head.hash, entry.signed, entry.signature)
    receipt = keeper.sign(receipt_bytes(federation, epoch, head.size, digest))
    return ChainedEntry(head.size, head.hash, entry.signed, entry.signature, digest, receipt)


def check_receipt(entry: ChainedEntry, federation: str, keeper: PublicIdentity, epoch: int) -> None:
    """Raise BadEntry unless the keeper of this epoch signed for this entry in this place."""
    try:
        keeper.verify(entry.receipt, receipt_bytes(federation, epoch, entry.index, entry.hash))
    except BadSignature:
        raise BadEntry(entry.index, f"the receipt is not signed by the keeper, {keeper.name}") from None


def check_hash(entry: ChainedEntry) -> None:
    """Raise BadEntry unless the entry's fields have their lengths and its hash is theirs."""
    for column, cell, length in (
        ("previous", entry.previous, DIGEST_BYTES),
        ("signature", entry.signature, SIGNATURE_BYTES),
        ("hash", entry.hash, DIGEST_BYTES),
        ("receipt", entry.receipt, SIGNATURE_BYTES),
    ):
        if len(cell) != length:
            raise BadEntry(entry.index, f"{column}: expected {length} bytes, found {len(cell)}")
    if chain_hash(entry.index, entry.previous, entry.signed, entry.signature) != entry.hash:
        raise BadEntry(entry.index, "its content does not have its hash")


class Verifier:
    """Follows a chain from its genesis, entry by entry; what it has accepted is `head` and `standing`.

    An entry that is refused leaves both as they were.

    Args:
        charter_fingerprint: (32,) hash of entry 0, pinned; None takes the charter that comes.
        federation: its id, if the caller expects a certain one.
    """

    __slots__ = ("_federation", "_fingerprint", "head", "standing")

    def __init__(self, charter_fingerprint: bytes | None = None, federation: str | None = None) -> None:
        self._fingerprint = charter_fingerprint
        self._federation = federation
        self.head = EMPTY
        self.standing = Standing()

    def copy(self) -> "Verifier":
        """Return an independent verifier at the same head: follow a batch with it, then keep it or not."""
        twin = Verifier(self._fingerprint, self._federation)
        twin.head = self.head
        twin.standing = self.standing.copy()
        return twin

    def afresh(self) -> "Verifier":
        """Return a verifier that starts at the genesis, and expects the same one."""
        return Verifier(self._fingerprint, self._federation)

    def accept(self, entry: ChainedEntry, *, signatures: bool = True) -> EntryFields:
        """Verify the next entry and take it in; what is cheap to check comes first.

        Args:
            signatures: False skips the two Ed25519 checks, for a file of one's own that was verified when it
                was written: the hashes still bind it to the head it had then.

        Raises:
            BadEntry: names the index and what is wrong.
        """
        fields, body = self.look(entry, signatures=signatures)
        self.extend(entry, fields, body)
        return fields

    def look(self, entry: ChainedEntry, *, signatures: bool = True) -> tuple[EntryFields, Body | UnknownBody]:
        """Verify the next entry as `accept` does, and take nothing in yet."""
        expected = self.head
        if entry.index != expected.size:
            raise BadEntry(expected.size, f"missing: the next entry is {entry.index}")
        if entry.previous != expected.hash:
            raise BadEntry(entry.index, "does not continue the entry before it")
        check_hash(entry)
        if entry.index == 0 and self._fingerprint not in (None, entry.hash):
            raise BadEntry(0, f"not the pinned charter: its fingerprint is {entry.hash.hex()}")
        try:
            fields = read_entry(entry.signed)
            body = self.examine(fields, entry if signatures else None)
        except LedgerError as error:
            raise BadEntry(entry.index, str(error)) from None
        if signatures:
            check_receipt(entry, fields.federation, self.receipt_key(fields, body), self.receipt_epoch(body))
        return fields, body

    def author_key(self, fields: EntryFields, body: Body | UnknownBody) -> PublicIdentity:
        """Return whose signature a looked-at entry bears: the charter brings its own."""
        return body.keeper if isinstance(body, Charter) else self.standing.members[fields.author].public

    def receipt_key(self, fields: EntryFields, body: Body | UnknownBody) -> PublicIdentity:
        """Return whose receipt a looked-at entry bears: of a change of keepers, the new one's."""
        match body:
            case Charter() | KeeperChanged():
                return self.author_key(fields, body)
            case _:
                return self.standing.keeper

    def receipt_epoch(self, body: Body | UnknownBody) -> int:
        """Return the epoch that the receipt of a looked-at entry is of: a change of keepers begins the next one."""
        return read_head(body.certificate).epoch if isinstance(body, KeeperChanged) else self.standing.epoch

    def examine(self, fields: EntryFields, entry: SignedEntry | ChainedEntry | None) -> Body | UnknownBody:
        """Return an entry's body, if it may come next.

        Args:
            fields: what `read_entry` found in it.
            entry: whose signature to check; None checks none.

        Raises:
            MalformedEntry: not a body of its kind.
            ForgedEntry: the signature is not the author's.
            RuleBroken: the author may not write it, or not now.
        """
        if self._federation not in (None, fields.federation):
            raise RuleBroken(f"an entry of {fields.federation!r:.60}, not of {self._federation!r}")
        if self.standing.founded:
            check_author(self.standing, fields)
            if entry is not None:
                check_signature(entry, self.standing.members[fields.author].public)
            body = decode_body(fields.kind, fields.schema, fields.body)
            check_body(self.standing, fields.author, body)
        else:  # the charter brings the key that signs it
            body = decode_body(fields.kind, fields.schema, fields.body)
            keeper = check_founding(fields, body)
            if entry is not None:
                check_signature(entry, keeper)
        return body

    def extend(self, entry: ChainedEntry, fields: EntryFields, body: Body | UnknownBody) -> None:
        """Take in an entry that was examined and linked here."""
        self.standing.apply(entry.index, entry.hash, fields, body)
        self.head = entry.head


def check_signature(entry: SignedEntry | ChainedEntry, author: PublicIdentity) -> None:
    """Raise ForgedEntry unless this author signed the entry."""
    try:
        author.verify(entry.signature, entry.signed)
    except BadSignature:
        raise ForgedEntry(f"the signature is not {author.name}'s") from None


def receipt_bytes(federation: str, epoch: int, index: int, digest: bytes) -> bytes:
    """Return what the keeper of an epoch signs for an entry in its place."""
    if epoch == 0:  # as it was before there were others
        return pack_fields(RECEIPT_DOMAIN, federation, index, digest)
    return pack_fields(LATER_RECEIPT_DOMAIN, federation, epoch, index, digest)
