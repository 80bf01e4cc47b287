"""Writes tests/vectors/merkle-*.json: `python -m tests.ledger.vectors`.

Proofs come from the slow tree, which shares nothing with hansa, and are then spoilt in the ways in which
transparency-dev/merkle spoils its own (its `testdata`, made by `cmd/proofgen`): index or size off by one, xor two,
doubled, halved; another leaf or root; the roots swapped; hashes put before or after the path, or taken from it; one
bit turned in each hash; the empty tree. A vector is what the verifier is given, and whether it must be content.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict

from tests.ledger.slowtree import audit_path, consistency_proof, tree_hash

FOLDER = Path(__file__).parents[1] / "vectors"
LEAVES = tuple(
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
)
INCLUDED = ((0, 1), (0, 8), (5, 8), (2, 3), (1, 5), (6, 7))
CONSISTENT = ((1, 1), (1, 8), (6, 8), (2, 5), (6, 7), (4, 8), (3, 3))
NO_HASH, SOME_HASH, EMPTY = b"", bytes.fromhex("abacaba0") + bytes(28), tree_hash([])

SOURCE = (
    "Made by tests/ledger/vectors.py with the recursive definitions of RFC 6962, section 2.1, over the leaves that"
    " Certificate Transparency's own tests use; spoilt in the ways of transparency-dev/merkle's testdata."
    " Hashes and leaves are hexadecimal."
)


class Inclusion(TypedDict):
    """What `check_inclusion` is given; `leaf` is the leaf's hash."""

    case: str
    valid: bool
    index: int
    size: int
    leaf: str
    root: str
    path: list[str]


class Consistency(TypedDict):
    """What `check_consistency` is given."""

    case: str
    valid: bool
    old: int
    new: int
    old_root: str
    new_root: str
    path: list[str]


def flipped(content: bytes, bit: int) -> bytes:
    """Return bytes with one bit turned."""
    return bytes([content[0] ^ 1 << bit]) + content[1:]


def spoilt(path: list[bytes], *roots: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Yield paths that are none, of a path that is one."""
    for name, each in (
        ("garbage", NO_HASH),
        ("hash", SOME_HASH),
        *zip(("root", "root 2"), roots, strict=False),
    ):
        yield f"trailing {name}", [*path, each]
        yield f"preceding {name}", [each, *path]
    if path:
        yield "truncated path", path[:-1]
        yield "path without its first hash", path[1:]
        yield "empty path", []
        yield "first hash twice", [path[0], *path]
        yield "last hash twice", [*path, path[-1]]
    if len(path) > 1:
        yield "inserted hash", [path[0], SOME_HASH, *path[1:]]
        yield "path backwards", path[::-1]
    for place, each in enumerate(path):
        yield f"bit 3 of hash {place}", [*path[:place], flipped(each, 3), *path[place + 1 :]]
        yield f"hash {place} cut short", [*path[:place], each[:-1], *path[place + 1 :]]


def inclusion(
    case: str, index: int, size: int, leaf: bytes, root: bytes, path: list[bytes], valid: bool = False
) -> Inclusion:
    """Return one vector."""
    hashes = [each.hex() for each in path]
    return Inclusion(
        case=case, valid=valid, index=index, size=size, leaf=leaf.hex(), root=root.hex(), path=hashes
    )


def inclusions() -> Iterator[Inclusion]:
    """Yield all vectors of inclusion."""
    for index, size in INCLUDED:
        name = f"leaf {index} of {size}"
        path, root = audit_path(index, LEAVES[:size]), tree_hash(LEAVES[:size])
        leaf = tree_hash([LEAVES[index]])
        yield inclusion(f"{name}: happy path", index, size, leaf, root, path, valid=True)
        for case, other in (("index - 1", index - 1), ("index + 1", index + 1), ("index ^ 2", index ^ 2)):
            yield inclusion(f"{name}: {case}", other, size, leaf, root, path)
        yield inclusion(f"{name}: the index is the size", size, size, leaf, root, path)
        for case, other in (("size * 2", size * 2), ("size / 2", size // 2), ("size 0", 0)):
            yield inclusion(f"{name}: {case}", index, other, leaf, root, path)
        for case, wrong in (
            ("no leaf", NO_HASH),
            ("another leaf", SOME_HASH),
            ("bit 3 of the leaf", flipped(leaf, 3)),
        ):
            yield inclusion(f"{name}: {case}", index, size, wrong, root, path)
        for case, wrong in (
            ("the empty tree's root", EMPTY),
            ("no root", NO_HASH),
            ("another root", SOME_HASH),
            ("bit 4 of the root", flipped(root, 4)),
        ):
            yield inclusion(f"{name}: {case}", index, size, leaf, wrong, path)
        if size > 1:
            yield inclusion(f"{name}: leaf and root swapped", index, size, root, leaf, path)
        for case, wrong_path in spoilt(path, root):
            yield inclusion(f"{name}: {case}", index, size, leaf, root, wrong_path)
    for index, size in ((0, 0), (0, 1), (1, 0), (2, 1)):
        for case, leaf, root in (
            ("no root", SOME_HASH, NO_HASH),
            ("no leaf", NO_HASH, EMPTY),
            ("empty root", SOME_HASH, EMPTY),
        ):
            yield inclusion(f"leaf {index} of {size}, no path: {case}", index, size, leaf, root, [])


def consistency(
    case: str, old: int, new: int, old_root: bytes, new_root: bytes, path: list[bytes], valid: bool = False
) -> Consistency:
    """Return one vector."""
    return Consistency(
        case=case,
        valid=valid,
        old=old,
        new=new,
        old_root=old_root.hex(),
        new_root=new_root.hex(),
        path=[each.hex() for each in path],
    )


def consistencies() -> Iterator[Consistency]:
    """Yield all vectors of consistency."""
    for old, new in CONSISTENT:
        name = f"{old} to {new}"
        path = consistency_proof(old, LEAVES[:new])
        before, after = tree_hash(LEAVES[:old]), tree_hash(LEAVES[:new])
        yield consistency(f"{name}: happy path", old, new, before, after, path, valid=True)
        for case, other in (("old - 1", old - 1), ("old + 1", old + 1), ("old ^ 2", old ^ 2)):
            yield consistency(f"{name}: {case}", other, new, before, after, path)
        for case, other in (("new * 2", new * 2), ("new / 2", new // 2), ("new + 1", 9)):
            yield consistency(f"{name}: {case}", old, other, before, after, path)
        yield consistency(f"{name}: sizes swapped", new, old - (old == new), before, after, path)
        yield consistency(f"{name}: no old root", old, new, NO_HASH, after, path)
        yield consistency(f"{name}: no new root", old, new, before, NO_HASH, path)
        yield consistency(f"{name}: bit 4 of the old root", old, new, flipped(before, 4), after, path)
        yield consistency(f"{name}: bit 4 of the new root", old, new, before, flipped(after, 4), path)
        yield consistency(f"{name}: the empty tree before", 0, new, EMPTY, after, path)
        if old != new:
            yield consistency(f"{name}: roots swapped", old, new, after, before, path)
        for case, wrong_path in spoilt(path, before, after):
            yield consistency(f"{name}: {case}", old, new, before, after, wrong_path)
    for case, old, new, before, after, path in (
        ("two empty trees", 0, 0, EMPTY, EMPTY, []),
        ("two empty trees with a path", 0, 0, EMPTY, EMPTY, [EMPTY]),
        ("two empty trees of other roots", 0, 0, EMPTY, SOME_HASH, []),
        ("the empty tree first", 0, 1, EMPTY, SOME_HASH, []),
        ("the empty tree first, with a path", 0, 1, EMPTY, EMPTY, [EMPTY]),
        ("two trees of one leaf", 1, 1, EMPTY, SOME_HASH, []),
        ("one leaf, with a path", 1, 1, SOME_HASH, SOME_HASH, [EMPTY]),
        ("back to the empty tree", 1, 0, SOME_HASH, EMPTY, []),
        ("back to one leaf", 2, 1, SOME_HASH, EMPTY, []),
        ("one to two, without a path", 1, 2, SOME_HASH, EMPTY, []),
    ):
        yield consistency(case, old, new, before, after, path)


def files() -> dict[str, str]:
    """Return what the files must hold, by name."""
    return {
        "merkle-inclusion.json": _written(map(json.dumps, inclusions())),
        "merkle-consistency.json": _written(map(json.dumps, consistencies())),
    }


def _written(vectors: Iterable[str]) -> str:
    lines = ",\n".join(vectors)
    return f'{{"source": {json.dumps(SOURCE)},\n"vectors": [\n{lines}\n]}}\n'


if __name__ == "__main__":
    for name, content in files().items():
        (FOLDER / name).write_text(content, encoding="utf-8")
