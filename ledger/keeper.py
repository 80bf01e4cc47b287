"""Who puts entries in order? The keeper: it checks each one, chains it, and signs for it.

Another member takes over by an entry that it chains itself (`chain.link`), takes into its own copy as everybody
does (`Replica.accept`), and keeps the ledger from there on. The former keeper, once it sees that, chains no more.

What an author hands in twice is chained once: the author's own number says that it is the same entry. Another
entry under a number that is taken is refused as equivocation. Two processes that keep the same ledger (a
mistake, or a failover) take turns: whoever loses the race reads on and tries again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hansa.broker.identity import Identity
from hansa.ledger.bodies import UnknownBody
from hansa.ledger.chain import ATTEMPTS, ChainedEntry, Head, Verifier, check_signature, link
from hansa.ledger.entry import EntryFields, SignedEntry, read_entry, sign_entry
from hansa.ledger.errors import HeadMoved, LedgerError, NotTheKeeper, RuleBroken
from hansa.ledger.membership import Charter, KeeperChanged
from hansa.ledger.replica import Replica, follow
from hansa.ledger.standing import Standing
from hansa.ledger.store import LedgerStore

CLOCK_SKEW_S = 300.0  # how far ahead of ours an author's clock may run


@dataclass(frozen=True, slots=True)
class Refusal:
    """An entry that is not going on the chain, and why."""

    entry: SignedEntry
    reason: str


class Keeper:
    """Keeps one ledger.

    Args:
        identity: must be the one that keeps the ledger as of its end, once there is a charter.
        federation: its id.
        store: the ledger, perhaps still empty.

    Raises:
        NotTheKeeper: the ledger names somebody else, or other keys.
        BadEntry: the store does not hold a chain.
    """

    def __init__(self, identity: Identity, federation: str, store: LedgerStore) -> None:
        self._identity = identity
        self._federation = federation
        self._store = store
        self._verifier = Verifier(federation=federation)
        self._set_aside: tuple[ChainedEntry, ...] = ()
        self._catch_up()

    @classmethod
    def of(cls, identity: Identity, federation: str, store: LedgerStore, verifier: Verifier) -> "Keeper":
        """Return the keeper of a ledger whose store was followed already: `verifier` stands at its head.

        Raises:
            NotTheKeeper: the ledger names somebody else, or other keys.
        """
        keeper = cls.__new__(cls)
        keeper._identity = identity
        keeper._federation = federation
        keeper._store = store
        keeper._verifier = verifier
        keeper._set_aside = ()
        keeper._catch_up()
        return keeper

    @property
    def verifier(self) -> Verifier:
        """What has followed the ledger to its head."""
        return self._verifier

    @property
    def head(self) -> Head:
        """Where the chain ends."""
        return self._verifier.head

    @property
    def standing(self) -> Standing:
        """What its entries amount to; to be read only."""
        return self._verifier.standing

    def found(self, charter: Charter, time_ms: int) -> ChainedEntry:
        """Write entry 0; its hash is the federation's fingerprint.

        Raises:
            RuleBroken: there is a charter already, or this one names another keeper or federation.
        """
        if self.standing.founded:
            raise RuleBroken("the federation has its charter")
        entry = sign_entry(
            self._identity, federation=self._federation, author_seq=0, body=charter, time_ms=time_ms
        )
        match self.append([entry], now=time_ms / 1000)[0]:
            case ChainedEntry() as chained:
                return chained
            case Refusal(_, reason):
                raise RuleBroken(reason)

    def append(self, entries: Sequence[SignedEntry], now: float) -> tuple[ChainedEntry | Refusal, ...]:
        """Chain what may be chained, in one transaction, and say for each entry where it is or why it isn't.

        A refused entry does not hold up the others; its author's later numbers may skip it. On
        return, everything chained is on the disk.

        Args:
            now: the keeper's clock, seconds since 1970 UTC.

        Raises:
            NotTheKeeper: another has taken over.
            StoreError: the database failed. Nothing was written, or (where the connection was lost during the
                commit) all of it: handing the entries in again tells, and chains none twice.
        """
        self._check_keeper()
        for _ in range(ATTEMPTS):
            draft = _Draft(self._identity, self._federation, self._store, self._verifier.copy())
            outcomes = tuple(draft.add(entry, now) for entry in entries)
            try:
                if draft.gained:
                    self._store.append(draft.gained, draft.said)
                elif any(isinstance(outcome, Refusal) for outcome in outcomes):
                    self._check_head()  # perhaps what it lacks was chained by another process
            except HeadMoved:
                self._catch_up()
                continue
            self._verifier = draft.verifier
            return outcomes
        raise HeadMoved(f"lost {ATTEMPTS} races to another writer on {self._store.address}")

    def adopt(self, entries: Sequence[ChainedEntry]) -> Head:
        """Take back what we chained in a life that a restored backup does not know of; a member held it.

        Our own receipts prove each entry. Or learn that another has taken over: `succeeded` is true afterwards, the
        ledger is a member's copy from here on (`Replica.of`), and `append` refuses. Arguments, errors and the head
        that is returned: as `Replica.accept`.
        """
        replica = Replica.of(self._store, self._verifier)
        try:
            replica.accept(entries)
        finally:
            self._verifier, self._set_aside = replica.verifier, replica.set_aside_own
        return self.head

    @property
    def succeeded(self) -> bool:
        """Whether another keeps the ledger by now."""
        return self.standing.founded and self.standing.keeper != self._identity.public

    @property
    def set_aside_own(self) -> tuple[ChainedEntry, ...]:
        """What we had chained and the last `adopt` set aside, for another has taken over: as of `Replica`."""
        return self._set_aside

    def _check_head(self) -> None:
        found = self._store.head()
        if found != self.head:
            raise HeadMoved(f"expected the chain to end at {self.head}; it ends at {found}")

    def _catch_up(self) -> None:
        self._verifier = follow(self._store, self._verifier)
        self._check_keeper()

    def _check_keeper(self) -> None:
        if self.succeeded:
            raise NotTheKeeper(f"{self._identity!r} is not {self.standing.keeper!r}, who keeps the ledger")


class _Draft:
    """One attempt at a batch: what the chain would gain."""

    def __init__(self, identity: Identity, federation: str, store: LedgerStore, verifier: Verifier) -> None:
        self._identity = identity
        self._federation = federation
        self._store = store
        self.verifier = verifier
        self.gained: list[ChainedEntry] = []
        self.said: list[EntryFields] = []

    def add(self, entry: SignedEntry, now: float) -> ChainedEntry | Refusal:
        try:
            fields = read_entry(entry.signed)
            return self._chained_before(entry, fields) or self._chain(entry, fields, now)
        except LedgerError as error:
            return Refusal(entry, str(error))

    def _chained_before(self, entry: SignedEntry, fields: EntryFields) -> ChainedEntry | None:
        standing = self.verifier.standing
        if fields.author_seq >= standing.next_author_seq(fields.author):
            return None
        found = self._store.find(fields.author, fields.author_seq) or self._gained_before(fields)
        if found is None:
            return None  # skipped before: `examine` refuses it, for a later one is chained
        if found.signed == entry.signed:
            return found
        # Only the author's own signature makes this more than somebody's scribble.
        check_signature(entry, standing.members[fields.author].public)
        taken = f"{fields.author}'s entry {fields.author_seq} is another one, chained at {found.index}"
        raise RuleBroken(f"equivocation: {taken}")

    def _gained_before(self, fields: EntryFields) -> ChainedEntry | None:
        for entry, said in zip(self.gained, self.said, strict=True):
            if (said.author, said.author_seq) == (fields.author, fields.author_seq):
                return entry
        return None

    def _chain(self, entry: SignedEntry, fields: EntryFields, now: float) -> ChainedEntry:
        body = self.verifier.examine(fields, entry)
        if isinstance(body, UnknownBody):
            raise RuleBroken(f"this keeper does not know {body.kind} in schema {body.schema}")
        if isinstance(body, Charter) and body.keeper != self._identity.public:
            raise RuleBroken(f"the charter names {body.keeper!r} as keeper, not {self._identity!r}")
        if isinstance(body, KeeperChanged) and fields.author != self._identity.name:
            raise RuleBroken(f"{fields.author} chains the entry by which it takes over, and nobody else does")
        ahead_s = fields.time_ms / 1000 - now
        if ahead_s > CLOCK_SKEW_S:
            raise RuleBroken(f"{fields.author}'s clock is {ahead_s:.0f} s ahead of the keeper's")
        chained = link(
            self._identity, self._federation, self.verifier.head, entry, self.verifier.receipt_epoch(body)
        )
        self.verifier.extend(chained, fields, body)
        self.gained.append(chained)
        self.said.append(fields)
        return chained
