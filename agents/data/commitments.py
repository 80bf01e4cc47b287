"""What binds a party to its rows without telling them? The root of a Merkle tree with a salted leaf for each row.

    leaf    := leaf_hash(salt || "hansa-row-v1" || schema || id || numbers || texts || target)
    schema  := SHA-256("hansa-schema-v1" || how many columns || each column's kind and name || the target's)
    kind    := one byte: n for a number, t for text, - for no target (and no name after it)
    texts   := each after its length; a missing one is the length ffffffff alone
    numbers := float64, little-endian; any NaN, which is a missing value, as one and the same

Lengths are 4 bytes and, like counts, big-endian. A row's numbers and texts stand in the order of the columns. Every
leaf covers the columns' names and kinds through the schema's digest, so that each can be opened by itself and leaf
i is the table's row i: entries of the ledger name withdrawn rows by that number. Trees are RFC 6962's
(`hansa.ledger.merkle`).

The salts are 16 random bytes each, since one that was derived from a key could not be erased by itself. Without its
salt a leaf says nothing, not even to whoever can guess the row.

Earlier versions took one hash over salt and table (`Dataset.commitment`). Their commitments stay good: who has the
salts of a tree with the registered root holds a tree, and who has a single salt, a hash.
"""

import hashlib
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat

import numpy as np

from hansa.agents.data.rows import Dataset, told
from hansa.ledger.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    Node,
    inclusion_spans,
    node_hash,
    prove,
)
from hansa.protocols.alignment.ids import normalised

SALT_BYTES = 16
TAG_BYTES = 16
ERASED = bytes(SALT_BYTES)  # in a salt's place; one drawn is never that, but once in 2^128

_ROW = b"hansa-row-v1"
_SCHEMA = b"hansa-schema-v1"
_TAG = b"hansa-row-tag-v1"
_COUNT_BYTES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Opening:
    """What opens a commitment, row by row; it never leaves the home.

    Attributes:
        dataset: its name.
        salts: (rows * 16,) bytes, `ERASED` where one is gone.
        tags: (rows * 16,) bytes, what stands for each row's id (`row_tags`).
        leaves: (rows * 32,) bytes, each row's leaf hash, also where the salt is gone.
    """

    dataset: str
    salts: bytes = field(repr=False)
    tags: bytes = field(repr=False)
    leaves: bytes = field(repr=False)

    @property
    def rows(self) -> int:
        """How many leaves the tree has."""
        return len(self.leaves) // HASH_BYTES

    def root(self) -> bytes:
        """Return the (32,) root."""
        return _levels(pieces(self.leaves, HASH_BYTES))[-1][0] if self.leaves else EMPTY_ROOT

    def salt(self, leaf: int) -> bytes:
        """Return a row's (16,) salt."""
        return self.salts[leaf * SALT_BYTES : (leaf + 1) * SALT_BYTES]

    def tag(self, leaf: int) -> bytes:
        """Return a row's (16,) tag."""
        return self.tags[leaf * TAG_BYTES : (leaf + 1) * TAG_BYTES]

    def leaf(self, leaf: int) -> bytes:
        """Return a row's (32,) leaf hash."""
        return self.leaves[leaf * HASH_BYTES : (leaf + 1) * HASH_BYTES]

    def path(self, leaf: int) -> tuple[bytes, ...]:
        """Return the (32,) hashes that lead from a leaf to the root."""
        levels = _levels(pieces(self.leaves, HASH_BYTES))

        def read(nodes: Sequence[Node]) -> dict[Node, bytes]:
            return {(level, index): levels[level][index] for level, index in nodes}

        return prove(inclusion_spans(leaf, self.rows), read)

    def found(self, tags: Collection[bytes]) -> dict[bytes, list[int]]:
        """Return where rows of these tags stand."""
        wanted = set(tags)
        places: dict[bytes, list[int]] = {}
        for leaf, tag in enumerate(pieces(self.tags, TAG_BYTES)):
            if tag in wanted:
                places.setdefault(tag, []).append(leaf)
        return places

    def erased(self, leaves: Iterable[int]) -> "Opening":
        """Return what is left once these rows' salts are gone."""
        salts = bytearray(self.salts)
        for leaf in leaves:
            salts[leaf * SALT_BYTES : (leaf + 1) * SALT_BYTES] = ERASED
        return replace(self, salts=bytes(salts))

    def opens(self, dataset: Dataset, withdrawn: Collection[int]) -> bool:
        """Whether these rows are those that were committed to, but for those withdrawn since.

        Args:
            dataset: the rows of now, without those withdrawn.
            withdrawn: where those stand in the tree.
        """
        gone = set(withdrawn)
        held = [leaf for leaf in range(self.rows) if leaf not in gone]
        if len(held) != dataset.rows:
            return False
        salts, leaves = pieces(self.salts, SALT_BYTES), pieces(self.leaves, HASH_BYTES)
        return row_leaves(dataset, [salts[leaf] for leaf in held]) == [leaves[leaf] for leaf in held]

    def content(self) -> bytes:
        """Return it as it is kept."""
        return self.rows.to_bytes(_COUNT_BYTES) + self.salts + self.tags + self.leaves

    @classmethod
    def of_content(cls, dataset: str, content: bytes) -> "Opening":
        """Read `content`; ValueError if it is none."""
        rows = int.from_bytes(content[:_COUNT_BYTES])
        salts, tags = rows * SALT_BYTES, rows * TAG_BYTES
        if len(content) != _COUNT_BYTES + salts + tags + rows * HASH_BYTES:
            raise ValueError(f"{len(content)} bytes do not open {rows} rows")
        body = content[_COUNT_BYTES:]
        return cls(dataset, body[:salts], body[salts : salts + tags], body[salts + tags :])


@dataclass(frozen=True, slots=True)
class Registered:
    """A data set of ours as the ledger has it.

    Attributes:
        commitment: (32,) to its rows.
        salt: of a commitment of the earlier kind; None if there is none here.
        withdrawn: where rows withdrawn since stand in the tree, also those whose withdrawal is under way.
    """

    commitment: bytes
    salt: bytes | None = field(repr=False)
    withdrawn: frozenset[int] = frozenset()


def unchanged(dataset: Dataset, registered: Registered, opening: Opening | None) -> bool | None:
    """Return whether rows are still those that were registered; None if there is nothing to tell it by.

    Args:
        dataset: the rows of now, without those withdrawn.
        registered: as the ledger has them.
        opening: of that commitment, if it is one of a tree.
    """
    if opening is not None:
        return opening.opens(dataset, registered.withdrawn)
    if registered.salt is None:
        return None
    return dataset.commitment(registered.salt) == registered.commitment


def commit(dataset: Dataset, key: bytes) -> Opening:
    """Draw salts, and bind the party to its rows: about 2 s for a million of them, with other threads going on.

    Args:
        key: (32,) bytes, the home's own, for the tags.
    """
    salts = os.urandom(SALT_BYTES * dataset.rows)
    leaves = row_leaves(dataset, pieces(salts, SALT_BYTES))
    return Opening(dataset.name, salts, b"".join(row_tags(key, dataset.name, dataset.ids)), b"".join(leaves))


def row_tags(key: bytes, dataset: str, ids: Iterable[str]) -> list[bytes]:
    """Return what stands for rows' ids where they must be known again and not told: (16,) bytes each.

    A keyed hash of the id as all parties write it, so that its other spellings in Unicode are the same row.
    """
    begun = hashlib.blake2b(_TAG + told(dataset), key=key, digest_size=TAG_BYTES)
    tags = []
    for text in ids:
        digest = begun.copy()
        digest.update(normalised(text).encode())
        tags.append(digest.digest())
    return tags


def row_leaves(dataset: Dataset, salts: Sequence[bytes]) -> list[bytes]:
    """Return the leaf hash of each row, (32,) bytes.

    Args:
        dataset: the rows.
        salts: one for each, 16 bytes.
    """
    prefix = _ROW + schema(dataset)
    numbers = np.where(np.isnan(dataset.numbers), np.nan, dataset.numbers).astype("<f8", order="C")
    columns: list[Iterable[bytes]] = [
        repeat(b"\x00", dataset.rows),  # RFC 6962's mark of a leaf; `leaf_hash` is a call too many here
        salts,
        repeat(prefix, dataset.rows),
        map(told, dataset.ids),
        pieces(numbers.tobytes(), 8 * numbers.shape[1]) if numbers.size else repeat(b"", dataset.rows),
    ]
    for name in dataset.columns:
        if name in dataset.texts:
            columns.append(_texts(dataset.texts[name].tolist()))
    if dataset.target is not None:
        values = dataset.target.tolist()
        if is_number(dataset):
            columns.append(pieces(np.array(values, dtype="<f8").tobytes(), 8))
        else:
            columns.append(_texts([str(value) for value in values]))
    sha256, joined = hashlib.sha256, b"".join
    return [sha256(joined(parts)).digest() for parts in zip(*columns, strict=True)]


def schema(dataset: Dataset) -> bytes:
    """Return the (32,) digest of the columns' names and kinds, and the target's."""
    digest = hashlib.sha256(_SCHEMA + len(dataset.columns).to_bytes(4))
    for name in dataset.columns:
        digest.update((b"t" if name in dataset.texts else b"n") + told(name))
    if dataset.target is None:
        digest.update(b"-")
    else:
        digest.update((b"n" if is_number(dataset) else b"t") + told(dataset.target_name or ""))
    return digest.digest()


def is_number(dataset: Dataset) -> bool:
    """Whether the target is numbers, and not text."""
    return dataset.target is not None and all(isinstance(value, float) for value in dataset.target.tolist())


def pieces(content: bytes, size: int) -> list[bytes]:
    """Cut bytes into pieces of a size."""
    return [content[start : start + size] for start in range(0, len(content), size)]


def _texts(values: list[str | None]) -> Iterable[bytes]:
    """Return texts as leaves have them; categories are few, so that each is written once."""
    written = {value: told(value) for value in set(values)}
    return map(written.__getitem__, values)


def _levels(leaves: list[bytes]) -> list[list[bytes]]:
    """Return a tree from the leaves up to its root; the last of an odd number goes up as it is."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        below = levels[-1]
        above = [node_hash(left, right) for left, right in zip(below[::2], below[1::2], strict=False)]
        if len(below) % 2:
            above.append(below[-1])
        levels.append(above)
    return levels
