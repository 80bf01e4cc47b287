"""Decryption: the short way for ciphertexts of the subgroup, the long one for all others."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.protocols.crypto import decryption
from hansa.protocols.crypto.decryption import decrypt_residues, signed
from hansa.protocols.crypto.errors import NotInvertible
from hansa.protocols.crypto.keys import KeyKind, SecretKey
from tests.protocols.crypto.keyring import KINDS, masks_for, secret_key, seeded


def plainly(secret: SecretKey, ciphertext: int) -> int:
    """Decrypt by Paillier's own formula."""
    n = int(secret.public.n)
    phi = int((secret.p - 1) * (secret.q - 1))
    return (pow(int(ciphertext), phi, n * n) - 1) // n * pow(phi, -1, n) % n


def encrypted(secret: SecretKey, plaintext: int, mask: int) -> int:
    n = secret.public.n
    return (1 + plaintext * n) * mask % secret.public.n_squared


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(plaintext=st.integers(-(2**500), 2**500))
def test_every_residue_comes_back(kind: KeyKind, plaintext: int) -> None:
    secret = secret_key(kind)
    ciphertext = encrypted(secret, plaintext % secret.public.n, masks_for(secret.public).take(1)[0])
    residues = decrypt_residues(secret, [ciphertext])
    assert residues == [plaintext % secret.public.n] == [plainly(secret, ciphertext)]
    assert signed(residues, secret.public) == [plaintext]


def test_foreign_masks_under_a_subgroup_key_go_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = secret_key(KeyKind.SUBGROUP)
    n, modulus = int(secret.public.n), int(secret.public.n_squared)
    long_ways: list[int] = []
    original = decryption._long_way

    def counted(ciphertext: int, prime: int, other: int) -> int:
        long_ways.append(prime)
        return original(ciphertext, prime, other)

    monkeypatch.setattr(decryption, "_long_way", counted)
    own = encrypted(secret, 7, masks_for(secret.public).take(1)[0])
    foreign = encrypted(secret, 8, pow(12_345, n, modulus))
    assert decrypt_residues(secret, [own, foreign, own]) == [7, 8, 7]
    assert long_ways == [secret.p, secret.q]


def test_a_mask_in_the_subgroup_modulo_one_prime_only_still_decrypts() -> None:
    secret = secret_key(KeyKind.SUBGROUP)
    p, q, n, modulus = (int(each) for each in (secret.p, secret.q, secret.public.n, secret.public.n_squared))
    own = int(masks_for(secret.public).take(1)[0])
    foreign = pow(54_321, n, modulus)
    half = (own * q * q * pow(q * q, -1, p * p) + foreign * p * p * pow(p * p, -1, q * q)) % modulus
    assert decrypt_residues(secret, [encrypted(secret, 99, half)]) == [99]


@pytest.mark.parametrize("kind", KINDS)
def test_a_factor_of_n_is_no_ciphertext(kind: KeyKind) -> None:
    secret = secret_key(kind)
    with pytest.raises(NotInvertible):
        decrypt_residues(secret, [secret.p * 5])


def test_nothing_decrypts_to_nothing() -> None:
    assert decrypt_residues(secret_key(KeyKind.STANDARD), []) == []
    assert seeded("x")(0) == b""
