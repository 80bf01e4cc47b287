"""How are bytes written that get signed, so that no two meanings share them?

A signature must cover every field's type and length, or bytes may slide from one field into the next.
So: a domain line, then per field one type byte, a 32-bit length, the content. This is the idea of
DSSE's pre-authentication encoding, with types. The encoding has one form per value and is compared
byte by byte on reading, so it may be stored, sent and verified but never re-serialised.
"""

import struct
from collections.abc import Sequence

from hansa.broker.errors import MalformedMessage

Field = str | bytes | int

MAX_INT = 2**63 - 1  # what every database we store it in can hold

_LENGTH = struct.Struct(">cI")
_NUMBER = struct.Struct(">cIQ")
_TEXT, _BYTES, _INT = b"s", b"b", b"i"
_TYPES: dict[type, bytes] = {str: _TEXT, bytes: _BYTES, int: _INT}


def pack_fields(domain: str, *fields: Field) -> bytes:
    """Encode fields under a domain, e.g. ``"hansa-envelope-1"``.

    Raises:
        ValueError: an integer outside 0 … 2^63 - 1.
    """
    parts: list[bytes] = []
    for field in (domain, *fields):
        if isinstance(field, int):
            if not 0 <= field <= MAX_INT:
                raise ValueError(f"signed integers run from 0 to 2^63 - 1, not {field}")
            parts.append(_NUMBER.pack(_INT, 8, field))
        elif isinstance(field, str):
            text = field.encode()
            parts += (_LENGTH.pack(_TEXT, len(text)), text)
        else:
            parts += (_LENGTH.pack(_BYTES, len(field)), field)
    return b"".join(parts)


def unpack_fields(data: bytes, types: Sequence[type[Field]]) -> tuple[str, list[Field]]:
    """Read what `pack_fields` wrote: the domain and exactly these fields.

    Raises:
        MalformedMessage: another type, length or number of fields, or bytes left over.
    """
    fields: list[Field] = []
    at = 0
    for position, kind in enumerate((str, *types)):
        if len(data) < at + _LENGTH.size:
            raise MalformedMessage(f"signed bytes end in field {position} of {len(types)}")
        code, length = _LENGTH.unpack_from(data, at)
        if code != _TYPES[kind]:
            raise MalformedMessage(f"signed field {position} should be {kind.__name__}, type byte {code!r}")
        at += _LENGTH.size
        content = data[at : at + length]
        if len(content) != length:
            raise MalformedMessage(f"signed field {position} claims {length} bytes, {len(content)} are left")
        at += length
        fields.append(_read(code, content, position))
    if at != len(data):
        raise MalformedMessage(f"{len(data) - at} bytes follow the last signed field")
    domain = fields.pop(0)
    assert isinstance(domain, str)
    return domain, fields


def _read(code: bytes, content: bytes, position: int) -> Field:
    if code == _BYTES:
        return content
    if code == _TEXT:
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise MalformedMessage(f"signed field {position} is not UTF-8") from None
    number = int.from_bytes(content, "big")
    if len(content) != 8 or number > MAX_INT:
        raise MalformedMessage(f"signed field {position} should be an integer of 8 bytes below 2^63")
    return number
