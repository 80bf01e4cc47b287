"""The tree is stored with the entries, and proves them, however they came in."""

from contextlib import closing
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hansa.ledger import BadEntry, HeadMoved, LedgerStore
from hansa.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    check_consistency,
    check_inclusion,
    leaf_hash,
    trailing_ones,
)
from tests.ledger.places import Place
from tests.ledger.town import chain

MANY = chain(33)


def root_of(size: int) -> bytes:
    """Return the root over the first entries, appended one by one."""
    frontier = Frontier()
    for entry in MANY[:size]:
        frontier, _ = frontier.append(leaf_hash(entry.hash))
    return frontier.root


def test_every_entry_and_every_earlier_tree_can_be_proved(store: LedgerStore) -> None:
    store.append(MANY)
    tree = store.tree()
    assert tree.size == 33
    assert tree.root(0) == EMPTY_ROOT
    for size in (1, 2, 7, 8, 9, 31, 32, 33):
        root = tree.root(size)
        assert root == root_of(size)
        for index in range(size):
            leaf = leaf_hash(MANY[index].hash)
            check_inclusion(leaf, index, size, tree.inclusion(index, size), root)
        for old in range(1, size + 1):
            check_consistency(old, size, root_of(old), root, tree.consistency(old, size))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.sets(st.integers(1, 32)), forgets=st.booleans())
def test_the_tree_does_not_depend_on_the_batches_that_entries_came_in(cuts: set[int], forgets: bool) -> None:
    with closing(LedgerStore.open("sqlite://")) as store, closing(LedgerStore.open("sqlite://")) as other:
        edges = [0, *sorted(cuts), 33]
        for start, stop in pairwise(edges):
            writer = LedgerStore(store._engine) if forgets else store  # a new one has no frontier in memory
            writer.append(MANY[start:stop])
        other.append(MANY)
        assert list(store.rows()) == list(other.rows())


def test_two_stores_that_take_turns_write_one_tree(place: Place) -> None:
    with closing(LedgerStore.open(place.url)) as one, closing(LedgerStore.open(place.url)) as other:
        for number, entry in enumerate(MANY):
            (one, other)[number % 3 == 0].append([entry])
        with pytest.raises(HeadMoved, match="it ends at 33 entries"):
            one.append(MANY[32:])
        assert one.tree().root(33) == other.tree().root(33) == root_of(33)


def test_what_does_not_stand_in_the_tree_is_a_value_error(store: LedgerStore) -> None:
    store.append(MANY[:5])
    tree = store.tree()
    store.append(MANY[5:])  # the tree that was asked for stays the one it was
    assert tree.root(5) == root_of(5)
    for ask in (
        lambda: tree.root(6),
        lambda: tree.root(-1),
        lambda: tree.inclusion(0, 6),
        lambda: tree.inclusion(5, 5),
        lambda: tree.consistency(0, 5),
        lambda: tree.consistency(5, 6),
        lambda: tree.consistency(5, 4),
    ):
        with pytest.raises(ValueError, match="expected"):
            ask()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE entries SET nodes = '' WHERE idx = 3", r"entry 3: column nodes: expected (64|bytes)"),
        ("UPDATE entries SET hash = 'short' WHERE idx = 4", r"entry 4: column hash: expected (32|bytes)"),
        ("DELETE FROM entries WHERE idx = 3", "entry 3: missing"),
    ],
)
def test_a_row_that_was_tampered_with_proves_nothing(
    store: LedgerStore, place: Place, change: str, reason: str
) -> None:
    store.append(MANY[:5])
    place.disarm()
    with place.hand() as hand:
        hand.execute(change)
    with pytest.raises(BadEntry, match=reason):
        store.tree().root(5)
    with closing(LedgerStore.open(place.url)) as anew, pytest.raises((BadEntry, HeadMoved)):
        anew.append(MANY[5:])


@given(st.integers(0, 2**20))
def test_an_entry_completes_as_many_subtrees_as_its_index_ends_in_ones(index: int) -> None:
    assert trailing_ones(index) == len(bin(index)) - len(bin(index).rstrip("1"))
