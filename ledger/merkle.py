"""What does a log's size and 32 bytes say of every entry in it? The Merkle tree of RFC 6962, section 2.1.

    leaf := SHA-256(0x00 || data)      node := SHA-256(0x01 || left || right)      empty tree := SHA-256("")

A tree of n leaves splits at the largest power of two below n. A complete subtree is named by (level, index): it
spans the leaves from index * 2^level on, and never changes once it is there. Everything a proof needs is made of
complete subtrees, so whoever stores those proves with about 2 log2(n) look-ups.

Proofs are checked as RFC 9162, sections 2.1.3.2 and 2.1.4.2, has it, and strictly: a path of another length than
its sizes ask for, hashes that are none, sizes out of order, and consistency with the empty tree (which would mean
nothing) are all refused. A leaf's path does not tell the tree's size by itself (leaf 0 of 7 and of 8 have paths of
one shape): the signed head that brings the root binds the two.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from hansa.ledger.errors import BadProof

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
MOST_LEAVES = 2**62  # sizes in proofs and notes are bounded, so that no arithmetic on them can run away

Node: TypeAlias = tuple[int, int]
"""(level, index) of a complete subtree; (0, i) is leaf i."""

Span: TypeAlias = tuple[int, int]
"""[start, stop) of leaves whose root is one hash of a proof."""

Read: TypeAlias = Callable[[Sequence[Node]], Mapping[Node, bytes]]
"""Looks up the hashes of complete subtrees."""


def leaf_hash(data: bytes) -> bytes:
    """Return the (32,) hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the (32,) hash of a node over two (32,) hashes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """A tree's right edge: all that is needed to append to it, and to know its root.

    Attributes:
        size: how many leaves.
        peaks: (32,) roots of the complete subtrees it is made of, the largest first: one per bit set in `size`.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> tuple["Frontier", tuple[bytes, ...]]:
        """Return the tree with one leaf more, and the roots of the subtrees that it completes, from level 1 up.

        Args:
            leaf: its (32,) hash.
        """
        peaks, carried = list(self.peaks), leaf
        completed = []
        for _ in range(trailing_ones(self.size)):
            carried = node_hash(peaks.pop(), carried)
            completed.append(carried)
        return Frontier(self.size + 1, (*peaks, carried)), tuple(completed)

    @property
    def root(self) -> bytes:
        """The (32,) hash of the whole tree."""
        return folded(self.peaks)


def trailing_ones(size: int) -> int:
    """Return how many subtrees the leaf after `size` others completes."""
    return (~size & (size + 1)).bit_length() - 1


def folded(peaks: Sequence[bytes]) -> bytes:
    """Return the root over complete subtrees, the largest first; `EMPTY_ROOT` of none."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def complete_subtrees(span: Span) -> tuple[Node, ...]:
    """Return the complete subtrees that a span of a proof is made of, the largest first."""
    start, stop = span
    found = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        found.append((level, start >> level))
        start += 1 << level
    return tuple(found)


def inclusion_spans(index: int, size: int) -> tuple[Span, ...]:
    """Return the spans whose roots prove a leaf, from its sibling up to the root's child.

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"expected a leaf of 0 … {size - 1}, got {index}")
    spans: list[Span] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            spans.append((middle, stop))
            stop = middle
        else:
            spans.append((start, middle))
            start = middle
    return tuple(reversed(spans))


def consistency_spans(old: int, new: int) -> tuple[Span, ...]:
    """Return the spans whose roots prove that a tree of `new` leaves continues its first `old` ones.

    Raises:
        ValueError: not 1 <= old <= new.
    """
    if not 1 <= old <= new:
        raise ValueError(f"expected 1 … {new} leaves before, got {old}")
    spans: list[Span] = []
    start, stop = 0, new
    while stop != old:
        middle = start + _split(stop - start)
        if old <= middle:
            spans.append((middle, stop))
            stop = middle
        else:
            spans.append((start, middle))
            start = middle
    if start:  # else the old tree is itself a complete subtree, whose root the checker has
        spans.append((start, stop))
    return tuple(reversed(spans))


def prove(spans: Sequence[Span], read: Read) -> tuple[bytes, ...]:
    """Return the (32,) hashes of a proof, with one call of `read` for all of it."""
    parts = [complete_subtrees(span) for span in spans]
    hashes = read([node for nodes in parts for node in nodes])
    return tuple(folded([hashes[node] for node in nodes]) for nodes in parts)


def check_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Raise BadProof unless the path shows that this leaf stands at this index of the tree.

    Args:
        leaf: its (32,) hash.
        path: (32,) hashes, the leaf's sibling first.
        root: (32,) of a tree of `size` leaves.

    Source: RFC 9162, section 2.1.3.2.
    """
    _check_hashes(leaf, root, *path)
    if not 0 <= index < size <= MOST_LEAVES:
        raise BadProof(f"no leaf {index} in a tree of {size}")
    node, last, found = index, size - 1, leaf
    for step in path:
        if last == 0:
            raise BadProof(f"the path is longer than one from leaf {index} of {size}")
        if node & 1 or node == last:
            found = node_hash(step, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, step)
        node, last = node >> 1, last >> 1
    if last:
        raise BadProof(f"the path is shorter than one from leaf {index} of {size}")
    if found != root:
        raise BadProof(f"the path from leaf {index} does not lead to the root of the tree of {size}")


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """Raise BadProof unless the path shows that the tree of `new` leaves begins with the tree of `old` ones.

    Args:
        path: (32,) hashes; none if the sizes are the same.

    Source: RFC 9162, section 2.1.4.2.
    """
    _check_hashes(old_root, new_root, *path)
    if not 1 <= old <= new <= MOST_LEAVES:
        raise BadProof(f"a tree of {new} can't be shown to continue one of {old}")
    if old == new:
        if path or old_root != new_root:
            raise BadProof(f"two trees of {old} that are not one")
        return
    hashes = list(path) if old & (old - 1) else [old_root, *path]
    if not hashes:
        raise BadProof(f"the path is shorter than one from {old} to {new}")
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    before = after = hashes[0]
    for step in hashes[1:]:
        if last == 0:
            raise BadProof(f"the path is longer than one from {old} to {new}")
        if node & 1 or node == last:
            before, after = node_hash(step, before), node_hash(step, after)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            after = node_hash(after, step)
        node, last = node >> 1, last >> 1
    if last:
        raise BadProof(f"the path is shorter than one from {old} to {new}")
    if (before, after) != (old_root, new_root):
        raise BadProof(f"the tree of {new} does not continue the tree of {old}")


def _split(leaves: int) -> int:
    """Return the largest power of two below a number of leaves, 2 or more."""
    return 1 << ((leaves - 1).bit_length() - 1)


def _check_hashes(*hashes: bytes) -> None:
    for each in hashes:
        if len(each) != HASH_BYTES:
            raise BadProof(f"expected hashes of {HASH_BYTES} bytes, found one of {len(each)}")
