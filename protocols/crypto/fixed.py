"""How does a real number become an integer that can be encrypted, and back?

x is kept as the integer nearest to x·2^f, f the number of fractional bits. With every array goes a limit, agreed
beforehand and the same whatever the data: |x| ≤ limit is checked before anything else happens, and all later
range checks compute with the limit and never with the data, so that a bound which travels tells nothing.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hansa.protocols.crypto.errors import EncodingError

# Scaled numbers stay below 2^62, so that int64 holds them and sums of two.
LARGEST = 2**62
MOST_FRACTION_BITS = 1_000  # beyond this 2^f is no float64


@dataclass(frozen=True, slots=True, eq=False)
class FixedArray:
    """Real numbers as integers.

    Attributes:
        integers: int64, any shape; read-only.
        fraction_bits: f; the value is integers / 2^f.
        limit: no integer is larger in absolute value, by agreement; 0 ≤ limit < 2^62.

    Raises:
        EncodingError: a limit out of range, or an integer beyond it, with its position.
    """

    integers: NDArray[np.int64]
    fraction_bits: int
    limit: int

    def __post_init__(self) -> None:
        integers = np.asarray(self.integers)
        if integers.dtype.kind not in "biu":
            raise EncodingError(f"dtype {integers.dtype} holds no integers; encode() takes real numbers")
        if not 0 <= self.limit < LARGEST:
            raise EncodingError(
                "the limit, scaled, has to be at least 0 and below 2^62: fewer fractional bits"
            )
        beyond = (integers > self.limit) | (integers < -self.limit)
        if beyond.any():
            raise EncodingError(f"{_where(beyond)} is beyond the agreed limit")
        copy = integers.astype(np.int64)
        copy.flags.writeable = False
        object.__setattr__(self, "integers", copy)

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.integers.shape

    @property
    def T(self) -> "FixedArray":
        """The transposed array."""
        return FixedArray(self.integers.T, self.fraction_bits, self.limit)

    def decoded(self) -> NDArray[np.float64]:
        """Return the real numbers, float64."""
        return decode(self.integers, self.fraction_bits)


def encode(values: ArrayLike, fraction_bits: int, limit: float) -> FixedArray:
    """Turn real numbers into integers.

    Args:
        values: any shape; finite, |value| ≤ limit.
        fraction_bits: f ≥ 0; rounding is to the nearest multiple of 2^-f, ties to even.
        limit: what was agreed for this kind of value, not what this array happens to reach.

    Raises:
        EncodingError: NaN or infinity, a value beyond the limit, each with its position; or limit·2^f ≥ 2^62.
    """
    if not 0 <= fraction_bits <= MOST_FRACTION_BITS:
        raise EncodingError(f"fraction_bits is between 0 and {MOST_FRACTION_BITS}, not {fraction_bits}")
    if not (math.isfinite(limit) and limit >= 0):
        raise EncodingError(f"a limit is finite and not negative, not {limit}")
    array = np.asarray(values, np.float64)
    if not (finite := np.isfinite(array)).all():
        raise EncodingError(f"{_where(~finite)} is NaN or infinite")
    if (beyond := np.abs(array) > limit).any():
        raise EncodingError(f"{_where(beyond)} is beyond the agreed limit of {limit:g}")
    if (scaled_limit := limit * 2.0**fraction_bits) >= LARGEST:
        raise EncodingError(
            f"a limit of {limit:g} with {fraction_bits} fractional bits does not stay below 2^62"
        )
    return FixedArray(
        np.rint(np.ldexp(array, fraction_bits)).astype(np.int64), fraction_bits, math.ceil(scaled_limit)
    )


def decode(integers: ArrayLike, fraction_bits: int) -> NDArray[np.float64]:
    """Turn integers, of any size, back into real numbers, each rounded once.

    Raises:
        EncodingError: a number too large for float64.
    """
    array = np.asarray(integers)
    if array.dtype.kind in "iu" and (array.size == 0 or int(np.abs(array).max()) < 2**53):
        return np.ldexp(array.astype(np.float64), -fraction_bits)
    denominator = 1 << fraction_bits
    flat = array.reshape(-1).tolist()
    try:
        numbers = [int(each) / denominator for each in flat]
    except OverflowError:
        raise EncodingError("a number is too large for float64") from None
    return np.array(numbers, np.float64).reshape(array.shape)


def _where(flags: NDArray[np.bool_]) -> str:
    """Name the first element that is set, by its position."""
    position = np.unravel_index(int(np.argmax(flags)), flags.shape) if flags.ndim else ()
    return f"element [{', '.join(str(int(index)) for index in position)}]"
