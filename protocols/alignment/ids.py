"""What stands for an id in one session? A digest of its normalised text, salted with the session.

Two organisations write the same customer's id in their own ways: Unicode has several spellings of "é", and
exports leave spaces around. So ids are trimmed and brought to Unicode's form NFC; nothing more, since "007" and
"7" may be two people.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from hansa.protocols.alignment.points import POINT_BYTES, repetition
from hansa.protocols.errors import IdError
from hansa.protocols.model import Array

ID_DOMAIN = b"hansa/alignment/id/1\x00"
ROWS_DOMAIN = b"hansa/alignment/rows/1\x00"
SENTINEL_DOMAIN = b"hansa/alignment/sentinel/1\x00"


def normalised(text: str) -> str:
    """Return an id as all parties write it: NFC, without spaces around."""
    return (text if text.isascii() else unicodedata.normalize("NFC", text)).strip()


def id_digests(texts: Sequence[str], session: bytes, first_row: int = 0) -> Array:
    """Return what stands for each id in a session.

    Args:
        texts: one id per row, at least one.
        session: the salt, of fixed length.
        first_row: the number that people give to the first row.

    Returns:
        (n, 32) uint8.

    Raises:
        IdError: no rows; or an id is empty, stands in two rows, or is no valid text. Names the rows and never
            the id.
    """
    if not len(texts):
        raise IdError("there are no ids to align")
    salted = hashlib.sha256(ID_DOMAIN + session)
    raw = bytearray()
    for row, text in enumerate(texts, first_row):
        written = normalised(text)
        if not written:
            raise IdError(f"row {row}: the id is empty")
        digest = salted.copy()
        try:
            digest.update(written.encode())
        except UnicodeEncodeError:
            raise IdError(f"row {row}: the id is no valid Unicode text") from None
        raw += digest.digest()
    digests = np.frombuffer(bytes(raw), dtype=np.uint8).reshape(-1, POINT_BYTES)
    twice = repetition(digests)
    if twice is not None:
        earlier, later = (first_row + place for place in twice)
        raise IdError(f"row {later}: its id stands in row {earlier} too, once both are normalised")
    return digests


def rows_digest(texts: Iterable[str]) -> bytes:
    """Return the (32,) digest of ids in their order: it tells whether row indices still mean the same rows."""
    digest = hashlib.sha256(ROWS_DOMAIN)
    for text in texts:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(4, "little") + encoded)
    return digest.digest()


def sentinel_digests(session: bytes, count: int) -> Array:
    """Return the digests that every party adds to its list, (count, 32) uint8; no id has one of them."""
    drawn = [
        hashlib.sha256(SENTINEL_DOMAIN + session + number.to_bytes(4, "little")).digest()
        for number in range(count)
    ]
    return np.frombuffer(b"".join(drawn), dtype=np.uint8).reshape(count, POINT_BYTES)
