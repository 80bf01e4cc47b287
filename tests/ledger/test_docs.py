"""The example in docs/checkpoints.md, checked as its reader would: with SHA-256, Ed25519 and nothing of ours."""

import base64
import hashlib
import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hansa.ledger.checkpoints import read_checkpoint
from hansa.ledger.notes import read_note

PAGE = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text(encoding="utf-8")


def blocks() -> list[str]:
    """Return what stands between the page's ```text marks, at the left margin."""
    found = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    return ["".join(f"{line.strip()}\n" for line in block.rstrip("\n ").split("\n")) for block in found]


def test_the_example_in_the_docs_is_signed_by_the_keys_beside_it() -> None:
    note, keys = blocks()
    text, _, lines = note.partition("\n\n")
    text += "\n"
    signed = dict(line.removeprefix("— ").rsplit(" ", 1) for line in lines.splitlines())
    assert len(signed) == len(keys.splitlines()) == 3
    for key in keys.splitlines():
        name, number, encoded = key.split("+", 2)
        typed, line = base64.b64decode(encoded), base64.b64decode(signed[name])
        assert line[:4].hex() == number == hashlib.sha256(f"{name}\n".encode() + typed).hexdigest()[:8]
        signature, message = line[4:], text.encode()
        if typed[0] == 4:
            seconds, signature = int.from_bytes(line[4:12]), line[12:]
            message = f"cosignature/v1\ntime {seconds}\n{text}".encode()
        Ed25519PublicKey.from_public_bytes(typed[1:]).verify(signature, message)


def test_the_example_in_the_docs_is_a_checkpoint_of_ours() -> None:
    note = read_note(blocks()[0].encode())
    checkpoint = read_checkpoint(note.text)
    assert (checkpoint.federation, checkpoint.size, checkpoint.epoch) == ("town", 1_204, 0)
