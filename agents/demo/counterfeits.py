"""What would somebody change in an exported ledger? Copies that an audit must not take for the ledger.

Each is closed anew, so that its closing hash is right: what gives it away is what the members have signed, or what
anybody recomputes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from hansa.broker import Identity
from hansa.ledger import (
    EMPTY,
    ChainedEntry,
    PayoutProposed,
    SignedEntry,
    decode_body,
    link,
    read_checkpoint,
    read_entry,
    read_note,
    sign_entry,
)
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

    def resigned(each: ChainedEntry) -> SignedEntry:
        signature = forger.sign(each.signed) if each.index == index else each.signature
        return SignedEntry(each.signed, signature)

    _write(bad, _rechained(_frames(good), index, resigned, federation, keepers))


def write_repaid(
    good: Path, bad: Path, index: int, amounts: Mapping[str, int], federation: str, coordinator: Identity
) -> None:
    """Have a coordinator that keeps the ledger pay other amounts, and sign everything from there on anew.

    The members have signed other heads, so that the copy leaves out every checkpoint that comes later.

    Args:
        index: of the payout's proposal.
    """

    def repaid(each: ChainedEntry) -> SignedEntry:
        said = read_entry(each.signed)
        body = decode_body(said.kind, said.schema, said.body)
        if each.index != index or not isinstance(body, PayoutProposed):
            return SignedEntry(each.signed, each.signature)
        return sign_entry(
            coordinator,
            federation=federation,
            author_seq=said.author_seq,
            body=replace(body, amounts=dict(amounts)),
            time_ms=said.time_ms,
        )

    frames = _rechained(_frames(good), index, repaid, federation, {0: coordinator})
    _write(bad, (each for each in frames if not isinstance(each, NoteFrame) or _size(each) <= index))


def write_rolled_back(good: Path, bad: Path, size: int) -> None:
    """Leave out everything after so many entries, and all evidence."""

    def is_old(each: Frame) -> bool:
        match each:
            case ChainedEntry(index):
                return index < size
            case NoteFrame():
                return _size(each) <= size
            case _:
                return False

    _write(bad, filter(is_old, _frames(good)))


def _rechained(
    frames: Iterable[Frame],
    start: int,
    signed: Callable[[ChainedEntry], SignedEntry],
    federation: str,
    keepers: Mapping[int, Identity],
) -> Iterator[Frame]:
    """Yield frames whose entries say from one on what they are made to, chained and signed by the keepers anew."""
    head, epoch = EMPTY, 0
    for each in frames:
        if isinstance(each, ChainedEntry):
            epoch += read_entry(each.signed).kind == KEEPER_CHANGED
            if each.index >= start:
                each = link(keepers[epoch], federation, head, signed(each), epoch)
            head = each.head
        yield each


def _size(note: NoteFrame) -> int:
    return read_checkpoint(read_note(note.encoded).text).size


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
