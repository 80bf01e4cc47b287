"""How far is a list of points on its way? It is cut into blocks, and blocks may overtake each other."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from hansa.protocols.alignment.curve import check_points
from hansa.protocols.alignment.job import MOST_POINTS
from hansa.protocols.errors import PeerError
from hansa.protocols.model import Array

# Blocks of our own list in the making at once: work for many processes, 16 MiB for the journal.
AHEAD = 32


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One block of a list: (n, 32) uint8."""

    index: int
    points: Array


def blocks_of(size: int, length: int) -> int:
    """Return how many blocks of a length a list fills, the last perhaps in part."""
    return -(-size // length)


def length_of(size: int, length: int, index: int) -> int:
    """Return how many points one block holds."""
    return min(length, size - index * length)


def whole(blocks: Iterable[Block]) -> Array:
    """Return a list's points in order, (n, 32) uint8."""
    return np.concatenate([each.points for each in sorted(blocks, key=lambda block: block.index)])


@dataclass(frozen=True, slots=True)
class Incoming:
    """Another's list, on its way through us.

    Attributes:
        owner: whose it is.
        size: its length; 0 until its first block tells.
        arrived: the blocks that have come.
        done: those of them that we have raised.
    """

    owner: str
    size: int = 0
    arrived: tuple[int, ...] = ()
    done: tuple[int, ...] = ()

    def accept(self, sender: str, size: int, index: int, points: Array, length: int) -> "Incoming":
        """Take note of a block.

        Args:
            length: the points in a whole block.

        Raises:
            PeerError: a size that no list has, or other than before; a block beyond the end, come before, or
                of points that can't be.
        """
        what = f"{sender} sent block {index} of {self.owner}'s list"
        if not 1 <= size <= MOST_POINTS:
            raise PeerError(f"{what}, which has {size} points; a list has 1 to {MOST_POINTS}")
        if self.size not in (0, size):
            raise PeerError(f"{what}, which has {size} points now and had {self.size}")
        if not 0 <= index < blocks_of(size, length):
            raise PeerError(f"{what}, which has {blocks_of(size, length)}")
        if index in self.arrived:
            raise PeerError(f"{what} twice")
        try:
            check_points(points, length_of(size, length, index))
        except ValueError as error:
            raise PeerError(f"{what}: {error}") from error
        return replace(self, size=size, arrived=(*self.arrived, index))

    def finish(self, index: int) -> "Incoming":
        """Take note that a block is raised."""
        return replace(self, done=(*self.done, index))

    def complete(self, length: int) -> bool:
        """Whether every block has come and is raised."""
        return self.size > 0 and len(self.done) == blocks_of(self.size, length)

    def missing(self) -> tuple[int, ...]:
        """Return the blocks that have come and are not raised yet."""
        return tuple(sorted(set(self.arrived).difference(self.done)))

    def busy(self) -> bool:
        """Whether we have a block to raise."""
        return len(self.arrived) > len(self.done)


@dataclass(frozen=True, slots=True, eq=False)
class Outgoing:
    """Our own list, on its way to others.

    Attributes:
        labels: (size,) int64, what each point stands for, in the list's order; see ``tasks.Prepared``.
        waiting: the digests of the blocks whose turn has not come.
        source: digest of the rows' ids, in their order.
        begun: how many blocks are in the making or made.
        done: the blocks that are made.
    """

    labels: Array
    waiting: tuple[Array, ...]
    source: bytes = b""
    begun: int = 0
    done: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """How long the list is, padding and sentinels included."""
        return len(self.labels)

    def begin(self) -> tuple["Outgoing", tuple[Block, ...]]:
        """Return the digests of the blocks that are to be made next."""
        count = min(AHEAD - (self.begun - len(self.done)), len(self.waiting))
        chosen = tuple(Block(self.begun + place, each) for place, each in enumerate(self.waiting[:count]))
        return replace(self, waiting=self.waiting[count:], begun=self.begun + count), chosen

    def finish(self, index: int) -> "Outgoing":
        """Take note that a block is made."""
        return replace(self, done=(*self.done, index))

    def missing(self) -> tuple[int, ...]:
        """Return the blocks that are in the making."""
        return tuple(sorted(set(range(self.begun)).difference(self.done)))

    def busy(self) -> bool:
        """Whether a block is in the making."""
        return self.begun > len(self.done)

    def complete(self) -> bool:
        """Whether every block is made."""
        return not self.waiting and not self.busy()


def pending(task_id: str, prefix: str, indices: Iterable[int]) -> int | None:
    """Return the block that a task was for, if it is one of those; else None."""
    return next((index for index in indices if task_id == f"{prefix}/{index}"), None)
