"""What does an agent look after once a minute? What nobody asks for any more, and what should have come."""

import logging

from hansa.agents.admission.registrar import Registrar, load_invitations
from hansa.agents.core.clerk import Clerk
from hansa.agents.core.desk import Desk
from hansa.agents.core.forgetting import Forgetting
from hansa.agents.core.former_life import FormerLife
from hansa.agents.core.intake import Intake
from hansa.agents.core.journal import Journal
from hansa.agents.core.machines import Machines
from hansa.agents.core.messages import OWN_SESSIONS
from hansa.agents.core.outbox import Outbox
from hansa.broker.layout import is_door

log = logging.getLogger("hansa.agent")

HOUSEKEEPING_S = 60.0
GAP_S = 60.0  # a message that others wait behind for so long is reported


class Housekeeping:
    """Keeps an agent's journal small, and tells what is missing.

    Args:
        registrar: of a keeper; None: we keep no ledger.
    """

    def __init__(
        self,
        desk: Desk,
        journal: Journal,
        intake: Intake,
        outbox: Outbox,
        clerk: Clerk,
        machines: Machines,
        registrar: Registrar | None,
        former_life: FormerLife,
    ) -> None:
        self._desk = desk
        self._journal = journal
        self._intake = intake
        self._outbox = outbox
        self._clerk = clerk
        self._machines = machines
        self.registrar = registrar
        self._former_life = former_life
        self._forgetting = Forgetting(journal)
        self._done_at = desk.clock()

    def look(self, now_s: float) -> None:
        """Do it, if a minute has passed since the last time."""
        if now_s - self._done_at < HOUSEKEEPING_S:
            return
        self._done_at = now_s
        self._intake.drop_unclaimed(self._desk.changes, now_s)
        self._machines.drop_stale_offers()
        if self.registrar is not None:
            self.registrar.tidy()
        self._forget_sessions(now_s)
        self._former_life.say_who_is_awaited()
        for gap in self._intake.gaps(now_s, GAP_S):
            log.warning("%s: %s", self._desk.name, gap)
            self._desk.announce("sequence-gap", peer=gap.sender, missing=gap.missing, waited_s=gap.waited_s)

    def _forget_sessions(self, now_s: float) -> None:
        """Drop what is left of what ended so long ago that nothing of it can come again: jobs, and doors."""
        over = self._machines.over()
        closed = over | {job for job, each in self._clerk.standing.jobs.items() if each.status != "open"}
        sessions = self._intake.sessions() | self._outbox.sessions()
        left = over | (sessions & closed) | self._shut_doors(sessions)
        left -= OWN_SESSIONS  # whatever a member has put on the ledger under such a name
        changes = self._desk.changes
        due = self._forgetting.due(changes, now_s, left - self._machines.going_on())
        self._intake.forget(changes, due)
        self._outbox.forget(changes, due)
        for session in due:
            self._machines.forget(session)

    def _shut_doors(self, sessions: set[str]) -> set[str]:
        """Return the doors through which we answered somebody, and which no invitation leads to any more."""
        return {each for each in sessions if is_door(each)} - {
            each.door for each in load_invitations(self._journal)
        }
