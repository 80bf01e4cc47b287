"""Another member keeps the ledger: nothing that was final is lost, and everybody follows."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hansa.agents.admission.invite import dump_invite, load_invite
from hansa.agents.care.checkpoints import head_lines
from hansa.agents.core.candidacy import Candidacy
from hansa.agents.core.candidate import PATIENCE_S
from hansa.agents.core.messages import (
    CosignAsked,
    HeadTold,
    LedgerAppend,
    SignedRow,
    SuccessionAnswered,
    SuccessionAsked,
    SuccessionProposed,
)
from hansa.agents.errors import FederationError, InviteError
from hansa.ledger import BadNote, MemberAdmitted, Verifier
from hansa.ledger.checkpoints import sign_checkpoint
from hansa.ledger.heads import judge
from hansa.ledger.notes import Note
from hansa.protocols import PeerError
from tests.agents.core.parish import IDENTITIES, NAMES, Parish

SEEDS = 12  # 150 have been tried


@pytest.fixture
def parish(tmp_path: Path) -> Iterator[Parish]:
    parish = Parish.found(tmp_path)
    parish.go(5)
    yield parish
    parish.close()


def test_a_member_takes_over_from_a_keeper_that_is_gone(parish: Parish) -> None:
    parish.write("east", "herring")
    parish.go(5)
    parish.kill("hub")
    parish.write("west", "salt")  # waits for whoever keeps the ledger
    parish.go(5)
    parish.go(2_000)
    parish.offer("north")
    parish.go(20)
    assert parish.keepers() == {"north"}
    assert parish.agree()
    assert parish.datasets("east") == {"herring", "salt"}
    assert parish.up["east"].config.federation.keeper == "hub"  # who founded it
    assert parish.up["east"]._machines.policy.coordinators == ("north",)


def test_the_head_of_a_takeover_is_final_on_every_copy_and_in_an_audit(parish: Parish) -> None:
    parish.kill("hub")
    parish.write("east", "herring")
    parish.go(2_000)
    size = parish.up["north"].clerk.head.size
    parish.offer("north")
    parish.go(20)
    parish.start("hub")
    parish.go(60)
    assert parish.keepers() == {"north"}
    for name, agent in parish.up.items():
        store = agent.clerk.store
        lines = {
            (each.checkpoint.size, each.checkpoint.epoch): each
            for each in head_lines(store, agent.clerk.standing)
        }
        line = lines[size, 1]
        assert (line.checkpoint.keeper, line.place) == ("north", "held"), name
        assert line.final_s is not None
        assert len(line.cosigned) >= line.needed == 2
        [note] = store.checkpoint(size, 1)
        verifier = Verifier(parish.charter)
        for entry in store.read(0, size):
            verifier.accept(entry)
        assert judge(note, verifier.standing).line.final


def test_nobody_takes_over_from_a_keeper_that_is_heard_unless_people_approve(parish: Parish) -> None:
    parish.offer("north")
    parish.go(20)
    progress = parish.up["north"].takeover.progress()
    assert progress.candidate
    assert progress.agreed == ("north",)
    assert progress.undecided.keys() == {"east", "west"}
    assert "nobody at east has approved" in progress.undecided["east"]
    assert parish.up["east"].takeover.progress().offers.keys() == {"north"}
    parish.write("west", "salt")  # the keeper goes on meanwhile
    parish.go(10)
    assert parish.keepers() == {"hub"}
    parish.ask("west", lambda: parish.up["west"].takeover.approve("north"))
    parish.go(60)
    assert parish.keepers() == {"north"}
    assert parish.agree()
    assert parish.datasets("hub") == {"salt"}
    assert not parish.up["hub"].clerk.keeps
    parish.write("hub", "tar")  # an ordinary member
    parish.go(5)
    assert parish.datasets("north") == {"salt", "tar"}


def test_what_the_old_keeper_chained_alone_is_set_aside_and_sent_again(parish: Parish) -> None:
    parish.write("east", "herring")
    parish.go(5)
    parish.write("hub", "tar")
    parish.write("west", "salt")
    parish.go(0.2, "west")
    parish.go(0.2, "hub")  # it has chained them; nobody has heard
    assert parish.datasets("hub") >= {"tar"}
    parish.kill("hub")
    parish.lose_mail("north", "east", "west")
    parish.go(2_000)
    parish.offer("north")
    parish.go(30)
    parish.start("hub")
    parish.go(60)
    assert parish.keepers() == {"north"}
    assert parish.agree()
    assert parish.datasets("north") == {"herring", "tar", "salt"}
    assert len(list(parish.up["hub"].clerk.store.superseded())) >= 1
    assert parish.once()


def test_a_candidate_gets_entries_that_it_lacks_from_the_witnesses(parish: Parish) -> None:
    parish.kill("north")
    parish.write("east", "herring")
    parish.go(5)
    parish.kill("hub")
    parish.lose_mail("north")
    parish.go(2_000)
    parish.start("north")
    parish.go(2_000)
    parish.offer("north")
    parish.go(60)
    assert parish.keepers() == {"north"}
    assert parish.agree()
    assert parish.datasets("north") == {"herring"}


def test_a_witness_gets_entries_that_it_lacks_from_the_candidate(parish: Parish) -> None:
    parish.kill("east")
    parish.write("north", "herring")
    parish.go(5)
    parish.kill("hub")
    parish.lose_mail("east")
    parish.start("east")
    parish.go(2_000)
    parish.offer("north")
    parish.go(90)
    assert parish.keepers() == {"north"}
    assert parish.agree()
    assert parish.datasets("east") == {"herring"}


def test_a_witness_that_only_says_that_it_holds_more_delays_a_takeover_and_no_longer(parish: Parish) -> None:
    parish.kill("hub", "west")
    parish.go(2_000)
    parish.offer("north")
    parish.ask("north", lambda: parish.up["north"].takeover.candidate.held("west", 0, 10**9))
    parish.go(20)
    assert parish.keepers() == {"hub"}  # its entries may be on their way
    parish.go(20)
    assert parish.keepers() == {"north"}


def test_of_two_candidates_one_keeps_the_ledger_and_the_other_follows(parish: Parish) -> None:
    parish.kill("hub")
    parish.go(2_000)
    parish.offer("north")
    parish.offer("east")
    parish.go(600)
    assert len(parish.keepers()) == 1
    assert parish.agree()
    assert not any(agent.takeover.candidate.mine for agent in parish.up.values())
    loser = ({"north", "east"} - parish.keepers()).pop()
    (keeper,) = parish.keepers()
    assert parish.up[loser].takeover.progress().ended == f"{keeper} has taken over"


def test_a_candidate_that_has_agreed_to_another_waits_without_writing(parish: Parish) -> None:
    parish.kill("hub", "west")
    parish.go(2_000)
    parish.offer("east")
    parish.offer("north")
    north = parish.up["north"].takeover.candidate
    assert north.mine is not None
    head = parish.up["north"].clerk.standing.head_checkpoint()
    parish.up["north"].pledge.newest = replace(head, epoch=north.mine.epoch, keeper="east")
    north.mine.held["east"] = head.size
    for _ in range(5):
        parish.up["north"].step()
        parish.now_s += 0.05
    assert "in epoch 1 we have put our name to east" in north.mine.refused["north"]
    assert not parish.up["north"].step()


def test_a_takeover_in_a_lower_epoch_waits_until_our_own_proposal_has_come_to_nothing(parish: Parish) -> None:
    parish.kill("hub", "north")
    parish.go(2_000)
    parish.offer("west")
    parish.go(20)
    north = parish.start("north")
    north.takeover.candidate.mine = Candidacy(
        5, int(parish.now_s * 1000), "ours", note=_note(parish, "north", 5).encoded()
    )
    parish.go(5)
    assert north.clerk.keeper == "hub"
    assert parish.keepers() == {"hub", "west"}
    parish.ask("north", lambda: north.takeover.candidate.give_up("too late"))
    parish.go(100)
    assert parish.keepers() == {"west"}
    assert parish.agree()


def test_a_candidate_gives_up_after_an_hour_and_says_for_whom_it_has_waited(parish: Parish) -> None:
    parish.kill("west", "east")
    parish.offer("north")
    parish.go(PATIENCE_S + 60)
    assert parish.up["north"].takeover.progress().ended == (
        "given up after 60 minutes without enough of: east, west"
    )
    parish.offer("north")
    parish.ask("north", lambda: parish.up["north"].takeover.candidate.give_up("we won't"))
    assert parish.up["north"].takeover.progress().ended == "given up: we won't"
    parish.start("west")
    parish.start("east")
    parish.go(30)
    assert parish.keepers() == {"hub"}
    assert parish.agree()


def test_a_keeper_renews_its_epoch_with_the_names_of_the_others(parish: Parish) -> None:
    parish.offer("hub")
    parish.go(30)
    assert parish.keepers() == {"hub"}
    assert {agent.clerk.standing.epoch for agent in parish.up.values()} == {1}
    parish.write("west", "salt")
    parish.go(5)
    assert parish.agree()


def test_a_name_for_a_later_epoch_keeps_a_witness_from_the_old_keeper_until_that_renews(
    parish: Parish,
) -> None:
    parish.kill("west")
    parish.ask("east", lambda: parish.up["east"].takeover.approve("north"))
    parish.kill("east")
    parish.offer("north")
    parish.go(5)
    parish.ask("north", lambda: parish.up["north"].takeover.candidate.give_up("a mistake"))
    parish.start("east")
    parish.start("west")
    parish.go(10)
    parish.offer("hub")
    parish.go(120)
    assert parish.keepers() == {"hub"}
    assert parish.agree()


def test_entries_that_reach_a_former_keeper_late_are_passed_over(parish: Parish) -> None:
    parish.kill("hub")
    parish.go(2_000)
    parish.offer("north")
    parish.go(20)
    parish.start("hub")
    parish.go(60)
    row = SignedRow(b"late", bytes(64))
    parish.ask("west", lambda: parish.up["west"]._post("ledger", "hub", LedgerAppend((row,))))
    parish.write("hub", "tar")
    parish.go(20)
    assert parish.agree()
    assert parish.datasets("west") == {"tar"}


def test_two_members_need_a_successor_in_the_charter(tmp_path: Path) -> None:
    for successor, expected in (("", {"hub"}), ("north", {"north"})):
        folder = tmp_path / (successor or "nobody")
        folder.mkdir()
        parish = Parish.found(folder, ("hub", "north"), successor=successor)
        parish.go(5)
        parish.kill("hub")
        if successor:
            parish.offer("north")
        else:
            with pytest.raises(FederationError, match="only if the charter names it as successor"):
                parish.offer("north")
        parish.go(10)
        assert parish.keepers() == expected
        parish.close()


def test_who_is_no_active_member_neither_keeps_the_ledger_nor_is_approved(parish: Parish) -> None:
    with pytest.raises(FederationError, match="'nobody' is no active member"):
        parish.ask("east", lambda: parish.up["east"].takeover.approve("nobody"))
    with pytest.raises(FederationError, match="hansa ledger takeover"):
        parish.ask("east", lambda: parish.up["east"].takeover.approve("east"))
    parish.suspend("north")
    parish.go(5)
    with pytest.raises(FederationError, match="north is suspended: only an active member"):
        parish.offer("north")


def test_invitations_of_the_former_keeper_hold_no_longer(parish: Parish) -> None:
    hub = parish.up["hub"]
    assert hub.registrar is not None
    registrar = hub.registrar
    parish.ask("hub", lambda: registrar.invite("south", 1.0, automatic=False, broker="amqp://127.0.0.1"))
    parish.ask("east", lambda: parish.up["east"].takeover.approve("north"))
    parish.ask("west", lambda: parish.up["west"].takeover.approve("north"))
    parish.offer("north")
    parish.go(30)
    (invitation,) = registrar._invitations.values()
    assert invitation.status == "withdrawn"
    assert invitation.reason == (
        "north keeps the ledger now, and our invitation holds no longer: ask north for a new one"
    )
    parish.kill("hub")
    parish.start("hub")
    assert parish.up["hub"].registrar is not None  # who comes with one is told so


def test_the_new_keeper_invites_and_who_joins_follows_the_ledger_from_its_charter(parish: Parish) -> None:
    parish.kill("hub")
    parish.go(2_000)
    parish.offer("north")
    parish.go(30)
    registrar = parish.up["north"].registrar
    assert registrar is not None
    issued = parish.ask(
        "north", lambda: registrar.invite("south", 1.0, automatic=False, broker="amqp://127.0.0.1")
    )
    invite = load_invite(dump_invite(issued.invite))
    assert invite == issued.invite
    assert invite.keeper() == IDENTITIES["north"].public
    assert invite.founder() == IDENTITIES["hub"].public
    with pytest.raises(InviteError, match="changed after it was written"):
        replace(invite, inviter=IDENTITIES["west"].public).check()
    text = dump_invite(invite)
    with pytest.raises(InviteError, match="a seal key has 1216 bytes, not 1"):
        load_invite(text[: text.index("seal_key")] + 'seal_key = "00"\n')
    south = IDENTITIES["south"].public
    parish.up["north"].write(MemberAdmitted("south", south.verify_key, south.seal_key, ""))
    parish.go(5)
    parish.arrive("south", invite)
    parish.go(10)
    parish.write("south", "amber")
    parish.go(10)
    assert parish.agree()
    assert parish.datasets("south") == {"amber"}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_kills_at_any_commit_only_delay_a_takeover(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    parish = Parish.found(tmp_path, silence_s=60)
    parish.go(3)
    for number in range(3):
        parish.write(chance.choice(NAMES), f"before-{number}")
    parish.go(chance.uniform(0.0, 0.5))
    mortal = chance.sample(("north", "east", "west"), 2)
    old = chance.choice(("gone", "back", "alive"))
    if old != "alive":
        parish.kill("hub")
        parish.go(120)
    for name in ("east", "west"):
        if old == "alive":
            parish.ask(name, lambda name=name: parish.up[name].takeover.approve("north"))  # type: ignore[misc]
    parish.write("east", "meanwhile")
    parish.offer("north")
    for name in mortal:
        parish.doom(name, chance.randint(1, 25))
    final = {name: agent.witness.heads.final for name, agent in parish.up.items()}
    parish.go(400, back_s=chance.uniform(0, 40))
    parish.spare()
    if old == "back":
        parish.start("hub")
    parish.write("west", "after")
    parish.go(300)
    assert parish.keepers() == {"north"}
    assert parish.agree()
    assert parish.once()
    expected = {"before-0", "before-1", "before-2", "meanwhile", "after"}
    if old == "gone":  # what nobody but the dead keeper had is lost
        expected -= {f"before-{n}" for n in range(3)} - parish.datasets("north")
    assert parish.datasets("north") == expected
    tree = parish.up["east"].clerk.store.tree()
    for each in final.values():
        assert each is None or tree.root(each.checkpoint.size) == each.checkpoint.root
    parish.close()


def _note(parish: Parish, candidate: str, epoch: int, **changes: Any) -> Note:
    """Return a proposal as a candidate would make it, with fields changed."""
    head = parish.up["east"].clerk.standing.head_checkpoint()
    checkpoint = replace(head, epoch=epoch, keeper=candidate, **changes)
    return Note(checkpoint.text, (sign_checkpoint(IDENTITIES[candidate], checkpoint),))


def test_what_is_no_proposal_of_its_sender_is_refused(parish: Parish) -> None:
    takeover = parish.up["east"].takeover
    with pytest.raises(PeerError, match="not its own head of this ledger"):
        takeover.received("west", SuccessionProposed(_note(parish, "north", 1).encoded()))
    forged = Note(_note(parish, "north", 1).text, _note(parish, "north", 2).signatures)
    for note in (forged, Note(forged.text, (replace(forged.signatures[0], name="else"),))):
        with pytest.raises(BadNote):
            takeover.received("north", SuccessionProposed(note.encoded()))
    with pytest.raises(PeerError, match="no active member"):
        takeover.received("nobody", SuccessionAsked(1, 0, ""))
    assert takeover.progress().offers == {}


def test_a_proposal_of_an_epoch_that_has_begun_is_answered_with_who_keeps_the_ledger(parish: Parish) -> None:
    east = parish.up["east"]
    parish.offer("hub")
    parish.go(20)
    assert east.clerk.standing.epoch == 1
    said: list[object] = []
    east.takeover._desk = replace(east._desk, post=lambda session, name, message: said.append(message))
    east.takeover.received("north", SuccessionProposed(_note(parish, "north", 1).encoded()))
    assert said == [SuccessionAnswered(1, "refused", b"", "epoch 1 of hub has begun")]


def test_answers_count_for_the_head_and_the_epoch_that_they_name(parish: Parish) -> None:
    parish.offer("north")
    parish.go(5)
    candidate = parish.up["north"].takeover.candidate
    mine = candidate.mine
    assert mine is not None
    other = _note(parish, "north", mine.epoch + 1).encoded()
    with pytest.raises(BadNote, match="agreed to another head than ours, or did not sign it"):
        candidate.answered("east", SuccessionAnswered(mine.epoch, "agreed", other))
    with pytest.raises(BadNote, match="did not sign it"):
        candidate.answered("east", SuccessionAnswered(mine.epoch, "agreed", mine.note))
    candidate.answered("east", SuccessionAnswered(mine.epoch + 1, "refused", b"", "late"))
    assert mine.refused == {}
    assert "east" in mine.undecided
    candidate.held("east", 99, 7)  # late, too
    candidate.answered("east", SuccessionAnswered(mine.epoch, "refused", b"", "we know a later head"))
    assert mine.refused == {"east": "we know a later head"}
    epoch = mine.epoch
    parish.go(60)  # a refusal leads to another round
    assert mine.epoch > epoch
    parish.offer("north")  # goes on as it is
    assert candidate.mine is mine


def test_a_witness_that_knows_a_later_epoch_has_the_candidate_begin_beyond_it(parish: Parish) -> None:
    parish.kill("east", "west")
    parish.offer("north")
    candidate = parish.up["north"].takeover.candidate
    assert candidate.mine is not None
    candidate.held("east", 7, 4)
    assert candidate.mine.epoch == 8
    assert candidate.mine.held == {"east": 4}
    candidate.held("nobody", 9, 4)
    assert candidate.mine.epoch == 8


def test_a_member_that_says_it_keeps_the_epoch_that_another_begins_stops_nobody(
    parish: Parish, caplog: pytest.LogCaptureFixture
) -> None:
    parish.kill("hub")
    parish.go(2_000)
    west = parish.up["west"]
    now = replace(west.clerk.standing.head_checkpoint(), epoch=1, keeper="west")
    later = replace(now, size=50)
    for head, message in ((now, CosignAsked), (later, HeadTold)):
        note = Note(head.text, (sign_checkpoint(IDENTITIES["west"], head),)).encoded()
        west._post("ledger", "east", message(note))
    parish.go(1)
    parish.offer("north")
    parish.go(20)
    assert parish.keepers() == {"north"}
    assert "a head that west told us does not hold: not signed by west as keeper of epoch 1" in caplog.text
    final = parish.up["north"].witness.heads.final
    assert final is not None
    assert final.checkpoint.epoch == 1


def test_no_member_uses_up_the_epochs(parish: Parish) -> None:
    parish.kill("hub")
    parish.go(2_000)
    west, north = parish.up["west"], parish.up["north"]
    last = replace(west.clerk.standing.head_checkpoint(), epoch=2**62, keeper="west")
    note = Note(last.text, (sign_checkpoint(IDENTITIES["west"], last),)).encoded()
    west._post("ledger", "north", SuccessionProposed(note))
    parish.offer("north")
    for epoch in (2**62, 2**63, int(parish.now_s) + 100):
        with pytest.raises(PeerError, match="too high"):
            north.takeover.candidate.held("west", epoch, 4)
    parish.go(20)
    assert parish.keepers() == {"north"}
    assert north.clerk.standing.epoch == 1


def test_a_restored_member_does_not_offer_itself_before_it_knows_what_it_signed(parish: Parish) -> None:
    pledge = parish.up["north"].pledge
    pledge._forgetful = True
    with pytest.raises(
        FederationError, match="restored from a backup, and waits for what east, hub, west know"
    ):
        parish.offer("north")
