"""Arrays and references as bytes."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hansa.broker.arrays import (
    DTYPES,
    MAX_BLOB_BYTES,
    Array,
    ArrayRef,
    is_finite,
    pack_array,
    pack_ref,
    unpack_array,
    unpack_ref,
)
from hansa.broker.errors import MalformedMessage, NotEncodable

ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        np.dtype(dtype),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False} if dtype.startswith("float") else None,
    )
)
REF = ArrayRef(b"i" * 16, b"k" * 32, b"d" * 32, "float32", (3, 4))


@given(ARRAYS)
def test_arrays_come_back_as_they_went_and_read_only(array: Array) -> None:
    back = unpack_array(pack_array(array))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert np.array_equal(back, array)
    assert not back.flags.writeable


@given(ARRAYS)
def test_layout_in_memory_does_not_show_on_the_wire(array: Array) -> None:
    plain = pack_array(array)
    assert pack_array(array.astype(array.dtype.newbyteorder(">"))) == plain
    if array.ndim:
        assert pack_array(np.asfortranarray(array)) == plain
        assert pack_array(np.repeat(array, 2, axis=0)[::2]) == plain


def test_decoding_copies_no_element_and_leaves_them_aligned() -> None:
    data = pack_array(np.arange(6.0).reshape(2, 3))
    back = unpack_array(data)
    assert np.shares_memory(back, np.frombuffer(data, np.uint8))
    assert back.flags.aligned


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_that_are_not_finite_go_neither_out_nor_in(bad: float, dtype: str) -> None:
    array = np.ones(5, dtype)
    data = pack_array(array).replace(np.ones(1, dtype).tobytes(), np.array([bad], dtype).tobytes(), 1)
    array[3] = bad
    assert not is_finite(array)
    with pytest.raises(NotEncodable, match="NaN or an infinity"):
        pack_array(array)
    with pytest.raises(MalformedMessage, match="NaN or an infinity"):
        unpack_array(data)


def test_a_signalling_nan_is_no_finite_number_either() -> None:
    assert not is_finite(np.frombuffer(b"\x01\x00\x80\x7f" * 9, "<f4"))


@pytest.mark.parametrize(
    "array",
    [np.zeros(2, complex), np.array(["a"]), np.array([None]), np.zeros(1, "M8[s]"), np.zeros((1,) * 9)],
)
def test_other_dtypes_and_more_dimensions_do_not_travel(array: Array) -> None:
    with pytest.raises(NotEncodable):
        pack_array(array)


def forged(code: int, extents: tuple[int, ...], elements: bytes, padding: bytes = bytes(6)) -> bytes:
    return bytes((code, len(extents))) + padding + struct.pack(f"<{len(extents)}Q", *extents) + elements


FLOAT64 = DTYPES.index("float64")
FORGERIES: list[tuple[bytes, str]] = [
    (b"", "needs 8 bytes"),
    (forged(len(DTYPES), (1,), bytes(8)), "dtype code"),
    (forged(FLOAT64, (1,) * 9, bytes(8)), "9 dimensions"),
    (forged(FLOAT64, (1,), bytes(8), b"\x00\x00\x00\x00\x00\x01"), "reserved bytes"),
    (forged(FLOAT64, (1,), bytes(8))[:12], "ends early"),
    (forged(FLOAT64, (2,), bytes(8)), "promises 16 bytes, 8 came"),
    (forged(FLOAT64, (1,), bytes(9)), "promises 8 bytes, 9 came"),
    (forged(FLOAT64, (2**64 - 1,), bytes(8)), "more than 2\\^64"),
    (forged(FLOAT64, (2**63, 2), bytes(0)), "more than 2\\^64"),  # zero, if it overflowed
    (forged(FLOAT64, (0, 2**63), bytes(0)), "beyond any array"),
    (forged(0, (3,), b"\x00\x01\x02"), "truth values"),
]


@pytest.mark.parametrize(("data", "complaint"), FORGERIES, ids=[complaint for _, complaint in FORGERIES])
def test_a_forged_header_is_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(MalformedMessage, match=complaint):
        unpack_array(data)


def test_references_come_back_as_they_went() -> None:
    assert unpack_ref(pack_ref(REF)) == REF


def test_a_reference_never_shows_its_key() -> None:
    ref = ArrayRef(bytes(16), b"secret-secret-secret-secret-secr", bytes(32), "int8", ())
    assert "secret" not in repr(ref)


@pytest.mark.parametrize(
    "changes",
    [
        {"blob_id": b""},
        {"key": b"k" * 31},
        {"digest": b"d" * 33},
        {"dtype": "object"},
        {"shape": (1,) * 9},
        {"shape": (-1,)},
        {"shape": (MAX_BLOB_BYTES // 4 + 1,)},
        {"shape": (2**63, 2**63)},
        {"shape": (0, MAX_BLOB_BYTES + 1)},
    ],
)
def test_a_reference_to_what_no_array_can_be_is_refused(changes: dict[str, Any]) -> None:
    fields = {"blob_id": b"i" * 16, "key": b"k" * 32, "digest": b"d" * 32, "dtype": "float32", "shape": (3,)}
    with pytest.raises(ValueError, match="array reference"):
        ArrayRef(**{**fields, **changes})


def test_a_malformed_reference_is_refused() -> None:
    data = pack_ref(REF)
    for bad in (data[:-1], data + b"x", data[:20], data[:80] + b"\xff" + data[81:], data[:-1] + b"\xff"):
        with pytest.raises(MalformedMessage):
            unpack_ref(bad)
