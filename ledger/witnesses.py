"""Who witnessed a ledger at each of its sizes? Kept once for all of them.

A list of its own for every change of members would fill the memory of whoever follows a ledger with many of both,
be it that its keeper meant just that.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from hansa.broker.identity import PublicIdentity

Keys: TypeAlias = tuple[PublicIdentity, ...]
"""A member's keys and those before them; none while it is not active."""

History: TypeAlias = tuple[tuple[int, Keys], ...]
"""(size from which on, keys), by size."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Witnesses(Mapping[str, Keys]):
    """The active members beside the keeper, as of one size.

    Attributes:
        histories: by member; what is of later sizes may still be added to it.
        count: how many they are.
    """

    histories: Mapping[str, History]
    size: int
    keeper: str
    count: int

    def __getitem__(self, name: str) -> Keys:
        history = () if name == self.keeper else self.histories.get(name, ())
        place = bisect_right(history, self.size, key=lambda each: each[0])
        keys = history[place - 1][1] if place else ()
        if not keys:
            raise KeyError(name)
        return keys

    def __iter__(self) -> Iterator[str]:
        return (name for name in tuple(self.histories) if name in self)

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        return f"Witnesses({', '.join(sorted(self))})"
