"""Which big-number operations does Paillier need? The only module that imports gmpy2.

Values are annotated `int`: gmpy2's `mpz` has an int's operators and methods, and ships no types. `big` makes one;
arithmetic between an `mpz` and an `int` gives an `mpz`, so one conversion at the edge is enough.

Nothing here runs in constant time. Peers see when a message leaves, not single exponentiations; whoever can time
a key holder's instructions is out of scope (docs/paillier.md).
"""

from collections.abc import Callable, Sequence

import gmpy2

# Bytes of randomness on demand: `secrets.token_bytes`, or a seeded generator in tests.
Randomness = Callable[[int], bytes]

PRIMALITY_ROUNDS = 32  # Miller-Rabin after GMP's own BPSW; error below 4⁻³² even without BPSW
# Odd primes below this are divided out before a candidate is tested in earnest.
SIEVE_LIMIT = 2_000


def big(value: int) -> int:
    """Return the value as gmpy2's integer."""
    result: int = gmpy2.mpz(value)
    return result


def powmod(base: int, exponent: int, modulus: int) -> int:
    """Return base^exponent mod modulus; exponent ≥ 0."""
    result: int = gmpy2.powmod(base, exponent, modulus)
    return result


def powmods(bases: Sequence[int], exponent: int, modulus: int) -> list[int]:
    """Return base^exponent mod modulus for every base; other threads run meanwhile."""
    result: list[int] = gmpy2.powmod_base_list(list(bases), exponent, modulus)
    return result


def inverse(value: int, modulus: int) -> int:
    """Return value⁻¹ mod modulus.

    Raises:
        ZeroDivisionError: they share a factor.
    """
    result: int = gmpy2.invert(value, modulus)
    return result


def gcd(a: int, b: int) -> int:
    """Return the greatest common divisor."""
    result: int = gmpy2.gcd(a, b)
    return result


def jacobi(a: int, n: int) -> int:
    """Return the Jacobi symbol (a/n): -1, 0 or 1; n odd."""
    result: int = gmpy2.jacobi(a, n)
    return result


def is_prime(candidate: int) -> bool:
    """Tell whether a number is prime, with an error that nobody will live to see."""
    return bool(gmpy2.is_prime(candidate, PRIMALITY_ROUNDS))


def survives_sieve(candidate: int) -> bool:
    """Tell whether no small odd prime divides an odd candidate; a cheap test before the real one."""
    return gcd(candidate, _SMALL_PRIMES) == 1


def inverses(values: Sequence[int], modulus: int) -> list[int]:
    """Invert many numbers with one inversion and three multiplications each.

    Raises:
        ZeroDivisionError: one of them shares a factor with the modulus.

    Source: Montgomery 1987, "Speeding the Pollard and elliptic curve methods of factorization", §10.3.1.
    """
    if not values:
        return []
    prefixes = [values[0]]
    for value in values[1:]:
        prefixes.append(prefixes[-1] * value % modulus)
    rest = inverse(prefixes[-1], modulus)
    result = [rest] * len(values)
    for index in range(len(values) - 1, 0, -1):
        result[index] = prefixes[index - 1] * rest % modulus
        rest = rest * values[index] % modulus
    result[0] = rest
    return result


def product(values: Sequence[int], modulus: int) -> int:
    """Return the product of all, modulo `modulus`; 1 for none."""
    result = big(1)
    for value in values:
        result = result * value % modulus
    return result


def random_bits(bits: int, randomness: Randomness) -> int:
    """Return an integer uniform in [0, 2^bits)."""
    drawn = int.from_bytes(randomness((bits + 7) // 8), "little")
    return big(drawn & ((1 << bits) - 1))


def random_below(limit: int, randomness: Randomness) -> int:
    """Return an integer uniform in [0, limit), by rejection; limit ≥ 1."""
    bits = (limit - 1).bit_length()
    while (drawn := random_bits(bits, randomness)) >= limit:
        pass
    return drawn


def random_unit(modulus: int, randomness: Randomness) -> int:
    """Return an integer uniform among those that are invertible modulo `modulus`."""
    while gcd(drawn := random_below(modulus, randomness), modulus) != 1:
        pass
    return drawn


def random_prime(bits: int, leading_ones: int, randomness: Randomness) -> int:
    """Return a prime of exactly `bits` bits, of which the first `leading_ones` are set."""
    top = ((1 << leading_ones) - 1) << (bits - leading_ones)
    while True:
        candidate = random_bits(bits, randomness) | top | 1
        if survives_sieve(candidate) and is_prime(candidate):
            return candidate


def to_bytes(value: int, length: int) -> bytes:
    """Return the value as `length` bytes, most significant first."""
    return value.to_bytes(length, "big")


def from_bytes(data: bytes | memoryview) -> int:
    """Return the integer that `to_bytes` wrote."""
    result: int = gmpy2.mpz.from_bytes(data, "big")
    return result


def _primorial(limit: int) -> int:
    result = big(1)
    for candidate in range(3, limit, 2):
        if gmpy2.is_prime(candidate):
            result *= candidate
    return result


_SMALL_PRIMES = _primorial(SIEVE_LIMIT)
