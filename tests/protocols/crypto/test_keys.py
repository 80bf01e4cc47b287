"""Keys: their bytes, their fingerprints, what is refused, and what is never shown."""

from collections.abc import Callable

import pytest

from hansa.protocols.crypto import keys
from hansa.protocols.crypto.errors import KeyRefused
from hansa.protocols.crypto.keys import PUBLIC_DOMAIN, SECRET_DOMAIN, KeyKind, PublicKey, SecretKey
from tests.protocols.crypto.keyring import KINDS, secret_key

Change = Callable[[bytes], bytes]
HEADER = len(PUBLIC_DOMAIN)
STANDARD = secret_key(KeyKind.STANDARD)
SUBGROUP = secret_key(KeyKind.SUBGROUP)


@pytest.mark.parametrize("kind", KINDS)
def test_keys_survive_their_bytes(kind: KeyKind) -> None:
    secret = secret_key(kind)
    again = SecretKey.from_bytes(secret.to_bytes())
    public = PublicKey.from_bytes(secret.public.to_bytes())
    assert again == secret
    assert (public, public.fingerprint, hash(public)) == (
        secret.public,
        secret.public.fingerprint,
        hash(public),
    )
    assert (again.fast_p, again.fast_q, again.p_inverse) == (secret.fast_p, secret.fast_q, secret.p_inverse)


def test_a_public_key_is_checked_once_for_all_who_read_it_and_a_secret_one_is_not_held_on_to() -> None:
    public, secret = SUBGROUP.public.to_bytes(), SUBGROUP.to_bytes()
    assert PublicKey.from_bytes(public) is PublicKey.from_bytes(bytes(bytearray(public)))
    one, two = SecretKey.from_bytes(secret), SecretKey.from_bytes(secret)
    assert one is not two
    assert one.public is two.public


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_our_own_needs_no_check(kind: KeyKind, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = secret_key(kind)
    data = secret.to_bytes()
    PublicKey.from_bytes(secret.public.to_bytes())
    monkeypatch.setattr(keys, "is_prime", lambda _: False)  # as if p and q were none
    again = SecretKey.from_bytes(data, check=False)
    assert again == secret
    assert (again.fast_p, again.fast_q, again.p_inverse) == (secret.fast_p, secret.fast_q, secret.p_inverse)
    with pytest.raises(KeyRefused, match="primes"):
        SecretKey.from_bytes(data)


@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_key_shows_nothing_but_whose_it_is(kind: KeyKind) -> None:
    secret = secret_key(kind)
    shown = repr(secret) + str(secret) + f"{secret}"
    assert secret.public.fingerprint.hex()[:16] in shown
    for number in (secret.p, secret.q, secret.alpha_p, secret.fast_p):
        assert number == 0 or str(number) not in shown
        assert number == 0 or f"{number:x}" not in shown


def test_fingerprints_tell_kinds_of_one_modulus_apart() -> None:
    foreign = secret_key(KeyKind.FOREIGN).public
    assert foreign.n == STANDARD.public.n
    assert foreign.fingerprint != STANDARD.public.fingerprint


def with_byte(data: bytes, position: int, value: int) -> bytes:
    return data[:position] + bytes([value]) + data[position + 1 :]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: b"", "no Paillier public key"),
        (lambda data: b"x" + data[1:], "no Paillier public key"),
        (lambda data: with_byte(data, HEADER, 9), "unknown kind 9"),
        (lambda data: data[:-1], "does not have"),
        (lambda data: data + b"\0", "does not have"),
        (lambda data: data[: HEADER + 1] + (2**31).to_bytes(4, "big") + data[HEADER + 5 :], "does not have"),
        (lambda data: with_byte(data, HEADER + 9, 0), "bits, its modulus has"),
        (lambda data: data[: HEADER + 5] + bytes(4) + data[HEADER + 9 :], "masks of 0 bits"),
        (lambda data: data[:-128] + bytes(128), "generator"),
        (lambda data: data[:-128] + b"\xff" * 128, "generator"),
        (lambda data: with_byte(data, HEADER + 9 + 63, data[HEADER + 9 + 63] ^ 1), "odd product"),
    ],
)
def test_bytes_that_make_no_public_key_are_refused(change: Change, says: str) -> None:
    data = STANDARD.public.to_bytes()
    with pytest.raises(KeyRefused, match=says):
        PublicKey.from_bytes(change(data))


def test_a_prime_is_no_modulus_and_a_foreign_key_has_no_generator() -> None:
    with pytest.raises(KeyRefused, match="two primes"):
        PublicKey(KeyKind.FOREIGN, 2**127 - 1, 0, 127)
    with pytest.raises(KeyRefused, match="no generator"):
        PublicKey(KeyKind.FOREIGN, int(STANDARD.public.n), 4, 512)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: b"x" + data[1:],
        lambda data: SECRET_DOMAIN + data[len(SECRET_DOMAIN) + 1 :],
        lambda data: SECRET_DOMAIN + data[len(SECRET_DOMAIN) + 4 :],
        lambda data: data[: data.index(PUBLIC_DOMAIN)],
    ],
)
def test_bytes_that_make_no_secret_key_are_refused(change: Change) -> None:
    with pytest.raises(KeyRefused):
        SecretKey.from_bytes(change(STANDARD.to_bytes()))


def test_numbers_that_are_not_the_keys_are_refused_without_being_quoted() -> None:
    other = secret_key(KeyKind.STANDARD, "other")
    n = int(STANDARD.public.n)
    p, q, alpha_p, alpha_q = (int(x) for x in (SUBGROUP.p, SUBGROUP.q, SUBGROUP.alpha_p, SUBGROUP.alpha_q))
    attempts: list[tuple[SecretKey, tuple[int, int, int, int], str]] = [
        (STANDARD, (int(other.p), int(other.q), 0, 0), "primes"),
        (STANDARD, (1, n, 0, 0), "primes"),
        (STANDARD, (int(STANDARD.p), int(STANDARD.q), 5, 7), "another kind's"),
        (SUBGROUP, (p, q, 0, 0), "another kind's"),
        (SUBGROUP, (p, q, alpha_p, 0), "another kind's"),
        (SUBGROUP, (p, q, alpha_q, alpha_q), "orders"),
        (SUBGROUP, (p, q, alpha_p, 1), "orders"),
    ]
    for secret, numbers, says in attempts:
        with pytest.raises(KeyRefused, match=says) as refusal:
            SecretKey(secret.public, *numbers)
        assert not any(str(number) in str(refusal.value) for number in numbers if number > 100)


def test_a_modulus_that_shares_a_factor_with_phi_is_refused() -> None:
    with pytest.raises(KeyRefused, match="share a factor"):
        SecretKey(PublicKey(KeyKind.FOREIGN, 3 * 7, 0, 5), 3, 7)
