"""What if a party's message arrives before our own role has begun? It waits for the start.

The coordinator's start and a faster party's first message come through different queues, so that either may be
first. Messages wait in the order in which they came, in the journal like everything that was acknowledged; their
arrays stay on the disk meanwhile, since a party may send a long list before we hear of the start.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from hansa.agents.core import wire
from hansa.agents.core.blobs import BlobStore
from hansa.agents.core.desk import Desk
from hansa.agents.core.journal import Journal, pack_row, unpack_row
from hansa.broker import Plain, attach, decode, detach, encode, from_plain, refs, to_plain
from hansa.protocols import PeerError

MOST_EARLY = 1_024  # of one sender in one job: the blocks of a list of 16 million ids
MOST_EARLY_BYTES = 64 * 2**20  # of these, without the arrays on the disk


@dataclass(frozen=True, slots=True)
class _Waiting:
    number: int  # within its job, in the order in which they came
    sender: str
    plain: Plain  # as it is journalled, large arrays as references
    size: int  # of what is journalled, bytes


class Early:
    """Messages for roles that have not begun, by job; those the journal has are taken up again."""

    def __init__(self, desk: Desk, blobs: BlobStore, journal: Journal, detach_bytes: int) -> None:
        self._desk = desk
        self._blobs = blobs
        self._detach_bytes = detach_bytes
        self._waiting: dict[str, deque[_Waiting]] = {}
        for key, value in sorted(journal.load("early").items(), key=lambda row: unpack_row(row[0])):
            session, number = unpack_row(key)
            plain = decode(value)
            sender, *_ = wire.parts(plain)
            self._blobs.use("early", key, refs(plain))
            self._waiting.setdefault(session, deque()).append(_Waiting(number, sender, plain, len(value)))

    def keep(self, session: str, sender: str, message: object) -> None:
        """Have a message wait.

        Raises:
            PeerError: too many of this sender's wait already, or too long ones.
        """
        waiting = self._waiting.setdefault(session, deque())
        theirs = [each.size for each in waiting if each.sender == sender]
        if len(theirs) >= MOST_EARLY:
            raise PeerError(f"{sender} sent more than {MOST_EARLY} messages before job {session!r} began")
        kind = wire.kind_of(message)
        fields: list[Plain] = [sender, kind.name, kind.schema, to_plain(message)]
        plain = detach(fields, self._blobs.keep, self._detach_bytes)
        value = encode(plain)
        if sum(theirs) + len(value) > MOST_EARLY_BYTES:
            raise PeerError(f"{sender} sent more than {MOST_EARLY_BYTES} bytes before job {session!r} began")
        number = waiting[-1].number + 1 if waiting else 0
        waiting.append(_Waiting(number, sender, plain, len(value)))
        key = pack_row(session, number)
        self._desk.changes.put("early", key, value)
        self._blobs.use("early", key, refs(plain))

    def take(self, session: str) -> Iterator[tuple[str, object]]:
        """Yield a job's messages (sender, message) in the order in which they came, and forget each.

        Raises:
            CorruptBlob: a power failure has taken an array of one.
            UnknownKind: this version does not know one that an earlier one kept.
        """
        while waiting := self._waiting.get(session):
            sender, kind, schema, fields = wire.parts(attach(waiting[0].plain, self._blobs.load))
            message: object = from_plain(wire.message_class(kind, schema, sender), fields)
            self._forget(session, waiting.popleft())
            yield sender, message
        self._waiting.pop(session, None)

    def drop(self, session: str) -> None:
        """Forget what waits for a job that is over."""
        for each in self._waiting.pop(session, ()):
            self._forget(session, each)

    def _forget(self, session: str, each: _Waiting) -> None:
        key = pack_row(session, each.number)
        self._desk.changes.drop("early", key)
        self._blobs.use("early", key, ())
