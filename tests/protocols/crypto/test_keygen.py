"""Key generation: the conditions that each kind of key rests on, at small and real sizes."""

import secrets
from math import gcd

import pytest

from hansa.protocols.crypto import keygen
from hansa.protocols.crypto.integers import Randomness, is_prime, random_unit
from hansa.protocols.crypto.keygen import generate_standard, generate_subgroup
from hansa.protocols.crypto.keys import KeyKind, SecretKey
from tests.protocols.crypto.keyring import seeded


def check_common(secret: SecretKey, bits: int) -> None:
    p, q, n = int(secret.p), int(secret.q), int(secret.public.n)
    assert n == p * q
    assert n.bit_length() == bits
    assert p.bit_length() == q.bit_length() == bits // 2
    assert p % 4 == q % 4 == 3
    assert is_prime(p)
    assert is_prime(q)
    assert gcd(p - 1, q - 1) == 2
    assert gcd(n, (p - 1) * (q - 1)) == 1


def check_subgroup(secret: SecretKey, alpha_bits: int) -> None:
    """Ma, Han and Lei 2021: p = 2·α·p′ + 1, all prime and distinct; h_s of order 2·α_p·α_q."""
    parts = []
    for prime, alpha in ((int(secret.p), int(secret.alpha_p)), (int(secret.q), int(secret.alpha_q))):
        cofactor, rest = divmod(prime - 1, 2 * alpha)
        assert rest == 0
        assert alpha.bit_length() == alpha_bits
        assert is_prime(alpha)
        assert is_prime(cofactor)
        parts += [alpha, cofactor]
    assert len(set(parts)) == 4
    h_s, modulus = int(secret.public.h_s), int(secret.public.n_squared)
    alphas = int(secret.alpha_p * secret.alpha_q)
    order = 2 * alphas
    assert secret.public.randomness_bits == 2 * alpha_bits
    assert abs(alphas.bit_length() - 2 * alpha_bits) <= 1
    assert pow(h_s, order, modulus) == 1
    for factor in (2, int(secret.alpha_p), int(secret.alpha_q)):
        assert pow(h_s, order // factor, modulus) != 1


@pytest.mark.parametrize("seed", range(5))
def test_small_standard_keys_meet_their_conditions(seed: int) -> None:
    secret = generate_standard(128, randomness=seeded(f"standard {seed}"))
    check_common(secret, 128)
    assert secret.public.kind is KeyKind.STANDARD
    assert secret.public.randomness_bits == 64


@pytest.mark.parametrize("seed", range(5))
def test_small_subgroup_keys_meet_their_conditions(seed: int) -> None:
    secret = generate_subgroup(160, alpha_bits=24, randomness=seeded(f"subgroup {seed}"))
    check_common(secret, 160)
    check_subgroup(secret, 24)


def test_the_generator_of_a_standard_key_is_an_nth_residue_of_a_negative_square() -> None:
    secret = generate_standard(128, randomness=seeded("residue"))
    p, q, n, h_s = (int(each) for each in (secret.p, secret.q, secret.public.n, secret.public.h_s))
    assert pow(h_s, (p - 1) * (q - 1), n * n) == 1  # an n-th residue has no part in the plaintexts' subgroup
    h = pow(h_s, pow(n, -1, (p - 1) * (q - 1)), n)
    for prime in (p, q):
        assert pow(-h, (prime - 1) // 2, prime) == 1
        assert pow(h, (prime - 1) // 2, prime) == prime - 1


def test_a_key_of_real_size_has_them_too() -> None:
    secret = generate_subgroup(2_048, randomness=secrets.token_bytes)
    check_common(secret, 2_048)
    check_subgroup(secret, 224)
    check_common(generate_standard(2_048, randomness=secrets.token_bytes), 2_048)


def test_three_thousand_bits_take_longer_exponents() -> None:
    secret = generate_subgroup(3_072, randomness=seeded("x5"))
    check_common(secret, 3_072)
    check_subgroup(secret, 256)


@pytest.mark.parametrize("bits", [62, 129])
def test_odd_or_tiny_sizes_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match="even number of bits"):
        generate_standard(bits, randomness=seeded("no"))


def test_an_unusual_size_needs_a_subgroup_named_and_room_for_it() -> None:
    with pytest.raises(ValueError, match="name alpha_bits"):
        generate_subgroup(512, randomness=seeded("no"))
    with pytest.raises(ValueError, match="does not fit"):
        generate_subgroup(512, alpha_bits=250, randomness=seeded("no"))


def test_equal_primes_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    original = keygen._layered_prime
    drawn: list[tuple[int, int, int]] = []

    def repeating(bits: int, alpha_bits: int, randomness: Randomness) -> tuple[int, int, int]:
        drawn.append(drawn[0] if len(drawn) == 1 else original(bits, alpha_bits, randomness))
        return drawn[-1]

    monkeypatch.setattr(keygen, "_layered_prime", repeating)
    check_subgroup(generate_subgroup(160, alpha_bits=24, randomness=seeded("twins")), 24)
    assert len(drawn) == 4


def test_a_generator_that_is_one_modulo_a_prime_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def first_one(modulus: int, randomness: Randomness) -> int:
        drawn.append(1 if not drawn else random_unit(modulus, randomness))
        return drawn[-1]

    monkeypatch.setattr(keygen, "random_unit", first_one)
    check_subgroup(generate_subgroup(160, alpha_bits=24, randomness=seeded("one")), 24)
    assert len(drawn) == 2
