"""Is this message new, and is it its turn?

Transports deliver at least once and in any order. The inbox gives each stream, one sender's messages to us
in one session of one incarnation, its order back: what is next is released, what came early is held, what
came before is a duplicate. It remembers the digest under every number it has released, for as long as the
session lasts, so that a second message under a used number is told apart: the same again is a duplicate,
another is equivocation.

The inbox of an agent that was restored from a backup lacks what came to its former self since: its streams have
gaps that nobody will ever fill. It skips such a gap after a while (`skip`), in every stream until a message
sent after the restoration has been released there. Should a skipped message come after all, it is accepted
then, out of its order. The same goes, after a longer while, for sessions whose messages stand each for itself
(`loose`): whoever misses one asks again, or hears it again, so that nothing needs to wait for ever.

A message that is refused although it is its sender's (late, say: `Message.void`) takes its place like any other,
so that it holds up nothing that comes after it.

Pure and in memory; time comes in as an argument. The caller's journal keeps one row per released message
(`SeenRow`) and the held messages themselves, commits them together with what they caused, and gives both
back to `restore`.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from hansa.broker.envelope import CLOCK_SKEW_MS, Message
from hansa.broker.errors import Equivocation, StaleIncarnation, TooFarAhead

HOLD_MESSAGES = 1_024  # per stream
HOLD_BYTES = 64 * 2**20  # of bodies, per stream
LOOSE_S = 600.0  # a gap in a loose session is passed over after this


@dataclass(frozen=True, slots=True)
class Accepted:
    """The message was next: act on it, and on those that waited for it, in this order."""

    released: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """Earlier messages are missing: journal it; it is released after them."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Here before: acknowledge it, and nothing else."""


@dataclass(frozen=True, slots=True)
class SeenRow:
    """That a message was released; what the journal keeps of it."""

    sender: str
    incarnation: int
    session: str
    sequence: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class SequenceGap:
    """A message that others have been waiting behind for too long."""

    sender: str
    session: str
    missing: int
    waited_s: float

    def __str__(self) -> str:
        session = f" in session {self.session!r}" if self.session else ""
        return f"message {self.missing} of {self.sender}{session} has been missing for {self.waited_s:.0f} s"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A gap that nobody fills, and what was released behind it."""

    gap: SequenceGap
    until: int  # the first number after the gap
    released: tuple[Message, ...]


@dataclass(slots=True)
class _Stream:
    """One stream: the digests of all released messages, by number, and those held behind a gap.

    Numbers before `next` without a digest were skipped. `whole`: no gap of it can be older than the restoration.
    `loose`: its messages stand each for itself.
    """

    next: int = 0
    digests: dict[int, bytes] = field(default_factory=dict)
    held: dict[int, Message] = field(default_factory=dict)
    held_bytes: int = 0
    gap_since_s: float | None = None  # None with held messages: restored, the clock starts at the next look
    whole: bool = False
    loose: bool = False


class Inbox:
    """All streams that lead to one agent.

    A refused or failed `offer` leaves it as it was. Events have numbers of their own and stay outside.

    Args:
        hold_messages: most messages held per stream; also how far ahead a number may be.
        hold_bytes: most bytes of bodies held per stream.
        restored_ms: when this agent was restored from a backup, UTC milliseconds since 1970; None: never.
        loose: sessions whose messages stand each for itself.
    """

    def __init__(
        self,
        *,
        hold_messages: int = HOLD_MESSAGES,
        hold_bytes: int = HOLD_BYTES,
        restored_ms: int | None = None,
        loose: Collection[str] = (),
    ) -> None:
        self._loose = frozenset(loose)
        self._hold_messages = hold_messages
        self._hold_bytes = hold_bytes
        self._restored_ms = restored_ms
        self._streams: dict[tuple[str, int, str], _Stream] = {}
        self._incarnations: dict[str, int] = {}  # newest per sender

    @classmethod
    def restore(
        cls,
        rows: Iterable[SeenRow],
        held: Iterable[Message],
        *,
        hold_messages: int = HOLD_MESSAGES,
        hold_bytes: int = HOLD_BYTES,
        restored_ms: int | None = None,
        loose: Collection[str] = (),
    ) -> "Inbox":
        """Rebuild an inbox from the journal, in any order of rows.

        Args:
            restored_ms: as for the class; rows may then leave out what was skipped.
            loose: as for the class; rows of these sessions may leave out what was skipped.

        Raises:
            ValueError: rows of one stream that do not count from 0 without a gap, or a held message that
                is not behind one: not a journal that this class's outcomes led to.
        """
        inbox = cls(hold_messages=hold_messages, hold_bytes=hold_bytes, restored_ms=restored_ms, loose=loose)
        for row in sorted(rows, key=lambda row: row.sequence):
            stream = inbox._stream(row.sender, row.incarnation, row.session)
            torn = restored_ms is not None or stream.loose
            if row.sequence != stream.next and (not torn or row.sequence < stream.next):
                raise ValueError(f"journal: {row.sender}'s {row.sequence} follows {stream.next} others")
            stream.digests[row.sequence] = row.digest
            stream.next = row.sequence + 1
        for message in held:
            header = message.header
            stream = inbox._stream(header.sender, header.incarnation, header.session)
            if header.sequence <= stream.next or header.sequence in stream.held:
                raise ValueError(
                    f"journal: {header.sender}'s {header.sequence} is held with no gap before it"
                )
            stream.held[header.sequence] = message
            stream.held_bytes += len(message.body)
        return inbox

    def offer(self, message: Message, now_s: float) -> Accepted | Held | Duplicate:
        """Take in one opened message.

        Args:
            message: from `open_message`; its sender's signature was checked.
            now_s: any clock that only goes forward, in seconds; starts the wait of a new gap.

        Raises:
            Equivocation: its number was used for another message.
            StaleIncarnation: its sender has begun a newer life.
            TooFarAhead: holding it would exceed a limit. Refused for good: its stream stops at the gap, which
                `gaps` names. Nobody who follows the rules comes near the limits.
        """
        header = message.header
        place = header.sender, header.incarnation, header.session
        stream = self._streams.get(place) or _Stream(loose=header.session in self._loose)
        known = self._known_digest(stream, header.sequence)
        if known is not None:
            if known == message.frame_digest:
                return Duplicate()
            raise Equivocation(header.sender, header.session, header.sequence, known, message.frame_digest)
        newest = self._incarnations.get(header.sender, header.incarnation)
        if header.incarnation < newest:
            raise StaleIncarnation(
                f"{header.sender} is in incarnation {newest}, this is from {header.incarnation}"
            )
        if header.sequence > stream.next:
            self._check_room(stream, message)
            self._adopt(message, stream)
            if not stream.held:
                stream.gap_since_s = now_s
            stream.held[header.sequence] = message
            stream.held_bytes += len(message.body)
            return Held()
        self._adopt(message, stream)
        if header.sequence < stream.next:  # skipped, and here after all
            stream.digests[header.sequence] = message.frame_digest
            return Accepted((message,))
        return Accepted(self._release(stream, message, now_s))

    def gaps(self, now_s: float, deadline_s: float) -> tuple[SequenceGap, ...]:
        """Name every missing message that has held others up for `deadline_s` or longer."""
        found = []
        for (sender, _, session), stream in self._streams.items():
            if not stream.held:
                continue
            if stream.gap_since_s is None:
                stream.gap_since_s = now_s
            waited_s = now_s - stream.gap_since_s
            if waited_s >= deadline_s:
                found.append(SequenceGap(sender, session, stream.next, waited_s))
        return tuple(found)

    def sessions(self) -> set[str]:
        """Return the sessions that messages have come of."""
        return {session for _, _, session in self._streams}

    def next_skip(self, deadline_s: float) -> float | None:
        """When a gap will have lasted so long that `skip` passes over it, on the clock of `offer`, or None."""
        ends = [self._patience(stream, deadline_s) for stream in self._streams.values()]
        since = [stream.gap_since_s or 0.0 for stream in self._streams.values()]
        both = zip(since, ends, strict=True)
        return min((began + patience_s for began, patience_s in both if patience_s is not None), default=None)

    def skip(self, now_s: float, deadline_s: float) -> tuple[Skipped, ...]:
        """Pass over the gaps that have lasted for `deadline_s` and that a restoration may have torn.

        Those of loose sessions are passed over after `LOOSE_S`.
        """
        found = []
        for (sender, _, session), stream in self._streams.items():
            patience_s = self._patience(stream, deadline_s)
            if patience_s is None:
                continue
            if stream.gap_since_s is None:
                stream.gap_since_s = now_s
            waited_s = now_s - stream.gap_since_s
            if waited_s >= patience_s:
                gap = SequenceGap(sender, session, stream.next, waited_s)
                stream.next = until = min(stream.held)
                message = stream.held.pop(until)
                stream.held_bytes -= len(message.body)
                found.append(Skipped(gap, until, self._release(stream, message, now_s)))
        return tuple(found)

    def _patience(self, stream: _Stream, deadline_s: float) -> float | None:
        """Return how long a stream's gap may last; None: it has none, or only its message closes it."""
        if not stream.held:
            return None
        if self._restored_ms is not None and not stream.whole:
            return deadline_s
        return LOOSE_S if stream.loose else None

    def incarnation(self, sender: str) -> int:
        """Return the newest incarnation in which a sender has spoken; -1: it never has."""
        return self._incarnations.get(sender, -1)

    def drop_stale(self, sender: str) -> tuple[Message, ...]:
        """Return, and hold no longer, what waits in a sender's earlier incarnations: its gaps stay for ever."""
        dropped: list[Message] = []
        for (of, incarnation, _), stream in self._streams.items():
            if of == sender and incarnation < self._incarnations[sender]:
                dropped += stream.held.values()
                stream.held.clear()
                stream.held_bytes, stream.gap_since_s = 0, None
        return tuple(dropped)

    def forget(self, session: str) -> None:
        """Drop all streams of a session; right once its messages have expired, for then none can return."""
        for key in [key for key in self._streams if key[2] == session]:
            del self._streams[key]

    def _stream(self, sender: str, incarnation: int, session: str) -> _Stream:
        self._incarnations[sender] = max(incarnation, self._incarnations.get(sender, incarnation))
        fresh = _Stream(loose=session in self._loose)
        return self._streams.setdefault((sender, incarnation, session), fresh)

    def _adopt(self, message: Message, stream: _Stream) -> None:
        header = message.header
        self._incarnations[header.sender] = header.incarnation
        self._streams.setdefault((header.sender, header.incarnation, header.session), stream)

    def _known_digest(self, stream: _Stream, sequence: int) -> bytes | None:
        held = stream.held.get(sequence)
        return stream.digests.get(sequence) if held is None else held.frame_digest

    def _check_room(self, stream: _Stream, message: Message) -> None:
        header = message.header
        torn = self._restored_ms is not None and not stream.whole  # how far is no matter then, but how many
        limit = stream.next + self._hold_messages
        if (len(stream.held) >= self._hold_messages) if torn else (header.sequence > limit):
            raise TooFarAhead(
                f"message {header.sequence} of {header.sender} while {stream.next} is awaited; "
                f"at most {self._hold_messages} are held"
            )
        if stream.held_bytes + len(message.body) > self._hold_bytes:
            raise TooFarAhead(f"{header.sender}'s early messages exceed {self._hold_bytes} bytes")

    def _release(self, stream: _Stream, message: Message, now_s: float) -> tuple[Message, ...]:
        released = [message]
        while (following := stream.held.pop(stream.next + len(released), None)) is not None:
            stream.held_bytes -= len(following.body)
            released.append(following)
        for each in released:
            stream.digests[each.header.sequence] = each.frame_digest
        stream.next += len(released)
        if self._restored_ms is not None:
            sent_ms = max(each.header.sent_at_ms for each in released)
            stream.whole |= sent_ms > self._restored_ms + CLOCK_SKEW_MS
        stream.gap_since_s = now_s if stream.held else None  # the next gap starts to wait now
        return tuple(released)
