"""What does a backup look like as a file? A tar archive that says what is in it, and can't be half believed.

First comes `format` (the archive's version), last `manifest.json` (every file's length and SHA-256, who it is of,
where its ledger ended): an archive that was cut or altered shows it. Names are held to a list of forms, so that
nothing is ever written elsewhere than in the folder that is being filled.
"""

import hashlib
import json
import os
import re
import tarfile
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from hansa.agents.errors import BackupError

FORMAT = 1
FORMAT_NAME = "format"
MANIFEST = "manifest.json"
ENTRIES = "ledger.entries"
PIECE_BYTES = 2**20
MANIFEST_BYTES = 64 * 2**20  # more files than any home has

# agent.toml, certs/ca.pem, chunks/…: no leading dot, no .. and nothing absolute
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@ -]*(/[A-Za-z0-9_][A-Za-z0-9_.@ -]*){0,5}")


class Readable(Protocol):
    """What an archive is read from."""

    def read(self, size: int, /) -> bytes: ...


class Writable(Protocol):
    """What an archive is written to."""

    def write(self, data: bytes, /) -> int: ...


@dataclass(frozen=True, slots=True)
class Stored:
    """One file in an archive."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive is, and what is in it.

    Attributes:
        made_ms: when, UTC milliseconds since 1970.
        federation: its id; empty for an agent that has joined none.
        entries: how many the ledger's copy had; `head` is the last one's hash in hex.
        left_out: files that agent.toml names and that lie outside the home.
    """

    hansa: str
    made_ms: int
    agent: str
    federation: str
    entries: int
    head: str
    files: dict[str, Stored] = field(repr=False)
    left_out: tuple[str, ...] = ()


def fits(name: str) -> bool:
    """Whether a file of this name may stand in an archive."""
    return _NAME.fullmatch(name) is not None and len(name) <= 200


class ArchiveWriter:
    """Writes an archive, file by file; `finish` makes it whole, `close` ends it while the file is open."""

    def __init__(self, file: Writable) -> None:
        self._tar = tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT)  # type: ignore[call-overload]
        self.files: dict[str, Stored] = {}
        self._add_bytes(FORMAT_NAME, json.dumps({"format": FORMAT}).encode())
        del self.files[FORMAT_NAME]

    def add(self, name: str, path: Path) -> None:
        """Put a file in, as long as it is now; FileNotFoundError if it has gone."""
        with path.open("rb") as file:
            self._add(name, _Counted(file, os.fstat(file.fileno()).st_size))

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest and the archive's end."""
        self._add_bytes(MANIFEST, json.dumps(asdict(manifest)).encode())
        self._tar.close()

    def close(self) -> None:
        """End an archive, whole or not."""
        self._tar.close()

    def _add_bytes(self, name: str, content: bytes) -> None:
        self._add(name, _Counted(BytesIO(content), len(content)))

    def _add(self, name: str, content: "_Counted") -> None:
        if not fits(name):
            raise BackupError(f"{name!r:.200}: a file of this name cannot be backed up; rename it")
        info = tarfile.TarInfo(name)
        info.size, info.mode = content.size, 0o600
        self._tar.addfile(info, content)
        self.files[name] = Stored(content.size, content.digest.hexdigest())


class _Counted:
    """A file's first so many bytes, and their digest once they are read."""

    def __init__(self, file: BinaryIO | BytesIO, size: int) -> None:
        self._file = file
        self.size = size
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        piece = self._file.read(size)
        self.digest.update(piece)
        return piece


def unpack(file: Readable, folder: Path, name: str) -> Manifest:
    """Write an archive's files into an empty folder, durably; return what they are.

    Args:
        name: of the archive, for errors.

    Raises:
        BackupError: not an archive, cut, altered, or of a newer format; the folder may hold a part of it.
    """
    try:
        with tarfile.open(fileobj=file, mode="r|") as tar:  # type: ignore[call-overload]
            return _Unpacking(tar, folder, name).run()
    except tarfile.TarError:
        raise BackupError(f"{name}: no backup, or cut short") from None


class _Unpacking:
    def __init__(self, tar: tarfile.TarFile, folder: Path, name: str) -> None:
        self._tar, self._folder, self._name = tar, folder, name
        self._found: dict[str, Stored] = {}

    def run(self) -> Manifest:
        self._check_format()
        while (info := self._tar.next()) is not None:  # iterating would begin with the first again
            if info.name == MANIFEST:
                manifest = self._manifest(self._content(info))
                if self._tar.next() is not None:
                    raise BackupError(f"{self._name}: altered: something follows its manifest")
                return manifest
            if not fits(info.name) or not info.isreg() or info.name in self._found:
                raise BackupError(f"{self._name}: altered: it holds {info.name!r:.80}, as no backup does")
            self._write(info)
        raise BackupError(f"{self._name}: cut short: its manifest is missing")

    def _check_format(self) -> None:
        first = self._tar.next()
        if first is None or first.name != FORMAT_NAME:
            raise BackupError(f"{self._name}: no backup of hansa's")
        told = self._json(self._content(first))
        version = told.get("format") if isinstance(told, dict) else None
        if not isinstance(version, int):
            raise BackupError(f"{self._name}: no backup of hansa's")
        if version > FORMAT:
            raise BackupError(
                f"{self._name}: a backup in format {version}; this version of hansa reads up to {FORMAT}: upgrade"
            )

    def _write(self, info: tarfile.TarInfo) -> None:
        target = self._folder / info.name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        source = self._tar.extractfile(info)
        assert source is not None  # a regular file
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            while piece := source.read(PIECE_BYTES):
                digest.update(piece)
                size += file.write(piece)
            file.flush()
            os.fsync(descriptor)
        self._found[info.name] = Stored(size, digest.hexdigest())

    def _content(self, info: tarfile.TarInfo) -> bytes:
        source = self._tar.extractfile(info)
        if source is None or info.size > MANIFEST_BYTES:
            raise BackupError(f"{self._name}: altered: {info.name} is not what it should be")
        return source.read()

    def _manifest(self, content: bytes) -> Manifest:
        told = self._json(content)
        try:
            files = {name: Stored(**stored) for name, stored in told.pop("files").items()}
            manifest = Manifest(files=files, left_out=tuple(told.pop("left_out")), **told)
        except (KeyError, TypeError, AttributeError):
            raise BackupError(f"{self._name}: altered: its manifest is malformed") from None
        for name in manifest.files.keys() | self._found.keys():
            if manifest.files.get(name) != self._found.get(name):
                raise BackupError(f"{self._name}: altered: {name} is not what its manifest says")
        return manifest

    def _json(self, content: bytes) -> Any:
        try:
            return json.loads(content)
        except ValueError:
            raise BackupError(f"{self._name}: altered: a part of it is not readable") from None
