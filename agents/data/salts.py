"""Where do the salts of rows lie? In the home, a sealed file for each data set's commitment.

    file := "hansa-salts-1" and a newline || nonce (12 bytes) || AES-256-GCM of the content, 64 bytes a row

A file is named after the data set and the commitment's root, so that a registration which never comes to the
ledger takes nobody else's salts away. It is written whole and then put in place: whenever the machine stops, the
old one is there or the new one. To erase salts is to write the file without them; what a disk keeps of the old file
is for `docs/data.md`.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hansa.agents.data.commitments import Opening
from hansa.agents.errors import DataError

MAGIC = b"hansa-salts-1\n"
NONCE_BYTES = 12

_SEALING = b"hansa-salts-v1"
_TAGGING = b"hansa-row-tags-v1"


class Salts(Protocol):
    """Where an agent keeps what opens its commitments. May be used from any thread."""

    @property
    def key(self) -> bytes:
        """The (32,) key of rows' tags, the same for the home's whole life."""
        ...

    def write(self, root: bytes, opening: Opening) -> None:
        """Keep what opens a root, in the place of what was kept for it; durable on return (DataError)."""
        ...

    def read(self, dataset: str, root: bytes) -> Opening | None:
        """Return what opens a data set's root, or None if there is nothing; DataError if it is damaged."""
        ...

    def drop(self, dataset: str, root: bytes) -> None:
        """Forget what opens a data set's root; what is not there is forgotten already (DataError)."""
        ...

    def drop_others(self, dataset: str, root: bytes) -> None:
        """Forget what opens a data set's other roots (DataError)."""
        ...


class MemorySalts:
    """Salts that live as long as their object; `seed` is the home's (32,) key."""

    def __init__(self, seed: bytes) -> None:
        self._key = _derived(seed, _TAGGING)
        self._held: dict[tuple[str, bytes], Opening] = {}

    @property
    def key(self) -> bytes:
        return self._key

    def write(self, root: bytes, opening: Opening) -> None:
        self._held[opening.dataset, root] = opening

    def read(self, dataset: str, root: bytes) -> Opening | None:
        return self._held.get((dataset, root))

    def drop(self, dataset: str, root: bytes) -> None:
        self._held.pop((dataset, root), None)

    def drop_others(self, dataset: str, root: bytes) -> None:
        for name, other in list(self._held):
            if name == dataset and other != root:
                self.drop(name, other)


class SaltFiles:
    """Salts in a folder, which is made with the first.

    Args:
        folder: the home's own.
        seed: (32,) bytes, the home's key; file and tags have keys derived from it.
    """

    def __init__(self, folder: Path, seed: bytes) -> None:
        self._folder = folder
        self._key = _derived(seed, _TAGGING)
        self._aead = AESGCM(_derived(seed, _SEALING))

    @property
    def key(self) -> bytes:
        return self._key

    def write(self, root: bytes, opening: Opening) -> None:
        path = self._path(opening.dataset, root)
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._aead.encrypt(nonce, opening.content(), _place(opening.dataset, root))
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            _write_whole(path, MAGIC + nonce + sealed)
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error.strerror}") from None

    def read(self, dataset: str, root: bytes) -> Opening | None:
        path = self._path(dataset, root)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}") from None
        start = len(MAGIC) + NONCE_BYTES
        try:
            opened = self._aead.decrypt(content[len(MAGIC) : start], content[start:], _place(dataset, root))
            return Opening.of_content(dataset, opened)
        except (InvalidTag, ValueError):
            raise DataError(
                f"{path}: damaged, or sealed under another key: restore it from a backup, or register data set "
                f"{dataset!r} anew (hansa data add --replace)"
            ) from None

    def drop(self, dataset: str, root: bytes) -> None:
        self._remove(self._path(dataset, root))

    def drop_others(self, dataset: str, root: bytes) -> None:
        kept = self._path(dataset, root)
        for path in (*self._folder.glob(f"{dataset}.*"), *self._folder.glob(f".{dataset}.*.new")):
            if path != kept:
                self._remove(path)

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(f"{path}: cannot be removed: {error.strerror}") from None

    def _path(self, dataset: str, root: bytes) -> Path:
        return self._folder / f"{dataset}.{root.hex()}"


def _write_whole(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _place(dataset: str, root: bytes) -> bytes:
    return MAGIC + root + dataset.encode()


def _derived(seed: bytes, label: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=label).derive(seed)
