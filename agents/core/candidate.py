"""How does this agent become keeper of the ledger? It asks what the others hold, proposes its head, and takes over.

Those that have not answered are asked again; after a refusal, another round begins in a later epoch; and after an
hour it gives up. Nobody else's consent is needed to begin, and nothing is lost by it: what the present keeper
chains meanwhile counts unless enough witnesses agree to another head (`takeover`).
"""

import hashlib
import logging

from hansa.agents.core import candidacy
from hansa.agents.core.candidacy import Candidacy
from hansa.agents.core.clerk import SESSION, Clerk
from hansa.agents.core.desk import Desk
from hansa.agents.core.journal import Journal
from hansa.agents.core.messages import SuccessionAnswered, SuccessionAsked, SuccessionProposed
from hansa.agents.core.pledge import Pledge
from hansa.agents.errors import FederationError, Unwilling
from hansa.broker import Identity
from hansa.ledger import BadNote, KeeperChanged, LedgerError, NotFinal
from hansa.ledger.checkpoints import Checkpoint, check_cosigned, read_checkpoint, sign_checkpoint
from hansa.ledger.notes import Note, read_note
from hansa.protocols import PeerError

AGAIN_S = 30.0  # after which those that have not answered are asked again
SPREAD_S = 10.0  # and so much later at the most, by name: two candidates should not keep step
PATIENCE_S = 3_600.0  # then a candidate gives up
YIELD_S = 90.0  # one that has given its name to another waits so long with its next round
REASON_CHARS = 400

log = logging.getLogger("hansa.agent")


def newest_epoch(now_s: float) -> int:
    """Return the highest epoch that a witness gives its name to: one for each second since 1970, UTC.

    Epochs rise by one with every round, and a round takes longer. Without a bound that a single member can't use
    up, it could have the others put their names to the last epoch of all, after which nobody could keep the ledger.
    """
    return int(now_s)


class Candidate:
    """An agent's wish to keep the ledger, if it has one.

    Args:
        identity: who signs.
        desk: where messages are left.
        clerk: our side of the ledger.
        pledge: what we have put our name to.
        journal: where it is kept.

    Attributes:
        mine: how far it has come; None: we want nothing.
        ended: how the last attempt ended; "" if there was none, or it goes on, or we took over.
    """

    def __init__(
        self, identity: Identity, desk: Desk, clerk: Clerk, pledge: Pledge, journal: Journal
    ) -> None:
        self._identity = identity
        self._desk = desk
        self._clerk = clerk
        self._pledge = pledge
        self.mine = candidacy.load(journal)
        self.ended = ""
        self._ask_at = 0.0  # after a restart: at once
        self._grown = (-1, 0.0)  # the size of our copy, and since when
        self._yield_until = 0.0

    def begin(self, reason: str) -> None:
        """Offer ourselves as keeper; it begins with this step. An attempt under way goes on.

        Raises:
            FederationError: we can't be, and why.
        """
        if self.mine is not None:
            return
        self._check_eligible()
        self.ended = ""
        now_s = self._desk.clock()
        self._grown = (-1, now_s)
        epoch = max(self._clerk.standing.epoch, self._pledge_epoch()) + 1
        self.mine = Candidacy(epoch, int(now_s * 1000), reason[:REASON_CHARS])
        self.mine.save(self._desk.changes)
        self._ask_at = now_s
        log.warning("%s: wants to keep the ledger in epoch %d: %s", self._desk.name, epoch, reason or "-")

    def give_up(self, reason: str) -> None:
        """Want to keep the ledger no longer, if we did."""
        if self.mine is not None:
            self._end(f"given up: {reason}")

    def yield_to_another(self, now_s: float) -> None:
        """We have given our name to another: wait a while with our next round."""
        self._yield_until = now_s + YIELD_S

    def next_due(self) -> float | None:
        """When those that have not answered are asked again, UTC seconds, or None."""
        return None if self.mine is None else self._ask_at

    def look(self, now_s: float) -> None:
        """Do what is due."""
        mine = self.mine
        if mine is None or self._over(mine, now_s):
            return
        if mine.number >= 0:
            self._take_over(mine)
        elif mine.note:
            self._write(mine, now_s)
        else:
            self._propose(mine, now_s)
        if self.mine is mine and now_s >= self._ask_at:
            self._ask(mine, now_s)

    # --- as candidate -------------------------------------------------------------------------------------
    def _check_eligible(self) -> None:
        name, standing = self._desk.name, self._clerk.standing
        member = standing.members.get(name)
        if member is None or member.status != "active":
            status = "no member" if member is None else member.status
            raise FederationError(f"{name} is {status}: only an active member can keep the ledger")
        if self._pledge.abstains():
            raise FederationError(
                f"{name} was restored from a backup, and waits for what"
                f" {', '.join(self._pledge.silent())} know of the ledger: try again then"
            )
        roster = standing.roster
        if len(roster.witnesses) < roster.needed_to_succeed:
            raise FederationError(
                f"a change of keepers needs {roster.needed_to_succeed} members beside the keeper, and there"
                f" {'is' if len(roster.witnesses) == 1 else 'are'} {len(roster.witnesses)}; one alone can take"
                " over only if the charter names it as successor (hansa federation create --successor)"
            )

    def _over(self, mine: Candidacy, now_s: float) -> bool:
        """Whether there is nothing left to do: we keep the ledger, another does, or it takes too long."""
        standing = self._clerk.standing
        if standing.epoch >= mine.epoch:
            ours = standing.keeper.name == self._desk.name
            self._end("" if ours else f"{standing.keeper.name} has taken over", taken=ours)
        elif now_s >= mine.since_ms / 1000 + PATIENCE_S:
            missing = sorted(standing.roster.witnesses.keys() - {*self.agreed(mine), self._desk.name})
            self._end(f"given up after {PATIENCE_S / 60:.0f} minutes without enough of: {', '.join(missing)}")
        return self.mine is not mine

    def _end(self, reason: str, taken: bool = False) -> None:
        mine = self.mine
        assert mine is not None  # somebody wants to
        self.mine, self.ended = None, reason
        candidacy.drop(self._desk.changes)
        self._clerk.withdraw(self._desk.changes)
        if taken:
            log.warning("%s: keeps the ledger in epoch %d", self._desk.name, self._clerk.standing.epoch)
        else:
            log.warning("%s: does not take over the ledger: %s", self._desk.name, reason)
            self._desk.announce("takeover-ended", reason=reason)

    def _ask(self, mine: Candidacy, now_s: float) -> None:
        """Ask those that have not answered; after a refusal, begin another round."""
        digest = hashlib.sha256(f"{self._desk.name} {mine.epoch}".encode()).digest()
        self._ask_at = now_s + AGAIN_S + SPREAD_S * digest[0] / 255
        if mine.number < 0 and mine.refused and now_s >= self._yield_until:
            mine.begin_round(max(mine.epoch, self._clerk.standing.epoch, self._pledge_epoch()) + 1)
            mine.save(self._desk.changes)
        agreed = self.agreed(mine)
        for name in sorted(self._clerk.standing.roster.witnesses):
            if name == self._desk.name or name in agreed:
                continue
            if mine.note:
                self._desk.post(SESSION, name, SuccessionProposed(mine.note))
            elif mine.held.get(name) != self._clerk.head.size:
                self._desk.post(
                    SESSION, name, SuccessionAsked(mine.epoch, self._clerk.head.size, mine.reason)
                )

    def held(self, sender: str, epoch: int, size: int) -> None:
        """A witness has told how much it holds, and to which epoch it has put its name.

        Raises:
            PeerError: an epoch that nobody who follows the rules can have put its name to.
        """
        mine = self.mine
        if mine is None or mine.note or sender not in self._clerk.standing.roster.witnesses:
            return
        if epoch > newest_epoch(self._desk.clock()):
            raise PeerError(f"{sender} says that it has put its name to epoch {epoch}, which is too high")
        # What the others hold stays true: who names ever higher epochs shall not have us begin anew each time.
        mine.epoch = max(mine.epoch, epoch + 1)
        mine.held[sender] = size
        mine.save(self._desk.changes)

    def outranks(self, epoch: int | None) -> bool:
        """Whether another's takeover must wait: our own proposal is of a later epoch, and may have enough names.

        Of two takeovers the later epoch counts. Who has put its name to ours serves no lower one, so nothing could
        be final any more if we gave ours up for it.
        """
        return (
            epoch is not None and self.mine is not None and bool(self.mine.note) and epoch < self.mine.epoch
        )

    def parted(self, sender: str) -> None:
        """What a witness has sent does not continue our copy: don't wait for what else it says that it holds."""
        if self.mine is not None and sender in self.mine.held:
            self.mine.held[sender] = min(self.mine.held[sender], self._clerk.head.size)
            self.mine.save(self._desk.changes)

    def _propose(self, mine: Candidacy, now_s: float) -> None:
        """Propose our head, once enough have told what they hold and we hold all of that."""
        standing, size = self._clerk.standing, self._clerk.head.size
        roster = standing.roster
        answered = mine.held.keys() & roster.witnesses.keys()
        if len(answered | ({self._desk.name} & roster.witnesses.keys())) < roster.needed_to_succeed:
            return
        if size != self._grown[0]:
            self._grown = (size, now_s)
        if any(mine.held[name] > size for name in answered) and now_s < self._grown[1] + AGAIN_S:
            return  # its entries are on their way; but whoever only says that it has some must not hold us up
        head = standing.head_checkpoint()
        checkpoint = Checkpoint(
            head.federation, head.fingerprint, size, head.root, mine.epoch, self._desk.name
        )
        try:
            line = self._pledge.give(self._desk.changes, checkpoint, now_s, self._clerk.store.tree())
        except Unwilling as error:
            self._refuse(mine, str(error))
            return
        mine.note = Note(checkpoint.text, (sign_checkpoint(self._identity, checkpoint), line)).encoded()
        mine.save(self._desk.changes)
        self._ask_at = now_s

    def answered(self, sender: str, message: SuccessionAnswered) -> None:
        """A witness has answered our proposal; BadNote if it shows another's name, or another head."""
        mine, reason = self.mine, message.reason[:REASON_CHARS]
        if mine is None or message.epoch != mine.epoch or not mine.note or mine.number >= 0:
            return
        if message.verdict == "agreed":
            self._add_name(mine, sender, read_note(message.note))
        elif message.verdict == "undecided":
            mine.undecided[sender] = reason
        else:
            mine.undecided.pop(sender, None)
            mine.refused[sender] = reason
        mine.save(self._desk.changes)

    def _add_name(self, mine: Candidacy, sender: str, shown: Note) -> None:
        """Put a witness's name under our head; BadNote if it is none."""
        note = read_note(mine.note)
        checkpoint = read_checkpoint(note.text)
        member = self._clerk.standing.members[sender]
        lines = [line for line in shown.signatures if line.name == checkpoint.cosigner(sender)]
        if shown.text != note.text or not lines:
            raise BadNote(f"{sender} agreed to another head than ours, or did not sign it")
        check_cosigned(checkpoint, lines[0], member.public)
        mine.undecided.pop(sender, None)
        mine.refused.pop(sender, None)
        if not any(line.name == lines[0].name for line in note.signatures):
            mine.note = Note(note.text, (*note.signatures, lines[0])).encoded()

    def agreed(self, mine: Candidacy) -> tuple[str, ...]:
        """Return whose names are under our head, ourselves among them."""
        if not mine.note:
            return ()
        note = read_note(mine.note)
        checkpoint = read_checkpoint(note.text)
        return tuple(each.member for each in self._clerk.standing.roster.cosignatures(checkpoint, note))

    def _write(self, mine: Candidacy, now_s: float) -> None:
        """Sign the entry that says we take over, once enough have agreed; it is chained in a later step."""
        try:
            self._clerk.standing.roster.check_succession(read_note(mine.note))
        except NotFinal:
            return
        except BadNote as error:  # members have changed since
            self._refuse(mine, str(error))
            return
        mine.number = self._clerk.draw_up(self._desk.changes, now_s, KeeperChanged(mine.note))
        mine.save(self._desk.changes)

    def _refuse(self, mine: Candidacy, reason: str) -> None:
        """Note once why we can't agree to our own head; another round begins later."""
        if mine.refused.get(self._desk.name) != reason:
            mine.refused[self._desk.name] = reason
            mine.save(self._desk.changes)

    def _take_over(self, mine: Candidacy) -> None:
        checkpoint = read_checkpoint(read_note(mine.note).text)
        try:
            self._clerk.take_over(mine.number, checkpoint)
        except LedgerError as error:  # members have changed since, say: our copy is as it was
            self._end(f"our copy of the ledger does not take it: {error}")

    def _pledge_epoch(self) -> int:
        return 0 if self._pledge.newest is None else self._pledge.newest.epoch
