"""Where do keys come from? Primes of the right shape, from the caller's randomness.

`keys.py` states what each kind asks for. At 2048 bits a key takes a few seconds at most on one core.
"""

from hansa.protocols.crypto.integers import (
    Randomness,
    gcd,
    is_prime,
    powmod,
    random_bits,
    random_prime,
    random_unit,
    survives_sieve,
)
from hansa.protocols.crypto.keys import KeyKind, PublicKey, SecretKey

DEFAULT_BITS = 2_048  # 112-bit security; 3072 for 128 (NIST SP 800-57, part 1, table 2)
SECURITY_BITS = {2_048: 112, 3_072: 128}
# Leading ones that keep the product of two halves from losing a bit: two for a prime of n; and for
# p = 2·α·p′ + 1, two for α, which has none to spare, and five for p′, which has hundreds.
LEADING_ONES = 2
COFACTOR_ONES = 5


def generate_standard(bits: int = DEFAULT_BITS, *, randomness: Randomness) -> SecretKey:
    """Make a key after Damgård, Jurik and Nielsen.

    Args:
        bits: the length of n; even, at least 64, of which anything below 2048 is for tests.
        randomness: `secrets.token_bytes`, but in tests.

    Raises:
        ValueError: bits is odd or too small.
    """
    _check_bits(bits)
    while True:
        p, q = (_blum_prime(bits // 2, randomness) for _ in range(2))
        if p != q and gcd(p - 1, q - 1) == 2 and gcd(p * q, (p - 1) * (q - 1)) == 1:
            break
    n = p * q
    x = random_unit(n, randomness)
    h = n - x * x % n
    public = PublicKey(KeyKind.STANDARD, n, powmod(h, n, n * n), bits // 2)
    return SecretKey(public, p, q)


def generate_subgroup(
    bits: int = DEFAULT_BITS, *, randomness: Randomness, alpha_bits: int | None = None
) -> SecretKey:
    """Make a key after Ma, Han and Lei, whose masks are short and whose decryption is fast.

    Args:
        bits: the length of n; even.
        randomness: `secrets.token_bytes`, but in tests.
        alpha_bits: the length of each of the subgroup's two orders, twice the security in bits; known for
            2048 and 3072 bits.

    Raises:
        ValueError: bits is odd, too small, or of a size for which alpha_bits must be given; or alpha_bits leaves
            no room for the cofactors.
    """
    _check_bits(bits)
    if alpha_bits is None:
        if bits not in SECURITY_BITS:
            raise ValueError(f"name alpha_bits for a key of {bits} bits; known are {sorted(SECURITY_BITS)}")
        alpha_bits = 2 * SECURITY_BITS[bits]
    if not 16 <= alpha_bits <= bits // 2 - 16:
        raise ValueError(f"a subgroup of {alpha_bits} bits does not fit a prime of {bits // 2}")
    while True:
        (p, alpha_p, p_), (q, alpha_q, q_) = (
            _layered_prime(bits // 2, alpha_bits, randomness) for _ in range(2)
        )
        if len({alpha_p, alpha_q, p_, q_}) == 4:  # so gcd(p-1, q-1) = 2, and the paper's gcd(α, β) = 1
            break
    n = p * q
    h = _subgroup_generator(p, q, p_ * q_, randomness)
    public = PublicKey(KeyKind.SUBGROUP, n, powmod(h, n, n * n), 2 * alpha_bits)
    return SecretKey(public, p, q, alpha_p, alpha_q)


def _check_bits(bits: int) -> None:
    if bits < 64 or bits % 2:
        raise ValueError(f"a key has an even number of bits, at least 64, not {bits}")


def _blum_prime(bits: int, randomness: Randomness) -> int:
    while (prime := random_prime(bits, LEADING_ONES, randomness)) % 4 != 3:
        pass
    return prime


def _layered_prime(bits: int, alpha_bits: int, randomness: Randomness) -> tuple[int, int, int]:
    """Return a prime p = 2·α·p′ + 1 of `bits` bits, α and p′.

    One p′, many α: an α is small, so that rejecting it costs little.
    """
    cofactor = random_prime(bits - 1 - alpha_bits, COFACTOR_ONES, randomness)
    top = 3 << (alpha_bits - LEADING_ONES)
    while True:
        alpha = random_bits(alpha_bits, randomness) | top | 1
        prime = 2 * alpha * cofactor + 1
        if survives_sieve(alpha) and survives_sieve(prime) and is_prime(alpha) and is_prime(prime):
            return prime, alpha, cofactor


def _subgroup_generator(p: int, q: int, beta: int, randomness: Randomness) -> int:
    """Return h = -y^(2β) mod n of order 2·α_p·α_q: y^(2β) is 1 modulo neither prime, and α_p, α_q are prime."""
    n = p * q
    while True:
        power = powmod(random_unit(n, randomness), 2 * beta, n)
        if power % p != 1 and power % q != 1:
            return n - power
