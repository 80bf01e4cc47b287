"""Digests: what they cover, and when they are remembered."""

import gc
import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hansa.protocols import digest as digest_module
from hansa.protocols.digest import array_digest, freeze, parameters_digest, remember
from hansa.protocols.model import Array


def test_the_digest_is_sha256_over_domain_dtype_shape_and_little_endian_bytes() -> None:
    array = np.array([[1.0, 2.0, 3.0]], np.float32)
    encoded = (
        b"hansa/array/1\x00" + b"\x03<f4" + b"\x02" + (1).to_bytes(8, "little") + (3).to_bytes(8, "little")
    )
    assert array_digest(array) == hashlib.sha256(encoded + array.tobytes()).digest()


DTYPES: st.SearchStrategy[np.dtype[Any]] = st.sampled_from([np.dtype("f4"), np.dtype("f8"), np.dtype("i8")])


@given(arrays(DTYPES, array_shapes(max_dims=3)))
def test_layout_in_memory_does_not_matter(array: Array) -> None:
    strided = np.repeat(array, 2, axis=-1)[..., ::2]
    for same in (
        np.asfortranarray(array),
        array.astype(array.dtype.newbyteorder(">")),
        strided,
        freeze(array.copy()),
    ):
        assert array_digest(same) == array_digest(array)


@pytest.mark.parametrize(
    "other",
    [
        np.zeros((3, 2)),
        np.zeros(6),
        np.zeros((2, 3), np.float32),
        np.zeros((2, 3), np.int64),
        np.array([[0, 0, 0], [0, 0, 1.0]]),
    ],
)
def test_another_shape_dtype_or_value_is_another_digest(other: Array) -> None:
    assert array_digest(other) != array_digest(np.zeros((2, 3)))


def test_scalars_and_empty_arrays_have_digests() -> None:
    assert len({array_digest(np.zeros(shape)) for shape in ((), (0,), (0, 2), (1,))}) == 4


@pytest.mark.parametrize("array", [np.array([None]), np.zeros(1, complex), np.array(["a"])])
def test_other_dtypes_are_refused(array: Array) -> None:
    with pytest.raises(ValueError, match="cannot take the digest of dtype"):
        array_digest(array)


def test_a_models_digest_covers_number_and_order_of_its_arrays() -> None:
    a, b = np.zeros(2), np.ones(2)
    digests = {parameters_digest(each) for each in ([], [a], [a, b], [b, a], [a, b, b])}
    assert len(digests) == 5
    assert parameters_digest([a, b]) == parameters_digest((a.copy(), b.copy()))


def test_a_read_only_array_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    array = freeze(np.arange(3.0))
    first = array_digest(array)

    def fail(_: Array) -> bytes:
        raise AssertionError("hashed again")

    monkeypatch.setattr(digest_module, "_hash", fail)
    assert array_digest(array) == first


def test_an_array_that_was_made_writable_again_is_hashed_again() -> None:
    array = freeze(np.zeros(2))
    before = array_digest(array)
    array.flags.writeable = True
    array[0] = 1.0
    assert array_digest(array) != before


def test_a_read_only_view_of_writable_memory_is_never_remembered() -> None:
    below = np.zeros(2)
    view = below.view()
    before = array_digest(freeze(view))
    below[0] = 1.0
    assert array_digest(view) != before


def test_bytes_are_constant_and_a_bytearray_is_not() -> None:
    encoded = np.arange(3.0).tobytes()
    remember(np.frombuffer(encoded), b"d" * 32)
    remember(np.frombuffer(memoryview(encoded)[8:]), b"d" * 32)
    with pytest.raises(ValueError, match="nobody can write to"):
        remember(np.frombuffer(memoryview(bytearray(encoded)).toreadonly()), b"d" * 32)


def test_what_is_remembered_is_believed() -> None:
    array = freeze(np.zeros(2))
    remember(array, b"d" * 32)
    assert array_digest(array) == b"d" * 32


def test_only_constant_arrays_and_whole_digests_are_remembered() -> None:
    with pytest.raises(ValueError, match="nobody can write to"):
        remember(np.zeros(2), b"d" * 32)
    with pytest.raises(ValueError, match="a digest has 32 bytes, not 3"):
        remember(freeze(np.zeros(2)), b"abc")


def test_a_digest_leaves_with_its_array() -> None:
    array = freeze(np.zeros(2))
    array_digest(array)
    key = id(array)
    assert key in digest_module._memories
    del array
    gc.collect()
    assert key not in digest_module._memories


def test_a_digest_remembered_again_stays_when_the_first_note_is_dropped() -> None:
    array = freeze(np.zeros(2))
    remember(array, b"a" * 32)
    remember(array, b"b" * 32)
    gc.collect()
    assert array_digest(array) == b"b" * 32
