"""How does a member keep a copy without trusting the keeper? It verifies every entry before it stores it."""

from collections.abc import Sequence

from hansa.ledger.chain import ATTEMPTS, ChainedEntry, Head, Verifier, check_hash, check_receipt
from hansa.ledger.errors import BadEntry, Behind, ForkFound, HeadMoved
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
        self._verifier = Verifier(charter_fingerprint, federation)
        self._catch_up()

    @classmethod
    def of(cls, store: LedgerStore, verifier: Verifier) -> "Replica":
        """Return a copy whose store was followed already: `verifier` stands at its head."""
        replica = cls.__new__(cls)
        replica._store = store
        replica._verifier = verifier
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

    def accept(self, entries: Sequence[ChainedEntry]) -> Head:
        """Verify and store what the keeper sent; what is held already is compared and skipped.

        Args:
            entries: by index, without gaps.

        Returns:
            The head afterwards.

        Raises:
            Behind: entries between our end and the first one are missing.
            BadEntry: one of them does not verify.
            ForkFound: the keeper has signed another entry than the one held here.
            StoreError: the database failed.

        On every error the copy is as it was.
        """
        for _ in range(ATTEMPTS):
            size = self.head.size
            self._compare([entry for entry in entries if entry.index < size])
            gained = [entry for entry in entries if entry.index >= size]
            if gained and gained[0].index > size:
                raise Behind(size, gained[0].index)
            verifier = self._verifier.copy()
            said = [verifier.accept(entry) for entry in gained]
            try:
                self._store.append(gained, said)
            except HeadMoved:  # another process of this agent; what it stored is compared in the next attempt
                self._catch_up()
                continue
            self._verifier = verifier
            return verifier.head
        raise HeadMoved(f"lost {ATTEMPTS} races to another writer on {self._store.address}")

    def _compare(self, offered: Sequence[ChainedEntry]) -> None:
        for entry in offered:
            if entry.index < 0:
                raise BadEntry(entry.index, "indices count from 0")
            held = next(self._store.read(entry.index, entry.index + 1), None)
            if held == entry:
                continue
            if held is None:
                raise BadEntry(entry.index, "missing from the store, under our eyes")
            # Without the keeper's signature it is noise; with it, evidence.
            check_hash(entry)
            check_receipt(entry, self.standing.charter.federation, self.standing.keeper, self.standing.epoch)
            raise ForkFound(entry.index, held.hash, entry.hash)

    def _catch_up(self) -> None:
        # Signatures of our own copy were checked before it was written; hashes and rules hold it together.
        verifier = self._verifier.copy()
        for entry in self._store.read(verifier.head.size):
            verifier.accept(entry, signatures=False)
        self._verifier = verifier
