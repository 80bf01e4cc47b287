"""Packing: several numbers in one plaintext, before encryption and under it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.protocols.crypto.array import EncryptedArray
from hansa.protocols.crypto.elements import objects
from hansa.protocols.crypto.errors import NotASlot, PlaintextOverflow, ShapeMismatch
from hansa.protocols.crypto.fixed import FixedArray, encode
from hansa.protocols.crypto.integers import random_below
from hansa.protocols.crypto.keygen import generate_subgroup
from hansa.protocols.crypto.keys import KeyKind
from hansa.protocols.crypto.packing import Packing
from tests.protocols.crypto.keyring import masks_for, secret_key, seeded

SECRET = secret_key(KeyKind.SUBGROUP)
PUBLIC = SECRET.public
MASKS = masks_for(PUBLIC)
BOUND = 10**9


@settings(deadline=None)
@given(st.integers(0, 2**100), st.data())
def test_integers_come_back_from_their_slots(bound: int, data: st.DataObject) -> None:
    packing = Packing.of(PUBLIC, bound)
    numbers = data.draw(st.lists(st.integers(-bound, bound), max_size=3 * packing.slots))
    packed = packing.pack_integers(numbers)
    assert len(packed) == packing.packed_size(len(numbers))
    assert all(abs(each) <= packing.plaintext_bound <= PUBLIC.largest for each in packed)
    assert packing.unpack_integers(packed.tolist(), len(numbers)) == numbers


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(-BOUND, BOUND), min_size=1, max_size=40))
def test_encrypted_numbers_come_back_from_their_slots(numbers: list[int]) -> None:
    packing = Packing.of(PUBLIC, BOUND)
    array = EncryptedArray.encrypt(PUBLIC, FixedArray(np.array(numbers), 4, BOUND), MASKS)
    packed = packing.pack(array, MASKS)
    assert packed.blinded
    assert packed.fraction_bits == 4
    received = EncryptedArray.from_bytes(packed.to_bytes(), PUBLIC, (packing.packed_size(len(numbers)),))
    opened = received.decrypt_integers(SECRET).tolist()
    assert packing.unpack_integers(opened, len(numbers)) == numbers


def test_guard_bits_leave_room_for_sums_of_packed_numbers() -> None:
    packing = Packing.of(PUBLIC, BOUND, guard_bits=3)
    numbers = [BOUND, -BOUND, 5] * 10
    one = EncryptedArray.encrypt_integers(
        PUBLIC, packing.pack_integers(numbers), 0, packing.plaintext_bound // 8, MASKS
    )
    total = one + one + one + one + one + one + one + one
    opened = total.decrypt_integers(SECRET).tolist()
    assert packing.unpack_integers(opened, 30) == [8 * number for number in numbers]


def test_a_real_key_has_room_for_a_gradient() -> None:
    secret = generate_subgroup(2_048, randomness=seeded("real size"))
    bound = 30_000 * 2**19 * 2**34  # rows × feature × residual
    packing = Packing.of(secret.public, bound)
    assert packing.slots >= 20
    masks = masks_for(secret.public)
    numbers = [int(random_below(2 * bound, seeded("gradient"))) - bound for _ in range(packing.slots + 1)]
    array = EncryptedArray.encrypt_integers(
        secret.public, objects(numbers, (len(numbers),)), 30, bound, masks
    )
    packed = packing.pack(array, masks)
    assert packed.shape == (2,)
    assert packing.unpack_integers(packed.decrypt_integers(secret).tolist(), len(numbers)) == numbers


def test_a_slot_that_does_not_fit_is_refused() -> None:
    with pytest.raises(PlaintextOverflow, match="under a key of 512"):
        Packing.of(PUBLIC, 2**511)
    for fields in ((-1, 1), (1, 0)):
        with pytest.raises(ValueError, match="at least one slot"):
            Packing(*fields)


def test_numbers_beyond_their_slot_are_refused() -> None:
    packing = Packing(7, 4)
    array = EncryptedArray.encrypt(PUBLIC, encode([1.0, 2.0], 0, 8.0), MASKS)
    with pytest.raises(PlaintextOverflow, match="beyond its slot"):
        packing.pack_integers([8])
    with pytest.raises(PlaintextOverflow, match="beyond that of a slot"):
        packing.pack(array, MASKS)
    with pytest.raises(PlaintextOverflow, match="beyond that of a slot"):
        packing.pack(array.masked(objects([1, 2], (2,))), MASKS)
    with pytest.raises(PlaintextOverflow, match="slots of 5 bits"):
        Packing(8, 200).pack(array, MASKS)
    with pytest.raises(ShapeMismatch, match="one dimension"):
        Packing(8, 4).pack(array.reshape(2, 1), MASKS)


def test_plaintexts_packed_otherwise_are_refused() -> None:
    packing = Packing(6, 3)
    with pytest.raises(ShapeMismatch, match="2 plaintexts for 3 numbers"):
        packing.unpack_integers([0, 0], 3)
    with pytest.raises(NotASlot, match="more than its bound"):
        packing.unpack_integers([7], 3)
    with pytest.raises(NotASlot, match="wider than its slots"):
        packing.unpack_integers([1 << 12], 3)
    with pytest.raises(NotASlot, match="should be empty"):
        packing.unpack_integers([1 << 4], 1)
