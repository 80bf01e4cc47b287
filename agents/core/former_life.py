"""How does an agent that was restored from a backup come to terms with what its former self did since?

It leaves the jobs of the backup at once, asks what has been written on the ledger since, and then ends the jobs
that its former self began meanwhile and of which it holds nothing. A keeper chains nothing until then.
"""

import logging
from collections.abc import Collection

from hansa.agents.core.clerk import SESSION, Clerk
from hansa.agents.core.desk import Desk
from hansa.agents.core.machines import Machines
from hansa.agents.core.messages import JobAbort, JobLeft, LedgerFetch
from hansa.agents.core.restored import PATIENCE_S, REASON, CatchingUp, Restoration
from hansa.agents.errors import AgentError
from hansa.ledger import JobAborted

log = logging.getLogger("hansa.agent")


class FormerLife:
    """What is left to do after a restoration, if there was one."""

    def __init__(self, restored: Restoration | None, desk: Desk, clerk: Clerk, machines: Machines) -> None:
        self._restored = restored
        self._desk = desk
        self._clerk = clerk
        self._machines = machines

    @property
    def settled(self) -> bool:
        """Whether there was none, or nothing is left to do about it."""
        return self._restored is None or self._restored.settled

    def begin(self) -> None:
        """Leave the backup's jobs, and ask what has been written since; at every start until it is known."""
        restored = self._restored
        if restored is None:
            return
        if not restored.left:
            self._machines.leave_all(REASON)
            restored.note_left(self._desk.changes)
        if restored.settled:
            return
        self._clerk.send_again()
        if self._clerk.keeps:
            catching_up = CatchingUp(self._desk.name, self._desk.clock(), set(restored.without))
            self._clerk.catching_up = catching_up
        else:
            self._desk.post(SESSION, self._clerk.keeper, LedgerFetch(self._clerk.head.size))

    def catch_up(self, now_s: float) -> None:
        """As a keeper: ask the members what they hold, until they have answered."""
        catching_up = self._clerk.catching_up
        if catching_up is None:
            return
        head, standing = self._clerk.head, self._clerk.standing
        for name in catching_up.to_ask(standing):
            self._desk.post(SESSION, name, LedgerFetch(head.size))
        if not catching_up.over(standing, now_s):
            return
        silent = sorted({*catching_up.silent(standing), *catching_up.without})
        beyond = f"; without what {', '.join(silent)} may hold" if silent else ""
        log.warning("%s: keeps the ledger again, from %s on%s", self._desk.name, head, beyond)
        self._desk.announce("keeping-again", entries=head.size, silent=silent)
        self._clerk.catching_up = None
        self.settle()

    def next_due(self) -> float | None:
        """When a keeper's patience with its members ends, UTC seconds, or None."""
        catching_up = self._clerk.catching_up
        return None if catching_up is None else catching_up.since_s + PATIENCE_S

    def say_who_is_awaited(self) -> None:
        """Put it in the log while a keeper waits."""
        catching_up = self._clerk.catching_up
        if catching_up is None:
            return
        silent = catching_up.silent(self._clerk.standing)
        log.warning(
            "%s: restored from a backup, chains nothing before it knows what %s hold of the ledger;"
            " without one that is gone for good: hansa ledger go-on --without NAME",
            self._desk.name,
            ", ".join(silent),
        )
        self._desk.announce("catching-up", silent=list(silent))

    def go_on_without(self, names: Collection[str]) -> tuple[str, ...]:
        """As a keeper: wait for these members no longer; return whom we still wait for.

        Raises:
            AgentError: we wait for nobody, or one of the names is no member's.
        """
        catching_up = self._clerk.catching_up
        if catching_up is None:
            raise AgentError(
                f"{self._desk.name} waits for nobody: it was not restored, or keeps the ledger again"
            )
        for name in names:
            if name not in self._clerk.standing.members:
                raise AgentError(f"{name!r:.60} is no member of the federation")
        catching_up.go_without(names)
        return catching_up.silent(self._clerk.standing)

    def settle(self) -> None:
        """The ledger is known again: end the jobs that the former self began after the backup."""
        restored, self._restored = self._restored, None
        if restored is None or restored.settled:
            return
        for name, job in self._clerk.standing.jobs.items():
            if job.status != "open" or self._machines.knows(name):
                continue
            if job.coordinator == self._desk.name:
                self._desk.write(name, JobAborted(job=name, reason=REASON))
                for party in job.parties:
                    self._desk.post(name, party, JobAbort(REASON))
            elif self._desk.name in job.accepted:
                self._desk.post(name, job.coordinator, JobLeft(REASON))
        restored.note_settled(self._desk.changes)
