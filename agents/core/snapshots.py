"""Which machines' states does the journal hold? By session and slot (job or role); large arrays lie beside them."""

from collections.abc import Callable, Iterator

from hansa.agents.core import wire
from hansa.agents.core.blobs import BlobStore
from hansa.agents.core.desk import Desk
from hansa.agents.core.journal import Journal, pack_row, unpack_row
from hansa.broker import Plain, decode, detach, encode, refs

Place = tuple[str, str]  # session, slot


class Snapshots:
    """The states of one agent's machines, each written once in a step in which it changed."""

    def __init__(self, desk: Desk, blobs: BlobStore, journal: Journal, detach_bytes: int) -> None:
        self._desk = desk
        self._blobs = blobs
        self._journal = journal
        self._detach_bytes = detach_bytes
        self._changed: set[Place] = set()  # whose state the journal doesn't have yet

    def load(self) -> Iterator[tuple[Place, Plain]]:
        """Yield what the journal holds."""
        for key, value in self._journal.load("machine").items():
            session, slot = unpack_row(key)
            plain = decode(value)
            self._blobs.use("machine", key, refs(plain))
            yield (session, slot), plain

    def changed(self, session: str, slot: str) -> None:
        """Have a state written at the end of this step."""
        self._changed.add((session, slot))

    def write(self, state_of: Callable[[str, str], object | None]) -> None:
        """Write the states that changed in this step.

        Args:
            state_of: a machine's state; None if it has ended within the step.
        """
        for session, slot in sorted(self._changed):
            state = state_of(session, slot)
            if state is not None:
                plain = detach(wire.snapshot(state), self._blobs.keep, self._detach_bytes)
                key = pack_row(session, slot)
                self._desk.changes.put("machine", key, encode(plain))
                self._blobs.use("machine", key, refs(plain))
        self._changed.clear()

    def drop(self, session: str, slot: str) -> None:
        """Forget a state."""
        key = pack_row(session, slot)
        self._desk.changes.drop("machine", key)
        self._blobs.use("machine", key, ())
