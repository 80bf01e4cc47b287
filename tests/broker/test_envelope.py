"""Envelopes: what is signed arrives, and each thing that can be wrong has its name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.broker import (
    BadSignature,
    BrokerError,
    ClockSkew,
    Expired,
    Header,
    MalformedMessage,
    Message,
    OversizedMessage,
    Refused,
    SuspendedSender,
    UnknownSender,
    UnknownVersion,
    Unopenable,
    WrongFederation,
    WrongPayload,
    WrongRecipient,
    from_plain,
    open_event,
    open_message,
    to_plain,
)
from hansa.broker.envelope import (
    CLOCK_SKEW_MS,
    ENVELOPE,
    EVENT,
    MAX_FRAME_BYTES,
    _pack_header,
    _seal_info,
    _sign,
    _signed,
)
from hansa.broker.fields import pack_fields
from hansa.broker.frames import pack_frame, unpack_frame
from hansa.broker.identity import SEAL_OVERHEAD_BYTES
from tests.broker.builders import FEDERATION, NOW_MS, agent, announce, header, roster, seal


def opened(frame: bytes, **changes: Any) -> Message:
    """Open a frame as bob would, with one thing changed."""
    usual: dict[str, Any] = {"federation": FEDERATION, "lookup": roster("alice", "bob"), "now_ms": NOW_MS}
    return open_message(frame, **{"me": agent("bob"), **usual, **changes})


def heard(frame: bytes, **changes: Any) -> Message:
    """Open an event with one thing changed."""
    usual: dict[str, Any] = {"federation": FEDERATION, "lookup": roster("alice"), "now_ms": NOW_MS}
    return open_event(frame, **{**usual, **changes})


def parts(frame: bytes, name: str = ENVELOPE) -> tuple[bytes, bytes, bytes]:
    """Take a frame apart: header, signature, payload."""
    (signed, signature), payload = unpack_frame(name, (bytes, bytes), frame)
    assert isinstance(signed, bytes)
    assert isinstance(signature, bytes)
    return signed, signature, bytes(payload)


@given(
    body=st.binary(max_size=300),
    session=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=120),
    sequence=st.integers(0, 2**63 - 1),
    schema=st.integers(0, 2**63 - 1),
)
def test_a_message_arrives_as_it_was_sealed(body: bytes, session: str, sequence: int, schema: int) -> None:
    message = opened(seal(body=body, session=session, sequence=sequence, schema=schema))
    assert message.body == body
    assert (message.header.session, message.header.sequence, message.header.schema) == (
        session,
        sequence,
        schema,
    )
    assert (message.header.sender, message.header.recipient) == ("alice", "bob")


@given(st.binary(max_size=300))
def test_an_event_arrives_as_it_was_signed_and_can_be_read_by_all(body: bytes) -> None:
    frame = announce(body=body)
    assert heard(frame).body == body
    assert heard(frame).header.recipient == "all"
    assert frame.endswith(body)


def test_a_message_can_be_read_by_its_recipient_only() -> None:
    assert b"a secret of the trade" not in seal(body=b"a secret of the trade")


def test_sealing_twice_makes_two_messages_and_opening_twice_one() -> None:
    first, second = seal(), seal()
    assert opened(first).frame_digest == opened(first).frame_digest
    assert opened(first).frame_digest != opened(second).frame_digest


def test_headers_are_records() -> None:
    original = opened(seal()).header
    assert from_plain(Header, to_plain(original)) == original


def test_a_message_shows_its_header_but_not_its_body() -> None:
    assert "moin" not in repr(opened(seal()))


# --- refusals, in the order they are checked ---------------------------------------------------------------


def test_a_frame_beyond_the_limit_is_not_looked_at() -> None:
    with pytest.raises(OversizedMessage, match="at most 100"):
        opened(seal(), max_bytes=100)
    with pytest.raises(OversizedMessage):
        opened(bytes(MAX_FRAME_BYTES + 1))


def test_a_body_that_fits_in_no_frame_is_not_sealed() -> None:
    largest = MAX_FRAME_BYTES - SEAL_OVERHEAD_BYTES
    for size in (largest, largest + 1, 2**24):
        with pytest.raises(ValueError, match="detach its arrays"):
            seal(body=bytes(size))
    with pytest.raises(ValueError, match="detach its arrays"):
        announce(body=bytes(MAX_FRAME_BYTES))
    assert len(opened(seal(body=bytes(largest - 1_000))).body) == largest - 1_000


@pytest.mark.parametrize("frame", [b"", b"\x00", b"\x94", b"\x94\xa1a\xa1b\xa1c\xa1d"])
def test_what_is_no_frame_is_malformed(frame: bytes) -> None:
    with pytest.raises(MalformedMessage):
        opened(frame)


def test_a_message_is_no_event_and_an_event_no_message() -> None:
    with pytest.raises(UnknownVersion, match="hansa-event-1"):
        opened(announce())
    with pytest.raises(UnknownVersion, match="hansa-envelope-1"):
        heard(seal())


def test_an_event_in_a_message_frame_is_of_another_version() -> None:
    signed, signature, payload = parts(announce(), EVENT)
    with pytest.raises(UnknownVersion, match="a header of format 'hansa-event-1'"):
        opened(pack_frame(ENVELOPE, signed, signature, body=payload))


def test_a_newer_version_is_named_beside_ours() -> None:
    signed, signature, payload = parts(seal())
    with pytest.raises(UnknownVersion, match="'hansa-envelope-2'; 'hansa-envelope-1' is read"):
        opened(pack_frame("hansa-envelope-2", signed, signature, body=payload))


BAD_HEADERS: list[dict[str, Any]] = [
    {"sender": "Alice"},
    {"sender": "all"},
    {"recipient": "b.b"},
    {"federation": ""},
    {"federation": "h" * 121},
    {"session": "j" * 121},
    {"session": "zeile\n"},
    {"session": "jöb"},
    {"kind": ""},
    {"expires_at_ms": NOW_MS},
    {"payload_digest": bytes(31)},
]


@pytest.mark.parametrize("changes", BAD_HEADERS)
def test_a_header_that_none_should_have_is_malformed_even_when_signed(changes: dict[str, Any]) -> None:
    fields = {name: getattr(header(), name) for name in Header.__slots__}
    signed = pack_fields(ENVELOPE, *{**fields, **changes}.values())
    with pytest.raises(MalformedMessage, match="header"):
        opened(_sign(ENVELOPE, agent("alice"), signed, b"moin"))
    with pytest.raises(ValueError, match=r"."):
        header(**changes)


def test_a_message_of_another_federation_is_refused() -> None:
    with pytest.raises(WrongFederation, match="'visby'; this is 'hanse'"):
        opened(seal(federation="visby"))


def test_a_message_for_another_is_refused() -> None:
    with pytest.raises(WrongRecipient, match="for carol; this is bob"):
        opened(seal(recipient="carol"))


def test_the_roster_decides_who_may_speak() -> None:
    def suspended(name: str) -> Any:
        raise SuspendedSender(name)

    with pytest.raises(UnknownSender, match="alice"):
        opened(seal(), lookup=roster("bob"))
    with pytest.raises(SuspendedSender, match="alice"):
        opened(seal(), lookup=suspended)


def test_a_signature_by_another_is_refused() -> None:
    signed, _, payload = parts(seal())
    with pytest.raises(BadSignature):
        opened(_sign(ENVELOPE, agent("bob"), signed, payload))


def test_a_signature_of_another_length_is_refused() -> None:
    signed, signature, payload = parts(seal())
    with pytest.raises(BadSignature):
        opened(pack_frame(ENVELOPE, signed, signature[:-1], body=payload))


@pytest.mark.parametrize("name", sorted({*Header.__slots__} - {"payload_digest"}))
def test_no_header_field_can_be_changed_under_its_signature(name: str) -> None:
    signed, signature, payload = parts(seal())
    fields = {field: getattr(opened(seal()).header, field) for field in Header.__slots__}
    fields["payload_digest"] = signed[-32:]
    changed = fields[name] + 1 if isinstance(fields[name], int) else f"{fields[name]}x"
    forged = pack_frame(
        ENVELOPE, pack_fields(ENVELOPE, *{**fields, name: changed}.values()), signature, body=payload
    )
    with pytest.raises((BadSignature, WrongFederation, WrongRecipient, UnknownSender)):
        opened(forged)


def test_a_message_from_our_future_names_the_peer() -> None:
    late = NOW_MS + CLOCK_SKEW_MS
    opened(seal(sent_at_ms=late, expires_at_ms=late + 1))
    with pytest.raises(ClockSkew, match="alice's message is dated 310 s") as caught:
        opened(seal(sent_at_ms=late + 10_000, expires_at_ms=late + 10_001))
    assert (caught.value.peer, caught.value.ahead_s) == ("alice", 310.0)


def test_an_expired_message_is_refused() -> None:
    frame = seal(expires_at_ms=NOW_MS + 1_000)
    opened(frame, now_ms=NOW_MS + 999)
    with pytest.raises(Expired, match="alice's 'greeting' expired 5 s ago"):
        opened(frame, now_ms=NOW_MS + 6_000)


def test_a_payload_of_another_length_or_content_is_refused() -> None:
    signed, signature, payload = parts(seal())
    with pytest.raises(WrongPayload, match="payload bytes"):
        opened(pack_frame(ENVELOPE, signed, signature, body=payload + b"x"))
    with pytest.raises(WrongPayload, match="another payload"):
        opened(pack_frame(ENVELOPE, signed, signature, body=payload[:-1] + bytes((payload[-1] ^ 1,))))


def test_nobody_can_put_anothers_ciphertext_under_a_header_of_their_own() -> None:
    """Mallory, a member, re-signs what alice sealed to bob: the seal is bound to alice's header."""
    signed, _, payload = parts(seal("alice"))
    stolen = header(sender="mallory", payload_bytes=len(payload), payload_digest=signed[-32:])
    frame = _sign(ENVELOPE, agent("mallory"), _pack_header(ENVELOPE, stolen), payload)
    with pytest.raises(Unopenable):
        opened(frame, lookup=roster("mallory"))


@pytest.mark.parametrize("changes", [{"sequence": 1}, {"session": "job-2"}, {"kind": "other"}, {"schema": 2}])
def test_even_the_sender_cannot_move_a_ciphertext_to_another_place(changes: dict[str, Any]) -> None:
    signed, _, payload = parts(seal())
    moved = header(payload_bytes=len(payload), payload_digest=signed[-32:], **changes)
    with pytest.raises(Unopenable):
        opened(_sign(ENVELOPE, agent("alice"), _pack_header(ENVELOPE, moved), payload))


def test_the_seal_covers_the_header_up_to_what_follows_from_the_payload() -> None:
    signed, _, payload = parts(seal())
    assert agent("bob").open(payload, _seal_info(signed)) == b"moin"
    cut = _seal_info(_pack_header(ENVELOPE, header(payload_bytes=9, payload_digest=b"x" * 32)))
    assert signed.startswith(cut)


def test_signatures_of_one_domain_mean_nothing_in_another() -> None:
    signed, _, payload = parts(seal())
    bare = pack_frame(ENVELOPE, signed, agent("alice").sign(signed), body=payload)
    with pytest.raises(BadSignature):
        opened(bare)
    assert _signed(signed) != signed


def test_every_refusal_is_counted_under_its_name() -> None:
    with pytest.raises(Refused) as caught:
        opened(seal(recipient="carol"))
    assert caught.value.reason == "WrongRecipient"


FRAME = seal()
EVENT_FRAME = announce()


@given(st.integers(0, len(FRAME) - 1), st.integers(1, 255))
def test_a_message_with_any_byte_changed_is_refused(at: int, change: int) -> None:
    with pytest.raises(Refused):
        opened(FRAME[:at] + bytes((FRAME[at] ^ change,)) + FRAME[at + 1 :])


@given(st.integers(0, len(EVENT_FRAME) - 1), st.integers(1, 255))
def test_an_event_with_any_byte_changed_is_refused(at: int, change: int) -> None:
    with pytest.raises(Refused):
        heard(EVENT_FRAME[:at] + bytes((EVENT_FRAME[at] ^ change,)) + EVENT_FRAME[at + 1 :])


@given(st.integers(0, len(FRAME)), st.integers(0, len(FRAME)), st.binary(max_size=20))
def test_a_message_cut_filled_or_doubled_is_refused(start: int, stop: int, filling: bytes) -> None:
    changed = FRAME[:start] + filling + FRAME[stop:]
    if changed != FRAME:
        with pytest.raises(Refused):
            opened(changed)


@given(st.binary(max_size=2_000))
def test_random_bytes_are_refused(data: bytes) -> None:
    for read in (opened, heard):
        with pytest.raises(BrokerError):
            read(data)
