"""Is this ledger what was written? Every byte of every row, from the charter on, trusting nothing stored.

So with the signed heads beside the entries: whoever kept and witnessed the ledger when it had so many entries must
have signed this root. A head of more entries than there are may have come before them. One of another history
proves its keeper's fork, and stands here rightly once it is on record as evidence.

Without a pinned fingerprint and a head seen before, a ledger can only be found consistent: a keeper could
have written all of it anew, and a tail cut off leaves no trace. Give both where they are known.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hansa.ledger.chain import Head, Verifier
from hansa.ledger.checkpoints import read_checkpoint
from hansa.ledger.entry import EntryFields
from hansa.ledger.errors import BadEntry, BadNote, LedgerError
from hansa.ledger.heads import judge
from hansa.ledger.merkle import Frontier, leaf_hash
from hansa.ledger.notes import Note
from hansa.ledger.row import StoredRow
from hansa.ledger.standing import Standing
from hansa.ledger.store import LedgerStore

Progress = Callable[[int, int], None]
"""Called with (entries verified, entries in all) now and then, and at the end."""

PROGRESS_ENTRIES = 256


@dataclass(frozen=True, slots=True)
class Verified:
    """What a ledger that verifies amounts to.

    Attributes:
        members: how many are active.
        jobs: how many were proposed.
    """

    head: Head
    members: int
    jobs: int

    @property
    def size(self) -> int:
        """How many entries there are."""
        return self.head.size


def verify_store(
    store: LedgerStore,
    *,
    fingerprint: bytes | None = None,
    seen: Head | None = None,
    progress: Progress | None = None,
) -> Verified:
    """Verify a whole ledger.

    Args:
        fingerprint: (32,) hash of the charter, pinned when this agent joined.
        seen: the newest head this agent ever saw.
        progress: told how far it is.

    Raises:
        BadEntry: names the first entry that is not what it was, or that is missing.
        BadNote: names the first checkpoint that is not of these entries, or not signed by whom it says.
        StoreError: the database can't be read at all.
    """
    verifier, tree, heads = Verifier(fingerprint), Frontier(), _Heads(store)
    total = _size(store) if progress is not None else 0
    for row in store.rows():
        if row.idx < verifier.head.size:
            raise BadEntry(row.idx, "this index is out of place: each from 0 on stands here once")
        if row.idx > verifier.head.size:
            raise BadEntry(verifier.head.size, f"missing: the next entry is {row.idx}")
        entry = row.entry()
        fields = verifier.accept(entry)
        tree, completed = tree.append(leaf_hash(entry.hash))
        _check_columns(row, fields, b"".join(completed))
        heads.reach(verifier.standing)
        if seen is not None and seen.size == verifier.head.size and seen.hash != entry.hash:
            raise BadEntry(row.idx, f"this agent has seen another entry here, with hash {seen.hash.hex()}")
        if progress is not None and verifier.head.size % PROGRESS_ENTRIES == 0:
            progress(verifier.head.size, max(total, verifier.head.size))
    head, standing = verifier.head, verifier.standing
    _check_end(store, head, seen)
    if progress is not None:
        progress(head.size, head.size)
    active = sum(member.status == "active" for member in standing.members.values())
    return Verified(head, active, len(standing.jobs))


class _Heads:
    """The checkpoints of a store, compared with its entries size by size."""

    def __init__(self, store: LedgerStore) -> None:
        self._store = store
        self._notes = store.checkpoints()
        self._next: Note | None = None
        self._size = 0  # of the next one
        self._advance()

    def reach(self, standing: Standing) -> None:
        """Check those of exactly this size; to be called at every size from 1 on."""
        while self._next is not None and self._size <= standing.tree.size:
            checkpoint = read_checkpoint(self._next.text)
            if checkpoint.size == 0:
                raise BadNote(f"a checkpoint of {checkpoint}: nobody signs a ledger without a charter")
            problem = judge(self._next, standing).problem
            if problem and not self._on_record(self._next.text.encode()):
                raise BadNote(f"a checkpoint of {checkpoint}: {problem}")
            self._advance()

    def _advance(self) -> None:
        self._next = next(self._notes, None)
        if self._next is not None:
            self._size = read_checkpoint(self._next.text).size

    def _on_record(self, head: bytes) -> bool:
        return any(head in content for _, content in self._store.evidence())


def _check_columns(row: StoredRow, fields: EntryFields, nodes: bytes) -> None:
    """Compare the columns that repeat what was signed, and the tree's."""
    for column, found, signed in (
        ("author", row.author, fields.author),
        ("author_seq", row.author_seq, fields.author_seq),
        ("kind", row.kind, fields.kind),
    ):
        if type(found) is not type(signed) or found != signed:
            raise BadEntry(row.idx, f"column {column}: expected {signed!r} as signed, found {found!r:.80}")
    if row.nodes != nodes:
        raise BadEntry(row.idx, "column nodes: not what this entry adds to the Merkle tree")


def _check_end(store: LedgerStore, head: Head, seen: Head | None) -> None:
    """Look for what stands behind the last entry, or no longer does."""
    if seen is not None and head.size < seen.size:
        raise BadEntry(head.size, f"missing: this agent has seen {seen.size} entries, {head.size} are left")
    hidden = store.count(head.size) - head.size
    if hidden:
        raise BadEntry(head.size, f"{hidden} more rows stand in the table, under no index of their own")


def _size(store: LedgerStore) -> int:
    try:
        return store.head().size
    except LedgerError:  # verification will come to it, and say where
        return 0
