"""A member that was shown another history follows a takeover by itself, and nothing of its own is lost."""

from pathlib import Path

import pytest

from hansa.agents.core.parting import Parting
from hansa.agents.errors import FederationError
from hansa.broker.inbox import LOOSE_S
from hansa.ledger import ChainedEntry, MemberAdmitted
from tests.agents.core.parish import IDENTITIES, Parish


def forked(folder: Path, left: int, right: int) -> Parish:
    """Return a parish whose keeper has shown west one history and the others another, of so many entries."""
    parish = Parish.found(folder)
    parish.go(60)
    parish.split("west")
    for number in range(left):
        parish.write("north", f"left-{number}")
        parish.go(2)
    for number in range(right):
        parish.write("west", f"right-{number}")
        parish.go(2)
    return parish


@pytest.mark.parametrize(("left", "right"), [(1, 1), (3, 1), (1, 4), (2, 0), (0, 2)])
def test_who_was_shown_another_history_follows_who_takes_over(tmp_path: Path, left: int, right: int) -> None:
    parish = forked(tmp_path, left, right)
    parish.go(700)  # until the keeper has asked for names
    assert parish.up["west"].clerk.head != parish.up["north"].clerk.head
    parish.kill("hub", "other")
    parish.go(2_000)
    parish.offer("north")
    parish.go(200)
    assert parish.keepers() == {"north"}
    parish.write("east", "after")
    parish.go(200)
    assert parish.agree()
    assert parish.once()
    expected = {f"left-{n}" for n in range(left)} | {f"right-{n}" for n in range(right)} | {"after"}
    assert parish.datasets("west") == expected
    parish.go(700)
    heads = parish.up["north"].witness.heads
    assert heads.final is not None
    assert heads.final.checkpoint.size == parish.up["north"].clerk.head.size
    assert "west" in {each.member for each in heads.cosigned(heads.final.checkpoint)}
    parish.close()


def test_who_has_signed_a_head_of_the_other_history_signs_what_follows_the_takeover(tmp_path: Path) -> None:
    parish = Parish.found(tmp_path)
    parish.go(60)
    parish.split("west")
    south = IDENTITIES["south"].public
    parish.up["other"].write(MemberAdmitted("south", south.verify_key, south.seal_key, ""))
    parish.go(2, "other", "west")  # the keeper asks at once for a name under that
    signed = parish.up["west"].pledge.newest
    assert signed is not None
    assert signed.size == parish.up["west"].clerk.head.size > parish.up["north"].clerk.head.size
    for number in range(3):
        parish.write("north", f"left-{number}")
        parish.go(2, "hub", "north", "east")
    parish.go(700)
    parish.kill("hub", "other")
    parish.offer("north")
    parish.go(100)
    assert parish.keepers() == {"north"}
    assert parish.agree()
    assert parish.up["north"].clerk.store.tree().root(signed.size) != signed.root
    parish.go(700)
    heads = parish.up["north"].witness.heads
    assert heads.final is not None
    assert "west" in {each.member for each in heads.cosigned(heads.final.checkpoint)}
    parish.close()


def test_a_long_chain_comes_in_many_messages_and_is_followed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hansa.agents.core.deliveries.PUSH_ENTRIES", 2)
    parish = forked(tmp_path, 5, 3)
    parish.go(700)
    parish.kill("hub", "other")
    parish.offer("north")
    parish.go(200)
    assert parish.keepers() == {"north"}
    assert parish.agree()
    assert len(parish.datasets("west")) == 8
    parish.close()


@pytest.mark.parametrize("right", [1, 4])
def test_who_missed_the_takeover_asks_for_what_lies_before_what_comes(tmp_path: Path, right: int) -> None:
    parish = forked(tmp_path, 2, right)
    parish.go(700)
    parish.kill("hub", "other")
    parish.kill("west")
    parish.offer("north")
    parish.go(100)
    assert parish.keepers() == {"north"}
    parish.lose_mail("west")
    parish.start("west")
    parish.write("north", "after")
    parish.go(40)  # it comes behind what is lost
    parish.now_s += LOOSE_S  # which is passed over
    parish.write("north", "later")
    parish.go(200)
    assert parish.keepers() == {"north"}
    assert parish.agree()
    assert len(parish.datasets("west")) == 4 + right
    parish.close()


def entry(index: int, size: int = 10) -> ChainedEntry:
    return ChainedEntry(index, bytes(32), bytes(size), bytes(64), bytes(32), bytes(64))


def entries(*indices: int) -> tuple[ChainedEntry, ...]:
    return tuple(entry(index) for index in indices)


def test_what_was_asked_for_is_judged_with_the_takeover_or_when_no_more_will_come() -> None:
    parting = Parting(lambda offered: offered[-1].index == 9)
    assert parting.join("north", entries(7, 8)) == entries(7, 8)  # nobody has asked
    parting.expect("north", 3)
    assert parting.join("north", ()) == ()
    assert parting.join("east", entries(3)) == entries(3)
    assert parting.join("north", entries(3, 4)) == ()
    assert parting.join("north", entries(8)) == entries(8)  # sent for another reason
    assert parting.join("north", entries(3, 4, 5)) == ()  # once more from the beginning
    parting.expect("north", 3)  # asked again meanwhile
    assert parting.rest("east") == ()
    assert parting.join("north", entries(6, 7, 8, 9)) == entries(*range(3, 10))
    assert parting.join("north", entries(10)) == entries(10)
    parting.expect("north", 1)
    assert parting.rest("north") == ()  # the end of what was asked for earlier
    assert parting.join("north", entries(1, 2)) == ()
    assert parting.rest("north") == entries(1, 2)
    assert parting.rest("north") == ()


def test_more_than_a_copy_of_the_memory_allows_is_judged_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hansa.agents.core.parting.MOST_BYTES", 25)
    parting = Parting(lambda offered: False)
    parting.expect("north", 3)
    assert parting.join("north", entries(3, 4)) == ()
    assert parting.join("north", entries(5)) == entries(3, 4, 5)


def divided(folder: Path) -> Parish:
    """Return a federation of three whose two witnesses have signed heads of different histories."""
    parish = Parish.found(folder, ("hub", "north", "west"))
    parish.go(60)
    parish.split("west")
    for face, name in (("hub", "south"), ("other", "midden")):
        public = IDENTITIES["south"].public
        parish.up[face].write(MemberAdmitted(name, public.verify_key, public.seal_key, ""))
    parish.go(2, "hub", "north")  # each is asked at once for a name under what it was shown,
    box = parish.broker._mailbox("west").control
    told = list(box)
    box.clear()
    parish.go(2, "other", "west")  # and hears only then of what the other one has signed
    box.extend(told)
    parish.write("west", "salt")
    parish.go(2, "other", "west")
    parish.write("north", "tar")
    parish.go(2, "hub", "north")
    parish.go(30)
    return parish


def test_where_all_witnesses_signed_different_histories_one_abandons_its_own(tmp_path: Path) -> None:
    parish = divided(tmp_path)
    for name in ("north", "west"):
        agent = parish.up[name]
        assert agent.witness.proof_against("hub")
        assert agent.pledge.newest is not None
        assert agent.pledge.newest.size == 4
    parish.offer("north")
    parish.go(200)
    assert parish.up["north"].clerk.keeper == "hub"
    west = parish.up["west"]
    parish.ask("west", west.takeover.abandon)
    assert west.pledge.newest is not None
    assert west.clerk.replica.final == west.pledge.newest
    assert west.takeover.passes_over_keeper
    parish.kill("west")
    parish.start("west")  # it is journalled
    parish.write("west", "more")
    parish.go(400)
    assert {parish.up[name].clerk.keeper for name in ("north", "west")} == {"north"}
    parish.kill("hub", "other")
    parish.go(200)
    assert parish.agree()
    assert parish.datasets("north") == {"salt", "tar", "more"}
    assert not parish.up["west"].takeover.passes_over_keeper
    parish.close()


def test_nothing_is_abandoned_without_proof_or_by_whom_agreed_to_another(tmp_path: Path) -> None:
    parish = Parish.found(tmp_path)
    parish.go(60)
    for name in ("hub", "west"):
        with pytest.raises(FederationError, match=f"nothing is abandoned: {name} holds no proof that hub"):
            parish.ask(name, parish.up[name].takeover.abandon)
    parish.close()
    folder = tmp_path / "divided"
    folder.mkdir()
    parish = divided(folder)
    parish.offer("north")
    parish.go(10)
    with pytest.raises(FederationError, match="put our name to epoch 1 of north, and stand by it"):
        parish.ask("north", parish.up["north"].takeover.abandon)
    parish.close()
