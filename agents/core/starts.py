"""When does a job that we coordinate begin? Once our own copy of the ledger shows that all its parties consent.

What a party brings to the start stands in its consent, and with the proposal what it has registered. A party says
yes when it has seen its consent on the chain, but our copy may come later. Nothing is journalled but the timer: a
job that runs without a role is one that has not begun.
"""

from collections.abc import Callable, Iterator, Mapping

from hansa.agents.core.coordination import RECEIPT_S
from hansa.agents.core.timers import Timers
from hansa.ledger import Job

SHOWN = "shown"  # the timer: so long may it take until the ledger shows what we were told


class Starts:
    """Jobs that wait to begin.

    Args:
        shown: the ledger's jobs, as our copy has them.
    """

    def __init__(self, timers: Timers, shown: Callable[[], Mapping[str, Job]]) -> None:
        self._timers = timers
        self._shown = shown
        self._waiting: dict[str, tuple[str, ...]] = {}

    def __contains__(self, job: object) -> bool:
        return job in self._waiting

    def wait(self, job: str, parties: tuple[str, ...]) -> None:
        """Have a job wait for the consent of these to show."""
        self._waiting[job] = parties
        self._timers.set((job, "job", SHOWN), RECEIPT_S)

    def resume(self, job: str, parties: tuple[str, ...]) -> None:
        """Take up a wait after a restart; its timer is in the journal."""
        self._waiting[job] = parties

    def lacking(self, job: str) -> tuple[str, ...]:
        """Return the parties whose consent does not show."""
        shown = self._shown().get(job)
        accepted = () if shown is None else shown.accepted
        return tuple(party for party in self._waiting[job] if party not in accepted)

    def ready(self) -> Iterator[tuple[str, tuple[str, ...], Job]]:
        """Take and yield (job, parties, what the ledger says of it) of those that can begin."""
        for job in [job for job in self._waiting if not self.lacking(job)]:
            parties = self._waiting[job]
            self.drop(job)
            yield job, parties, self._shown()[job]

    def drop(self, job: str) -> None:
        """Forget a job that is over, or has begun."""
        if self._waiting.pop(job, None) is not None:
            self._timers.drop((job, "job", SHOWN))

    def overdue(self, job: str) -> str:
        """Say why a job can't begin."""
        whom = ", ".join(self.lacking(job))
        return f"the ledger has not shown the consent of {whom} within {RECEIPT_S:g} s"
