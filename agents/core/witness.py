"""What does every member do so that nobody rewrites the ledger unnoticed? It is its witness, of its own accord.

It puts its name to the newest head that the keeper shows it, if its own copy has that head and it continues what
it has signed before (`pledge`); it tells the other witnesses what it was shown, so that two who were shown two
histories find out (`forks`); and it keeps the heads that are final. A copy that is behind asks for what it lacks
and answers then; of several questions, the newest.

For the keeper it asks (`canvass`). It also notes when the keeper was last heard, since others may take over from
one that is silent.
"""

import hashlib
import logging
from dataclasses import dataclass

from hansa.agents.core.canvass import Awaited, Canvass
from hansa.agents.core.clerk import SESSION, Clerk
from hansa.agents.core.desk import Desk
from hansa.agents.core.forks import Forks
from hansa.agents.core.heads import Final, Heads, SignedHead
from hansa.agents.core.journal import Journal
from hansa.agents.core.messages import CosignAsked, CosignDeclined, ForkTold, HeadTold
from hansa.agents.core.overdue import Overdue
from hansa.agents.core.pledge import Pledge
from hansa.agents.errors import Unwilling
from hansa.broker import Identity
from hansa.ledger import BadNote
from hansa.ledger.chain import EMPTY
from hansa.ledger.notes import Note
from hansa.protocols import PeerError

MOST_TOLD = 16  # witnesses that one tells a head to; of more, others each time
MOST_BEYOND = 16  # heads beyond our copy that we keep in mind of each member: nobody pushes out another's
LATE_S = 10.0  # a head whose entries have not come after this: we ask for them
REASON_CHARS = 500
HEARD_S = 60.0  # so coarsely it is journalled when the keeper was last heard
DRAINED_S = 60.0  # after a start or a lost connection, until what has waited for us is taken in
_HEARD = "heard"

WitnessMessage = CosignAsked | CosignDeclined | HeadTold | ForkTold

log = logging.getLogger("hansa.agent")


@dataclass(frozen=True, slots=True)
class Cosigning:
    """How it stands with the heads of the ledger.

    Attributes:
        final: the newest final head that we know, if any.
        awaited: as keeper: what the newest head lacks.
        abstains: as a restored member: who has not told us the newest head it knows.
        evidence: how many proofs that somebody has signed two histories.
    """

    final: Final | None = None
    awaited: Awaited | None = None
    abstains: tuple[str, ...] = ()
    evidence: int = 0


@dataclass(slots=True)
class _Offer:
    """A head that the keeper would have cosigned."""

    head: SignedHead
    since_s: float
    missed: bool = False
    declined: str = ""


class Witness:
    """An agent's part in keeping the ledger from being rewritten.

    Args:
        identity: who signs.
        desk: where messages are left.
        clerk: our side of the ledger.
        pledge: what we have put our name to.
        overdue: asks the keeper for entries that have not come.
        journal: where it is kept when the keeper was heard.
    """

    def __init__(
        self, identity: Identity, desk: Desk, clerk: Clerk, pledge: Pledge, overdue: Overdue, journal: Journal
    ) -> None:
        self._identity = identity
        self._desk = desk
        self._clerk = clerk
        self._pledge = pledge
        self._overdue = overdue
        self.heads = Heads(clerk)
        self.forks = Forks(desk, clerk, self.heads, journal)
        self._canvass = Canvass(identity, desk, clerk, self.heads)
        # By who asks: a member that claims to keep a later epoch must not stand in the keeper's way.
        self._offers: dict[str, _Offer] = {}
        self._beyond: dict[bytes, tuple[str, float]] = {}  # notes, who told them, and when
        self._head = EMPTY  # of our copy at the last look
        self._gossiped = ""  # the newest head that we have told the others
        self._asked: set[str] = set()  # whom we, restored, have asked for the newest head
        began = int(desk.clock() * 1000).to_bytes(8)
        heard = journal.load(_HEARD)
        self._heard = {name.decode(): int.from_bytes(at) / 1000 for name, at in heard.items()}
        self._noted = dict(self._heard)
        self._began_s = int.from_bytes(began) / 1000
        self._online_s = self._began_s

    # --- what others say -----------------------------------------------------------------------------------
    def received(self, sender: str, message: WitnessMessage) -> None:
        """Take in what a member says of the ledger's heads.

        Raises:
            LedgerError: it is not sound, or not of our ledger.
            PeerError: it is not the sender's to say.
        """
        match message:
            case CosignAsked(note):
                self._take_offer(sender, note)
            case HeadTold(note, purpose):
                if note:
                    self._take_in(sender, note)
                if purpose == "answered":
                    self._pledge.told(self._desk.changes, sender)
                elif purpose == "asked":
                    self._desk.post(SESSION, sender, HeadTold(self.heads.newest(sender), "answered"))
            case CosignDeclined():
                self._canvass.declined(sender, message)
            case ForkTold(evidence):
                self.forks.told(sender, evidence)

    def heard(self, sender: str, sent_at_ms: int) -> None:
        """A message of a member was taken in; of interest if it keeps the ledger.

        Args:
            sent_at_ms: when it was sent, by the sender's clock: what waited for us is no sign of life today.
        """
        if sender != self._clerk.keeper:
            return
        at_s = min(sent_at_ms / 1000, self._desk.clock())
        if at_s <= self._heard.get(sender, 0.0):
            return
        self._heard[sender] = at_s
        if at_s >= self._noted.get(sender, 0.0) + HEARD_S:
            self._noted[sender] = at_s
            self._desk.changes.put(_HEARD, sender.encode(), int(at_s * 1000).to_bytes(8), patient=True)

    # --- what we do about it -------------------------------------------------------------------------------
    def look(self, now_s: float, online: bool) -> None:
        """Do what is due: compare, answer, ask, store and tell.

        Args:
            online: whether we have a connection.
        """
        if not online:
            self._online_s = now_s
        if not self._clerk.standing.founded:
            return
        if self._clerk.head != self._head:
            self._head = self._clerk.head
            self._compare_again()
        self._ask_what_we_signed()
        for offer in list(self._offers.values()):
            self._answer(now_s, offer)
        self._miss(now_s)
        self._canvass.look(now_s)
        for checkpoint in self.heads.store():
            self._canvass.gained(checkpoint, now_s)
        self.forks.look()

    def next_due(self) -> float | None:
        """When something of this becomes due by itself, UTC seconds, or None; signs of life don't count."""
        late = (each.since_s + LATE_S for each in self._offers.values() if not each.missed)
        times = (self._canvass.next_due(), *late)
        return min((at for at in times if at is not None), default=None)

    def evidence_against(self, keeper: str) -> bool:
        """Whether we hold proof that the present epoch's keeper, of this name, has signed two histories."""
        return self.forks.convict(keeper)

    def proof_against(self, keeper: str) -> bool:
        """Likewise, and others see by it what we see."""
        return self.forks.proven(keeper)

    def stops_jobs(self) -> str:
        """Return why no new job may be taken, or ""."""
        keeper = self._clerk.keeper
        if not self.evidence_against(keeper):
            return ""
        return f"{keeper}, who keeps the ledger, has signed two histories: hansa ledger evidence shows them"

    def keeper_silent_for(self, now_s: float) -> float:
        """Return for how many seconds nothing of the keeper has come; 0 while we could not have heard it."""
        if self._clerk.keeps or now_s < self._online_s + DRAINED_S:
            return 0.0
        return max(0.0, now_s - self._heard.get(self._clerk.keeper, self._began_s))

    def state(self) -> Cosigning:
        """Return how it stands."""
        return Cosigning(self.heads.final, self._canvass.awaited(), self._pledge.silent(), self.forks.count)

    # --- as witness ----------------------------------------------------------------------------------------
    def _take_offer(self, sender: str, encoded: bytes) -> None:
        head = self._take_in(sender, encoded)
        checkpoint, standing = head.checkpoint, self._clerk.standing
        if checkpoint.keeper != sender:
            raise PeerError(f"{sender} asks for names under a head that {checkpoint.keeper} keeps")
        if checkpoint.epoch < standing.epoch:
            told = f"epoch {standing.epoch} of {standing.keeper.name} has begun"
            self._desk.post(SESSION, sender, CosignDeclined(checkpoint.size, standing.epoch, told))
            return
        held = self._offers.get(sender)
        if held is None or _age(held.head) <= _age(head):
            self._offers[sender] = _Offer(head, self._desk.clock())

    def _take_in(self, sender: str, encoded: bytes) -> SignedHead:
        """Check a note, compare it with our copy, and keep it."""
        head = self.heads.read(encoded)
        self._pledge.found(self._desk.changes, head.note)
        match self.heads.place(head.checkpoint):
            case "beyond":
                sound = head.note.encoded()
                self._beyond.pop(sound, None)
                self._beyond[sound] = (sender, self._desk.clock())
                theirs = [note for note, (who, _) in self._beyond.items() if who == sender]
                for note in theirs[:-MOST_BEYOND]:
                    del self._beyond[note]
            case "held":
                self.heads.keep(head)
            case "contradicts":
                if self.forks.shown(sender, head) or self.heads.note(head.checkpoint) is not None:
                    self.heads.keep(head)
        return head

    def _compare_again(self) -> None:
        """Our copy has grown: compare with it what was beyond it."""
        beyond, self._beyond = self._beyond, {}
        for encoded, (sender, since_s) in beyond.items():
            try:
                self._take_in(sender, encoded)
            except BadNote as error:  # we know more by now: another keeps that epoch, or a name is forged
                log.warning("%s: a head that %s told us does not hold: %s", self._desk.name, sender, error)
            if encoded in self._beyond:
                self._beyond[encoded] = (sender, since_s)

    def _answer(self, now_s: float, offer: _Offer) -> None:
        """Put our name to the newest head that a keeper asked us about, once our copy has it."""
        checkpoint = offer.head.checkpoint
        if self.heads.place(checkpoint) == "beyond":
            return
        try:
            self.heads.read(offer.head.note.encoded())
        except BadNote:  # another member keeps that epoch, as our copy shows by now
            del self._offers[checkpoint.keeper]
            return
        if self.evidence_against(checkpoint.keeper):
            self._decline(offer, self.stops_jobs())
            return
        try:
            line = self._pledge.give(self._desk.changes, checkpoint, now_s, self._clerk.store.tree())
        except Unwilling as error:
            self._decline(offer, str(error))
            return
        del self._offers[checkpoint.keeper]
        head = self.heads.read(Note(checkpoint.text, (offer.head.note.signatures[0], line)).encoded())
        self.heads.keep(head)
        told = HeadTold(head.note.encoded())
        self._desk.post(SESSION, checkpoint.keeper, told)
        if checkpoint.text != self._gossiped:
            self._gossiped = checkpoint.text
            for name in self._audience(checkpoint.text):
                self._desk.post(SESSION, name, told)

    def _decline(self, offer: _Offer, reason: str) -> None:
        """Say why we don't; an agent that abstains answers later."""
        checkpoint = offer.head.checkpoint
        if reason != offer.declined:
            offer.declined = reason
            log.warning("%s: does not cosign %s: %s", self._desk.name, checkpoint, reason)
            epoch = max(
                self._clerk.standing.epoch, 0 if self._pledge.newest is None else self._pledge.newest.epoch
            )
            self._desk.post(
                SESSION, checkpoint.keeper, CosignDeclined(checkpoint.size, epoch, reason[:REASON_CHARS])
            )
        if not self._pledge.abstains():
            del self._offers[checkpoint.keeper]

    def _audience(self, text: str) -> list[str]:
        """Return the other witnesses, or some of them, others for each head."""
        others = self._clerk.standing.roster.witnesses.keys() - {self._desk.name}
        drawn = sorted(
            others, key=lambda name: hashlib.sha256(f"{self._desk.name} {name} {text}".encode()).digest()
        )
        return sorted(drawn[:MOST_TOLD])

    def _miss(self, now_s: float) -> None:
        """Ask for the entries of heads beyond our copy, if they have not come by themselves."""
        for offer in self._offers.values():
            if not offer.missed and now_s >= offer.since_s + LATE_S:
                offer.missed = True
                if self.heads.place(offer.head.checkpoint) == "beyond":
                    self._overdue.missed()

    def _ask_what_we_signed(self) -> None:
        """Restored from a backup: ask the others for the newest head that bears our name."""
        for name in self._pledge.silent():
            if name not in self._asked:
                self._asked.add(name)
                self._desk.post(SESSION, name, HeadTold(self.heads.newest(self._desk.name), "asked"))


def _age(head: SignedHead) -> tuple[int, int]:
    return head.checkpoint.epoch, head.checkpoint.size
