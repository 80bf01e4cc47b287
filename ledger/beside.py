"""What lies beside the entries? Checkpoints with the names under them, evidence, and entries that were replaced.

The statements; `store` lends them connections and says what its errors mean. Whoever writes holds the lock of
`exclusively` first, so that what it has looked up stays true until it commits.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import groupby, starmap
from typing import Any, TypeAlias

from sqlalchemy import Connection, Row, insert, text

from hansa.ledger.checkpoints import Checkpoint, read_checkpoint
from hansa.ledger.errors import BadNote, StoreCorrupt
from hansa.ledger.notes import Note, NoteSignature
from hansa.ledger.row import named
from hansa.ledger.tables import CHECKPOINT_SIGNATURES, CHECKPOINTS, ENTRIES, EVIDENCE, SUPERSEDED

EVIDENCE_KINDS = ("fork", "receipts", "equivocation")
BATCH_NOTES = 100  # read at once
BATCH_ROWS = 1000

Lend: TypeAlias = Callable[[], AbstractContextManager[Connection]]
"""Lends a connection for one short transaction, as `LedgerStore.reading`."""

_Place: TypeAlias = tuple[int, int, bytes]  # size, epoch, digest

_CELLS = ", ".join(ENTRIES.columns.keys())
# Text, not Core, where cells are read: they come as the driver gives them, whoever has been at them.
_NOTES = """
    SELECT c.size, c.epoch, c.digest, c.text, s.name, s.key_id, s.signature
    FROM (SELECT * FROM checkpoints WHERE {where} ORDER BY {order} LIMIT :batch) AS c
    LEFT JOIN checkpoint_signatures AS s ON s.checkpoint = c.digest
    ORDER BY {joined}
"""
_UPWARDS, _DOWNWARDS = (
    text(
        _NOTES.format(
            where=f"size >= :start AND (size, epoch, digest) {sign} (:size, :epoch, :digest)",
            order=f"size {way}, epoch {way}, digest {way}",
            joined=f"c.size {way}, c.epoch {way}, c.digest {way}",
        )
    )
    for sign, way in ((">", "ASC"), ("<", "DESC"))
)
_HERE = text(_NOTES.format(where="size = :size AND epoch = :epoch", order="digest", joined="c.digest"))
_KNOWN = text("SELECT 1 FROM checkpoints WHERE digest = :digest")
_SIGNED = text("SELECT name, key_id FROM checkpoint_signatures WHERE checkpoint = :digest")
_FIRST: _Place = (-1, -1, b"")
_LAST: _Place = (2**63 - 1, 2**63 - 1, b"")

_ASIDE = text(
    f"INSERT INTO superseded (number, {_CELLS})"
    f" SELECT (SELECT coalesce(max(number), -1) + 1 FROM superseded) + idx - :size, {_CELLS}"
    " FROM entries WHERE idx >= :size"
)
_ASIDE_NEXT = text("SELECT coalesce(max(number), -1) + 1 FROM superseded")
_FROM = text("SELECT idx FROM entries WHERE idx >= :size ORDER BY idx DESC")
_REMOVE = text("DELETE FROM entries WHERE idx = :idx")
_REPLACED = text(
    f"SELECT number, {_CELLS} FROM superseded WHERE number > :number ORDER BY number LIMIT :batch"
)

_EVIDENCE_KNOWN = text("SELECT 1 FROM evidence WHERE digest = :digest")
_EVIDENCE_NEXT = text("SELECT coalesce(max(number), -1) + 1 FROM evidence")
_EVIDENCE = text("SELECT number, kind, content FROM evidence WHERE number > :number ORDER BY number LIMIT 1")


def exclusively(connection: Connection, table: str) -> None:
    """Let nobody else write to a table until the transaction ends; readers go on."""
    if connection.dialect.name == "postgresql":  # SQLite's writers hold the whole file since they began
        connection.execute(text(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"))


# --- checkpoints ----------------------------------------------------------------------------------------
def add_checkpoint(connection: Connection, checkpoint: Checkpoint, lines: Sequence[NoteSignature]) -> bool:
    """Write a checkpoint, and those lines under it of which there is none yet under that name and key."""
    exclusively(connection, "checkpoints")
    digest = _digest(checkpoint.text)
    known = connection.execute(_KNOWN, {"digest": digest}).first() is not None
    if not known:
        cells = {
            "digest": digest,
            "size": checkpoint.size,
            "epoch": checkpoint.epoch,
            "text": checkpoint.text,
        }
        connection.execute(insert(CHECKPOINTS), cells)
    signed = {(name, key) for name, key in connection.execute(_SIGNED, {"digest": digest})}
    gained = []
    for line in lines:
        if (line.name, line.key_id) not in signed:
            signed.add((line.name, line.key_id))
            gained.append(
                {"checkpoint": digest, "name": line.name, "key_id": line.key_id, "signature": line.signature}
            )
    if gained:
        connection.execute(insert(CHECKPOINT_SIGNATURES), gained)
    return bool(gained) or not known


def notes(lend: Lend, start_size: int, newest_first: bool) -> Iterator[Note]:
    """Yield the notes of so many entries and more by size and epoch."""
    place = _LAST if newest_first else _FIRST
    while True:
        size, epoch, digest = place
        after = {"size": size, "epoch": epoch, "digest": digest, "start": start_size, "batch": BATCH_NOTES}
        with lend() as connection:
            found = _notes(connection.execute(_DOWNWARDS if newest_first else _UPWARDS, after).all())
        for _, note in found:
            yield note
        if len(found) < BATCH_NOTES:
            return
        place = found[-1][0]


def notes_at(connection: Connection, size: int, epoch: int) -> tuple[Note, ...]:
    """Return all notes of one size and epoch."""
    place = {"size": size, "epoch": epoch, "batch": BATCH_NOTES}
    return tuple(note for _, note in _notes(connection.execute(_HERE, place).all()))


def _notes(rows: Sequence[Row[Any]]) -> list[tuple[_Place, Note]]:
    found: list[tuple[_Place, Note]] = []
    for cells, lines in groupby(rows, key=_checkpoint):
        match cells:
            case int(size), int(epoch), bytes(digest), str(words):
                _check_cells(size, epoch, digest, words)
                signatures = sorted(
                    starmap(_line, (tuple(line)[4:] for line in lines)), key=lambda each: each.line
                )
                found.append(((size, epoch, digest), Note(words, tuple(signatures))))
            case _:
                raise StoreCorrupt(f"a checkpoint of {cells[0]!r:.20} entries: a cell is of the wrong type")
    return found


def _check_cells(size: int, epoch: int, digest: bytes, words: str) -> None:
    """Compare the columns that repeat what the text says."""
    try:
        checkpoint = read_checkpoint(words)
    except BadNote as error:
        raise StoreCorrupt(f"a checkpoint of {size} entries: {error}") from None
    if (checkpoint.size, checkpoint.epoch) != (size, epoch) or _digest(words) != digest:
        raise StoreCorrupt(f"a checkpoint of {size} entries in epoch {epoch} stands where another belongs")


def _digest(words: str) -> bytes:
    return hashlib.sha256(words.encode()).digest()


def _checkpoint(row: Row[Any]) -> tuple[object, ...]:
    return tuple(row)[:4]


def _line(name: object, key_id: object, signature: object) -> NoteSignature:
    match name, key_id, signature:
        case str(), bytes(), bytes():
            return NoteSignature(name, key_id, signature)
        case _:
            raise StoreCorrupt(
                f"a signature under a checkpoint, of {name!r:.80}: a cell is of the wrong type"
            )


# --- entries that were replaced -------------------------------------------------------------------------
def set_aside(connection: Connection, size: int) -> int:
    """Move the entries from an index on, the last one first; return how many."""
    exclusively(connection, "entries")
    indices = [{"idx": index} for (index,) in connection.execute(_FROM, {"size": size})]
    if indices:
        connection.execute(_ASIDE, {"size": size})
        connection.execute(_REMOVE, indices)
    return len(indices)


def add_superseded(connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Write rows of entries that were set aside elsewhere."""
    exclusively(connection, "superseded")
    number = connection.execute(_ASIDE_NEXT).scalar_one()
    if rows:
        cells = [{"number": number + at, **named(row)} for at, row in enumerate(rows)]
        connection.execute(insert(SUPERSEDED), cells)


def superseded(lend: Lend) -> Iterator[Sequence[Any]]:
    """Yield the cells of entries that were set aside, in the order in which they were."""
    number = -1
    while True:
        with lend() as connection:
            rows = connection.execute(_REPLACED, {"number": number, "batch": BATCH_ROWS}).all()
        for row in rows:
            yield row[1:]
        if len(rows) < BATCH_ROWS:
            return
        number = rows[-1][0]


# --- evidence -------------------------------------------------------------------------------------------
def add_evidence(connection: Connection, kind: str, content: bytes) -> bool:
    """Write a piece of evidence, unless it is there; return whether it was new."""
    exclusively(connection, "evidence")
    digest = hashlib.sha256(kind.encode() + b"\n" + content).digest()
    if connection.execute(_EVIDENCE_KNOWN, {"digest": digest}).first() is not None:
        return False
    number = connection.execute(_EVIDENCE_NEXT).scalar_one()
    cells = {"number": number, "digest": digest, "kind": kind, "content": content}
    connection.execute(insert(EVIDENCE), cells)
    return True


def evidence(lend: Lend) -> Iterator[tuple[str, bytes]]:
    """Yield (kind, content) of the evidence, the oldest first."""
    number = -1
    while True:
        with lend() as connection:
            row = connection.execute(_EVIDENCE, {"number": number}).first()
        match row:
            case None:
                return
            case int(number), str(kind), bytes(content):
                yield kind, content
            case _:
                raise StoreCorrupt(f"evidence {row[0]!r:.20}: a cell is of the wrong type")
