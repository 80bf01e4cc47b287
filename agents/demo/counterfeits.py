"""What would somebody change in an exported ledger? Three copies that an audit must not take for the ledger.

Each is closed anew, so that its closing hash is right: what gives it away is what the members have signed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from hansa.broker import Identity
from hansa.ledger import EMPTY, ChainedEntry, SignedEntry, link, read_checkpoint, read_entry, read_note
from hansa.ledger.export import EvidenceFrame, ExportWriter, Frame, NoteFrame, read_export

KEEPER_CHANGED = "keeper-changed"


def write_changed(good: Path, bad: Path, index: int) -> None:
    """Change one byte of what an author has said in an entry."""

    def changed(each: Frame) -> Frame:
        if not isinstance(each, ChainedEntry) or each.index != index:
            return each
        said = bytearray(each.signed)
        said[-1] ^= 1
        return replace(each, signed=bytes(said))

    _write(bad, map(changed, _frames(good)))


def write_resigned(
    good: Path, bad: Path, index: int, federation: str, forger: Identity, keepers: Mapping[int, Identity]
) -> None:
    """Have another member sign an entry, and the keepers chain and sign everything from there on anew.

    Args:
        forger: whose name is not under the entry.
        keepers: the accomplices, by epoch.
    """
    head, epoch, frames = EMPTY, 0, []
    for each in _frames(good):
        if isinstance(each, ChainedEntry):
            epoch += read_entry(each.signed).kind == KEEPER_CHANGED
            if each.index >= index:
                signature = forger.sign(each.signed) if each.index == index else each.signature
                signed = SignedEntry(each.signed, signature)
                each = link(keepers[epoch], federation, head, signed, epoch)
            head = each.head
        frames.append(each)
    _write(bad, frames)


def write_rolled_back(good: Path, bad: Path, size: int) -> None:
    """Leave out everything after so many entries, and all evidence."""

    def is_old(each: Frame) -> bool:
        match each:
            case ChainedEntry(index):
                return index < size
            case NoteFrame(encoded):
                return read_checkpoint(read_note(encoded).text).size <= size
            case _:
                return False

    _write(bad, filter(is_old, _frames(good)))


def _frames(path: Path) -> list[Frame]:
    with path.open("rb") as file:
        return list(read_export(file))


def _write(path: Path, frames: Iterable[Frame]) -> None:
    with path.open("wb") as file:
        writer = ExportWriter(file)
        for each in frames:
            match each:
                case ChainedEntry():
                    writer.entry(each)
                case NoteFrame(encoded):
                    writer.frame("note", encoded)
                case EvidenceFrame(kind, content):
                    writer.frame("evidence", kind, content)
                case _:
                    pass  # the old closing frame
        writer.end()
