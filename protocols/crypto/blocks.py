"""What do worker processes do for encryption and decryption? Pure functions of plain bytes and arrays.

The caller owns the pool and cuts the work; a worker keeps nothing but tables of masks (`masks.table_for`). Masks
alone come from `masks.mask_block`. A product is cut by `product_pieces`, each piece goes to `multiexp.run_piece` in
a worker, and `joined_product` makes of the outcomes what `plain @ array` would have been.
"""

from collections.abc import Sequence

import numpy as np

from hansa.protocols.crypto.array import EncryptedArray
from hansa.protocols.crypto.decryption import decrypt_residues
from hansa.protocols.crypto.digits import Integers
from hansa.protocols.crypto.elements import objects
from hansa.protocols.crypto.errors import ShapeMismatch
from hansa.protocols.crypto.fixed import FixedArray
from hansa.protocols.crypto.integers import to_bytes
from hansa.protocols.crypto.keys import PublicKey, SecretKey
from hansa.protocols.crypto.masks import FreshMasks, table_for
from hansa.protocols.crypto.multiexp import Piece, join, pieces, split_bytes
from hansa.protocols.crypto.stream import SeedStream
from hansa.protocols.crypto.wire import check


def encrypt_block(public: bytes, window_bits: int, integers: Integers, limit: int, seed: bytes) -> bytes:
    """Encrypt a block of fixed-point integers.

    Args:
        public: the public key's bytes.
        window_bits: as `masks.best_window` says.
        integers: int64, any shape.
        limit: as a `FixedArray` has it.
        seed: 32 bytes from `secrets.token_bytes`, never used before.

    Returns:
        The ciphertexts, row by row, `ciphertext_bytes` each.

    Raises:
        EncodingError, PlaintextOverflow: an integer beyond the limit, or a limit beyond the key's plaintexts.
    """
    key = PublicKey.from_bytes(public)
    masks = FreshMasks(table_for(key, window_bits), SeedStream(seed))
    return EncryptedArray.encrypt(key, FixedArray(integers, 0, limit), masks).body()


def decrypt_block(secret: bytes, ciphertexts: bytes) -> bytes:
    """Decrypt a block of ciphertexts.

    Args:
        secret: the secret key's bytes.
        ciphertexts: `ciphertext_bytes` each.

    Returns:
        The residues modulo n, each half as long as a ciphertext; `decryption.signed` reads them as signed.

    Raises:
        CiphertextRefused: one of them is no ciphertext of this key.
    """
    key = SecretKey.from_bytes(secret)
    numbers = split_bytes(memoryview(ciphertexts), key.public.ciphertext_bytes)
    check(numbers, key.public)
    width = key.public.ciphertext_bytes // 2
    return b"".join(to_bytes(residue, width) for residue in decrypt_residues(key, numbers))


def product_pieces(plain: FixedArray, array: EncryptedArray, workers: int) -> list[Piece]:
    """Cut plain @ array into about as many pieces as there are workers.

    Args:
        plain: (results, count) or (count,).
        array: (count,).
        workers: ≥ 1.

    Raises:
        ShapeMismatch: the array has another number of dimensions than one, or the extents differ.
        PlaintextOverflow: the result could leave the range of plaintexts.
    """
    if array.ndim != 1:
        raise ShapeMismatch(f"a product in pieces takes one dimension, not shape {array.shape}")
    array.product_bound(plain)
    matrix = np.atleast_2d(plain.integers)
    public = array.public
    return pieces(matrix, array.body(), int(public.n), public.ciphertext_bytes, workers)


def joined_product(
    plain: FixedArray, array: EncryptedArray, outcomes: Sequence[tuple[Piece, bytes]]
) -> EncryptedArray:
    """Return plain @ array from the pieces and what `run_piece` made of them, in any order.

    Raises:
        ShapeMismatch, PlaintextOverflow: as `product_pieces`.
        CiphertextRefused: an outcome is no ciphertext.
    """
    shape = plain.shape[:-1]
    numbers = join(outcomes, np.atleast_2d(plain.integers).shape[0], array.public.n_squared)
    bits = array.fraction_bits + plain.fraction_bits
    return EncryptedArray.from_ciphertexts(
        array.public, objects(numbers, shape), bits, array.product_bound(plain)
    )
