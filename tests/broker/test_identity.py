"""Identities: keys that work, files that are safe, and nothing secret shown."""

import hashlib
import logging
import os
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hansa.broker.identity as identity_module
from hansa.broker import (
    BadName,
    BadSignature,
    Identity,
    IdentityExists,
    IdentityMissing,
    MalformedIdentity,
    OpenPermissions,
    PublicIdentity,
    Unopenable,
    WrongPassphrase,
    check_name,
    decode,
    encode,
    from_plain,
    to_plain,
)
from hansa.broker.identity import SEAL_OVERHEAD_BYTES
from tests.broker.builders import agent


@pytest.fixture(autouse=True)
def cheap_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_module, "_SCRYPT_N", 2**4)


@pytest.mark.parametrize("name", ["a", "bank-1", "0", "-", "x" * 40])
def test_names_of_lower_letters_digits_and_dashes_are_fine(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "a.b", "a b", "a\n", "ä", "x" * 41, "a/b", "*", "#", "all"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(BadName):
        Identity.generate(name)


@given(st.binary())
def test_a_signature_holds_for_its_bytes_and_its_signer_only(data: bytes) -> None:
    alice, bob = agent("alice"), agent("bob")
    signature = alice.sign(data)
    alice.public.verify(signature, data)
    for public, signed, other in (
        (bob.public, signature, data),
        (alice.public, signature, data + b"x"),
        (alice.public, bytes(64), data),
        (alice.public, b"", data),
    ):
        with pytest.raises(BadSignature, match=public.name):
            public.verify(signed, other)


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_what_is_sealed_opens_for_its_recipient_under_its_info_only(plaintext: bytes, info: bytes) -> None:
    alice, bob = agent("alice"), agent("bob")
    sealed = bob.public.seal(plaintext, info)
    assert len(sealed) == len(plaintext) + SEAL_OVERHEAD_BYTES
    assert bob.open(sealed, info) == plaintext
    for other, ciphertext, context in (
        (alice, sealed, info),
        (bob, sealed, info + b"x"),
        (bob, sealed[:-1], info),
        (bob, b"", info),
    ):
        with pytest.raises(Unopenable):
            other.open(ciphertext, context)


def test_public_keys_travel_as_a_record() -> None:
    public = agent("alice").public
    assert from_plain(PublicIdentity, decode(encode(to_plain(public)))) == public


def test_the_fingerprint_names_all_of_an_identity() -> None:
    alice, bob = agent("alice").public, agent("bob").public
    mixes = [
        alice,
        PublicIdentity("bob", alice.verify_key, alice.seal_key),
        PublicIdentity("alice", bob.verify_key, alice.seal_key),
        PublicIdentity("alice", alice.verify_key, bob.seal_key),
    ]
    assert len({mixed.fingerprint for mixed in mixes}) == len(mixes)
    assert len(alice.fingerprint) == 64
    assert alice.fingerprint.startswith(alice.short_fingerprint)


@pytest.mark.parametrize(
    ("verify_key", "seal_key"),
    [(b"", None), (bytes(33), None), (None, b""), (None, bytes(1_215)), (None, b"\xff" * 1_216)],
)
def test_keys_that_nobody_can_use_are_not_admitted(verify_key: bytes | None, seal_key: bytes | None) -> None:
    public = agent("alice").public
    with pytest.raises(MalformedIdentity, match="alice's public keys"):
        PublicIdentity(
            "alice",
            public.verify_key if verify_key is None else verify_key,
            public.seal_key if seal_key is None else seal_key,
        )


@pytest.mark.parametrize("passphrase", [None, b"", b"open sesame"])
def test_a_saved_identity_comes_back(tmp_path: Path, passphrase: bytes | None) -> None:
    alice, path = agent("alice"), tmp_path / "identity"
    alice.save(path, passphrase)
    back = Identity.load(path, passphrase)
    assert back.public == alice.public
    assert back.name == "alice"
    assert back.home_key() == alice.home_key()
    alice.public.verify(back.sign(b"data"), b"data")
    assert back.open(alice.public.seal(b"text", b""), b"") == b"text"


def test_a_key_file_is_its_owners_alone_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    agent("alice").save(tmp_path / "identity")
    assert os.stat(tmp_path / "identity").st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["identity"]


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "identity"
    agent("alice").save(path)
    before = path.read_bytes()
    with pytest.raises(IdentityExists, match="never overwritten"):
        agent("bob").save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["identity"]


def test_a_missing_folder_is_the_systems_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        agent("alice").save(tmp_path / "none" / "identity")


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(IdentityMissing, match="no key file"):
        Identity.load(tmp_path / "identity")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "identity"
    agent("alice").save(path)
    path.chmod(mode)
    with pytest.raises(OpenPermissions, match=f"{mode:04o}"):
        Identity.load(path)


@pytest.mark.parametrize("passphrase", [None, b"", b"wrong"])
def test_a_wrong_passphrase_is_named(tmp_path: Path, passphrase: bytes | None) -> None:
    path = tmp_path / "identity"
    agent("alice").save(path, b"right")
    with pytest.raises(WrongPassphrase):
        Identity.load(path, passphrase)


def test_a_passphrase_that_is_not_needed_is_ignored(tmp_path: Path) -> None:
    agent("alice").save(tmp_path / "identity")
    assert Identity.load(tmp_path / "identity", b"unneeded").public == agent("alice").public


@pytest.mark.parametrize("protected", [False, True])
def test_no_changed_byte_of_a_key_file_gives_other_keys(tmp_path: Path, protected: bool) -> None:
    path = tmp_path / "identity"
    agent("alice").save(path, b"p" if protected else None)
    whole = path.read_bytes()
    for at in range(0, len(whole), 5):
        path.write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
        try:
            back = Identity.load(path, b"p" if protected else None)
        except (MalformedIdentity, WrongPassphrase):
            continue
        assert back.public == agent("alice").public  # X25519 ignores five bits of its key
        assert not protected
    for end in (0, 10, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(MalformedIdentity):
            Identity.load(path, b"p" if protected else None)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "hansa-identity-2"},
        {"name": "Alice"},
        {"body": b"short"},
        {"scrypt_n": 3},
        {"scrypt_n": -2},
        {"scrypt_n": 2**21},
    ],
)
def test_a_key_file_that_this_build_cannot_use_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    path = tmp_path / "identity"
    agent("alice").save(path)
    stored = decode(path.read_bytes())
    assert isinstance(stored, dict)
    path.write_bytes(encode({**stored, **changes}))  # type: ignore[dict-item]
    with pytest.raises(MalformedIdentity, match="is not a key file"):
        Identity.load(path)


def test_secrets_of_another_length_behind_the_right_passphrase_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "identity"
    protect = identity_module._protect
    monkeypatch.setattr(
        identity_module, "_protect", lambda public, secrets, word: protect(public, b"short", word)
    )
    agent("alice").save(path, b"p")
    with pytest.raises(MalformedIdentity, match="wrong length"):
        Identity.load(path, b"p")


def test_the_home_key_follows_from_the_signing_key_and_differs_from_it() -> None:
    alice, bob = agent("alice"), agent("bob")
    assert alice.home_key() == alice.home_key()
    assert len({alice.home_key(), bob.home_key(), alice._secrets[:32]}) == 3
    assert len(alice.home_key()) == 32


def test_neither_repr_nor_log_nor_error_shows_a_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alice, path = agent("alice"), tmp_path / "identity"
    wrong = b"battery staple"
    alice.save(path, b"correct horse")
    shown = [repr(alice), str(alice), f"{alice!r:}", repr(alice.public)]
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").info("started as %s with %s", alice, alice.public)
        try:
            Identity.load(path, wrong)
        except WrongPassphrase:
            shown.append(traceback.format_exc())
    for text in (*shown, caplog.text):
        assert wrong.decode() not in text
        for part in (alice._secrets[:32], alice._secrets[32:96], alice._secrets[96:], alice.home_key()):
            assert part.hex() not in text
            assert repr(part)[2:-1] not in text
    assert repr(alice) == f"Identity('alice', {alice.public.short_fingerprint})"
    assert hashlib.sha256(alice.public.verify_key).hexdigest() not in repr(alice.public)
