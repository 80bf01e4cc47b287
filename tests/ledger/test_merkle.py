"""The tree is RFC 6962's, its proofs are strict, and appending comes to the same as hashing everything anew."""

import json
from collections.abc import Mapping, Sequence
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.ledger import BadProof
from hansa.ledger.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    MOST_LEAVES,
    Frontier,
    Node,
    Read,
    check_consistency,
    check_inclusion,
    complete_subtrees,
    consistency_spans,
    folded,
    inclusion_spans,
    leaf_hash,
    node_hash,
    prove,
    trailing_ones,
)
from tests.ledger.slowtree import audit_path, consistency_proof, tree_hash
from tests.ledger.vectors import FOLDER, LEAVES, Consistency, Inclusion, files

MOST = 70  # leaves of a tree that is hashed slowly
DATA = [index.to_bytes(2) for index in range(MOST)]
Vector = TypeVar("Vector")

# The roots over the first 0 … 8 of these leaves, as Certificate Transparency's tests have had them since 2012.
KNOWN_ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def vectors(name: str, kind: type[Vector]) -> list[Vector]:
    found: list[Vector] = json.loads((FOLDER / name).read_text(encoding="utf-8"))["vectors"]
    return found


INCLUSION = vectors("merkle-inclusion.json", Inclusion)
CONSISTENCY = vectors("merkle-consistency.json", Consistency)


def built(size: int) -> Frontier:
    """Return a tree grown leaf by leaf."""
    frontier = Frontier()
    for each in DATA[:size]:
        frontier, _ = frontier.append(leaf_hash(each))
    return frontier


def reader(size: int) -> Read:
    """Return what looks up the complete subtrees that appending has made of so many leaves, and no others."""
    hashes: dict[Node, bytes] = {}
    frontier = Frontier()
    for index, each in enumerate(DATA[:size]):
        hashes[0, index] = leaf_hash(each)
        frontier, completed = frontier.append(leaf_hash(each))
        assert len(completed) == trailing_ones(index)
        for level, root in enumerate(completed, 1):
            hashes[level, (index + 1 >> level) - 1] = root

    def read(nodes: Sequence[Node]) -> Mapping[Node, bytes]:
        return {node: hashes[node] for node in nodes}

    return read


READ = reader(MOST)
SIZES = st.integers(1, MOST)


# --- vectors --------------------------------------------------------------------------------------------
def test_the_vectors_are_what_their_generator_writes() -> None:
    for name, content in files().items():
        assert (FOLDER / name).read_text(encoding="utf-8") == content, (
            f"{name}: python -m tests.ledger.vectors"
        )


@pytest.mark.parametrize("found", [INCLUSION, CONSISTENCY], ids=["inclusion", "consistency"])
def test_there_are_vectors_enough_and_none_twice(found: list[Inclusion] | list[Consistency]) -> None:
    assert len({each["case"] for each in found}) == len(found) >= 98
    assert sum(each["valid"] for each in found) >= 6


def test_every_vector_of_inclusion_is_judged_rightly() -> None:
    for each in INCLUSION:
        path = [bytes.fromhex(step) for step in each["path"]]
        leaf, root = bytes.fromhex(each["leaf"]), bytes.fromhex(each["root"])
        try:
            check_inclusion(leaf, each["index"], each["size"], path, root)
        except BadProof:
            assert not each["valid"], each["case"]
        else:
            assert each["valid"], each["case"]


def test_every_vector_of_consistency_is_judged_rightly() -> None:
    for each in CONSISTENCY:
        path = [bytes.fromhex(step) for step in each["path"]]
        roots = bytes.fromhex(each["old_root"]), bytes.fromhex(each["new_root"])
        try:
            check_consistency(each["old"], each["new"], *roots, path)
        except BadProof:
            assert not each["valid"], each["case"]
        else:
            assert each["valid"], each["case"]


def test_the_roots_are_those_of_certificate_transparency() -> None:
    frontier = Frontier()
    for size, known in enumerate(KNOWN_ROOTS):
        assert frontier.root.hex() == tree_hash(LEAVES[:size]).hex() == known
        if size < len(LEAVES):
            frontier, _ = frontier.append(leaf_hash(LEAVES[size]))


# --- the slow tree --------------------------------------------------------------------------------------
def test_every_small_tree_and_all_its_proofs_are_the_slow_ones() -> None:
    for size in range(34):
        root = tree_hash(DATA[:size])
        assert built(size).root == root
        assert built(size).size == size
        for index in range(size):
            path = prove(inclusion_spans(index, size), READ)
            assert list(path) == audit_path(index, DATA[:size])
            check_inclusion(leaf_hash(DATA[index]), index, size, path, root)
        for old in range(1, size + 1):
            path = prove(consistency_spans(old, size), READ)
            assert list(path) == consistency_proof(old, DATA[:size])
            check_consistency(old, size, tree_hash(DATA[:old]), root, path)


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=40), max_size=80))
def test_a_tree_that_grew_is_the_tree_of_all_its_leaves(data: list[bytes]) -> None:
    frontier = Frontier()
    for each in data:
        frontier, _ = frontier.append(leaf_hash(each))
    assert frontier.root == tree_hash(data)
    assert len(frontier.peaks) == len(data).bit_count()


# --- proofs that are none -------------------------------------------------------------------------------
@given(SIZES, st.data())
def test_no_bit_of_an_inclusion_can_be_turned(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaf, root = leaf_hash(DATA[index]), built(size).root
    hashes = [leaf, root, *prove(inclusion_spans(index, size), READ)]
    place = data.draw(st.integers(0, len(hashes) - 1))
    hashes[place] = turned(hashes[place], data)
    with pytest.raises(BadProof, match="does not lead to the root"):
        check_inclusion(hashes[0], index, size, hashes[2:], hashes[1])


@given(st.integers(2, MOST), st.data())
def test_no_bit_of_a_consistency_can_be_turned(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new - 1))
    hashes = [built(old).root, built(new).root, *prove(consistency_spans(old, new), READ)]
    place = data.draw(st.integers(0, len(hashes) - 1))
    hashes[place] = turned(hashes[place], data)
    with pytest.raises(BadProof, match="does not continue"):
        check_consistency(old, new, hashes[0], hashes[1], hashes[2:])


@given(SIZES, SIZES, SIZES, st.data())
def test_a_path_is_good_for_its_own_leaf_alone(
    size: int, other: int, length: int, data: st.DataObject
) -> None:
    index, wrong = (data.draw(st.integers(0, size - 1)) for _ in range(2))
    path = prove(inclusion_spans(index, size), READ)
    if wrong != index:
        with pytest.raises(BadProof):
            check_inclusion(leaf_hash(DATA[index]), wrong, size, path, built(size).root)
    if other != size:
        with pytest.raises(BadProof):
            check_inclusion(leaf_hash(DATA[index]), index, size, path, built(other).root)
    if length != len(path):
        cut = (*path, *(bytes(32) for _ in range(length)))[:length]
        with pytest.raises(BadProof):
            check_inclusion(leaf_hash(DATA[index]), index, size, cut, built(size).root)


@given(SIZES, SIZES, SIZES)
def test_a_tree_continues_no_tree_but_its_own_beginnings(old: int, new: int, wrong: int) -> None:
    old, new = sorted((old, new))
    path = prove(consistency_spans(old, new), READ)
    if wrong != old:
        with pytest.raises(BadProof):
            check_consistency(old, new, built(wrong).root, built(new).root, path)
        with pytest.raises(BadProof):
            check_consistency(wrong, new, built(old).root, built(new).root, path)


@given(
    st.integers(-3, 2**63), st.integers(-3, 2**63), st.lists(st.binary(min_size=32, max_size=32), max_size=70)
)
def test_noise_is_refused_whatever_sizes_it_claims(one: int, two: int, path: list[bytes]) -> None:
    with pytest.raises(BadProof):
        check_inclusion(bytes(32), one, two, path, SOME_ROOT)
    with pytest.raises(BadProof):
        check_consistency(one, two, bytes(32), SOME_ROOT, path)


SOME_ROOT = bytes(range(32))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_hashes_have_32_bytes(length: int) -> None:
    good, bad = bytes(HASH_BYTES), bytes(length)
    for leaf, root, path in ((bad, good, ()), (good, bad, ()), (good, good, (bad,))):
        with pytest.raises(BadProof, match=f"expected hashes of 32 bytes, found one of {length}"):
            check_inclusion(leaf, 0, 2, path, root)
        with pytest.raises(BadProof, match=f"expected hashes of 32 bytes, found one of {length}"):
            check_consistency(1, 2, leaf, root, path)


def test_sizes_have_an_end() -> None:
    with pytest.raises(BadProof, match="no leaf 0 in a tree"):
        check_inclusion(bytes(32), 0, MOST_LEAVES + 1, [], bytes(32))
    with pytest.raises(BadProof, match="can't be shown"):
        check_consistency(1, MOST_LEAVES + 1, bytes(32), bytes(32), [])


# --- parts ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 3), (3, 3)])
def test_there_is_no_path_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="expected a leaf of 0"):
        inclusion_spans(index, size)


@pytest.mark.parametrize(("old", "new"), [(0, 3), (-1, 3), (4, 3), (0, 0)])
def test_there_is_no_path_from_a_tree_that_is_no_beginning(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="leaves before"):
        consistency_spans(old, new)


def test_the_empty_tree_has_one_root() -> None:
    assert Frontier().root == folded([]) == EMPTY_ROOT == tree_hash([])


@given(st.integers(0, 2**62))
def test_a_leaf_completes_as_many_subtrees_as_ones_end_its_index(index: int) -> None:
    binary = bin(index)[2:]
    assert trailing_ones(index) == len(binary) - len(binary.rstrip("1"))


@given(st.integers(1, MOST_LEAVES), st.data())
def test_a_span_of_a_proof_is_made_of_few_subtrees_that_lie_side_by_side(
    size: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, size - 1))
    spans = inclusion_spans(index, size)
    assert len(spans) <= 62
    for start, stop in (*spans, *consistency_spans(index + 1, size)):
        nodes = complete_subtrees((start, stop))
        assert nodes[0][1] << nodes[0][0] == start
        for (level, place), (below, after) in zip(nodes, (*nodes[1:], (0, stop)), strict=True):
            assert (place + 1) << level == after << below
    assert sum(len(complete_subtrees(span)) for span in spans) <= 2 * size.bit_length()


def test_a_node_is_no_leaf() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert node_hash(left, right) != leaf_hash(left + right)
    assert node_hash(left, right) == tree_hash([b"a", b"b"])


def turned(content: bytes, data: st.DataObject) -> bytes:
    """Return bytes with one bit turned."""
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    return (int.from_bytes(content) ^ 1 << bit).to_bytes(len(content))
