"""When may what is left of a job go? Once no message of it can come again.

An envelope expires seven days after it was sealed, so a week after a session's end nothing of it can be replayed:
its numbers, the digests that told duplicates apart and the states of its machines have served their purpose.
"""

from collections.abc import Collection

from hansa.agents.core.journal import Changes, Journal, pack_row, unpack_row
from hansa.agents.core.outbox import EXPIRY_S

CLOCKS_S = 3_600.0  # what clocks may differ by, and more


class Forgetting:
    """Since when sessions are over, as far as anything of them is left here."""

    def __init__(self, journal: Journal) -> None:
        self._ended: dict[str, float] = {}
        for key, value in journal.load("ended").items():
            [self._ended[key.decode()]] = unpack_row(value)

    def due(self, changes: Changes, now_s: float, left: Collection[str]) -> list[str]:
        """Return the sessions that may be forgotten now, and note which others are over.

        Args:
            left: sessions that are over, and of which something is left.
        """
        due = []
        for session in sorted({*left, *self._ended}):
            since = self._ended.get(session)
            if session not in left:
                self._drop(changes, session)  # it goes on after all: a job of a name that was refused before
            elif since is None:
                self._ended[session] = now_s
                changes.put("ended", session.encode(), pack_row(float(now_s)))
            elif since + EXPIRY_S + CLOCKS_S <= now_s:
                self._drop(changes, session)
                due.append(session)
        return due

    def _drop(self, changes: Changes, session: str) -> None:
        del self._ended[session]
        changes.drop("ended", session.encode())
