"""How are keys and ciphertexts exchanged with phe? The only module that imports it, and only when called.

phe is under the GPL-3, and nothing else needs it: hansa runs where it is not installed. Its keys are ours without a
generator of masks (`KeyKind.FOREIGN`); its exponents count powers of 16, ours powers of 1/2; its negative
plaintexts are the upper third of the residues, ours the upper half.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from types import ModuleType
from typing import Any

from hansa.protocols.crypto.array import EncryptedArray
from hansa.protocols.crypto.elements import flat, objects
from hansa.protocols.crypto.errors import InterchangeUnavailable, PlaintextOverflow, WrongKey
from hansa.protocols.crypto.integers import powmod
from hansa.protocols.crypto.keys import KeyKind, PublicKey, SecretKey

BITS_OF_EXPONENT = 4  # phe's base is 16


def to_phe_public(public: PublicKey) -> Any:
    """Return the key as phe's `PaillierPublicKey`.

    Raises:
        InterchangeUnavailable: phe is not installed.
    """
    return _phe().PaillierPublicKey(int(public.n))


def to_phe_secret(secret: SecretKey) -> Any:
    """Return the key as phe's `PaillierPrivateKey`.

    Raises:
        InterchangeUnavailable: phe is not installed.
    """
    return _phe().PaillierPrivateKey(to_phe_public(secret.public), int(secret.p), int(secret.q))


def from_phe_public(key: Any) -> PublicKey:
    """Take over phe's `PaillierPublicKey`; its masks are full powers rⁿ, forty times as dear as a subgroup key's.

    Raises:
        KeyRefused: its modulus makes no key.
    """
    return PublicKey(KeyKind.FOREIGN, int(key.n), 0, int(key.n).bit_length())


def from_phe_secret(key: Any) -> SecretKey:
    """Take over phe's `PaillierPrivateKey`.

    Raises:
        KeyRefused: its numbers make no key.
    """
    return SecretKey(from_phe_public(key.public_key), int(key.p), int(key.q))


def to_phe_numbers(array: EncryptedArray) -> list[Any]:
    """Return an array's elements, row by row, as phe's `EncryptedNumber`s.

    Raises:
        InterchangeUnavailable: phe is not installed.
        PlaintextOverflow: the bound is beyond phe's range, a third of the residues; or there is none.
    """
    aligned = array.scaled_to(-(-array.fraction_bits // BITS_OF_EXPONENT) * BITS_OF_EXPONENT)
    key = to_phe_public(array.public)
    if aligned.bound is None or aligned.bound > key.max_int:
        raise PlaintextOverflow("the numbers' bound is beyond a third of the residues, which is phe's range")
    exponent = -(aligned.fraction_bits // BITS_OF_EXPONENT)
    return [_phe().EncryptedNumber(key, int(each), exponent) for each in flat(aligned.ciphertexts)]


def from_phe_numbers(public: PublicKey, numbers: Sequence[Any], limit: float) -> EncryptedArray:
    """Take over phe's `EncryptedNumber`s as one array, all scaled to the finest exponent among them.

    Args:
        public: our form of their key.
        numbers: with exponents ≤ 0, as phe gives to floats, or above, as to some large integers.
        limit: no number is larger in absolute value.

    Raises:
        CiphertextRefused: a number is no ciphertext, or under another key.
        PlaintextOverflow: limit, scaled, is beyond the key's plaintexts.
    """
    if any(each.public_key.n != public.n for each in numbers):
        raise WrongKey(f"a number is not under {public!r}")
    fraction_bits = max([0, *(-each.exponent * BITS_OF_EXPONENT for each in numbers)])
    bound = math.ceil(Fraction(limit) * (1 << fraction_bits))
    shifts = [fraction_bits + each.exponent * BITS_OF_EXPONENT for each in numbers]
    scaled = objects(
        (
            powmod(each.ciphertext(), 1 << shift, public.n_squared)
            for each, shift in zip(numbers, shifts, strict=True)
        ),
        (len(numbers),),
    )
    return EncryptedArray.from_ciphertexts(public, scaled, fraction_bits, bound)


def _phe() -> ModuleType:
    try:
        import phe
    except ImportError:
        raise InterchangeUnavailable("phe is not installed here: pip install 'phe>=1.5,<2'") from None
    module: ModuleType = phe
    return module
