"""Who can encrypt, and who can decrypt? Paillier's keys, their bytes and their fingerprints.

A ciphertext of m is c = (1 + m·n)·mask mod n², where the mask is an n-th residue that nobody can guess. The kinds
of key differ in where masks come from:

* ``STANDARD`` (Damgård, Jurik and Nielsen 2010, §4.2): p ≡ q ≡ 3 (mod 4), gcd(p-1, q-1) = 2, h = -x² mod n for a
  random x, h_s = hⁿ mod n²; a mask is h_s^r with r of |n|/2 bits.
* ``SUBGROUP`` (Ma, Han and Lei 2021, "Optimized Paillier's Cryptosystem with Fast Encryption and Decryption"):
  p = 2·α_p·p′ + 1 and q = 2·α_q·q′ + 1, with α_p, α_q, p′, q′ distinct odd primes and α of 224 bits each for
  n of 2048 (256 for 3072); hence gcd(p-1, q-1) = 2 and p ≡ q ≡ 3 (mod 4). With β = p′·q′ and a random y,
  h = -y^(2β) mod n has order 2·α_p·α_q; h_s = hⁿ mod n²; a mask is h_s^r with r as long as α_p·α_q. The exponent
  may be that short only with such keys, and decryption only needs the exponents 2·α_p and 2·α_q. We ask for p′
  and q′ to be prime (the paper: odd), so that p-1 has no other factors that could be found.
* ``FOREIGN``: imported; nothing is known but n, so a mask is rⁿ for a random unit r.

All three make ordinary Paillier ciphertexts: any implementation decrypts them. `keygen.py` makes keys;
`decryption.py` uses them. Secret keys don't show their numbers in a repr, and no error quotes them.

Checking a key takes milliseconds, a task may take one, and a job's tasks all have the same key. So a process
remembers the public keys that it has read last. It remembers no secret key, since nobody would tell it when to
forget; whoever has made one need not check it again.
"""

import hashlib
from dataclasses import InitVar, dataclass, field
from enum import IntEnum
from functools import lru_cache

from hansa.protocols.crypto.errors import KeyRefused
from hansa.protocols.crypto.integers import big, from_bytes, gcd, inverse, is_prime, jacobi, powmod, to_bytes

PUBLIC_DOMAIN = b"hansa/paillier-public/1\x00"
SECRET_DOMAIN = b"hansa/paillier-secret/1\x00"
LENGTH_BYTES = 4  # of the two bit counts in a key's bytes
MAXIMAL_BITS = 16_384  # a peer's key beyond this would only keep us busy
PUBLIC_KEYS_KEPT = 8


class KeyKind(IntEnum):
    """Where the masks of a key come from."""

    STANDARD = 1
    SUBGROUP = 2
    FOREIGN = 3


@dataclass(frozen=True, slots=True, repr=False)
class PublicKey:
    """What encrypts and computes.

    Attributes:
        kind: where masks come from.
        n: the modulus, p·q.
        h_s: the generator of masks, modulo n²; 0 for a foreign key.
        randomness_bits: the length of a mask's exponent; of n itself for a foreign key.
        n_squared: n², what ciphertexts are taken modulo.
        largest: (n - 1) // 2; plaintexts lie in [-largest, largest].
        ciphertext_bytes: the length of a ciphertext on the wire.
        fingerprint: SHA-256 of the key's bytes.

    Raises:
        KeyRefused: numbers that make no key of this kind.
    """

    kind: KeyKind
    n: int
    h_s: int
    randomness_bits: int
    n_squared: int = field(init=False, compare=False)
    largest: int = field(init=False, compare=False)
    ciphertext_bytes: int = field(init=False, compare=False)
    fingerprint: bytes = field(init=False, compare=False)

    def __post_init__(self) -> None:
        n, h_s = big(self.n), big(self.h_s)
        object.__setattr__(self, "n", n)
        object.__setattr__(self, "h_s", h_s)
        object.__setattr__(self, "n_squared", n * n)
        object.__setattr__(self, "largest", (n - 1) // 2)
        object.__setattr__(self, "ciphertext_bytes", 2 * ((self.bits + 7) // 8))
        self._check()
        object.__setattr__(self, "fingerprint", hashlib.sha256(self.to_bytes()).digest())

    @property
    def bits(self) -> int:
        """The length of n."""
        return self.n.bit_length()

    def __repr__(self) -> str:
        return f"PublicKey({self.kind.name.lower()}, {self.bits} bits, {self.fingerprint.hex()[:16]}…)"

    def to_bytes(self) -> bytes:
        """Return the canonical bytes: domain, kind, two lengths in bits, n, h_s; big-endian."""
        lengths = self.bits.to_bytes(LENGTH_BYTES, "big") + self.randomness_bits.to_bytes(LENGTH_BYTES, "big")
        numbers = to_bytes(self.n, self.ciphertext_bytes // 2) + to_bytes(self.h_s, self.ciphertext_bytes)
        return PUBLIC_DOMAIN + bytes([self.kind]) + lengths + numbers

    @classmethod
    def from_bytes(cls, data: bytes) -> "PublicKey":
        """Return the key that `to_bytes` wrote.

        Raises:
            KeyRefused: not its bytes, or numbers that make no key.
        """
        return _public_key(data)

    def _check(self) -> None:
        if self.n < 15 or self.n % 2 == 0 or is_prime(self.n):
            raise KeyRefused("a modulus is the odd product of two primes")
        if not 0 < self.randomness_bits <= self.bits:
            raise KeyRefused(f"masks of {self.randomness_bits} bits under a modulus of {self.bits}")
        if self.kind is KeyKind.FOREIGN:
            if self.h_s != 0:
                raise KeyRefused("a foreign key has no generator of masks")
        elif not 1 < self.h_s < self.n_squared or gcd(self.h_s, self.n) != 1 or jacobi(self.h_s, self.n) != 1:
            raise KeyRefused("the generator of masks is no unit of Jacobi symbol 1 between 1 and n²")


@dataclass(frozen=True, slots=True, repr=False)
class SecretKey:
    """What decrypts. Its repr tells only the public key's.

    Attributes:
        public: the key that encrypts.
        p, q: the primes.
        alpha_p, alpha_q: the subgroup's orders; 0 for kinds that have none.
        fast_p, fast_q: the exponents to try first, 2·α, or p - 1 and q - 1 where there is no subgroup.

    Args:
        check: False for numbers that have been found to be one key's before.

    Raises:
        KeyRefused: numbers that are not the key's.
    """

    public: PublicKey
    p: int
    q: int
    alpha_p: int = 0
    alpha_q: int = 0
    check: InitVar[bool] = field(default=True, kw_only=True)
    fast_p: int = field(init=False, compare=False)
    fast_q: int = field(init=False, compare=False)
    p_inverse: int = field(init=False, compare=False)  # p⁻¹ mod q, for the Chinese remainder

    def __post_init__(self, check: bool) -> None:
        for name in ("p", "q", "alpha_p", "alpha_q"):
            object.__setattr__(self, name, big(getattr(self, name)))
        if check:
            self._check()
        object.__setattr__(self, "fast_p", 2 * self.alpha_p or self.p - 1)
        object.__setattr__(self, "fast_q", 2 * self.alpha_q or self.q - 1)
        object.__setattr__(self, "p_inverse", inverse(self.p, self.q))

    def __repr__(self) -> str:
        return f"SecretKey(of {self.public!r})"

    def to_bytes(self) -> bytes:
        """Return the canonical bytes: domain, p, q, α_p, α_q, then the public key's bytes.

        They are the secret itself: whoever stores them seals them.
        """
        length = self.public.ciphertext_bytes // 2
        numbers = (self.p, self.q, self.alpha_p, self.alpha_q)
        return SECRET_DOMAIN + b"".join(to_bytes(each, length) for each in numbers) + self.public.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes, *, check: bool = True) -> "SecretKey":
        """Return the key that `to_bytes` wrote.

        Args:
            data: the bytes.
            check: False for those of a key of our own, which nobody else has had in hand since it was made.

        Raises:
            KeyRefused: not its bytes, or numbers that are not one key's.
        """
        prefix = len(SECRET_DOMAIN)
        start = data.find(PUBLIC_DOMAIN, prefix)
        length, rest = divmod(start - prefix, 4)
        if data[:prefix] != SECRET_DOMAIN or start < 0 or rest:
            raise KeyRefused("these bytes are no Paillier secret key of this version")
        public = PublicKey.from_bytes(data[start:])
        if length != public.ciphertext_bytes // 2:
            raise KeyRefused(f"a secret key of {public.bits} bits has numbers of another length")
        p, q, alpha_p, alpha_q = (
            from_bytes(data[prefix + index * length : prefix + (index + 1) * length]) for index in range(4)
        )
        return cls(public, p, q, alpha_p, alpha_q, check=check)

    def _check(self) -> None:
        kind, p, q = self.public.kind, self.p, self.q
        if p * q != self.public.n or p == q or not (is_prime(p) and is_prime(q)):
            raise KeyRefused("the primes are not those of the public key")
        if gcd(self.public.n, (p - 1) * (q - 1)) != 1:
            raise KeyRefused("n and φ(n) share a factor: such a key does not decrypt")
        if (kind is KeyKind.SUBGROUP) != (self.alpha_p > 0) or (self.alpha_p > 0) != (self.alpha_q > 0):
            raise KeyRefused(f"a key of kind {kind.name.lower()} with another kind's numbers")
        for prime, alpha in ((p, self.alpha_p), (q, self.alpha_q)):
            if alpha and (
                (prime - 1) % (2 * alpha) or powmod(self.public.h_s, 2 * alpha, prime * prime) != 1
            ):
                raise KeyRefused("the subgroup's orders are not those of the public key")


@lru_cache(maxsize=PUBLIC_KEYS_KEPT)
def _public_key(data: bytes) -> PublicKey:
    prefix = len(PUBLIC_DOMAIN)
    header = prefix + 1 + 2 * LENGTH_BYTES
    if len(data) < header or data[:prefix] != PUBLIC_DOMAIN:
        raise KeyRefused("these bytes are no Paillier public key of this version")
    if data[prefix] not in set(KeyKind):
        raise KeyRefused(f"a Paillier key of unknown kind {data[prefix]}; a newer hansa may know it")
    bits, randomness_bits = (
        int.from_bytes(data[start : start + LENGTH_BYTES], "big")
        for start in (prefix + 1, prefix + 1 + LENGTH_BYTES)
    )
    length = (bits + 7) // 8
    if bits > MAXIMAL_BITS or len(data) != header + 3 * length:
        raise KeyRefused(f"a public key of {bits} bits does not have {len(data)} bytes")
    n, h_s = from_bytes(data[header : header + length]), from_bytes(data[header + length :])
    if n.bit_length() != bits:
        raise KeyRefused(f"the key says {bits} bits, its modulus has {n.bit_length()}")
    return PublicKey(KeyKind(data[prefix]), n, h_s, randomness_bits)
