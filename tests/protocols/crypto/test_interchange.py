"""phe as the oracle, both ways; and everything else without it."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import phe
import pytest

import hansa.protocols.crypto
from hansa.protocols.crypto.array import EncryptedArray
from hansa.protocols.crypto.elements import objects
from hansa.protocols.crypto.errors import InterchangeUnavailable, PlaintextOverflow, WrongKey
from hansa.protocols.crypto.fixed import FixedArray, encode
from hansa.protocols.crypto.interchange import (
    from_phe_numbers,
    from_phe_public,
    from_phe_secret,
    to_phe_numbers,
    to_phe_public,
    to_phe_secret,
)
from hansa.protocols.crypto.keys import KeyKind
from tests.protocols.crypto.keyring import KINDS, masks_for, secret_key

VALUES = [1.5, -2.25, 0.0, 1e-4, -300.0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fraction_bits", [20, 21, 23])
def test_phe_decrypts_our_numbers(kind: KeyKind, fraction_bits: int) -> None:
    secret = secret_key(kind)
    masks = masks_for(secret.public)
    fixed = encode(VALUES, fraction_bits, 512.0)
    array = EncryptedArray.encrypt(secret.public, fixed, masks)
    theirs = to_phe_secret(secret)
    assert [theirs.decrypt(each) for each in to_phe_numbers(array)] == fixed.decoded().tolist()
    product = encode(np.ones((1, 5)), fraction_bits, 1.0) @ array
    assert theirs.decrypt(to_phe_numbers(product)[0]) == fixed.decoded().sum()


@pytest.mark.parametrize("kind", KINDS)
def test_we_decrypt_phes_numbers_and_reckon_with_them(kind: KeyKind) -> None:
    secret = secret_key(kind)
    theirs = to_phe_public(secret.public)
    numbers = [theirs.encrypt(value) for value in [*VALUES, 7, 2**40]]
    array = from_phe_numbers(secret.public, numbers, limit=2.0**41)
    assert array.decrypt(secret).tolist() == [*VALUES, 7.0, 2.0**40]
    assert (array * -2).decrypt(secret).tolist() == [-2 * value for value in [*VALUES, 7.0, 2.0**40]]
    assert not array.blinded


def test_keys_go_over_and_come_back() -> None:
    public, secret = phe.generate_paillier_keypair(n_length=512)
    ours = from_phe_secret(secret)
    assert ours.public == from_phe_public(public)
    assert ours.public.kind is KeyKind.FOREIGN
    array = EncryptedArray.encrypt(ours.public, encode(VALUES, 20, 512.0), masks_for(ours.public))
    assert [secret.decrypt(each) for each in to_phe_numbers(array)] == array.decrypt(ours).tolist()
    assert to_phe_secret(ours) == secret
    assert to_phe_public(ours.public) == public


def test_a_real_key_agrees_with_phe_on_random_numbers() -> None:
    secret = secret_key(KeyKind.SUBGROUP, "real", bits=2_048)
    theirs = to_phe_secret(secret)
    generator = random.Random(11)
    integers = np.array([generator.randrange(-(2**50), 2**50) for _ in range(10)])
    array = EncryptedArray.encrypt(secret.public, FixedArray(integers, 0, 2**50), masks_for(secret.public))
    assert [theirs.decrypt(each) for each in to_phe_numbers(array)] == integers.tolist()


def test_what_phe_cannot_hold_is_refused() -> None:
    secret = secret_key(KeyKind.SUBGROUP)
    masks = masks_for(secret.public)
    bound = int(secret.public.n) * 2 // 5
    array = EncryptedArray.encrypt_integers(secret.public, objects([1], (1,)), 0, bound, masks)
    with pytest.raises(PlaintextOverflow, match="a third of the residues"):
        to_phe_numbers(array)
    with pytest.raises(PlaintextOverflow, match="a third of the residues"):
        to_phe_numbers(array.masked(objects([1], (1,))))
    other = to_phe_public(secret_key(KeyKind.SUBGROUP, "other").public)
    with pytest.raises(WrongKey):
        from_phe_numbers(secret.public, [other.encrypt(1)], limit=1.0)


def test_without_phe_only_the_interchange_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phe", None)
    secret = secret_key(KeyKind.SUBGROUP)
    array = EncryptedArray.encrypt(secret.public, encode(VALUES, 20, 512.0), masks_for(secret.public))
    assert array.decrypt(secret).shape == (5,)
    with pytest.raises(InterchangeUnavailable, match="pip install"):
        to_phe_public(secret.public)


def test_nothing_imports_phe_until_it_is_asked_for() -> None:
    folder = Path(hansa.protocols.crypto.__file__).parent
    modules = ", ".join(f"hansa.protocols.crypto.{each.stem}" for each in sorted(folder.glob("[a-z]*.py")))
    code = f"import sys, {modules}; sys.exit('phe' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
