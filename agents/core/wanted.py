"""Which rows are we to ask for in a job of ours? Their ids stay here: the ledger and the offer only count them.

They are journalled with the proposal, and forgotten with the job's end.
"""

from hansa.agents.core.desk import Desk
from hansa.agents.core.journal import Journal, pack_row, unpack_row


class Wanted:
    """Ids by job; a job without any asks for all rows of its data set."""

    def __init__(self, desk: Desk, journal: Journal) -> None:
        self._desk = desk
        self._ids = {key.decode(): tuple(unpack_row(value)) for key, value in journal.load("wanted").items()}

    def note(self, job: str, ids: tuple[str, ...]) -> None:
        """Keep what a job is to ask for; nothing if that is everything."""
        if ids:
            self._ids[job] = ids
            self._desk.changes.put("wanted", job.encode(), pack_row(*ids))

    def of(self, job: str) -> tuple[str, ...]:
        """Return a job's ids, or none."""
        return self._ids.get(job, ())

    def forget(self, job: str) -> None:
        """Drop a job's ids."""
        if self._ids.pop(job, None) is not None:
            self._desk.changes.drop("wanted", job.encode())
