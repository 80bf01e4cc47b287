"""Into which digits do exponents fall, and how many multiplications does that make?

Balanced digits of w bits lie in [-2^(w-1), 2^(w-1)]: half as many different ones as unsigned digits need, if the
inverse of a base is at hand. All figures here are counts of modular multiplications; a squaring counts as one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

WIDEST = 16  # bits of a digit; 2^15 buckets are never worth it below millions of rows


def balanced(values: Integers, window_bits: int, windows: int) -> list[Integers]:
    """Split integers into balanced digits, least significant window first.

    Args:
        values: int64, |value| < 2^62, any shape.
        window_bits: w.
        windows: how many; w·windows must exceed the bits of the largest absolute value.

    Returns:
        `windows` arrays of the values' shape; Σ digit_j·2^(j·w) is the value.
    """
    base, half = 1 << window_bits, 1 << (window_bits - 1)
    digits = []
    rest = values
    for _ in range(windows - 1):
        digit = rest & (base - 1)
        digit = np.where(digit > half, digit - base, digit)
        digits.append(digit)
        rest = (rest - digit) >> window_bits
    return [*digits, rest]


def magnitude_bits(values: Integers) -> int:
    """Return the bits of the largest absolute value; 0 for no values."""
    return int(np.abs(values).max()).bit_length() if values.size else 0


@dataclass(frozen=True, slots=True, order=True)
class Split:
    """How exponents are cut into digits.

    Attributes:
        bits: of the largest exponent, without sign.
        window_bits: w.
        windows: k; w·k > bits.
    """

    bits: int
    window_bits: int
    windows: int

    @property
    def magnitudes(self) -> int:
        """How many different digits there are, signs and zeros apart, in all windows together."""
        lower = self.windows - 1
        return (lower << (self.window_bits - 1)) + (1 << (self.bits - self.window_bits * lower))

    @property
    def joining(self) -> int:
        """The squarings and products that join the windows of one result."""
        return (self.window_bits + 1) * (self.windows - 1)


def splits(bits: int) -> list[Split]:
    """Return the cuts worth considering: for each number of windows the narrowest that hold bits and a sign."""
    found: list[Split] = []
    for windows in range(1, bits + 2):
        window_bits = max(-(-(bits + 1) // windows), 2)
        narrower = not found or window_bits < found[-1].window_bits
        if window_bits <= WIDEST and narrower and window_bits * (windows - 1) <= bits:
            found.append(Split(bits, window_bits, windows))
    return found
