"""Another member keeps the ledger from here on, if enough agree; whatever they had not seen is set aside."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest

from hansa.broker.identity import Identity
from hansa.ledger import (
    BadEntry,
    Behind,
    ChainedEntry,
    DatasetWithdrawn,
    ForkFound,
    Keeper,
    KeeperChanged,
    KeyRotated,
    LedgerStore,
    MemberLeft,
    MemberSuspended,
    NotTheKeeper,
    Refusal,
    Replica,
    SignedEntry,
    StaleEpoch,
    Standing,
    StoreError,
    Verifier,
    link,
    sign_entry,
    verify_store,
)
from hansa.ledger.evidence import ReceiptEvidence, read_evidence
from hansa.ledger.replica import follow
from tests.ledger.town import (
    BREMEN,
    CATCH,
    DANZIG,
    FEDERATION,
    LUBECK,
    NOW_S,
    STRANGER,
    Town,
    admission,
    found_town,
    signed_note,
)


@dataclass
class Member:
    """A member's own copy."""

    identity: Identity
    store: LedgerStore
    replica: Replica

    def entries(self) -> list[ChainedEntry]:
        return list(self.store.read())

    def take_over(self, entry: SignedEntry, epoch: int = 1) -> Keeper:
        self.replica.accept([link(self.identity, FEDERATION, self.replica.head, entry, epoch)])
        return Keeper.of(self.identity, FEDERATION, self.store, self.replica.verifier)


@dataclass
class League:
    """Lübeck keeps the ledger, Bremen and Danzig have copies: three entries."""

    town: Town
    bremen: Member
    danzig: Member

    def spread(self, *members: Member) -> None:
        """Let members have all that Lübeck has chained."""
        for member in members:
            member.replica.accept(self.town.entries())


@pytest.fixture
def league() -> Iterator[League]:
    with ExitStack() as stack:

        def store() -> LedgerStore:
            opened = LedgerStore.open("sqlite://")
            stack.callback(opened.close)
            return opened

        town = found_town(store())
        town.admit_both()
        copies = []
        for identity in (BREMEN, DANZIG):
            copy = store()
            copies.append(Member(identity, copy, Replica(copy, town.genesis.hash, FEDERATION)))
        made = League(town, *copies)
        made.spread(made.bremen, made.danzig)
        yield made


def certificate(
    now: Standing, by: Identity, epoch: int = 1, cosigners: tuple[Identity, ...] = (BREMEN, DANZIG)
) -> bytes:
    """Return the head at which somebody takes over, as others cosign it."""
    head = replace(now.head_checkpoint(), epoch=epoch, keeper=by.name)
    return signed_note(head, by, *cosigners).encoded()


def change(now: Standing, by: Identity, note: bytes) -> SignedEntry:
    """Return the entry by which somebody takes over."""
    return sign_entry(
        by,
        federation=FEDERATION,
        author_seq=now.next_author_seq(by.name),
        body=KeeperChanged(note),
        time_ms=int(NOW_S * 1000),
    )


def taken_over(member: Member, epoch: int = 1, cosigners: tuple[Identity, ...] = (BREMEN, DANZIG)) -> Keeper:
    """Let a member take over at its own head."""
    now = member.replica.standing
    entry = change(now, member.identity, certificate(now, member.identity, epoch, cosigners))
    return member.take_over(entry, epoch)


def said(author: Identity, body: object, number: int) -> SignedEntry:
    return sign_entry(
        author,
        federation=FEDERATION,
        author_seq=number,
        body=body,  # type: ignore[arg-type]
        time_ms=int(NOW_S * 1000),
    )


def test_a_member_takes_over_with_enough_names(league: League) -> None:
    keeper = taken_over(league.bremen)
    assert keeper.standing.keeper == BREMEN.public
    assert (keeper.standing.epoch, keeper.head.size) == (1, 4)
    assert league.danzig.replica.accept(league.bremen.entries()[3:]) == keeper.head
    assert league.danzig.replica.standing.roster.keeper == BREMEN.public
    assert set(league.danzig.replica.standing.roster.witnesses) == {"lubeck", "danzig"}
    assert verify_store(league.bremen.store, fingerprint=league.town.genesis.hash).head == keeper.head
    again = Keeper(BREMEN, FEDERATION, league.bremen.store)
    outcomes = again.append([said(DANZIG, CATCH, 0), said(BREMEN, admission(STRANGER), 1)], NOW_S)
    assert all(isinstance(outcome, ChainedEntry) for outcome in outcomes)
    assert league.danzig.replica.accept(league.bremen.entries()) == again.head


def test_the_former_keeper_steps_down_and_is_a_member_like_others(league: League) -> None:
    keeper = taken_over(league.bremen)
    league.town.keeper.adopt(league.bremen.entries())
    assert league.town.keeper.succeeded
    assert league.town.keeper.set_aside_own == ()
    with pytest.raises(NotTheKeeper, match=r"lubeck.* is not PublicIdentity\('bremen'"):
        league.town.keeper.append([said(DANZIG, CATCH, 0)], NOW_S)
    with pytest.raises(NotTheKeeper):
        Keeper(LUBECK, FEDERATION, league.town.store)
    fresh = LUBECK.rotated().public
    rotation = KeyRotated("lubeck", fresh.verify_key, fresh.seal_key)
    refused, rotated = keeper.append(
        [said(LUBECK, admission(STRANGER), 3), said(LUBECK, rotation, 4)],
        NOW_S,
    )
    assert isinstance(refused, Refusal)
    assert refused.reason == "the keeper admits members: bremen, not lubeck"
    assert isinstance(rotated, ChainedEntry)
    assert keeper.standing.members["lubeck"].public == fresh
    assert keeper.standing.keeper == BREMEN.public


@pytest.mark.parametrize(
    ("author", "body", "status"),
    [(LUBECK, MemberLeft("lubeck"), "left"), (BREMEN, MemberSuspended("lubeck", "silent"), "suspended")],
    ids=["left", "suspended"],
)
def test_the_former_keeper_may_go(league: League, author: Identity, body: object, status: str) -> None:
    keeper = taken_over(league.bremen)
    number = keeper.standing.next_author_seq(author.name)
    assert isinstance(keeper.append([said(author, body, number)], NOW_S)[0], ChainedEntry)
    assert keeper.standing.members["lubeck"].status == status
    assert set(keeper.standing.roster.witnesses) == {"danzig"}


def test_the_new_keeper_stays_while_it_keeps_the_ledger(league: League) -> None:
    keeper = taken_over(league.bremen)
    outcome = keeper.append([said(BREMEN, MemberLeft("bremen"), 1)], NOW_S)[0]
    assert isinstance(outcome, Refusal)
    assert "bremen keeps the ledger" in outcome.reason


def test_the_keeper_may_begin_an_epoch_of_its_own(league: League) -> None:
    now = league.town.keeper.standing
    entry = change(now, LUBECK, certificate(now, LUBECK, epoch=5))
    chained, later = league.town.keeper.append([entry, said(DANZIG, CATCH, 0)], NOW_S)
    assert isinstance(chained, ChainedEntry)
    assert isinstance(later, ChainedEntry)
    assert (league.town.keeper.standing.epoch, league.town.keeper.succeeded) == (5, False)
    league.spread(league.bremen)
    assert league.bremen.replica.standing.keeper == LUBECK.public


def test_a_keeper_chains_nobody_elses_takeover(league: League) -> None:
    now = league.bremen.replica.standing
    outcome = league.town.keeper.append([change(now, BREMEN, certificate(now, BREMEN))], NOW_S)[0]
    assert isinstance(outcome, Refusal)
    assert "bremen chains the entry by which it takes over, and nobody else" in outcome.reason


# --- what is no takeover --------------------------------------------------------------------------------
def smaller(now: Standing) -> bytes:
    head = replace(now.head_checkpoint(), size=2, epoch=1, keeper="bremen")
    return signed_note(head, BREMEN, BREMEN, DANZIG).encoded()


def another_root(now: Standing) -> bytes:
    head = replace(now.head_checkpoint(), root=bytes(32), epoch=1, keeper="bremen")
    return signed_note(head, BREMEN, BREMEN, DANZIG).encoded()


def unsigned(now: Standing) -> bytes:
    head = replace(now.head_checkpoint(), epoch=1, keeper="bremen")
    return signed_note(head, DANZIG, BREMEN, DANZIG).encoded()


def another_ledger(now: Standing) -> bytes:
    head = replace(now.head_checkpoint(), fingerprint=bytes(32), epoch=1, keeper="bremen")
    return signed_note(head, BREMEN, BREMEN, DANZIG).encoded()


NO_CERTIFICATE: dict[str, tuple[Callable[[Standing], bytes], str]] = {
    "one name": (lambda now: certificate(now, BREMEN, cosigners=(BREMEN,)), "cosigned by bremen, 1 of the 2"),
    "one name twice": (
        lambda now: certificate(now, BREMEN, cosigners=(BREMEN, BREMEN)),
        "each signature once",
    ),
    "the old keeper's name": (
        lambda now: certificate(now, BREMEN, cosigners=(BREMEN, LUBECK)),
        "cosigned by bremen, 1 of the 2",
    ),
    "a stranger's name": (
        lambda now: certificate(now, BREMEN, cosigners=(BREMEN, STRANGER)),
        "cosigned by bremen, 1 of the 2",
    ),
    "the present epoch": (lambda now: certificate(now, BREMEN, epoch=0), "an epoch after 0"),
    "another who takes over": (
        lambda now: certificate(now, DANZIG),
        "names who takes over: danzig, not bremen",
    ),
    "a stranger who takes over": (lambda now: certificate(now, STRANGER), "not an active member"),
    "fewer entries": (smaller, "not at this head of 3 entries"),
    "another root": (another_root, "not at this head of 3 entries"),
    "another's signature": (unsigned, "not signed under the key of bremen"),
    "another ledger": (another_ledger, "not of hansa/hansa"),
    "no note": (lambda now: b"I keep the ledger", "a note is"),
}


@pytest.mark.parametrize(("note", "reason"), NO_CERTIFICATE.values(), ids=NO_CERTIFICATE.keys())
def test_what_is_no_certificate(league: League, note: Callable[[Standing], bytes], reason: str) -> None:
    now = league.bremen.replica.standing
    entry = change(now, BREMEN, note(now))
    with pytest.raises(Exception, match=reason):
        league.bremen.take_over(entry)
    forced = link(BREMEN, FEDERATION, league.danzig.replica.head, entry, 1)
    with pytest.raises(BadEntry, match=reason):
        league.danzig.replica.accept([forced])
    assert league.bremen.store.head() == league.danzig.store.head() == league.town.keeper.head


def test_a_change_bears_the_new_keepers_receipt_in_its_own_epoch(league: League) -> None:
    now = league.bremen.replica.standing
    entry = change(now, BREMEN, certificate(now, BREMEN))
    for keeper, epoch in ((LUBECK, 0), (LUBECK, 1), (BREMEN, 0), (BREMEN, 2)):
        with pytest.raises(BadEntry, match="receipt is not signed by the keeper, bremen"):
            league.danzig.replica.accept([link(keeper, FEDERATION, league.danzig.replica.head, entry, epoch)])


def test_a_suspended_member_neither_takes_over_nor_has_a_say(league: League) -> None:
    league.town.write(LUBECK, admission(STRANGER), MemberSuspended("danzig", "pirates"))
    league.spread(league.bremen, league.danzig)
    now = league.bremen.replica.standing
    with pytest.raises(Exception, match="cosigned by bremen, 1 of the 2"):
        taken_over(league.bremen)
    with pytest.raises(Exception, match="danzig may not write: suspended"):
        league.danzig.take_over(change(now, DANZIG, certificate(now, DANZIG)))
    assert taken_over(league.bremen, cosigners=(BREMEN, STRANGER)).standing.epoch == 1


def test_who_takes_over_has_the_keys_that_the_ledger_knows(league: League) -> None:
    now, other = league.bremen.replica.standing, BREMEN.rotated()
    entry = change(now, BREMEN, certificate(now, BREMEN))
    with pytest.raises(BadEntry, match="receipt is not signed by the keeper, bremen"):
        replace(league.bremen, identity=other).take_over(entry)
    with pytest.raises(NotTheKeeper):
        Keeper.of(other, FEDERATION, league.bremen.store, taken_over(league.bremen).verifier)


def test_who_takes_over_sets_aside_what_the_others_have_not_seen(league: League) -> None:
    now = league.bremen.replica.standing.copy()
    entry = change(now, BREMEN, certificate(now, BREMEN))
    lost = league.town.write(DANZIG, CATCH)
    league.spread(league.bremen)
    chained = link(BREMEN, FEDERATION, league.danzig.replica.head, entry, 1)
    assert league.bremen.replica.accept([chained]) == league.danzig.replica.accept([chained]) == chained.head
    assert league.bremen.replica.set_aside_own == tuple(lost)


# --- entries that were not final ------------------------------------------------------------------------
def test_what_only_the_old_keeper_had_chained_is_set_aside_and_sent_again(league: League) -> None:
    lost = league.town.write(DANZIG, CATCH) + league.town.write(LUBECK, admission(STRANGER))
    keeper = taken_over(league.bremen)
    assert league.town.keeper.adopt(league.bremen.entries()[3:]) == keeper.head
    assert league.town.keeper.succeeded
    assert league.town.keeper.set_aside_own == tuple(lost)
    assert list(league.town.store.superseded()) == lost
    assert league.town.entries() == league.bremen.entries()
    again = [SignedEntry(each.signed, each.signature) for each in lost]
    taken, refused = keeper.append(again, NOW_S)
    assert isinstance(taken, ChainedEntry)
    assert isinstance(refused, Refusal)  # Lübeck admits nobody any more
    member = Replica(league.town.store, league.town.genesis.hash, FEDERATION)
    assert member.accept(league.bremen.entries()) == keeper.head
    assert member.set_aside_own == ()


def test_a_member_follows_the_new_keeper_too(league: League) -> None:
    lost = league.town.write(DANZIG, CATCH)
    league.spread(league.danzig)
    keeper = taken_over(league.bremen)
    assert league.danzig.replica.accept(league.bremen.entries()) == keeper.head
    assert league.danzig.replica.set_aside_own == tuple(lost)
    assert league.danzig.replica.standing.datasets == {}
    assert league.danzig.replica.accept([]) == keeper.head
    assert league.danzig.replica.set_aside_own == ()
    assert verify_store(league.danzig.store, fingerprint=league.town.genesis.hash).head == keeper.head


def test_nothing_final_is_undone(league: League) -> None:
    league.town.write(DANZIG, CATCH)
    league.spread(league.danzig)
    found = [league.danzig.replica.final]
    head = league.danzig.replica.standing.head_checkpoint()
    league.danzig.store.add_checkpoint(signed_note(head, LUBECK, BREMEN, DANZIG))
    assert [*found, league.danzig.replica.final] == [None, head]
    before = league.danzig.entries()
    taken_over(league.bremen)
    with pytest.raises(
        ForkFound, match="under the final checkpoint of 4 entries: some have cosigned"
    ) as caught:
        league.danzig.replica.accept(league.bremen.entries())
    assert (caught.value.index, caught.value.final_size) == (3, 4)
    assert league.danzig.entries() == before
    assert list(league.danzig.store.superseded()) == []


def test_what_is_final_where_the_new_keeper_begins_stays(league: League) -> None:
    head = league.danzig.replica.standing.head_checkpoint()
    league.danzig.store.add_checkpoint(signed_note(head, LUBECK, BREMEN, DANZIG))
    league.town.write(DANZIG, CATCH)
    league.spread(league.danzig)
    keeper = taken_over(league.bremen)
    assert league.danzig.replica.accept(league.bremen.entries()) == keeper.head


def test_an_ended_epochs_keeper_is_heard_no_more(league: League) -> None:
    league.town.write(DANZIG, CATCH)
    keeper = taken_over(league.bremen)
    keeper.append([said(DANZIG, CATCH, 0)], NOW_S)
    league.danzig.replica.accept(league.bremen.entries())
    before = league.danzig.entries()
    with pytest.raises(StaleEpoch, match="entry 3 is of epoch 0 of lubeck; it was bremen who kept"):
        league.danzig.replica.accept(league.town.entries())
    noise = replace(league.town.entries()[3], receipt=bytes(64))
    with pytest.raises(BadEntry, match="receipt is not signed by the keeper, bremen"):
        league.danzig.replica.accept([noise])
    with pytest.raises(BadEntry, match="does not have its hash"):
        league.danzig.replica.accept([replace(noise, hash=bytes(32))])
    assert league.danzig.entries() == before


def test_the_higher_of_two_takeovers_counts(league: League) -> None:
    taken_over(league.bremen, epoch=1)
    keeper = taken_over(league.danzig, epoch=2)
    with pytest.raises(
        StaleEpoch, match="entry 3 begins epoch 1; by now danzig keeps the ledger, in epoch 2"
    ):
        league.danzig.replica.accept(league.bremen.entries())
    bremen = Keeper(BREMEN, FEDERATION, league.bremen.store)
    assert bremen.adopt(league.danzig.entries()) == keeper.head
    assert bremen.succeeded
    league.town.keeper.adopt(league.danzig.entries())
    assert league.town.keeper.head == keeper.head


def test_a_second_entry_of_one_epoch_is_a_fork_whoever_keeps_the_ledger(league: League) -> None:
    keeper = taken_over(league.bremen)
    keeper.append([said(DANZIG, CATCH, 0)], NOW_S)
    league.danzig.replica.accept(league.bremen.entries())
    other = link(BREMEN, FEDERATION, league.danzig.entries()[3].head, said(LUBECK, CATCH, 3), 1)
    with pytest.raises(ForkFound, match="entry 4: the keeper has signed") as caught:
        league.danzig.replica.accept([other])
    assert caught.value.final_size == 0


# --- after a fork ---------------------------------------------------------------------------------------
def test_after_a_fork_a_takeover_unites_both_sides_and_the_proof_is_kept(league: League) -> None:
    ours = link(LUBECK, FEDERATION, league.town.keeper.head, said(DANZIG, CATCH, 0))
    league.danzig.replica.accept([ours])
    league.town.write(BREMEN, CATCH, DatasetWithdrawn("catch", "spoiled"))
    league.spread(league.bremen)
    keeper = taken_over(league.bremen)
    assert league.danzig.replica.accept(league.bremen.entries()) == keeper.head
    assert league.danzig.replica.set_aside_own == (ours,)
    ((kind, content),) = league.danzig.store.evidence()
    assert kind == "receipts"
    origin = keeper.standing.roster.origin
    words = read_evidence(content).check(origin, {0: LUBECK.public}.get)
    assert words.startswith("lubeck, who kept the ledger in epoch 0, has signed two entries 3")


@pytest.mark.parametrize("longer", [False, True])
def test_a_chain_that_parts_earlier_is_asked_for_from_what_is_final_on(league: League, longer: bool) -> None:
    ours = link(LUBECK, FEDERATION, league.town.keeper.head, said(DANZIG, CATCH, 0))
    league.danzig.replica.accept([ours])
    if longer:
        spoiled = said(DANZIG, DatasetWithdrawn("catch", ""), 1)
        league.danzig.replica.accept([link(LUBECK, FEDERATION, ours.head, spoiled)])
    league.town.write(BREMEN, CATCH)
    league.spread(league.bremen)
    keeper = taken_over(league.bremen)
    before = league.danzig.entries()
    with pytest.raises(Behind, match="entry 1 is missing: the first one offered is 4"):
        league.danzig.replica.accept(league.bremen.entries()[4:])
    head = Verifier(league.town.genesis.hash)
    for entry in before[:3]:
        head.accept(entry)
    league.danzig.store.add_checkpoint(signed_note(head.standing.head_checkpoint(), LUBECK, BREMEN, DANZIG))
    with pytest.raises(Behind, match="entry 3 is missing: the first one offered is 4"):
        league.danzig.replica.accept(league.bremen.entries()[4:])
    forged = replace(league.bremen.entries()[4], previous=bytes(32))
    with pytest.raises(BadEntry):
        league.danzig.replica.accept([replace(forged, signed=said(BREMEN, KeeperChanged(b""), 1).signed)])
    assert league.danzig.entries() == before
    assert league.danzig.replica.accept(league.bremen.entries()[3:]) == keeper.head


def test_what_parts_below_a_final_head_is_not_asked_for(league: League) -> None:
    ours = link(LUBECK, FEDERATION, league.town.keeper.head, said(DANZIG, CATCH, 0))
    league.danzig.replica.accept([ours])
    head = league.danzig.replica.standing.head_checkpoint()
    league.danzig.store.add_checkpoint(signed_note(head, LUBECK, BREMEN, DANZIG))
    league.town.write(BREMEN, CATCH)
    league.spread(league.bremen)
    taken_over(league.bremen)
    with pytest.raises(BadEntry, match="entry 4: does not continue the entry before it"):
        league.danzig.replica.accept(league.bremen.entries()[4:])


def test_the_keepers_friends_have_no_say_in_what_becomes_of_our_chain(league: League) -> None:
    league.town.write(DANZIG, CATCH)
    league.spread(league.bremen, league.danzig)
    head = league.danzig.entries()[2].head
    friends = [Identity.generate(name) for name in ("one", "two", "three", "four")]
    verifier = Verifier(league.town.genesis.hash)
    for entry in league.town.entries()[:3]:
        verifier.accept(entry)
    branch = []
    for number, friend in enumerate(friends):
        entry = link(LUBECK, FEDERATION, verifier.head, said(LUBECK, admission(friend), 3 + number))
        verifier.accept(entry)
        branch.append(entry)
    note = certificate(verifier.standing, LUBECK, epoch=1, cosigners=tuple(friends))
    branch.append(link(LUBECK, FEDERATION, verifier.head, change(verifier.standing, LUBECK, note), 1))
    verifier.accept(branch[-1])  # in itself it is in order
    with pytest.raises(
        BadEntry, match="lubeck can't take over where its chain parts: not a change of keeper"
    ):
        league.danzig.replica.accept(branch)
    assert league.danzig.entries()[2].head == head
    assert league.danzig.replica.head.size == 4


# --- what goes wrong meanwhile --------------------------------------------------------------------------
def test_a_takeover_that_does_not_verify_changes_nothing(league: League) -> None:
    league.town.write(DANZIG, CATCH)
    league.spread(league.danzig)
    before = league.danzig.entries()
    keeper = taken_over(league.bremen)
    keeper.append([said(DANZIG, CATCH, 0)], NOW_S)
    *good, last = league.bremen.entries()
    with pytest.raises(BadEntry, match="entry 4: the receipt"):
        league.danzig.replica.accept([*good, replace(last, receipt=bytes(64))])
    now = league.bremen.replica.standing
    forged = SignedEntry(change(now, BREMEN, certificate(now, BREMEN)).signed, bytes(64))
    forced = link(BREMEN, FEDERATION, good[2].head, forged, 1)
    with pytest.raises(BadEntry, match="signature is not bremen's"):
        league.danzig.replica.accept([forced])
    assert league.danzig.entries() == before
    assert list(league.danzig.store.superseded()) == []


def test_a_takeover_cut_off_in_its_midst_leaves_a_shorter_copy_that_catches_up(
    league: League, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = league.town.write(DANZIG, CATCH)
    league.spread(league.danzig)
    keeper = taken_over(league.bremen)

    def fail(*_: object) -> None:
        raise StoreError("disk full")

    with monkeypatch.context() as full:
        full.setattr(league.danzig.store, "append", fail)
        with pytest.raises(StoreError, match="disk full"):
            league.danzig.replica.accept(league.bremen.entries())
    assert league.danzig.replica.head == league.danzig.store.head() == league.bremen.entries()[2].head
    assert list(league.danzig.store.superseded()) == lost
    again = Replica(league.danzig.store, league.town.genesis.hash, FEDERATION)
    assert again.accept(league.bremen.entries()) == keeper.head
    assert league.danzig.replica.accept(league.bremen.entries()) == keeper.head


def test_a_former_keeper_that_failed_in_its_midst_knows_where_it_is(
    league: League, monkeypatch: pytest.MonkeyPatch
) -> None:
    league.town.write(DANZIG, CATCH)
    taken_over(league.bremen)

    def fail(*_: object) -> None:
        raise StoreError("disk full")

    with monkeypatch.context() as full:
        full.setattr(league.town.store, "append", fail)
        with pytest.raises(StoreError, match="disk full"):
            league.town.keeper.adopt(league.bremen.entries())
    assert league.town.keeper.head == league.town.store.head()
    assert not league.town.keeper.succeeded
    league.town.keeper.adopt(league.bremen.entries())
    assert league.town.keeper.succeeded


def test_two_processes_of_one_member_follow_one_takeover(league: League) -> None:
    league.town.write(DANZIG, CATCH)
    league.spread(league.danzig)
    other = Replica(league.danzig.store, league.town.genesis.hash, FEDERATION)
    keeper = taken_over(league.bremen)
    league.danzig.replica.accept(league.bremen.entries())
    keeper.append([said(DANZIG, CATCH, 0)], NOW_S)
    assert other.accept(league.bremen.entries()) == keeper.head
    assert league.danzig.replica.accept(league.bremen.entries()) == keeper.head


def test_a_copy_that_was_cut_short_is_not_taken_for_one_that_followed(league: League) -> None:
    with ExitStack() as stack:
        store = LedgerStore.open("sqlite://")
        stack.callback(store.close)
        store.append(league.town.entries()[:2])
        with pytest.raises(BadEntry, match="entry 2: missing from the store, under our eyes"):
            follow(store, league.danzig.replica.verifier)


def test_who_takes_over_twice_in_one_epoch_has_forked_the_ledger(league: League) -> None:
    now = league.bremen.replica.standing
    notes = (certificate(now, BREMEN, cosigners=names) for names in ((BREMEN, DANZIG), (DANZIG, BREMEN)))
    head = league.bremen.replica.head
    first, second = (link(BREMEN, FEDERATION, head, change(now, BREMEN, note), 1) for note in notes)
    league.bremen.replica.accept([first])
    league.danzig.replica.accept([second])
    with pytest.raises(ForkFound):
        league.bremen.replica.accept([second])
    assert ReceiptEvidence(first, second, 1).check(now.roster.origin, {1: BREMEN.public}.get)
