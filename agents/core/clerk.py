"""Who writes on the ledger, and who holds a copy? An agent's ledger side, keeper or member.

Authors sign entries and send them to the keeper; the keeper chains them and sends every member what the chain
has gained; members verify before they store. An author knows that its entry is chained when the entry comes
back in that stream, receipt and all.

The keeper's own entries take the same way through its journal: signed in one step, chained in the next. An
entry that was chained but not yet journalled as such is offered again after a crash, and the store recognises
it by author and number, so nothing is lost or doubled.

Authors keep what they sign until it comes back: a keeper that was restored from a backup has forgotten what it was
sent, and asks for it again, together with the entries it has chained since (`hansa.agents.core.restored`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from hansa.agents.core.deliveries import Deliveries, Mail
from hansa.agents.core.journal import Changes, Journal, pack_row, unpack_row
from hansa.agents.core.messages import LedgerAppend, LedgerRefused, SignedRow
from hansa.agents.core.restored import CatchingUp
from hansa.broker import Identity, PublicIdentity, SuspendedSender, UnknownSender
from hansa.ledger import (
    BadEntry,
    Body,
    ChainedEntry,
    Checkpoint,
    Head,
    Keeper,
    KeeperChanged,
    LedgerStore,
    MalformedEntry,
    Refusal,
    Replica,
    SignedEntry,
    Standing,
    UnknownBody,
    decode_body,
    link,
    read_entry,
    sign_entry,
)
from hansa.protocols import PeerError

PATIENT_KINDS = frozenset({"round-closed", "model-evaluated"})
MOST_REPEATED = 32  # entries not on the chain yet, that are sent once more with the next one
MOST_REFUSALS = 256  # likewise, of refused entries; their author sends them again
SESSION = "ledger"
TAKING_OVER = "takeover"  # stands for the session of the entry by which we take over: we chain it ourselves
FORMER_S = 7 * 86_400.0  # as long as a message may take: keys that must count no longer are revoked


@dataclass(frozen=True, slots=True)
class Chained:
    """An entry of ours is on the chain."""

    session: str
    kind: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The keeper won't chain an entry of ours."""

    session: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Awaited:
    """An entry of ours that is not on the chain yet, as far as we know."""

    session: str
    kind: str
    entry: SignedEntry


Outcome = Chained | Declined


class Clerk:
    """An agent's side of the ledger.

    Args:
        identity: who signs.
        federation: its id.
        keeper: who founded the ledger, perhaps we ourselves; from then on the ledger itself says who keeps it.
        store: our copy.
        charter: (32,) bytes, the pinned fingerprint of the charter.
        journal: where numbers and awaited entries are kept.
        unconfirmed: how many messages to somebody are on their way.
    """

    def __init__(
        self,
        identity: Identity,
        federation: str,
        keeper: str,
        store: LedgerStore,
        charter: bytes,
        journal: Journal,
        unconfirmed: Callable[[str], int] = lambda name: 0,
    ) -> None:
        self._identity = identity
        self._federation = federation
        self._founding_keeper = keeper
        self.store = store
        self._side: Keeper | Replica = Replica(store, charter, federation)
        if self.keeper == identity.name:
            self._side = Keeper.of(identity, federation, store, self._side.verifier)
        meta = journal.load("meta")
        self._next_seq = max(
            int.from_bytes(meta.get(b"author-seq", b"")), self.standing.next_author_seq(identity.name)
        )
        self._awaited: dict[int, _Awaited] = {}
        for key, value in journal.load("awaited").items():
            session, kind, signed, signature = unpack_row(value)
            self._awaited[int.from_bytes(key)] = _Awaited(session, kind, SignedEntry(signed, signature))
        self._fresh: set[int] = set()  # numbers signed in the step under way
        self._unsent: list[SignedRow] = []
        self._seen = self.head
        self._unconfirmed = unconfirmed
        self._deliveries = Deliveries(identity.name, store, journal, lambda: self.standing, unconfirmed)
        self._introduced = _introduced(meta.get(b"introduced"))
        self._epoch = int.from_bytes(meta.get(b"epoch", b""))  # as of which everything here is settled
        self._set_aside = int.from_bytes(meta.get(b"set-aside", b""))  # how many we have looked at
        self.catching_up: CatchingUp | None = None  # a restored keeper chains nothing meanwhile

    @property
    def standing(self) -> Standing:
        """Members, jobs and data sets as of our copy's head."""
        return self._side.standing

    @property
    def head(self) -> Head:
        """Our copy's head."""
        return self._side.head

    @property
    def keeper(self) -> str:
        """Who keeps the ledger as of our copy's head; while that is empty, whom our configuration names."""
        return self.standing.keeper.name if self.standing.founded else self._founding_keeper

    @property
    def keeps(self) -> bool:
        """Whether that is ourselves."""
        return isinstance(self._side, Keeper)

    def oldest_awaited(self) -> int | None:
        """Return the number of our oldest entry that is not on the chain, as far as we know, or None."""
        return next(iter(self._awaited), None)

    def waiting(self) -> bool:
        """Whether entries of ours are not on the chain yet, as far as we know."""
        return bool(self._awaited)

    def awaits(self) -> tuple[str, ...]:
        """Return the members whose answers we need, as a restored keeper, before we chain anything."""
        return () if self.catching_up is None else self.catching_up.silent(self.standing)

    def lookup(self, name: str) -> PublicIdentity:
        """Return a member's keys.

        Raises:
            UnknownSender: nobody of that name was ever admitted, or it has left.
            SuspendedSender: the member is suspended.
        """
        member = self.standing.members.get(name)
        if member is None and self._introduced is not None and name == self._introduced.name:
            return self._introduced
        if member is None or member.status == "left":
            raise UnknownSender(f"{name!r} is no member of {self._federation}")
        if member.status != "active":
            raise SuspendedSender(f"{name!r} is {member.status} in {self._federation}")
        return member.public

    def former(self, name: str, now_s: float) -> PublicIdentity | None:
        """Return what keys a member had before these, while messages under them may be on the way."""
        member = self.standing.members.get(name)
        if member is None or now_s > member.rotated_ms / 1000 + FORMER_S:
            return None
        return member.former

    # --- writing ---------------------------------------------------------------------------------------
    def write(self, changes: Changes, now_s: float, session: str, body: Body) -> None:
        """Sign an entry; it goes to the keeper with this step."""
        entry = self._sign(changes, int(now_s * 1000), session, body)
        if not self.keeps:
            self._unsent.append(SignedRow(entry.signed, entry.signature))

    def _sign(self, changes: Changes, time_ms: int, session: str, body: Body) -> SignedEntry:
        number = self._next_seq
        entry = sign_entry(
            self._identity, federation=self._federation, author_seq=number, body=body, time_ms=time_ms
        )
        self._next_seq = number + 1
        changes.put("meta", b"author-seq", self._next_seq.to_bytes(8))
        self._await(changes, number, session, entry)
        self._fresh.add(number)
        return entry

    def _await(self, changes: Changes, number: int, session: str, entry: SignedEntry) -> None:
        kind = read_entry(entry.signed).kind
        self._awaited[number] = _Awaited(session, kind, entry)
        row = pack_row(session, kind, entry.signed, entry.signature)
        changes.put("awaited", number.to_bytes(8), row)

    def committed(self) -> None:
        """The step's changes are in the journal: its entries may be chained from now on."""
        self._fresh.clear()

    def send_again(self) -> None:
        """Have all that is awaited sent to the keeper once more, byte by byte; what it has, it recognises."""
        if not self.keeps:
            self._unsent = [
                SignedRow(each.entry.signed, each.entry.signature)
                for each in self._awaited.values()
                if each.session != TAKING_OVER
            ]

    def mail(self, changes: Changes, now_s: float) -> Iterator[Mail]:
        """Yield what this step must send: our entries to the keeper, or the chain's gain to every member.

        Entries that nobody waits for (a round's, say) are sent a little later, several at once.
        """
        if self._unsent:
            if (
                len(self._awaited) <= MOST_REPEATED
            ):  # in order: one that was lost could not follow its successors
                self.send_again()
            rows, self._unsent = tuple(self._unsent), []
            yield Mail(self.keeper, LedgerAppend(rows))
        if not self.keeps:
            yield from self._deliveries.told_at_once()
        elif self.catching_up is None:
            yield from self._deliveries.told_to_members(changes, now_s)

    def reader(self, name: str) -> PublicIdentity:
        """Return the keys for which entries are sealed, of members and of those who were.

        Raises:
            UnknownSender: nobody of that name was ever admitted.
        """
        member = self.standing.members.get(name)
        if member is None:
            raise UnknownSender(f"{name!r} is no member of {self._federation}")
        return member.public

    def next_due(self) -> float | None:
        """When entries are to be sent that wait for others to join them, UTC seconds, or None."""
        return self._deliveries.next_due()

    def next_answer(self) -> float | None:
        """When a member that asks too often is answered, UTC seconds, or None."""
        return None if self.catching_up is not None else self._deliveries.next_answer()

    # --- as keeper -------------------------------------------------------------------------------------
    def due_drafts(self) -> tuple[SignedEntry, ...]:
        """Return our own entries of earlier, committed steps, which a keeper chains now; a member sends its own."""
        due = ((number, each) for number, each in self._awaited.items() if self.keeps)
        return tuple(
            each.entry for number, each in due if number not in self._fresh and each.session != TAKING_OVER
        )

    def chain(
        self, changes: Changes, now_s: float, entries: tuple[SignedEntry, ...], authors: tuple[str, ...]
    ) -> Iterator[Outcome | Mail]:
        """Chain entries as the keeper; yield what happened to our own, and refusals to send to other authors.

        Args:
            authors: who sent each entry; an entry signed by somebody else than its sender is refused anyway
                by its signature, and its refusal goes to the sender.
        """
        outcomes = self._as_keeper().append(entries, now_s)
        for entry, sender, outcome in zip(entries, authors, outcomes, strict=True):
            match outcome:
                case ChainedEntry():
                    if read_entry(outcome.signed).kind not in PATIENT_KINDS:
                        self._deliveries.hurry()
                    yield from self._settled(changes, outcome)
                case Refusal(_, reason) if sender == self._identity.name:
                    yield from self._declined(changes, _author_seq(entry), reason)
                case Refusal(_, reason) if self._unconfirmed(sender) < MOST_REFUSALS:
                    yield Mail(sender, LedgerRefused(_author_seq(entry), reason[:500]))
                case Refusal():
                    pass  # its author reads nothing of what we send, and shall not fill our disk
        self._note_head(changes)

    def fetch(self, changes: Changes, member: str, start: int) -> None:
        """Somebody lacks entries (a restored backup, say): the next mail brings them, and says when they end.

        Raises:
            PeerError: there is no such entry.
        """
        if not self.keeps:
            if member not in self._who_kept():
                raise PeerError(f"{member} asks us for entries, but {self.keeper} keeps the ledger")
            self.send_again()
        elif self.catching_up is None and not 0 <= start <= self.head.size:
            raise PeerError(f"{member} asks for entries from {start} on; there are {self.head.size}")
        if self.keeps:
            self._deliveries.ask_lastingly(changes, member, max(start, 0))
        else:
            self._deliveries.ask(member, max(start, 0))

    # --- as keeper, restored ---------------------------------------------------------------------------
    def adopt(self, changes: Changes, entries: Sequence[ChainedEntry]) -> Iterator[Outcome]:
        """Take back what a member holds of our chain; errors and outcomes as `accept`."""
        self._as_keeper().adopt(entries)
        yield from self._taken_in(changes, entries)

    def held(self, changes: Changes, member: str, size: int) -> None:
        """A member has told us all it holds; of interest only while we ask, or anybody could have all sent anew."""
        if self.catching_up is not None:
            self._deliveries.note(changes, member, max(0, min(size, self.head.size)))
            self._deliveries.hurry()
            self.catching_up.answered.add(member)

    # --- as member -------------------------------------------------------------------------------------
    def accept(self, changes: Changes, entries: Sequence[ChainedEntry]) -> Iterator[Outcome]:
        """Verify and store entries; yield which of our own are among them.

        Raises:
            LedgerError: it doesn't continue our copy, or breaks a rule: nothing of it is stored.
        """
        self.replica.accept(entries)
        yield from self._taken_in(changes, entries)

    def declined(self, changes: Changes, message: LedgerRefused) -> Iterator[Outcome]:
        """The keeper refused an entry of ours."""
        yield from self._declined(changes, message.author_seq, message.reason)

    # --- when the keeper changes -----------------------------------------------------------------------
    def tell(self, member: str, start: int) -> None:
        """Tell a member what it lacks of our copy, as far as it is short of ours."""
        if not self.keeps and start < self.head.size:
            self._deliveries.ask(member, max(start, 0))

    def draw_up(self, changes: Changes, now_s: float, body: KeeperChanged) -> int:
        """Sign the entry by which we take over; return its number. `take_over` chains it in a later step."""
        self._sign(changes, int(now_s * 1000), TAKING_OVER, body)
        return self._next_seq - 1

    def take_over(self, number: int, at: Checkpoint) -> None:
        """Chain the entry by which we take over, at the head that the others have agreed to.

        Raises:
            LedgerError: it may not stand there; our copy is as it was.
        """
        awaited = self._awaited.get(number)
        last = next(self.store.read(at.size - 1, at.size), None)
        if awaited is None or last is None:
            raise BadEntry(at.size, "what was to be chained here is not there")
        entry = link(self._identity, self._federation, last.head, awaited.entry, at.epoch)
        if isinstance(self._side, Keeper):
            self._side.adopt([entry])
        else:
            self._side.accept([entry])

    def cut_back(self, changes: Changes, size: int) -> None:
        """Set our copy aside from a size on; what of our own is among that is awaited again."""
        self.replica.cut_back(size)
        self._heed_set_aside(changes)
        self._note_head(changes)

    def withdraw(self, changes: Changes) -> None:
        """Drop the entry by which we would have taken over; if it was chained, it is there all the same."""
        for number in [key for key, each in self._awaited.items() if each.session == TAKING_OVER]:
            self._forget(changes, number)

    def take_sides(self, changes: Changes) -> bool:
        """Keep the ledger, or follow who keeps it now; return whether that has changed since the last step.

        What of our own was set aside goes to the new keeper, byte by byte, with all that is not on the chain yet.
        """
        standing = self.standing
        if standing.epoch == self._epoch:
            return False
        self._epoch = standing.epoch
        changes.put("meta", b"epoch", self._epoch.to_bytes(8))
        self._heed_set_aside(changes)
        verifier = self._side.verifier
        if standing.keeper.name == self._identity.name:
            self._side = Keeper.of(self._identity, self._federation, self.store, verifier)
            self._number_anew(changes)
        else:
            self._side = Replica.of(self.store, verifier)
        self.catching_up = None
        begun = next(since for since, roster in standing.rosters if roster.epoch == self._epoch)
        others = standing.members.keys() - {self._identity.name} if self.keeps else ()
        self._deliveries.begin_anew(changes, dict.fromkeys(others, begun - 1))
        self._unsent = []
        self.send_again()
        self._note_head(changes)
        return True

    def _heed_set_aside(self, changes: Changes) -> None:
        """Await again what of ours was set aside, and is not on the chain as it is now."""
        count = 0
        for count, entry in enumerate(self.store.superseded(), 1):
            fields = read_entry(entry.signed)
            number = fields.author_seq
            ours = count > self._set_aside and fields.author == self._identity.name
            if not ours or number in self._awaited or self.store.find(fields.author, number) is not None:
                continue
            if fields.kind != "keeper-changed":
                self._await(changes, number, SESSION, SignedEntry(entry.signed, entry.signature))
        self._awaited = dict(sorted(self._awaited.items()))
        self._set_aside = count
        changes.put("meta", b"set-aside", count.to_bytes(8))

    def _number_anew(self, changes: Changes) -> None:
        """Sign anew, under later numbers, what our own takeover has overtaken: its number is higher.

        They can't be chained under their old ones any more, so nothing is ever there twice.
        """
        least = self.standing.next_author_seq(self._identity.name)
        for number, each in list(self._awaited.items()):
            if number >= least:
                continue
            self._forget(changes, number)
            fields = read_entry(each.entry.signed)
            body = decode_body(fields.kind, fields.schema, fields.body)
            if (
                each.session != TAKING_OVER
                and self.store.find(fields.author, number) is None
                and not isinstance(body, UnknownBody)
            ):
                self._sign(changes, fields.time_ms, each.session, body)

    # --- both ------------------------------------------------------------------------------------------
    def _taken_in(self, changes: Changes, entries: Iterable[ChainedEntry]) -> Iterator[Outcome]:
        for entry in entries:
            yield from self._settled(changes, entry)
        self._note_head(changes)

    def _settled(self, changes: Changes, entry: ChainedEntry) -> Iterator[Outcome]:
        fields = read_entry(entry.signed)
        if fields.author == self._identity.name:
            awaited = self._forget(changes, fields.author_seq)
            if awaited is not None:
                yield Chained(awaited.session, awaited.kind)

    def _declined(self, changes: Changes, number: int, reason: str) -> Iterator[Outcome]:
        awaited = self._forget(changes, number)
        if awaited is None:
            return  # no entry of ours, or one that is settled
        yield Declined(awaited.session, awaited.kind, reason)

    def _forget(self, changes: Changes, number: int) -> _Awaited | None:
        awaited = self._awaited.pop(number, None)
        if awaited is not None:  # a number of ours, and no other that a keeper may name
            changes.drop("awaited", number.to_bytes(8))
        return awaited

    def _note_head(self, changes: Changes) -> None:
        """Remember the newest head, so that a copy cut short afterwards is found out."""
        if self.head != self._seen:
            self._seen = self.head
            note_head(changes, self._seen)

    def _who_kept(self) -> set[str]:
        """Return who keeps the ledger, and who did before: restored, it may not know that it does no more."""
        return {self.keeper, *(roster.keeper.name for _, roster in self.standing.rosters)}

    def _as_keeper(self) -> Keeper:
        if isinstance(self._side, Replica):
            raise RuntimeError("only the keeper chains, and takes entries back")
        return self._side

    @property
    def replica(self) -> Replica:
        """Our copy, as a member's; RuntimeError if we keep the ledger."""
        if isinstance(self._side, Keeper):
            raise RuntimeError("the keeper has no replica")
        return self._side


def note_head(changes: Changes, head: Head) -> None:
    """Remember a head, so that a copy cut short afterwards is found out."""
    changes.put("meta", b"seen-head", pack_row(head.size, head.hash))


def note_introduced(changes: Changes, public: PublicIdentity) -> None:
    """Remember the keys of who keeps the ledger, while our copy does not show it: from it the entries come."""
    changes.put("meta", b"introduced", pack_row(public.name, public.verify_key, public.seal_key))


def _introduced(row: bytes | None) -> PublicIdentity | None:
    return None if row is None else PublicIdentity(*unpack_row(row))


def seen_head(journal: Journal) -> Head | None:
    """Return the newest head an agent has journalled, or None if it never saw one."""
    value = journal.load("meta").get(b"seen-head")
    if value is None:
        return None
    size, digest = unpack_row(value)
    return Head(size, digest)


def _author_seq(entry: SignedEntry) -> int:
    try:
        return read_entry(entry.signed).author_seq
    except MalformedEntry:
        return -1  # no number of anybody's
