"""How does an id become a point that only all parties together can name?

It is hashed until the hash is the u coordinate of a point on Curve25519, then raised by X25519 to each party's
secret key in turn. X25519 is commutative, so whoever's turn comes first, the last point is the same; and a
point raised to a key looks like any other (decisional Diffie-Hellman).

Why hash *until*: X25519 takes any 32 bytes, but half of them lie on the curve's twist, and a point never leaves
the one for the other. Without the Jacobi test every blinded id would tell one bit of its hash.

Keys are multiples of eight (RFC 7748, "clamping"), which sends every point of small order to zero, and removes
from any other whatever of small order was added to it. A zero is refused.

Sources: RFC 7748; Huberman, Franklin and Hogg 1999, "Enhancing Privacy and Trust in Electronic Communities".
"""

import hashlib
from itertools import count

import gmpy2
import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from hansa.protocols.alignment.points import POINT_BYTES, repetition
from hansa.protocols.model import Array

KEY_BYTES = 32
DOMAIN = b"hansa/alignment/point/1\x00"

_P = gmpy2.mpz(2**255 - 19)
_A = gmpy2.mpz(486_662)
_LOW_255 = gmpy2.mpz(2**255 - 1)


class SmallOrder(ValueError):
    """A point of small order; ``position`` is its place in the list."""

    def __init__(self, position: int) -> None:
        super().__init__(f"the point at {position} has small order")
        self.position = position


def hash_to_curve(digest: bytes) -> bytes:
    """Return the u coordinate (32 bytes, little-endian) of a point on the curve, as a random oracle would.

    Takes two attempts on average. How many it takes can be told from the time, by somebody who watches the
    owner of the id compute.

    Args:
        digest: what stands for the id in this session, 32 bytes.
    """
    sha512, jacobi, read = hashlib.sha512, gmpy2.jacobi, gmpy2.mpz.from_bytes  # hot: a million ids
    start = DOMAIN + digest
    for attempt in count():
        drawn = sha512(start + attempt.to_bytes(4, "little")).digest()
        for half in (drawn[:32], drawn[32:]):
            u = read(half, "little") & _LOW_255
            if u < _P and jacobi(u * (u * (u + _A) + 1) % _P, _P) == 1:
                return bytes(u.to_bytes(POINT_BYTES, "little"))
    raise AssertionError("there is no end to the attempts")


def blind(digests: Array, key: bytes) -> Array:
    """Hash each digest to the curve and raise it to a key.

    Args:
        digests: (n, 32) uint8.
        key: 32 bytes.

    Returns:
        (n, 32) uint8, read-only.
    """
    raw = digests.tobytes()
    exchange, read = X25519PrivateKey.from_private_bytes(key).exchange, X25519PublicKey.from_public_bytes
    return _points(
        [exchange(read(hash_to_curve(raw[at : at + 32]))) for at in range(0, len(raw), POINT_BYTES)]
    )


def raised(points: Array, key: bytes) -> Array:
    """Raise each point to a key.

    Args:
        points: (n, 32) uint8.
        key: 32 bytes.

    Returns:
        (n, 32) uint8, read-only.

    Raises:
        SmallOrder: a point comes to zero.
    """
    raw = points.tobytes()
    exchange, read = X25519PrivateKey.from_private_bytes(key).exchange, X25519PublicKey.from_public_bytes
    done: list[bytes] = []
    try:
        done.extend(exchange(read(raw[at : at + 32])) for at in range(0, len(raw), POINT_BYTES))
    except ValueError:
        raise SmallOrder(len(done)) from None
    return _points(done)


def check_points(points: Array, expected: int) -> None:
    """Refuse what can't be so many different points, before anybody computes with it.

    Args:
        points: as it came from a peer.
        expected: how many there should be.

    Raises:
        ValueError: another type or shape, a coordinate that isn't below 2^255 - 19 (the same point would have
            two names), or a point that stands there twice.
    """
    if points.dtype != np.uint8 or points.shape != (expected, POINT_BYTES):
        raise ValueError(f"expected ({expected}, {POINT_BYTES}) uint8, not {points.shape} {points.dtype}")
    high = points[points[:, 31] >= 0x7F]
    middle = (high[:, 1:31] == 0xFF).all(axis=1)
    if ((high[:, 31] > 0x7F) | (middle & (high[:, 0] >= 0xED))).any():
        raise ValueError("a coordinate is not below 2^255 - 19")
    if repetition(points) is not None:
        raise ValueError("a point stands there twice")


def _points(raw: list[bytes]) -> Array:
    return np.frombuffer(b"".join(raw), dtype=np.uint8).reshape(-1, POINT_BYTES)
