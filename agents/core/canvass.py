"""How does the keeper come by the others' names? It shows witnesses the newest head, and tells all what is final.

It asks after every entry that others build on (who is a member, what came of a job, who is paid), and every ten
minutes: for what else the ledger has gained, and as a sign of life. What it asks about lies in its database, with
all the entries of the step; whoever was away is asked about the newest head like everybody else, so nothing is left
to make good after an outage but that.
"""

import logging
from dataclasses import dataclass

from hansa.agents.core.clerk import SESSION, Clerk
from hansa.agents.core.desk import Desk
from hansa.agents.core.heads import Heads, SignedHead
from hansa.agents.core.messages import CosignAsked, CosignDeclined, HeadTold
from hansa.broker import Identity
from hansa.ledger import read_entry
from hansa.ledger.checkpoints import Checkpoint, sign_checkpoint
from hansa.ledger.notes import Note

ASK_PAUSE_S = 600.0  # between two questions; as long as a keeper that lives may seem silent
TELL_PAUSE_S = 5.0  # names that come after a head is final are told several at once
PATIENCE_S = 60.0  # a head that is not final after this is worth a line in the log,
MOST_PATIENCE_S = 3_600.0  # which comes again ever more rarely
REASON_CHARS = 500
MOST_READ = 4_096  # entries; after more than these one asks without looking what they are
ASKED_ABOUT = frozenset(
    {
        "charter",
        "keeper-changed",
        "member-admitted",
        "member-suspended",
        "member-left",
        "key-rotated",
        "key-revoked",
        "job-finished",
        "job-aborted",
        "contribution-measured",
        "model-used",  # a payout rests on it
        "payout-proposed",
        "payout-approved",
        "payout-held",
        "payout-disputed",
        "payout-released",
        "payout-withdrawn",
        "payout-settled",
    }
)

log = logging.getLogger("hansa.agent")


@dataclass(frozen=True, slots=True)
class Awaited:
    """What the newest head lacks to be final.

    Attributes:
        named: who has put its name to it.
        needed: how many must.
        missing: the other witnesses, with the reason if one has declined.
        attainable: whether there are as many witnesses as are needed.
    """

    named: tuple[str, ...]
    needed: int
    missing: tuple[str, ...]
    attainable: bool

    def __str__(self) -> str:
        if not self.attainable:
            members = len(self.named) + len(self.missing)
            return f"{members} member{'s' * (members != 1)} beside the keeper, and {self.needed} are needed"
        return f"{len(self.named)} of {self.needed} names, waiting for {', '.join(self.missing)}"


class Canvass:
    """The keeper's side of cosigning; for everybody else, nothing.

    Args:
        identity: who signs.
        desk: where messages are left.
        clerk: our side of the ledger.
        heads: the signed heads that we know.
    """

    def __init__(self, identity: Identity, desk: Desk, clerk: Clerk, heads: Heads) -> None:
        self._identity = identity
        self._desk = desk
        self._clerk = clerk
        self._heads = heads
        self._asked: Checkpoint | None = None  # the newest that we have asked about in this life
        self._asked_at = 0.0
        self._unnamed_since = 0.0  # since when we wait for a head to be final
        self._warn_at = 0.0
        self._warn_pause_s = PATIENCE_S
        self._looked = 0  # entries whose kinds we have looked at
        self._urgent = True  # after a restart: whoever has not answered is asked again
        self._told_final = 0
        self._to_tell: Checkpoint | None = None
        self._tell_at: float | None = None
        self._declined: dict[str, str] = {}

    def look(self, now_s: float) -> None:
        """Ask if it is time, and say what is not final."""
        if not self._keeps():
            self._urgent = True  # once we do
            return
        self._urgent = self._urgent or self._asked_about()
        self._looked = self._clerk.head.size
        pushed = self._clerk.next_due() is None  # else the witnesses would get the head before its entries
        if (self._urgent and pushed) or now_s >= self._asked_at + ASK_PAUSE_S:
            self._ask(now_s)
        if self._tell_at is not None and now_s >= self._tell_at:
            self._tell()
        self._warn(now_s)

    def next_due(self) -> float | None:
        """When names are told that have come since a head was final, UTC seconds, or None."""
        return self._tell_at if self._keeps() else None

    def declined(self, sender: str, message: CosignDeclined) -> None:
        """A witness does not put its name to a head of ours, and says why."""
        reason = message.reason[:REASON_CHARS]
        if self._clerk.keeps and self._declined.get(sender) != reason:
            self._declined[sender] = reason
            log.warning(
                "%s: %s does not cosign the ledger's %d entries: %s",
                self._desk.name,
                sender,
                message.size,
                reason,
            )

    def gained(self, checkpoint: Checkpoint, now_s: float) -> None:
        """A head has gained names; tell all members if it is final now, and later what came after that."""
        final = self._heads.final
        if not self._ours(checkpoint) or final is None or checkpoint.size > final.checkpoint.size:
            return
        if checkpoint.size > self._told_final:
            self._told_final, self._to_tell = checkpoint.size, checkpoint
            log.info("%s: final: %s", self._desk.name, checkpoint)
            self._tell()
        elif checkpoint.size == self._told_final:
            self._to_tell = checkpoint
            self._tell_at = self._tell_at or now_s + TELL_PAUSE_S

    def awaited(self) -> Awaited | None:
        """Return what the head we asked about lacks to be final; None: nothing, or there is nobody to ask."""
        if self._asked is None or not self._clerk.keeps:
            return None
        final = self._heads.final
        if final is not None and final.checkpoint.size >= self._asked.size:
            return None
        roster = self._clerk.standing.roster_at(self._asked.size)
        named = tuple(each.member for each in self._heads.cosigned(self._asked))
        missing = tuple(sorted(roster.witnesses.keys() - set(named)))
        return Awaited(named, roster.needed, tuple(map(self._why, missing)), roster.attainable)

    def _asked_about(self) -> bool:
        """Whether the ledger has gained an entry that the others build on."""
        size = self._clerk.head.size
        if size - self._looked > MOST_READ:
            return True
        gained = self._clerk.store.read(self._looked, size) if size > self._looked else ()
        return any(read_entry(each.signed).kind in ASKED_ABOUT for each in gained)

    def _ask(self, now_s: float) -> None:
        standing = self._clerk.standing
        checkpoint, roster = standing.head_checkpoint(), standing.roster
        self._urgent, self._asked_at = False, now_s
        if not roster.witnesses:
            return
        if checkpoint != self._asked:
            self._asked, self._unnamed_since = checkpoint, now_s
            self._declined.clear()
        note = Note(checkpoint.text, (sign_checkpoint(self._identity, checkpoint),))
        self._heads.keep(SignedHead(checkpoint, note, ()))
        for name in sorted(roster.witnesses):
            self._desk.post(SESSION, name, CosignAsked(note.encoded()))

    def _tell(self) -> None:
        self._tell_at = None
        note = None if self._to_tell is None else self._heads.note(self._to_tell)
        if note is not None:
            for name in sorted(self._clerk.standing.roster.witnesses):
                self._desk.post(SESSION, name, HeadTold(note.encoded()))

    def _warn(self, now_s: float) -> None:
        if now_s < max(self._warn_at, self._unnamed_since + PATIENCE_S):
            return
        awaited = self.awaited()
        if awaited is None:
            self._warn_pause_s = PATIENCE_S
            return
        log.warning("%s: the ledger's newest head is not final: %s", self._desk.name, awaited)
        self._warn_at = now_s + self._warn_pause_s
        self._warn_pause_s = min(2 * self._warn_pause_s, MOST_PATIENCE_S)

    def _keeps(self) -> bool:
        """Whether we keep the ledger, and know all of it."""
        return self._clerk.keeps and self._clerk.standing.founded and self._clerk.catching_up is None

    def _ours(self, checkpoint: Checkpoint) -> bool:
        standing = self._clerk.standing
        return self._clerk.keeps and (checkpoint.epoch, checkpoint.keeper) == (
            standing.epoch,
            self._identity.name,
        )

    def _why(self, name: str) -> str:
        reason = self._declined.get(name)
        return name if reason is None else f"{name} ({reason})"
