"""Who sent this, to whom, in which place of which stream, and may I believe it?

A frame is a msgpack array of four: its format, the header's bytes, the signature, the payload. The
signature covers the header's bytes as they travel (`fields.pack_fields`, under a domain of its own) and the
header holds the payload's length and digest, so every byte is signed and nothing is ever re-serialised to
check it. In a message, the payload is sealed to the recipient with HPKE, whose `info` is the whole header up
to the payload's length and digest: nobody can put another's ciphertext under a header of their own. In
an event (``"all"``), the payload is plain.

`open_message` checks in this order, each failure an error of its own: size, framing, header, version,
federation, recipient, sender, signature, clock, expiry, payload length, digest, seal. Up to the signature
nothing is believed; the few parsed fields before it only choose the key, and may only lead to a refusal.
Order within a stream, duplicates and replays are the inbox's business.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from hansa.broker.errors import (
    ClockSkew,
    Expired,
    MalformedMessage,
    OversizedMessage,
    UnknownVersion,
    WrongFederation,
    WrongPayload,
    WrongRecipient,
)
from hansa.broker.fields import pack_fields, unpack_fields
from hansa.broker.frames import pack_frame, unpack_frame
from hansa.broker.identity import (
    EVERYBODY,
    SEAL_OVERHEAD_BYTES,
    Identity,
    PublicIdentity,
    check_name,
)

ENVELOPE = "hansa-envelope-1"
EVENT = "hansa-event-1"
MAX_FRAME_BYTES = 2**20 - 1_024  # fits, with its routing key, into one plain value of default limits
MAX_TEXT_CHARS = 120  # federation, session, kind
CLOCK_SKEW_MS = 5 * 60_000

_HEADER_TYPES: tuple[type[str] | type[int] | type[bytes], ...] = (
    str, str, str, int, int, str, str, int, int, int, int, bytes,
)  # fmt: skip
_PAYLOAD_FIELDS_BYTES = (5 + 8) + (5 + 32)  # how the last two fields are packed: length, digest

Lookup: TypeAlias = Callable[[str], PublicIdentity]


@dataclass(frozen=True, slots=True)
class Header:
    """What is signed of a message.

    Attributes:
        federation: its id.
        session: the job, or "" outside of jobs.
        sender: an agent's name.
        incarnation: of the sender; a restored backup begins a new one.
        sequence: counts from 0 without gaps per (incarnation, session, recipient).
        recipient: an agent's name, or "all" for events.
        kind: names the body's class.
        schema: the version of that class.
        sent_at_ms: UTC, milliseconds since 1970, by the sender's clock.
        expires_at_ms: as `sent_at_ms`; not to be read from then on.
        payload_bytes: length of the payload as it travels.
        payload_digest: its SHA-256.
    """

    federation: str
    session: str
    sender: str
    incarnation: int
    sequence: int
    recipient: str
    kind: str
    schema: int
    sent_at_ms: int
    expires_at_ms: int
    payload_bytes: int
    payload_digest: bytes

    def __post_init__(self) -> None:
        check_name(self.sender)
        if self.recipient != EVERYBODY:
            check_name(self.recipient)
        for text in (self.federation, self.session, self.kind):
            if len(text) > MAX_TEXT_CHARS or not (text.isascii() and (text.isprintable())):
                raise ValueError(
                    f"federation, session and kind have at most {MAX_TEXT_CHARS} ASCII characters"
                )
        if not self.federation or not self.kind:
            raise ValueError("federation and kind are never empty")
        if self.expires_at_ms <= self.sent_at_ms:
            raise ValueError("a message expires after it is sent")
        if len(self.payload_digest) != 32:
            raise ValueError("a payload's digest has 32 bytes")


@dataclass(frozen=True, slots=True)
class Message:
    """A message that passed every check.

    Attributes:
        header: as signed.
        body: the opened payload; `codec.decode` it next.
        frame_digest: SHA-256 of the signed header, hence of all the sender stands for: two messages with
            one number and different digests are equivocation, whatever a broker did to their framing.
        void: refused, though it is its sender's; it takes its place in the stream, and nothing else.
    """

    header: Header
    body: bytes = field(repr=False)
    frame_digest: bytes
    void: bool = False


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """A message that its sender stands by, not opened yet: whatever is wrong with it now, its number is used.

    Attributes:
        header: as signed.
        signed: the header's bytes as they travelled.
        payload: as it travelled.
    """

    header: Header
    signed: bytes = field(repr=False)
    payload: memoryview = field(repr=False)

    def open(self, me: Identity, now_ms: int) -> Message:
        """Open it; errors and arguments as for `open_message`, but for those of the signature."""
        self.check(now_ms)
        body = me.open(self.payload, _seal_info(self.signed))
        return Message(self.header, body, hashlib.sha256(self.signed).digest())

    def check(self, now_ms: int) -> None:
        """Raise ClockSkew, Expired or WrongPayload."""
        header, payload = self.header, self.payload
        if header.sent_at_ms > now_ms + CLOCK_SKEW_MS:
            raise ClockSkew(header.sender, (header.sent_at_ms - now_ms) / 1000)
        if header.expires_at_ms <= now_ms:
            late_s = (now_ms - header.expires_at_ms) / 1000
            raise Expired(f"{header.sender}'s {header.kind!r} expired {late_s:.0f} s ago")
        if header.payload_bytes != len(payload):
            lengths = f"{header.payload_bytes} payload bytes, {len(payload)} came"
            raise WrongPayload(f"{header.sender} signed {lengths}")
        if header.payload_digest != hashlib.sha256(payload).digest():
            raise WrongPayload(f"{header.sender} signed another payload than came")

    def voided(self) -> Message:
        """Return what is left of it once it is refused: its place in its stream."""
        return Message(self.header, b"", hashlib.sha256(self.signed).digest(), void=True)


def seal_message(
    identity: Identity,
    recipient: PublicIdentity,
    *,
    federation: str,
    session: str,
    incarnation: int,
    sequence: int,
    kind: str,
    schema: int,
    sent_at_ms: int,
    expires_at_ms: int,
    body: bytes,
) -> bytes:
    """Seal and sign one message; the result is to be stored and resent as it is.

    Sealing draws fresh randomness: doing it twice under one sequence would be equivocation.

    Raises:
        ValueError: a field that no header may have, or a body that makes the frame too long.
    """
    _check_size(len(body) + SEAL_OVERHEAD_BYTES)
    payload_bytes = len(body) + SEAL_OVERHEAD_BYTES
    header = Header(
        federation=federation,
        session=session,
        sender=identity.name,
        incarnation=incarnation,
        sequence=sequence,
        recipient=recipient.name,
        kind=kind,
        schema=schema,
        sent_at_ms=sent_at_ms,
        expires_at_ms=expires_at_ms,
        payload_bytes=payload_bytes,
        payload_digest=bytes(32),
    )
    draft = _pack_header(ENVELOPE, header)
    payload = recipient.seal(body, _seal_info(draft))
    assert len(payload) == payload_bytes
    return _sign(ENVELOPE, identity, draft[:-32] + hashlib.sha256(payload).digest(), payload)


def open_message(
    frame: bytes,
    me: Identity,
    *,
    federation: str,
    lookup: Lookup,
    now_ms: int,
    max_bytes: int = MAX_FRAME_BYTES,
) -> Message:
    """Check and open one message addressed to us.

    Args:
        frame: as it came.
        me: our keys.
        federation: ours.
        lookup: finds a member's keys; raises UnknownSender or SuspendedSender.
        now_ms: UTC, milliseconds since 1970.
        max_bytes: longest frame to look at.

    Raises:
        Refused: the subclass names the reason.
    """
    return verify_message(frame, me, federation=federation, lookup=lookup, max_bytes=max_bytes).open(
        me, now_ms
    )


def verify_message(
    frame: bytes, me: Identity, *, federation: str, lookup: Lookup, max_bytes: int = MAX_FRAME_BYTES
) -> SignedMessage:
    """Check a message up to its signature; arguments and errors as for `open_message`."""
    return _verify(ENVELOPE, frame, me.name, federation, lookup, max_bytes)


def sign_event(
    identity: Identity,
    *,
    federation: str,
    session: str,
    incarnation: int,
    sequence: int,
    kind: str,
    schema: int,
    sent_at_ms: int,
    expires_at_ms: int,
    body: bytes,
) -> bytes:
    """Sign one event for everybody; the body travels in the clear, so it holds metadata only.

    Raises:
        ValueError: as for `seal_message`.
    """
    _check_size(len(body))
    header = Header(
        federation=federation,
        session=session,
        sender=identity.name,
        incarnation=incarnation,
        sequence=sequence,
        recipient=EVERYBODY,
        kind=kind,
        schema=schema,
        sent_at_ms=sent_at_ms,
        expires_at_ms=expires_at_ms,
        payload_bytes=len(body),
        payload_digest=hashlib.sha256(body).digest(),
    )
    return _sign(EVENT, identity, _pack_header(EVENT, header), body)


def open_event(
    frame: bytes, *, federation: str, lookup: Lookup, now_ms: int, max_bytes: int = MAX_FRAME_BYTES
) -> Message:
    """Check one event; arguments and errors as for `open_message`, less the seal."""
    event = _verify(EVENT, frame, EVERYBODY, federation, lookup, max_bytes)
    event.check(now_ms)
    return Message(event.header, bytes(event.payload), hashlib.sha256(event.signed).digest())


def _pack_header(domain: str, header: Header) -> bytes:
    return pack_fields(
        domain,
        header.federation,
        header.session,
        header.sender,
        header.incarnation,
        header.sequence,
        header.recipient,
        header.kind,
        header.schema,
        header.sent_at_ms,
        header.expires_at_ms,
        header.payload_bytes,
        header.payload_digest,
    )


def _seal_info(header: bytes) -> bytes:
    return header[:-_PAYLOAD_FIELDS_BYTES]


def _signed(header: bytes) -> bytes:
    return pack_fields("hansa-header-signature-1", header)


def _sign(domain: str, identity: Identity, header: bytes, payload: bytes) -> bytes:
    frame = pack_frame(domain, header, identity.sign(_signed(header)), body=payload)
    _check_size(len(frame))
    return frame


def _check_size(frame_bytes: int) -> None:
    if frame_bytes > MAX_FRAME_BYTES:
        raise ValueError(f"{frame_bytes} bytes for one message; detach its arrays, or split it")


def _verify(
    domain: str, frame: bytes, recipient: str, federation: str, lookup: Lookup, max_bytes: int
) -> SignedMessage:
    """Check size, framing, header, federation, recipient, sender and signature."""
    if len(frame) > max_bytes:
        raise OversizedMessage(f"a frame of {len(frame)} bytes; at most {max_bytes} are read")
    (signed, signature), payload = unpack_frame(domain, (bytes, bytes), frame)
    assert isinstance(signed, bytes)  # as unpack_frame has checked
    assert isinstance(signature, bytes)
    header = _read_header(domain, signed)
    if header.federation != federation:
        raise WrongFederation(f"for federation {header.federation!r}; this is {federation!r}")
    if header.recipient != recipient:
        raise WrongRecipient(f"for {header.recipient}; this is {recipient}")
    lookup(header.sender).verify(signature, _signed(signed))
    return SignedMessage(header, signed, payload)


def _read_header(domain: str, signed: bytes) -> Header:
    inner, fields = unpack_fields(signed, _HEADER_TYPES)
    if inner != domain:
        raise UnknownVersion(f"a header of format {inner!r:.60}; {domain!r} is read here")
    try:
        return Header(*fields)  # type: ignore[arg-type]  # unpack_fields has checked each type
    except ValueError as error:
        raise MalformedMessage(f"header: {error}") from None
