"""A member stores what it has verified, and finds the keeper out."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from hansa.ledger import (
    BadEntry,
    Behind,
    ChainedEntry,
    ForkFound,
    Head,
    HeadMoved,
    LedgerStore,
    Replica,
    StoreError,
    link,
)
from tests.ledger.places import Places
from tests.ledger.town import BREMEN, CATCH, DANZIG, FEDERATION, LUBECK, STRANGER, Town, admission


@pytest.fixture
def copy(places: Places) -> Iterator[LedgerStore]:
    """An empty store at a member's."""
    place = places.blank()
    store = LedgerStore.open(place.url)
    yield store
    store.close()
    place.remove()


@pytest.fixture
def replica(town: Town, copy: LedgerStore) -> Replica:
    """A member's copy, still empty, of a ledger with a finished job."""
    town.run_job()
    return Replica(copy, town.genesis.hash, FEDERATION)


def forked(town: Town, index: int) -> ChainedEntry:
    """Return another entry that the keeper has signed for an index."""
    before = town.entries()[index - 1]
    return link(LUBECK, FEDERATION, before.head, town.sign(BREMEN, CATCH, number=9))


def test_a_replica_holds_what_the_keeper_wrote(town: Town, replica: Replica, copy: LedgerStore) -> None:
    entries = town.entries()
    assert replica.accept(entries[:4]) == entries[3].head
    assert replica.accept(entries[4:]) == town.keeper.head
    assert replica.accept([]) == town.keeper.head
    assert list(copy.read()) == entries
    assert replica.standing.jobs == town.keeper.standing.jobs
    assert replica.standing.members == town.keeper.standing.members


def test_what_is_held_already_is_skipped(town: Town, replica: Replica, copy: LedgerStore) -> None:
    entries = town.entries()
    replica.accept(entries[:6])
    assert replica.accept(entries[2:5]) == entries[5].head
    assert replica.accept(entries[3:]) == entries[-1].head
    assert list(copy.read()) == entries


def test_a_replica_goes_on_where_it_was(town: Town, replica: Replica, copy: LedgerStore) -> None:
    replica.accept(town.entries()[:7])
    again = Replica(copy, town.genesis.hash, FEDERATION)
    assert again.head.size == 7
    assert again.accept(town.entries()) == town.keeper.head


def test_a_gap_says_where_to_go_on(town: Town, replica: Replica) -> None:
    replica.accept(town.entries()[:3])
    with pytest.raises(Behind, match="entry 3 is missing: the first one offered is 5") as caught:
        replica.accept(town.entries()[5:])
    assert caught.value.expected_index == 3
    with pytest.raises(BadEntry, match="entry 5: missing: the next entry is 6"):
        replica.accept(town.entries()[3:5] + town.entries()[6:])
    assert replica.head.size == 3


def test_nothing_is_stored_of_a_batch_with_a_bad_entry(
    town: Town, replica: Replica, copy: LedgerStore
) -> None:
    entries = town.entries()
    entries[6] = replace(entries[6], receipt=bytes(64))
    with pytest.raises(BadEntry, match="entry 6: the receipt is not signed"):
        replica.accept(entries)
    assert replica.head == copy.head() == Head(0, bytes(32))
    assert replica.accept(town.entries()) == town.keeper.head


def test_another_charter_than_the_pinned_one_is_refused(town: Town, copy: LedgerStore) -> None:
    with pytest.raises(BadEntry, match="not the pinned charter"):
        Replica(copy, bytes(32), FEDERATION).accept(town.entries())
    with pytest.raises(BadEntry, match="of 'hansa', not of 'league'"):
        Replica(copy, town.genesis.hash, "league").accept(town.entries())


def test_a_second_entry_signed_for_an_index_is_evidence_of_a_fork(town: Town, replica: Replica) -> None:
    replica.accept(town.entries())
    other = forked(town, 5)
    with pytest.raises(ForkFound, match="entry 5: the keeper has signed") as caught:
        replica.accept([other])
    assert (caught.value.index, caught.value.ours) == (5, town.entries()[5].hash)
    assert caught.value.theirs == other.hash
    assert replica.head == town.keeper.head


def test_a_second_entry_that_the_keeper_did_not_sign_is_noise(town: Town, replica: Replica) -> None:
    replica.accept(town.entries())
    other = forked(town, 5)
    with pytest.raises(BadEntry, match="receipt is not signed"):
        replica.accept([replace(other, receipt=STRANGER.sign(b"receipt"))])
    with pytest.raises(BadEntry, match="content does not have its hash"):
        replica.accept([replace(other, signature=bytes(64))])
    with pytest.raises(BadEntry, match="indices count from 0"):
        replica.accept([replace(other, index=-1)])


def test_two_processes_of_one_member_share_its_copy(town: Town, replica: Replica, copy: LedgerStore) -> None:
    other = Replica(copy, town.genesis.hash, FEDERATION)
    replica.accept(town.entries()[:6])
    assert other.accept(town.entries()[:8]) == town.entries()[7].head
    assert replica.accept(town.entries()) == town.keeper.head
    assert list(copy.read()) == town.entries()


def test_a_fork_that_another_process_stored_is_found(town: Town, replica: Replica, copy: LedgerStore) -> None:
    other = Replica(copy, town.genesis.hash, FEDERATION)
    replica.accept(town.entries()[:3])
    entry = link(LUBECK, FEDERATION, town.entries()[2].head, town.sign(DANZIG, CATCH, number=0))
    other.accept([*town.entries()[:3], entry])
    with pytest.raises(ForkFound):
        replica.accept(town.entries())


def test_a_race_lost_for_ever_is_an_error(
    town: Town, replica: Replica, copy: LedgerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: object) -> None:
        raise HeadMoved("again")

    monkeypatch.setattr(copy, "append", lose)
    with pytest.raises(HeadMoved, match="lost 100 races"):
        replica.accept(town.entries())


def test_a_copy_cut_short_under_our_eyes_is_found(
    town: Town, replica: Replica, copy: LedgerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica.accept(town.entries())
    monkeypatch.setattr(copy, "read", lambda *_: iter(()))
    with pytest.raises(BadEntry, match="missing from the store"):
        replica.accept(town.entries()[:1])


def test_a_database_that_fails_leaves_the_replica_as_it_was(
    town: Town, replica: Replica, copy: LedgerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("disk full")

    with monkeypatch.context() as full:
        full.setattr(copy, "append", fail)
        with pytest.raises(StoreError, match="disk full"):
            replica.accept(town.entries())
    assert replica.head.size == 0
    assert replica.accept(town.entries()) == town.keeper.head


def test_a_member_admitted_later_is_known_at_once(town: Town, replica: Replica) -> None:
    replica.accept(town.entries())
    town.write(LUBECK, admission(STRANGER))
    replica.accept(town.entries()[10:])
    assert replica.standing.members["stranger"].public == STRANGER.public
