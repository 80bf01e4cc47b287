"""Signed notes are C2SP's: others' can be read, ours have one form, and what is none is refused."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from hansa.ledger import BadNote, Note, read_note
from hansa.ledger.notes import (
    COSIGNATURE,
    ED25519,
    KEY_ID_BYTES,
    MOST_BYTES,
    MOST_SIGNATURES,
    NoteSignature,
    key_id,
    read_signature,
)

# c2sp.org/signed-note
POEM = """\
Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore \
NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
"""

# c2sp.org/tlog-cosignature
SOFA = """\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa \
Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 \
jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""

# The example of Go's package golang.org/x/mod/sumdb/note, whose format this is, and its verifier key.
NEUMANN = """\
If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""
NEUMANN_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"

LINE = NoteSignature("example.com/log", b"\x01\x02\x03\x04", bytes(range(64)))
NOTE = Note("a text\n\nof two parts\n", (LINE, NoteSignature("other", b"abcd", b"x")))
VALID = NOTE.encoded()


def test_the_specifications_notes_are_read() -> None:
    poem = read_note(POEM.encode())
    assert poem.text.startswith("Ognuno sta solo")
    assert poem.text.endswith("\n\ned è subito sera.\n")
    (line,) = poem.signatures
    assert (line.name, line.key_id.hex()) == ("quasimodo.example/salvatore", "367ba04b")
    assert len(line.signature) == 64
    assert poem.encoded() == POEM.encode()


def test_the_specifications_cosignature_bears_its_time() -> None:
    log, witness = read_note(SOFA.encode()).signatures
    assert (log.name, len(log.signature)) == ("example.com/behind-the-sofa", 64)
    assert witness.name == "witness.example.com/w1"
    assert int.from_bytes(witness.signature[:8]) == 1_679_315_147  # "time 1679315147", it says there
    assert len(witness.signature) == 72


def test_anothers_signature_and_key_id_come_out_right() -> None:
    name, known, encoded = NEUMANN_KEY.split("+", 2)
    kind, key = base64.b64decode(encoded)[:1], base64.b64decode(encoded)[1:]
    assert kind == bytes([ED25519])
    assert key_id(name, ED25519, key).hex() == known
    note = read_note(NEUMANN.encode())
    (line,) = note.signatures
    assert (line.name, line.key_id.hex()) == (name, known)
    Ed25519PublicKey.from_public_bytes(key).verify(line.signature, note.text.encode())


@given(st.text("abc./-0", min_size=1), st.binary(min_size=32, max_size=32))
def test_a_key_id_is_the_beginning_of_a_hash(name: str, key: bytes) -> None:
    for kind in (ED25519, COSIGNATURE):
        whole = hashlib.sha256(name.encode() + b"\x0a" + bytes([kind]) + key).digest()
        assert key_id(name, kind, key) == whole[:KEY_ID_BYTES]


def test_a_note_comes_back_as_it_was_written() -> None:
    assert read_note(VALID) == NOTE
    assert VALID.decode().startswith("a text\n\nof two parts\n\n— example.com/log AQIDBAAB")


REFUSED = {
    "nothing": b"",
    "not UTF-8": b"\xff" + VALID,
    "a control character": b"\x07" + VALID,
    "a carriage return": VALID.replace(b"\n", b"\r\n"),
    "no text": b"\n\n" + LINE.line.encode() + b"\n",
    "no empty line": b"a text\n" + LINE.line.encode() + b"\n",
    "no signature": b"a text\n\n",
    "no newline at the end": VALID[:-1],
    "an empty line at the end": VALID + b"\n",
    "one signature twice": VALID + LINE.line.encode() + b"\n",
    "text after the signatures": VALID + b"and so on\n",
    "a hyphen for the dash": VALID.replace("—".encode(), b"-"),
    "two spaces": VALID.replace("— ".encode(), "—  ".encode()),
    "no name": VALID.replace(b" other ", b"  "),
    "a plus in the name": VALID.replace(b" other ", b" ot+her "),
    "a space in the name": VALID.replace(b" other ", " ot\u00a0her ".encode()),
    "no base64": VALID.replace(b"YWJjZHg=", b"YWJjZHg"),
    "base64 of another alphabet": VALID.replace(b"YWJjZHg=", b"YWJjZH_="),
    "base64 with spare bits": VALID.replace(b"YWJjZHg=", b"YWJjZHh="),
    "a key id alone": VALID.replace(b"YWJjZHg=", b"YWJjZA=="),
    "less than a key id": VALID.replace(b"YWJjZHg=", b"YWJj"),
    "too long": b"x" * MOST_BYTES + VALID,
    "too many signatures": VALID
    + "".join(
        f"{NoteSignature(f'n{each}', b'abcd', b'x').line}\n" for each in range(MOST_SIGNATURES)
    ).encode(),
}


@pytest.mark.parametrize("wrong", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_note(wrong: bytes) -> None:
    with pytest.raises(BadNote):
        read_note(wrong)


def test_as_many_signatures_as_the_specification_asks_for_are_read() -> None:
    lines = tuple(NoteSignature(f"n{each}", b"abcd", b"x") for each in range(MOST_SIGNATURES))
    assert read_note(Note("text\n", lines).encoded()).signatures == lines


def test_every_byte_turned_is_refused_or_read_as_what_it_then_says() -> None:
    for place in range(len(VALID)):
        for turn in (0x01, 0x20, 0x80, 0xFF):
            content = bytearray(VALID)
            content[place] ^= turn
            try:
                found = read_note(bytes(content))
            except BadNote:
                continue
            assert found != NOTE
            assert found.encoded() == bytes(content)


PIECES = st.sampled_from(
    [VALID, POEM.encode(), b"\n", b"\n\n", "— ".encode(), b" ", b"+", b"=", b"A", "\u2003".encode()]
)


@given(st.lists(PIECES | st.binary(max_size=8), max_size=8).map(b"".join))
def test_whatever_is_read_has_no_other_form(content: bytes) -> None:
    try:
        found = read_note(content)
    except BadNote:
        return
    assert found.encoded() == content


@given(st.text(max_size=80) | st.text("— ab+=/\n", max_size=30))
def test_no_line_crashes_the_reader(line: str) -> None:
    try:
        found = read_signature(line)
    except BadNote:
        return
    assert found.line == line


def test_a_shown_signature_is_short() -> None:
    assert len(repr(LINE)) < 100
