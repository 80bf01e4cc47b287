"""Masks that two and two agree on, and that vanish from the sum of all."""

import hmac
from itertools import combinations

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from hypothesis import given
from hypothesis import strategies as st

from hansa.protocols.crypto.errors import EncodingError
from hansa.protocols.errors import PeerError
from hansa.protocols.pairwise import UintArray, check_key, decode64, encode64, masks, public_key

SESSION = b"s" * 32
# RFC 7748, section 6.1: by name the private and the public key, and what both come to.
ALICE = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
ALICE_PUBLIC = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
BOB = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
BOB_PUBLIC = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
SHARED = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
SMALL_ORDER = (
    bytes(32),
    bytes([1]) + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    (2**255 - 19).to_bytes(32, "little"),
)


def secret_of(name: str, run: int = 0) -> bytes:
    return f"{name}{run}".encode().ljust(32, b"-")


def everybodys(names: tuple[str, ...], count: int, purpose: str = "scores") -> dict[str, UintArray]:
    keys = {name: public_key(secret_of(name)) for name in names}
    return {
        name: masks(
            secret_of(name), name, {n: k for n, k in keys.items() if n != name}, SESSION, purpose, count
        )
        for name in names
    }


def test_the_public_key_is_the_rfcs_x25519() -> None:
    assert public_key(ALICE) == ALICE_PUBLIC
    assert public_key(BOB) == BOB_PUBLIC


def test_a_mask_is_chacha20_under_hkdf_of_the_shared_secret() -> None:
    parts = (SESSION, b"scores", b"alice", ALICE_PUBLIC, b"bob", BOB_PUBLIC)
    info = b"hansa/pairwise/1\x00" + b"".join(len(part).to_bytes(4, "little") + part for part in parts)
    pseudorandom = hmac.digest(bytes(32), SHARED, "sha256")  # RFC 5869, without salt
    key = hmac.digest(pseudorandom, info + b"\x01", "sha256")
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(80))
    drawn = np.frombuffer(stream, "<u8")
    assert (masks(ALICE, "alice", {"bob": BOB_PUBLIC}, SESSION, "scores", 10) == drawn).all()
    assert (masks(BOB, "bob", {"alice": ALICE_PUBLIC}, SESSION, "scores", 10) == -drawn).all()


@pytest.mark.parametrize("parties", [2, 3, 5])
def test_the_masks_of_all_owners_cancel(parties: int) -> None:
    shares = everybodys(tuple("abcde"[:parties]), 100)
    total = np.zeros(100, np.uint64)
    for share in shares.values():
        total += share
    assert not total.any()


def test_the_masks_of_fewer_than_all_owners_do_not_cancel() -> None:
    shares = everybodys(("a", "b", "c", "d"), 100)
    for some in range(1, 4):
        for chosen in combinations(shares.values(), some):
            assert np.count_nonzero(np.sum(chosen, axis=0, dtype=np.uint64)) == 100


def test_masks_look_uniform_in_every_byte() -> None:
    share = everybodys(("a", "b"), 16_384)["a"]
    counts = np.bincount(share.view(np.uint8), minlength=256)
    expected = 8 * 16_384 / 256
    assert ((counts - expected) ** 2 / expected).sum() < 400  # χ² of 255 degrees: about 255 ± 23


def test_a_mask_belongs_to_its_session_purpose_names_and_keys() -> None:
    key = public_key(secret_of("b"))
    drawn = masks(secret_of("a"), "a", {"b": key}, SESSION, "scores", 8)
    others = [
        masks(secret_of("a"), "a", {"b": key}, b"t" * 32, "scores", 8),
        masks(secret_of("a"), "a", {"b": key}, SESSION, "labels", 8),
        masks(secret_of("a"), "a", {"c": key}, SESSION, "scores", 8),
        masks(secret_of("a"), "aa", {"b": key}, SESSION, "scores", 8),
        masks(secret_of("a", 1), "a", {"b": key}, SESSION, "scores", 8),
        masks(secret_of("a"), "a", {"b": public_key(secret_of("b", 1))}, SESSION, "scores", 8),
    ]
    assert all((other != drawn).all() and (other != -drawn).all() for other in others)
    assert (masks(secret_of("a"), "a", {"b": key}, SESSION, "scores", 8) == drawn).all()


def test_the_masks_of_a_few_rows_are_the_beginning_of_those_of_many() -> None:
    assert (everybodys(("a", "b"), 3)["a"] == everybodys(("a", "b"), 9)["a"][:3]).all()
    assert everybodys(("a", "b"), 0)["a"].shape == (0,)


@pytest.mark.parametrize("key", SMALL_ORDER)
def test_a_key_of_small_order_is_refused_by_its_senders_name(key: bytes) -> None:
    with pytest.raises(PeerError, match="north sent a key of small order"):
        check_key("north", key)
    with pytest.raises(PeerError, match="north sent a key of small order"):
        masks(secret_of("a"), "a", {"north": key}, SESSION, "scores", 1)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(PeerError, match=f"north sent a key of {length} bytes"):
        check_key("north", bytes(length))


def test_what_the_caller_gets_wrong_is_refused() -> None:
    key = public_key(secret_of("b"))
    with pytest.raises(ValueError, match="a secret has 32 bytes, not 3"):
        public_key(b"abc")
    with pytest.raises(ValueError, match="take a peer"):
        masks(secret_of("a"), "a", {}, SESSION, "scores", 1)
    with pytest.raises(ValueError, match="nobody is a peer of itself"):
        masks(secret_of("a"), "a", {"a": key}, SESSION, "scores", 1)
    with pytest.raises(ValueError, match="no -1 masks"):
        masks(secret_of("a"), "a", {"b": key}, SESSION, "scores", -1)


@given(st.lists(st.lists(st.floats(-1000, 1000), min_size=4, max_size=4), min_size=2, max_size=4))
def test_the_sum_of_masked_shares_is_the_sum_of_the_numbers(numbers: list[list[float]]) -> None:
    names = tuple("abcd"[: len(numbers)])
    total = np.zeros(4, np.uint64)
    for name, share in everybodys(names, 4).items():
        total += encode64(np.array(numbers[names.index(name)]), 36, 1000.0) + share
    np.testing.assert_allclose(decode64(total, 36), np.sum(numbers, axis=0), atol=len(numbers) * 2.0**-37)


@given(st.lists(st.floats(-(2.0**20), 2.0**20), max_size=20))
def test_encoding_comes_back_to_the_nearest_step(values: list[float]) -> None:
    given_ = np.array(values, np.float64)
    back = decode64(encode64(given_, 30, 2.0**20), 30)
    assert (np.abs(back - given_) <= 2.0**-31).all()


def test_the_ends_of_the_range_come_back() -> None:
    ends = np.array([2**63, 2**63 - 1, 2**64 - 1], np.uint64)
    assert decode64(ends, 0).tolist() == [-(2.0**63), 2.0**63, -1.0]


@pytest.mark.parametrize("bad", [1001.0, -1001.0, np.nan, np.inf])
def test_a_number_beyond_the_limit_is_refused_by_its_place(bad: float) -> None:
    with pytest.raises(EncodingError, match=r"element \[1\]") as refusal:
        encode64(np.array([1.0, bad]), 36, 1000.0)
    assert "1001" not in str(refusal.value)
