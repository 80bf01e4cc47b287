"""Constant vectors: keys, masks and ciphertexts that must never come out otherwise."""

import json
from pathlib import Path
from typing import Any

import pytest

from hansa.protocols.crypto.array import EncryptedArray
from hansa.protocols.crypto.decryption import decrypt_residues
from hansa.protocols.crypto.elements import add_plain, objects
from hansa.protocols.crypto.keys import KeyKind, PublicKey, SecretKey
from hansa.protocols.crypto.masks import MaskTable

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "paillier.json").read_text(encoding="utf-8"))
WINDOW = 8


def number(text: str) -> int:
    return int(text, 16)


def key_of(vector: dict[str, Any]) -> SecretKey:
    kind = KeyKind[vector["kind"].upper()]
    public = PublicKey(kind, number(vector["n"]), number(vector["h_s"]), vector["randomness_bits"])
    return SecretKey(public, *(number(vector[name]) for name in ("p", "q", "alpha_p", "alpha_q")))


KEYS = pytest.mark.parametrize("vector", VECTORS["keys"], ids=lambda vector: str(vector["kind"]))


@KEYS
def test_ciphertexts_decrypt_to_their_plaintexts(vector: dict[str, Any]) -> None:
    secret = key_of(vector)
    ciphertexts = [number(each["c"]) for each in vector["ciphertexts"]]
    assert decrypt_residues(secret, ciphertexts) == [number(each["m"]) for each in vector["ciphertexts"]]
    array = EncryptedArray.from_ciphertexts(secret.public, objects(ciphertexts, (7,)), 0, None)
    assert array.decrypt_residues(secret).tolist() == [number(each["m"]) for each in vector["ciphertexts"]]


@KEYS
def test_the_same_masks_make_the_same_ciphertexts(vector: dict[str, Any]) -> None:
    public = key_of(vector).public
    masks = objects((number(each["mask"]) for each in vector["ciphertexts"]), (7,))
    plaintexts = objects((number(each["m"]) for each in vector["ciphertexts"]), (7,))
    expected = [number(each["c"]) for each in vector["ciphertexts"]]
    assert add_plain(masks, plaintexts, public).tolist() == expected


@KEYS
def test_the_same_randomness_makes_the_same_masks(vector: dict[str, Any]) -> None:
    public = key_of(vector).public
    table = MaskTable(public, WINDOW)
    for each in vector["ciphertexts"]:
        r = number(each["r"])
        if public.kind is KeyKind.FOREIGN:
            drawn = r.to_bytes(64, "little")
        else:
            digits = (r >> WINDOW * place & 255 for place in range(len(table.rows)))
            drawn = b"".join(digit.to_bytes(2, "little") for digit in digits)
        assert table.masks(1, lambda count, drawn=drawn: drawn[:count]) == [number(each["mask"])]  # type: ignore[misc]
