"""Paillier over arrays: keys, masks, fixed point, encrypted arrays and their arithmetic. See docs/paillier.md.

`interchange` is not re-exported: it is about phe, which need not be here.
"""

from hansa.protocols.crypto.array import EncryptedArray, concatenate
from hansa.protocols.crypto.fixed import FixedArray, decode, encode
from hansa.protocols.crypto.integers import Randomness
from hansa.protocols.crypto.keygen import generate_standard, generate_subgroup
from hansa.protocols.crypto.keys import KeyKind, PublicKey, SecretKey
from hansa.protocols.crypto.masks import (
    FreshMasks,
    MaskPool,
    MaskSource,
    MaskTable,
    best_window,
    table_for,
)
from hansa.protocols.crypto.packing import Packing
from hansa.protocols.crypto.stream import SeedStream

__all__ = [
    "EncryptedArray",
    "FixedArray",
    "FreshMasks",
    "KeyKind",
    "MaskPool",
    "MaskSource",
    "MaskTable",
    "Packing",
    "PublicKey",
    "Randomness",
    "SecretKey",
    "SeedStream",
    "best_window",
    "concatenate",
    "decode",
    "encode",
    "generate_standard",
    "generate_subgroup",
    "table_for",
]
