"""When does a machine want to be woken? By session, slot and name; journalled, so that a restart keeps the time."""

from collections.abc import Iterator

from hansa.agents.core.desk import Desk
from hansa.agents.core.journal import Journal, pack_row, unpack_row

Place = tuple[str, str, str]  # session, slot (job or role), name of a timer


class Timers:
    """The timers of one agent's machines; what the journal holds is taken up."""

    def __init__(self, desk: Desk, journal: Journal) -> None:
        self._desk = desk
        self._due: dict[Place, float] = {}
        for key, value in journal.load("timer").items():
            session, slot, name = unpack_row(key)
            [self._due[session, slot, name]] = unpack_row(value)

    def set(self, place: Place, after_s: float) -> None:
        """Wind up a timer, from now; one of the same place is replaced."""
        self._due[place] = due = self._desk.clock() + after_s
        self._desk.changes.put("timer", pack_row(*place), pack_row(float(due)))

    def drop(self, place: Place) -> None:
        """Forget a timer, if there is one."""
        if self._due.pop(place, None) is not None:
            self._desk.changes.drop("timer", pack_row(*place))

    def drop_all(self, session: str, slot: str) -> None:
        """Forget a machine's timers."""
        for place in [place for place in self._due if place[:2] == (session, slot)]:
            self.drop(place)

    def first(self, session: str, slot: str) -> float | None:
        """Return when a machine's next timer is due, UTC seconds, or None."""
        return min((due for place, due in self._due.items() if place[:2] == (session, slot)), default=None)

    def next(self) -> float | None:
        """Return when the next timer of all is due, UTC seconds, or None."""
        return min(self._due.values(), default=None)

    def fire(self, now: float) -> Iterator[Place]:
        """Drop and yield what is due, in order; what a timer before it cancelled or renewed is left out."""
        for place in sorted(place for place, due in self._due.items() if due <= now):
            if self._due.get(place, now + 1) <= now:
                self.drop(place)
                yield place
