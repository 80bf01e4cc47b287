"""How does another member come to keep the ledger? With the names of so many witnesses that nothing final is lost.

Any member may offer itself: when the keeper is gone, or is proven to have signed two histories, or people want it.
It gathers what the witnesses hold of the ledger, proposes its head in a new epoch, and takes over once enough have
put their names to that (`hansa.ledger.roster`). A witness gives its name if its own copy has that head and the head
continues what it has signed before (`pledge`), and if there is a reason: it holds proof against the keeper, it has
heard nothing of it for `[policy] keeper_silence_s`, or a person here approves. Else it is undecided, and may still
agree when one of these comes about.

Messages may come twice, late and in any order: an answer counts for the epoch that it names, and a name under a
head is given as often as it is asked for. Where two offer themselves, no witness gives its name to both in one
epoch; who was refused begins another round, and who has given its name to another waits a while with its own.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from hansa.agents.core.candidacy import SPACE
from hansa.agents.core.candidate import AGAIN_S, REASON_CHARS, Candidate, newest_epoch
from hansa.agents.core.clerk import SESSION, Clerk
from hansa.agents.core.desk import Desk
from hansa.agents.core.journal import Journal
from hansa.agents.core.messages import (
    LedgerFetch,
    SuccessionAnswered,
    SuccessionAsked,
    SuccessionHeld,
    SuccessionProposed,
)
from hansa.agents.core.pledge import Pledge
from hansa.agents.errors import FederationError, Unwilling
from hansa.broker import Identity, PublicIdentity
from hansa.ledger.checkpoints import (
    Checkpoint,
    check_signed,
    read_checkpoint,
)
from hansa.ledger.notes import Note, NoteSignature, read_note
from hansa.protocols import PeerError

_APPROVED = b"approved/"
_PROPOSED = b"proposed/"

Verdict = Literal["agreed", "refused", "undecided"]
SuccessionMessage = SuccessionAsked | SuccessionHeld | SuccessionProposed | SuccessionAnswered

log = logging.getLogger("hansa.agent")


class Grounds(Protocol):
    """What a witness knows of the keeper."""

    def evidence_against(self, keeper: str) -> bool:
        """Whether it is proven to have signed two histories."""
        ...

    def proof_against(self, keeper: str) -> bool:
        """Likewise, and others see by it what we see."""
        ...

    def keeper_silent_for(self, now_s: float) -> float:
        """Return for how many seconds nothing of it has come."""
        ...


@dataclass(slots=True)
class _Proposal:
    """A head at which a member would take over, and that we have not answered for good."""

    checkpoint: Checkpoint
    note: Note
    told: str = ""
    fetched_at: float = -AGAIN_S


@dataclass(frozen=True, slots=True)
class Progress:
    """How it stands with a takeover, for people.

    Attributes:
        keeper, epoch: of the ledger as of our copy's head.
        candidate: whether we want to keep it ourselves; `new_epoch` in which.
        needed: how many witnesses must agree, ourselves included if we are one.
        answered: who has told us what it holds.
        agreed: whose names are under our head.
        undecided, refused: why not, by name.
        silent: who has not answered at all.
        offers: who else wants to keep the ledger and waits for our word, with what is in the way.
        ended: how our last attempt ended; "" if there was none, or it goes on.
    """

    keeper: str
    epoch: int
    candidate: bool
    new_epoch: int
    needed: int
    answered: tuple[str, ...]
    agreed: tuple[str, ...]
    undecided: dict[str, str]
    refused: dict[str, str]
    silent: tuple[str, ...]
    offers: dict[str, str]
    ended: str


class Takeover:
    """An agent's part in a change of keepers, as candidate and as witness.

    Args:
        identity: who signs.
        desk: where messages are left.
        clerk: our side of the ledger.
        pledge: what we have put our name to.
        grounds: what we know of the keeper.
        silence_s: after how long a silence of the keeper we agree by ourselves.
        journal: where it is kept.
    """

    def __init__(
        self,
        identity: Identity,
        desk: Desk,
        clerk: Clerk,
        pledge: Pledge,
        grounds: Grounds,
        silence_s: Callable[[], float],
        journal: Journal,
    ) -> None:
        self._desk = desk
        self._clerk = clerk
        self._pledge = pledge
        self._grounds = grounds
        self._silence_s = silence_s
        self.candidate = Candidate(identity, desk, clerk, pledge, journal)
        self._proposals: dict[str, _Proposal] = {}
        self._approved: dict[str, int] = {}  # the epoch that is to end, by the name of who may end it
        for key, value in journal.load(SPACE).items():
            if key.startswith(_APPROVED):
                self._approved[key.removeprefix(_APPROVED).decode()] = int.from_bytes(value)
            elif key.startswith(_PROPOSED):
                note = read_note(value)
                name = key.removeprefix(_PROPOSED).decode()
                self._proposals[name] = _Proposal(read_checkpoint(note.text), note)

    # --- what a person asks -------------------------------------------------------------------------------
    def approve(self, name: str) -> None:
        """A person here agrees that a member takes over from the present keeper.

        Raises:
            FederationError: it is no active member, or keeps the ledger already.
        """
        standing = self._clerk.standing
        member = standing.members.get(name)
        if member is None or member.status != "active":
            raise FederationError(f"{name!r:.60} is no active member of {standing.charter.federation}")
        if name == self._desk.name:
            raise FederationError("to offer this agent itself as keeper: hansa ledger takeover")
        self._approved[name] = standing.epoch
        self._desk.changes.put(SPACE, _APPROVED + name.encode(), standing.epoch.to_bytes(8))
        log.warning("%s: a person approves that %s keeps the ledger", self._desk.name, name)

    def abandon(self) -> None:
        """A person here gives up what we hold and have signed of the keeper's history, down to what is final.

        Needed where the witnesses were shown different histories and too few can agree to one head. From then on we
        take entries from other members alone, who hold the history at which one of them is to take over.

        Raises:
            FederationError: the keeper is not proven to have signed two histories, or it is ourselves; or we have
                put our name to a later epoch.
        """
        keeper, changes = self._clerk.keeper, self._desk.changes
        if self._clerk.keeps or not self._grounds.proof_against(keeper):
            raise FederationError(
                f"nothing is abandoned: {self._desk.name} holds no proof that {keeper} has signed two histories"
            )
        final = self._clerk.replica.final
        try:
            self._pledge.abandon(changes, self._clerk.standing.epoch, final)
        except Unwilling as error:
            raise FederationError(f"nothing is abandoned: {error}") from None
        self._clerk.cut_back(changes, 1 if final is None else final.size)
        log.warning(
            "%s: a person abandons what %s has shown us beyond %s", self._desk.name, keeper, self._clerk.head
        )

    @property
    def passes_over_keeper(self) -> bool:
        """Whether entries of the present keeper are of a history that we have abandoned."""
        return self._pledge.abandoned == self._clerk.standing.epoch

    def progress(self) -> Progress:
        """Return how it stands."""
        standing, mine = self._clerk.standing, self.candidate.mine
        agreed = () if mine is None else self.candidate.agreed(mine)
        heard = set(agreed) if mine is None else {*agreed, *mine.held, *mine.undecided, *mine.refused}
        others = standing.roster.witnesses.keys() - {self._desk.name}
        return Progress(
            keeper=standing.keeper.name,
            epoch=standing.epoch,
            candidate=mine is not None,
            new_epoch=0 if mine is None else mine.epoch,
            needed=standing.roster.needed_to_succeed,
            answered=() if mine is None else tuple(sorted(mine.held)),
            agreed=agreed,
            undecided={} if mine is None else dict(mine.undecided),
            refused={} if mine is None else dict(mine.refused),
            silent=() if mine is None else tuple(sorted(others - heard)),
            offers={name: each.told or "is looked at" for name, each in sorted(self._proposals.items())},
            ended=self.candidate.ended,
        )

    @property
    def under_way(self) -> bool:
        """Whether we want to keep the ledger, and do not yet."""
        return self.candidate.mine is not None

    # --- what others say ----------------------------------------------------------------------------------
    def received(self, sender: str, message: SuccessionMessage) -> None:
        """Take in what a member says about a change of keepers.

        Raises:
            LedgerError: it is not sound.
            PeerError: it is not the sender's to say.
        """
        match message:
            case SuccessionAsked(_, size, reason):
                self._require_eligible(sender)
                log.warning("%s: %s wants to keep the ledger: %.200s", self._desk.name, sender, reason or "-")
                self._clerk.tell(sender, size)
                epoch = max(self._clerk.standing.epoch, self._pledged_epoch())
                self._desk.post(SESSION, sender, SuccessionHeld(epoch, self._clerk.head.size))
            case SuccessionHeld(epoch, size):
                self.candidate.held(sender, epoch, size)
            case SuccessionProposed(note):
                self._proposed(sender, read_note(note))
            case SuccessionAnswered():
                self.candidate.answered(sender, message)

    # --- each step ----------------------------------------------------------------------------------------
    def look(self, now_s: float) -> None:
        """Do what is due, as witness and as candidate."""
        if not self._clerk.standing.founded:
            return
        for name, proposal in list(self._proposals.items()):
            self._consider(now_s, name, proposal)
        self.candidate.look(now_s)

    def next_due(self) -> float | None:
        """When something of this becomes due by itself, UTC seconds, or None."""
        times = (*(each.fetched_at + AGAIN_S for each in self._proposals.values()), self.candidate.next_due())
        return min((at for at in times if at is not None), default=None)

    # --- as witness ---------------------------------------------------------------------------------------
    def _proposed(self, sender: str, note: Note) -> None:
        public = self._require_eligible(sender)
        checkpoint, standing = read_checkpoint(note.text), self._clerk.standing
        if (checkpoint.origin, checkpoint.keeper) != (standing.roster.origin, sender):
            raise PeerError(f"{sender} proposes {checkpoint}, which is not its own head of this ledger")
        lines = [line for line in note.signatures if line.name == checkpoint.origin]
        check_signed(
            checkpoint, lines[0] if lines else NoteSignature(checkpoint.origin, bytes(4), b"-"), public
        )
        if checkpoint.epoch <= standing.epoch:
            reason = f"epoch {standing.epoch} of {standing.keeper.name} has begun"
            self._answer(sender, checkpoint, "refused", reason)
            return
        if checkpoint.epoch > newest_epoch(self._desk.clock()):
            self._answer(sender, checkpoint, "refused", f"epoch {checkpoint.epoch} is too high")
            return
        held = self._proposals.get(sender)
        if held is None or held.checkpoint.epoch <= checkpoint.epoch:
            short = Note(note.text, (lines[0],))
            self._proposals[sender] = _Proposal(checkpoint, short)
            self._desk.changes.put(SPACE, _PROPOSED + sender.encode(), short.encoded())

    def _consider(self, now_s: float, name: str, proposal: _Proposal) -> None:
        """Answer a proposal, for good if we can."""
        checkpoint, standing = proposal.checkpoint, self._clerk.standing
        if checkpoint.epoch <= standing.epoch:
            self._drop_proposal(name)
            return
        if checkpoint.size > self._clerk.head.size:
            if now_s >= proposal.fetched_at + AGAIN_S:
                proposal.fetched_at = now_s
                self._desk.post(SESSION, name, LedgerFetch(self._clerk.head.size))
            return
        proposal.fetched_at = now_s
        why_not = self._why_not(now_s, name)
        if why_not or self._pledge.abstains():
            self._say_undecided(name, proposal, why_not or "restored from a backup, and does not sign yet")
            return
        try:
            line = self._pledge.give(self._desk.changes, checkpoint, now_s, self._clerk.store.tree())
        except Unwilling as error:
            self._answer(name, checkpoint, "refused", str(error))
        else:
            note = Note(checkpoint.text, (*proposal.note.signatures, line))
            self._answer(name, checkpoint, "agreed", "", note)
            self.candidate.yield_to_another(now_s)
            log.warning("%s: agrees that %s keeps the ledger: %s", self._desk.name, name, checkpoint)
        self._drop_proposal(name)

    def _why_not(self, now_s: float, name: str) -> str:
        """Return why we do not agree by ourselves, or ""."""
        keeper = self._clerk.keeper
        if self._grounds.evidence_against(keeper):
            return f"{name} has signed two histories" if name == keeper else ""
        if name == keeper or self._approved.get(name) == self._clerk.standing.epoch:
            return ""
        silent_s = self._grounds.keeper_silent_for(now_s)
        if silent_s >= self._silence_s():
            return ""
        return f"{keeper} was heard of within {self._silence_s():g} s, and nobody at {self._desk.name} has approved"

    def _say_undecided(self, name: str, proposal: _Proposal, reason: str) -> None:
        if reason == proposal.told:
            return
        proposal.told = reason
        log.warning(
            "%s: %s wants to keep the ledger; not agreed: %s; to agree: hansa ledger takeover --approve %s",
            self._desk.name,
            name,
            reason,
            name,
        )
        self._desk.announce("takeover-asked", candidate=name)
        self._answer(name, proposal.checkpoint, "undecided", reason)

    def _drop_proposal(self, name: str) -> None:
        del self._proposals[name]
        self._desk.changes.drop(SPACE, _PROPOSED + name.encode())

    def _answer(
        self, name: str, checkpoint: Checkpoint, verdict: Verdict, reason: str, note: Note | None = None
    ) -> None:
        shown = b"" if note is None else note.encoded()
        answer = SuccessionAnswered(checkpoint.epoch, verdict, shown, reason[:REASON_CHARS])
        self._desk.post(SESSION, name, answer)

    def _require_eligible(self, sender: str) -> PublicIdentity:
        """Return the keys of somebody who may keep the ledger; PeerError if it may not."""
        member = self._clerk.standing.members.get(sender)
        if member is None or member.status != "active":
            raise PeerError(f"{sender} is no active member, and can't keep the ledger")
        return member.public

    def _pledged_epoch(self) -> int:
        return 0 if self._pledge.newest is None else self._pledge.newest.epoch
