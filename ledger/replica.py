"""How does a member keep a copy without trusting the keeper? It verifies every entry before it stores it.

When another member takes over, entries of our copy may not be on its chain: the old keeper had chained them, and
too few had seen them. A takeover is followed if as many have cosigned it as make a head final, among those who were
members where the two chains part. Our entries from there on are set aside, and their authors send them again.
Nothing under a final checkpoint is ever set aside.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hansa.broker.identity import PublicIdentity
from hansa.ledger.bodies import decode_body
from hansa.ledger.chain import ATTEMPTS, ChainedEntry, Head, Verifier, check_hash, check_receipt
from hansa.ledger.checkpoints import Checkpoint, read_head
from hansa.ledger.entry import EntryFields, read_entry
from hansa.ledger.errors import (
    BadEntry,
    BadNote,
    Behind,
    ForkFound,
    HeadMoved,
    LedgerError,
    NotFinal,
    StaleEpoch,
)
from hansa.ledger.evidence import ReceiptEvidence
from hansa.ledger.finality import newest_final
from hansa.ledger.membership import KeeperChanged
from hansa.ledger.notes import read_note
from hansa.ledger.roster import Roster
from hansa.ledger.standing import Standing
from hansa.ledger.store import LedgerStore


class Replica:
    """A member's verified copy of the ledger.

    Args:
        store: the copy, perhaps still empty.
        charter_fingerprint: (32,) hash of entry 0, from the invitation.
        federation: its id.

    Raises:
        BadEntry: the store does not hold this federation's chain.
    """

    def __init__(self, store: LedgerStore, charter_fingerprint: bytes, federation: str) -> None:
        self._store = store
        self._verifier = follow(store, Verifier(charter_fingerprint, federation))
        self._set_aside: tuple[ChainedEntry, ...] = ()

    @classmethod
    def of(cls, store: LedgerStore, verifier: Verifier) -> "Replica":
        """Return a copy whose store was followed already: `verifier` stands at its head."""
        replica = cls.__new__(cls)
        replica._store = store
        replica._verifier = verifier
        replica._set_aside = ()
        return replica

    @property
    def verifier(self) -> Verifier:
        """What has followed the copy to its head."""
        return self._verifier

    @property
    def head(self) -> Head:
        """Where the copy ends."""
        return self._verifier.head

    @property
    def standing(self) -> Standing:
        """What its entries amount to; to be read only."""
        return self._verifier.standing

    @property
    def final(self) -> Checkpoint | None:
        """The newest final checkpoint of our entries in the store; errors as for `newest_final`."""
        return newest_final(self._store, self.standing)

    @property
    def set_aside_own(self) -> tuple[ChainedEntry, ...]:
        """What of our own copy the last `accept` set aside, in order: authors send again what is theirs.

        If the process died meanwhile, `LedgerStore.superseded` has it.
        """
        return self._set_aside

    def epoch_begun(self, offered: Sequence[ChainedEntry]) -> int | None:
        """Return the latest epoch that begins among these entries, if it is later than ours; else None."""
        latest = max(map(_epoch_of, offered), default=-1)
        return latest if latest > self.standing.epoch else None

    def parting_of(self, offered: Sequence[ChainedEntry]) -> int | None:
        """Return from where on to ask for what leads to these entries; None: what lies before them we hold.

        Where the chains part we can't tell. What is final here they have in common.
        """
        first = offered[0]
        held = self._store.read(first.index - 1, first.index) if 0 < first.index <= self.head.size else ()
        if any(each.hash == first.previous for each in held):
            return None
        final = self.final
        start = 1 if final is None else final.size
        return start if start < min(first.index, self.head.size) else None

    def cut_back(self, size: int) -> None:
        """Set aside all that we hold from a size on, the charter excepted.

        Raises:
            StoreError: the database failed; the copy is as it was.
        """
        self._store.set_aside(max(size, 1))
        self._verifier = follow(self._store, self._verifier.afresh())

    def accept(self, entries: Sequence[ChainedEntry]) -> Head:
        """Verify and store what was sent to us; what is held already is compared and skipped.

        Args:
            entries: by index, without gaps.

        Returns:
            The head afterwards.

        Raises:
            Behind: entries between our end and the first one are missing; or before the first one, for another
                has taken over whose chain goes its own way earlier.
            BadEntry: one of them does not verify.
            ForkFound: the keeper has signed another entry than the one held here; or another has taken over
                without what is final here.
            StaleEpoch: a keeper whom another has succeeded signed another entry than the one held here.
            StoreError: the database failed.

        On every error the copy is as it was; or, where the database failed in the midst of a takeover, it ends
        where the new keeper's chain goes its own way.
        """
        self._set_aside = ()
        for _ in range(ATTEMPTS):
            try:
                parting = self._first_other(entries)
                return self._append(entries) if parting is None else self._adopt(entries[parting:])
            except (HeadMoved, BadEntry) as error:
                if isinstance(error, BadEntry) and self._store.head() == self.head:
                    raise
                # Another process of this agent; what it stored is compared in the next attempt.
                self._verifier = follow(self._store, self._verifier)
        raise HeadMoved(f"lost {ATTEMPTS} races to another writer on {self._store.address}")

    def _append(self, entries: Sequence[ChainedEntry]) -> Head:
        size = self.head.size
        gained = [entry for entry in entries if entry.index >= size]
        if gained and gained[0].index > size:
            raise Behind(size, gained[0].index)
        if gained and size and gained[0].previous != self.head.hash:
            self._check_parting(gained)
        verifier = self._verifier.copy()
        self._store.append(gained, [verifier.accept(entry) for entry in gained])
        self._verifier = verifier
        return verifier.head

    def _first_other(self, offered: Sequence[ChainedEntry]) -> int | None:
        """Return the place of the first entry that is another one than we hold, or None."""
        for place, entry in enumerate(offered):
            if entry.index < 0:
                raise BadEntry(entry.index, "indices count from 0")
            if entry.index < self.head.size:
                held = self._held(entry.index)
                if replace(entry, receipt=held.receipt) != held:  # ours is good, whatever the other's is
                    return place
        return None

    def _held(self, index: int) -> ChainedEntry:
        held = next(self._store.read(index, index + 1), None)
        if held is None:
            raise BadEntry(index, "missing from the store, under our eyes")
        return held

    # --- another keeper's chain ---------------------------------------------------------------------------
    def _adopt(self, offered: Sequence[ChainedEntry]) -> Head:
        """Follow another member that has taken over, whose chain goes its own way from the first entry offered."""
        first = offered[0]
        change = self._takeover_in(offered)
        if change is None or first.index == 0:
            raise self._refusal(first)
        if first.previous != self._held(first.index - 1).hash:
            self._check_parting(offered)
        _check_agreed(self.standing.roster_at(first.index), change)
        trunk = self._verifier.afresh()
        for entry in self._store.read(0, first.index):
            trunk.accept(entry, signatures=False)
        branch = trunk.copy()
        said = [branch.accept(entry) for entry in offered]
        final = self.final
        if final is not None and first.index < final.size:
            raise ForkFound(first.index, self._held(first.index).hash, first.hash, final.size)
        self._keep_evidence(first, branch.standing)
        return self._replace(trunk, branch, offered, said)

    def _takeover_in(self, offered: Sequence[ChainedEntry]) -> ChainedEntry | None:
        """Return the first entry by which somebody takes over in a later epoch than ours, or None."""
        return next((entry for entry in offered if _epoch_of(entry) > self.standing.epoch), None)

    def _check_parting(self, offered: Sequence[ChainedEntry]) -> None:
        """Of entries that don't continue what we hold: raise Behind if a takeover explains that.

        Where the chains part we can't tell. What is final here they have in common. Members whom the former keeper
        admitted on our chain alone must not keep us from following: once we have what lies before, `_adopt` counts
        those who were members where the chains part.
        """
        first, change, final = offered[0], self._takeover_in(offered), self.final
        start = 1 if final is None else final.size
        if change is not None and start < first.index:
            try:
                _check_agreed(self.standing.roster_at(first.index), change)
            except BadEntry:
                _check_agreed(self.standing.roster_at(start), change)
            raise Behind(start, first.index)

    def _replace(
        self, trunk: Verifier, branch: Verifier, entries: Sequence[ChainedEntry], said: list[EntryFields]
    ) -> Head:
        tail = tuple(self._store.read(trunk.head.size))
        self._store.set_aside(trunk.head.size)
        self._verifier, self._set_aside = trunk, (*self._set_aside, *tail)
        self._store.append(entries, said)
        self._verifier = branch
        return branch.head

    def _keep_evidence(self, other: ChainedEntry, after: Standing) -> None:
        """Keep what proves that the former keeper had signed both chains, if it has."""
        epoch = self.standing.roster_at(other.index + 1).epoch
        if after.roster_at(other.index + 1).epoch == epoch:
            evidence = ReceiptEvidence(self._held(other.index), other, epoch)
            self._store.add_evidence(evidence.kind, evidence.encoded())

    def _refusal(self, other: ChainedEntry) -> LedgerError:
        """Return what is wrong with another entry than we hold, which no takeover explains."""
        # Without the keeper's signature it is noise; with it, evidence.
        check_hash(other)
        now, federation = self.standing.roster_at(other.index + 1), self.standing.charter.federation
        begins = _epoch_of(other)
        # Two entries by which one member takes over in one epoch are two histories of its own.
        twice = begins == now.epoch and _is_receipted(other, federation, now.keeper, now.epoch)
        if (
            0 <= begins <= self.standing.epoch and not twice
        ):  # a takeover that another did not know of, perhaps
            return StaleEpoch(
                f"entry {other.index} begins epoch {begins}; by now {self.standing.keeper.name} keeps"
                f" the ledger, in epoch {self.standing.epoch}"
            )
        for keeper, epoch in _keepers(self.standing, now.epoch):
            if _is_receipted(other, federation, keeper, epoch):
                return StaleEpoch(
                    f"entry {other.index} is of epoch {epoch} of {keeper.name}; it was {now.keeper.name} who kept"
                    f" the ledger there, in epoch {now.epoch}"
                )
        check_receipt(other, federation, now.keeper, now.epoch)
        return ForkFound(other.index, self._held(other.index).hash, other.hash)


def follow(store: LedgerStore, verifier: Verifier) -> Verifier:
    """Return a verifier that has followed our own copy to its present end.

    Signatures were checked before it was written; hashes and rules hold it together.

    Args:
        verifier: stands where it ended before; it stays as it is.

    Raises:
        BadEntry: the store does not hold this federation's chain, or no longer what it held.
        StoreError: the database can't be read.
    """
    head = verifier.head
    last = next(store.read(head.size - 1, head.size), None) if head.size else None
    if head.size == 0 or (last is not None and last.hash == head.hash):
        verifier = verifier.copy()
    elif any(entry.head == head for entry in store.superseded()):  # another process of this agent has adopted
        verifier = verifier.afresh()
    else:
        raise BadEntry(head.size - 1, "missing from the store, under our eyes")
    for entry in store.read(verifier.head.size):
        verifier.accept(entry, signatures=False)
    return verifier


def _check_agreed(members: Roster, change: ChainedEntry) -> None:
    """Raise BadEntry unless enough of those who were members where two chains part agreed to a takeover.

    The keeper admits members: those of its own chain since then have no say in what becomes of ours.
    """
    fields = read_entry(change.signed)
    body = decode_body(fields.kind, fields.schema, fields.body)
    assert isinstance(body, KeeperChanged)
    try:
        members.check_succession(read_note(body.certificate))
    except (BadNote, NotFinal) as error:
        raise BadEntry(
            change.index, f"{fields.author} can't take over where its chain parts: {error}"
        ) from None


def _epoch_of(entry: ChainedEntry) -> int:
    """Return the epoch that an entry says it begins; -1 of any other entry."""
    try:
        fields = read_entry(entry.signed)
        body = decode_body(fields.kind, fields.schema, fields.body)
        return read_head(body.certificate).epoch if isinstance(body, KeeperChanged) else -1
    except LedgerError:
        return -1


def _keepers(now: Standing, before: int) -> Iterator[tuple[PublicIdentity, int]]:
    """Yield who kept the ledger in the epochs before one, the newest first."""
    epochs = {roster.epoch: roster.keeper for _, roster in now.rosters if roster.epoch < before}
    for epoch in sorted(epochs, reverse=True):
        yield epochs[epoch], epoch


def _is_receipted(entry: ChainedEntry, federation: str, keeper: PublicIdentity, epoch: int) -> bool:
    try:
        check_receipt(entry, federation, keeper, epoch)
    except BadEntry:
        return False
    return True
