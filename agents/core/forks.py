"""Has a keeper signed two histories? What proves it is kept, told to everybody, and acted upon.

Two heads that one epoch's keeper signed, of which the second does not begin with the first; two entries for one
place, both with its receipt; two messages of one member under one number. The first two end what we do under that
keeper: no name to its heads, no new job. Our copy stays as it is until another member has taken over.

Whoever is told of a fork checks the proof before it counts. A head that contradicts our own copy convinces us at
once; it convinces others together with a head of our own copy that is as large, and that is looked for until there
is one.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Sequence

from hansa.agents.core.clerk import SESSION, Clerk
from hansa.agents.core.desk import Desk
from hansa.agents.core.heads import Heads, SignedHead
from hansa.agents.core.journal import Journal
from hansa.agents.core.messages import ForkTold, HeadTold
from hansa.broker import Equivocation, Plain, encode
from hansa.ledger import BadNote, ChainedEntry, LedgerError
from hansa.ledger.checkpoints import Checkpoint, read_checkpoint
from hansa.ledger.evidence import Evidence, ForkEvidence, ReceiptEvidence, fork_between, read_evidence
from hansa.ledger.notes import Note, read_note

_TOLD = "fork-told"  # spaces of the journal: which evidence everybody has been told,
_SHOWN = "fork-shown"  # and heads that contradict our copy and prove nothing to others yet
MOST_SHOWN = 16
MOST_PROOFS = (
    16  # against one keeper of one epoch: anybody makes more of one, by names under it that are nobody's
)
MOST_EQUIVOCATIONS = 64  # kept in all: each may be a whole message, and whoever sends them can send many

log = logging.getLogger("hansa.agent")


class Forks:
    """What proves that a keeper has signed two histories.

    Args:
        desk: where messages are left.
        clerk: our side of the ledger.
        heads: the signed heads that we know.
        journal: where is kept what everybody has been told, and what proves nothing to others yet.
    """

    def __init__(self, desk: Desk, clerk: Clerk, heads: Heads, journal: Journal) -> None:
        self._desk = desk
        self._clerk = clerk
        self._heads = heads
        self._told = set(journal.load(_TOLD))
        self._shown = dict(journal.load(_SHOWN))  # notes by digest
        self._kept: dict[bytes, bytes] | None = (
            None  # evidence by digest; None: the database was not asked yet
        )
        self._against: Counter[int] = Counter()  # proofs by the epoch whose keeper is convicted
        self._equivocations = 0

    @property
    def count(self) -> int:
        """How many proofs that a keeper has signed two histories we hold."""
        return len(self._evidence())

    def convict(self, keeper: str) -> bool:
        """Whether we know that the present epoch's keeper, of this name, has signed two histories."""
        self._evidence()
        shown = {_head_of(note).epoch for note in self._shown.values()}
        return keeper == self._clerk.keeper and self._clerk.standing.epoch in self._against.keys() | shown

    def proven(self, keeper: str) -> bool:
        """Likewise, and can prove it to everybody."""
        self._evidence()
        return keeper == self._clerk.keeper and self._clerk.standing.epoch in self._against

    def shown(self, sender: str, head: SignedHead) -> bool:
        """A member has told us a head that our copy contradicts; say so, and tell it what we hold.

        Returns:
            Whether that is news: a keeper that is convicted can sign any number of such heads.
        """
        encoded = Note(head.note.text, head.note.signatures[:1]).encoded()
        digest = _digest(encoded)
        if digest in self._shown or self._is_proven(head) or len(self._shown) >= MOST_SHOWN:
            return False
        self._shown[digest] = encoded
        self._desk.changes.put(_SHOWN, digest, encoded)
        self._cry(f"{sender} was shown {head.checkpoint}, which is not in our copy")
        self._desk.post(SESSION, sender, HeadTold(self._heads.newest(self._desk.name)))
        return True

    def told(self, sender: str, evidence: bytes) -> None:
        """A member tells us what proves a fork.

        Raises:
            BadNote, BadProof: it proves nothing.
        """
        self._add(read_evidence(evidence), f"; {sender} has told us, and proves it")

    def receipts(self, entries: Sequence[ChainedEntry], index: int) -> None:
        """An entry that we were sent bears the keeper's receipt where our copy holds another one.

        Args:
            entries: what we were sent, that one among it.
        """
        held = next(self._clerk.store.read(index, index + 1), None)
        offered = next((each for each in entries if each.index == index), None)
        if held is None or offered is None or held.hash == offered.hash:
            return
        evidence = ReceiptEvidence(held, offered, self._clerk.standing.roster_at(index + 1).epoch)
        try:
            self._add(evidence)
        except LedgerError as error:  # they don't follow the same entry, say
            log.warning("%s: two entries %d, and no proof: %s", self._desk.name, index, error)

    def equivocation(self, error: Equivocation, frame: bytes) -> None:
        """A member has signed two messages under one number: keep what there is of it, if that is not much."""
        self._evidence()
        if self._equivocations >= MOST_EQUIVOCATIONS:
            return
        content: list[Plain] = [
            error.sender,
            error.session,
            error.sequence,
            error.first_digest,
            error.second_digest,
            frame,
        ]
        self._equivocations += self._clerk.store.add_evidence("equivocation", encode(content))

    def look(self) -> None:
        """Prove what can be proven by now, and tell everybody what they have not been told."""
        for digest, note in list(self._shown.items()):
            if not self._waits(note):
                del self._shown[digest]
                self._desk.changes.drop(_SHOWN, digest)
        for digest, content in self._evidence().items():
            if digest not in self._told:
                self._told.add(digest)
                self._desk.changes.put(_TOLD, digest, b"")
                for name in self._others():
                    self._desk.post(SESSION, name, ForkTold(content))

    def _waits(self, note: bytes) -> bool:
        """Whether a head still contradicts our copy and proves nothing to others; once it does, that is kept."""
        try:
            head = self._heads.read(note)
        except BadNote:  # a takeover that has set aside the one by which its keeper came
            return False
        evidence = self._proof(head)
        if evidence is not None:
            self._add(evidence)
        return evidence is None and self._heads.place(head.checkpoint) == "contradicts"

    def _proof(self, shown: SignedHead) -> ForkEvidence | None:
        """Return what proves to everybody that a head is not of our copy's history, if we can by now."""
        tree = self._clerk.store.tree()
        for held in self._heads.held_from(shown.checkpoint.size):
            if held.checkpoint.epoch == shown.checkpoint.epoch:
                return fork_between(tree, held.note, shown.note)
        return None

    def _is_proven(self, head: SignedHead) -> bool:
        self._evidence()
        return head.checkpoint.epoch in self._against

    def _evidence(self) -> dict[bytes, bytes]:
        if self._kept is None:
            self._kept = {}
            for kind, content in self._clerk.store.evidence():
                if kind == "equivocation":
                    self._equivocations += 1
                else:
                    self._count_in(content)
        return self._kept

    def _add(self, evidence: Evidence, how: str = "") -> None:
        """Check evidence, and keep it if it is new."""
        encoded = evidence.encoded()
        if _digest(encoded) in self._evidence() or self._against[_epoch(evidence)] >= MOST_PROOFS:
            return
        origin = self._clerk.standing.head_checkpoint().origin
        words = evidence.check(origin, self._heads.keepers)
        self._clerk.store.add_evidence(evidence.kind, encoded)
        self._count_in(encoded)
        self._cry(f"{words}{how}")

    def _count_in(self, encoded: bytes) -> None:
        assert self._kept is not None
        self._kept[_digest(encoded)] = encoded
        self._against[_epoch(read_evidence(encoded))] += 1

    def _cry(self, words: str) -> None:
        log.critical("%s: the keeper has signed two histories: %s", self._desk.name, words)
        self._desk.announce("fork-found", keeper=self._clerk.keeper)

    def _others(self) -> list[str]:
        members = self._clerk.standing.members.items()
        return sorted(name for name, each in members if each.status == "active" and name != self._desk.name)


def _epoch(evidence: Evidence) -> int:
    """Return the epoch whose keeper is convicted."""
    match evidence:
        case ForkEvidence(first):
            return _head_of(first).epoch
        case ReceiptEvidence(epoch=epoch):
            return epoch


def _head_of(note: bytes) -> Checkpoint:
    return read_checkpoint(read_note(note).text)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
