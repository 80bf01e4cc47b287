"""Hostile bytes at every gate: a refusal by name, or a value that is exactly those bytes. Nothing else, ever."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hansa.broker import (
    BrokerError,
    Limits,
    MalformedMessage,
    Refused,
    decode,
    decode_chunk,
    encode,
    encode_chunk,
    frame_kind,
    from_plain,
    open_event,
    open_message,
    to_plain,
)
from tests.broker.builders import FEDERATION, NOW_MS, agent, announce, roster, seal
from tests.broker.test_chunks import CHUNK_FRAME
from tests.broker.test_codec import VALUES
from tests.broker.test_records import EXAMPLE, Everything

# Any msgpack, not only what we would write: odd keys, other extension types, timestamps, wide integers.
FOREIGN: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=40))
    | st.builds(msgpack.Timestamp, st.integers(0, 2**34), st.integers(0, 999_999_999)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(0, 9) | st.text(max_size=3) | st.binary(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["set", "cut", "insert", "double"]), st.integers(0, 2**16), st.binary(max_size=9)
    ),
    min_size=1,
    max_size=4,
)
THOROUGH = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)

Edit = tuple[str, int, bytes]


def mutate(data: bytes, edits: list[Edit]) -> bytes:
    """Apply a few edits, as a hostile broker would."""
    for what, place, filling in edits:
        at = place % (len(data) + 1)
        match what:
            case "set":
                data = data[:at] + filling + data[at + len(filling) :]
            case "cut":
                data = data[:at] + data[at + len(filling) :]
            case "insert":
                data = data[:at] + filling + data[at:]
            case _:
                data = data[:at] + data[max(0, at - 20) :]
    return data


def read_message(data: bytes) -> object:
    return open_message(
        data, agent("bob"), federation=FEDERATION, lookup=roster("alice", "bob"), now_ms=NOW_MS
    )


def read_event(data: bytes) -> object:
    return open_event(data, federation=FEDERATION, lookup=roster("alice"), now_ms=NOW_MS)


def assert_gate_holds(data: bytes) -> None:
    """The codec refuses, or gives a value whose encoding these bytes are."""
    try:
        value = decode(data)
    except Refused:
        return
    assert encode(value) == data
    try:
        record = from_plain(Everything, value)
    except MalformedMessage:
        return
    assert from_plain(Everything, to_plain(record)) == record


@given(st.binary(max_size=400))
@THOROUGH
def test_random_bytes_pass_no_gate_unseen(data: bytes) -> None:
    assert_gate_holds(data)


@given(FOREIGN)
@THOROUGH
def test_foreign_msgpack_passes_no_gate_unseen(value: Any) -> None:
    assert_gate_holds(msgpack.packb(value))


@given(VALUES, EDITS)
@THOROUGH
def test_mutated_values_pass_no_gate_unseen(value: Any, edits: list[Edit]) -> None:
    assert_gate_holds(mutate(encode(value), edits))


@given(EDITS)
@THOROUGH
def test_mutated_records_pass_no_gate_unseen(edits: list[Edit]) -> None:
    assert_gate_holds(mutate(encode(to_plain(EXAMPLE)), edits))


@pytest.mark.parametrize(
    ("frame", "read"),
    [(seal(), read_message), (announce(), read_event)],
    ids=["message", "event"],
)
@given(edits=EDITS)
@THOROUGH
def test_every_mutated_frame_is_refused(
    frame: bytes, read: Callable[[bytes], object], edits: list[Edit]
) -> None:
    changed = mutate(frame, edits)
    if changed == frame:
        return
    with pytest.raises(BrokerError):
        read(changed)


@given(EDITS)
@THOROUGH
def test_a_mutated_chunk_frame_is_refused_or_exactly_what_it_says(edits: list[Edit]) -> None:
    changed = mutate(encode_chunk(CHUNK_FRAME), edits)
    try:
        frame = decode_chunk(changed)
        assert frame_kind(changed) == "chunk"
    except Refused:
        return
    assert encode_chunk(frame) == changed


PROMISES = (
    b"\x90", b"\x91", b"\x80", b"\x81\xa0", b"\xdc\xff\xff", b"\xdd\x00\x01\x00\x00",
    b"\xdf\x00\x00\xff\xff", b"\xc7\x08\x01", b"\xa1a", b"\xcd\x7f\x7f",
)  # fmt: skip


@given(st.lists(st.sampled_from(PROMISES), min_size=1, max_size=40), st.integers(1, 60))
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_memory_stays_bounded_whatever_the_headers_promise(pieces: list[bytes], times: int) -> None:
    data = b"".join(pieces) * times
    limits = Limits(message_bytes=len(data))
    tracemalloc.start()
    try:
        try:
            decode(data, limits)
        except Refused:
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * len(data) + 2**20
