"""What worker processes do: the same as the arrays, on plain bytes."""

import numpy as np
import pytest

from hansa.protocols.crypto.array import EncryptedArray
from hansa.protocols.crypto.blocks import decrypt_block, encrypt_block, joined_product, product_pieces
from hansa.protocols.crypto.elements import objects
from hansa.protocols.crypto.errors import EncodingError, PlaintextOverflow, ShapeMismatch, ZeroCiphertext
from hansa.protocols.crypto.fixed import FixedArray
from hansa.protocols.crypto.keys import KeyKind
from hansa.protocols.crypto.multiexp import run_piece, split_bytes
from tests.protocols.crypto.keyring import masks_for, secret_key

SECRET = secret_key(KeyKind.SUBGROUP)
PUBLIC = SECRET.public
SEED = bytes(range(32))


def test_a_block_is_encrypted_in_one_place_and_decrypted_in_another() -> None:
    integers = np.array([5, -7, 0, 2**40])
    block = encrypt_block(PUBLIC.to_bytes(), 5, integers, 2**40, SEED)
    numbers = objects(split_bytes(memoryview(block), PUBLIC.ciphertext_bytes), (4,))
    array = EncryptedArray.from_ciphertexts(PUBLIC, numbers, 0, 2**40)
    assert array.decrypt_integers(SECRET).tolist() == integers.tolist()
    assert array.body() == block
    residues = split_bytes(memoryview(decrypt_block(SECRET.to_bytes(), block)), PUBLIC.ciphertext_bytes // 2)
    assert residues == [each % PUBLIC.n for each in integers.tolist()]


def test_another_seed_makes_other_ciphertexts() -> None:
    blocks = {encrypt_block(PUBLIC.to_bytes(), 5, np.array([1]), 1, bytes([n]) * 32) for n in range(3)}
    assert len(blocks) == 3


def test_a_block_refuses_what_an_array_refuses() -> None:
    with pytest.raises(EncodingError):
        encrypt_block(PUBLIC.to_bytes(), 5, np.array([2]), 1, SEED)
    with pytest.raises(ZeroCiphertext):
        decrypt_block(SECRET.to_bytes(), bytes(PUBLIC.ciphertext_bytes))


@pytest.mark.parametrize("shape", [(5, 12), (12,)])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_product_in_pieces_is_the_product(shape: tuple[int, ...], workers: int) -> None:
    generator = np.random.default_rng(3)
    plain = FixedArray(generator.integers(-(2**16), 2**16, shape), 12, 2**16)
    array = EncryptedArray.encrypt(
        PUBLIC, FixedArray(generator.integers(-100, 100, 12), 5, 100), masks_for(PUBLIC)
    )
    whole = plain @ array
    outcomes = [(piece, run_piece(piece)) for piece in product_pieces(plain, array, workers)]
    joined = joined_product(plain, array, outcomes)
    assert (joined.shape, joined.bound, joined.fraction_bits) == (shape[:-1], whole.bound, 17)
    assert joined.ciphertexts.tolist() == whole.ciphertexts.tolist()
    assert not joined.blinded


def test_pieces_refuse_what_a_product_refuses() -> None:
    array = EncryptedArray.encrypt(PUBLIC, FixedArray(np.array([1, 2]), 0, 2), masks_for(PUBLIC))
    plain = FixedArray(np.array([1, 2]), 0, 2)
    with pytest.raises(ShapeMismatch, match="one dimension"):
        product_pieces(plain, array.reshape(2, 1), 1)
    with pytest.raises(ShapeMismatch, match="inner extents"):
        product_pieces(plain, array[:1], 1)
    with pytest.raises(PlaintextOverflow):
        product_pieces(plain, array.scaled_to(509), 1)
