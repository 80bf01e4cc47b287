"""How does an array of gigabytes travel, when a broker carries megabytes?

Beside its message, in chunks. The message holds an `ArrayRef`: a random blob id, a random key, the array's
digest, its dtype and shape; it is signed and sealed, so the chunks need no signature of their own. Each
chunk is AES-256-GCM under the blob's key, its nonce the chunk's index, bound to (blob, index, count): it
cannot be altered, moved, dropped or repeated unnoticed, and the key is never used for anything else.

A chunk frame's sender and recipient are for routing and accounting; only the tags decide what is believed.
The receiver grants credit, so that neither its memory nor the broker's backlog grows with the array.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hansa.broker.arrays import CHUNK_BYTES, MAX_BLOB_BYTES, TAG_BYTES, Array, ArrayRef, is_finite
from hansa.broker.codec import Plain
from hansa.broker.envelope import ENVELOPE, EVENT, MAX_TEXT_CHARS
from hansa.broker.errors import (
    CorruptBlob,
    MalformedMessage,
    NotEncodable,
    OversizedMessage,
    UnknownVersion,
)
from hansa.broker.fields import pack_fields
from hansa.broker.frames import frame_start, pack_frame, unpack_frame
from hansa.broker.identity import check_name

__all__ = [
    "CHUNK_BYTES", "DETACH_BYTES", "WINDOW", "ArrayRef", "ChunkFrame", "FrameKind", "attach", "credit_due",
    "decode_chunk", "detach", "encode_chunk", "frame_kind", "open_array", "refs", "seal_array", "sendable",
]  # fmt: skip

DETACH_BYTES = 64 * 1024  # arrays of this size or more leave their message
WINDOW = 16  # chunks under way per array: 64 MiB
CHUNK = "hansa-chunk-1"

FrameKind: TypeAlias = Literal["envelope", "chunk", "event"]

_SEQUENCES = (list, tuple)  # `list | tuple` would be put together anew for every leaf
_CHUNK_TYPES = (str, str, str, bytes, int, int)
_MAX_CHUNKS = MAX_BLOB_BYTES // CHUNK_BYTES
_MAX_CHUNK_FRAME_BYTES = CHUNK_BYTES + TAG_BYTES + 1_024


# --- arrays in and out of messages -----------------------------------------------------------------------


def detach(plain: Plain, keep: Callable[[Array], ArrayRef], least_bytes: int = DETACH_BYTES) -> Plain:
    """Return the value with every array of `least_bytes` or more replaced by the reference `keep` gives."""

    def leave(leaf: Plain) -> Plain:
        return keep(leaf) if isinstance(leaf, np.ndarray) and leaf.nbytes >= least_bytes else leaf

    return _map_leaves(plain, leave)


def refs(plain: Plain) -> tuple[ArrayRef, ...]:
    """Return the references in a value, in order; the same blob may come more than once."""
    return tuple(leaf for leaf in _leaves(plain) if isinstance(leaf, ArrayRef))


def attach(plain: Plain, load: Callable[[ArrayRef], Array]) -> Plain:
    """Return the value with every reference replaced by the array `load` gives."""
    return _map_leaves(plain, lambda leaf: load(leaf) if isinstance(leaf, ArrayRef) else leaf)


def _map_leaves(plain: Plain, change: Callable[[Plain], Plain]) -> Plain:
    if isinstance(plain, dict):
        return {key: _map_leaves(item, change) for key, item in plain.items()}
    if isinstance(plain, _SEQUENCES):
        return [_map_leaves(item, change) for item in plain]
    return change(plain)


def _leaves(plain: Plain) -> Iterator[Plain]:
    if isinstance(plain, dict):
        plain = list(plain.values())
    if isinstance(plain, _SEQUENCES):
        for item in plain:
            yield from _leaves(item)
    else:
        yield plain


# --- sealing and opening ---------------------------------------------------------------------------------


def seal_array(array: Array, digest: bytes) -> tuple[ArrayRef, Iterator[bytes]]:
    """Prepare an array to travel.

    Args:
        array: of a dtype in `arrays.DTYPES`; must not change until the chunks are drawn.
        digest: 32 bytes, what `open_array`'s `digest_of` must give again.

    Returns:
        Its reference, and its sealed chunks, each made when it is asked for. A contiguous array is
        not copied: the ciphertext is the only new memory.

    Raises:
        NotEncodable: another dtype, too many dimensions or bytes, or a number that is not finite.
    """
    if not is_finite(array):
        raise NotEncodable(f"array of shape {array.shape} holds NaN or an infinity")
    little = array.dtype.newbyteorder("<")
    try:
        ref = ArrayRef(secrets.token_bytes(16), secrets.token_bytes(32), digest, little.name, array.shape)
    except ValueError as error:
        raise NotEncodable(str(error)) from None
    elements = np.ascontiguousarray(array, dtype=little).reshape(-1).view(np.uint8).data
    return ref, _seal_chunks(ref, elements)


def _seal_chunks(ref: ArrayRef, elements: memoryview) -> Iterator[bytes]:
    lock = AESGCM(ref.key)
    for index in range(ref.chunk_count):
        part = elements[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
        yield lock.encrypt(_nonce(index), part, _bound(ref, index))


def open_array(
    ref: ArrayRef, chunks: Iterable[bytes | memoryview], digest_of: Callable[[Array], bytes]
) -> Array:
    """Put an array together from its chunks, in order.

    Each chunk is decrypted straight into its place: the array is the only new memory.

    Args:
        ref: from a message that passed every check.
        chunks: exactly `ref.chunk_count`; a generator is drawn one by one.
        digest_of: gives an array's digest.

    Returns:
        The array, read-only.

    Raises:
        CorruptBlob: a chunk too few or too many, of the wrong length or with a wrong tag, or the digest
            is another.
        MalformedMessage: a number that is not finite, or a truth value that is neither.
    """
    raw = np.empty(ref.nbytes, np.uint8)
    key = AESGCM(ref.key)
    count = 0
    for chunk in chunks:
        place = raw.data[count * CHUNK_BYTES : (count + 1) * CHUNK_BYTES]
        if count == ref.chunk_count or len(chunk) != len(place) + TAG_BYTES:
            raise CorruptBlob(f"{_blob(ref)}: chunk {count} of {ref.chunk_count} has {len(chunk)} bytes")
        try:
            key.decrypt_into(_nonce(count), chunk, _bound(ref, count), place)
        except InvalidTag:
            raise CorruptBlob(f"{_blob(ref)}: chunk {count} of {ref.chunk_count} was altered") from None
        count += 1
    if count != ref.chunk_count:
        raise CorruptBlob(f"{_blob(ref)}: {count} of {ref.chunk_count} chunks came")
    array = raw.view(np.dtype(ref.dtype).newbyteorder("<")).reshape(ref.shape)
    if not is_finite(array) or (ref.dtype == "bool" and raw.size and raw.max() > 1):
        raise MalformedMessage(f"{_blob(ref)}: an element is not finite, or no truth value")
    raw.flags.writeable = array.flags.writeable = False
    if digest_of(array) != ref.digest:
        raise CorruptBlob(f"{_blob(ref)}: its digest is not the one that was signed")
    return array


def _nonce(index: int) -> bytes:
    return index.to_bytes(12, "big")


def _bound(ref: ArrayRef, index: int) -> bytes:
    return pack_fields(CHUNK, ref.blob_id, index, ref.chunk_count)


def _blob(ref: ArrayRef) -> str:
    return f"blob {ref.blob_id.hex()}"


# --- frames ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChunkFrame:
    """One sealed chunk on its way.

    Attributes:
        federation: its id.
        sender: an agent's name; not signed, so compare it with the routing key's.
        recipient: an agent's name.
        blob_id: 16 bytes, as in the `ArrayRef`.
        index: from 0 to count - 1.
        count: chunks of the whole blob.
        body: ciphertext and tag; a view of the frame where it was read from one.
    """

    federation: str
    sender: str
    recipient: str
    blob_id: bytes
    index: int
    count: int
    body: bytes | memoryview = field(repr=False)

    def __post_init__(self) -> None:
        check_name(self.sender)
        check_name(self.recipient)
        if not 0 < len(self.federation) <= MAX_TEXT_CHARS or not self.federation.isascii():
            raise ValueError(f"a federation's id has 1 to {MAX_TEXT_CHARS} ASCII characters")
        if len(self.blob_id) != 16:
            raise ValueError(f"a blob id has 16 bytes, not {len(self.blob_id)}")
        if not 0 <= self.index < self.count <= _MAX_CHUNKS:
            raise ValueError("a chunk's index runs from 0 to count - 1, within the largest blob")
        if not TAG_BYTES <= len(self.body) <= CHUNK_BYTES + TAG_BYTES:
            raise ValueError(f"a chunk of {len(self.body)} bytes; at most {CHUNK_BYTES + TAG_BYTES}")


def encode_chunk(frame: ChunkFrame) -> bytes:
    """Write a chunk frame; its body is copied once."""
    return pack_frame(
        CHUNK,
        frame.federation,
        frame.sender,
        frame.recipient,
        frame.blob_id,
        frame.index,
        frame.count,
        body=frame.body,
    )


def decode_chunk(data: bytes) -> ChunkFrame:
    """Read a chunk frame.

    Raises:
        OversizedMessage: longer than any.
        UnknownVersion: another format.
        MalformedMessage: anything else that `encode_chunk` would not have written.
    """
    if len(data) > _MAX_CHUNK_FRAME_BYTES:
        raise OversizedMessage(
            f"a chunk frame of {len(data)} bytes; the longest has {_MAX_CHUNK_FRAME_BYTES}"
        )
    parts, body = unpack_frame(CHUNK, _CHUNK_TYPES, data)
    try:
        return ChunkFrame(*parts, body)  # type: ignore[arg-type, call-arg]  # unpack_frame checked
    except ValueError as error:
        raise MalformedMessage(str(error)) from None


_STARTS: dict[bytes, FrameKind] = {
    frame_start(ENVELOPE, 2): "envelope",
    frame_start(EVENT, 2): "event",
    frame_start(CHUNK, len(_CHUNK_TYPES)): "chunk",
}


def frame_kind(data: bytes) -> FrameKind:
    """Say what a frame claims to be, from its first bytes alone.

    Raises:
        UnknownVersion: a frame of ours, in a format this build does not read.
        MalformedMessage: no frame of ours.
    """
    for start, kind in _STARTS.items():
        if data.startswith(start):
            return kind
    if data[2:8] == b"hansa-":
        raise UnknownVersion(
            f"a frame that begins {data[2:20]!r}; this build reads {ENVELOPE}, {EVENT}, {CHUNK}"
        )
    raise MalformedMessage("no frame of hansa's")


# --- credit ----------------------------------------------------------------------------------------------


def sendable(count: int, sent: int, received: int) -> range:
    """Say which chunks may be sent now.

    Args:
        count: chunks of the blob.
        sent: how many were handed to the transport.
        received: how many the receiver said it has; fewer than WINDOW may be under way beyond them.
    """
    return range(sent, min(count, received + WINDOW))


def credit_due(received: int, last_granted: int, count: int) -> bool:
    """Say whether the receiver should tell the sender how many chunks it has.

    That is every half window, and at the end: a sender is kept busy while the word travels, at one
    message per eight chunks.
    """
    return received > last_granted and (received == count or received - last_granted >= WINDOW // 2)
