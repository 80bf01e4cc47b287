"""How is a file kept closed with a passphrase? AES-256-GCM in chunks, under a key stretched by scrypt.

    file  := line "hansa-sealed-1", log2 of scrypt's n (1 byte), salt (16 bytes), chunks
    chunk := AES-256-GCM of at most 1 MiB; nonce: its number (11 bytes), then 1 for the last one, else 0

All that stands before the chunks is authenticated with each. Numbers and the last one's mark keep chunks from
being left out, moved or cut off. Each file has a salt, so a key, of its own: no nonce is used twice.

Source: Hoang, Reyhanitabar, Rogaway and Vizár, "Online Authenticated-Encryption and its Nonce-Reuse
Misuse-Resistance" (CRYPTO 2015), the STREAM construction.
"""

import secrets
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from hansa.agents.errors import BackupError

MAGIC = b"hansa-sealed-1\n"
CHUNK_BYTES = 2**20
TAG_BYTES = 16
SALT_BYTES = 16
LOG_N = 17  # with r = 8: 128 MiB and about half a second per guess
LOG_N_MAX = 20


class SealedWriter:
    """Seals what is written to it into another file; what was not closed can't be read."""

    def __init__(self, file: BinaryIO, passphrase: bytes) -> None:
        salt = secrets.token_bytes(SALT_BYTES)
        self._head = MAGIC + bytes([LOG_N]) + salt
        self._aead = AESGCM(_stretch(passphrase, salt, LOG_N))
        self._file = file
        self._waiting = bytearray()
        self._number = 0
        file.write(self._head)

    def write(self, data: bytes) -> int:
        """Take more plaintext."""
        self._waiting += data
        while len(self._waiting) > CHUNK_BYTES:  # the last chunk is known by `close` alone
            self._seal(bytes(self._waiting[:CHUNK_BYTES]), last=False)
            del self._waiting[:CHUNK_BYTES]
        return len(data)

    def close(self) -> None:
        """Write the last chunk; the file below stays open."""
        self._seal(bytes(self._waiting), last=True)

    def _seal(self, chunk: bytes, *, last: bool) -> None:
        self._file.write(self._aead.encrypt(_nonce(self._number, last), chunk, self._head))
        self._number += 1


class SealedReader:
    """Reads what a `SealedWriter` wrote; nothing comes out that was not authenticated.

    Raises:
        BackupError: from the constructor and from `read`: another passphrase, or an altered or cut file.
    """

    def __init__(self, file: BinaryIO, passphrase: bytes, name: str) -> None:
        self._head = file.read(len(MAGIC) + 1 + SALT_BYTES)
        self._name = name
        log_n = self._head[len(MAGIC)] if len(self._head) == len(MAGIC) + 1 + SALT_BYTES else 0
        if not self._head.startswith(MAGIC) or not 1 <= log_n <= LOG_N_MAX:
            raise BackupError(f"{name}: not a sealed file, or its beginning is damaged")
        self._aead = AESGCM(_stretch(passphrase, self._head[-SALT_BYTES:], log_n))
        self._file = file
        self._ahead = file.read(CHUNK_BYTES + TAG_BYTES)
        self._opened = b""
        self._number = 0
        self._ended = False

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes; fewer at the end."""
        parts = []
        while size > 0 and (self._opened or not self._ended):
            if not self._opened:
                self._open()
            parts.append(self._opened[:size])
            self._opened = self._opened[size:]
            size -= len(parts[-1])
        return b"".join(parts)

    def _open(self) -> None:
        sealed, self._ahead = self._ahead, self._file.read(CHUNK_BYTES + TAG_BYTES)
        self._ended = not self._ahead
        try:
            self._opened = self._aead.decrypt(_nonce(self._number, self._ended), sealed, self._head)
        except InvalidTag:
            hint = (
                "the passphrase is another, or the file is damaged" if self._number == 0 else "damaged or cut"
            )
            raise BackupError(f"{self._name}: does not open: {hint}") from None
        self._number += 1


def _stretch(passphrase: bytes, salt: bytes, log_n: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=2**log_n, r=8, p=1).derive(passphrase)


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11) + bytes([last])
