"""What of the ledger never came, and what of ours never came back? A member asks, and says it, once more.

A message may be lost for good although everybody follows the rules: it waited at the broker until it expired,
a clock was wrong for a minute, its sender was suspended when it arrived. Then a copy of the ledger lacks entries
until the next one comes, or the keeper never hears of an entry that its author waits for.
"""

from hansa.agents.core.clerk import SESSION, Clerk
from hansa.agents.core.desk import Desk
from hansa.agents.core.messages import LedgerFetch

ASK_PAUSE_S = 30.0  # between two questions for entries
RESEND_S = 120.0  # an entry that has not come back is sent again after this, and then ever more rarely
MAX_RESEND_S = 6 * 3_600.0


class Overdue:
    """What a member waits for from the keeper of the ledger; for the keeper itself, nothing.

    Args:
        desk: where questions are left.
        clerk: our side of the ledger.
    """

    def __init__(self, desk: Desk, clerk: Clerk) -> None:
        self._desk = desk
        self._clerk = clerk
        self._missed: dict[str, int | None] = {}  # whom we ask, and from where on, if not from our end
        self._asked_at = -ASK_PAUSE_S
        self._oldest: int | None = None  # of our awaited entries, at the last look
        self._pause_s = RESEND_S
        self._resend_at = 0.0

    def missed(self, sender: str = "", start: int | None = None) -> None:
        """Something of the ledger is lost, or came before what it follows.

        Args:
            sender: who sent that, and so has what comes before; the keeper otherwise.
            start: from where on we lack it, if not from our end: another keeper's chain may part there.
        """
        whom = sender or self._clerk.keeper
        if not self._clerk.keeps:
            self._missed[whom] = self._missed.get(whom) if start is None else start

    def reinstated(self, now_s: float) -> None:
        """We are heard again: what was said meanwhile was refused."""
        self._resend_at = now_s

    def next_due(self) -> float | None:
        """When we ask again, UTC seconds, or None."""
        return self._asked_at + ASK_PAUSE_S if self._missed else None

    def look(self, now_s: float, unconfirmed: int) -> None:
        """Ask for what is missing, and send again what has not come back.

        Args:
            unconfirmed: messages to the keeper that have not left yet; while there are any, they come first.
        """
        if self._missed and now_s >= self._asked_at + ASK_PAUSE_S:
            missed, self._missed, self._asked_at = self._missed, {}, now_s
            for whom, start in missed.items():
                self._desk.post(SESSION, whom, LedgerFetch(self._clerk.head.size if start is None else start))
        oldest = self._clerk.oldest_awaited()
        if oldest != self._oldest:
            self._oldest, self._pause_s, self._resend_at = oldest, RESEND_S, now_s + RESEND_S
        elif oldest is not None and now_s >= self._resend_at and not unconfirmed:
            self._clerk.send_again()
            self._pause_s = min(2 * self._pause_s, MAX_RESEND_S)
            self._resend_at = now_s + self._pause_s
