"""Which bytes stand for a plain value, and which bytes are refused?

msgpack, narrowed until every value has one encoding: keys are strings, maps keep their order,
integers and lengths take their shortest form, floats are 64 bits and finite, and three extension types
carry what msgpack lacks: 1 an array, 2 an integer beyond 64 bits, 3 a reference to an array.
`decode` accepts exactly what `encode` writes: it encodes its result again and compares.

Hostile input is bounded before anything is built. A first pass skips through the structure without
allocating, so no header can promise more items than there are bytes; then items are counted while
containers close, and depth is checked last. Decoding peaks below 100 bytes per byte of the message plus 1
MiB, and the message is capped (`Limits.message_bytes`). The worst of the inputs in the tests, a list of
maps of one key, takes 66 bytes per byte.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeAlias, Union

import msgpack
import numpy as np
import numpy.typing as npt

from hansa.broker.arrays import ArrayRef, pack_array, pack_ref, unpack_array, unpack_ref
from hansa.broker.errors import MalformedMessage, NotEncodable, OversizedMessage

Plain: TypeAlias = Union[
    bool, int, float, str, bytes, npt.NDArray[Any], ArrayRef,
    "list[Plain]", "tuple[Plain, ...]", "dict[str, Plain]", None,
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """What a reader is willing to take in at once.

    Attributes:
        message_bytes: of the whole encoding.
        depth: containers inside containers.
        container_items: in one list or map.
        total_items: in all containers together, each container counting as one more.
    """

    message_bytes: int = 2**20
    depth: int = 16
    container_items: int = 2**16
    total_items: int = 2**18


LIMITS = Limits()
# Above the square of a 4096-bit modulus, and below 4,300 digits: more Python will not print, not even in an error.
MAX_INT_BYTES = 1_536

_ARRAY, _INT, _REF = 1, 2, 3
_SCALARS: frozenset[type] = frozenset({type(None), bool, int, float, str, bytes})
_LEAVES: frozenset[type] = _SCALARS | {np.ndarray, ArrayRef}
_CONTAINERS: frozenset[type] = frozenset({list, tuple, dict})
_FLOATS: frozenset[type] = frozenset({float, np.float64})  # numpy's is a float, and a natural slip
_KNOWN = _LEAVES | _CONTAINERS | _FLOATS


def encode(value: Plain, *, depth: int = LIMITS.depth) -> bytes:
    """Write a value as bytes. Tuples become lists; how large it may be is the reader's to say.

    Raises:
        NotEncodable: a type outside `Plain`, a key that is no string, NaN or an infinity, an integer
            beyond `MAX_INT_BYTES`, or deeper than `depth`.
    """
    try:
        _check((value,), depth)
    except MalformedMessage as error:
        raise NotEncodable(error.problem) from None
    return _pack(value)


def decode(data: bytes | memoryview, limits: Limits = LIMITS) -> Plain:
    """Read a value back; arrays come as read-only views, tuples as lists.

    Raises:
        OversizedMessage: more than `limits.message_bytes`.
        MalformedMessage: anything else that `encode` would not have written or `limits` forbid.
    """
    size = len(data)
    if size > limits.message_bytes:
        raise OversizedMessage(f"{size} bytes; at most {limits.message_bytes} are read")
    _skim(data)
    value = _unpack(data, limits)
    _check((value,), limits.depth)
    if _pack(value) != data:
        raise MalformedMessage("not the canonical encoding of its value")
    return value


def _skim(data: bytes | memoryview) -> None:
    """Walk the structure without building it: complete, and nothing behind it."""
    scanner = msgpack.Unpacker(max_buffer_size=max(1, len(data)))
    scanner.feed(data)
    try:
        scanner.skip()
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise MalformedMessage(f"not one complete msgpack value: {error}") from None
    if scanner.tell() != len(data):
        raise MalformedMessage(f"{len(data) - scanner.tell()} bytes follow the value")


def _unpack(data: bytes | memoryview, limits: Limits) -> Plain:
    remaining = limits.total_items

    def spend(items: int) -> None:
        nonlocal remaining
        remaining -= items + 1
        if remaining < 0:
            raise MalformedMessage(f"more than {limits.total_items} items")

    def close_list(items: list[Plain]) -> list[Plain]:
        spend(len(items))
        return items

    def close_map(pairs: list[tuple[object, Plain]]) -> dict[str, Plain]:
        spend(len(pairs))
        mapping: dict[str, Plain] = {}
        for key, value in pairs:
            if not isinstance(key, str):
                raise MalformedMessage(f"map key of type {type(key).__name__}; keys are strings")
            mapping[key] = value
        if len(mapping) != len(pairs):
            raise MalformedMessage("a map names one key twice")
        return mapping

    try:
        value: Plain = msgpack.unpackb(
            data,
            list_hook=close_list,
            object_pairs_hook=close_map,
            ext_hook=_extension,
            strict_map_key=False,  # close_map says it better
            max_array_len=limits.container_items,
            max_map_len=limits.container_items,
        )
    except (ValueError, TypeError, OverflowError, msgpack.exceptions.UnpackException) as error:
        raise MalformedMessage(f"not msgpack as we speak it: {error}") from None
    return value


def _extension(code: int, data: bytes) -> Plain:
    if code == _ARRAY:
        return unpack_array(data)
    if code == _INT:
        if len(data) > MAX_INT_BYTES:
            raise MalformedMessage(f"integer of {len(data)} bytes; at most {MAX_INT_BYTES}")
        return int.from_bytes(data, "big", signed=True)
    if code == _REF:
        return unpack_ref(data)
    raise MalformedMessage(f"extension type {code} is unknown")


def _check(values: Iterable[Any], depth: int) -> None:
    """Raise MalformedMessage at a foreign type, a number that is not finite, or too much depth.

    Whole containers are judged by the set of their items' types, at C speed; only those that
    need it are entered.
    """
    kinds = set(map(type, values))
    if not kinds <= _KNOWN:
        named = ", ".join(sorted(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds - _KNOWN))
        raise MalformedMessage(f"a value of type {named} has no encoding")
    if kinds & _FLOATS and not all(isfinite(item) for item in values if type(item) in _FLOATS):
        raise MalformedMessage("a number is not finite")
    if not kinds & _CONTAINERS:
        return
    if depth == 0:
        raise MalformedMessage("containers are nested too deep")
    for item in values:
        kind = type(item)
        if kind is dict:
            if not all(type(key) is str for key in item):
                raise MalformedMessage("map keys are strings")
            _check(item.values(), depth - 1)
        elif kind in _CONTAINERS:
            _check(item, depth - 1)


def _pack(value: Plain) -> bytes:
    try:
        packed: bytes = msgpack.packb(value, default=_extend)
    except (ValueError, TypeError, OverflowError) as error:
        if isinstance(error, NotEncodable):
            raise
        raise NotEncodable(str(error)) from None
    return packed


def _extend(value: object) -> msgpack.ExtType:
    """Say how a value that msgpack does not know travels; `_check` has let it through."""
    if isinstance(value, int):
        length = (value if value >= 0 else ~value).bit_length() // 8 + 1  # with the sign's bit
        if length > MAX_INT_BYTES:
            raise NotEncodable(f"integer of {length} bytes; at most {MAX_INT_BYTES}")
        return msgpack.ExtType(_INT, value.to_bytes(length, "big", signed=True))
    if isinstance(value, ArrayRef):
        return msgpack.ExtType(_REF, pack_ref(value))
    assert isinstance(value, np.ndarray)
    return msgpack.ExtType(_ARRAY, pack_array(value))
