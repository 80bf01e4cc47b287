"""Which uses of a job's model are on the ledger, in their order? Values of a `Standing`.

A model may be used a hundred thousand times, and a standing is copied with every head that is weighed. So the
uses lie in blocks of one, two, four … of them that no standing changes and all share: the next use is one more
block, and blocks of one size become one, as digits carry over. Nothing leads from one use to another, which would
be followed as deep as there are uses when a standing is compared or let go.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

_index = attrgetter("index")


@dataclass(frozen=True, slots=True)
class Use:
    """A use of a job's model.

    Attributes:
        index: of its entry.
        digest: (32,) hash of that entry.
        rows: scored.
        total: rows of all uses so far, these included.
    """

    index: int
    digest: bytes
    rows: int
    total: int


@dataclass(frozen=True, slots=True)
class Uses:
    """The uses of one job's model, at least one once a standing has it; indices rise.

    Attributes:
        blocks: powers of two of them each, falling in size.
    """

    blocks: tuple[tuple[Use, ...], ...] = ()

    def __len__(self) -> int:
        return sum(map(len, self.blocks))

    def __iter__(self) -> Iterator[Use]:
        for block in self.blocks:
            yield from block

    def __repr__(self) -> str:
        return f"Uses({len(self)})"

    @property
    def newest(self) -> Use:
        """The last one; IndexError if there is none."""
        return self.blocks[-1][-1]

    @property
    def total(self) -> int:
        """How many rows they have scored together."""
        return self.newest.total if self.blocks else 0

    def after(self, index: int, digest: bytes, rows: int) -> "Uses":
        """Return these and the next one."""
        blocks, carried = self.blocks, tuple([Use(index, digest, rows, rows + self.total)])
        while blocks and len(blocks[-1]) == len(carried):
            blocks, carried = blocks[:-1], blocks[-1] + carried
        return Uses((*blocks, carried))

    def at(self, index: int) -> Use | None:
        """Return the use whose entry has this index, or None."""
        found = self.following(index - 1)
        return found if found is not None and found.index == index else None

    def following(self, index: int) -> Use | None:
        """Return the first use whose entry comes after this index, or None."""
        place = bisect_right(self.blocks, index, key=lambda block: block[-1].index)
        if place == len(self.blocks):
            return None
        block = self.blocks[place]
        return block[bisect_left(block, index + 1, key=_index)]

    def rows(self, since: int, until: int) -> int:
        """Return how many rows the uses from one to another have scored, both included.

        Raises:
            ValueError: one of them is no use.
        """
        first, last = self.at(since), self.at(until)
        if first is None or last is None:
            raise ValueError(f"entry {since if first is None else until} is no use of this model")
        return last.total - first.total + first.rows
