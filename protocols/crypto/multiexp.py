"""How is a plain matrix multiplied with encrypted numbers? By whichever way takes fewer multiplications.

Σ_j x_ij·m_j under encryption is Π_j c_j^(x_ij) mod n². Few results of many numbers (Xᵀd) go by buckets, many
results of few numbers (X·w) by tables of powers; `count` tells what either costs before it is paid. A call can be
cut into pieces that worker processes run: `Piece` holds plain bytes, integers and an array, and `run_piece` is a
pure function of it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from hansa.protocols.crypto.buckets import add_block, columns_for, plan_columns
from hansa.protocols.crypto.digits import Integers, Split
from hansa.protocols.crypto.integers import big, from_bytes, to_bytes
from hansa.protocols.crypto.powers import plan_rows, row_products

RESULTS_AT_ONCE = 64  # whose buckets are in memory at the same time, about 80 MB at 2048 bits
SAMPLED_RESULTS = 32  # looked at to choose between the two ways
BLOCK = 4_096  # bases that are big integers at the same time, about 2.4 MB at 2048 bits


def count(matrix: Integers) -> int:
    """Return how many modular multiplications `products` makes for a matrix (results, bases)."""
    return min(plan_columns(matrix).products, plan_rows(matrix)[0]) if matrix.size else 0


def products(matrix: Integers, bases: Sequence[int], modulus: int) -> list[int]:
    """Return Π_j bases[j]^(matrix[i, j]) mod modulus for every i.

    Args:
        matrix: (results, bases) int64, |value| < 2^62.
        bases: units modulo `modulus`.
        modulus: n².

    Returns:
        One number per row of the matrix; 1 where all exponents are 0.
    """
    if not matrix.size:
        return [big(1)] * len(matrix)
    if (split := _split_by_rows(matrix)) is not None:
        return row_products(matrix, bases, modulus, split)
    return _by_buckets(matrix, lambda: _slices(bases), modulus)


def _split_by_rows(matrix: Integers) -> Split | None:
    """Return how to cut exponents for tables of powers, or None where buckets take fewer multiplications.

    Planning buckets costs some 80 µs for each result; for a choice that is rarely close, a sample of them will do.
    """
    by_rows, split = plan_rows(matrix)
    sample = matrix[:: max(1, len(matrix) // SAMPLED_RESULTS)]
    by_buckets = plan_columns(sample).products * len(matrix) / len(sample)
    return split if by_rows < by_buckets else None


def _slices(bases: Sequence[int]) -> Iterator[Sequence[int]]:
    return (bases[start : start + BLOCK] for start in range(0, len(bases), BLOCK))


def _by_buckets(matrix: Integers, blocks: Callable[[], Iterator[Sequence[int]]], modulus: int) -> list[int]:
    """Go through the bases once for every so many results, so that the buckets' memory is bounded."""
    parts = (matrix[start : start + RESULTS_AT_ONCE] for start in range(0, len(matrix), RESULTS_AT_ONCE))
    return [number for part in parts for number in streamed(part, blocks(), modulus)]


def streamed(matrix: Integers, blocks: Iterable[Sequence[int]], modulus: int) -> list[int]:
    """Return what `products` does, by buckets, for bases that come in blocks and are never all in memory.

    Args:
        matrix: (results, bases) int64.
        blocks: the bases, in order; of any lengths that add up.
        modulus: n².

    Raises:
        ValueError: the blocks hold more or fewer bases than the matrix has columns.
    """
    chosen = plan_columns(matrix)
    columns = columns_for(chosen, modulus)
    start = 0
    for block in blocks:
        part = matrix[:, start : start + len(block)]
        if part.shape[1] != len(block):
            raise ValueError(f"more than the expected {matrix.shape[1]} bases")
        add_block(columns, part, block, modulus, inverted=chosen.inverted)
        start += len(block)
    if start != matrix.shape[1]:
        raise ValueError(f"{start} bases for {matrix.shape[1]} columns of exponents")
    return [column.finish() for column in columns]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A part of a product for a worker process.

    Attributes:
        n: the modulus of the key.
        width: bytes of a ciphertext.
        bases: the ciphertexts, one after the other.
        matrix: (results, bases) int64.
        first_result: where this piece's results belong.
    """

    n: int
    width: int
    bases: bytes = field(repr=False)
    matrix: Integers = field(repr=False)
    first_result: int


def pieces(matrix: Integers, bases: bytes, n: int, width: int, workers: int) -> list[Piece]:
    """Cut a product into about as many pieces as there are workers.

    Results are dealt out where there are enough of them: nothing is then computed twice but the bases' inverses.
    Else the bases are, and `join` multiplies the parts.

    Args:
        matrix: (results, bases) int64.
        bases: the ciphertexts, `width` bytes each.
        n: the key's modulus.
        width: bytes of a ciphertext.
        workers: how many processes will run pieces at the same time, ≥ 1.
    """
    results, count_ = matrix.shape
    if results >= workers:
        return [
            Piece(n, width, bases, part, int(first))
            for part, first in _dealt(matrix, results, workers, axis=0)
        ]
    return [
        Piece(n, width, bases[first * width : (first + part.shape[1]) * width], part, 0)
        for part, first in _dealt(matrix, count_, workers, axis=1)
    ]


def _dealt(matrix: Integers, size: int, workers: int, *, axis: int) -> Iterator[tuple[Integers, int]]:
    edges = np.linspace(0, size, workers + 1).astype(int).tolist()
    for low, high in pairwise(edges):
        if high > low:
            yield np.ascontiguousarray(matrix.take(range(low, high), axis)), low


def run_piece(piece: Piece) -> bytes:
    """Compute one piece; the results, `width` bytes each."""
    modulus = big(piece.n) ** 2
    view, step = memoryview(piece.bases), BLOCK * piece.width
    if (split := _split_by_rows(piece.matrix)) is not None:
        numbers = row_products(piece.matrix, split_bytes(view, piece.width), modulus, split)
    else:
        numbers = _by_buckets(
            piece.matrix,
            lambda: (split_bytes(view[at : at + step], piece.width) for at in range(0, len(view), step)),
            modulus,
        )
    return join_bytes(numbers, piece.width)


def join(parts: Sequence[tuple[Piece, bytes]], results: int, modulus: int) -> list[int]:
    """Put the results of all pieces together, in any order."""
    joined = [big(1)] * results
    for piece, outcome in parts:
        for offset, number in enumerate(split_bytes(memoryview(outcome), piece.width)):
            index = piece.first_result + offset
            joined[index] = joined[index] * number % modulus
    return joined


def split_bytes(data: memoryview, width: int) -> list[int]:
    """Return the big-endian integers of a buffer, `width` bytes each."""
    return [from_bytes(data[start : start + width]) for start in range(0, len(data), width)]


def join_bytes(numbers: Iterable[int], width: int) -> bytes:
    """Return integers as big-endian bytes, `width` each."""
    return b"".join(to_bytes(number, width) for number in numbers)
