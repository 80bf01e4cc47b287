"""Small keys of every kind, made once from fixed seeds: for logic, never for secrets."""

from functools import cache

from hansa.protocols.crypto.integers import Randomness
from hansa.protocols.crypto.keygen import generate_standard, generate_subgroup
from hansa.protocols.crypto.keys import KeyKind, PublicKey, SecretKey
from hansa.protocols.crypto.masks import FreshMasks, MaskSource, table_for
from hansa.protocols.crypto.stream import SeedStream

BITS = 512
KINDS = tuple(KeyKind)


def seeded(name: str) -> Randomness:
    """Return the same bytes in every run."""
    return SeedStream(name.encode().ljust(32, b"\0"))


@cache
def secret_key(kind: KeyKind, name: str = "test", bits: int = BITS) -> SecretKey:
    """Return a key of a kind; another name makes another key."""
    if kind is KeyKind.SUBGROUP:
        return generate_subgroup(bits, alpha_bits=bits // 8, randomness=seeded(name))
    standard = generate_standard(bits, randomness=seeded(name))
    if kind is KeyKind.STANDARD:
        return standard
    return SecretKey(PublicKey(KeyKind.FOREIGN, standard.public.n, 0, bits), standard.p, standard.q)


def masks_for(public: PublicKey, name: str = "masks") -> MaskSource:
    """Return a source of masks from a fixed seed."""
    return FreshMasks(table_for(public, 5), seeded(name))
