"""How do several owners let somebody learn the sum of their numbers, and nothing else about them?

Each adds to its numbers a mask for every other owner. The two of a pair draw the same mask, one adds it and the
other subtracts it, so that over all owners the masks cancel. Numbers are integers modulo 2^64, and masks are
uniform there: whoever adds up everybody's shares learns the sum exactly; of fewer shares than all, nothing, as
long as one of the owners that are missing keeps its key.

::

    each owner   -- public_key(its secret)             --> every other owner, directly
    each owner   -- encode64(numbers) + masks(...)     --> whoever may learn the sum
    decode64(sum of all shares) = sum of the numbers

The pair's mask is the keystream of ChaCha20 (RFC 8439) under HKDF-SHA256 (RFC 5869) of their X25519 secret
(RFC 7748), the session, the purpose, and both owners with their keys. A secret, session and purpose mask one
array once: two arrays under equal masks show their difference. An owner that drops out leaves its masks standing,
so a sum is of all of them or of nobody (Bonawitz et al. 2017, section 4, without the recovery of dropouts).
"""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hansa.protocols.crypto.fixed import encode
from hansa.protocols.errors import PeerError
from hansa.protocols.model import FloatArray

UintArray: TypeAlias = npt.NDArray[np.uint64]

KEY_BYTES = 32
DOMAIN = b"hansa/pairwise/1\x00"

# Any key will do to see whether a point has small order; X25519 clamps it to a multiple of eight.
_PROBE = X25519PrivateKey.from_private_bytes(bytes([1] * KEY_BYTES))


def public_key(secret: bytes) -> bytes:
    """Return what goes to every other owner, 32 bytes.

    Args:
        secret: 32 random bytes, of this job and for this use alone.

    Raises:
        ValueError: a secret of another length.
    """
    return _private(secret).public_key().public_bytes_raw()


def check_key(sender: str, key: bytes) -> None:
    """Refuse what a peer cannot have drawn: with it everybody would know the masks.

    Raises:
        PeerError: not 32 bytes, or a point of small order, with which every secret comes to zero.
    """
    if len(key) != KEY_BYTES:
        raise PeerError(f"{sender} sent a key of {len(key)} bytes for our masks, not {KEY_BYTES}")
    _shared(_PROBE, sender, key)


def masks(
    secret: bytes, me: str, peers: Mapping[str, bytes], session: bytes, purpose: str, count: int
) -> UintArray:
    """Return what our numbers are masked with: the sum over our peers of ± a keystream.

    Args:
        secret: as for ``public_key``.
        me: our name, as our peers know it.
        peers: by name every other owner's public key; at least one, and not ourselves.
        session: of the job; equal at all owners.
        purpose: what the numbers are; equal at all owners, and different for every array of a job.
        count: how many numbers.

    Returns:
        (count,) uint64. Over all owners it sums to 0 modulo 2^64.

    Raises:
        ValueError: nobody to mask with, ourselves among the peers, or a negative count.
        PeerError: a peer's key is none, see ``check_key``.
    """
    if not peers or me in peers:
        raise ValueError("masks take a peer at least, and nobody is a peer of itself")
    if count < 0:
        raise ValueError(f"there are no {count} masks")
    private = _private(secret)
    mine = private.public_key().public_bytes_raw()
    total = np.zeros(count, np.uint64)
    for peer, theirs in peers.items():
        check_key(peer, theirs)
        first, second = sorted([(me, mine), (peer, theirs)])
        info = _framed(session, purpose.encode(), first[0].encode(), first[1], second[0].encode(), second[1])
        drawn = _keystream(_shared(private, peer, theirs), info, count)
        if me < peer:
            total += drawn
        else:
            total -= drawn
    return total


def encode64(values: FloatArray, bits: int, limit: float) -> UintArray:
    """Turn real numbers into integers modulo 2^64.

    Args:
        values: any shape; finite, |value| ≤ limit.
        bits: fractional bits; rounding is to the nearest multiple of 2^-bits.
        limit: agreed beforehand. limit·2^bits times the number of owners has to stay below 2^63, or their sum
            may wrap: that is for the job's settings to see to.

    Returns:
        The shape of ``values``, uint64; negative numbers as 2^64 minus their size.

    Raises:
        EncodingError: a value beyond the limit, NaN or infinite, by its position; or limit·2^bits ≥ 2^62.
    """
    return encode(values, bits, limit).integers.astype(np.uint64)


def decode64(total: UintArray, bits: int) -> FloatArray:
    """Return the real numbers that a sum of shares stands for, float64, each rounded once."""
    return np.ldexp(total.astype(np.int64).astype(np.float64), -bits)


def _private(secret: bytes) -> X25519PrivateKey:
    if len(secret) != KEY_BYTES:
        raise ValueError(f"a secret has {KEY_BYTES} bytes, not {len(secret)}")
    return X25519PrivateKey.from_private_bytes(secret)


def _shared(private: X25519PrivateKey, peer: str, key: bytes) -> bytes:
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(key))
    except ValueError:
        raise PeerError(f"{peer} sent a key of small order for our masks") from None


def _keystream(shared: bytes, info: bytes, count: int) -> UintArray:
    key = HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(shared)
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(8 * count))
    return np.frombuffer(stream, "<u8").astype(np.uint64)


def _framed(*parts: bytes) -> bytes:
    """Return the parts, each after its length, so that no two lists read alike."""
    return DOMAIN + b"".join(len(part).to_bytes(4, "little") + part for part in parts)
