"""The keeper chains what may be chained, once, and says of the rest why not."""

from contextlib import closing
from dataclasses import replace

import pytest

from hansa.broker.identity import Identity
from hansa.ledger import (
    EMPTY,
    BadEntry,
    Behind,
    ChainedEntry,
    Charter,
    DatasetWithdrawn,
    ForkFound,
    HeadMoved,
    JobAccepted,
    Keeper,
    LedgerStore,
    MemberLeft,
    NotTheKeeper,
    Refusal,
    RuleBroken,
    SignedEntry,
    StoreError,
    Verifier,
    sign_entry,
)
from tests.ledger.town import (
    BREMEN,
    CATCH,
    CHARTER,
    DANZIG,
    FEDERATION,
    LUBECK,
    NEXT_CATCH,
    NOW_S,
    STRANGER,
    Town,
    admission,
)


def reasons(outcomes: tuple[ChainedEntry | Refusal, ...]) -> list[str]:
    """Return why entries were refused, and "" for those that were not."""
    return [outcome.reason if isinstance(outcome, Refusal) else "" for outcome in outcomes]


def test_the_charter_founds_the_federation(store: LedgerStore) -> None:
    keeper = Keeper(LUBECK, FEDERATION, store)
    assert keeper.head == EMPTY
    genesis = keeper.found(CHARTER, 1_000)
    assert keeper.head == store.head() == genesis.head
    assert keeper.standing.charter == CHARTER
    Verifier(genesis.hash, FEDERATION).accept(genesis)


def test_there_is_one_charter(town: Town) -> None:
    with pytest.raises(RuleBroken, match="has its charter"):
        town.keeper.found(CHARTER, 1_000)


@pytest.mark.parametrize(
    ("charter", "reason"),
    [
        (replace(CHARTER, keeper=BREMEN.public), "names 'bremen' as keeper"),
        (replace(CHARTER, keeper=Identity.generate("lubeck").public), "not lubeck's"),
        (replace(CHARTER, federation="league"), "the charter of 'league'"),
    ],
    ids=["name", "keys", "federation"],
)
def test_a_charter_must_name_this_keeper_and_federation(
    store: LedgerStore, charter: Charter, reason: str
) -> None:
    with pytest.raises(RuleBroken, match=reason):
        Keeper(LUBECK, FEDERATION, store).found(charter, 1_000)
    assert store.head() == EMPTY


def test_a_charter_that_names_other_keys_of_ours_is_refused(store: LedgerStore) -> None:
    twin = Identity.generate("lubeck")
    charter = replace(CHARTER, keeper=twin.public)
    entry = sign_entry(twin, federation=FEDERATION, author_seq=0, body=charter, time_ms=0)
    assert "names PublicIdentity" in reasons(Keeper(LUBECK, FEDERATION, store).append([entry], NOW_S))[0]


def test_nothing_comes_before_the_charter(store: LedgerStore) -> None:
    entry = sign_entry(LUBECK, federation=FEDERATION, author_seq=0, body=JobAccepted("herring"), time_ms=0)
    assert "must be a charter" in reasons(Keeper(LUBECK, FEDERATION, store).append([entry], NOW_S))[0]


def test_a_keeper_goes_on_where_it_was(town: Town) -> None:
    town.run_job()
    again = Keeper(LUBECK, FEDERATION, town.store)
    assert again.head == town.keeper.head
    assert again.standing.jobs == town.keeper.standing.jobs
    assert again.append([town.sign(BREMEN, NEXT_CATCH)], NOW_S)[0] == town.entries()[12]


def test_only_the_keeper_of_the_charter_keeps_the_ledger(town: Town) -> None:
    for other in (BREMEN, Identity.generate("lubeck")):
        with pytest.raises(NotTheKeeper, match="who keeps the ledger"):
            Keeper(other, FEDERATION, town.store)
    with pytest.raises(BadEntry, match="of 'hansa', not of 'league'"):
        Keeper(LUBECK, "league", town.store)


def test_one_bad_entry_does_not_hold_up_the_others(town: Town) -> None:
    town.admit_both()
    honest = [town.sign(BREMEN, CATCH), town.sign(DANZIG, CATCH)]
    forged = SignedEntry(honest[0].signed, DANZIG.sign(honest[0].signed))
    stranger = town.sign(STRANGER, CATCH)
    noise = SignedEntry(b"noise", bytes(64))
    outcomes = town.keeper.append([forged, honest[0], stranger, noise, honest[1]], NOW_S)
    assert [type(outcome) for outcome in outcomes] == [Refusal, ChainedEntry, Refusal, Refusal, ChainedEntry]
    first, _, third, fourth, _ = reasons(outcomes)
    assert first == "the signature is not bremen's"
    assert third == "'stranger' is no member"
    assert fourth.startswith("not an entry")
    assert isinstance(outcomes[0], Refusal)
    assert outcomes[0].entry is forged
    assert town.entries()[3:] == [outcomes[1], outcomes[4]]


def test_a_later_entry_of_a_batch_builds_on_an_earlier_one(town: Town) -> None:
    town.admit_both()
    bodies = (CATCH, DatasetWithdrawn("catch", ""), CATCH)
    assert reasons(town.keeper.append([town.sign(BREMEN, body) for body in bodies], NOW_S)) == ["", "", ""]


def test_a_refused_entry_leaves_a_gap_that_later_ones_skip(town: Town) -> None:
    town.admit_both()
    bad = town.sign(BREMEN, DatasetWithdrawn("catch", ""))
    assert reasons(town.keeper.append([bad, town.sign(BREMEN, CATCH)], NOW_S)) == [
        "bremen has not registered catch",
        "",
    ]
    late = town.sign(BREMEN, CATCH, number=0)
    assert reasons(town.keeper.append([late], NOW_S)) == ["entry 0 of bremen comes after its entry 1"]


def test_an_entry_handed_in_again_is_chained_once(town: Town) -> None:
    town.admit_both()
    entry = town.sign(BREMEN, CATCH)
    other = town.sign(DANZIG, CATCH)
    first, second, again, also = town.keeper.append([entry, other, entry, other], NOW_S)
    assert first == again == town.keeper.append([entry], NOW_S)[0]
    assert second == also
    assert town.keeper.head.size == 5
    assert Keeper(LUBECK, FEDERATION, town.store).append([entry], NOW_S) == (first,)


def test_another_entry_under_a_number_that_is_taken_is_equivocation(town: Town) -> None:
    town.admit_both()
    first = town.sign(BREMEN, CATCH, number=0)
    second = town.sign(BREMEN, replace(CATCH, rows=7_000), number=0)
    assert "equivocation: bremen's entry 0 is another one, chained at 3" in reasons(
        town.keeper.append([first, second], NOW_S)
    )
    assert "equivocation" in reasons(town.keeper.append([second], NOW_S))[0]
    slander = SignedEntry(second.signed, DANZIG.sign(second.signed))
    assert reasons(town.keeper.append([slander], NOW_S)) == ["the signature is not bremen's"]


def test_who_has_left_gets_its_old_entries_back_but_no_new_ones_in(town: Town) -> None:
    town.admit_both()
    entry = town.sign(BREMEN, CATCH)
    chained = town.keeper.append([entry, town.sign(BREMEN, MemberLeft("bremen"))], NOW_S)[0]
    assert town.keeper.append([entry], NOW_S) == (chained,)
    assert reasons(town.keeper.append([town.sign(BREMEN, CATCH)], NOW_S)) == ["bremen may not write: left"]


def test_a_clock_far_ahead_is_refused_by_name(town: Town) -> None:
    town.admit_both()
    assert reasons(town.keeper.append([town.sign(BREMEN, CATCH, number=0, time_s=NOW_S + 301)], NOW_S)) == [
        "bremen's clock is 301 s ahead of the keeper's"
    ]
    assert reasons(town.keeper.append([town.sign(BREMEN, CATCH, number=0, time_s=NOW_S + 299)], NOW_S)) == [
        ""
    ]
    assert reasons(town.keeper.append([town.sign(DANZIG, CATCH, number=0, time_s=1.0)], NOW_S)) == [""]


def test_a_kind_that_the_keeper_does_not_know_is_refused(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.admit_both()
    with monkeypatch.context() as later:
        later.setattr("hansa.ledger.entry.schema_of", lambda body: 2)
        newer = town.sign(BREMEN, CATCH)
    assert reasons(town.keeper.append([newer], NOW_S)) == [
        "this keeper does not know dataset-registered in schema 2"
    ]


def test_two_keepers_of_one_ledger_take_turns(town: Town) -> None:
    other = Keeper(LUBECK, FEDERATION, town.store)
    town.write(LUBECK, admission(BREMEN))
    chained = other.append([town.sign(LUBECK, admission(DANZIG)), town.sign(BREMEN, CATCH)], NOW_S)
    assert reasons(chained) == ["", ""]
    assert other.head == town.store.head()
    assert town.keeper.head.size == 2
    outcomes = town.keeper.append([town.sign(DANZIG, CATCH), town.sign(STRANGER, CATCH)], NOW_S)
    assert reasons(outcomes) == ["", "'stranger' is no member"]
    assert town.keeper.head.size == 5


def test_an_entry_that_the_other_keeper_chained_is_not_chained_again(town: Town) -> None:
    other = Keeper(LUBECK, FEDERATION, town.store)
    entry = town.sign(LUBECK, admission(BREMEN))
    assert town.keeper.append([entry], NOW_S) == other.append([entry], NOW_S)
    fresh = town.sign(LUBECK, admission(DANZIG))
    assert other.append([entry, fresh], NOW_S)[0] == town.entries()[1]


def test_a_race_lost_for_ever_is_an_error(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*_: object) -> None:
        raise HeadMoved("again")

    monkeypatch.setattr(town.store, "append", lose)
    with pytest.raises(HeadMoved, match="lost 100 races"):
        town.keeper.append([town.sign(LUBECK, admission(BREMEN))], NOW_S)


def test_a_database_that_fails_leaves_the_keeper_as_it_was(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("disk full")

    entry = town.sign(LUBECK, admission(BREMEN))
    with monkeypatch.context() as full:
        full.setattr(town.store, "append", fail)
        with pytest.raises(StoreError, match="disk full"):
            town.keeper.append([entry], NOW_S)
    assert town.keeper.head.size == 1
    assert "bremen" not in town.keeper.standing.members
    assert reasons(town.keeper.append([entry], NOW_S)) == [""]


# --- restored from a backup -----------------------------------------------------------------------------
def test_a_keeper_takes_back_what_it_has_chained_and_lost(town: Town) -> None:
    town.run_job()
    entries = town.entries()
    with closing(LedgerStore.open("sqlite://")) as store:
        store.append(entries[:3])
        keeper = Keeper(LUBECK, FEDERATION, store)
        assert keeper.adopt(entries[1:7]) == entries[6].head
        assert keeper.adopt(entries[5:]) == town.keeper.head == keeper.head
        assert keeper.standing.jobs == town.keeper.standing.jobs
        assert list(store.read()) == entries
        again = town.sign(BREMEN, NEXT_CATCH)
        assert isinstance(keeper.append([again], NOW_S)[0], ChainedEntry)


def test_a_keeper_takes_back_nothing_that_it_has_not_chained(town: Town) -> None:
    town.run_job()
    entries = town.entries()
    with closing(LedgerStore.open("sqlite://")) as store:
        store.append(entries[:3])
        keeper = Keeper(LUBECK, FEDERATION, store)
        forged = replace(entries[3], receipt=bytes(64))
        with pytest.raises(BadEntry, match="receipt is not signed by the keeper"):
            keeper.adopt([forged])
        with pytest.raises(Behind):
            keeper.adopt(entries[5:])
        assert keeper.head == store.head() == entries[2].head


def test_a_keeper_that_has_signed_two_histories_finds_it_out(town: Town) -> None:
    town.admit_both()
    entries = town.entries()
    with closing(LedgerStore.open("sqlite://")) as store:
        store.append(entries)
        keeper = Keeper(LUBECK, FEDERATION, store)
        keeper.append([town.sign(BREMEN, CATCH)], NOW_S)
        other = town.keeper.append([town.sign(DANZIG, CATCH)], NOW_S)
        assert isinstance(other[0], ChainedEntry)
        with pytest.raises(ForkFound):
            keeper.adopt([other[0]])
