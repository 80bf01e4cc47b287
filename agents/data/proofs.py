"""How is one row shown to be among those that were registered? A file that opens its leaf, for an auditor.

It holds the row itself, its salt, and the way from its leaf to the root that the ledger has: whoever has the file
can check it, and knows the row. It says nothing of any other row.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from hansa.agents.data.commitments import SALT_BYTES, Opening, is_number, row_leaves
from hansa.agents.data.rows import Dataset
from hansa.agents.errors import DataError
from hansa.ledger.merkle import HASH_BYTES, check_inclusion

Value = str | float | None

MOST_BYTES = 2**26  # of a proof's file: a very wide row


@dataclass(frozen=True, slots=True)
class Cell:
    """One value: of a number's column a float, of a text's a str; None where it is missing."""

    name: str
    kind: Literal["number", "text"]
    value: Value = field(repr=False)

    def __post_init__(self) -> None:
        fits = (
            isinstance(self.value, str)
            if self.kind == "text"
            else isinstance(self.value, float) and math.isfinite(self.value)
        )
        if self.value is not None and not fits:
            raise ValueError(f"column {self.name!r} is {self.kind}, and its value is none")


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class RowProof:
    """What opens one row.

    Attributes:
        federation: its id.
        owner: who registered the data set.
        entry: index of the ledger's entry that says so.
        root: the commitment there, hexadecimal.
        rows: how many rows were registered.
        leaf: where this one stands among them, from 0.
        salt: of its leaf, hexadecimal.
        path: from the leaf's sibling up, hexadecimal.
        id: the row's.
    """

    federation: str
    owner: str
    dataset: str
    entry: int
    root: str
    rows: int
    leaf: int
    salt: str = field(repr=False)
    path: tuple[str, ...] = field(repr=False)
    id: str = field(repr=False)
    columns: tuple[Cell, ...] = field(repr=False)
    target: Cell | None = field(repr=False)
    format: Literal["hansa-row-proof-v1"] = "hansa-row-proof-v1"

    def check(self) -> None:
        """Raise DataError or BadProof unless this row is a leaf of the tree with this root.

        Whether that root is the one on the ledger is for the caller.
        """
        try:
            salt, root = bytes.fromhex(self.salt), bytes.fromhex(self.root)
            path = [bytes.fromhex(step) for step in self.path]
        except ValueError:
            raise DataError("salt, root and path are written in hexadecimal") from None
        if len(salt) != SALT_BYTES or len(root) != HASH_BYTES:
            raise DataError(f"expected a salt of {SALT_BYTES} bytes and a root of {HASH_BYTES}")
        names = [cell.name for cell in self.columns]
        if len(set(names)) < len(names) or (self.target is not None and self.target.value is None):
            raise DataError("a column stands there twice, or the target has no value")
        (leaf,) = row_leaves(self._row(), [salt])
        check_inclusion(leaf, self.leaf, self.rows, path, root)

    def written(self) -> bytes:
        """Return it as a file."""
        return _PROOF.dump_json(self, indent=1) + b"\n"

    def _row(self) -> Dataset:
        numbers = [
            math.nan if cell.value is None else cell.value for cell in self.columns if cell.kind == "number"
        ]
        return Dataset(
            name=self.dataset,
            ids=(self.id,),
            columns=tuple(cell.name for cell in self.columns),
            numbers=np.array([numbers], dtype=np.float64),
            target=None if self.target is None else np.array([self.target.value], dtype=object),
            target_name=None if self.target is None else self.target.name,
            holdout=0.0,
            source="proof",
            texts={
                cell.name: np.array([cell.value], dtype=object)
                for cell in self.columns
                if cell.kind == "text"
            },
        )


_PROOF = TypeAdapter(RowProof)


def prove_row(
    federation: str, owner: str, entry: int, opening: Opening, leaf: int, dataset: Dataset, row: int
) -> RowProof:
    """Return what opens a row.

    Args:
        entry: of the data set's registration.
        opening: of the commitment.
        leaf: where the row stands in it.
        dataset: the rows of now.
        row: where it stands among those.

    Raises:
        DataError: the row is not what it was.
    """
    only = dataset.only(np.array([row]), dataset.source)
    if row_leaves(only, [opening.salt(leaf)]) != [opening.leaf(leaf)]:
        raise DataError(
            f"{dataset.source}: data set {dataset.name!r}: this row, or the table's columns, have changed since it "
            "was registered: what it was then can be shown only by whoever still has it"
        )
    target = None
    if only.target is not None:
        kind: Literal["number", "text"] = "number" if is_number(only) else "text"
        (value,) = only.target.tolist()
        target = Cell(only.target_name or "", kind, value if kind == "number" else str(value))
    return RowProof(
        federation=federation,
        owner=owner,
        dataset=dataset.name,
        entry=entry,
        root=opening.root().hex(),
        rows=opening.rows,
        leaf=leaf,
        salt=opening.salt(leaf).hex(),
        path=tuple(step.hex() for step in opening.path(leaf)),
        id=only.ids[0],
        columns=tuple(_cell(only, name, values.tolist()[0]) for name, values in only.table().items()),
        target=target,
    )


def read_proof(path: Path) -> RowProof:
    """Read a proof's file; DataError if it is none, OSError if it can't be read."""
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"{path}: larger than the proof of any row")
    try:
        return _PROOF.validate_json(path.read_bytes(), strict=True)
    except (ValidationError, ValueError, RecursionError):
        raise DataError(f"{path}: no proof of a row that this version of `hansa data prove` writes") from None


def _cell(row: Dataset, name: str, value: Value) -> Cell:
    if name in row.texts:
        return Cell(name, "text", value)
    assert isinstance(value, float)
    return Cell(name, "number", None if math.isnan(value) else value)
