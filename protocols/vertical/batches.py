"""Which rows make which batch? Fixed, disjoint, and drawn alike by everybody from the job's seed.

Fixed batches keep what is revealed about each within a party's columns: the same rows are never seen in another
company. What is left over joins the last batch, since a small one tells too much.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hansa.protocols.digest import freeze
from hansa.protocols.model import IndexArray

DOMAIN = b"hansa/vertical/batches/1\x00"
# Blocks that nobody has chosen. Several of a batch, so that no core is idle while one is at work, and parties work
# at the same time; but none so small that what a task costs beside its arithmetic would count, nor so large that
# an hour's work lies in one.
BLOCKS = 8
FEWEST, MOST = 64, 4_096
# A batch is not cut finer, whatever a job says: a step would ask for a task, and a state hold a message, of each.
MOST_BLOCKS = 1_024


@dataclass(frozen=True, slots=True)
class Plan:
    """How rows are cut into batches, and batches into blocks.

    Attributes:
        rows: of all parties alike, ≥ 1.
        batch: rows in a batch; 0 for all of them.
        block: rows in one message and one task; 0 for an eighth of the batch, 64 at least and 4,096 at most. More
            where a batch would have more than ``MOST_BLOCKS``.
        seed: the job's.
    """

    rows: int
    batch: int
    block: int
    seed: int

    @property
    def batches(self) -> int:
        """How many batches an epoch has."""
        return max(1, self.rows // self.batch) if self.batch else 1

    def size(self, number: int) -> int:
        """Return the rows of a batch."""
        if number < self.batches - 1:
            return self.batch
        return self.rows - (self.batches - 1) * self.batch

    def blocks(self, number: int) -> int:
        """Return how many blocks a batch has."""
        return -(-self.size(number) // self._length(number))

    def block_size(self, number: int, block: int) -> int:
        """Return the rows of a block."""
        length = self._length(number)
        return min(length, self.size(number) - block * length)

    def batch_rows(self, number: int) -> IndexArray:
        """Return a batch's rows, (size,) int64."""
        start = number * self.batch
        return _order(self.rows, self.seed, bool(self.batch))[start : start + self.size(number)]

    def block_rows(self, number: int, block: int) -> IndexArray:
        """Return a block's rows, (block_size,) int64."""
        length = self._length(number)
        return self.batch_rows(number)[block * length : (block + 1) * length]

    def _length(self, number: int) -> int:
        """Return the rows of all blocks of a batch but the last."""
        size = self.size(number)
        wished = self.block or min(max(-(-size // BLOCKS), FEWEST), MOST)
        return max(wished, -(-size // MOST_BLOCKS))


@lru_cache(maxsize=4)
def _order(rows: int, seed: int, shuffled: bool) -> IndexArray:
    """Return 0 … rows-1 in the agreed order, which is no secret."""
    if not shuffled:
        return freeze(np.arange(rows, dtype=np.int64))
    drawn = hashlib.shake_256(DOMAIN + str(seed).encode()).digest(8 * rows)
    return freeze(np.argsort(np.frombuffer(drawn, "<u8"), kind="stable").astype(np.int64))
