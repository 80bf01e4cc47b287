"""An agent's name under a head of the ledger is never contradicted by its name under another."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.agents.core.journal import RESTORED, Changes, MemoryJournal, pack_row
from hansa.agents.core.pledge import Pledge
from hansa.agents.errors import JournalError, Unwilling
from hansa.broker import Identity
from hansa.ledger import BadNote, Standing
from hansa.ledger.checkpoints import Checkpoint, check_cosigned
from hansa.ledger.notes import Note
from tests.agents.core.witnessing import IDENTITIES, Leaves, head, history, note, standing

ME = IDENTITIES["bob"]
TREE = history(8)


def pledge(journal: MemoryJournal, ledger: Standing | None = None) -> Pledge:
    ledger = ledger or standing()
    return Pledge(ME, journal, lambda: ledger)


def give(kept: Pledge, journal: MemoryJournal, checkpoint: Checkpoint, tree: Leaves = TREE) -> None:
    """Cosign and commit, as a step does."""
    changes = Changes()
    line = kept.give(changes, checkpoint, 1_000.5, tree)
    journal.commit(changes)
    assert check_cosigned(checkpoint, line, ME.public).time_s == 1_000


def restored_journal() -> MemoryJournal:
    journal = MemoryJournal()
    give(pledge(journal), journal, head(TREE, 2))
    changes = Changes()
    changes.put(*RESTORED, pack_row(7_000, []))
    journal.commit(changes)
    return journal


FORKED = history(8, "b", common=3)
GRID = {
    "the same head again": (head(TREE, 5), TREE, ""),
    "larger, and continuing it": (head(TREE, 8), TREE, ""),
    "smaller": (head(TREE, 4), TREE, "later head, of 5"),
    "of the same size with another root": (head(FORKED, 5), TREE, "another root"),
    "of the same size with another root, in our own copy": (head(FORKED, 5), FORKED, "does not continue"),
    "larger and not continuing it, in our own copy": (head(FORKED, 8), FORKED, "does not continue"),
    "larger and not in our own copy": (head(FORKED, 8), TREE, "another root"),
    "larger than our own copy": (head(TREE, 8), history(6), "our copy has 6 entries, the head 8"),
    "where our own copy is shorter than what we signed": (head(TREE, 5), history(4), "our copy has 4"),
    "of another keeper in the same epoch": (head(TREE, 8, 2, "carol"), TREE, "in epoch 2 we have"),
    "of a lower epoch": (head(TREE, 8, 1), TREE, "serve no lower one"),
    "of a lower epoch under another keeper": (head(TREE, 8, 1, "dora"), TREE, "serve no lower one"),
    "of a higher epoch": (head(TREE, 8, 3), TREE, ""),
    "of a higher epoch under another keeper": (head(TREE, 5, 3, "carol"), TREE, ""),
    "of a higher epoch, and smaller": (head(TREE, 4, 3, "carol"), TREE, "later head, of 5"),
    "of a higher epoch, and not continuing it": (head(FORKED, 8, 3), FORKED, "does not continue"),
    "of another ledger": (replace(head(TREE, 8, 2), federation="adriatic"), TREE, "we witness hansa/baltic"),
}


@pytest.mark.parametrize("case", GRID)
def test_after_five_entries_in_epoch_2_it_signs_what_continues_them_and_nothing_else(case: str) -> None:
    checkpoint, tree, reason = GRID[case]
    # Epoch 2 is alice's.
    if checkpoint.epoch == 0:
        checkpoint = replace(checkpoint, epoch=2)
    journal = MemoryJournal()
    signed = head(TREE, 5, 2)
    give(pledge(journal), journal, signed)
    kept = pledge(journal)  # after a restart
    if not reason:
        give(kept, journal, checkpoint, tree)
        assert kept.newest == pledge(journal).newest == checkpoint
        return
    changes = Changes()
    with pytest.raises(Unwilling, match=reason):
        kept.give(changes, checkpoint, 1_000, tree)
    assert not changes
    assert kept.newest == signed


def test_the_first_head_needs_to_be_in_our_own_copy_alone() -> None:
    journal = MemoryJournal()
    kept = pledge(journal)
    assert kept.newest is None
    give(kept, journal, head(TREE, 3))
    assert kept.newest == head(TREE, 3)


def test_a_name_that_was_not_committed_is_forgotten() -> None:
    journal = MemoryJournal()
    pledge(journal).give(Changes(), head(TREE, 5), 0, TREE)
    assert pledge(journal).newest is None


def test_the_same_head_again_costs_no_commit() -> None:
    journal = MemoryJournal()
    kept = pledge(journal)
    give(kept, journal, head(TREE, 5))
    changes = Changes()
    kept.give(changes, head(TREE, 5), 1_600, TREE)
    assert not changes


def test_after_a_takeover_below_what_it_signed_it_goes_on_with_what_enough_members_agreed_to() -> None:
    journal = MemoryJournal()
    give(pledge(journal), journal, head(TREE, 7))
    taken_over = history(6, "c", common=5)
    with pytest.raises(Unwilling, match="later head"):  # nobody has shown that they agreed
        pledge(journal).give(Changes(), head(taken_over, 6, 1, "carol"), 0, taken_over)
    followed = pledge(journal, standing((5, 1, "carol")))
    with pytest.raises(Unwilling, match="later head"):  # of another keeper than they agreed to
        followed.give(Changes(), head(taken_over, 6, 1, "dora"), 0, taken_over)
    give(followed, journal, head(taken_over, 6, 1, "carol"), taken_over)


def test_a_takeover_above_what_it_signed_must_continue_it_unless_it_was_shown_another_history() -> None:
    journal = MemoryJournal()
    give(pledge(journal), journal, head(TREE, 4))
    other = history(8, "b", common=3)
    with pytest.raises(
        Unwilling, match="does not continue"
    ):  # it has not followed, and may know what is final
        pledge(journal).give(Changes(), head(other, 8, 1, "carol"), 0, other)
    followed = pledge(journal, standing((6, 1, "carol")))
    give(followed, journal, head(other, 8, 1, "carol"), other)
    with pytest.raises(Unwilling, match="does not continue"):
        followed.give(Changes(), head(TREE, 8, 1, "carol"), 0, TREE)


def test_a_keeper_that_another_has_succeeded_gets_no_name() -> None:
    ledger = standing((5, 1, "carol"))
    ledger.epoch = 1
    with pytest.raises(Unwilling, match="epoch 1 has begun"):
        pledge(MemoryJournal(), ledger).give(Changes(), head(TREE, 4), 0, TREE)


ABANDONED = {
    "another history from what is final on": (head(FORKED, 5, 1, "carol"), FORKED, ""),
    "the same history": (head(TREE, 5, 1, "carol"), TREE, ""),
    "what is final itself": (head(TREE, 3, 1, "carol"), TREE, ""),
    "less than what is final": (head(TREE, 2, 1, "carol"), TREE, "later head, of 3"),
    "another history before what is final": (
        head(history(8, "c", common=2), 5, 1, "carol"),
        history(8, "c", common=2),
        "does not continue",
    ),
}


@pytest.mark.parametrize("case", ABANDONED)
def test_after_a_person_abandoned_what_is_not_final_it_signs_what_continues_what_is(case: str) -> None:
    checkpoint, tree, reason = ABANDONED[case]
    journal = MemoryJournal()
    give(pledge(journal), journal, head(TREE, 6))
    changes = Changes()
    pledge(journal).abandon(changes, 0, head(TREE, 3))
    journal.commit(changes)
    kept = pledge(journal)
    kept.found(Changes(), note(head(TREE, 6), "bob"))  # which it does not stand by any more
    assert (kept.abandoned, kept.newest) == (0, head(TREE, 3))
    if reason:
        with pytest.raises(Unwilling, match=reason):
            kept.give(Changes(), checkpoint, 0, tree)
    else:
        give(kept, journal, checkpoint, tree)
        with pytest.raises(Unwilling, match="put our name to epoch 1 of carol, and stand by it"):
            kept.abandon(Changes(), 0, None)


def test_where_nothing_was_final_everything_is_abandoned() -> None:
    journal = MemoryJournal()
    give(pledge(journal), journal, head(TREE, 6))
    changes = Changes()
    pledge(journal).abandon(changes, 0, None)
    journal.commit(changes)
    kept = pledge(journal)
    assert kept.newest is None
    give(kept, journal, head(FORKED, 4, 1, "carol"), FORKED)


# --- restored -------------------------------------------------------------------------------------------
def test_a_restored_agent_abstains_until_most_of_the_others_have_told_it_a_head() -> None:
    journal = restored_journal()
    kept = pledge(journal)
    assert kept.abstains()
    assert kept.silent() == ("alice", "carol", "dora")
    with pytest.raises(Unwilling, match="waits for the newest head that alice, carol, dora know"):
        kept.give(Changes(), head(TREE, 8), 0, TREE)
    changes = Changes()
    kept.told(changes, "alice")
    kept.told(changes, "alice")
    kept.told(changes, "a stranger")
    assert kept.abstains()
    assert kept.silent() == ("carol", "dora")
    kept.found(changes, note(head(TREE, 6), "bob", "carol"))
    kept.told(changes, "carol")
    kept.told(changes, "dora")
    assert not kept.abstains()
    assert kept.silent() == ()
    journal.commit(changes)
    again = pledge(journal)
    assert not again.abstains()
    assert again.newest == head(TREE, 6)
    with pytest.raises(Unwilling, match="later head, of 6"):
        again.give(Changes(), head(TREE, 5), 0, TREE)
    give(again, journal, head(TREE, 7))


def test_one_that_is_restored_once_more_abstains_once_more() -> None:
    journal = restored_journal()
    changes = Changes()
    for name in ("alice", "carol"):
        pledge(journal).told(changes, name)
    kept = pledge(journal)
    kept.told(changes, "alice")
    kept.told(changes, "carol")
    changes.put(*RESTORED, pack_row(9_000, []))
    journal.commit(changes)
    assert pledge(journal).abstains()


def test_a_name_found_raises_the_pledge_and_never_lowers_it() -> None:
    kept = pledge(MemoryJournal())
    changes = Changes()
    kept.found(changes, note(head(TREE, 5), "carol"))
    before = kept.newest
    assert before is None  # the name is somebody else's
    kept.found(changes, note(head(TREE, 5), "bob"))
    kept.found(changes, note(head(TREE, 4), "bob"))
    assert kept.newest == head(TREE, 5)
    kept.found(changes, note(head(TREE, 5, 1, "carol"), "bob"))
    assert kept.newest == head(TREE, 5, 1, "carol")


def test_a_name_under_our_former_keys_counts_too() -> None:
    ledger = standing()
    fresh = Identity.generate("bob")
    ledger.members["bob"] = replace(ledger.members["bob"], public=fresh.public, former=ME.public)
    kept = Pledge(fresh, MemoryJournal(), lambda: ledger)
    kept.found(Changes(), note(head(TREE, 5), "bob"))
    assert kept.newest == head(TREE, 5)


def test_what_stands_under_our_name_and_is_not_ours_is_refused() -> None:
    forged = note(head(TREE, 5), "bob")
    keeper, ours = forged.signatures
    broken = replace(ours, signature=ours.signature[:-1] + bytes([ours.signature[-1] ^ 1]))
    kept = pledge(MemoryJournal(), Standing())
    with pytest.raises(BadNote):
        kept.found(Changes(), Note(forged.text, (keeper, broken)))
    assert kept.newest is None


@pytest.mark.parametrize("row", [b"nonsense", b"\xff"])
def test_a_journal_whose_pledge_is_damaged_stops_the_agent(row: bytes) -> None:
    journal = MemoryJournal()
    changes = Changes()
    changes.put("pledge", b"newest", row)
    journal.commit(changes)
    with pytest.raises(JournalError, match="can't be read"):
        pledge(journal)


OFFER = st.tuples(
    st.sampled_from("ab"), st.integers(1, 8), st.integers(0, 2), st.sampled_from(["alice", "carol"])
)


@given(st.lists(st.tuples(OFFER, st.booleans(), st.sampled_from("ab")), max_size=30))
def test_whatever_is_offered_in_whatever_order_no_two_names_contradict_each_other(
    offers: list[tuple[tuple[str, int, int, str], bool, str]],
) -> None:
    """Its own copy may be either history from one offer to the next: worse than any replica of ours."""
    trees = {"a": history(8), "b": history(8, "b", common=3)}
    journal = MemoryJournal()
    kept = pledge(journal)
    given: list[tuple[str, Checkpoint]] = []
    for (name, size, epoch, keeper), crash, own in offers:
        offered = head(trees[name], size, epoch, keeper)
        changes = Changes()
        try:
            kept.give(changes, offered, 0, trees[own])
        except Unwilling:
            continue
        if crash:  # before the commit: nothing left us
            kept = pledge(journal)
            continue
        journal.commit(changes)
        given.append((name, offered))
    for (_, before), (name, after) in pairwise(given):
        assert (before.epoch, before.size) <= (after.epoch, after.size)
        assert before.size <= after.size
        assert before.epoch < after.epoch or before.keeper == after.keeper
        assert trees[name].root(before.size) == before.root
