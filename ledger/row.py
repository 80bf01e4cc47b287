"""What is in a row of entries, as the database gave it or as it is to be written?"""

from dataclasses import dataclass

from hansa.ledger.chain import ChainedEntry
from hansa.ledger.entry import EntryFields
from hansa.ledger.errors import BadEntry
from hansa.ledger.tables import ENTRIES


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One row as the database gave it: a cell may be of any type, if somebody has been at the file."""

    idx: int
    previous: object
    signed: object
    signature: object
    hash: object
    receipt: object
    author: object
    author_seq: object
    kind: object
    nodes: object

    def entry(self) -> ChainedEntry:
        """Return the row as an entry, unverified; BadEntry names a cell of the wrong type."""
        match self:
            case StoredRow(
                index, bytes(previous), bytes(signed), bytes(signature), bytes(digest), bytes(receipt)
            ):
                return ChainedEntry(index, previous, signed, signature, digest, receipt)
        for column in ("previous", "signed", "signature", "hash"):
            if not isinstance(getattr(self, column), bytes):
                break
        else:
            column = "receipt"
        found = type(getattr(self, column)).__name__
        raise BadEntry(self.idx, f"column {column}: expected bytes, found {found}")


def cells_of(entry: ChainedEntry, fields: EntryFields, nodes: bytes = b"") -> tuple[object, ...]:
    """Return a row in the order of the table's columns; without `nodes` it is in no tree."""
    return (
        entry.index,
        entry.previous,
        entry.signed,
        entry.signature,
        entry.hash,
        entry.receipt,
        fields.author,
        fields.author_seq,
        fields.kind,
        nodes,
    )


def named(cells: tuple[object, ...]) -> dict[str, object]:
    """Return a row for drivers that take parameters by name."""
    return dict(zip(ENTRIES.columns.keys(), cells, strict=True))
