"""The codec: one encoding per value, hostile bytes refused by name, memory bounded."""

import math
import sys
import tracemalloc
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.broker import (
    LIMITS,
    Limits,
    MalformedMessage,
    NotEncodable,
    OversizedMessage,
    Plain,
    decode,
    encode,
)
from hansa.broker.arrays import pack_array
from hansa.broker.codec import MAX_INT_BYTES
from tests.broker.test_arrays import ARRAYS, FORGERIES, REF

LARGEST = 2 ** (8 * MAX_INT_BYTES - 1) - 1

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**4_096), 2**4_096)  # what Hypothesis can still print
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary()
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS | ARRAYS | st.just(REF),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def same(left: Any, right: Any) -> bool:
    """Compare values whose arrays compare elementwise; types count, and so does the sign of zero."""
    if type(left) is not type(right):
        return False
    if isinstance(left, np.ndarray):
        layouts = [(array.dtype, array.shape) for array in (left, right)]
        return layouts[0] == layouts[1] and bool(left.tobytes() == right.tobytes())
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    return bool(left == right)


@given(VALUES)
def test_values_come_back_as_they_went(value: Plain) -> None:
    assert same(decode(encode(value)), value)


@given(VALUES)
def test_a_value_has_one_encoding(value: Plain) -> None:
    data = encode(value)
    assert encode(decode(data)) == data
    assert same(decode(memoryview(data)), value)


@pytest.mark.parametrize("number", [LARGEST, -LARGEST - 1], ids=["largest", "smallest"])
def test_the_largest_integers_come_back_as_they_went(number: int) -> None:
    assert decode(encode(number)) == number


def test_tuples_come_back_as_lists() -> None:
    assert decode(encode((1, (2, "3")))) == [1, [2, "3"]]


def test_a_float_of_numpy_travels_as_a_float() -> None:
    back = decode(encode(np.float64(0.5)))
    assert type(back) is float


def test_maps_keep_their_order() -> None:
    assert list(decode(encode({"b": 1, "a": 2}))) == ["b", "a"]  # type: ignore[arg-type]


NOT_PLAIN: list[Any] = [
    object(),
    {1, 2},
    1j,
    np.int64(1),
    np.float32(1),
    np.array([1j]),
    np.array([np.nan]),
    msgpack.ExtType(9, b""),
    msgpack.Timestamp(1),
    bytearray(b"b"),
    {1: "a"},
    {b"a": 1},
    math.nan,
    math.inf,
    -math.inf,
    np.float64("nan"),
    LARGEST + 1,
    -LARGEST - 2,
    "\ud800",
]


@pytest.mark.parametrize("value", NOT_PLAIN, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    "wrap", [lambda value: value, lambda value: [1, {"a": value}]], ids=["bare", "inside"]
)
def test_what_has_no_encoding_is_refused_on_the_way_out(value: Any, wrap: Any) -> None:
    with pytest.raises(NotEncodable):
        encode(wrap(value))


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_depth_is_bounded_both_ways() -> None:
    deepest = nested(LIMITS.depth)
    assert decode(encode(deepest)) == deepest
    deeper = nested(LIMITS.depth + 1)
    with pytest.raises(NotEncodable, match="too deep"):
        encode(deeper)
    with pytest.raises(MalformedMessage, match="too deep"):
        decode(msgpack.packb(deeper))


EXT = msgpack.ExtType

HOSTILE: list[tuple[bytes, str]] = [
    (b"", "not one complete"),
    (b"\xc1", "not one complete"),
    (b"\x92\x01", "not one complete"),
    (b"\x01\x02", "1 bytes follow"),
    (b"\x91" * 1_000 + b"\x90", "too deep"),
    (b"\x91" * 100_000 + b"\x90", "msgpack"),
    (b"\xdd\xff\xff\xff\xff", "not one complete"),
    (b"\xdf\xff\xff\xff\xff", "not one complete"),
    (b"\xdb\xff\xff\xff\xffa", "not one complete"),
    (b"\x82\xa1a\x01\xa1a\x02", "one key twice"),
    (b"\x81\x01\x02", "key of type int"),
    (b"\x81\xc4\x01a\x02", "key of type bytes"),
    (b"\x81\x90\x02", "key of type list"),
    (msgpack.packb(math.nan), "not finite"),
    (msgpack.packb([1, {"a": math.inf}]), "not finite"),
    (msgpack.packb(EXT(4, b"")), "extension type 4"),
    (b"\xc7\x00\xfe", "extension type -2"),
    (msgpack.packb(msgpack.Timestamp(1)), "Timestamp"),
    (b"\xc7\x0c\xff" + b"\xff" * 12, "msgpack"),
    (msgpack.packb(EXT(2, b"\x7f" * (MAX_INT_BYTES + 1))), "integer of"),
    (msgpack.packb(EXT(2, b"\x01")), "canonical"),
    (msgpack.packb(EXT(2, b"\x00\x00" + b"\x7f" * 9)), "canonical"),
    (msgpack.packb(EXT(3, b"")), "reference"),
    (b"\xd1\x00\x01", "canonical"),
    (b"\xca\x3f\x80\x00\x00", "canonical"),
    (b"\xd9\x01a", "canonical"),
    (b"\xdc\x00\x00", "canonical"),
    (b"\xa1\xff", "msgpack"),
    *((msgpack.packb(EXT(1, data)), complaint) for data, complaint in FORGERIES),
]


@pytest.mark.parametrize(("data", "complaint"), HOSTILE, ids=[complaint for _, complaint in HOSTILE])
def test_hostile_bytes_are_refused_by_name(data: bytes, complaint: str) -> None:
    with pytest.raises(MalformedMessage, match=complaint):
        decode(data)


def test_each_limit_refuses_one_beyond_it() -> None:
    limits = Limits(message_bytes=20, depth=2, container_items=3, total_items=8)
    decode(encode([1, 2, 3]), limits)
    with pytest.raises(MalformedMessage, match="max_array_len"):
        decode(encode([1, 2, 3, 4]), limits)
    with pytest.raises(MalformedMessage, match="max_map_len"):
        decode(encode(dict.fromkeys("abcd")), limits)
    decode(encode([[1, 2], [3]]), limits)
    with pytest.raises(MalformedMessage, match="more than 8 items"):
        decode(encode([[1, 2], [3, 4]]), limits)
    with pytest.raises(OversizedMessage, match="21 bytes; at most 20"):
        decode(encode("x" * 20), limits)


def test_a_large_integer_is_never_printed() -> None:
    # Python refuses to print integers of more than 4,300 digits, which would replace our error.
    with pytest.raises(NotEncodable, match="bytes"):
        encode(10**10_000)


BOMB_LIMITS = Limits(message_bytes=2**18)  # a quarter of the default, for speed; the bound is a ratio
ONE_BYTE_ARRAY = msgpack.packb(EXT(1, pack_array(np.zeros((), np.int8))))


def filled(unit: bytes) -> bytes:
    """Fill a message up to the limit with lists of up to 65,536 units each."""
    left = BOMB_LIMITS.message_bytes - 5
    lists = []
    while (count := min(65_536, (left - 5) // len(unit))) > 0:
        lists.append(b"\xdd" + count.to_bytes(4, "big") + unit * count)
        left -= len(lists[-1])
    return b"\xdd" + len(lists).to_bytes(4, "big") + b"".join(lists)


BOMBS = {
    "lists that promise more than there is": b"\xdd\x00\x01\x00\x00" * 50_000,
    "maps that promise more than there is": b"\xdf\x00\x01\x00\x00" * 50_000,
    "empty lists": filled(b"\x90"),
    "empty maps": filled(b"\x80"),
    "small maps": filled(b"\x81\xa0\xc0"),
    "lists of one": filled(b"\x91\xc0"),
    "short texts": filled(b"\xa2\xc3\xbf"),
    "small integers": filled(b"\xcd\x7f\x7f"),
    "small arrays": filled(ONE_BYTE_ARRAY),
    "big integers": filled(b"\xd8\x02" + b"\x7f" * 16),
    "floats": filled(b"\xcb" + bytes(8)),
    "nothing": filled(b"\xc0"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_memory_stays_below_a_hundred_bytes_per_byte(bomb: str) -> None:
    data = BOMBS[bomb]
    assert len(data) <= BOMB_LIMITS.message_bytes
    tracemalloc.start()
    try:
        try:
            decode(data, BOMB_LIMITS)
        except MalformedMessage:
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * len(data) + 2**20


def test_the_largest_integer_can_be_quoted_in_an_error() -> None:
    assert len(str(LARGEST)) < sys.get_int_max_str_digits()
