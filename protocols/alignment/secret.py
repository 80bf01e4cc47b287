"""What does a party draw from its secret? Its key, the order of its list and the padding, and nothing twice.

The secret is 32 random bytes that the agent gives a role when it begins. All that is drawn from it is the
keystream of ChaCha20 under a key made for one purpose (RFC 8439), so that a step that is repeated after a crash
repeats exactly.
"""

import hashlib

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from hansa.protocols.alignment.curve import KEY_BYTES
from hansa.protocols.alignment.points import POINT_BYTES
from hansa.protocols.model import Array, IndexArray

SECRET_BYTES = 32
DOMAIN = b"hansa/alignment/secret/1\x00"


def private_key(secret: bytes) -> bytes:
    """Return the X25519 key of this party in this job: 32 bytes."""
    return _stream(secret, b"key", KEY_BYTES)


def random_digests(secret: bytes, count: int) -> Array:
    """Return digests that stand for no id: (count, 32) uint8, the padding."""
    drawn = _stream(secret, b"padding", count * POINT_BYTES)
    return np.frombuffer(drawn, dtype=np.uint8).reshape(count, POINT_BYTES)


def permutation(secret: bytes, count: int) -> IndexArray:
    """Return 0 … count-1 in secret order, uniform but for ties among ``count`` draws of 64 bits."""
    draws = np.frombuffer(_stream(secret, b"order", count * 8), dtype="<u8")
    return np.argsort(draws, kind="stable").astype(np.int64)


def _stream(secret: bytes, purpose: bytes, length: int) -> bytes:
    key = hashlib.sha256(DOMAIN + purpose + b"\x00" + secret).digest()
    return Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(length))
