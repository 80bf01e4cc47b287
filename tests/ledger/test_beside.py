"""Checkpoints, evidence and replaced entries are kept as they came, and the database itself keeps them so."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from hansa.ledger import Checkpoint, HeadMoved, LedgerStore, Note, StoreCorrupt, read_note
from hansa.ledger.checkpoints import cosign, sign_checkpoint
from hansa.ledger.merkle import EMPTY_ROOT
from hansa.ledger.notes import NoteSignature
from hansa.ledger.tables import ENTRIES
from tests.ledger.places import REFUSALS, Place, Places
from tests.ledger.town import BREMEN, CHAIN, DANZIG, LUBECK, chain


def checkpoint(size: int, epoch: int = 0, root: bytes = bytes(32)) -> Checkpoint:
    """Return a head of the town's ledger."""
    return Checkpoint("hansa", bytes(32), size, root if size else EMPTY_ROOT, epoch, "lubeck")


def signed(head: Checkpoint, *cosigners: NoteSignature) -> Note:
    """Return what the keeper signed, with other names under it."""
    return Note(head.text, (sign_checkpoint(LUBECK, head), *cosigners))


# --- checkpoints ----------------------------------------------------------------------------------------
def test_a_checkpoint_comes_back_with_every_name_once(store: LedgerStore) -> None:
    head = checkpoint(5)
    one, other, late = cosign(BREMEN, head, 10), cosign(DANZIG, head, 11), cosign(BREMEN, head, 99)
    assert store.add_checkpoint(signed(head, other))
    assert not store.add_checkpoint(signed(head, other))
    assert store.add_checkpoint(Note(head.text, (one, one)))
    assert not store.add_checkpoint(Note(head.text, (late,)))
    assert list(store.checkpoints()) == [signed(head, one, other)]
    assert read_note(next(store.checkpoints()).encoded()) == signed(head, one, other)


def test_checkpoints_come_by_size_and_epoch_from_either_end(
    store: LedgerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hansa.ledger.beside.BATCH_NOTES", 3)
    heads = [checkpoint(size, epoch) for size in (0, 1, 2, 9, 2**62) for epoch in (0, 1)]
    for head in reversed(heads):
        store.add_checkpoint(signed(head, cosign(BREMEN, head, 1)))
    texts = [head.text for head in heads]
    assert [note.text for note in store.checkpoints()] == texts
    assert [note.text for note in store.checkpoints(newest_first=True)] == texts[::-1]
    assert [note.text for note in store.checkpoints(2)] == texts[4:]
    assert [note.text for note in store.checkpoints(2, newest_first=True)] == texts[:3:-1]
    assert [note.text for note in store.checkpoints(3, newest_first=True)] == texts[:5:-1]


def test_two_roots_of_one_size_and_epoch_stand_beside_each_other(store: LedgerStore) -> None:
    forked = [signed(checkpoint(5, root=bytes([number]) * 32)) for number in range(2)]
    for note in (*forked, signed(checkpoint(5, 1)), signed(checkpoint(4))):
        store.add_checkpoint(note)
    assert sorted(store.checkpoint(5, 0), key=lambda note: note.text) == sorted(
        forked, key=lambda note: note.text
    )
    assert store.checkpoint(6, 0) == ()


def test_names_that_are_not_the_ledgers_own_are_left_out(store: LedgerStore) -> None:
    head = checkpoint(5)
    strange = NoteSignature("witness.example/w1", b"1234", bytes(72))
    longer = NoteSignature(f"{head.origin}/{'x' * 41}", b"1234", bytes(72))
    store.add_checkpoint(signed(head, strange, longer))
    assert list(store.checkpoints()) == [signed(head)]
    with pytest.raises(ValueError, match="nobody has signed this checkpoint: 5 entries"):
        store.add_checkpoint(Note(head.text, (strange,)))
    with pytest.raises(ValueError, match="a checkpoint has four lines"):
        store.add_checkpoint(Note("hello\n", (sign_checkpoint(LUBECK, head),)))


# --- entries that were replaced -------------------------------------------------------------------------
def test_entries_set_aside_make_room_for_others_and_are_kept(store: LedgerStore, place: Place) -> None:
    store.append(CHAIN)
    assert store.set_aside(5) == 3
    assert store.head() == CHAIN[4].head
    assert list(store.superseded()) == CHAIN[5:]
    assert store.find("lubeck", 6) is None
    with closing(LedgerStore.open(place.url)) as other:
        other.append([CHAIN[5]])
        with pytest.raises(HeadMoved):
            store.append([CHAIN[5]])
        assert other.set_aside(4) == 2
    assert store.set_aside(4) == 0
    assert list(store.superseded()) == [*CHAIN[5:], *CHAIN[4:6]]
    store.append(CHAIN[4:])
    assert list(store.read()) == CHAIN
    with closing(LedgerStore.open("sqlite://")) as fresh:
        fresh.append(CHAIN)
        assert fresh.tree().root(8) == store.tree().root(8)


def test_many_entries_can_be_set_aside(store: LedgerStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hansa.ledger.beside.BATCH_ROWS", 7)
    many = chain(22)
    store.append(many)
    assert store.set_aside(1) == 21
    assert list(store.superseded()) == many[1:]


def test_an_entry_that_another_process_is_just_appending_is_set_aside_with_the_others(
    store: LedgerStore, place: Place
) -> None:
    store.append(CHAIN)
    last = chain(9)[8]
    with ThreadPoolExecutor(1) as pool, place.hand() as hand:
        hand.execute("BEGIN")
        hand.execute(
            "INSERT INTO entries SELECT 8, hash, signed, signature, ?, receipt, author, 99, kind, ?"
            " FROM entries WHERE idx = 7",
            (last.hash, b""),
        )
        moving = pool.submit(store.set_aside, 5)
        with pytest.raises(TimeoutError):
            moving.result(0.1)
        hand.execute("COMMIT")
        assert moving.result(30) == 4
    assert store.head() == CHAIN[4].head
    assert [entry.hash for entry in store.superseded()] == [*(entry.hash for entry in CHAIN[5:]), last.hash]


def test_the_charter_is_not_set_aside(store: LedgerStore) -> None:
    store.append(CHAIN)
    with pytest.raises(ValueError, match="the charter stays"):
        store.set_aside(0)


# --- evidence -------------------------------------------------------------------------------------------
def test_evidence_is_kept_once_in_the_order_it_came(store: LedgerStore) -> None:
    assert store.add_evidence("fork", b"two heads")
    assert store.add_evidence("receipts", b"two heads")
    assert not store.add_evidence("fork", b"two heads")
    assert store.add_evidence("equivocation", b"")
    assert list(store.evidence()) == [
        ("fork", b"two heads"),
        ("receipts", b"two heads"),
        ("equivocation", b""),
    ]
    with pytest.raises(ValueError, match="expected evidence of fork, receipts, equivocation, got 'gossip'"):
        store.add_evidence("gossip", b"")


# --- append-only ----------------------------------------------------------------------------------------
ATTACKS = {
    "update": "UPDATE {table} SET {column} = {column}",
    "delete": "DELETE FROM {table}",
}
OF_SQLITE = {"replace": "INSERT OR REPLACE INTO {table} SELECT * FROM {table}"}
OF_POSTGRESQL = {"truncate": "TRUNCATE {table} CASCADE"}
COLUMNS = {"checkpoints": "epoch", "checkpoint_signatures": "name", "superseded": "kind", "evidence": "kind"}


@pytest.mark.parametrize("table", COLUMNS)
def test_the_database_itself_only_takes_new_rows(
    store: LedgerStore, place: Place, places: Places, table: str
) -> None:
    store.append(CHAIN)
    store.set_aside(6)
    store.add_checkpoint(signed(checkpoint(5)))
    store.add_evidence("fork", b"two heads")
    own = OF_SQLITE if places.kind == "sqlite" else OF_POSTGRESQL
    for attack in (ATTACKS | own).values():
        with place.hand() as hand, pytest.raises(REFUSALS, match="never"):
            hand.execute(attack.format(table=table, column=COLUMNS[table]))


COPY = "INSERT INTO superseded SELECT 0, entries.* FROM entries WHERE idx = {index}"
REMOVE = "DELETE FROM entries WHERE idx = {index}"


def test_an_entry_leaves_only_from_the_end_and_only_if_a_copy_stays(store: LedgerStore, place: Place) -> None:
    store.append(CHAIN)
    with place.hand() as hand:
        hand.execute(COPY.format(index=6))
        for index in (6, 7):  # not the last one; without a copy
            with pytest.raises(REFUSALS, match="never"):
                hand.execute(REMOVE.format(index=index))


def test_an_entry_does_not_leave_for_a_copy_that_is_another(store: LedgerStore, place: Place) -> None:
    store.append(CHAIN)
    columns = ENTRIES.columns.keys()
    for number, changed in enumerate(columns):
        other = {"idx": "6", "previous": "hash", "author_seq": "99", "author": "'x'", "kind": "'x'"}
        cells = [other.get(each, "previous") if each == changed else each for each in columns]
        with place.hand() as hand:
            hand.execute(
                f"INSERT INTO superseded SELECT {number}, {', '.join(cells)} FROM entries WHERE idx = 7"
            )
            with pytest.raises(REFUSALS, match="never"):
                hand.execute(REMOVE.format(index=7))


# --- tampered cells -------------------------------------------------------------------------------------


def test_a_checkpoint_that_lost_its_signatures_is_damage(store: LedgerStore, place: Place) -> None:
    store.add_checkpoint(signed(checkpoint(5)))
    place.disarm()
    with place.hand() as hand:
        hand.execute("DELETE FROM checkpoint_signatures")
    with pytest.raises(StoreCorrupt, match="a signature under a checkpoint, of None"):
        list(store.checkpoints())


@pytest.mark.parametrize(
    ("table", "column", "reason"),
    [
        ("checkpoints", "text", "a checkpoint of 5 entries: a cell is of the wrong type"),
        ("checkpoint_signatures", "signature", "a signature under a checkpoint, of 'hansa/hansa/0"),
        ("evidence", "content", "evidence 0: a cell is of the wrong type"),
        ("superseded", "idx", "holds a row with index"),
    ],
)
def test_a_cell_of_the_wrong_type_is_damage(
    store: LedgerStore, place: Place, places: Places, table: str, column: str, reason: str
) -> None:
    store.append(CHAIN)
    store.set_aside(6)
    store.add_checkpoint(signed(checkpoint(5)))
    store.add_evidence("fork", b"two heads")
    place.disarm()
    value, kind = ("7.5", "float") if column != "text" else ("'x'", "bytea")
    if places.kind == "sqlite":
        value = "7.5" if column == "idx" else "x'00'" if column == "text" else "'words'"
    with place.hand() as hand:
        if places.kind == "postgresql":
            hand.execute(
                f"ALTER TABLE {table} DROP COLUMN {column}, ADD COLUMN {column} {kind} DEFAULT {value}"
            )
        else:
            hand.execute(f"CREATE TABLE loose AS SELECT * FROM {table}")
            hand.execute(f"DROP TABLE {table}")
            hand.execute(f"ALTER TABLE loose RENAME TO {table}")
            hand.execute(f"UPDATE {table} SET {column} = {value}")
    with pytest.raises(StoreCorrupt, match=reason):
        assert list(store.checkpoints()) + list(store.superseded()) + list(store.evidence()) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("size = 6", "a checkpoint of 6 entries in epoch 0 stands where another belongs"),
        ("epoch = 3", "a checkpoint of 5 entries in epoch 3 stands where another belongs"),
        ("text = text || 'x'", "a checkpoint of 5 entries: a checkpoint has four lines"),
        ("text = replace(text, 'AAAA', 'BBBB')", "a checkpoint of 5 entries"),
    ],
)
def test_a_changed_checkpoint_is_damage(store: LedgerStore, place: Place, change: str, reason: str) -> None:
    store.add_checkpoint(signed(checkpoint(5)))
    place.disarm()
    with place.hand() as hand:
        hand.execute(f"UPDATE checkpoints SET {change}")
    with pytest.raises(StoreCorrupt, match=reason):
        list(store.checkpoints())


def test_a_chain_that_grows_again_keeps_what_was_replaced_apart(store: LedgerStore) -> None:
    store.append(CHAIN[:7])
    store.set_aside(6)
    other = replace(CHAIN[6], receipt=CHAIN[5].receipt)
    store.append([other])
    assert list(store.read(6)) == [other]
    assert list(store.superseded()) == [CHAIN[6]]
