"""Which model is this? SHA-256 over its arrays.

An array's digest covers a domain, its dtype, its shape and its little-endian bytes, so that equal bytes under
another shape are another array and every machine agrees. A model's digest is SHA-256 over its arrays'
digests. Arrays that can't change are hashed once: the outcome is remembered for as long as they live.
"""

import hashlib
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from hansa.protocols.model import Array

ARRAY_DOMAIN = b"hansa/array/1\x00"
PARAMETERS_DOMAIN = b"hansa/parameters/1\x00"
DIGEST_BYTES = 32

ArrayT = TypeVar("ArrayT", bound=Array)


@dataclass(frozen=True, slots=True)
class _Memory:
    array: "weakref.ref[Array]"
    digest: bytes


# By id, since arrays have no hash. An entry leaves with its array, before the id can be given out again.
_memories: dict[int, _Memory] = {}


def freeze(array: ArrayT) -> ArrayT:
    """Make an array read-only, in place, and return it."""
    array.flags.writeable = False
    return array


def array_digest(array: Array) -> bytes:
    """Return SHA-256 over domain, dtype, shape and little-endian bytes.

    Args:
        array: any shape; bool, integer or float.

    Returns:
        32 bytes; remembered when the array is read-only down to the memory it looks at.

    Raises:
        ValueError: another dtype, such as object or complex.
    """
    memory = _memories.get(id(array))
    if memory is not None and memory.array() is array and not array.flags.writeable:
        return memory.digest
    digest = _hash(array)
    if _is_constant(array):
        _remember(array, digest)
    return digest


def remember(array: Array, digest: bytes) -> None:
    """Note a digest that the caller has already checked, for instance on reading a content-addressed file.

    Raises:
        ValueError: the array, or the memory below it, can still be written; or the digest isn't 32 bytes.
    """
    if len(digest) != DIGEST_BYTES:
        raise ValueError(f"a digest has {DIGEST_BYTES} bytes, not {len(digest)}")
    if not _is_constant(array):
        raise ValueError("only an array that nobody can write to keeps its digest")
    _remember(array, digest)


def parameters_digest(arrays: Sequence[Array]) -> bytes:
    """Return SHA-256 over the arrays' digests, in order; 32 bytes.

    Raises:
        ValueError: as ``array_digest``.
    """
    digest = hashlib.sha256(PARAMETERS_DOMAIN + len(arrays).to_bytes(8, "little"))
    for array in arrays:
        digest.update(array_digest(array))
    return digest.digest()


def _hash(array: Array) -> bytes:
    if array.dtype.kind not in "biuf":
        raise ValueError(f"cannot take the digest of dtype {array.dtype}: bool, integer or float only")
    dtype = array.dtype.newbyteorder("<")
    name = dtype.str.encode("ascii")
    header = [ARRAY_DOMAIN, len(name).to_bytes(1, "little"), name, array.ndim.to_bytes(1, "little")]
    header += [extent.to_bytes(8, "little") for extent in array.shape]
    digest = hashlib.sha256(b"".join(header))
    digest.update(np.ascontiguousarray(array, dtype=dtype).reshape(-1).view(np.uint8).data)
    return digest.digest()


def _is_constant(array: Array) -> bool:
    """Tell whether neither this array nor what it is a view of can be written through numpy."""
    base: object = array
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return False
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj  # a read-only view of a bytearray still changes under us
    return base is None or isinstance(base, bytes)


def _remember(array: Array, digest: bytes) -> None:
    key = id(array)

    def forget(_: "weakref.ref[Array]") -> None:
        _memories.pop(key, None)

    _memories[key] = _Memory(weakref.ref(array, forget), digest)
