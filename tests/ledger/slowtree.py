"""RFC 6962, section 2.1, as its text has it: recursive, over whole lists, slow; nothing of hansa's is in here."""

from collections.abc import Sequence
from hashlib import sha256


def split(count: int) -> int:
    """Return k, the largest power of two smaller than n."""
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def tree_hash(data: Sequence[bytes]) -> bytes:
    """MTH(D[n])."""
    if not data:
        return sha256().digest()
    if len(data) == 1:
        return sha256(b"\x00" + data[0]).digest()
    k = split(len(data))
    return sha256(b"\x01" + tree_hash(data[:k]) + tree_hash(data[k:])).digest()


def audit_path(m: int, data: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(data) == 1:
        return []
    k = split(len(data))
    if m < k:
        return [*audit_path(m, data[:k]), tree_hash(data[k:])]
    return [*audit_path(m - k, data[k:]), tree_hash(data[:k])]


def consistency_proof(m: int, data: Sequence[bytes]) -> list[bytes]:
    """PROOF(m, D[n])."""
    return _subproof(m, data, True)


def _subproof(m: int, data: Sequence[bytes], known: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b)."""
    if m == len(data):
        return [] if known else [tree_hash(data)]
    k = split(len(data))
    if m <= k:
        return [*_subproof(m, data[:k], known), tree_hash(data[k:])]
    return [*_subproof(m - k, data[k:], False), tree_hash(data[:k])]
