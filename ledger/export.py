"""How does a whole ledger travel to somebody who has nothing else? As one file that is read from front to back.

    hansa-ledger-export-1 (newline)
    frames: length (4 bytes, big-endian), then that many bytes: a canonical list (`hansa.broker.codec`)
        ["entry", index, previous, signed, signature, hash, receipt]     from 0 on, without gaps
        ["note", note]                                                   checkpoints, by size, epoch and text
        ["evidence", kind, content]
        ["end", entries, notes, evidence, SHA-256 of every byte before this frame]

Frames of a kind stand together, in this order, and the last one is always there: a file that was cut off has none.
The SHA-256 finds accidents; whoever changes a file on purpose can write a new one, and meets the signatures
(`audit`). The same store gives the same bytes. Reading and writing hold one frame at a time.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import BinaryIO, TypeAlias

from hansa.broker.codec import Limits, Plain, decode, encode
from hansa.broker.errors import Refused
from hansa.ledger.chain import EMPTY, ChainedEntry
from hansa.ledger.checkpoints import read_checkpoint
from hansa.ledger.errors import BadExport
from hansa.ledger.notes import Note
from hansa.ledger.store import LedgerStore

MAGIC = b"hansa-ledger-export-1\n"
MOST_FRAME_BYTES = 2**21  # evidence may hold a whole envelope, of 2^20 bytes
MOST_EVIDENCE = 10_000  # pieces in one file
ORDER = ("entry", "note", "evidence", "end")

_LENGTH_BYTES = 4
_LIMITS = Limits(message_bytes=MOST_FRAME_BYTES)


@dataclass(frozen=True, slots=True)
class NoteFrame:
    """A checkpoint's note as it was kept; nothing of it has been looked at."""

    encoded: bytes


@dataclass(frozen=True, slots=True)
class EvidenceFrame:
    """Something that proves a wrong, if it proves anything: `evidence` reads it."""

    kind: str
    content: bytes


@dataclass(frozen=True, slots=True)
class EndFrame:
    """The last frame: how many of each there are, and a (32,) hash of all bytes before it."""

    entries: int
    notes: int
    evidence: int
    digest: bytes

    def __str__(self) -> str:
        return f"{self.entries} entries, {self.notes} checkpoints, {self.evidence} pieces of evidence"


Frame: TypeAlias = ChainedEntry | NoteFrame | EvidenceFrame | EndFrame


@dataclass(frozen=True, slots=True)
class Framed:
    """A frame as it lies in the file.

    Attributes:
        at: where its length stands, bytes from the start.
        content: without the length.
    """

    at: int
    content: bytes

    @property
    def kind(self) -> str:
        """Which frame it is, by its first bytes; BadExport if it is none that is known."""
        for kind, start in _STARTS.items():
            if self.content.startswith(start):
                return kind
        raise BadExport(f"byte {self.at}: no frame is of this kind: {self.content[:16].hex()}")

    def read(self) -> Frame:
        """Return what it says; BadExport if it says it otherwise than `write_export` would."""
        try:
            plain = decode(self.content, _LIMITS)
        except Refused as error:
            raise BadExport(f"byte {self.at}: not a frame: {error}") from None
        match plain:
            case [
                "entry",
                int(index),
                bytes(previous),
                bytes(signed),
                bytes(signature),
                bytes(digest),
                bytes(receipt),
            ] if type(index) is int:
                return ChainedEntry(index, previous, signed, signature, digest, receipt)
            case ["note", bytes(encoded)]:
                return NoteFrame(encoded)
            case ["evidence", str(kind), bytes(content)]:
                return EvidenceFrame(kind, content)
            case ["end", int(entries), int(notes), int(evidence), bytes(digest)]:
                if bool not in map(type, (entries, notes, evidence)):
                    return EndFrame(entries, notes, evidence, digest)
        raise BadExport(f"byte {self.at}: a frame with other fields than its kind has")


def write_export(store: LedgerStore, file: BinaryIO) -> EndFrame:
    """Write a ledger, up to the head that it has now: its agent may go on appending meanwhile.

    Raises:
        BadEntry: a cell of the wrong type.
        BadExport: the store's entries don't continue one another, or another keeper's have replaced them meanwhile.
        StoreError: the store can't be read.
        OSError: the file can't be written.
    """
    writer = ExportWriter(file)
    head, found = store.head(), EMPTY
    for entry in store.read(stop=head.size):
        if (entry.index, entry.previous) != (found.size, found.hash):
            raise BadExport(
                f"entry {entry.index} of {store.address} does not continue the one before it: damaged"
                f" (`hansa ledger verify` tells more), or replaced a moment ago (then export once more)"
            )
        writer.entry(entry)
        found = entry.head
    if found != head:
        raise BadExport(f"{store.address} ended at {head} and now ends at {found}; export once more")
    for _, alike in groupby(_checkpoints(store, head.size), key=lambda found: found[0]):
        for _, note in sorted(alike, key=lambda found: found[1].text):
            writer.frame("note", _encoded(note))
    for kind, content in islice(store.evidence(), MOST_EVIDENCE):
        writer.frame("evidence", kind, content)
    return writer.end()


def _encoded(note: Note) -> bytes:
    try:
        return note.encoded()
    except UnicodeEncodeError:  # a damaged cell, as a driver gives it
        raise BadExport(f"a stored checkpoint is no text: {note.text!r:.80}") from None


def _checkpoints(store: LedgerStore, size: int) -> Iterator[tuple[tuple[int, int], Note]]:
    for note in store.checkpoints():
        checkpoint = read_checkpoint(note.text)
        if checkpoint.size <= size:
            yield (checkpoint.size, checkpoint.epoch), note


def export_to(store: LedgerStore, path: Path) -> EndFrame:
    """Write a file that is there whole or not at all; errors as for `write_export`, and an OSError names it."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        with fresh.open("wb") as file:
            end = write_export(store, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        if isinstance(error, OSError):  # the system's words for a full disk name no file
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return end


def read_export(file: BinaryIO) -> Iterator[Frame]:
    """Yield every frame of a file, the closing one last; what they say is not looked at.

    Raises:
        BadExport: says where the file stops being an export. What was yielded until then stands in it.
    """
    survey = Survey()
    for framed in read_frames(file):
        survey.take(framed)
        yield framed.read()
    survey.check_whole()


def read_frames(file: BinaryIO, start: int = 0) -> Iterator[Framed]:
    """Yield frames as they lie there, from the front or from the byte where one begins; BadExport as above."""
    file.seek(start)
    at = start
    if start == 0:
        if file.read(len(MAGIC)) != MAGIC:
            raise BadExport("not an exported ledger: `hansa ledger export FILE` writes one")
        at = len(MAGIC)
    while prefix := file.read(_LENGTH_BYTES):
        length = int.from_bytes(prefix, "big")
        if len(prefix) < _LENGTH_BYTES or not 0 < length <= MOST_FRAME_BYTES:
            raise BadExport(f"byte {at}: expected the length of a frame, found {prefix.hex()}")
        content = file.read(length)
        if len(content) < length:
            raise BadExport(
                f"byte {at}: cut off in a frame of {length} bytes, of which {len(content)} are left"
            )
        yield Framed(at, content)
        at += _LENGTH_BYTES + length


class Survey:
    """Is a file a whole export, whatever its frames say? Shown one frame after another.

    Attributes:
        counts: frames by kind, so far.
        starts: where the first frame of each kind begins.
        end: the closing frame, once it is there.
    """

    def __init__(self) -> None:
        self.counts = dict.fromkeys(ORDER, 0)
        self.starts: dict[str, int] = {}
        self.end: EndFrame | None = None
        self._stage = 0
        self._digest = hashlib.sha256(MAGIC)

    def take(self, framed: Framed) -> None:
        """Count a frame in; BadExport if it may not stand here."""
        kind = framed.kind
        if self.end is not None:
            raise BadExport(f"byte {framed.at}: {kind} frames after the closing one")
        if ORDER.index(kind) < self._stage:
            raise BadExport(f"byte {framed.at}: {kind} frames don't come after {ORDER[self._stage]} frames")
        self._stage = ORDER.index(kind)
        if kind == "end":
            self._close(framed)
            return
        if kind != "entry":
            framed.read()  # an entry's reader comes to it anyway; these may never be asked for
        self.starts.setdefault(kind, framed.at)
        self.counts[kind] += 1
        if self.counts["evidence"] > MOST_EVIDENCE:
            raise BadExport(f"byte {framed.at}: more than {MOST_EVIDENCE} pieces of evidence")
        self._digest.update(len(framed.content).to_bytes(_LENGTH_BYTES, "big"))
        self._digest.update(framed.content)

    def check_whole(self) -> EndFrame:
        """Return the closing frame; BadExport if the file has ended without one."""
        if self.end is None:
            raise BadExport("cut off: the closing frame is missing")
        return self.end

    def _close(self, framed: Framed) -> None:
        end = framed.read()
        assert isinstance(end, EndFrame)
        found = _end(self.counts, self._digest.digest())
        if (end.entries, end.notes, end.evidence) != (found.entries, found.notes, found.evidence):
            raise BadExport(f"the file says that it holds {end}; it holds {found}")
        if end.digest != found.digest:
            raise BadExport("the file is not as it was written: its closing hash is another")
        self.end = end


class ExportWriter:
    """Writes frames one after another, entries first, then notes and evidence; and at last the closing one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._counts = dict.fromkeys(ORDER[:-1], 0)
        self._write(MAGIC)

    def entry(self, entry: ChainedEntry) -> None:
        """Write an entry."""
        cells = (entry.index, entry.previous, entry.signed, entry.signature, entry.hash, entry.receipt)
        self.frame("entry", *cells)

    def frame(self, kind: str, *fields: Plain) -> None:
        """Write a frame of another kind; BadExport if it is too long."""
        self._counts[kind] += 1
        self._write(_framed([kind, *fields]))

    def end(self) -> EndFrame:
        """Close the file's content; nothing may follow."""
        found = _end(self._counts, self._digest.digest())
        self._write(_framed(["end", found.entries, found.notes, found.evidence, found.digest]))
        return found

    def _write(self, content: bytes) -> None:
        self._digest.update(content)
        self._file.write(content)


def _end(counts: dict[str, int], digest: bytes) -> EndFrame:
    return EndFrame(counts["entry"], counts["note"], counts["evidence"], digest)


def _framed(plain: list[Plain]) -> bytes:
    content = encode(plain)
    if len(content) > MOST_FRAME_BYTES:
        raise BadExport(f"a frame has at most {MOST_FRAME_BYTES} bytes, not {len(content)}")
    return len(content).to_bytes(_LENGTH_BYTES, "big") + content


# What an encoding begins with: the list's length, then the kind's name. Surveying decodes nothing else.
_STARTS = {
    kind: bytes([0x90 + fields]) + encode(kind)
    for kind, fields in (("entry", 7), ("note", 2), ("evidence", 3), ("end", 5))
}
