"""How are a few small fields and one large body laid out, without copying the body around?

A frame is a msgpack array: the format's name, some strings, byte strings and integers, and last the body, a
byte string. msgpack itself would copy the body into its buffer on the way out and onto the heap on the way in;
at megabytes these copies cost as much as the cryptography. So only the head passes through msgpack, and
the body is joined on, or looked at in place.

A frame has one form: reading compares the head with the one that writing would have made, so a carrier
cannot alter what it cannot sign, not even the width of a length.
"""

import msgpack

from hansa.broker.errors import MalformedMessage, UnknownVersion

Part = str | bytes | int

_MAX_HEAD_BYTES = 4_096
_BYTE_STRINGS = ((0xC4, 1), (0xC5, 2), (0xC6, 4))  # msgpack's codes, and how wide the length is


def pack_frame(name: str, *parts: Part, body: bytes | memoryview) -> bytes:
    """Write a frame; the body is copied once."""
    return b"".join((_head((name, *parts), len(body)), body))


def unpack_frame(name: str, types: tuple[type[Part], ...], data: bytes) -> tuple[list[Part], memoryview]:
    """Read a frame: its parts after the name, and its body in place.

    Args:
        name: the format's name.
        types: of the parts, exactly.
        data: the whole frame.

    Raises:
        UnknownVersion: another format.
        MalformedMessage: anything else that `pack_frame` would not have written.
    """
    head, start = _read_head(data, len(types) + 1)
    if isinstance(head[0], str) and head[0] != name:
        raise UnknownVersion(f"a frame of format {head[0]!r:.60}; {name!r} is read here")
    if [type(part) for part in head] != [str, *types]:
        raise MalformedMessage(f"the parts of a {name} frame have other types")
    body = memoryview(data)[start:]
    if _head(tuple(head), len(body)) != data[:start]:
        raise MalformedMessage("not the canonical framing, or another length of body than it says")
    return head[1:], body


def frame_start(name: str, parts: int) -> bytes:
    """Return the bytes that every frame of this name, with so many parts, begins with."""
    packer = msgpack.Packer(autoreset=False)
    packer.pack_array_header(parts + 2)
    packer.pack(name)
    start: bytes = packer.bytes()
    return start


def _head(parts: tuple[Part, ...], body_bytes: int) -> bytes:
    packer = msgpack.Packer(autoreset=False)
    packer.pack_array_header(len(parts) + 1)
    for part in parts:
        packer.pack(part)
    code, width = next((code, width) for code, width in _BYTE_STRINGS if body_bytes < 2 ** (8 * width))
    head: bytes = packer.bytes() + bytes((code,)) + body_bytes.to_bytes(width, "big")
    return head


def _read_head(data: bytes, count: int) -> tuple[list[Part], int]:
    """Return the parts before the body, and where the body starts."""
    reader = msgpack.Unpacker(max_buffer_size=_MAX_HEAD_BYTES, max_array_len=0, max_map_len=0, max_ext_len=0)
    reader.feed(data[:_MAX_HEAD_BYTES])
    try:
        if reader.read_array_header() != count + 1:
            raise MalformedMessage(f"a frame of another size than {count + 1}")
        parts: list[Part] = [reader.unpack() for _ in range(count)]
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise MalformedMessage(f"no frame: {error}") from None
    at = reader.tell()
    widths = [width for code, width in _BYTE_STRINGS if data[at : at + 1] == bytes((code,))]
    if not widths:
        raise MalformedMessage("a frame ends in a byte string")
    return parts, at + 1 + widths[0]
