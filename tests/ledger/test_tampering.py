"""An attacker has the database and drops its triggers: whatever is changed, the first bad entry is named."""

from collections.abc import Callable
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hansa.broker.identity import Identity
from hansa.ledger import (
    EMPTY,
    BadEntry,
    ChainedEntry,
    Keeper,
    LedgerStore,
    SignedEntry,
    Verified,
    link,
    read_entry,
    sign_entry,
    verify_store,
)
from hansa.ledger.chain import chain_hash
from tests.ledger.desk import SIZE, Pristine, first_bad, tampering, verify_copy
from tests.ledger.places import Hand
from tests.ledger.town import CATCH, CHARTER, DANZIG, DIGEST, FEDERATION, LUBECK, STRANGER

BYTES_COLUMNS = ("previous", "signed", "signature", "hash", "receipt")
COMPLETING = tuple(range(1, SIZE, 2))  # entries that complete subtrees
TEXT_COLUMNS = ("author", "kind")
INDEX = st.integers(0, SIZE - 1)

# Each example works on a copy of its own, so that fixtures may outlive it.
many = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write_entry(file: Hand, entry: ChainedEntry) -> None:
    """Put an entry's cells into the row of its index."""
    file.execute(
        "UPDATE entries SET previous = ?, signed = ?, signature = ?, hash = ?, receipt = ? WHERE idx = ?",
        (entry.previous, entry.signed, entry.signature, entry.hash, entry.receipt, entry.index),
    )


def test_an_untouched_ledger_verifies(pristine: Pristine) -> None:
    with tampering(pristine):
        pass  # without its triggers it is the same ledger
    assert verify_copy(pristine, seen=pristine.head) == Verified(pristine.head, members=3, jobs=1)
    assert verify_copy(pristine, seen=pristine.entries[4].head).size == SIZE
    assert verify_copy(pristine, seen=EMPTY).size == SIZE


# --- one byte -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("column", BYTES_COLUMNS)
@many
@given(index=INDEX, flip=st.integers(1, 255), data=st.data())
def test_a_changed_byte_names_its_entry(
    pristine: Pristine, column: str, index: int, flip: int, data: st.DataObject
) -> None:
    with tampering(pristine) as file:
        cell = bytearray(getattr(pristine.entries[index], column))
        position = data.draw(st.integers(0, len(cell) - 1))
        cell[position] ^= flip
        file.execute(f"UPDATE entries SET {column} = ? WHERE idx = ?", (bytes(cell), index))
    assert first_bad(pristine).index == index


@many
@given(index=st.sampled_from(COMPLETING), flip=st.integers(1, 255), data=st.data())
def test_a_changed_hash_of_the_tree_names_its_entry(
    pristine: Pristine, index: int, flip: int, data: st.DataObject
) -> None:
    with pristine.desk.store() as store:
        pristine.desk.renew()
        cell = bytearray(next(store.rows(index)).nodes)  # type: ignore[call-overload]
    cell[data.draw(st.integers(0, len(cell) - 1))] ^= flip
    with pristine.desk.hand() as file:
        file.execute("UPDATE entries SET nodes = ? WHERE idx = ?", (bytes(cell), index))
    bad = first_bad(pristine)
    assert (bad.index, bad.reason) == (index, "column nodes: not what this entry adds to the Merkle tree")


@pytest.mark.parametrize("column", TEXT_COLUMNS)
@many
@given(index=INDEX, flip=st.integers(1, 255), data=st.data())
def test_a_changed_letter_names_its_entry(
    pristine: Pristine, column: str, index: int, flip: int, data: st.DataObject
) -> None:
    with tampering(pristine) as file:
        letters = bytearray(getattr(read_entry(pristine.entries[index].signed), column), "ascii")
        place = data.draw(st.integers(0, len(letters) - 1))
        letters[place] = letters[place] ^ flip or 0xFF  # PostgreSQL takes any character but the one of code 0
        file.execute(f"UPDATE entries SET {column} = ? WHERE idx = ?", (letters.decode("latin-1"), index))
    bad = first_bad(pristine)
    assert bad.index == index
    assert f"column {column}" in bad.reason


@many
@given(index=INDEX, bit=st.integers(5, 62))
def test_a_changed_number_of_an_author_names_its_entry(pristine: Pristine, index: int, bit: int) -> None:
    with tampering(pristine) as file:
        file.execute("UPDATE entries SET author_seq = author_seq + ? WHERE idx = ?", (1 << bit, index))
    assert first_bad(pristine).index == index


@many
@given(index=INDEX, other=st.integers(-(2**63), -1) | st.integers(SIZE, 2**63 - 1))
def test_a_changed_index_names_the_entry_missing_or_out_of_place(
    pristine: Pristine, index: int, other: int
) -> None:
    with tampering(pristine) as file:
        file.execute("UPDATE entries SET idx = ? WHERE idx = ?", (other, index))
    bad = first_bad(pristine, pristine.head)
    assert bad.index == (other if other < 0 else index)


# --- whole entries --------------------------------------------------------------------------------------
@many
@given(st.lists(INDEX, min_size=2, max_size=2, unique=True))
def test_two_entries_swapped_name_the_earlier(pristine: Pristine, pair: list[int]) -> None:
    one, other = sorted(pair)
    with tampering(pristine) as file:
        for old, new in ((one, -1), (other, one), (-1, other)):
            file.execute("UPDATE entries SET idx = ? WHERE idx = ?", (new, old))
    assert first_bad(pristine).index == one


@pytest.mark.parametrize("index", range(SIZE))
def test_an_entry_removed_is_missing(pristine: Pristine, index: int) -> None:
    with tampering(pristine) as file:
        file.execute("DELETE FROM entries WHERE idx = ?", (index,))
    bad = first_bad(pristine, pristine.head)
    assert bad.index == index
    assert "missing" in bad.reason


@pytest.mark.parametrize("index", range(SIZE - 1))
def test_an_entry_removed_and_the_gap_closed_names_the_place(pristine: Pristine, index: int) -> None:
    with tampering(pristine) as file:
        file.execute("DELETE FROM entries WHERE idx = ?", (index,))
        for later in range(index + 1, SIZE):
            file.execute("UPDATE entries SET idx = ? WHERE idx = ?", (later - 1, later))
    assert first_bad(pristine).index == index


@pytest.mark.parametrize("left", range(SIZE))
def test_a_tail_cut_is_found_against_the_newest_head_seen(pristine: Pristine, left: int) -> None:
    with tampering(pristine) as file:
        file.execute("DELETE FROM entries WHERE idx >= ?", (left,))
    bad = first_bad(pristine, pristine.head)
    assert bad.index == left
    assert bad.reason == f"missing: this agent has seen {SIZE} entries, {left} are left"
    assert verify_copy(pristine).size == left  # and can't be found without


@many
@given(index=st.integers(0, SIZE), copied=INDEX)
def test_an_entry_put_in_twice_names_the_place(pristine: Pristine, index: int, copied: int) -> None:
    with tampering(pristine) as file:
        for later in range(SIZE - 1, index - 1, -1):
            file.execute("UPDATE entries SET idx = ? WHERE idx = ?", (later + 1, later))
        source = copied if copied < index else copied + 1
        file.execute(
            "INSERT INTO entries SELECT ?, previous, signed, signature, hash, receipt, author, 99, kind, nodes"
            " FROM entries WHERE idx = ?",
            (index, source),
        )
    assert first_bad(pristine).index == index


# --- with keys of one's own -----------------------------------------------------------------------------
def rewritten(
    pristine: Pristine, index: int, entry: SignedEntry, keeper: Identity | None
) -> list[ChainedEntry]:
    """Return the chain with one entry replaced and everything after it linked anew.

    Args:
        keeper: who signs the receipts; None keeps the old ones.
    """
    chain = list(pristine.entries)
    head = chain[index - 1].head if index else EMPTY
    for place in range(index, SIZE):
        here = entry if place == index else SignedEntry(chain[place].signed, chain[place].signature)
        if keeper is not None:
            chain[place] = link(keeper, FEDERATION, head, here)
        else:
            digest = chain_hash(place, head.hash, here.signed, here.signature)
            chain[place] = ChainedEntry(
                place, head.hash, here.signed, here.signature, digest, chain[place].receipt
            )
        head = chain[place].head
    return chain


Forger = Callable[[ChainedEntry], SignedEntry]
FORGERS: dict[str, Forger] = {
    "re-signed by another member": lambda entry: SignedEntry(entry.signed, DANZIG.sign(entry.signed)),
    "re-signed by a stranger": lambda entry: SignedEntry(entry.signed, STRANGER.sign(entry.signed)),
    "body changed": lambda entry: SignedEntry(entry.signed.replace(DIGEST, bytes(32)), entry.signature),
}


@pytest.mark.parametrize("forge", FORGERS.values(), ids=FORGERS.keys())
def test_a_chain_hashed_anew_fails_at_the_forged_entry(pristine: Pristine, forge: Forger) -> None:
    index = SIZE - 1  # Bremen's data set
    with tampering(pristine) as file:
        for entry in rewritten(pristine, index, forge(pristine.entries[index]), keeper=None):
            write_entry(file, entry)
    bad = first_bad(pristine)
    assert bad.index == index
    assert bad.reason == "the signature is not bremen's"


def test_even_the_keeper_cannot_forge_a_members_entry(pristine: Pristine) -> None:
    index = 7  # Danzig's consent
    forged = SignedEntry(pristine.entries[index].signed, LUBECK.sign(pristine.entries[index].signed))
    with tampering(pristine) as file:
        for entry in rewritten(pristine, index, forged, keeper=LUBECK):
            write_entry(file, entry)
    assert first_bad(pristine).reason == "the signature is not danzig's"


def test_a_chain_hashed_anew_without_the_keeper_fails_at_its_receipt(pristine: Pristine) -> None:
    index = 9
    resigned = SignedEntry(pristine.entries[index].signed, pristine.entries[index].signature)
    chain = rewritten(pristine, index, resigned, keeper=STRANGER)
    with tampering(pristine) as file:
        for entry in chain:
            write_entry(file, entry)
    bad = first_bad(pristine)
    assert (bad.index, bad.reason) == (index, "the receipt is not signed by the keeper, lubeck")


def test_history_rewritten_by_the_keeper_is_found_against_the_head_seen(pristine: Pristine) -> None:
    *before, _ = pristine.entries
    number = sum(read_entry(entry.signed).author == "lubeck" for entry in before)
    entry = sign_entry(LUBECK, federation=FEDERATION, author_seq=number, body=CATCH, time_ms=0)
    with tampering(pristine) as file:
        write_entry(file, link(LUBECK, FEDERATION, before[-1].head, entry))
        file.execute("UPDATE entries SET author = 'lubeck', author_seq = ? WHERE idx = ?", (number, SIZE - 1))
    assert verify_copy(pristine).size == SIZE  # it is consistent in itself
    bad = first_bad(pristine, pristine.head)
    assert bad.index == SIZE - 1
    assert bad.reason == f"this agent has seen another entry here, with hash {pristine.head.hash.hex()}"


def test_another_charter_is_found_against_the_fingerprint(pristine: Pristine, store: LedgerStore) -> None:
    Keeper(LUBECK, FEDERATION, store).found(CHARTER, time_ms=1)
    assert verify_store(store).size == 1
    with pytest.raises(BadEntry, match="entry 0: not the pinned charter"):
        verify_store(store, fingerprint=pristine.fingerprint)


# --- without constraints --------------------------------------------------------------------------------
def test_rows_that_no_index_reaches_are_found(pristine: Pristine) -> None:
    with tampering(pristine) as file:
        pristine.desk.lose_constraints()
        file.execute("INSERT INTO entries (kind) VALUES ('charter')")
    bad = first_bad(pristine)
    assert (bad.index, bad.reason[:11]) == (SIZE, "1 more rows")
    with tampering(pristine) as file:
        pristine.desk.lose_constraints()
        file.execute("INSERT INTO entries SELECT * FROM entries WHERE idx = 6")
    bad = first_bad(pristine)
    assert (bad.index, "out of place" in bad.reason) == (6, True)


@pytest.mark.parametrize("column", [*BYTES_COLUMNS, *TEXT_COLUMNS, "author_seq", "nodes"])
def test_a_cell_emptied_is_a_bad_entry(pristine: Pristine, column: str) -> None:
    with tampering(pristine) as file:
        pristine.desk.lose_constraints()
        file.execute(f"UPDATE entries SET {column} = NULL WHERE idx = 6")
    assert first_bad(pristine).index == 6


# --- progress -------------------------------------------------------------------------------------------
def test_progress_is_told_now_and_then_and_at_the_end(
    pristine: Pristine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hansa.ledger.verify.PROGRESS_ENTRIES", 6)
    steps: list[tuple[int, int]] = []
    with closing(LedgerStore.open(pristine.url)) as store:
        verify_store(store, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(6, SIZE), (12, SIZE), (SIZE, SIZE)]


def test_an_empty_ledger_verifies_as_empty(store: LedgerStore) -> None:
    steps: list[tuple[int, int]] = []
    assert verify_store(store, progress=lambda *step: steps.append(step)).size == 0
    assert steps == [(0, 0)]
