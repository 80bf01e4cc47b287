"""What is done to ciphertexts one by one? Arithmetic modulo n² over numpy arrays of big integers.

Everything works on object arrays of any shape, broadcasts as numpy does, and returns new arrays.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hansa.protocols.crypto.integers import big, inverses, powmod
from hansa.protocols.crypto.keys import PublicKey

Objects = NDArray[np.object_]


def objects(numbers: Iterable[int], shape: tuple[int, ...]) -> Objects:
    """Return integers of any size as a read-only array of objects, filled row by row.

    Raises:
        ValueError: another number of them than the shape holds.
    """
    filled = list(numbers)
    result: Objects = np.empty(len(filled), dtype=object)
    result[:] = filled
    result = result.reshape(shape)
    result.flags.writeable = False
    return result


def flat(array: Objects) -> list[int]:
    """Return an array's integers, row by row."""
    numbers: list[int] = array.reshape(-1).tolist()
    return numbers


def add(left: Objects, right: Objects, public: PublicKey) -> Objects:
    """Return encryptions of the sums: the products of ciphertexts."""
    a, b = np.broadcast_arrays(left, right)
    modulus = public.n_squared
    return objects((x * y % modulus for x, y in zip(flat(a), flat(b), strict=True)), a.shape)


def add_plain(ciphertexts: Objects, plain: Objects, public: PublicKey) -> Objects:
    """Return encryptions of ciphertext + plain, with the ciphertext's own mask.

    (1 + m·n)·c mod n² = c + n·(m·c mod n), reduced: half the cost of a multiplication modulo n².
    """
    a, b = np.broadcast_arrays(ciphertexts, plain)
    n, modulus = public.n, public.n_squared
    return objects(((c + n * (m * c % n)) % modulus for c, m in zip(flat(a), flat(b), strict=True)), a.shape)


def negate(ciphertexts: Objects, public: PublicKey) -> Objects:
    """Return encryptions of the negatives: one inversion for all."""
    return objects(inverses(flat(ciphertexts), public.n_squared), ciphertexts.shape)


def scale(ciphertexts: Objects, factors: Objects, public: PublicKey) -> Objects:
    """Return encryptions of ciphertext × factor; negative factors by inverses, never by exponents of n's size."""
    a, b = np.broadcast_arrays(ciphertexts, factors)
    modulus = public.n_squared
    bases, exponents = flat(a), flat(b)
    negative = [index for index, exponent in enumerate(exponents) if exponent < 0]
    for index, reciprocal in zip(negative, inverses([bases[i] for i in negative], modulus), strict=True):
        bases[index] = reciprocal
    return objects(
        (powmod(base, abs(exponent), modulus) for base, exponent in zip(bases, exponents, strict=True)),
        a.shape,
    )


def shift(ciphertexts: Objects, bits: int, public: PublicKey) -> Objects:
    """Return encryptions of ciphertext × 2^bits."""
    factor = big(1) << bits
    return objects((powmod(c, factor, public.n_squared) for c in flat(ciphertexts)), ciphertexts.shape)


def sum_along(ciphertexts: Objects, axis: int, public: PublicKey) -> Objects:
    """Return encryptions of the sums along one axis; 1, which encrypts 0, for an empty one."""
    rest = np.moveaxis(ciphertexts, axis, 0)
    if not len(rest):
        return objects([big(1)] * int(np.prod(rest.shape[1:], dtype=int)), rest.shape[1:])
    total = rest[0:1]
    for index in range(1, len(rest)):
        total = add(total, rest[index : index + 1], public)
    return total[0:1].reshape(rest.shape[1:])
