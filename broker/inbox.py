"""Is this message new, and is it its turn?

Transports deliver at least once and in any order. The inbox gives each stream, one sender's messages to us
in one session of one incarnation, its order back: what is next is released, what came early is held, what
came before is a duplicate. It remembers the digest under every number it has released, for as long as the
session lasts, so that a second message under a used number is told apart: the same again is a duplicate,
another is equivocation.

Pure and in memory; time comes in as an argument. The caller's journal keeps one row per released message
(`SeenRow`) and the held messages themselves, commits them together with what they caused, and gives both
back to `restore`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from hansa.broker.envelope import Message
from hansa.broker.errors import Equivocation, StaleIncarnation, TooFarAhead

HOLD_MESSAGES = 1_024  # per stream
HOLD_BYTES = 64 * 2**20  # of bodies, per stream


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


@dataclass(slots=True)
class _Stream:
    """One stream: the digests of all released messages, by number, and those held behind a gap."""

    digests: list[bytes] = field(default_factory=list)
    held: dict[int, Message] = field(default_factory=dict)
    held_bytes: int = 0
    gap_since_s: float | None = None  # None with held messages: restored, the clock starts at the next look


class Inbox:
    """All streams that lead to one agent.

    A refused or failed `offer` leaves it as it was. Events have numbers of their own and stay outside.

    Args:
        hold_messages: most messages held per stream; also how far ahead a number may be.
        hold_bytes: most bytes of bodies held per stream.
    """

    def __init__(self, *, hold_messages: int = HOLD_MESSAGES, hold_bytes: int = HOLD_BYTES) -> None:
        self._hold_messages = hold_messages
        self._hold_bytes = hold_bytes
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
    ) -> "Inbox":
        """Rebuild an inbox from the journal, in any order of rows.

        Raises:
            ValueError: rows of one stream that do not count from 0 without a gap, or a held message that
                is not behind one: not a journal that this class's outcomes led to.
        """
        inbox = cls(hold_messages=hold_messages, hold_bytes=hold_bytes)
        for row in sorted(rows, key=lambda row: row.sequence):
            stream = inbox._stream(row.sender, row.incarnation, row.session)
            if row.sequence != len(stream.digests):
                raise ValueError(
                    f"journal: {row.sender}'s {row.sequence} follows {len(stream.digests)} others"
                )
            stream.digests.append(row.digest)
        for message in held:
            header = message.header
            stream = inbox._stream(header.sender, header.incarnation, header.session)
            if header.sequence <= len(stream.digests) or header.sequence in stream.held:
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
        stream = self._streams.get((header.sender, header.incarnation, header.session)) or _Stream()
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
        if header.sequence > len(stream.digests):
            self._check_room(stream, message)
            self._adopt(message, stream)
            if not stream.held:
                stream.gap_since_s = now_s
            stream.held[header.sequence] = message
            stream.held_bytes += len(message.body)
            return Held()
        self._adopt(message, stream)
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
                found.append(SequenceGap(sender, session, len(stream.digests), waited_s))
        return tuple(found)

    def sessions(self) -> set[str]:
        """Return the sessions that messages have come of."""
        return {session for _, _, session in self._streams}

    def forget(self, session: str) -> None:
        """Drop all streams of a session; right once its messages have expired, for then none can return."""
        for key in [key for key in self._streams if key[2] == session]:
            del self._streams[key]

    def _stream(self, sender: str, incarnation: int, session: str) -> _Stream:
        self._incarnations[sender] = max(incarnation, self._incarnations.get(sender, incarnation))
        return self._streams.setdefault((sender, incarnation, session), _Stream())

    def _adopt(self, message: Message, stream: _Stream) -> None:
        header = message.header
        self._incarnations[header.sender] = header.incarnation
        self._streams.setdefault((header.sender, header.incarnation, header.session), stream)

    def _known_digest(self, stream: _Stream, sequence: int) -> bytes | None:
        if sequence < len(stream.digests):
            return stream.digests[sequence]
        held = stream.held.get(sequence)
        return None if held is None else held.frame_digest

    def _check_room(self, stream: _Stream, message: Message) -> None:
        header = message.header
        if header.sequence > len(stream.digests) + self._hold_messages:
            raise TooFarAhead(
                f"message {header.sequence} of {header.sender} while {len(stream.digests)} is awaited; "
                f"at most {self._hold_messages} are held"
            )
        if stream.held_bytes + len(message.body) > self._hold_bytes:
            raise TooFarAhead(f"{header.sender}'s early messages exceed {self._hold_bytes} bytes")

    def _release(self, stream: _Stream, message: Message, now_s: float) -> tuple[Message, ...]:
        released = [message]
        stream.digests.append(message.frame_digest)
        while (following := stream.held.pop(len(stream.digests), None)) is not None:
            stream.held_bytes -= len(following.body)
            stream.digests.append(following.frame_digest)
            released.append(following)
        stream.gap_since_s = now_s if stream.held else None  # the next gap starts to wait now
        return tuple(released)
