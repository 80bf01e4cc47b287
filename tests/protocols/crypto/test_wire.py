"""Frames: what is read is what was written, and nothing else is read."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.protocols.crypto.array import EncryptedArray
from hansa.protocols.crypto.elements import objects
from hansa.protocols.crypto.errors import (
    CiphertextRefused,
    CiphertextTooLarge,
    MalformedFrame,
    NotBlinded,
    NotInvertible,
    WrongKey,
    WrongShape,
    ZeroCiphertext,
)
from hansa.protocols.crypto.fixed import encode
from hansa.protocols.crypto.keys import KeyKind
from hansa.protocols.crypto.wire import DOMAIN, Header, read_blocks, read_header
from hansa.protocols.errors import PeerError
from tests.protocols.crypto.keyring import masks_for, secret_key

SECRET = secret_key(KeyKind.SUBGROUP)
PUBLIC = SECRET.public
NUMBERS = EncryptedArray.encrypt(
    PUBLIC, encode([[1.0, 2.0, 3.0], [4.0, 5.0, -6.0]], 20, 8.0), masks_for(PUBLIC)
)
FRAME = NUMBERS.to_bytes()
AFTER_KEY = len(DOMAIN) + 32
Change = Callable[[bytes], bytes]


@settings(deadline=None)
@given(
    st.integers(0, 4_096),
    st.none() | st.integers(0, int(PUBLIC.largest)),
    st.lists(st.integers(0, 3), max_size=4).map(tuple),
)
def test_a_header_comes_back(fraction_bits: int, bound: int | None, shape: tuple[int, ...]) -> None:
    header = Header(PUBLIC.fingerprint, fraction_bits, bound, shape)
    body = bytes(header.elements * PUBLIC.ciphertext_bytes)
    again, rest = read_header(header.to_bytes() + body, PUBLIC, shape)
    assert again == header
    assert bytes(rest) == body


@pytest.mark.parametrize("shape", [(), (6,), (2, 3), (0, 4)])
def test_an_array_comes_back(shape: tuple[int, ...]) -> None:
    values = np.arange(float(np.prod(shape, dtype=int))).reshape(shape)
    sent = EncryptedArray.encrypt(PUBLIC, encode(values, 10, 8.0), masks_for(PUBLIC))
    received = EncryptedArray.from_bytes(sent.to_bytes(), PUBLIC, shape)
    assert received.header() == sent.header()
    assert received.to_bytes() == sent.to_bytes()  # untouched, so it may be passed on
    assert (received.decrypt(SECRET) == values).all()


def test_a_frame_can_be_read_block_by_block() -> None:
    _, body = read_header(memoryview(FRAME), PUBLIC)
    blocks = list(read_blocks(body, PUBLIC, block=4))
    assert [len(block) for block in blocks] == [4, 2]
    assert blocks[0] + blocks[1] == NUMBERS.ciphertexts.reshape(-1).tolist()


def test_what_was_computed_is_not_sent_without_FreshMasks() -> None:
    for computed in (NUMBERS + 1, -NUMBERS, NUMBERS * 2, NUMBERS.sum(0), NUMBERS + NUMBERS):
        with pytest.raises(NotBlinded, match="rerandomised"):
            computed.to_bytes()
        assert computed.rerandomised(masks_for(PUBLIC, "fresh")).to_bytes()


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda f: b"", MalformedFrame, "ends before"),
        (lambda f: b"x" + f[1:], MalformedFrame, "no frame"),
        (lambda f: f[: AFTER_KEY + 2], MalformedFrame, "ends before"),
        (lambda f: f[:-1], MalformedFrame, "bytes of ciphertexts"),
        (lambda f: f + b"\0", MalformedFrame, "bytes of ciphertexts"),
        (lambda f: f[:AFTER_KEY] + b"\xff" + f[AFTER_KEY + 1 :], MalformedFrame, "fractional bits"),
        (lambda f: f[:AFTER_KEY] + bytes(4) + b"\0\0\0\x40" + b"\xff" * 200, MalformedFrame, "bound"),
        (lambda f: f[:AFTER_KEY] + bytes(4) + bytes(4) + b"\x09" + bytes(72), MalformedFrame, "9 dimensions"),
        (lambda f: f[:AFTER_KEY] + bytes(8) + b"\x01" + bytes(7) + b"\xff", MalformedFrame, "bytes of ciph"),
        (lambda f: f[:AFTER_KEY] + bytes(8) + b"\x02" + bytes(8) + b"\xff" * 8, MalformedFrame, "more than"),
        (lambda f: f[: len(DOMAIN)] + bytes(32) + f[AFTER_KEY:], WrongKey, "expected"),
    ],
)
def test_a_frame_that_is_none_is_refused(change: Change, error: type[CiphertextRefused], says: str) -> None:
    assert issubclass(error, PeerError)
    with pytest.raises(error, match=says):
        EncryptedArray.from_bytes(change(FRAME), PUBLIC)


def test_another_shape_than_expected_is_refused() -> None:
    with pytest.raises(WrongShape, match=r"\(2, 3\), expected \(3, 2\)"):
        EncryptedArray.from_bytes(FRAME, PUBLIC, (3, 2))


def test_a_frame_under_another_key_is_refused() -> None:
    with pytest.raises(WrongKey):
        EncryptedArray.from_bytes(FRAME, secret_key(KeyKind.SUBGROUP, "other").public)


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (0, ZeroCiphertext),
        (int(PUBLIC.n_squared), CiphertextTooLarge),
        (int(PUBLIC.n_squared) + 1, CiphertextTooLarge),
        (int(SECRET.p) * 3, NotInvertible),
        (int(PUBLIC.n), NotInvertible),
    ],
)
def test_a_number_that_is_no_ciphertext_is_refused_with_its_position(
    number: int, error: type[CiphertextRefused]
) -> None:
    width = PUBLIC.ciphertext_bytes
    bad = FRAME[: -2 * width] + number.to_bytes(width, "big") + FRAME[-width:]
    with pytest.raises(error, match="element 4"):
        EncryptedArray.from_bytes(bad, PUBLIC)
    with pytest.raises(error, match="element 1"):
        EncryptedArray.from_ciphertexts(PUBLIC, objects([1, number], (2,)), 0, 1)


def test_an_encrypted_zero_without_a_mask_is_legitimate() -> None:
    ones = EncryptedArray.from_ciphertexts(PUBLIC, objects([1], (1,)), 0, 1)
    assert ones.decrypt(SECRET).tolist() == [0.0]
    assert not ones.blinded
