"""Which signed heads of the ledger does this agent know, and do they agree with its own copy?

A note is looked at whole before it counts: the keeper's signature, and every cosignature under a member's key as of
the head's size. What is sound is kept in the ledger's database, all of a step at once, whether the head is in our
copy or contradicts it: two heads that don't fit together are the proof.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from hansa.agents.core.clerk import Clerk
from hansa.agents.core.pledge import Tree
from hansa.broker import PublicIdentity
from hansa.ledger import BadNote, KeeperChanged, LedgerError, NotFinal, Standing, decode_body, read_entry
from hansa.ledger.checkpoints import Checkpoint, Cosignature, check_signed, read_checkpoint
from hansa.ledger.finality import check_final
from hansa.ledger.notes import Note, NoteSignature, read_note
from hansa.ledger.roster import Roster

MOST_KNOWN = 64  # heads whose names we keep in mind, so that what is told often is written once
MOST_LOOKED_AT = 512  # notes in the database, the newest first, until one is found that serves

Place = Literal["held", "beyond", "contradicts", "superseded"]
"""Of a head to our copy: it is in it; of entries or a keeper that it does not have yet; it is not in it although it
should be; of entries that another keeper has taken over before.
"""


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A head that its keeper signed, with the cosignatures that count.

    Attributes:
        note: the keeper's signature first, then one of each member that witnessed the ledger then.
    """

    checkpoint: Checkpoint
    note: Note
    cosigned: tuple[Cosignature, ...]


@dataclass(frozen=True, slots=True)
class Final:
    """A head that cannot be taken back.

    Attributes:
        since_s: when the last of the names that it needed was put to it, by its bearer's clock.
    """

    checkpoint: Checkpoint
    since_s: int


class Heads:
    """The signed heads that this agent knows.

    Args:
        clerk: our side of the ledger.
    """

    def __init__(self, clerk: Clerk) -> None:
        self._clerk = clerk
        self._known: OrderedDict[str, dict[NoteSignature, None]] = OrderedDict()
        self._fresh: dict[str, Checkpoint] = {}
        self._final: Final | None = None
        self._looked = False
        self._through = 0  # the epoch up to which the heads of takeovers are kept

    def read(self, encoded: bytes) -> SignedHead:
        """Read a note and check all that is signed in it.

        Raises:
            BadNote: no checkpoint of our ledger, not signed by its epoch's keeper, or a name under it is forged.
            RuleBroken: our copy is empty.
        """
        return read_head(read_note(encoded), self._clerk.standing)

    def place(self, checkpoint: Checkpoint) -> Place:
        """Return where a head stands to our own copy; StoreError if that can't be read."""
        return place_of(checkpoint, self._clerk.standing, self._clerk.store.tree())

    def keep(self, head: SignedHead) -> None:
        """Have a head and its names stored with this step."""
        known = self._known.setdefault(head.note.text, {})
        self._known.move_to_end(head.note.text)
        if any(line not in known for line in head.note.signatures):
            known.update(dict.fromkeys(head.note.signatures))
            self._fresh[head.note.text] = head.checkpoint

    def store(self) -> tuple[Checkpoint, ...]:
        """Store what was kept since the last time; return the heads that have gained names."""
        self._keep_takeovers()
        gained = tuple(
            checkpoint
            for text, checkpoint in self._fresh.items()
            if self._clerk.store.add_checkpoint(Note(text, tuple(self._known[text])))
        )
        self._fresh.clear()
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        for checkpoint in gained:
            self._heed(checkpoint)
        return gained

    def note(self, checkpoint: Checkpoint) -> Note | None:
        """Return what is stored of a head, with all its names; None: it is not."""
        notes = self._clerk.store.checkpoint(checkpoint.size, checkpoint.epoch)
        return next((note for note in notes if note.text == checkpoint.text), None)

    def cosigned(self, checkpoint: Checkpoint) -> tuple[Cosignature, ...]:
        """Return whose names stand under a head of ours, by name."""
        note = self.note(checkpoint)
        roster = self._clerk.standing.roster_at(checkpoint.size)
        return () if note is None else roster.cosignatures(checkpoint, note)

    @property
    def final(self) -> Final | None:
        """The newest final head of our own copy, or None."""
        if not self._looked and self._clerk.standing.founded:
            self._looked = True
            for checkpoint in self._newest():
                self._heed(checkpoint)
                if self._final is not None:
                    break
        return self._final

    def newest(self, member: str) -> bytes:
        """Return the newest note with a member's name under it, else the newest of all; b"" if there is none."""
        first = b""
        for note in islice(self._clerk.store.checkpoints(newest_first=True), MOST_LOOKED_AT):
            first = first or note.encoded()
            if any(line.name.rpartition("/")[2] == member for line in note.signatures):
                return note.encoded()
        return first

    def held_from(self, size: int) -> Iterator[SignedHead]:
        """Yield the signed heads of our own copy from a size on, the smallest first."""
        for note in self._clerk.store.checkpoints(start_size=size):
            try:
                head = self.read(note.encoded())
            except LedgerError:
                continue  # of a keeper that our copy does not know, or no more
            if self.place(head.checkpoint) == "held":
                yield head

    def keepers(self, epoch: int) -> PublicIdentity | None:
        """Return an epoch's keeper as our copy knows it, with its newest keys then; None: no such epoch."""
        return self._clerk.standing.keeper_of(epoch)

    def _keep_takeovers(self) -> None:
        """Have the heads stored at which others took over: the ledger brings them along, with enough names."""
        standing, through = self._clerk.standing, self._through
        if standing.epoch == through:
            return
        self._through = standing.epoch
        begun = {each.epoch: since for since, each in reversed(standing.rosters) if each.epoch > through}
        for since in begun.values():
            fields = read_entry(next(self._clerk.store.read(since - 1, since)).signed)
            body = decode_body(fields.kind, fields.schema, fields.body)
            assert isinstance(body, KeeperChanged)  # nothing else begins an epoch
            self.keep(self.read(body.certificate))

    def _newest(self) -> Iterator[Checkpoint]:
        for note in islice(self._clerk.store.checkpoints(newest_first=True), MOST_LOOKED_AT):
            yield read_checkpoint(note.text)

    def _heed(self, checkpoint: Checkpoint) -> None:
        """Note whether a head is final, and newer than the newest that we know to be."""
        if self._final is not None and checkpoint.size <= self._final.checkpoint.size:
            return
        note, standing = self.note(checkpoint), self._clerk.standing
        try:
            if note is None or check_final(standing, note) != checkpoint or self.place(checkpoint) != "held":
                return
        except (BadNote, NotFinal):
            return
        self._final = Final(checkpoint, final_since(standing.roster_at(checkpoint.size), checkpoint, note))


def read_head(note: Note, standing: Standing) -> SignedHead:
    """Check all that is signed in a note.

    Raises:
        BadNote: no checkpoint of this ledger, not signed by its epoch's keeper, or a name under it is forged.
        RuleBroken: nothing is founded yet.
    """
    checkpoint = read_checkpoint(note.text)
    origin = standing.head_checkpoint().origin
    if checkpoint.origin != origin:
        raise BadNote(f"a head of {checkpoint.origin}, and not of {origin}")
    signed = _keepers_line(checkpoint, note, standing)
    cosigned = standing.roster_at(checkpoint.size).cosignatures(checkpoint, note)
    names = {checkpoint.cosigner(each.member): each for each in cosigned}
    lines = {line.name: line for line in note.signatures if _bears(line, names.get(line.name))}
    return SignedHead(
        checkpoint, Note(note.text, (signed, *(lines[name] for name in sorted(lines)))), cosigned
    )


def place_of(checkpoint: Checkpoint, standing: Standing, tree: Tree) -> Place:
    """Return where a head stands to a copy of the ledger.

    Args:
        standing: what the copy amounts to.
        tree: over its entries.
    """
    if checkpoint.size > tree.size or checkpoint.epoch > standing.epoch:
        return "beyond"
    ended = next((since - 1 for since, each in standing.rosters if each.epoch > checkpoint.epoch), None)
    if ended is not None and checkpoint.size > ended:
        return "superseded"
    return "held" if tree.root(checkpoint.size) == checkpoint.root else "contradicts"


def final_since(roster: Roster, checkpoint: Checkpoint, note: Note) -> int:
    """Return when a final head's last name was put to it that it needed, by its bearer's clock, UTC seconds."""
    times = sorted(each.time_s for each in roster.cosignatures(checkpoint, note))
    needed = roster.needed_to_succeed if checkpoint.epoch > roster.epoch else roster.needed
    return times[needed - 1]


def _keepers_line(checkpoint: Checkpoint, note: Note, standing: Standing) -> NoteSignature:
    """Return the keeper's line; BadNote if no keeper of this name and epoch has signed."""
    keys = {each.keeper for _, each in standing.rosters if each.epoch == checkpoint.epoch}
    keys = {each for each in keys if each.name == checkpoint.keeper}
    if checkpoint.epoch > standing.epoch and checkpoint.keeper in standing.members:
        keys.add(standing.members[checkpoint.keeper].public)  # a takeover that has not come to us yet
    for line in note.signatures:
        if line.name == checkpoint.origin and any(_is_by(each, checkpoint, line) for each in keys):
            return line
    raise BadNote(f"not signed by {checkpoint.keeper} as keeper of epoch {checkpoint.epoch}")


def _is_by(keeper: PublicIdentity, checkpoint: Checkpoint, line: NoteSignature) -> bool:
    try:
        check_signed(checkpoint, line, keeper)
    except BadNote:
        return False
    return True


def _bears(line: NoteSignature, cosignature: Cosignature | None) -> bool:
    return cosignature is not None and line.signature[8:] == cosignature.signature
