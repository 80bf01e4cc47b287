"""What worker processes do: the same as the arrays, on plain bytes."""

import numpy as np
import pytest

from hansa.protocols.crypto.array import EncryptedArray
from hansa.protocols.crypto.blocks import decrypt_block, encrypt_block
from hansa.protocols.crypto.elements import objects
from hansa.protocols.crypto.errors import EncodingError, ZeroCiphertext
from hansa.protocols.crypto.keys import KeyKind
from hansa.protocols.crypto.multiexp import split_bytes
from tests.protocols.crypto.keyring import secret_key

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
