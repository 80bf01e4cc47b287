"""Frames: canonical to the last byte, and the body is not copied on reading."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.broker.errors import MalformedMessage, UnknownVersion
from hansa.broker.frames import frame_start, pack_frame, unpack_frame

NAME = "hansa-test-1"


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_535, 65_536])
def test_a_frame_is_plain_msgpack_and_comes_back(size: int) -> None:
    body = b"b" * size
    frame = pack_frame(NAME, "text", b"bytes", 7, body=body)
    assert frame == msgpack.packb([NAME, "text", b"bytes", 7, body])
    parts, back = unpack_frame(NAME, (str, bytes, int), frame)
    assert parts == ["text", b"bytes", 7]
    assert bytes(back) == body
    assert frame.startswith(frame_start(NAME, 3))


def test_the_body_is_looked_at_where_it_lies() -> None:
    frame = pack_frame(NAME, body=b"body")
    assert unpack_frame(NAME, (), frame)[1].obj is frame


@given(st.integers(0, 255), st.integers(0, 255), st.booleans())
def test_a_frame_with_any_byte_changed_or_cut_is_another_or_none(at: int, value: int, cut: bool) -> None:
    frame = pack_frame(NAME, "text", b"bytes", 7, body=b"body" * 4)
    at %= len(frame)
    changed = frame[:at] if cut else frame[:at] + bytes((value,)) + frame[at + 1 :]
    try:
        parts, body = unpack_frame(NAME, (str, bytes, int), changed)
    except (MalformedMessage, UnknownVersion):
        return
    assert pack_frame(NAME, *parts, body=bytes(body)) == changed


def test_another_name_is_another_version() -> None:
    with pytest.raises(UnknownVersion, match="hansa-test-2"):
        unpack_frame(
            NAME, (str,), pack_frame("hansa-test-2", body=b"").replace(b"\x92", b"\x93") + b"\xc4\x00"
        )


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (b"", "no frame"),
        (b"\x81\x01\x02", "no frame"),
        (msgpack.packb([NAME, "a", b"b", b""]), "another size"),
        (msgpack.packb([NAME, 7, b""]), "other types"),
        (msgpack.packb([7, "a", b""]), "other types"),
        (msgpack.packb([NAME, True, b""]), "other types"),
        (msgpack.packb([NAME, [], b""]), "other types"),
        (msgpack.packb([NAME, ["nested"], b""]), "no frame"),
        (msgpack.packb([NAME, msgpack.Timestamp(1), b""]), "no frame"),
        (msgpack.packb([NAME, "a", "text"]), "ends in a byte string"),
        (msgpack.packb([NAME, "a", b"body"])[:-1], "another length"),
        (msgpack.packb([NAME, "a", b"body"]) + b"x", "another length"),
        (msgpack.packb([NAME, "a", b""])[:-2] + b"\xc5\x00\x00", "not the canonical"),
        (msgpack.packb([NAME, "a", b""])[:-2] + b"\xc6", "not the canonical"),
        (msgpack.packb([NAME, "a" * 5_000, b""]), "no frame"),
    ],
)
def test_what_is_not_this_frame_is_refused(frame: bytes, complaint: str) -> None:
    with pytest.raises(MalformedMessage, match=complaint):
        unpack_frame(NAME, (str,), frame)
