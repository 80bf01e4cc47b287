"""Whose names make a head final, how many of them, and that no two sets of them are strangers to each other."""

import tracemalloc
from dataclasses import replace
from itertools import combinations

import pytest

from hansa.broker.identity import Identity, PublicIdentity
from hansa.ledger import (
    BadNote,
    Checkpoint,
    KeeperChanged,
    KeyRevoked,
    KeyRotated,
    MemberLeft,
    MemberSuspended,
    Note,
    NotFinal,
    Roster,
    RuleBroken,
    Standing,
)
from hansa.ledger.checkpoints import cosign
from tests.ledger.test_rules import Books, founded, joined
from tests.ledger.town import BREMEN, CATCH, CHARTER, DANZIG, LUBECK, STRANGER, admission, signed_note

KEYS = BREMEN.public


def roster(witnesses: int, cosigners: int = 0, successor: str = "") -> Roster:
    """Return a roster with so many witnesses; their keys are all the same here."""
    names = {
        f"w{each}": (PublicIdentity(f"w{each}", KEYS.verify_key, KEYS.seal_key),) for each in range(witnesses)
    }
    return Roster("hansa/hansa/00", 0, LUBECK.public, names, cosigners, successor)


# --- how many -------------------------------------------------------------------------------------------
#    members, cosigners the charter asks for, needed, attainable
TABLE = [
    (1, 0, 2, False),
    (2, 0, 2, False),
    (3, 0, 2, True),
    (4, 0, 2, True),
    (5, 0, 3, True),
    (6, 0, 3, True),
    (7, 0, 4, True),
    (8, 0, 4, True),
    (9, 0, 5, True),
    (3, 1, 2, True),
    (5, 2, 3, True),  # fewer than a majority could make two histories final
    (5, 3, 3, True),
    (5, 4, 4, True),
    (5, 5, 5, False),
    (9, 2, 5, True),
    (9, 8, 8, True),
    (9, 9, 9, False),
]


@pytest.mark.parametrize(("members", "cosigners", "needed", "attainable"), TABLE)
def test_how_many_names_are_needed(members: int, cosigners: int, needed: int, attainable: bool) -> None:
    found = roster(members - 1, cosigners)
    assert (found.needed, found.needed_to_succeed, found.attainable) == (needed, needed, attainable)


def test_of_two_members_the_other_one_counts_alone_if_it_is_the_successor() -> None:
    assert (roster(1, successor="w0").needed, roster(1, successor="w0").attainable) == (1, True)
    assert roster(1, successor="somebody").needed == 2
    assert roster(1, cosigners=3, successor="w0").needed == 1
    assert roster(2, successor="w0").needed == 2
    assert roster(0, successor="w0").needed == 2


@pytest.mark.parametrize("witnesses", range(1, 9))
def test_any_two_sets_of_enough_names_have_one_in_common(witnesses: int) -> None:
    for cosigners in range(witnesses + 2):
        for successor in ("", "w0"):
            found = roster(witnesses, cosigners, successor)
            for final in combinations(range(witnesses), found.needed):
                for other in combinations(range(witnesses), min(found.needed, found.needed_to_succeed)):
                    assert set(final) & set(other), (found.needed, cosigners)


# --- whose ----------------------------------------------------------------------------------------------
OLD = DANZIG
NEW = DANZIG.rotated()


def league() -> Roster:
    """Return Lübeck's roster: Bremen, and Danzig, which has new keys."""
    witnesses = {"bremen": (BREMEN.public,), "danzig": (NEW.public, OLD.public)}
    return Roster(HEAD.origin, 0, LUBECK.public, witnesses)


HEAD = Checkpoint("hansa", bytes(32), 7, bytes(range(32)), 0, "lubeck")


def test_a_head_is_final_with_the_names_of_its_witnesses() -> None:
    for keys in (NEW, OLD):
        note = signed_note(HEAD, LUBECK, keys, BREMEN, time_s=77)
        assert league().check_final(note) == HEAD
        cosignatures = league().cosignatures(HEAD, note)
        assert [(each.member, each.time_s) for each in cosignatures] == [("bremen", 77), ("danzig", 77)]


def test_names_count_once_and_only_witnesses_do() -> None:
    for cosigners, by in (
        ((), "nobody, 0"),
        ((BREMEN,), "bremen, 1"),
        ((BREMEN, LUBECK), "bremen, 1"),
        ((BREMEN, STRANGER), "bremen, 1"),
        ((BREMEN, BREMEN.rotated()), "bremen, 1"),
        ((OLD, NEW), "danzig, 1"),
    ):
        with pytest.raises(NotFinal, match=f"not final: cosigned by {by} of the 2 needed .2 members beside"):
            league().check_final(signed_note(HEAD, LUBECK, *cosigners))


def test_a_name_in_another_place_is_nobodys() -> None:
    line = cosign(BREMEN, HEAD, 7)
    for name in ("bremen", "example.com/bremen", f"{HEAD.origin}/x/bremen", f"{HEAD.origin}/bremen/"):
        note = Note(HEAD.text, (*signed_note(HEAD, LUBECK, NEW).signatures, replace(line, name=name)))
        assert [each.member for each in league().cosignatures(HEAD, note)] == ["danzig"]


def test_a_false_name_spoils_the_note() -> None:
    line = cosign(BREMEN, HEAD, 7)
    false = replace(line, signature=bytes(72))
    note = Note(HEAD.text, (*signed_note(HEAD, LUBECK, NEW, BREMEN).signatures, false))
    with pytest.raises(BadNote, match="bremen's cosignature is not of this checkpoint"):
        league().check_final(note)


@pytest.mark.parametrize(
    ("head", "keeper", "reason"),
    [
        (replace(HEAD, epoch=1), LUBECK, "epoch 1 of lubeck; expected .*, epoch 0 of lubeck"),
        (replace(HEAD, keeper="bremen"), BREMEN, "epoch 0 of bremen; expected"),
        (replace(HEAD, fingerprint=bytes(range(32))), LUBECK, "a checkpoint of hansa/hansa/0001"),
        (HEAD, BREMEN, "not signed under the key of lubeck"),
        (HEAD, LUBECK.rotated(), "not signed under the key of lubeck"),
    ],
    ids=["epoch", "keeper", "ledger", "signer", "keys"],
)
def test_a_head_is_its_keepers(head: Checkpoint, keeper: Identity, reason: str) -> None:
    with pytest.raises(BadNote, match=reason):
        league().check_final(signed_note(head, keeper, BREMEN, NEW))
    with pytest.raises(BadNote, match="a checkpoint has four lines"):
        league().read(Note("some text\n", ()))


def test_a_head_is_read_whoever_cosigned_it() -> None:
    assert league().read(signed_note(HEAD, LUBECK)) == HEAD


# --- who takes over -------------------------------------------------------------------------------------
def offer(by: Identity, epoch: int = 1) -> Checkpoint:
    return replace(HEAD, epoch=epoch, keeper=by.name)


@pytest.mark.parametrize("by", [BREMEN, NEW, LUBECK], ids=["bremen", "danzig", "the keeper itself"])
def test_who_takes_over_has_enough_names(by: Identity) -> None:
    note = signed_note(offer(by, 9), by, BREMEN, NEW)
    assert league().check_succession(note) == offer(by, 9)
    with pytest.raises(NotFinal, match="not a change of keeper: cosigned by bremen, 1 of the 2 needed"):
        league().check_succession(signed_note(offer(by, 9), by, BREMEN))


def test_who_takes_over_signs_with_its_present_keys() -> None:
    with pytest.raises(BadNote, match="not signed under the key of danzig"):
        league().check_succession(signed_note(offer(OLD), OLD, BREMEN, NEW))


@pytest.mark.parametrize(
    ("head", "by", "reason"),
    [
        (offer(BREMEN, 0), BREMEN, "not of .* and an epoch after 0"),
        (replace(offer(BREMEN), fingerprint=bytes(range(32))), BREMEN, "not of .* and an epoch after 0"),
        (offer(STRANGER), STRANGER, "stranger can't take over: not an active member"),
        (offer(BREMEN), LUBECK, "not signed under the key of bremen"),
    ],
    ids=["epoch", "ledger", "stranger", "signer"],
)
def test_what_is_no_takeover(head: Checkpoint, by: Identity, reason: str) -> None:
    with pytest.raises(BadNote, match=reason):
        league().check_succession(signed_note(head, by, BREMEN, NEW))


# --- from one membership entry to the next --------------------------------------------------------------
def witnesses(books: Books, size: int) -> dict[str, list[PublicIdentity]]:
    return {name: list(keys) for name, keys in books.standing.roster_at(size).witnesses.items()}


def test_every_size_has_the_roster_that_it_had() -> None:
    books = joined()
    fresh = BREMEN.rotated().public
    books.write("bremen", CATCH, KeyRotated("bremen", fresh.verify_key, fresh.seal_key))
    books.write("lubeck", KeyRevoked("bremen", KEYS.verify_key, "lost"), MemberSuspended("danzig", ""))
    books.write("bremen", MemberLeft("bremen"))
    both = {"bremen": [KEYS], "danzig": [DANZIG.public]}
    assert witnesses(books, 1) == {}
    assert witnesses(books, 2) == {"bremen": [KEYS]}
    assert witnesses(books, 3) == witnesses(books, 4) == both
    assert witnesses(books, 5) == {**both, "bremen": [fresh, KEYS]}
    assert witnesses(books, 6) == {**both, "bremen": [fresh]}
    assert witnesses(books, 7) == {"bremen": [fresh]}
    assert witnesses(books, 8) == witnesses(books, 9) == {}
    assert books.standing.roster == books.standing.roster_at(8)
    assert {each.keeper for _, each in books.standing.rosters} == {LUBECK.public}


def test_the_rosters_of_a_copy_are_its_own() -> None:
    books = joined()
    before = books.standing
    twins = [before.copy(), before.copy()]
    for twin, last in zip(twins, (MemberSuspended("bremen", ""), MemberSuspended("danzig", "")), strict=True):
        twin.apply(books.size, bytes(32), books.fields("lubeck", last), last)
    assert [set(twin.roster.witnesses) for twin in twins] == [{"danzig"}, {"bremen"}]
    assert set(before.roster.witnesses) == set(twins[0].roster_at(3).witnesses) == {"bremen", "danzig"}
    assert [len(each.roster.witnesses) for each in (*twins, before)] == [1, 1, 2]
    assert repr(before.roster.witnesses) == "Witnesses(bremen, danzig)"
    assert "lubeck" not in before.roster.witnesses


def test_many_changes_of_members_take_little_memory() -> None:
    books = founded()
    tracemalloc.start()
    for number in range(300):
        body = replace(admission(BREMEN), name=f"m{number}")
        books.standing.apply(books.size, bytes(32), books.fields("lubeck", body), body)
        books.digests.append(bytes(32))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 1_500_000  # about 2 KiB each; a list for each change would take 10 more
    assert len(books.standing.roster.witnesses) == 300
    assert (
        len(books.standing.roster_at(100).witnesses)
        == len(list(books.standing.roster_at(100).witnesses))
        == 99
    )


def test_nobody_keeps_what_is_not_founded() -> None:
    with pytest.raises(RuleBroken, match="nobody keeps a ledger of 0 entries"):
        founded().standing.roster_at(0)
    with pytest.raises(RuleBroken, match="first entry must be a charter"):
        _ = Standing().roster


def test_of_two_members_each_is_the_others_successor() -> None:
    charter = replace(CHARTER, successor="bremen")
    books = Books().write("lubeck", charter, admission(BREMEN))
    head = replace(books.standing.head_checkpoint(), epoch=1, keeper="bremen")
    assert books.standing.roster.check_succession(signed_note(head, BREMEN, BREMEN)) == head
    assert books.standing.roster.successor == "bremen"
    books.write("bremen", KeeperChanged(signed_note(head, BREMEN, BREMEN).encoded()))
    assert (books.standing.keeper, books.standing.epoch) == (BREMEN.public, 1)
    found = books.standing.roster
    assert (set(found.witnesses), found.successor, found.needed) == ({"lubeck"}, "lubeck", 1)
