"""How is Π c_j^(x_ij) computed for few c_j and very many rows i? From tables of every base's powers.

With balanced digits of w bits, base c_j has for each window a table of 2^w + 1 powers, negative ones included, and
a row costs one multiplication for each base and window. One table is made at a time, used for all rows while it
is in the processor's cache, and dropped.

Source: Brickell, Gordon, McCurley and Wilson 1992, "Fast exponentiation with precomputation".
"""

from collections.abc import Iterator, Sequence

from hansa.protocols.crypto.digits import Integers, Split, balanced, magnitude_bits, splits
from hansa.protocols.crypto.integers import big, inverse


def plan_rows(matrix: Integers) -> tuple[int, Split]:
    """Return the count of multiplications, and the cut that makes it smallest, for a matrix rows × bases."""
    rows, bases = matrix.shape
    return min(
        (bases * (rows * split.windows + 2 * split.magnitudes) - rows, split)
        for split in splits(magnitude_bits(matrix))
    )


def row_products(matrix: Integers, bases: Sequence[int], modulus: int, split: Split) -> list[int]:
    """Return Π_j bases[j]^(matrix[i, j]) mod modulus for every row i.

    Args:
        matrix: (rows, bases) int64, |value| < 2^62.
        bases: units modulo `modulus`.
        modulus: n².
        split: as `plan_rows` chose.
    """
    results = [big(1)] * len(matrix)
    for base, exponents in zip(bases, matrix.T, strict=True):
        digits = balanced(exponents, split.window_bits, split.windows)
        for table, window in zip(_tables(base, modulus, split), digits, strict=True):
            results = [
                result * table[digit] % modulus if digit else result
                for result, digit in zip(results, window.tolist(), strict=True)
            ]
    return results


def _tables(base: int, modulus: int, split: Split) -> Iterator[list[int]]:
    """Yield for each window a list in which index d, negative ones from the end, holds base^(d·2^(j·w))."""
    reciprocal = inverse(base, modulus)
    for window in range(split.windows):
        last = window == split.windows - 1
        half = 1 << (split.bits - split.window_bits * window if last else split.window_bits - 1)
        powers, negatives = [big(1)], [big(1)]
        for _ in range(half):
            powers.append(powers[-1] * base % modulus)
            negatives.append(negatives[-1] * reciprocal % modulus)
        yield powers + negatives[:0:-1]
        base, reciprocal = powers[-1] * powers[-1] % modulus, negatives[-1] * negatives[-1] % modulus
