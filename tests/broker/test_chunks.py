"""Chunks: arrays arrive whole or not at all, in bounded memory."""

import hashlib
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hansa.broker.arrays as arrays_module
import hansa.broker.chunks as chunks_module
from hansa.broker import (
    CHUNK_BYTES,
    DETACH_BYTES,
    WINDOW,
    ArrayRef,
    ChunkFrame,
    CorruptBlob,
    MalformedMessage,
    NotEncodable,
    OversizedMessage,
    Plain,
    Refused,
    UnknownVersion,
    attach,
    credit_due,
    decode,
    decode_chunk,
    detach,
    encode,
    encode_chunk,
    frame_kind,
    open_array,
    refs,
    seal_array,
    sendable,
)
from hansa.broker.arrays import Array
from tests.broker.builders import announce, seal
from tests.broker.test_arrays import ARRAYS, REF


def digest_of(array: Array) -> bytes:
    """Return a digest over type, shape and content, as an agent's would be."""
    return hashlib.sha256(f"{array.dtype.name}{array.shape}".encode() + array.tobytes()).digest()


def sealed(array: Array) -> tuple[ArrayRef, list[bytes]]:
    """Return an array's reference and all its chunks."""
    ref, chunks = seal_array(array, digest_of(array))
    return ref, list(chunks)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> int:
    """Cut chunks of 100 bytes, so that small arrays make several."""
    monkeypatch.setattr(arrays_module, "CHUNK_BYTES", 100)
    monkeypatch.setattr(chunks_module, "CHUNK_BYTES", 100)
    return 100


@settings(deadline=None)  # a busy machine takes its time for single examples
@given(ARRAYS)
def test_arrays_come_back_as_they_went_and_read_only(array: Array) -> None:
    ref, chunks = sealed(array)
    back = open_array(ref, iter(chunks), digest_of)
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)
    assert not back.flags.writeable


@pytest.mark.parametrize("elements", [0, 1, 12, 13, 25, 26, 100])
def test_chunks_are_cut_at_their_size_and_counted(small_chunks: int, elements: int) -> None:
    array = np.arange(elements, dtype=np.float64)
    ref, chunks = sealed(array)
    assert len(chunks) == ref.chunk_count == max(1, -(-elements * 8 // small_chunks))
    assert sum(map(len, chunks)) == ref.sealed_bytes
    assert ref.nbytes == array.nbytes
    assert np.array_equal(open_array(ref, chunks, digest_of), array)


def test_layout_in_memory_does_not_matter() -> None:
    for array in (np.arange(12).reshape(3, 4).T, np.arange(12)[::3], np.arange(3, dtype=">i4")):
        ref, chunks = seal_array(array, digest_of(array.astype(array.dtype.newbyteorder("="), order="C")))
        assert np.array_equal(open_array(ref, chunks, digest_of), array)


def test_sealing_twice_shares_neither_name_nor_key_nor_bytes() -> None:
    (first, chunks), (second, others) = sealed(np.ones(4)), sealed(np.ones(4))
    assert first.blob_id != second.blob_id
    assert first.key != second.key
    assert chunks != others


def test_each_chunk_is_made_when_it_is_asked_for_and_nothing_else_is_copied() -> None:
    array = np.zeros(4 * CHUNK_BYTES, np.uint8)
    digest = bytes(32)
    tracemalloc.start()
    try:
        ref, chunks = seal_array(array, digest)
        assert tracemalloc.get_traced_memory()[1] < CHUNK_BYTES // 10
        back = open_array(ref, chunks, lambda _: digest)
        assert tracemalloc.get_traced_memory()[1] < array.nbytes + 2.5 * CHUNK_BYTES
    finally:
        tracemalloc.stop()
    assert np.array_equal(back, array)


@pytest.mark.parametrize("array", [np.array([np.nan]), np.array([1j]), np.array(["a"]), np.zeros((1,) * 9)])
def test_what_may_not_travel_is_not_sealed(array: Array) -> None:
    with pytest.raises(NotEncodable):
        seal_array(array, bytes(32))


def flip(chunk: bytes, at: int) -> bytes:
    return chunk[:at] + bytes((chunk[at] ^ 1,)) + chunk[at + 1 :]


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda chunks: [flip(chunks[0], 0), *chunks[1:]], "chunk 0 of 3 was altered"),
        (lambda chunks: [*chunks[:2], flip(chunks[2], -1)], "chunk 2 of 3"),
        (lambda chunks: [chunks[1], chunks[0], chunks[2]], "chunk 0 of 3 was altered"),
        (lambda chunks: [chunks[0], chunks[0], chunks[2]], "chunk 1 of 3 was altered"),
        (lambda chunks: chunks[:2], "2 of 3 chunks came"),
        (lambda chunks: [], "0 of 3 chunks came"),
        (lambda chunks: [*chunks, chunks[0]], "chunk 3 of 3 has 116 bytes"),
        (lambda chunks: [*chunks, bytes(16)], "chunk 3 of 3 has 16 bytes"),
        (lambda chunks: [chunks[0][:-1], *chunks[1:]], "chunk 0 of 3 has 115 bytes"),
        (lambda chunks: [b"", *chunks[1:]], "chunk 0 of 3 has 0 bytes"),
    ],
)
def test_chunks_altered_moved_lost_or_added_are_found(small_chunks: int, spoil: Any, complaint: str) -> None:
    ref, chunks = sealed(np.arange(30.0))
    with pytest.raises(CorruptBlob, match=complaint):
        open_array(ref, spoil(chunks), digest_of)


def test_chunks_of_another_blob_or_key_are_found() -> None:
    ref, chunks = sealed(np.arange(3.0))
    for other in (replace(ref, blob_id=bytes(16)), replace(ref, key=bytes(32))):
        with pytest.raises(CorruptBlob, match="altered"):
            open_array(other, chunks, digest_of)


def test_an_array_other_than_the_signed_one_is_found() -> None:
    ref, chunks = sealed(np.arange(4.0))
    with pytest.raises(CorruptBlob, match="digest"):
        open_array(replace(ref, digest=bytes(32)), chunks, digest_of)
    with pytest.raises(CorruptBlob, match="digest"):
        open_array(replace(ref, shape=(2, 2)), chunks, digest_of)
    with pytest.raises(CorruptBlob, match="digest"):
        open_array(replace(ref, dtype="int64"), chunks, digest_of)


@pytest.mark.parametrize(
    ("raw", "dtype"),
    [(np.array([np.nan]).view(np.int64), "float64"), (np.array([2], np.uint8), "bool")],
)
def test_numbers_that_are_none_are_refused_however_well_sealed(raw: Array, dtype: str) -> None:
    ref, chunks = sealed(raw)
    with pytest.raises(MalformedMessage, match="not finite, or no truth value"):
        open_array(replace(ref, dtype=dtype), chunks, digest_of)


# --- detach and attach -----------------------------------------------------------------------------------


def test_only_large_arrays_leave_their_message_wherever_they_stand() -> None:
    small, large = np.zeros(DETACH_BYTES - 1, np.uint8), np.zeros(DETACH_BYTES, np.uint8)
    kept: list[Array] = []

    def keep(array: Array) -> ArrayRef:
        kept.append(array)
        return replace(REF, blob_id=len(kept).to_bytes(16, "big"))

    plain: Plain = {"a": large, "b": [small, (large, {"c": large})], "d": 1}
    away = detach(plain, keep)
    assert all(array is large for array in kept)
    assert [ref.blob_id[-1] for ref in refs(away)] == [1, 2, 3]
    assert refs(decode(encode(away))) == refs(away)
    back = attach(away, lambda ref: kept[ref.blob_id[-1] - 1])
    match back:
        case {"a": a, "b": [b, [c, {"c": d}]], "d": 1}:
            assert a is c is d is large
            assert b is small
        case _:
            raise AssertionError(back)


def test_a_value_without_large_arrays_stays_as_it_is() -> None:
    plain: Plain = {"a": [1, "b", None], "c": np.ones(3)}
    away = detach(plain, lambda _: pytest.fail("nothing to keep"))
    assert away == plain
    assert refs(away) == ()
    assert attach(away, lambda _: pytest.fail("nothing to load")) == plain


# --- frames ----------------------------------------------------------------------------------------------

CHUNK_FRAME = ChunkFrame("hanse", "alice", "bob", b"i" * 16, 2, 5, b"c" * 40)


@given(st.binary(min_size=16, max_size=300), st.integers(0, 4_000), st.integers(1, 96))
def test_chunk_frames_come_back_as_they_went(body: bytes, index: int, more: int) -> None:
    frame = replace(CHUNK_FRAME, body=body, index=index, count=index + more)
    assert decode_chunk(encode_chunk(frame)) == frame


def test_the_largest_chunk_fits_and_no_larger_one() -> None:
    frame = replace(CHUNK_FRAME, body=bytes(CHUNK_BYTES + 16))
    assert decode_chunk(encode_chunk(frame)) == frame
    with pytest.raises(ValueError, match="at most"):
        replace(CHUNK_FRAME, body=bytes(CHUNK_BYTES + 17))
    with pytest.raises(OversizedMessage):
        decode_chunk(bytes(CHUNK_BYTES + 2_000))


def test_a_frame_does_not_show_its_body() -> None:
    assert "ccc" not in repr(CHUNK_FRAME)


WRONG: list[dict[str, Any]] = [
    {"federation": ""},
    {"federation": "x" * 121},
    {"federation": "ü"},
    {"sender": "Alice"},
    {"recipient": "all"},
    {"blob_id": b"i" * 15},
    {"index": -1},
    {"index": 5},
    {"count": 5_000},
    {"body": b"c" * 15},
]


@pytest.mark.parametrize("changes", WRONG)
def test_a_chunk_frame_that_none_should_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        replace(CHUNK_FRAME, **changes)
    fields = {name: getattr(CHUNK_FRAME, name) for name in ChunkFrame.__slots__}
    with pytest.raises(MalformedMessage):
        decode_chunk(msgpack.packb(["hansa-chunk-1", *{**fields, **changes}.values()]))


def test_a_truth_value_is_no_index() -> None:
    fields = [getattr(CHUNK_FRAME, name) for name in ChunkFrame.__slots__]
    fields[4] = True
    with pytest.raises(MalformedMessage):
        decode_chunk(msgpack.packb(["hansa-chunk-1", *fields]))


@given(st.integers(0, 200), st.integers(1, 255), st.booleans())
def test_a_changed_chunk_frame_is_refused_or_still_canonical(at: int, change: int, cut: bool) -> None:
    data = encode_chunk(CHUNK_FRAME)
    at %= len(data)
    changed = data[:at] if cut else data[:at] + bytes((data[at] ^ change,)) + data[at + 1 :]
    try:
        frame = decode_chunk(changed)
    except Refused:
        return
    assert encode_chunk(frame) == changed


def test_a_frames_kind_shows_in_its_first_bytes() -> None:
    assert frame_kind(seal()) == "envelope"
    assert frame_kind(announce()) == "event"
    assert frame_kind(encode_chunk(CHUNK_FRAME)) == "chunk"


def test_a_newer_frame_is_told_from_no_frame() -> None:
    with pytest.raises(UnknownVersion, match=r"hansa-envelope-2.*reads hansa-envelope-1"):
        frame_kind(msgpack.packb(["hansa-envelope-2", b""]))
    for data in (b"", b"\x94", b"GET / HTTP/1.1"):
        with pytest.raises(MalformedMessage, match="no frame"):
            frame_kind(data)
    with pytest.raises(UnknownVersion, match="'hansa-chunk-2'"):
        decode_chunk(encode_chunk(CHUNK_FRAME).replace(b"chunk-1", b"chunk-2"))


@given(st.binary(max_size=100))
def test_random_bytes_have_no_kind(data: bytes) -> None:
    for read in (frame_kind, decode_chunk):
        with pytest.raises(Refused):
            read(data)


# --- credit ----------------------------------------------------------------------------------------------


def transfer(count: int) -> Iterator[tuple[int, int]]:
    """Play one transfer by the rules; yield (sent, received) after each chunk arrives."""
    sent = received = granted = 0
    while received < count:
        for index in sendable(count, sent, granted):
            assert index == sent
            sent += 1
        assert sent > received, "neither side could go on"
        received += 1
        if credit_due(received, granted, count):
            granted = received
        yield sent, received
    assert granted == count


@given(st.integers(1, 200))
def test_a_transfer_comes_to_its_end_with_a_bounded_window(count: int) -> None:
    for sent, received in transfer(count):
        assert sent - received < WINDOW
        assert sent <= count


def test_credit_is_given_every_half_window_and_at_the_end() -> None:
    assert [received for received in range(1, 21) if credit_due(received, received // 8 * 8 - 8, 20)][
        -1
    ] == 20
    assert credit_due(8, 0, 100)
    assert not credit_due(7, 0, 100)
    assert credit_due(7, 0, 7)
    assert not credit_due(7, 7, 7)


def test_nothing_is_sendable_beyond_the_window_or_the_end() -> None:
    assert sendable(100, 0, 0) == range(WINDOW)
    assert sendable(100, 16, 8) == range(16, 24)
    assert list(sendable(20, 20, 8)) == []
    assert list(sendable(20, 24, 8)) == []
