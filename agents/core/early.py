"""What if a party's message arrives before our own role has begun? It waits for the start.

The coordinator's start and a faster party's first message come through different queues, so that either may be
first. Messages wait in the order in which they came, in the journal like everything that was acknowledged.
"""

from hansa.agents.core import wire
from hansa.agents.core.blobs import BlobStore
from hansa.agents.core.desk import Desk
from hansa.agents.core.journal import Journal, pack_row, unpack_row
from hansa.broker import Refused, attach, decode, detach, encode, from_plain, refs, to_plain
from hansa.protocols import PeerError

MOST_EARLY = 64  # of one sender in one job


class Early:
    """Messages for roles that have not begun, by job."""

    def __init__(self, desk: Desk, blobs: BlobStore, journal: Journal, detach_bytes: int) -> None:
        self._desk = desk
        self._blobs = blobs
        self._detach_bytes = detach_bytes
        self._waiting: dict[str, list[tuple[str, object]]] = {}
        self.lost: dict[str, Exception] = {}  # jobs whose early messages a power failure has taken
        for key, value in sorted(journal.load("early").items(), key=lambda row: unpack_row(row[0])):
            session, _ = unpack_row(key)
            plain = decode(value)
            self._blobs.use("early", key, refs(plain))
            try:
                sender, kind, schema, fields = wire.parts(attach(plain, blobs.load))
            except Refused as error:
                self.lost[session] = error
                continue
            message: object = from_plain(wire.message_class(kind, schema, sender), fields)
            self._waiting.setdefault(session, []).append((sender, message))

    def keep(self, session: str, sender: str, message: object) -> None:
        """Have a message wait.

        Raises:
            PeerError: too many of this sender's wait already.
        """
        waiting = self._waiting.setdefault(session, [])
        if sum(who == sender for who, _ in waiting) >= MOST_EARLY:
            raise PeerError(f"{sender} sent more than {MOST_EARLY} messages before job {session!r} began")
        kind = wire.kind_of(message)
        plain = detach(
            [sender, kind.name, kind.schema, to_plain(message)], self._blobs.keep, self._detach_bytes
        )
        key = pack_row(session, len(waiting))
        waiting.append((sender, message))
        self._desk.changes.put("early", key, encode(plain))
        self._blobs.use("early", key, refs(plain))

    def take(self, session: str) -> list[tuple[str, object]]:
        """Return a job's messages (sender, message) in the order in which they came, and forget them."""
        waiting = self._waiting.pop(session, [])
        for place in range(len(waiting)):
            key = pack_row(session, place)
            self._desk.changes.drop("early", key)
            self._blobs.use("early", key, ())
        return waiting
