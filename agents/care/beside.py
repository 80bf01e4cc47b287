"""What of a ledger is not in its entries, on its way into a backup and back.

The signed heads that this agent knows, the evidence it holds, and the entries that another keeper's have replaced.
Others have most of them too; but whoever alone can prove a fork must not forget it with its disk.
"""

from collections.abc import Iterator
from pathlib import Path

from hansa.agents.core.journal import pack_row, unpack_row
from hansa.agents.errors import BackupError, JournalError
from hansa.ledger import BadNote, ChainedEntry, LedgerStore, MalformedEntry, read_note

BESIDE = "ledger.beside"
LENGTH_BYTES = 4  # before each row


def copy_beside(store: LedgerStore, target: Path) -> None:
    """Write all of it into a file, row after row; LedgerError if the store can't be read."""
    with target.open("wb") as file:
        for row in _rows(store):
            file.write(len(row).to_bytes(LENGTH_BYTES) + row)


def restore_beside(store: LedgerStore, source: Path, name: str) -> None:
    """Take in what a file has and the store has not.

    Args:
        name: of the backup, for errors.

    Raises:
        BackupError: a row is none of ours.
        StoreError: the database refuses it.
    """
    held = {(entry.hash, entry.receipt) for entry in store.superseded()}
    replaced = []
    with source.open("rb") as file:
        while length := file.read(LENGTH_BYTES):
            try:
                match unpack_row(file.read(int.from_bytes(length))):
                    case ["note", bytes(encoded)]:
                        store.add_checkpoint(read_note(encoded))
                    case ["evidence", str(kind), bytes(content)]:
                        store.add_evidence(kind, content)
                    case [
                        "replaced",
                        int(index),
                        bytes(previous),
                        bytes(signed),
                        bytes(signature),
                        bytes(digest),
                        bytes(receipt),
                    ]:
                        if (digest, receipt) not in held:
                            replaced.append(ChainedEntry(index, previous, signed, signature, digest, receipt))
                    case other:
                        raise ValueError(f"a row of {len(other)} fields")
            except (BadNote, JournalError, ValueError) as error:
                raise BackupError(f"{name}: altered: beside its ledger: {error}") from None
    try:
        store.add_superseded(replaced)
    except MalformedEntry as error:
        raise BackupError(f"{name}: altered: beside its ledger: {error}") from None


def _rows(store: LedgerStore) -> Iterator[bytes]:
    for note in store.checkpoints():
        yield pack_row("note", note.encoded())
    for kind, content in store.evidence():
        yield pack_row("evidence", kind, content)
    for entry in store.superseded():
        yield pack_row(
            "replaced",
            entry.index,
            entry.previous,
            entry.signed,
            entry.signature,
            entry.hash,
            entry.receipt,
        )
