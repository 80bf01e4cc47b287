"""Which part of the ledger can nobody take back any more? What lies under a checkpoint that enough have cosigned.

Everything else on the ledger goes on without: a job is proposed, trained and finished whether or not anybody
cosigns. Two things wait for it. A payout rests on entries that are final. And who takes over brings the names that
make the head final at which it does: that head counts here too.
"""

from collections.abc import Iterator
from typing import Protocol

from hansa.ledger.checkpoints import Checkpoint, read_checkpoint
from hansa.ledger.errors import BadNote, BadProof, NotFinal
from hansa.ledger.merkle import check_inclusion, leaf_hash
from hansa.ledger.money import PayoutProposed
from hansa.ledger.notes import Note, read_note
from hansa.ledger.standing import Standing


class Tree(Protocol):
    """The Merkle tree over a ledger's entries."""

    def root(self, size: int) -> bytes:
        """Return the (32,) root as of so many entries."""
        ...


class Heads(Protocol):
    """Where the entries and the checkpoints lie, which `rules` must not know: a `LedgerStore`."""

    def tree(self) -> Tree:
        """Return the tree as of now."""
        ...

    def checkpoints(self, start_size: int = 0, newest_first: bool = False) -> Iterator[Note]:
        """Yield the notes held, by size."""
        ...


def check_final(now: Standing, note: Note) -> Checkpoint:
    """Return the checkpoint of a note that enough of the members as of its size have cosigned.

    Whether it is of the ledger's entries is for the caller to see: compare its root.

    Raises:
        BadNote: no checkpoint of this ledger, of more entries than there are, or not signed by its keeper.
        NotFinal: too few have cosigned it.
    """
    checkpoint = read_checkpoint(note.text)
    if not 1 <= checkpoint.size <= now.tree.size:
        raise BadNote(f"a head of {checkpoint.size} entries, of which {now.tree.size} are known")
    roster = now.roster_at(checkpoint.size)
    if checkpoint.epoch > roster.epoch:
        return roster.check_succession(note)
    return roster.check_final(note)


def newest_final(store: Heads, now: Standing) -> Checkpoint | None:
    """Return the newest final checkpoint that a ledger holds of its own entries, or None.

    Args:
        now: as of the store's head.

    Raises:
        StoreError: the database can't be read.
        BadEntry: what is stored of the tree is no hash.
    """
    tree = store.tree()
    for note in store.checkpoints(newest_first=True):
        try:
            checkpoint = check_final(now, note)
        except (BadNote, NotFinal):
            continue
        if tree.root(checkpoint.size) == checkpoint.root:
            return checkpoint
    return None


def rests_on(now: Standing, job: str, until: int = -1) -> tuple[int, bytes]:
    """Return which entry must be final before a payout for a job: its index and its (32,) hash.

    The job's finish, its newest measured weights, or the last use that is paid for, whichever came last.

    Args:
        until: of uses, the index of the last one; else -1.

    Raises:
        KeyError: no such job.
    """
    found = now.jobs[job]
    use = now.uses[job].at(until) if until >= 0 and job in now.uses else None
    if use is not None and use.index > found.rests_at:
        return use.index, use.digest
    return found.rests_at, found.rests_on


def check_payout_finality(now: Standing, body: PayoutProposed) -> None:
    """Say whether what a payout is for is final, by what it brings along.

    The path leads from one entry, see `rests_on`. Its hash binds all entries before it; those behind it have no say
    in the payout. So the proof holds however the chain grows meanwhile.

    Raises:
        BadNote, NotFinal: as `check_final`.
        BadProof: the entry is not in that checkpoint's tree.
    """
    index, digest = rests_on(now, body.job, body.until)
    checkpoint = check_final(now, read_note(body.checkpoint))
    if checkpoint.size <= index:
        raise BadProof(f"entry {index} is not among the first {checkpoint.size}")
    check_inclusion(leaf_hash(digest), index, checkpoint.size, body.inclusion, checkpoint.root)
