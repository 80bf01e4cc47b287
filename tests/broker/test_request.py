"""Requests to join: who made them, with which invitation, and what becomes of every altered one."""

import secrets
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.broker import (
    BadSignature,
    Identity,
    JoinRequest,
    MalformedMessage,
    OversizedMessage,
    Refused,
    UnknownVersion,
    check_mac,
    open_request,
    seal_request,
)
from hansa.broker.fields import pack_fields
from hansa.broker.frames import pack_frame, unpack_frame
from hansa.broker.request import ARRIVED, ASKING, MAX_REQUEST_BYTES, REQUEST, _to_sign

NORTH = Identity.generate("north")
OTHER = Identity.generate("north")
SECRET = bytes(range(32))

names = st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True).filter(lambda name: name != "all")
lines = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=200).filter(str.isprintable)


def request(**changes: Any) -> JoinRequest:
    plain = JoinRequest("town", bytes(16), ASKING, NORTH.public, "North Bank", bytes(32), 1_900_000_000_000)
    return replace(plain, **changes)


@given(
    federation=names,
    invite=st.binary(min_size=16, max_size=16),
    stage=st.sampled_from([ASKING, ARRIVED]),
    organisation=lines,
    nonce=st.binary(min_size=32, max_size=32),
    sent_at_ms=st.integers(0, 2**63 - 1),
    secret=st.binary(min_size=32, max_size=32),
)
@settings(max_examples=50)
def test_a_request_is_read_as_it_was_written(secret: bytes, **fields: Any) -> None:
    written = request(**fields)
    frame = seal_request(NORTH, secret, written)
    assert len(frame) <= MAX_REQUEST_BYTES
    read = open_request(frame)
    assert replace(read, mac=b"", signed=b"") == written
    assert check_mac(read, secret)


@given(place=st.integers(0), bit=st.integers(0, 7))
@settings(max_examples=200)
def test_no_bit_of_a_request_can_be_changed(place: int, bit: int) -> None:
    frame = bytearray(seal_request(NORTH, SECRET, request()))
    frame[place % len(frame)] ^= 1 << bit
    with pytest.raises(Refused):
        open_request(bytes(frame))


CHANGES: dict[str, dict[str, Any]] = {
    "federation": {"federation": "city"},
    "invite": {"invite": bytes([1]) * 16},
    "stage": {"stage": ARRIVED},
    "organisation": {"organisation": "South Bank"},
    "nonce": {"nonce": bytes([1]) * 32},
    "time": {"sent_at_ms": 1},
    "keys": {"public": OTHER.public},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whoever_does_not_hold_the_secret_can_say_nothing_else_with_its_mac(change: dict[str, Any]) -> None:
    """A thief of the frame signs another one with keys of its own, and keeps the MAC."""
    stolen = open_request(seal_request(NORTH, SECRET, request()))
    changed = request(**{**change, "public": OTHER.public})
    signed = open_request(seal_request(OTHER, bytes(32), changed)).signed
    frame = pack_frame(REQUEST, stolen.mac, OTHER.sign(_to_sign(signed, stolen.mac)), body=signed)
    assert not check_mac(open_request(frame), SECRET)


def test_another_secret_is_told_apart() -> None:
    read = open_request(seal_request(NORTH, SECRET, request()))
    assert check_mac(read, SECRET)
    assert not check_mac(read, secrets.token_bytes(32))


def test_a_request_is_signed_by_the_keys_it_names() -> None:
    with pytest.raises(ValueError, match="a request of"):
        seal_request(OTHER, SECRET, request())
    read = open_request(seal_request(NORTH, SECRET, request()))
    forged = pack_frame(REQUEST, read.mac, OTHER.sign(_to_sign(read.signed, read.mac)), body=read.signed)
    with pytest.raises(BadSignature, match="not signed by north"):
        open_request(forged)
    short = pack_frame(
        REQUEST, read.mac[:-1], NORTH.sign(_to_sign(read.signed, read.mac[:-1])), body=read.signed
    )
    with pytest.raises(BadSignature, match="another length"):
        open_request(short)


def test_what_is_no_request_is_refused_by_name() -> None:
    frame = seal_request(NORTH, SECRET, request())
    with pytest.raises(OversizedMessage, match="at most 4096"):
        open_request(frame + bytes(MAX_REQUEST_BYTES))
    with pytest.raises(UnknownVersion, match="hansa-join-2"):
        open_request(pack_frame("hansa-join-2", bytes(32), bytes(64), body=b""))
    (mac, signature), body = unpack_frame(REQUEST, (bytes, bytes), frame)
    newer = bytes(body).replace(b"hansa-join-1", b"hansa-join-2")
    with pytest.raises(UnknownVersion, match="hansa-join-2"):
        open_request(pack_frame(REQUEST, mac, signature, body=newer))
    keyless = pack_fields(REQUEST, "town", bytes(16), 0, "north", "", bytes(32), bytes(9), bytes(32), 1)
    with pytest.raises(MalformedMessage, match="north's public keys"):
        open_request(pack_frame(REQUEST, mac, signature, body=keyless))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"federation": "Town"}, "names are"),
        ({"invite": b"short"}, "invite: expected 16 bytes, found 5"),
        ({"nonce": b""}, "nonce: expected 32 bytes, found 0"),
        ({"stage": 2}, "no stage 2"),
        ({"organisation": "x" * 201}, "at most 200"),
        ({"organisation": "two\nlines"}, "printable"),
        ({"sent_at_ms": -1}, "no time"),
    ],
)
def test_fields_out_of_range_are_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        request(**change)


def test_a_request_shows_neither_mac_nor_bytes() -> None:
    read = open_request(seal_request(NORTH, SECRET, request()))
    assert "mac" not in repr(read)
    assert "signed" not in repr(read)
