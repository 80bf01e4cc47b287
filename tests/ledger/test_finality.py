"""What is final stays; and nobody is paid for what is not."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from hansa.broker.identity import Identity
from hansa.ledger import (
    BadNote,
    Checkpoint,
    ContributionMeasured,
    KeeperChanged,
    LedgerStore,
    ModelUsed,
    NotFinal,
    PayoutProposed,
    PayoutWithdrawn,
    RuleBroken,
)
from hansa.ledger.finality import check_final, newest_final
from hansa.ledger.merkle import EMPTY_ROOT
from tests.ledger.slowtree import audit_path
from tests.ledger.test_rules import Books, finished, founded, joined
from tests.ledger.town import (
    BREMEN,
    CATCH,
    DANZIG,
    LUBECK,
    PAYOUT,
    Town,
    final_payout,
    found_town,
    signed_note,
)

MORE = replace(CATCH, dataset="salt")


def head(books: Books) -> Checkpoint:
    return books.standing.head_checkpoint()


# --- one checkpoint -------------------------------------------------------------------------------------
def test_a_checkpoint_is_judged_by_who_belonged_then() -> None:
    books = joined()
    note = signed_note(head(books), LUBECK, BREMEN, DANZIG)
    found = head(books)
    books.write("bremen", CATCH)
    assert check_final(books.standing, note) == found
    with pytest.raises(BadNote, match="a head of 3 entries, of which 1 are known"):
        check_final(founded().standing, note)
    with pytest.raises(NotFinal, match="cosigned by danzig, 1 of the 2"):
        check_final(books.standing, signed_note(found, LUBECK, DANZIG))


def test_the_empty_ledger_is_nobodys() -> None:
    books = joined()
    empty = Checkpoint("hansa", head(books).fingerprint, 0, EMPTY_ROOT, 0, "lubeck")
    with pytest.raises(BadNote, match="a head of 0 entries"):
        check_final(books.standing, signed_note(empty, LUBECK, BREMEN, DANZIG))


def test_where_another_takes_over_is_final_too() -> None:
    books = joined()
    offer = replace(head(books), epoch=2, keeper="bremen")
    note = signed_note(offer, BREMEN, BREMEN, DANZIG)
    assert check_final(books.standing, note) == offer
    books.write("bremen", KeeperChanged(note.encoded()), CATCH)
    assert check_final(books.standing, note) == offer
    old = replace(head(books), epoch=0, keeper="lubeck")
    with pytest.raises(BadNote, match=", epoch 2 of bremen"):
        check_final(books.standing, signed_note(old, LUBECK, BREMEN, DANZIG))
    assert check_final(books.standing, signed_note(head(books), BREMEN, LUBECK, DANZIG)) == head(books)


# --- what a ledger holds --------------------------------------------------------------------------------
@pytest.fixture
def town() -> Iterator[Town]:
    store = LedgerStore.open("sqlite://")
    made = found_town(store)
    made.admit_both()
    yield made
    store.close()


def keep(town: Town, *cosigners: Identity, **changes: object) -> Checkpoint:
    """Have the store keep a note of its head, or of what the head is said to be; return that."""
    found = replace(town.keeper.standing.head_checkpoint(), **changes)  # type: ignore[arg-type]
    town.store.add_checkpoint(signed_note(found, LUBECK, *cosigners))
    return found


def test_the_newest_final_head_is_that_with_enough_names_and_our_root(town: Town) -> None:
    assert newest_final(town.store, town.keeper.standing) is None
    keep(town, BREMEN)
    assert newest_final(town.store, town.keeper.standing) is None
    final = keep(town, DANZIG)  # the store joins the names
    assert newest_final(town.store, town.keeper.standing) == final
    town.write(BREMEN, CATCH)
    keep(town, BREMEN)
    keep(town, BREMEN, DANZIG, root=bytes(32))
    keep(town, BREMEN, DANZIG, size=99)
    assert newest_final(town.store, town.keeper.standing) == final
    town.write(DANZIG, CATCH)
    newest = keep(town, BREMEN, DANZIG)
    assert newest_final(town.store, town.keeper.standing) == newest


# --- payouts --------------------------------------------------------------------------------------------
def payout(books: Books, *cosigners: Identity, **changes: object) -> PayoutProposed:
    note = signed_note(replace(head(books), **changes), LUBECK, *cosigners)  # type: ignore[arg-type]
    path = audit_path(books.standing.jobs["herring"].rests_at, books.digests)
    return replace(PAYOUT, checkpoint=note.encoded(), inclusion=tuple(path))


def elsewhere(proposed: PayoutProposed) -> PayoutProposed:
    """Return it with a path that begins with another hash."""
    return replace(proposed, inclusion=(bytes(32), *proposed.inclusion[1:]))


def test_a_payout_rests_on_the_finish_or_on_newer_weights() -> None:
    books = finished()
    assert books.standing.jobs["herring"].rests_at == books.size - 1
    assert books.standing.jobs["herring"].rests_on == books.digests[-1]
    size, early = books.size, final_payout(books.standing, books.digests)
    books.write("bremen", MORE, ModelUsed("herring", 5))  # the proof does not go stale on its way
    number = books.write("lubeck", early).size - 1
    books.write("lubeck", PayoutWithdrawn(number, "measured anew"))
    weights = ContributionMeasured("herring", "volume", {"bremen": 70, "danzig": 30})
    books.write("danzig", MORE).write("lubeck", weights)
    with pytest.raises(RuleBroken, match=f"not final: entry {books.size - 1} is not among the first {size}"):
        books.write("lubeck", early)
    books.write("lubeck", final_payout(books.standing, books.digests))


REFUSED: dict[str, tuple[Callable[[Books], PayoutProposed], str]] = {
    "one name": (lambda books: payout(books, BREMEN), "cosigned by bremen, 1 of the 2 needed"),
    "the keeper's own name": (lambda books: payout(books, BREMEN, LUBECK), "cosigned by bremen, 1 of the 2"),
    "a head to come": (lambda books: payout(books, BREMEN, DANZIG, size=99), "of which 11 are known"),
    "another epoch": (lambda books: payout(books, BREMEN, DANZIG, keeper="bremen"), "expected hansa/hansa"),
    "another root": (
        lambda books: payout(books, BREMEN, DANZIG, root=bytes(32)),
        "does not lead to the root",
    ),
    "no note": (lambda books: replace(payout(books), checkpoint=b"final, believe me"), "a note is"),
    "no path": (lambda books: replace(payout(books, BREMEN, DANZIG), inclusion=()), "is shorter"),
    "another path": (
        lambda books: elsewhere(payout(books, BREMEN, DANZIG)),
        "does not lead to the root",
    ),
}


@pytest.mark.parametrize(("proposal", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_nobody_is_paid_for_what_is_not_final(
    proposal: Callable[[Books], PayoutProposed], reason: str
) -> None:
    books = finished()
    with pytest.raises(RuleBroken, match=f"what herring is to be paid for is not final: .*{reason}"):
        books.write("lubeck", proposal(books))


def test_a_job_that_another_keepers_members_made_final_is_paid_after_a_takeover() -> None:
    books = finished()
    offer = replace(head(books), epoch=1, keeper="bremen")
    books.write("bremen", KeeperChanged(signed_note(offer, BREMEN, BREMEN, DANZIG).encoded()))
    note = signed_note(head(books), BREMEN, LUBECK, DANZIG)
    path = audit_path(books.standing.jobs["herring"].rests_at, books.digests)
    books.write("lubeck", replace(PAYOUT, checkpoint=note.encoded(), inclusion=tuple(path)))
    assert len(books.standing.payouts) == 1
