"""What proves to anybody that a keeper has signed two histories? Two of its signatures that can't both be honest.

    ForkEvidence       two signed heads of one epoch, and a proof that the longer history does not begin with the
                       shorter one
    ReceiptEvidence    two receipts of one epoch for two entries after one and the same entry

Either is checked with the keeper's key alone: whoever holds it needs no copy of the ledger. Receipts name their
federation and not its charter, so the entry before must be the same: else a keeper that founded a federation twice
could be accused of having forked it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from hansa.broker.codec import Limits, decode, encode
from hansa.broker.errors import Refused
from hansa.broker.identity import PublicIdentity
from hansa.broker.records import from_plain, to_plain
from hansa.ledger.chain import ChainedEntry, check_hash, check_receipt
from hansa.ledger.checkpoints import Checkpoint, check_signed, read_checkpoint, signature_of
from hansa.ledger.errors import BadEntry, BadNote, BadProof
from hansa.ledger.merkle import MOST_LEAVES, check_consistency
from hansa.ledger.notes import Note, read_note

MOST_BYTES = 256 * 1024  # of evidence: two entries take up to some 140 KiB
MOST_HASHES = 64

Keepers: TypeAlias = Callable[[int], PublicIdentity | None]
"""Who kept the ledger in an epoch, or None."""


class Tree(Protocol):
    """The Merkle tree of one's own copy."""

    @property
    def size(self) -> int:
        """How many entries."""
        ...

    def root(self, size: int) -> bytes:
        """Return the (32,) root as of so many entries."""
        ...

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """Return the path that proves that the tree of `new` entries begins with that of `old` ones."""
        ...


@dataclass(frozen=True, slots=True)
class ForkEvidence:
    """Two heads of which one can't be what became of the other.

    Attributes:
        first: the signed note of the shorter history, or of either.
        second: that of the longer one.
        path: (32,) hashes: the root that the longer history had at the shorter one's size, and the consistency
            proof from there; none if their sizes are the same.
    """

    first: bytes
    second: bytes
    path: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if len(self.path) > MOST_HASHES:
            raise ValueError(f"path: expected at most {MOST_HASHES} hashes, got {len(self.path)}")

    @property
    def kind(self) -> str:
        """What a store calls it."""
        return "fork"

    def encoded(self) -> bytes:
        """Return it as it is stored and sent."""
        return encode({self.kind: to_plain(self)})

    def check(self, origin: str, keepers: Keepers) -> str:
        """Return in plain words what it proves.

        Args:
            origin: of the ledger's checkpoints.

        Raises:
            BadNote: not two heads of this ledger, of one epoch, signed by its keeper.
            BadProof: they don't contradict each other, or that is not shown.
        """
        first, second = read_note(self.first), read_note(self.second)
        before, after = _check_head(first, origin, keepers), _check_head(second, origin, keepers)
        if before.epoch != after.epoch:
            raise BadNote(f"heads of two epochs: {before}, and {after}")
        if before.size == after.size:
            if before.root == after.root or self.path:
                raise BadProof(f"two heads of {before.size} entries that are one, or with a path besides")
        elif not self.path or self.path[0] == before.root:
            raise BadProof(f"nothing shows that {after} does not continue {before}")
        else:
            check_consistency(before.size, after.size, self.path[0], after.root, self.path[1:])
        return (
            f"{before.keeper}, who kept the ledger in epoch {before.epoch}, has signed two histories:"
            f" one of {before.size} entries with root {before.root.hex()[:16]},"
            f" and one of {after.size} entries with root {after.root.hex()[:16]} that does not agree with it"
        )


@dataclass(frozen=True, slots=True)
class ReceiptEvidence:
    """Two entries after the same one, each with the keeper's receipt.

    Attributes:
        epoch: of both receipts.
    """

    first: ChainedEntry
    second: ChainedEntry
    epoch: int

    def __post_init__(self) -> None:
        for number in (self.first.index, self.second.index, self.epoch):
            if not 0 <= number <= MOST_LEAVES:
                raise ValueError(f"indices and epochs are 0 … 2^62, not {number}")

    @property
    def kind(self) -> str:
        """What a store calls it."""
        return "receipts"

    def encoded(self) -> bytes:
        """Return it as it is stored and sent."""
        return encode({self.kind: to_plain(self)})

    def check(self, origin: str, keepers: Keepers) -> str:
        """Return in plain words what it proves.

        Args:
            origin: of the ledger's checkpoints, which names the federation.

        Raises:
            BadNote: nobody is known to have kept the ledger in that epoch.
            BadProof: the entries are one, don't follow the same one, or a receipt is not the keeper's.
        """
        first, second, federation = self.first, self.second, origin.split("/")[1]
        keeper = _keeper(self.epoch, keepers)
        if first.index == 0 or (first.index, first.previous) != (second.index, second.previous):
            raise BadProof(f"entries {first.index} and {second.index} don't both follow one entry")
        if first.hash == second.hash:
            raise BadProof(f"entry {first.index} and the other one are the same")
        try:
            for entry in (first, second):
                check_hash(entry)
                check_receipt(entry, federation, keeper, self.epoch)
        except BadEntry as error:
            raise BadProof(str(error)) from None
        return (
            f"{keeper.name}, who kept the ledger in epoch {self.epoch}, has signed two entries {first.index}"
            f" after the same one: {first.hash.hex()[:16]} and {second.hash.hex()[:16]}"
        )


Evidence: TypeAlias = ForkEvidence | ReceiptEvidence


def read_evidence(encoded: bytes) -> Evidence:
    """Read evidence; whether it proves anything, `check` says.

    Raises:
        BadProof: it is none, or too much.
    """
    try:
        plain = decode(encoded, Limits(message_bytes=MOST_BYTES))
        match plain:
            case {"fork": dict(content), **others} if not others:
                return from_plain(ForkEvidence, content)
            case {"receipts": dict(content), **others} if not others:
                return from_plain(ReceiptEvidence, content)
    except Refused as error:
        raise BadProof(f"no evidence: {error}") from None
    raise BadProof("no evidence of a kind that is known here")


def fork_between(tree: Tree, held: Note, shown: Note) -> ForkEvidence | None:
    """Return what proves that two signed heads contradict each other, as far as our own copy can prove it.

    The longer history must be our own, or as long as the other; whose signatures the notes bear is not looked at.

    Raises:
        BadNote: one of them is no checkpoint.
        BadEntry: what is stored of our tree is no hash.
    """
    heads = [(read_checkpoint(note.text), note) for note in (held, shown)]
    (before, first), (after, second) = sorted(heads, key=lambda each: each[0].size)
    said = {(each.origin, each.epoch, each.keeper) for each, _ in heads}
    if len(said) > 1 or (before.size, before.root) == (after.size, after.root):
        return None
    path: tuple[bytes, ...] = ()
    if before.size != after.size:
        if not 1 <= before.size < after.size <= tree.size or tree.root(after.size) != after.root:
            return None
        beginning = tree.root(before.size)
        if beginning == before.root:
            return None
        path = (beginning, *tree.consistency(before.size, after.size))
    return ForkEvidence(_bare(first, before), _bare(second, after), path)


def _check_head(note: Note, origin: str, keepers: Keepers) -> Checkpoint:
    head = read_checkpoint(note.text)
    keeper = _keeper(head.epoch, keepers)
    if (head.origin, head.keeper) != (origin, keeper.name):
        raise BadNote(f"a head of {head.origin} by {head.keeper}; expected {origin} and {keeper.name}")
    check_signed(head, signature_of(note, head, keeper), keeper)
    return head


def _keeper(epoch: int, keepers: Keepers) -> PublicIdentity:
    found = keepers(epoch)
    if found is None:
        raise BadNote(f"nobody is known to have kept the ledger in epoch {epoch}")
    return found


def _bare(note: Note, head: Checkpoint) -> bytes:
    """Return a note without the cosignatures, which are not what is held against the keeper."""
    return Note(note.text, tuple(line for line in note.signatures if line.name == head.origin)).encoded()
