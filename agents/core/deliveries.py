"""Who has been sent how much of the ledger? The keeper's pushes to its members, and answers to who lacks entries.

Entries that nobody waits for (a round's, say) are sent a little later, several at once. Who does not read gets no
more than so many messages, and catches up later. What was sent to whom is journalled with what is sent.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hansa.agents.core.journal import Changes, Journal
from hansa.agents.core.messages import (
    ChainedRow,
    LedgerAppend,
    LedgerEntries,
    LedgerFetch,
    LedgerHeld,
    LedgerRefused,
)
from hansa.ledger import ChainedEntry, LedgerStore, Standing

PUSH_ENTRIES = 256  # in one message
PUSH_DELAY_S = 0.5  # for entries that nobody waits for
PUSH_BYTES = 512 * 1024
MOST_MAIL = 16  # unconfirmed messages to one member; whoever does not read gets no more, and catches up later
FETCH_PAUSE_S = 30.0  # between two answers to one member that lacks entries


@dataclass(frozen=True, slots=True)
class Mail:
    """A message the clerk wants sent."""

    recipient: str
    message: LedgerAppend | LedgerEntries | LedgerRefused | LedgerFetch | LedgerHeld


class Deliveries:
    """What members are sent of the ledger.

    Args:
        name: ours.
        store: our copy.
        journal: where is kept who was sent how much, and who is owed an answer.
        standing: members as of our copy's head.
        unconfirmed: how many messages to somebody are on their way.
    """

    def __init__(
        self,
        name: str,
        store: LedgerStore,
        journal: Journal,
        standing: Callable[[], Standing],
        unconfirmed: Callable[[str], int],
    ) -> None:
        self._name = name
        self._store = store
        self._standing = standing
        self._unconfirmed = unconfirmed
        self._pushed = {key.decode(): int.from_bytes(value) for key, value in journal.load("pushed").items()}
        self._urgent = True  # after a restart: whatever is behind is sent at once
        self._push_due: float | None = None
        # Who wants the entries from where on; whom we owe the word that these were all; whom we answered when.
        self._asked = {key.decode(): int.from_bytes(value) for key, value in journal.load("fetch").items()}
        self._owed: set[str] = set()
        self._answered_at: dict[str, float] = {}
        self._answered_from: dict[str, int] = {}
        self._answered_twice: set[str] = set()

    @property
    def _size(self) -> int:
        return self._standing().tree.size

    def hurry(self) -> None:
        """Somebody waits for the newest entries: they go out with this step."""
        self._urgent = True

    def note(self, changes: Changes, member: str, size: int) -> None:
        """Remember how much of the chain a member was sent, or says that it holds."""
        self._pushed[member] = size
        changes.put("pushed", member.encode(), size.to_bytes(8))

    def begin_anew(self, changes: Changes, held: dict[str, int]) -> None:
        """Another keeper sends the entries from here on: forget what was sent by whom before.

        Args:
            held: how much each member holds, as far as we know; who has less will ask.
        """
        for member in self._pushed:
            changes.drop("pushed", member.encode())
        for member in self._asked.keys() | self._owed:
            changes.drop("fetch", member.encode())
        self._pushed.clear()
        self._asked.clear()
        self._owed.clear()
        for member, size in held.items():
            self.note(changes, member, size)
        self.hurry()

    def ask(self, member: str, start: int) -> None:
        """A member wants what follows a head: the next mail brings it, and says when that is all."""
        self._asked[member] = min(start, self._asked.get(member, start))

    def ask_lastingly(self, changes: Changes, member: str, start: int) -> None:
        """Likewise, and a restart of ours makes no difference."""
        self.ask(member, start)
        changes.put("fetch", member.encode(), min(self._asked[member], self._size).to_bytes(8))

    def next_due(self) -> float | None:
        """When entries are to be sent that wait for others to join them, UTC seconds, or None."""
        return self._push_due

    def next_answer(self) -> float | None:
        """When a member that asks too often is answered, UTC seconds, or None."""
        asked = self._asked.keys() - self._owed
        return min((self._answered_at.get(name, 0.0) + FETCH_PAUSE_S for name in asked), default=None)

    def told_at_once(self) -> Iterator[Mail]:
        """Yield, as a member, what somebody has asked us for: all of it."""
        for name, start in self._asked.items():
            for rows in self.batches(start, self._size):
                yield Mail(name, LedgerEntries(rows))
            yield Mail(name, LedgerHeld(self._size))
        self._asked.clear()

    def told_to_members(self, changes: Changes, now_s: float) -> Iterator[Mail]:
        """Yield, as the keeper, what the chain has gained, and answers to those who lack entries."""
        self._begin_answers(changes, now_s)
        yield from self._gain(changes, now_s)
        yield from self._end_answers(changes)

    def batches(self, start: int, stop: int) -> Iterator[tuple[ChainedRow, ...]]:
        """Yield entries, as many as fit into one message each."""
        while start < stop:
            rows = self._batch(start, stop)
            yield rows
            start += len(rows)

    def _gain(self, changes: Changes, now_s: float) -> Iterator[Mail]:
        behind = self._behind()
        if not behind:
            return
        if self._push_due is None:
            self._push_due = now_s + PUSH_DELAY_S
        if self._urgent or now_s >= self._push_due:
            self._urgent, self._push_due = False, None
        else:
            behind = {name: goal for name, goal in behind.items() if name in self._owed}
        yield from self._pushes(changes, behind)

    def _begin_answers(self, changes: Changes, now_s: float) -> None:
        """Take up who asked for entries: one answer to each at a time, and then a pause.

        Whoever then finds that it must go back further, since chains have parted, is answered once without one.
        """
        for name, start in list(self._asked.items()):
            answered_at = self._answered_at.get(name)
            soon = answered_at is not None and now_s < answered_at + FETCH_PAUSE_S
            further = name not in self._answered_twice and start < self._answered_from.get(name, 0)
            if name in self._owed or (soon and not further):
                continue
            if soon:
                self._answered_twice.add(name)
            else:
                self._answered_twice.discard(name)
                self._answered_at[name] = now_s
            self._answered_from[name] = start
            del self._asked[name]
            self._owed.add(name)
            self.note(changes, name, min(start, self._pushed.get(name, 0)))

    def _end_answers(self, changes: Changes) -> Iterator[Mail]:
        for name in sorted(self._owed):
            goal = self._goal(name)
            if self._pushed.get(name, 0) >= goal:
                self._owed.discard(name)
                if name not in self._asked:
                    changes.drop("fetch", name.encode())
                yield Mail(name, LedgerHeld(goal))

    def _goal(self, name: str) -> int:
        """Return how much of the chain a member is sent: up to the entry that suspends it or lets it go."""
        member = self._standing().members[name]
        return self._size if member.status == "active" else member.status_at + 1

    def _behind(self) -> dict[str, int]:
        """Return who lacks entries, as far as we have sent them, and up to where to send them."""
        goals = {name: self._goal(name) for name in self._standing().members if name != self._name}
        return {name: goal for name, goal in goals.items() if self._pushed.get(name, 0) < goal}

    def _pushes(self, changes: Changes, goals: dict[str, int]) -> Iterator[Mail]:
        for name, goal in goals.items():
            start = before = self._pushed.get(name, 0)
            room = MOST_MAIL - self._unconfirmed(name)
            while start < goal and room > 0:
                rows = self._batch(start, goal)
                yield Mail(name, LedgerEntries(rows))
                start, room = start + len(rows), room - 1
            if start != before:
                self.note(changes, name, start)

    def _batch(self, start: int, stop: int) -> tuple[ChainedRow, ...]:
        rows: list[ChainedRow] = []
        size = 0
        for entry in self._store.read(start, min(stop, start + PUSH_ENTRIES)):
            size += len(entry.signed)
            if rows and size > PUSH_BYTES:
                break
            rows.append(
                ChainedRow(
                    entry.index, entry.previous, entry.signed, entry.signature, entry.hash, entry.receipt
                )
            )
        return tuple(rows)


def chained_entries(message: LedgerEntries) -> tuple[ChainedEntry, ...]:
    """Return the entries that a message brings."""
    return tuple(
        ChainedEntry(row.index, row.previous, row.signed, row.signature, row.hash, row.receipt)
        for row in message.rows
    )
