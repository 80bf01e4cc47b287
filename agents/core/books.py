"""What does an agent do when entries of the ledger come, or are asked for? As keeper, and as member.

A keeper chains what members send, once in every step. A member stores what it is sent, and tells its jobs what has
become of their entries. One whose copy is not continued by what comes asks the sender for what lies before: its own
end, or where another keeper's chain may part from it.
"""

import logging
from collections.abc import Callable, Iterable

from hansa.agents.admission.registrar import Registrar
from hansa.agents.core import coordination
from hansa.agents.core.belonging import Belonging
from hansa.agents.core.clerk import SESSION, Chained, Clerk, Declined, Outcome
from hansa.agents.core.deliveries import Mail, chained_entries
from hansa.agents.core.desk import Desk
from hansa.agents.core.former_life import FormerLife
from hansa.agents.core.machines import Machines
from hansa.agents.core.messages import (
    LedgerAppend,
    LedgerEntries,
    LedgerFetch,
    LedgerHeld,
    LedgerRefused,
)
from hansa.agents.core.overdue import Overdue
from hansa.agents.core.parting import Parting
from hansa.agents.core.takeover import Takeover
from hansa.agents.core.witness import Witness
from hansa.ledger import BadEntry, Behind, ChainedEntry, ForkFound, LedgerError, SignedEntry
from hansa.protocols import PeerError

BookMessage = LedgerAppend | LedgerEntries | LedgerHeld | LedgerRefused | LedgerFetch

log = logging.getLogger("hansa.agent")


class Books:
    """The ledger's traffic.

    Args:
        desk: where messages are left.
        clerk: our side of the ledger.
        belonging: whether we take part.
        machines: the jobs.
        former_life: what is left to do after a restoration.
        overdue: asks for what is missing.
        witness: what proves a fork.
        takeover: our part in a change of keepers.
        registrar: who is told of refused admissions, if anybody.
    """

    def __init__(
        self,
        desk: Desk,
        clerk: Clerk,
        belonging: Belonging,
        machines: Machines,
        former_life: FormerLife,
        overdue: Overdue,
        witness: Witness,
        takeover: Takeover,
        registrar: Callable[[], Registrar | None],
    ) -> None:
        self._desk = desk
        self._clerk = clerk
        self._belonging = belonging
        self._machines = machines
        self._former_life = former_life
        self._overdue = overdue
        self._witness = witness
        self._takeover = takeover
        self._registrar = registrar
        self._parting = Parting(lambda entries: clerk.replica.epoch_begun(entries) is not None)
        self._appends: list[tuple[str, SignedEntry]] = []  # what members sent, to be chained in this step

    def received(self, sender: str, message: BookMessage) -> None:
        """Take in what a member says of the ledger's entries.

        Raises:
            LedgerError: it is not sound.
            PeerError: it is not the sender's to say, or not ours to answer.
        """
        keeps = self._clerk.keeps
        match message:
            case LedgerAppend(rows):
                if keeps:
                    self._appends.extend((sender, SignedEntry(row.signed, row.signature)) for row in rows)
                else:
                    self._require_founding(f"{sender} sent entries to us")
            case LedgerEntries() if keeps:
                self._accept(sender, chained_entries(message))
            case LedgerEntries():
                self._accept(sender, self._parting.join(sender, chained_entries(message)))
            case LedgerHeld(size) if keeps:
                self._clerk.held(self._desk.changes, sender, size)
            case LedgerHeld():
                if sender == self._clerk.keeper:
                    self._former_life.settle()
                self._accept(sender, self._parting.rest(sender))
            case LedgerRefused():
                if sender != self._clerk.keeper:
                    self._require_founding(f"{sender} refused an entry")
                else:
                    self.note(self._clerk.declined(self._desk.changes, message))
            case LedgerFetch(start) if self._takeover.under_way and not keeps:
                self._clerk.tell(sender, start)
            case LedgerFetch(start):
                self._clerk.fetch(self._desk.changes, sender, start)

    def begin_anew(self) -> None:
        """Another keeps the ledger from here on: authors send it what we have not chained."""
        self._appends = []

    def chain(self) -> None:
        """As keeper: chain what members sent, and our own entries of earlier, committed steps."""
        if self._clerk.catching_up is not None:
            return  # on top of what we have forgotten, it would be a second history
        batch = [*((self._desk.name, entry) for entry in self._clerk.due_drafts()), *self._appends]
        self._appends = []
        if not batch:
            return
        senders, entries = zip(*batch, strict=True)
        for outcome in self._clerk.chain(self._desk.changes, self._desk.clock(), entries, senders):
            if isinstance(outcome, Mail):
                self._desk.post(SESSION, outcome.recipient, outcome.message)
            else:
                self.note([outcome])

    def note(self, outcomes: Iterable[Outcome]) -> None:
        """Tell a job what became of the entries that were written about it."""
        for outcome in outcomes:
            match outcome:
                case Chained(session, kind):
                    self._desk.announce("entry-chained", entry=kind)
                    self._machines.tell_job(session, coordination.Receipted(kind))
                case Declined(session, kind, reason):
                    log.error("%s: the keeper refused our %s entry: %s", self._desk.name, kind, reason)
                    registrar = self._registrar()
                    if registrar is not None:
                        registrar.declined(session, reason)
                    self._machines.tell_job(session, coordination.EntryRefused(kind, reason))

    # --- entries that come ---------------------------------------------------------------------------------
    def _accept(self, sender: str, entries: tuple[ChainedEntry, ...]) -> None:
        """Store entries; what is no continuation of our copy is asked for from where it may part from that."""
        keeps, changes = self._clerk.keeps, self._desk.changes
        if not entries or (sender == self._clerk.keeper and self._takeover.passes_over_keeper):
            return
        if not keeps and self._takeover.candidate.outranks(self._clerk.replica.epoch_begun(entries)):
            self._overdue.missed(sender)
            return
        try:
            self.note((self._clerk.adopt if keeps else self._clerk.accept)(changes, entries))
            self._heed_own_standing()
        except Behind as error:
            # A restored backup, or a new keeper's chain that parts from ours earlier: ask for what lies before.
            start = error.expected_index
            if keeps or start < self._clerk.head.size:
                self._parting.expect(sender, start)
                self._desk.post(SESSION, sender, LedgerFetch(start))
            self._overdue.missed(sender, start if start < self._clerk.head.size else None)
        except LedgerError as error:
            self._takeover.candidate.parted(sender)
            if isinstance(error, ForkFound):
                self._fork_found(error, entries)
            elif isinstance(error, BadEntry) and not keeps:
                self._look_for_parting(sender, entries)
            raise

    def _look_for_parting(self, sender: str, entries: tuple[ChainedEntry, ...]) -> None:
        """Ask for what lies before entries that don't continue our copy: we may have missed a takeover."""
        start = self._clerk.replica.parting_of(entries)
        convicted = self._witness.evidence_against(self._clerk.keeper)
        if start is not None and not (convicted and sender == self._clerk.keeper):
            self._parting.expect(sender, start)
            self._overdue.missed(sender, start)

    def _fork_found(self, error: ForkFound, entries: tuple[ChainedEntry, ...]) -> None:
        log.critical("%s: the keeper has signed two histories: %s", self._desk.name, error)
        self._desk.announce("fork-found", index=error.index, ours=error.ours, theirs=error.theirs)
        self._witness.forks.receipts(entries, error.index)

    def _heed_own_standing(self) -> None:
        """Leave every job once the ledger says that we take part no more."""
        objection = self._belonging.news()
        if objection == "":
            self._overdue.reinstated(self._desk.clock())
        if objection:
            for job in self._machines.open_jobs():
                self._machines.tell_job(job, coordination.Cancel(objection))

    def _require_founding(self, what: str) -> None:
        """Pass over what is only late, where the keeper has changed; PeerError where it never did."""
        keeper = self._clerk.keeper
        if self._clerk.standing.epoch == 0:
            raise PeerError(f"{what}, but {keeper} keeps the ledger")
        log.info("%s: %s, but %s keeps the ledger now", self._desk.name, what, keeper)
