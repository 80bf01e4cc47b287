"""Another keeper's chain that parts from ours earlier comes in several messages. What of it makes sense alone?

Nothing before the entry by which somebody takes over: up to there it bears the former keeper's receipts, and shows
no more than that this one has signed two histories. So what we have asked for from before our own end is put
together until that entry is among it, and is judged then.
"""

from collections.abc import Callable

from hansa.ledger import ChainedEntry

MOST_BYTES = 64 * 2**20  # put together at most; what follows is judged by itself


class Parting:
    """Entries from before our own end, of whom we have asked for them.

    Args:
        takes_over: whether one of these entries begins a later epoch than ours.
    """

    def __init__(self, takes_over: Callable[[tuple[ChainedEntry, ...]], bool]) -> None:
        self._takes_over = takes_over
        self._sender = ""
        self._next = self._start = 0
        self._entries: list[ChainedEntry] = []
        self._bytes = 0

    def expect(self, sender: str, start: int) -> None:
        """We have asked somebody for entries from before our end."""
        if (sender, start) != (self._sender, self._start):  # or it is under way
            self._sender, self._start = sender, start
            self._clear()

    def join(self, sender: str, entries: tuple[ChainedEntry, ...]) -> tuple[ChainedEntry, ...]:
        """Return what is to be judged now: these entries, with those before them; none: more are to come."""
        if sender != self._sender or not entries:
            return entries
        if entries[0].index == self._start:
            self._clear()
        elif entries[0].index != self._next:
            return entries
        self._entries.extend(entries)
        self._next = entries[-1].index + 1
        self._bytes += sum(len(each.signed) for each in entries)
        if not self._takes_over(entries) and self._bytes <= MOST_BYTES:
            return ()
        return self.rest(sender)

    def rest(self, sender: str) -> tuple[ChainedEntry, ...]:
        """Return what has come of somebody, who says that it was all; if it was anything, no more is expected."""
        if sender != self._sender or not self._entries:
            return ()
        rest = tuple(self._entries)
        self._sender = ""
        self._clear()
        return rest

    def _clear(self) -> None:
        self._entries, self._bytes, self._next = [], 0, self._start
