"""What grows, what was measured, and with which power of the one does the other grow?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.vertical import KeyName


@dataclass(frozen=True, slots=True)
class Size:
    """A job's size.

    Attributes:
        rows: of every party.
        columns: of every party.
        hosts: beside the guest.
        key, key_bits: of the arbiter's key.
    """

    rows: int
    columns: int
    hosts: int = 1
    key: KeyName = "subgroup"
    key_bits: int = 2_048


@dataclass(frozen=True, slots=True)
class Series:
    """What grows.

    Attributes:
        what: in words, such as "rows".
        fixed: the rest, in words.
        sizes: by the number that grows, rising.
    """

    what: str
    fixed: str
    sizes: Mapping[int, Size]


@dataclass(frozen=True, slots=True)
class Curve:
    """A series as it was measured; ``seconds`` has one for each size."""

    series: Series
    seconds: Sequence[float]

    @property
    def numbers(self) -> list[int]:
        """What grew, rising."""
        return list(self.series.sizes)

    @property
    def exponent(self) -> float:
        """The slope of the line through all points' logarithms."""
        return fitted(self.numbers, self.seconds)[0]

    @property
    def last_exponent(self) -> float:
        """The slope between the last two points."""
        return fitted(self.numbers[-2:], self.seconds[-2:])[0]


def fitted(numbers: Sequence[int], seconds: Sequence[float]) -> tuple[float, float]:
    """Fit seconds = factor · number^exponent by least squares on logarithms; return exponent and factor."""
    exponent, shift = np.polyfit(np.log(numbers), np.log(seconds), 1)
    return float(exponent), float(np.exp(shift))
