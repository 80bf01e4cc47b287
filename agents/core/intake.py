"""What has arrived, and what may be acted on? Verified, in order, complete with its arrays.

A delivery is an envelope or a chunk of an array. An envelope is verified (hansa.broker.envelope), put in its
stream's order (hansa.broker.inbox) and released once the arrays it speaks of are whole. What can't be acted
on yet is journalled, so that every delivery can be acknowledged at once.
"""

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from hansa.agents.core.blobs import BlobStore
from hansa.agents.core.journal import Changes, Journal, pack_row, unpack_row
from hansa.broker import (
    WINDOW,
    Accepted,
    BadSignature,
    ClockSkew,
    Duplicate,
    Expired,
    Held,
    Identity,
    Inbox,
    MalformedMessage,
    Message,
    Plain,
    PublicIdentity,
    SeenRow,
    SequenceGap,
    SignedMessage,
    SuspendedSender,
    TooFarAhead,
    Unopenable,
    attach,
    credit_due,
    decode,
    decode_chunk,
    encode,
    frame_kind,
    from_plain,
    refs,
    to_plain,
    verify_message,
)
from hansa.broker.chunks import CHUNK_BYTES, ArrayRef
from hansa.broker.envelope import Header
from hansa.broker.transport import Delivery

PENDING_BYTES = (
    320 * 2**20
)  # of one sender's messages that wait for arrays or order; more than one step takes in
SENDER_BYTES = 8 * 2**30  # of one sender's arrays on our disk that no message has brought home yet
UNCLAIMED_S = 3_600.0  # chunks that no message has asked for by then are dropped
UNCLAIMED_BYTES = 4 * WINDOW * CHUNK_BYTES  # per sender
CHUNK_COST = 1_024  # bytes of that which the smallest chunk takes: a file and a row

SKIP_S = 5.0  # a gap that a restored backup may have torn is passed over after this

Stream = tuple[str, int, str]  # sender, incarnation, session


@dataclass(frozen=True, slots=True)
class Parcel:
    """A verified message, decoded once, and the arrays it speaks of."""

    message: Message
    decoded: Plain | MalformedMessage = field(repr=False)
    arrays: tuple[ArrayRef, ...]

    @property
    def plain(self) -> Plain:
        """The body.

        Raises:
            MalformedMessage: there is none to be read; said here, so that it is refused in its turn.
        """
        if isinstance(self.decoded, MalformedMessage):
            raise self.decoded
        return self.decoded


@dataclass(slots=True)
class _Arriving:
    """A blob that is arriving, or here and not asked for yet."""

    sender: str
    since: float
    held: set[int] = field(default_factory=set)
    first: int = 0  # so many chunks from the first on are held
    bytes: int = 0
    granted: int = 0
    count: int = 0  # chunks, as far as claims say
    claims: int = 0  # messages that ask for it and were not acted on yet

    @property
    def claimed(self) -> bool:
        return self.claims > 0

    def take(self, index: int, size: int) -> None:
        """Note that a chunk is here."""
        self.held.add(index)
        self.bytes += size
        while self.first in self.held:
            self.first += 1


@dataclass(frozen=True, slots=True)
class Credit:
    """Tell `sender` that the first so many chunks of the blob are safe here."""

    sender: str
    blob_id: bytes
    received: int


class Intake:
    """Verifies, orders and completes what the transport delivers.

    `refused` counts refusals by the name of the error.

    Args:
        lookup: finds a member's keys; raises UnknownSender or SuspendedSender.
        former: finds the keys that a member had until lately.
        restored_ms: when this agent was restored from a backup, UTC milliseconds since 1970; None: never.
        reader: finds the keys of suspended members too; None: as `lookup`.
        loose: sessions whose messages stand each for itself, see `hansa.broker.inbox`.
        expects: whether a session is one that may bring arrays; a message of another is not kept waiting for any.
    """

    def __init__(
        self,
        identity: Identity,
        federation: str,
        lookup: Callable[[str], PublicIdentity],
        blobs: BlobStore,
        journal: Journal,
        former: Callable[[str, float], PublicIdentity | None] = lambda name, now_s: None,
        restored_ms: int | None = None,
        reader: Callable[[str], PublicIdentity] | None = None,
        loose: Collection[str] = (),
        expects: Callable[[str], bool] = lambda session: True,
    ) -> None:
        self._identity = identity
        self._federation = federation
        self._lookup = lookup
        self._former = former
        self._blobs = blobs
        self._restored_ms = restored_ms
        self._reader = reader or lookup
        self._loose = loose
        self._expects = expects
        self._disk: Counter[str] = Counter()  # bytes of chunks, by sender
        self._renewed: list[str] = []
        self._journal = journal
        self._released: dict[Stream, deque[Parcel]] = {}
        self._arriving: dict[bytes, _Arriving] = {}
        self._pending: Counter[str] = Counter()  # bytes of bodies held or released, by sender
        self.refused: Counter[str] = Counter()
        self.last_refusal = ""
        self._restore(journal)

    def _restore(self, journal: Journal) -> None:
        for key, value in journal.load("chunk").items():
            place, index = key[:16], int.from_bytes(key[16:])
            sender, since, size = unpack_row(value)
            arriving = self._arriving.setdefault(place, _Arriving(sender, since))
            arriving.take(index, size)
            self._disk[sender] += CHUNK_COST + size
            self._blobs.use_ids("chunk", place, [place])
        seen = [from_plain(SeenRow, decode(value)) for value in journal.load("seen").values()]
        in_order = {(row.sender, row.incarnation, row.session, row.sequence) for row in seen}
        held = [_load_message(value) for value in journal.load("held").values()]
        for message in held:
            self._pending[message.header.sender] += len(message.body)
        waiting = [message for message in held if _place(message) not in in_order]
        self._inbox = Inbox.restore(seen, waiting, restored_ms=self._restored_ms, loose=self._loose)
        for message in sorted(held, key=_place):
            if _place(message) in in_order:  # only its arrays were not whole yet
                self._release(message)

    def receive(self, changes: Changes, now_s: float, delivery: Delivery) -> Credit | None:
        """Take in one delivery; what it makes ready is in `ready()`.

        Raises:
            Refused: the named reason. `count` it if that is the last word. Nothing has happened, except that a
                message which its sender stands by has taken its place in its stream: else those behind it
                would wait for ever.
        """
        match frame_kind(delivery.body):
            case "chunk":
                return self._chunk(changes, now_s, delivery)
            case "envelope":
                self._envelope(changes, now_s, delivery)
                return None
            case "event":
                raise MalformedMessage("an event in an agent's own queue")

    def _envelope(self, changes: Changes, now_s: float, delivery: Delivery) -> None:
        try:
            signed = self._verify(delivery.body, now_s)
        except SuspendedSender:
            self._order(changes, now_s, self._verified(delivery.body, self._reader).voided())
            raise
        try:
            message = signed.open(self._identity, int(now_s * 1000))
        except (ClockSkew, Expired, Unopenable):
            self._order(changes, now_s, signed.voided())
            raise
        if self._pending[message.header.sender] + len(message.body) > PENDING_BYTES:
            raise TooFarAhead(
                f"{message.header.sender} has {PENDING_BYTES >> 20} MiB of messages waiting here"
            )
        self._order(changes, now_s, message)

    def _order(self, changes: Changes, now_s: float, message: Message) -> None:
        """Put a message in its place; release what has its turn."""
        sender, before = message.header.sender, self._inbox.incarnation(message.header.sender)
        match self._inbox.offer(message, now_s):
            case Accepted(released):
                self._pending[sender] += len(message.body)  # those it releases are counted already
                self._accept(changes, released)
            case Held():
                self._pending[sender] += len(message.body)
                changes.put("held", _key(message), _dump_message(message))
            case Duplicate():
                pass  # acknowledged and dropped
        if -1 < before < self._inbox.incarnation(sender):
            self._supersede(changes, sender)

    def _accept(self, changes: Changes, released: Iterable[Message]) -> None:
        for each in released:
            header = each.header
            row = SeenRow(
                header.sender, header.incarnation, header.session, header.sequence, each.frame_digest
            )
            changes.put("seen", _key(each), encode(to_plain(row)))
            if each.void:
                changes.drop("held", _key(each))
                continue
            changes.put_later("held", _key(each), partial(_dump_message, each))  # most are done in this step
            self._release(each)

    def _supersede(self, changes: Changes, sender: str) -> None:
        """A peer was restored from a backup: what its former self left unfinished stays so."""
        for message in self._inbox.drop_stale(sender):
            self._pending[sender] -= len(message.body)
            changes.drop("held", _key(message))
        self._renewed.append(sender)

    def renewed(self) -> list[str]:
        """Take the peers that have begun a new life since the last call."""
        renewed, self._renewed = self._renewed, []
        return renewed

    def next_skip(self) -> float | None:
        """When `skip_gaps` has something to do, UTC seconds, or None."""
        return self._inbox.next_skip(SKIP_S)

    def skip_gaps(self, changes: Changes, now_s: float) -> tuple[SequenceGap, ...]:
        """Release what waits behind messages that only our former self has seen; return what is passed over."""
        skipped = self._inbox.skip(now_s, SKIP_S)
        for each in skipped:
            self._accept(changes, each.released)
        return tuple(each.gap for each in skipped)

    def _verify(self, frame: bytes, now_s: float) -> SignedMessage:
        """Check whose an envelope is, be it signed with the keys that its sender had until lately."""

        def former(name: str) -> PublicIdentity:
            keys = self._former(name, now_s)
            if keys is None:
                raise BadSignature(f"not signed by {name} ({self._lookup(name).short_fingerprint})")
            return keys

        try:
            return self._verified(frame, self._lookup)
        except BadSignature:
            return self._verified(frame, former)

    def _verified(self, frame: bytes, lookup: Callable[[str], PublicIdentity]) -> SignedMessage:
        return verify_message(frame, self._identity, federation=self._federation, lookup=lookup)

    def _release(self, message: Message) -> None:
        """Queue a message that is next in its stream; a malformed body is refused when its turn comes."""
        try:
            plain = decode(message.body)
            parcel = Parcel(message, plain, _affordable(refs(plain)))
        except MalformedMessage as error:
            parcel = Parcel(message, error, ())
        header = message.header
        for place, count in _places(parcel).items():
            arriving = self._arriving.setdefault(place, _Arriving(header.sender, 0.0))
            arriving.claims += 1
            arriving.count = max(arriving.count, count)
        self._released.setdefault((header.sender, header.incarnation, header.session), deque()).append(parcel)

    def _chunk(self, changes: Changes, now_s: float, delivery: Delivery) -> Credit | None:
        frame = decode_chunk(delivery.body)
        if frame.federation != self._federation or frame.recipient != self._identity.name:
            raise MalformedMessage(f"a chunk for {frame.recipient} of {frame.federation}")
        if delivery.routing_key.split(".")[0] != frame.sender:
            raise MalformedMessage(f"a chunk in the name of {frame.sender}, published by another")
        self._lookup(frame.sender)
        place = _berth(frame.sender, frame.blob_id)
        arriving = self._arriving.get(place) or _Arriving(frame.sender, now_s)
        if frame.index not in arriving.held:
            if arriving.claimed and frame.index >= arriving.count:
                raise MalformedMessage(
                    f"{frame.sender} sent chunk {frame.index} of an array of {arriving.count}"
                )
            size = CHUNK_COST + len(frame.body)
            if not arriving.claimed and self._unclaimed_bytes(frame.sender) + size > UNCLAIMED_BYTES:
                raise MalformedMessage(f"{frame.sender} sent more chunks than any of its messages asks for")
            if self._disk[frame.sender] + size > SENDER_BYTES:
                raise TooFarAhead(f"{frame.sender} has {SENDER_BYTES >> 20} MiB of arrays on our disk")
            self._blobs.write_chunk(place, frame.index, frame.body)
            self._arriving[place] = arriving
            arriving.take(frame.index, len(frame.body))
            self._disk[frame.sender] += size
            row = pack_row(frame.sender, float(arriving.since), len(frame.body))
            changes.put("chunk", place + frame.index.to_bytes(8), row, patient=True)
            self._blobs.use_ids("chunk", place, [place])
        # A mere count would let a sender that begins again leave out what was lost in the middle.
        if frame.count > WINDOW and credit_due(arriving.first, arriving.granted, frame.count):
            arriving.granted = arriving.first
            return Credit(frame.sender, frame.blob_id, arriving.first)
        return None

    def ready(self) -> Iterator[Parcel]:
        """Yield what may be acted on now, in each stream's order; call `done` for each."""
        for stream in list(self._released):
            queue = self._released[stream]
            while queue and (self._whole(stream[0], queue[0]) or not self._expects(stream[2])):
                yield queue.popleft()
            if not queue:
                del self._released[stream]

    def open(self, parcel: Parcel) -> Plain:
        """Return a message's body with its arrays in place.

        Raises:
            Refused: the body is malformed, an array is not what was signed, or this session brings none.
        """
        header = parcel.message.header
        if parcel.arrays and not self._expects(header.session):
            raise MalformedMessage(f"{header.sender} sent arrays in session {header.session!r}, unknown here")
        sender = parcel.message.header.sender
        return attach(parcel.plain, lambda ref: self._blobs.adopt(ref, _berth(sender, ref.blob_id)))

    def done(self, changes: Changes, parcel: Parcel) -> None:
        """The message was acted on or refused: its journal rows may go."""
        self._pending[parcel.message.header.sender] -= len(parcel.message.body)
        changes.drop("held", _key(parcel.message))
        for place in _places(parcel):
            arriving = self._arriving[place]
            arriving.claims -= 1
            if not arriving.claimed:
                self._forget(changes, place)

    def refuse(self, changes: Changes, parcel: Parcel, error: Exception) -> None:
        """The message was in order but not acceptable: count it, and be done with it."""
        self.count(error)
        self.done(changes, parcel)

    def drop_unclaimed(self, changes: Changes, now_s: float) -> None:
        """Forget chunks that no message has asked for within the hour."""
        for place, arriving in list(self._arriving.items()):
            if not arriving.claimed and arriving.since + UNCLAIMED_S < now_s:
                self._forget(changes, place)

    def sessions(self) -> set[str]:
        """Return the sessions that something has come of."""
        return self._inbox.sessions()

    def forget(self, changes: Changes, sessions: Collection[str]) -> None:
        """Drop everything of sessions that are over, and whose messages have expired."""
        for key in self._journal.load("seen"):
            if unpack_row(key)[2] in sessions:
                changes.drop("seen", key)
        released: set[bytes] = set()
        for stream in [stream for stream in self._released if stream[2] in sessions]:
            for parcel in self._released.pop(stream):  # its arrays never came
                released.add(_key(parcel.message))
                self.done(changes, parcel)
        for key, value in self._journal.load("held").items():
            if unpack_row(key)[2] in sessions and key not in released:  # it waited behind a gap
                message = _load_message(value)
                self._pending[message.header.sender] -= len(message.body)
                changes.drop("held", key)
        for session in sessions:
            self._inbox.forget(session)

    def gaps(self, now_s: float, deadline_s: float) -> tuple[SequenceGap, ...]:
        """Name the messages that others have waited behind for so long."""
        return self._inbox.gaps(now_s, deadline_s)

    def _whole(self, sender: str, parcel: Parcel) -> bool:
        berths = ((self._arriving[_berth(sender, ref.blob_id)], ref.chunk_count) for ref in parcel.arrays)
        return all(len(arriving.held) >= count for arriving, count in berths)

    def _unclaimed_bytes(self, sender: str) -> int:
        return sum(
            each.bytes + CHUNK_COST * len(each.held)
            for each in self._arriving.values()
            if each.sender == sender and not each.claimed
        )

    def _forget(self, changes: Changes, place: bytes) -> None:
        arriving = self._arriving.pop(place)
        self._disk[arriving.sender] -= arriving.bytes + CHUNK_COST * len(arriving.held)
        self._blobs.use_ids("chunk", place, [])
        for index in arriving.held:
            changes.drop("chunk", place + index.to_bytes(8))

    def count(self, error: Exception) -> None:
        """Note that something was refused."""
        self.refused[type(error).__name__] += 1
        self.last_refusal = f"{type(error).__name__}: {error}"


def _affordable(arrays: tuple[ArrayRef, ...]) -> tuple[ArrayRef, ...]:
    """Return the arrays a message speaks of; MalformedMessage if they are more than one sender may bring."""
    total = sum({ref.blob_id: ref.sealed_bytes for ref in arrays}.values())
    if total > SENDER_BYTES:
        raise MalformedMessage(f"speaks of {total} bytes of arrays; at most {SENDER_BYTES} are taken in")
    return arrays


def _berth(sender: str, blob_id: bytes) -> bytes:
    """Return where a sender's chunks lie until its message claims them.

    A berth of each sender's own: all recipients of a broadcast know the blob's id, and none of them shall
    overwrite what another sends, or keep it out by naming it first.
    """
    return hashlib.sha256(b"hansa-berth-v1" + blob_id + sender.encode()).digest()[:16]


def _places(parcel: Parcel) -> dict[bytes, int]:
    """Return where a message's arrays arrive, and in how many chunks."""
    sender = parcel.message.header.sender
    return {_berth(sender, ref.blob_id): ref.chunk_count for ref in parcel.arrays}


def _place(message: Message) -> tuple[str, int, str, int]:
    header = message.header
    return header.sender, header.incarnation, header.session, header.sequence


def _key(message: Message) -> bytes:
    return pack_row(*_place(message))


def _dump_message(message: Message) -> bytes:
    void = [True] if message.void else []
    return pack_row(to_plain(message.header), message.body, message.frame_digest, *void)


def _load_message(row: bytes) -> Message:
    header, body, digest, *void = unpack_row(row)
    return Message(from_plain(Header, header), body, digest, bool(void))
