"""How is the Merkle tree over the entries stored, so that a proof is one look into the database?

A leaf is the hash of an entry's chain hash, which covers all of the entry. Each entry's row holds, in `nodes`, the
roots of the complete subtrees that it is the last leaf of, one after another from level 1 up: one hash for every
second entry, two for every fourth, and so on, one per entry on average. So they are written with the entry, in its
transaction, and never change.

The root of the subtree (level, index) is the one at its level in the row of its last leaf, (index + 1) 2^level - 1.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from hansa.ledger.errors import BadEntry
from hansa.ledger.merkle import (
    HASH_BYTES,
    Node,
    complete_subtrees,
    consistency_spans,
    folded,
    inclusion_spans,
    leaf_hash,
    prove,
    trailing_ones,
)

Leaves: TypeAlias = Mapping[int, tuple[object, object]]
"""The cells `hash` and `nodes` of rows, by index, as the database gave them."""


@dataclass(frozen=True, slots=True)
class StoredTree:
    """The tree over a ledger's first `size` entries.

    Its methods raise ValueError for what does not stand in it, BadEntry for a row that is missing or has been
    tampered with, and StoreError if the database can't be read.

    Attributes:
        read: looks up rows, all of them at once.
    """

    size: int
    read: Callable[[Sequence[int]], Leaves] = field(repr=False)

    def root(self, size: int) -> bytes:
        """Return the (32,) root over the first `size` entries."""
        self._check(size)
        nodes = complete_subtrees((0, size))
        hashes = self._hashes(nodes)
        return folded([hashes[node] for node in nodes])

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the (32,) hashes that prove an entry to be one of the first `size`."""
        self._check(size)
        return prove(inclusion_spans(index, size), self._hashes)

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """Return the (32,) hashes that prove the first `new` entries to begin with the first `old`."""
        self._check(new)
        return prove(consistency_spans(old, new), self._hashes)

    def _check(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise ValueError(f"expected 0 … {self.size} entries, got {size}")

    def _hashes(self, nodes: Sequence[Node]) -> dict[Node, bytes]:
        rows = self.read([last_leaf(node) for node in nodes])
        return {node: subtree_hash(node, rows) for node in nodes}


def last_leaf(node: Node) -> int:
    """Return the index of the entry that completes a subtree."""
    level, index = node
    return ((index + 1) << level) - 1


def subtree_hash(node: Node, rows: Leaves) -> bytes:
    """Return a subtree's (32,) root, as the row of its last leaf has it.

    Raises:
        BadEntry: that row is missing, or its cell is none.
    """
    level, _ = node
    entry = last_leaf(node)
    digest, nodes = rows.get(entry, (None, None))
    if digest is None:
        raise BadEntry(entry, "missing")
    if level == 0:
        return leaf_hash(_checked(entry, "hash", digest, HASH_BYTES))
    whole = _checked(entry, "nodes", nodes, HASH_BYTES * trailing_ones(entry))
    return whole[HASH_BYTES * (level - 1) : HASH_BYTES * level]


def _checked(entry: int, column: str, cell: object, length: int) -> bytes:
    if not isinstance(cell, bytes):
        raise BadEntry(entry, f"column {column}: expected bytes, found {type(cell).__name__}")
    if len(cell) != length:
        raise BadEntry(entry, f"column {column}: expected {length} bytes, found {len(cell)}")
    return cell
