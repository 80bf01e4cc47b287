"""A checkpoint has one text; what is signed of it are exactly these bytes; another key, time or head is refused."""

import base64
import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from hansa.broker.identity import Identity
from hansa.ledger import BadNote, Checkpoint, Note, read_checkpoint, read_note
from hansa.ledger.checkpoints import (
    MOST_TIME_S,
    check_cosigned,
    check_signed,
    cosign,
    read_head,
    sign_checkpoint,
    signature_of,
)
from hansa.ledger.merkle import EMPTY_ROOT, MOST_LEAVES
from tests.ledger.town import BREMEN, DANZIG, LUBECK, signed_note

FINGERPRINT = bytes(range(32))
ROOT = bytes(range(100, 132))
HEAD = Checkpoint("hansa", FINGERPRINT, 1_234, ROOT, 3, "lubeck")
TEXT = """\
hansa/hansa/000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
1234
ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM=
epoch 3 lubeck
"""
NAMES = st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True).filter(lambda name: name != "all")
NUMBERS = st.integers(0, MOST_LEAVES)
HASHES = st.binary(min_size=32, max_size=32)
HEADS = st.builds(Checkpoint, NAMES, HASHES, NUMBERS.filter(bool), HASHES, NUMBERS, NAMES)


def test_a_checkpoint_has_this_text() -> None:
    assert HEAD.text == TEXT
    assert read_checkpoint(TEXT) == HEAD
    assert str(HEAD) == "1234 entries, root 6465666768696a6b, epoch 3 of lubeck"
    assert HEAD.cosigner("bremen") == f"{HEAD.origin}/bremen"


@given(HEADS)
def test_every_checkpoint_comes_back_from_its_text(head: Checkpoint) -> None:
    assert read_checkpoint(head.text) == head


@pytest.mark.parametrize(
    "changes",
    [
        {"federation": "Hansa"},
        {"keeper": "all"},
        {"fingerprint": bytes(31)},
        {"root": bytes(33)},
        {"size": -1},
        {"size": MOST_LEAVES + 1},
        {"epoch": -1},
        {"epoch": MOST_LEAVES + 1},
        {"size": 0},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_what_no_checkpoint_says(changes: dict[str, object]) -> None:
    with pytest.raises(Exception, match=r"names|nobody's name|a checkpoint's|the empty tree"):
        replace(HEAD, **changes)  # type: ignore[arg-type]


def test_an_empty_ledger_has_the_empty_trees_root() -> None:
    assert read_checkpoint(replace(HEAD, size=0, root=EMPTY_ROOT).text).size == 0


OTHER_FORMS = {
    "no newline at the end": TEXT[:-1],
    "a line more": TEXT + "more\n",
    "a line less": TEXT.replace("epoch 3 lubeck\n", ""),
    "a space behind": TEXT.replace("1234\n", "1234 \n"),
    "a zero in front": TEXT.replace("\n1234\n", "\n01234\n"),
    "a sign": TEXT.replace("\n1234\n", "\n+1234\n"),
    "other digits": TEXT.replace("1234", "١٢٣٤"),
    "too many entries": TEXT.replace("\n1234\n", f"\n{MOST_LEAVES + 1}\n"),
    "far too many": TEXT.replace("\n1234\n", f"\n{'9' * 30}\n"),
    "capital hex digits": TEXT.replace("0a0b", "0A0B"),
    "a short fingerprint": TEXT.replace("1e1f", "1e"),
    "another origin": TEXT.replace("hansa/hansa", "example.com/hansa"),
    "base64 without its end": TEXT.replace("oM=", "oM"),
    "base64 with spare bits": TEXT.replace("oM=", "oN="),
    "base64 of other letters": TEXT.replace("H1+f", "H1-f"),
    "base64 with others among": TEXT.replace("ZGVm", "ZG é"),
    "a short root": TEXT.replace("ZGVm", ""),
    "a name that is none": TEXT.replace("lubeck", "all"),
    "no epoch": TEXT.replace("epoch 3", "epoch"),
    "an epoch with a zero in front": TEXT.replace("epoch 3", "epoch 03"),
    "the empty tree with another root": TEXT.replace("\n1234\n", "\n0\n"),
}


@pytest.mark.parametrize("text", OTHER_FORMS.values(), ids=OTHER_FORMS.keys())
def test_a_checkpoint_has_no_other_form(text: str) -> None:
    with pytest.raises(BadNote):
        read_checkpoint(text)


@given(st.text(max_size=120) | st.lists(st.sampled_from([*TEXT.splitlines(), "", "0", "é"])).map("\n".join))
def test_no_text_crashes_the_reader(text: str) -> None:
    try:
        head = read_checkpoint(text)
    except BadNote:
        return
    assert head.text == text


def test_a_noted_head_is_read_whoever_signed_it() -> None:
    assert read_head(signed_note(HEAD, DANZIG).encoded()) == HEAD
    with pytest.raises(BadNote):
        read_head(b"no note")


# --- signatures -----------------------------------------------------------------------------------------
SEED = bytes(range(32))
FIXED = Identity("bremen", SEED + bytes(96))
SIGNING = Ed25519PrivateKey.from_private_bytes(SEED)


def test_the_keeper_signs_the_text_and_nothing_else() -> None:
    line = sign_checkpoint(FIXED, HEAD)
    public = SIGNING.public_key().public_bytes_raw()
    assert line.name == HEAD.origin
    assert line.key_id == hashlib.sha256(HEAD.origin.encode() + b"\n\x01" + public).digest()[:4]
    assert line.signature == SIGNING.sign(TEXT.encode())
    check_signed(HEAD, line, FIXED.public)


def test_a_cosignature_is_of_exactly_these_bytes() -> None:
    line = cosign(FIXED, HEAD, 1_679_315_147)
    name = f"{HEAD.origin}/bremen"
    public = SIGNING.public_key().public_bytes_raw()
    said = b"cosignature/v1\ntime 1679315147\n" + TEXT.encode()
    assert line.name == name
    assert line.key_id == hashlib.sha256(name.encode() + b"\n\x04" + public).digest()[:4]
    assert line.signature == (1_679_315_147).to_bytes(8, "big") + SIGNING.sign(said)
    assert line.line == f"— {name} {base64.b64encode(line.key_id + line.signature).decode()}"
    found = check_cosigned(HEAD, line, FIXED.public)
    assert (found.member, found.time_s, len(found.signature)) == ("bremen", 1_679_315_147, 64)


@pytest.mark.parametrize("time_s", [-1, MOST_TIME_S + 1])
def test_nobody_cosigns_outside_of_time(time_s: int) -> None:
    with pytest.raises(ValueError, match="a cosignature's time"):
        cosign(BREMEN, HEAD, time_s)


def test_a_signature_is_its_signers_of_this_checkpoint() -> None:
    line = sign_checkpoint(LUBECK, HEAD)
    for wrong, keeper, reason in (
        (line, BREMEN, "not signed under the key of bremen"),
        (replace(line, name=line.name + "x"), LUBECK, "not signed under the key of lubeck"),
        (replace(line, key_id=bytes(4)), LUBECK, "not signed under the key of lubeck"),
        (replace(line, signature=bytes(64)), LUBECK, "signature is not lubeck's"),
        (replace(line, signature=b"short"), LUBECK, "signature is not lubeck's"),
        (sign_checkpoint(LUBECK, replace(HEAD, epoch=4)), LUBECK, "signature is not lubeck's"),
        (sign_checkpoint(LUBECK, replace(HEAD, size=5)), LUBECK, "signature is not lubeck's"),
    ):
        with pytest.raises(BadNote, match=reason):
            check_signed(HEAD, wrong, keeper.public)


def test_a_cosignature_is_its_members_of_this_checkpoint() -> None:
    line = cosign(BREMEN, HEAD, 7)
    late = (MOST_TIME_S + 1).to_bytes(8, "big")
    for wrong, member, reason in (
        (line, DANZIG, "not a cosignature under the key of danzig"),
        (replace(line, name=HEAD.origin), BREMEN, "not a cosignature under the key of bremen"),
        (replace(line, key_id=bytes(4)), BREMEN, "not a cosignature under the key of bremen"),
        (sign_checkpoint(BREMEN, HEAD), BREMEN, "not a cosignature under the key of bremen"),
        (replace(line, signature=line.signature[8:]), BREMEN, "cosignature has 64 bytes"),
        (replace(line, signature=line.signature + b"\0"), BREMEN, "cosignature has 73 bytes"),
        (replace(line, signature=bytes(8) + line.signature[8:]), BREMEN, "not of this checkpoint"),
        (replace(line, signature=late + line.signature[8:]), BREMEN, "not of this checkpoint"),
        (cosign(BREMEN, replace(HEAD, epoch=4), 7), BREMEN, "not of this checkpoint"),
        (cosign(BREMEN, replace(HEAD, keeper="danzig"), 7), BREMEN, "not of this checkpoint"),
    ):
        with pytest.raises(BadNote, match=reason):
            check_cosigned(HEAD, wrong, member.public)


def test_the_line_under_a_keepers_key_is_found_among_others() -> None:
    note = signed_note(HEAD, LUBECK, BREMEN)
    assert signature_of(note, HEAD, LUBECK.public) == note.signatures[0]
    assert signature_of(Note(note.text, note.signatures[::-1]), HEAD, LUBECK.public) == note.signatures[0]
    with pytest.raises(BadNote, match="not signed under the key of danzig, who is to keep the ledger"):
        signature_of(note, HEAD, DANZIG.public)


def test_every_byte_turned_in_a_signed_head_is_refused() -> None:
    """Or it is another text, and then unsigned."""
    valid = signed_note(HEAD, LUBECK, BREMEN).encoded()
    for place in range(len(valid)):
        for turn in (0x01, 0x04, 0x20):
            content = bytearray(valid)
            content[place] ^= turn
            with pytest.raises(BadNote):
                check_both(bytes(content))


def check_both(content: bytes) -> None:
    """Raise BadNote unless a note is signed by Lübeck and cosigned by Bremen."""
    note = read_note(content)
    head = read_checkpoint(note.text)
    check_signed(head, signature_of(note, head, LUBECK.public), LUBECK.public)
    check_cosigned(head, note.signatures[1], BREMEN.public)
