"""Which points stand in which lists? Lists of points are (n, 32) uint8 arrays, compared as wholes.

Everything here sorts: by the first eight bytes, and by all 32 only where those tie. A tie by chance is one in
2^64; a peer that makes ties on purpose costs us the longer sort and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hansa.protocols.model import Array, IndexArray

POINT_BYTES = 32


class RepeatedPoint(ValueError):
    """A list holds one point twice; ``place`` is the list's place among those compared."""

    def __init__(self, place: int) -> None:
        super().__init__(f"list {place} holds a point twice")
        self.place = place


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """The points that stand in several lists.

    Attributes:
        positions: for each list, where its shared points stand, in the order of the points themselves: two
            lists that share the same points name them in the same order.
        count: how many different points are shared.
        in_all: how many stand in every list.
    """

    positions: tuple[IndexArray, ...]
    count: int
    in_all: int


def shared(lists: Sequence[Array], least: int) -> Shared:
    """Find the points that stand in at least so many of the lists.

    Args:
        lists: each (n, 32) uint8, without repetitions.
        least: in [1, len(lists)].

    Raises:
        RepeatedPoint: a list holds a point twice.
    """
    sizes = [len(each) for each in lists]
    starts = np.cumsum([0, *sizes[:-1]])
    points = np.concatenate(lists)
    order, same = _sorted(points)
    owner = np.repeat(np.arange(len(lists)), sizes)[order]
    twice = np.flatnonzero(same & (owner[1:] == owner[:-1]))  # the sort is stable: owners ascend in a run
    if twice.size:
        raise RepeatedPoint(int(owner[twice[0]]))
    run = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(~same)])[: len(order)]
    lengths = np.bincount(run)
    chosen = lengths[run] >= least
    positions = tuple(
        (order - start)[chosen & (owner == place)].astype(np.int64) for place, start in enumerate(starts)
    )
    return Shared(positions, int((lengths >= least).sum()), int((lengths == len(lists)).sum()))


def repetition(points: Array) -> tuple[int, int] | None:
    """Return two places at which a list holds the same point, ascending, or None."""
    order, same = _sorted(points)
    found = np.flatnonzero(same)
    return (int(order[found[0]]), int(order[found[0] + 1])) if found.size else None


def _sorted(points: Array) -> tuple[IndexArray, Array]:
    """Return a stable order of the points, and (n - 1,) bool: which are followed by their like."""
    words = np.ascontiguousarray(points).view("<u8").reshape(-1, 4)
    order = np.argsort(words[:, 0], kind="stable")
    same = _like_next(words, order)
    leads = words[order, 0]
    if not np.array_equal(leads[1:] == leads[:-1], same):
        order = np.lexsort(words.T[::-1])
        same = _like_next(words, order)
    return order, same


def _like_next(words: Array, order: IndexArray) -> Array:
    ranked = words[order]
    return np.asarray((ranked[1:] == ranked[:-1]).all(axis=1))
