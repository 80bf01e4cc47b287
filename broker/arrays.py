"""How does a numpy array, or a reference to one, look as bytes?

An array is eight header bytes (dtype code, number of dimensions, six zeros), its dimensions as
little-endian u64, then its elements in C order, little-endian. The header is a multiple of eight so
that the elements lie aligned and `numpy.frombuffer` can use them where they arrived.

An `ArrayRef` stands where an array stood when the array itself travels beside the message, in sealed
chunks (see `chunks`). It carries the key to those chunks, so it may only travel sealed.
"""

import math
import struct
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from hansa.broker.errors import MalformedMessage, NotEncodable

Array: TypeAlias = npt.NDArray[Any]

MAX_DIMENSIONS = 8
MAX_BLOB_BYTES = 16 * 2**30
CHUNK_BYTES = 4 * 2**20  # below RabbitMQ 4's 16 MiB per message, large enough to amortise a confirm
TAG_BYTES = 16  # AES-GCM's, per chunk
DTYPES: tuple[str, ...] = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
)  # fmt: skip

_HEADER = struct.Struct("<BB6x")
_PADDING = bytes(6)
_CODES = {np.dtype(name): code for code, name in enumerate(DTYPES)}
_LITTLE = tuple(np.dtype(name).newbyteorder("<") for name in DTYPES)
_REF = struct.Struct("<16s32s32sBB6x")


def is_finite(array: Array) -> bool:
    """Say whether an array is free of NaN and infinities, without a temporary of its size.

    Minimum and maximum pass NaN on and show both infinities: two reads, half the time of `isfinite`.
    """
    if array.dtype.kind != "f" or array.size == 0:
        return True
    with np.errstate(invalid="ignore"):  # a signalling NaN
        return bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def pack_array(array: Array) -> bytes:
    """Encode an array; non-contiguous and big-endian ones are copied into shape first.

    Raises:
        NotEncodable: a dtype or number of dimensions we do not carry, or a number that is not finite.
    """
    native = array.dtype.newbyteorder("=")
    code = _CODES.get(native)
    if code is None:
        raise NotEncodable(f"arrays of dtype {array.dtype} do not travel; one of {', '.join(DTYPES)} does")
    if array.ndim > MAX_DIMENSIONS:
        raise NotEncodable(f"arrays have at most {MAX_DIMENSIONS} dimensions, not {array.ndim}")
    if not is_finite(array):
        raise NotEncodable(f"array of shape {array.shape} holds NaN or an infinity")
    elements = np.ascontiguousarray(array, dtype=_LITTLE[code]).reshape(-1).view(np.uint8)
    return b"".join((_HEADER.pack(code, array.ndim), _dimensions(array.shape), elements.data))


def unpack_array(data: bytes) -> Array:
    """Decode an array as a read-only view of `data`.

    Raises:
        MalformedMessage: a forged header (its product must be exactly the bytes that follow), or a
            number that is not finite.
    """
    if len(data) < _HEADER.size:
        raise MalformedMessage(f"array header needs {_HEADER.size} bytes, {len(data)} came")
    code, ndim = _HEADER.unpack_from(data)
    check_layout(code, ndim, data[2 : _HEADER.size])
    start = _HEADER.size + 8 * ndim
    if len(data) < start:
        raise MalformedMessage(f"array header promises {ndim} dimensions and ends early")
    shape = struct.unpack_from(f"<{ndim}Q", data, _HEADER.size)
    dtype = _LITTLE[code]
    expected = math.prod(shape) * dtype.itemsize  # Python integers: a product cannot overflow
    if expected != len(data) - start:
        raise MalformedMessage(f"array header promises {_count(expected)}, {len(data) - start} came")
    if any(extent > MAX_BLOB_BYTES for extent in shape):
        raise MalformedMessage("array extent beyond any array")  # hidden behind a zero elsewhere
    if code == 0 and data[start:].strip(b"\x00\x01"):
        raise MalformedMessage("array of truth values holds a byte other than 0 and 1")
    array = np.frombuffer(data, dtype=dtype, offset=start).reshape(shape)
    if not is_finite(array):
        raise MalformedMessage(f"array of shape {shape} holds NaN or an infinity")
    return array


def check_layout(code: int, ndim: int, reserved: bytes) -> None:
    """Raise MalformedMessage unless dtype code, dimensions and the reserved bytes are ours."""
    if code >= len(DTYPES):
        raise MalformedMessage(f"array dtype code {code} is unknown; {len(DTYPES)} are known")
    if ndim > MAX_DIMENSIONS:
        raise MalformedMessage(f"array of {ndim} dimensions; at most {MAX_DIMENSIONS} travel")
    if reserved != _PADDING:
        raise MalformedMessage("array header's reserved bytes are not zero")


@dataclass(frozen=True, slots=True)
class ArrayRef:
    """Where an array's sealed chunks are, how to open them, and what must come out.

    Attributes:
        blob_id: 16 random bytes naming the chunks.
        key: 32 bytes, AES-256 for this blob alone; never shown.
        digest: 32 bytes, of the array; the function is the caller's (see `chunks.open_array`).
        dtype: one of `DTYPES`.
        shape: at most `MAX_DIMENSIONS` extents; `nbytes` at most `MAX_BLOB_BYTES`.
    """

    blob_id: bytes
    key: bytes = field(repr=False)
    digest: bytes
    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if (len(self.blob_id), len(self.key), len(self.digest)) != (16, 32, 32):
            raise ValueError("array reference: blob id, key and digest have 16, 32 and 32 bytes")
        if self.dtype not in DTYPES:
            raise ValueError(f"array reference: dtype {self.dtype!r} is none of {', '.join(DTYPES)}")
        if len(self.shape) > MAX_DIMENSIONS or any(extent < 0 for extent in self.shape):
            raise ValueError(f"array reference: at most {MAX_DIMENSIONS} extents, none negative")
        if max(self.nbytes, *self.shape, 0) > MAX_BLOB_BYTES:
            raise ValueError(f"array reference: {_count(self.nbytes)}, at most {MAX_BLOB_BYTES} travel")

    @property
    def nbytes(self) -> int:
        """Bytes of the opened array."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def chunk_count(self) -> int:
        """How many chunks carry it; an empty array still has one, so that its tag is checked."""
        return max(1, -(-self.nbytes // CHUNK_BYTES))

    @property
    def sealed_bytes(self) -> int:
        """Bytes of all sealed chunks together."""
        return self.nbytes + self.chunk_count * TAG_BYTES


def pack_ref(ref: ArrayRef) -> bytes:
    """Encode a reference."""
    code = DTYPES.index(ref.dtype)
    return _REF.pack(ref.blob_id, ref.key, ref.digest, code, len(ref.shape)) + _dimensions(ref.shape)


def unpack_ref(data: bytes) -> ArrayRef:
    """Decode a reference.

    Raises:
        MalformedMessage: a wrong length, or a layout no array may have.
    """
    if len(data) < _REF.size:
        raise MalformedMessage(f"array reference needs {_REF.size} bytes, {len(data)} came")
    blob_id, key, digest, code, ndim = _REF.unpack_from(data)
    check_layout(code, ndim, data[_REF.size - 6 : _REF.size])
    if len(data) != _REF.size + 8 * ndim:
        raise MalformedMessage(f"array reference of {ndim} dimensions in {len(data)} bytes")
    shape = struct.unpack_from(f"<{ndim}Q", data, _REF.size)
    try:
        return ArrayRef(blob_id, key, digest, DTYPES[code], shape)
    except ValueError as error:
        raise MalformedMessage(str(error)) from None


def _dimensions(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f"<{len(shape)}Q", *shape)


def _count(nbytes: int) -> str:
    # A forged product may have thousands of digits, and printing such a number is itself refused.
    return f"{nbytes} bytes" if nbytes < 2**64 else "more than 2^64 bytes"
