"""Where do large arrays lie? Each once, sealed, in a file of its own beside the journal.

An array above the detach limit is sealed once under a key of its own (hansa.broker.chunks); what lies in
the file is the ciphertext that travels, so that the same bytes serve the outbox, the receiver's disk and
every later snapshot. The key stands in the `ArrayRef`, which only the sealed journal holds: dropping the
reference at a job's end makes the file unreadable, whoever keeps a copy of the disk.

Files are named by blob id, not by digest: chunks may arrive before the message that tells their digest.

An array is on its maker's disk, fsynced, before anybody is told of it. A receiver's copy is written before it
is acknowledged, so that it outlives the process, but not waited for: only a power failure can take it, within
the seconds before the kernel writes it, and most copies are gone by then without ever having cost the disk
anything. One that its message has used up before anything is committed is never written at all. What is kept
beyond a job is fsynced (`secure`).
"""

import os
import re
import sys
import weakref
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hansa.agents.errors import JournalError
from hansa.broker.chunks import ArrayRef, open_array, seal_array
from hansa.broker.errors import CorruptBlob
from hansa.protocols.digest import array_digest, freeze

RECENT_BYTES = 64 * 2**20  # of chunks just written, kept in memory
MAX_OPEN_FILES = 64  # written but not synced yet; a process may open 1,024 in all

_CHUNK_NAME = re.compile(r"([0-9a-f]{32})\.([0-9]+)")

Array = np.ndarray[Any, np.dtype[Any]]
Chunk = bytes | memoryview


class ChunkFiles(Protocol):
    """Keeps sealed chunks by (blob id, index)."""

    def write(self, blob_id: bytes, index: int, chunk: Chunk, durable: bool = True) -> None:
        """Keep a chunk: after the next flush it outlives the process, and a durable one a power failure."""
        ...

    def secure(self, blob_id: bytes) -> None:
        """Make the chunks of a blob durable that were not written so."""
        ...

    def read(self, blob_id: bytes, index: int) -> Chunk: ...
    def flush(self, needless: Collection[bytes] = ()) -> None:
        """Have everything where `write` and `secure` promise it; not blobs that are `needless`: they go next."""
        ...

    def link(self, source: bytes, blob_id: bytes) -> None:
        """Let a blob have the chunks of another, as far as there are any; what it has already stays."""
        ...

    def remove(self, blob_id: bytes) -> None: ...
    def ids(self) -> list[bytes]: ...


class MemoryFiles:
    """Chunks that live as long as this object."""

    def __init__(self) -> None:
        self._chunks: dict[bytes, dict[int, Chunk]] = {}

    def write(self, blob_id: bytes, index: int, chunk: Chunk, durable: bool = True) -> None:
        self._chunks.setdefault(blob_id, {})[index] = chunk

    def secure(self, blob_id: bytes) -> None:
        return None

    def read(self, blob_id: bytes, index: int) -> Chunk:
        try:
            return self._chunks[blob_id][index]
        except KeyError:
            raise CorruptBlob(f"blob {blob_id.hex()}: chunk {index} is missing") from None

    def flush(self, needless: Collection[bytes] = ()) -> None:
        return None

    def link(self, source: bytes, blob_id: bytes) -> None:
        self._chunks.setdefault(blob_id, dict(self._chunks.get(source, {})))

    def remove(self, blob_id: bytes) -> None:
        self._chunks.pop(blob_id, None)

    def ids(self) -> list[bytes]:
        return list(self._chunks)


class DiskFiles:
    """One file per chunk in one folder, fsynced once per batch.

    A durable chunk is written at once, so that the disk is at work while the next is sealed. Any other stays in
    memory until the flush, or until there are `RECENT_BYTES` newer ones: it may not be needed any more by then.

    Args:
        folder: made if missing, for its owner only.

    Raises:
        JournalError: from any method, if the disk won't do it; the agent must stop.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unsynced: list[int] = []  # open files that the next flush makes durable
        self._unsafe: set[bytes] = set()  # blobs that a power failure may take
        self._recent: dict[Path, Chunk] = {}  # what was just written is soon read: to send it, to open it
        self._recent_bytes = 0
        self._unwritten: dict[Path, bytes] = {}  # chunks that are recent and in no file yet: whose they are
        self._held: dict[bytes, set[int]] = {}
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            names = os.listdir(folder)
        except OSError as error:
            raise JournalError(f"{folder}: cannot open the folder of chunks: {error.strerror}") from error
        for name in filter(None, map(_CHUNK_NAME.fullmatch, names)):
            self._held.setdefault(bytes.fromhex(name[1]), set()).add(int(name[2]))
        self._unsafe.update(self._held)  # written by an earlier process: nobody knows which were synced

    def write(self, blob_id: bytes, index: int, chunk: Chunk, durable: bool = True) -> None:
        path = self._path(blob_id, index)
        self._held.setdefault(blob_id, set()).add(index)
        if durable:
            self._unwritten.pop(path, None)
            self._await_sync(self._put(path, chunk))
        else:
            self._unwritten[path] = blob_id
            self._unsafe.add(blob_id)
        self._keep_recent(path, chunk)

    def secure(self, blob_id: bytes) -> None:
        if blob_id not in self._unsafe:
            return
        self._unsafe.discard(blob_id)
        for index in self._held.get(blob_id, set()):
            path = self._path(blob_id, index)
            if self._unwritten.pop(path, None):
                self._await_sync(self._put(path, self._recent[path]))
                continue
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except OSError as error:
                raise JournalError(f"{path}: cannot open the chunk: {error.strerror}") from error
            self._await_sync(descriptor)

    def _put(self, path: Path, chunk: Chunk) -> int:
        """Write a chunk to its file, and return that, open."""
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            try:
                view = memoryview(chunk)
                while view:
                    view = view[os.write(descriptor, view) :]
            except OSError:
                os.close(descriptor)
                raise
        except OSError as error:
            raise JournalError(f"{path}: cannot write the chunk: {error.strerror}") from error
        return descriptor

    def _keep_recent(self, path: Path, chunk: Chunk) -> None:
        self._recent_bytes += len(chunk) - len(self._recent.pop(path, b""))
        self._recent[path] = chunk
        while self._recent_bytes > RECENT_BYTES:
            oldest = next(iter(self._recent))
            self._write_out(oldest)
            self._recent_bytes -= len(self._recent.pop(oldest))

    def _write_out(self, path: Path) -> None:
        """See to it that a recent chunk is in its file."""
        if self._unwritten.pop(path, None):
            os.close(self._put(path, self._recent[path]))

    def _await_sync(self, descriptor: int) -> None:
        _hasten(descriptor)
        self._unsynced.append(descriptor)
        if len(self._unsynced) >= MAX_OPEN_FILES:
            self._sync_all()

    def read(self, blob_id: bytes, index: int) -> Chunk:
        path = self._path(blob_id, index)
        if path in self._recent:
            return self._recent[path]
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise CorruptBlob(f"blob {blob_id.hex()}: chunk {index} is missing") from None
        except OSError as error:
            raise JournalError(f"{path}: cannot read the chunk: {error.strerror}") from error

    def flush(self, needless: Collection[bytes] = ()) -> None:
        for path in [path for path, blob_id in self._unwritten.items() if blob_id not in needless]:
            self._write_out(path)
        self._sync_all()

    def _sync_all(self) -> None:
        if not self._unsynced:
            return
        try:
            while self._unsynced:
                _sync(self._unsynced.pop())
            _sync(os.open(self._folder, os.O_RDONLY))
        except OSError as error:
            raise JournalError(f"{self._folder}: cannot write the chunks: {error.strerror}") from error

    def link(self, source: bytes, blob_id: bytes) -> None:
        for index in self._held.get(source, set()) - self._held.get(blob_id, set()):
            path, from_path = self._path(blob_id, index), self._path(source, index)
            recent = self._recent.get(from_path)
            if from_path in self._unwritten:
                self._unwritten[path] = blob_id
            else:
                _link(from_path, path)
            self._held.setdefault(blob_id, set()).add(index)
            if recent is not None:
                self._keep_recent(path, recent)
        self._unsafe.add(blob_id)

    def remove(self, blob_id: bytes) -> None:
        self._unsafe.discard(blob_id)
        for index in self._held.pop(blob_id, set()):
            path = self._path(blob_id, index)
            self._recent_bytes -= len(self._recent.pop(path, b""))
            self._unwritten.pop(path, None)
            path.unlink(missing_ok=True)

    def ids(self) -> list[bytes]:
        return list(self._held)

    def _path(self, blob_id: bytes, index: int) -> Path:
        return self._folder / f"{blob_id.hex()}.{index}"


def _link(source: Path, path: Path) -> None:
    try:
        os.link(source, path)
    except FileExistsError:
        pass  # linked before a crash
    except OSError as error:
        raise JournalError(f"{path}: cannot link the chunk: {error.strerror}") from error


def _hasten(descriptor: int) -> None:
    """Have the kernel begin to write a file that will be fsynced, without waiting for it.

    On Linux the advice that its pages won't be read has that effect: what we read soon is remembered here.
    """
    if sys.platform == "linux":
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class BlobStore:
    """Arrays in, references out, and back; counts who still needs which file.

    An array stays known by identity while somebody holds it (arrays are read-only here), so that a snapshot
    of a state does not seal and write again what a message has just brought.
    """

    def __init__(self, files: ChunkFiles) -> None:
        self._files = files
        self._refs: dict[int, ArrayRef] = {}  # id(array) -> its reference, while the array lives
        self._arrays: weakref.WeakValueDictionary[bytes, Array] = weakref.WeakValueDictionary()
        self._users: dict[tuple[str, bytes], frozenset[bytes]] = {}
        self._counts: Counter[bytes] = Counter()
        self._unused: set[bytes] = set()

    def keep(self, array: Array) -> ArrayRef:
        """Return the reference of an array, sealing and writing it if it is new; freezes it."""
        known = self._refs.get(id(array))
        if known is not None:
            return known
        array = freeze(array)
        ref, chunks = seal_array(array, array_digest(array))
        for index, chunk in enumerate(chunks):
            self._files.write(ref.blob_id, index, chunk)
        self._remember(array, ref)
        self._unused.add(ref.blob_id)
        return ref

    def load(self, ref: ArrayRef) -> Array:
        """Return the array of a reference, read-only, its digest checked.

        Raises:
            CorruptBlob: a chunk is missing or altered, or the digest is another.
        """
        array = self._arrays.get(ref.blob_id)
        if array is None or self._refs.get(id(array)) != ref:
            chunks = (self._files.read(ref.blob_id, index) for index in range(ref.chunk_count))
            array = open_array(ref, chunks, array_digest)
            self._remember(array, ref)
        return array

    def adopt(self, ref: ArrayRef, place: bytes) -> Array:
        """Return an array whose chunks arrived under `place`; from now on they are the blob's own.

        A blob that is held already keeps its chunks: whoever speaks of it must mean the same ones.

        Raises:
            CorruptBlob: as `load`.
        """
        known = self._arrays.get(ref.blob_id)
        if known is not None and self._refs.get(id(known)) != ref:
            raise CorruptBlob(
                f"blob {ref.blob_id.hex()}: spoken of with another key than its array came with"
            )
        if known is None and not self._counts[ref.blob_id]:
            self._files.remove(ref.blob_id)  # what another message of this step may have left under this id
            self._files.link(place, ref.blob_id)
            self._unused.add(ref.blob_id)
        return self.load(ref)

    def write_chunk(self, blob_id: bytes, index: int, chunk: Chunk) -> None:
        """Keep a chunk that came from a peer; it is checked when its message asks for the array."""
        self._files.write(blob_id, index, chunk, durable=False)
        if not self._counts[blob_id]:
            self._unused.add(blob_id)

    def secure(self, refs: Iterable[ArrayRef]) -> None:
        """Make arrays that came from peers durable here too: what is kept beyond its job."""
        for ref in refs:
            self._files.secure(ref.blob_id)

    def read_chunk(self, blob_id: bytes, index: int) -> Chunk:
        """Return one sealed chunk, to send it."""
        return self._files.read(blob_id, index)

    def flush(self) -> None:
        """Have all files where they must be: call before the journal commits what names them, and `sweep` after."""
        self._files.flush(self._unused)

    def use(self, space: str, key: bytes, refs: Iterable[ArrayRef]) -> None:
        """Say which blobs the journal row (space, key) needs from now on; none frees it."""
        self.use_ids(space, key, (ref.blob_id for ref in refs))

    def use_ids(self, space: str, key: bytes, blob_ids: Iterable[bytes]) -> None:
        """As `use`, by blob id."""
        now = frozenset(blob_ids)
        before = self._users.pop((space, key), frozenset())
        if now:
            self._users[space, key] = now
        for blob_id in now - before:
            self._counts[blob_id] += 1
            self._unused.discard(blob_id)
        for blob_id in before - now:
            self._counts[blob_id] -= 1
            if not self._counts[blob_id]:
                del self._counts[blob_id]
                self._unused.add(blob_id)

    def sweep(self) -> None:
        """Remove the files nobody needs: call after the commit that dropped the last reference."""
        for blob_id in self._unused:
            array = self._arrays.pop(blob_id, None)
            if array is not None:
                self._refs.pop(id(array), None)
            self._files.remove(blob_id)
        self._unused.clear()

    def adopt_orphans(self) -> None:
        """After a restart: files that no journal row names are left over from an uncommitted step."""
        self._unused.update(blob_id for blob_id in self._files.ids() if not self._counts[blob_id])

    def _remember(self, array: Array, ref: ArrayRef) -> None:
        place = id(array)
        self._refs[place] = ref
        self._arrays[ref.blob_id] = array
        weakref.finalize(array, self._refs.pop, place, None)
