"""How is a text signed so that anybody's tools can check it? As a signed note of C2SP (c2sp.org/signed-note).

    text, ending in a newline
    (an empty line)
    — NAME BASE64(key id (4 bytes) || signature)      one line per signature, in any order

A key id is SHA-256(NAME || newline || type || public key)[:4], a hint; who signed is decided by the key.
Signatures by names that the reader does not know are passed over, as the specification asks.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field

from hansa.ledger.errors import BadNote

ED25519 = 0x01  # over the text itself
COSIGNATURE = 0x04  # Ed25519 over time and text, c2sp.org/tlog-cosignature
MOST_BYTES = 256 * 1024  # of a note; a signature line of ours takes about 250
MOST_SIGNATURES = 1_024
KEY_ID_BYTES = 4

_DASH = "\N{EM DASH} "
_LINE = re.compile(r"\N{EM DASH} ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One line under a note.

    Attributes:
        name: of the key, without spaces or plus signs.
        key_id: (4,) bytes.
        signature: what the key's type makes of the text.
    """

    name: str
    key_id: bytes
    signature: bytes = field(repr=False)

    @property
    def line(self) -> str:
        """The line as it stands in the note, without its newline."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}"


@dataclass(frozen=True, slots=True)
class Note:
    """A text and who signed it; none of the signatures has been looked at.

    Attributes:
        text: ends in a newline.
    """

    text: str
    signatures: tuple[NoteSignature, ...]

    def encoded(self) -> bytes:
        """Return the note as it is stored and sent."""
        lines = "".join(f"{each.line}\n" for each in self.signatures)
        return f"{self.text}\n{lines}".encode()


def key_id(name: str, kind: int, verify_key: bytes) -> bytes:
    """Return the (4,) id of a key under a name, for one type of signature."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + verify_key).digest()[:KEY_ID_BYTES]


def read_note(encoded: bytes) -> Note:
    """Read a note.

    Raises:
        BadNote: not UTF-8, control characters, no signature, a line that is none, base64 in another form than
            the one that there is, one signature twice, or too much of anything.
    """
    if len(encoded) > MOST_BYTES:
        raise BadNote(f"a note has at most {MOST_BYTES} bytes, not {len(encoded)}")
    try:
        whole = encoded.decode()
    except UnicodeDecodeError:
        raise BadNote("a note is UTF-8") from None
    if any(character < " " and character != "\n" for character in whole):
        raise BadNote("a note has no control characters")
    text, empty, tail = whole.rpartition("\n\n")
    if not empty or not text:
        raise BadNote("a note is a text, an empty line, and signatures")
    if not tail.endswith("\n"):
        raise BadNote("a note ends in a newline")
    lines = tail[:-1].split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise BadNote(f"a note has at most {MOST_SIGNATURES} signatures, not {len(lines)}")
    signatures = tuple(map(read_signature, lines))
    if len(set(signatures)) != len(signatures):
        raise BadNote("a note has each signature once")
    return Note(text + "\n", signatures)


def read_signature(line: str) -> NoteSignature:
    """Read one line under a note; BadNote if it is none."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise BadNote(f"no signature line: {line!r:.80}")
    try:
        content = base64.b64decode(match[2], validate=True)
    except binascii.Error:
        raise BadNote(f"no base64 in a signature line: {line!r:.80}") from None
    if len(content) <= KEY_ID_BYTES:
        raise BadNote(f"a signature line without a signature: {line!r:.80}")
    found = NoteSignature(match[1], content[:KEY_ID_BYTES], content[KEY_ID_BYTES:])
    if found.line != line:  # spare bits set in the last character
        raise BadNote(f"base64 in another form than its own: {line!r:.80}")
    return found
