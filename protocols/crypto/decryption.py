"""What does a ciphertext say? Decryption modulo p² and q², joined by the Chinese remainder theorem.

Modulo p²: for an exponent e that is a multiple of the mask's order, u = c^e mod p² has no mask left, and
m = (u - 1)/p · (e·q)⁻¹ mod p. For any ciphertext e = p - 1 will do. For one that lies in the subgroup e = 2·α_p
will too, at a fifth of the cost; it lies there exactly if u ≡ 1 (mod p), so that checking costs a division. A
ciphertext that does not, such as one that a peer masked with rⁿ, goes the long way: the short one would turn
it into a number that depends on the secret key.
"""

from collections.abc import Sequence

from hansa.protocols.crypto.errors import NotInvertible
from hansa.protocols.crypto.integers import inverse, powmod, powmods
from hansa.protocols.crypto.keys import PublicKey, SecretKey


def decrypt_residues(secret: SecretKey, ciphertexts: Sequence[int]) -> list[int]:
    """Decrypt to residues modulo n, in [0, n).

    Args:
        secret: the key of all the ciphertexts.
        ciphertexts: units modulo n², as `EncryptedArray` holds them.

    Raises:
        NotInvertible: a ciphertext shares a factor with n.
    """
    p, q = secret.p, secret.q
    modulo_p = _half(ciphertexts, p, q, secret.fast_p)
    modulo_q = _half(ciphertexts, q, p, secret.fast_q)
    return [
        m_p + p * ((m_q - m_p) * secret.p_inverse % q) for m_p, m_q in zip(modulo_p, modulo_q, strict=True)
    ]


def signed(residues: Sequence[int], public: PublicKey) -> list[int]:
    """Return residues in [0, n) as integers in [-(n-1)/2, (n-1)/2]."""
    n, largest = public.n, public.largest
    return [residue - n if residue > largest else residue for residue in residues]


def _half(ciphertexts: Sequence[int], prime: int, other: int, exponent: int) -> list[int]:
    """Return the plaintexts modulo one prime."""
    square = prime * prime
    scale = inverse(exponent * other, prime)
    powers = powmods([c % square for c in ciphertexts], exponent, square)
    return [
        (u - 1) // prime * scale % prime if u % prime == 1 else _long_way(c, prime, other)
        for c, u in zip(ciphertexts, powers, strict=True)
    ]


def _long_way(ciphertext: int, prime: int, other: int) -> int:
    u = powmod(ciphertext % (prime * prime), prime - 1, prime * prime)
    if u % prime != 1:
        raise NotInvertible("a ciphertext shares a factor with the modulus")
    return (u - 1) // prime * inverse((prime - 1) * other, prime) % prime
