"""What is on its way out? Sealed once, journalled, sent until the transport confirms it.

A message is sealed when it is posted and never again: after a crash the same bytes go out, since a second
sealing under the same sequence would look like equivocation. Its large arrays go beside it, chunk by chunk,
never more than the receiver's credit allows.

A message goes out even when it has expired meanwhile, once: what is left out would be a gap in its stream, while
one that comes too late is refused by its recipient and takes its place there.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

from hansa.agents.core import wire
from hansa.agents.core.blobs import BlobStore
from hansa.agents.core.journal import Changes, Journal, pack_row, unpack_row
from hansa.broker import (
    Busy,
    Identity,
    PublicIdentity,
    Refused,
    Traffic,
    UnknownSender,
    detach,
    encode,
    encode_chunk,
    parse_key,
    refs,
    routing_key,
    seal_message,
    sendable,
    to_plain,
)
from hansa.broker.chunks import ArrayRef, ChunkFrame
from hansa.broker.transport import Outcome, Transport

EXPIRY_S = 7 * 86_400.0  # outlives a job; phase deadlines belong to the machines
UNROUTABLE_RETRY_S = 5.0  # at first
MAX_RETRY_S = 300.0


@dataclass(slots=True)
class _Letter:
    """A sealed message that is not confirmed yet."""

    key: str
    frame: bytes
    not_before: float = 0.0  # the recipient had no queue: try again then
    pause_s: float = 0.0  # and after this

    @property
    def recipient(self) -> str:
        return parse_key(self.key)[1]

    @property
    def traffic(self) -> Traffic:
        return parse_key(self.key)[2]


@dataclass(slots=True)
class _Transfer:
    """One array on its way to one recipient."""

    blob_id: bytes
    recipient: str
    count: int
    received: int = 0  # the first so many chunks are safe, the receiver says
    sent: int = 0  # the first so many chunks are safe or under way in this attempt
    confirmed: int = 0  # how many of them are safe or confirmed
    attempt: int = 0  # outcomes of an earlier one say nothing about this one
    not_before: float = 0.0

    def begin_again(self) -> None:
        """Send everything anew that the receiver has not said it has."""
        self.attempt += 1
        self.sent = self.confirmed = self.received


class Outbox:
    """Seals, journals, publishes, and republishes after a restart."""

    def __init__(
        self,
        identity: Identity,
        federation: str,
        lookup: Callable[[str], PublicIdentity],
        blobs: BlobStore,
        journal: Journal,
        transport: Transport,
        detach_bytes: int,
    ) -> None:
        self._identity = identity
        self._federation = federation
        self._lookup = lookup
        self._blobs = blobs
        self._transport = transport
        self._detach_bytes = detach_bytes
        self._letters: dict[int, _Letter] = {}
        self._unconfirmed: Counter[str] = Counter()  # letters by recipient
        self._transfers: dict[int, _Transfer] = {}
        self._ready: dict[Traffic, deque[int]] = {"control": deque(), "data": deque()}
        self._letters_in_flight: dict[int, int] = {}  # transport tag -> letter
        self._chunks_in_flight: dict[int, tuple[int, int]] = {}  # transport tag -> transfer, its attempt
        self._next_tag = 0
        self.unroutable: set[str] = set()
        self._restore(journal)

    def _restore(self, journal: Journal) -> None:
        self._sequences = {key: int.from_bytes(value) for key, value in journal.load("sequence").items()}
        self._next_id = 0
        for key, value in journal.load("outbox").items():
            letter_id = int.from_bytes(key)
            routing, frame = unpack_row(value)
            self._take_letter(letter_id, _Letter(routing, frame))
            self._next_id = max(self._next_id, letter_id + 1)
        for key, value in journal.load("transfer").items():
            transfer_id = int.from_bytes(key)
            blob_id, recipient, count, received = unpack_row(value)
            self._transfers[transfer_id] = transfer = _Transfer(blob_id, recipient, count, received)
            transfer.begin_again()
            self._blobs.use_ids("transfer", key, [blob_id])
            self._next_id = max(self._next_id, transfer_id + 1)
        incarnation = journal.load("meta").get(b"incarnation")
        self.incarnation = int.from_bytes(incarnation) if incarnation else 0

    @property
    def idle(self) -> bool:
        """Whether nothing is left to send or to be confirmed."""
        return not self._letters and not self._transfers

    @property
    def waiting(self) -> int:
        """How many messages are not confirmed yet."""
        return len(self._letters)

    def unconfirmed(self, recipient: str) -> int:
        """How many messages to somebody are not confirmed yet."""
        return self._unconfirmed[recipient]

    def post(self, changes: Changes, now_s: float, session: str, recipient: str, message: object) -> None:
        """Seal a message for one peer and put it, with its arrays, into this step's changes.

        Raises:
            UnknownSender, SuspendedSender: the peer may not be written to; nothing has happened.
        """
        self.post_to(changes, now_s, session, self._lookup(recipient), recipient, message)

    def post_to(
        self,
        changes: Changes,
        now_s: float,
        session: str,
        reader: PublicIdentity,
        recipient: str,
        message: object,
    ) -> None:
        """Seal a message for whoever holds these keys, member or not, and send it to a mailbox, as `post`."""
        kind = wire.kind_of(message)
        plain = detach(to_plain(message), self._blobs.keep, self._detach_bytes)
        arrays = refs(plain)
        stream = pack_row(session, recipient)
        sequence = self._sequences.get(stream, 0)
        sent_at_ms = int(now_s * 1000)
        frame = seal_message(
            self._identity,
            reader,
            federation=self._federation,
            session=session,
            incarnation=self.incarnation,
            sequence=sequence,
            kind=kind.name,
            schema=kind.schema,
            sent_at_ms=sent_at_ms,
            expires_at_ms=sent_at_ms + int(EXPIRY_S * 1000),
            body=encode(plain),
        )
        self._sequences[stream] = sequence + 1
        changes.put("sequence", stream, (sequence + 1).to_bytes(8))
        for ref in arrays:
            self._begin_transfer(changes, ref, recipient)
        letter_id = self._take_id()
        traffic: Traffic = "data" if arrays else "control"
        letter = _Letter(routing_key(self._identity.name, recipient, traffic), frame)
        changes.put("outbox", letter_id.to_bytes(8), pack_row(letter.key, letter.frame))
        self._take_letter(letter_id, letter)

    def _take_letter(self, letter_id: int, letter: _Letter) -> None:
        self._letters[letter_id] = letter
        self._ready[letter.traffic].append(letter_id)
        self._unconfirmed[letter.recipient] += 1

    def _drop_letter(self, changes: Changes, letter_id: int) -> None:
        letter = self._letters.pop(letter_id)
        self._unconfirmed[letter.recipient] -= 1
        if not self._unconfirmed[letter.recipient]:
            del self._unconfirmed[letter.recipient]
        self.unroutable.discard(letter.recipient)
        changes.drop("outbox", letter_id.to_bytes(8), patient=True)

    def _begin_transfer(self, changes: Changes, ref: ArrayRef, recipient: str) -> None:
        transfer = _Transfer(ref.blob_id, recipient, ref.chunk_count)
        key = self._take_id().to_bytes(8)
        self._transfers[int.from_bytes(key)] = transfer
        self._blobs.use("transfer", key, [ref])
        self._write_transfer(changes, key, transfer)

    def credit(self, changes: Changes, sender: str, blob_id: bytes, received: int) -> None:
        """The receiver has the first so many chunks on its disk: more may follow."""
        for transfer_id, transfer in list(self._transfers.items()):
            if transfer.recipient == sender and transfer.blob_id == blob_id:
                transfer.received = max(transfer.received, min(received, transfer.count))
                self._write_transfer(changes, transfer_id.to_bytes(8), transfer, patient=True)
                self._settle(changes, transfer_id, transfer)

    def outcomes(self, changes: Changes, now_s: float, outcomes: list[Outcome]) -> None:
        """Take in what became of what was published."""
        for outcome in outcomes:
            letter_id = self._letters_in_flight.pop(outcome.tag, None)
            if letter_id is not None:
                self._letter_outcome(changes, now_s, letter_id, outcome.status)
            transfer_id, attempt = self._chunks_in_flight.pop(outcome.tag, (-1, 0))
            transfer = self._transfers.get(transfer_id)
            if transfer is not None and transfer.attempt == attempt:
                self._chunk_outcome(changes, now_s, transfer_id, outcome.status)

    def _letter_outcome(self, changes: Changes, now_s: float, letter_id: int, status: str) -> None:
        letter = self._letters[letter_id]
        if status == "confirmed" or (status == "unroutable" and self._gone(letter.recipient)):
            self._drop_letter(changes, letter_id)
            return
        if status == "unroutable":
            letter.pause_s = min(2 * letter.pause_s, MAX_RETRY_S) or UNROUTABLE_RETRY_S
            letter.not_before = now_s + letter.pause_s
            self.unroutable.add(letter.recipient)
        self._ready[letter.traffic].append(letter_id)

    def _chunk_outcome(self, changes: Changes, now_s: float, transfer_id: int, status: str) -> None:
        transfer = self._transfers[transfer_id]
        if status == "confirmed":
            transfer.confirmed += 1
            self._settle(changes, transfer_id, transfer)
            return
        if status == "unroutable" and self._gone(transfer.recipient):
            transfer.received = transfer.count
            self._settle(changes, transfer_id, transfer)
            return
        if status == "unroutable":
            transfer.not_before = now_s + UNROUTABLE_RETRY_S
            self.unroutable.add(transfer.recipient)
        transfer.begin_again()

    def _gone(self, recipient: str) -> bool:
        """Whether a mailbox is missing for good: its owner has left, or was a door that is shut."""
        try:
            self._lookup(recipient)
        except UnknownSender:
            return True
        except Refused:
            return False  # suspended: it may come back
        return False

    def _settle(self, changes: Changes, transfer_id: int, transfer: _Transfer) -> None:
        key = transfer_id.to_bytes(8)
        if max(transfer.confirmed, transfer.received) >= transfer.count:
            del self._transfers[transfer_id]
            changes.drop("transfer", key, patient=True)
            self._blobs.use("transfer", key, [])

    def sessions(self) -> set[str]:
        """Return the sessions that something was sent of."""
        return {unpack_row(stream)[0] for stream in self._sequences}

    def forget(self, changes: Changes, sessions: Collection[str]) -> None:
        """Drop the numbers of sessions that are over, and whose messages have expired."""
        for stream in [stream for stream in self._sequences if unpack_row(stream)[0] in sessions]:
            del self._sequences[stream]
            changes.drop("sequence", stream)

    def forget_life(self, changes: Changes, recipient: str) -> None:
        """A peer was restored from a backup: the arrays on their way to its former self have nobody to come to.

        What it had received of them is lost with it, so that its credit for the rest would never come.
        """
        for transfer_id, transfer in list(self._transfers.items()):
            if transfer.recipient == recipient:
                transfer.received = transfer.count
                self._settle(changes, transfer_id, transfer)

    def next_retry(self) -> float | None:
        """When something whose recipient had no queue is due again, or None."""
        times = [letter.not_before for letter in self._letters.values()]
        times += [transfer.not_before for transfer in self._transfers.values()]
        return min((at for at in times if at > 0), default=None)

    def publish(self, now_s: float) -> int:
        """Hand to the transport what it has room for; return how many. Call after the commit.

        Messages without arrays go first, so that an abort never waits behind gigabytes; the others each after its
        own arrays, so that the recipient can act on it, and let go of them, before the next one's arrive.
        """
        published = self._publish_letters(now_s, "control")
        for transfer_id, transfer in self._transfers.items():
            published += self._publish_letters(now_s, "data", posted_before=transfer_id)
            published += self._publish_chunks(now_s, transfer_id, transfer)
        return published + self._publish_letters(now_s, "data")

    def _publish_chunks(self, now_s: float, transfer_id: int, transfer: _Transfer) -> int:
        published = 0
        if transfer.not_before <= now_s:
            transfer.not_before = 0.0
            for index in sendable(transfer.count, transfer.sent, transfer.received):
                if self._transport.room() <= 0 or not self._publish_chunk(transfer_id, transfer, index):
                    break
                published += 1
        return published

    def _publish_letters(self, now_s: float, traffic: Traffic, posted_before: int | None = None) -> int:
        published = 0
        ready = self._ready[traffic]
        early: list[int] = []  # their recipients had no queue a moment ago
        while ready and (posted_before is None or ready[0] < posted_before) and self._transport.room() > 0:
            letter_id = ready.popleft()
            letter = self._letters[letter_id]
            if letter.not_before > now_s:
                early.append(letter_id)
                continue
            letter.not_before = 0.0
            tag = self._take_tag()
            if not self._hand_over(letter.key, letter.frame, tag):
                ready.appendleft(letter_id)
                break
            self._letters_in_flight[tag] = letter_id
            published += 1
        ready.extendleft(reversed(early))
        return published

    def _publish_chunk(self, transfer_id: int, transfer: _Transfer, index: int) -> bool:
        frame = ChunkFrame(
            federation=self._federation,
            sender=self._identity.name,
            recipient=transfer.recipient,
            blob_id=transfer.blob_id,
            index=index,
            count=transfer.count,
            body=self._blobs.read_chunk(transfer.blob_id, index),
        )
        key = routing_key(self._identity.name, transfer.recipient, "data")
        tag = self._take_tag()
        if not self._hand_over(key, encode_chunk(frame), tag):
            return False
        transfer.sent = index + 1
        self._chunks_in_flight[tag] = transfer_id, transfer.attempt
        return True

    def _hand_over(self, key: str, body: bytes, tag: int) -> bool:
        """Publish; False if the connection has gone since it was asked whether there is room."""
        try:
            self._transport.publish(key, body, tag)
        except Busy:
            return False
        return True

    def _write_transfer(
        self, changes: Changes, key: bytes, transfer: _Transfer, patient: bool = False
    ) -> None:
        row = pack_row(transfer.blob_id, transfer.recipient, transfer.count, transfer.received)
        changes.put("transfer", key, row, patient)

    def _take_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _take_tag(self) -> int:
        self._next_tag += 1
        return self._next_tag - 1
