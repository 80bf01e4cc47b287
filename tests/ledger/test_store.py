"""The database takes new entries at its end, and nothing else."""

import re
from contextlib import closing
from dataclasses import replace

import pytest

from hansa.ledger import (
    EMPTY,
    BadEntry,
    ChainedEntry,
    HeadMoved,
    Keeper,
    LedgerStore,
    Replica,
    StoreCorrupt,
    StoreError,
    StoreMissing,
    StoreNewer,
    link,
    read_entry,
    sign_entry,
)
from tests.ledger.places import REFUSALS, Place, Places
from tests.ledger.town import CHAIN, CHARTER, FEDERATION, LUBECK, Town


# --- reading and writing --------------------------------------------------------------------------------
def test_an_empty_ledger_has_the_empty_head(store: LedgerStore) -> None:
    assert store.head() == EMPTY
    assert list(store.read()) == []
    assert store.find("lubeck", 0) is None


def test_entries_come_back_as_they_were(store: LedgerStore) -> None:
    store.append(CHAIN[:3])
    store.append([])
    store.append(CHAIN[3:], [read_entry(entry.signed) for entry in CHAIN[3:]])
    assert list(store.read()) == CHAIN
    assert store.head() == CHAIN[-1].head
    assert store.find("lubeck", 5) == CHAIN[5]
    assert store.find("lubeck", 8) is None
    assert store.find("bremen", 0) is None


@pytest.mark.parametrize("batch", [1, 3, 8, 9])
@pytest.mark.parametrize(("start", "stop"), [(0, None), (2, 5), (0, 8), (7, 100), (5, 5), (9, None)])
def test_any_range_can_be_read_in_any_batches(
    store: LedgerStore, start: int, stop: int | None, batch: int
) -> None:
    store.append(CHAIN)
    assert list(store.read(start, stop, batch)) == CHAIN[start:stop]


def test_the_ledger_outlives_its_store(place: Place) -> None:
    for part in (CHAIN[:4], CHAIN[4:]):
        store = LedgerStore.open(place.url, create=False)
        store.append(part)
        store.close()
    store = LedgerStore.open(place.url)
    assert list(store.read()) == CHAIN
    store.close()


def test_entries_that_do_not_continue_one_another_are_a_value_error(store: LedgerStore) -> None:
    with pytest.raises(ValueError, match="entry 2 does not continue entry 0"):
        store.append([CHAIN[0], CHAIN[2]])
    with pytest.raises(ValueError, match="entry 1 does not continue entry 0"):
        store.append([CHAIN[0], replace(CHAIN[1], previous=bytes(32))])


@pytest.mark.parametrize("late", [CHAIN[0], CHAIN[1], CHAIN[3], replace(CHAIN[2], previous=bytes(32))])
def test_entries_that_do_not_continue_the_chain_find_its_head_moved(
    store: LedgerStore, late: ChainedEntry
) -> None:
    store.append(CHAIN[:2])
    with pytest.raises(HeadMoved, match="it ends at 2 entries"):
        store.append([late])
    assert list(store.read()) == CHAIN[:2]


def test_another_refusal_of_the_database_is_not_taken_for_a_lost_race(store: LedgerStore) -> None:
    store.append(CHAIN[:2])
    again = link(LUBECK, FEDERATION, CHAIN[1].head, sign_entry(
        LUBECK, federation=FEDERATION, author_seq=0, body=CHARTER, time_ms=1))  # fmt: skip
    with pytest.raises(StoreError, match=r"a ledger entry is appended once|violates unique constraint"):
        store.append([again])
    with pytest.raises(StoreError, match=r"(?i)violates check constraint|check constraint failed"):
        store.append([replace(CHAIN[2], receipt=b"short")])
    assert list(store.read()) == CHAIN[:2]


def test_a_batch_is_written_whole_or_not_at_all(store: LedgerStore) -> None:
    with pytest.raises(StoreError):
        store.append([*CHAIN[:5], replace(CHAIN[5], receipt=b"")])
    assert store.head() == EMPTY


# --- append-only ----------------------------------------------------------------------------------------
COLUMNS = "idx, previous, signed, signature, hash, receipt, author, author_seq, kind, nodes"
CELLS = "signed, signature, hash, receipt, author"
LAST = "(SELECT hash FROM entries WHERE idx = 7)"
# They work on the eight entries of CHAIN.
ATTACKS = {
    "update": "UPDATE entries SET kind = 'charter'",
    "update index": "UPDATE entries SET idx = 8 WHERE idx = 1",
    "delete": "DELETE FROM entries WHERE idx = 7",
    "delete all": "DELETE FROM entries",
    "again": f"INSERT INTO entries SELECT {COLUMNS} FROM entries WHERE idx = 3 ON CONFLICT DO NOTHING",
    "gap": f"INSERT INTO entries SELECT 9, {LAST}, {CELLS}, 99, kind, nodes FROM entries WHERE idx = 1",
    "no index": f"INSERT INTO entries SELECT NULL, {LAST}, {CELLS}, 99, kind, nodes FROM entries WHERE idx = 0",
    "fork": f"INSERT INTO entries SELECT 8, previous, {CELLS}, 99, kind, nodes FROM entries WHERE idx = 0",
    "twice": (
        f"INSERT INTO entries SELECT 8, {LAST}, {CELLS}, author_seq, kind, nodes FROM entries WHERE idx = 0"
    ),
    "nodes of another entry": (
        f"INSERT INTO entries SELECT 8, {LAST}, {CELLS}, 99, kind, nodes FROM entries WHERE idx = 3"
    ),
    "a piece of nodes": f"INSERT INTO entries SELECT 8, {LAST}, {CELLS}, 99, kind, hash FROM entries WHERE idx = 3",
    "no nodes": f"INSERT INTO entries SELECT 8, {LAST}, {CELLS}, 99, kind, NULL FROM entries WHERE idx = 3",
    "another's nodes": "UPDATE entries SET nodes = hash WHERE idx = 1",
}
ATTACKS_OF = {
    "sqlite": {
        "update index": "UPDATE OR REPLACE entries SET idx = 0 WHERE idx = 1",
        "again": f"INSERT OR REPLACE INTO entries SELECT {COLUMNS} FROM entries WHERE idx = 3",
        "twice": (
            f"INSERT OR REPLACE INTO entries SELECT 8, {LAST}, {CELLS}, author_seq, kind, nodes"
            " FROM entries WHERE idx = 0"
        ),
    },
    "postgresql": {
        "again": (
            f"INSERT INTO entries SELECT {COLUMNS} FROM entries WHERE idx = 3"
            " ON CONFLICT (idx) DO UPDATE SET kind = 'x'"
        ),
        "delete all": "TRUNCATE entries",
        "update": (
            "MERGE INTO entries USING entries AS other ON entries.idx = other.idx"
            " WHEN MATCHED THEN UPDATE SET kind = 'charter'"
        ),
    },
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_database_itself_refuses_anything_but_the_next_entry(
    store: LedgerStore, place: Place, places: Places, attack: str
) -> None:
    store.append(CHAIN)
    own = ATTACKS_OF[places.kind].get(attack)
    for statement in (ATTACKS[attack], own) if own else (ATTACKS[attack],):
        with place.hand() as hand, pytest.raises(REFUSALS, match=r"ledger entr|(?i:unique)"):
            hand.execute(statement)
    assert list(store.read()) == CHAIN


# --- opening --------------------------------------------------------------------------------------------
def test_an_empty_database_becomes_a_ledger_only_on_request(places: Places) -> None:
    place = places.nothing()
    with pytest.raises(StoreMissing, match="holds no ledger"):
        LedgerStore.open(place.url, create=False)
    with pytest.raises(StoreMissing, match="holds no ledger"):
        LedgerStore.open_read_only(place.url)
    LedgerStore.open(place.url).close()
    LedgerStore.open(place.url, create=False).close()
    place.remove()


def test_a_ledger_can_be_looked_at_and_is_not_touched(place: Place) -> None:
    with closing(LedgerStore.open(place.url)) as store:
        store.append(CHAIN[:5])
    with closing(LedgerStore.open_read_only(place.url)) as store:
        assert list(store.read()) == CHAIN[:5]
        with pytest.raises(StoreError, match=r"(?i)read-?only"):
            store.append(CHAIN[5:])
        assert store.head() == CHAIN[4].head


def test_somebody_elses_database_is_left_alone(places: Places) -> None:
    place = places.nothing()
    with place.hand() as hand:
        hand.execute("CREATE TABLE herrings (weight int)")
    for look in (LedgerStore.open, LedgerStore.open_read_only):
        with pytest.raises(StoreCorrupt, match="no ledger but herrings: give the ledger a place of its own"):
            look(place.url)
    place.remove()


def test_a_newer_ledger_is_refused_by_name(place: Place) -> None:
    with place.hand() as hand:
        hand.execute("UPDATE alembic_version SET version_num = '9999'")
    for look in (LedgerStore.open, LedgerStore.open_read_only):
        with pytest.raises(StoreNewer, match="9999"):
            look(place.url)


def test_tables_without_a_revision_are_refused(place: Place) -> None:
    with place.hand() as hand:
        hand.execute("DELETE FROM alembic_version")
    for look in (LedgerStore.open, LedgerStore.open_read_only):
        with pytest.raises(StoreCorrupt, match="holds no ledger but alembic_version, checkpoint_s"):
            look(place.url)


def test_a_table_gone_missing_is_an_error_of_the_store(store: LedgerStore, place: Place) -> None:
    with place.hand() as hand:
        hand.execute("DROP TABLE entries")
    with pytest.raises(StoreError, match=r"no such table|does not exist"):
        store.head()


def test_the_ledger_of_another_federation_is_refused(town: Town) -> None:
    with pytest.raises(BadEntry, match="of 'hansa', not of 'league'"):
        Keeper(LUBECK, "league", town.store)
    with pytest.raises(BadEntry, match="of 'hansa', not of 'league'"):
        Replica(town.store, town.genesis.hash, "league")
    with pytest.raises(BadEntry, match="not the pinned charter"):
        Replica(town.store, bytes(32), "hansa")


UNUSABLE = {
    "abacus://counting/house": "expected sqlite:/// or postgresql+psycopg://, found abacus://",
    "postgresql+herring://x/y": "expected sqlite:/// or postgresql+psycopg://, found postgresql+herring://",
    "sqlite://host/file": "a file's is sqlite:///relative/path or sqlite:////absolute/path",
    "://": "Could not parse",
    "postgresql+psycopg://lubeck:secret": "its port is no number",
    "postgresql+psycopg://lubeck:pass@secret@host/ledger": "write %40 for an @ in the password",
}


@pytest.mark.parametrize("url", UNUSABLE)
def test_an_address_that_leads_nowhere_is_named_without_its_secrets(url: str) -> None:
    for look in (LedgerStore.open, LedgerStore.open_read_only):
        with pytest.raises(
            StoreError, match=re.escape(f"no database can be opened by this address: {UNUSABLE[url]}")
        ) as caught:
            look(url)
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)
