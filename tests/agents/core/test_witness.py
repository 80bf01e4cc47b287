"""Every member witnesses the ledger: who is asked, who answers, what is final, and what is said when nothing is."""

import logging
from dataclasses import replace

import pytest

from hansa.agents.core import canvass
from hansa.agents.core.agent import Agent
from hansa.agents.core.blobs import MemoryFiles
from hansa.agents.core.canvass import ASK_PAUSE_S, PATIENCE_S
from hansa.agents.core.heads import place_of
from hansa.agents.core.journal import RESTORED, Changes, MemoryJournal, pack_row
from hansa.agents.core.messages import CosignAsked, CosignDeclined, ForkTold, HeadTold
from hansa.agents.core.witness import DRAINED_S, LATE_S
from hansa.agents.simulation import KEEPER, PARTIES
from hansa.agents.simulation.template import keys
from hansa.broker import Equivocation, Identity, MemoryBroker
from hansa.broker.inbox import LOOSE_S
from hansa.ledger import (
    BadNote,
    BadProof,
    DatasetRegistered,
    LedgerError,
    LedgerStore,
    MemberAdmitted,
    SignedEntry,
    link,
    sign_entry,
)
from hansa.ledger.checkpoints import cosign, sign_checkpoint
from hansa.ledger.notes import Note, read_note
from hansa.protocols import PeerError
from tests.agents.core.witnessing import head, history, standing
from tests.agents.village import NOW_S, Village, note_of, village


def names(place: Village, name: str = KEEPER) -> set[str]:
    """Return whose names an agent holds under its newest head."""
    agent = place.agents[name]
    return {each.member for each in agent.witness.heads.cosigned(agent.clerk.standing.head_checkpoint())}


# --- asking and answering -------------------------------------------------------------------------------
def test_all_members_sign_what_the_keeper_shows_them_and_hear_when_it_is_final() -> None:
    with village() as place:
        place.go()
        assert {name: place.final(name) for name in place.agents} == dict.fromkeys(place.agents, 4)
        place.admit("ada")
        place.go(20)
        assert {name: place.final(name) for name in place.agents} == dict.fromkeys(place.agents, 5)
        assert all(names(place, name) == set(PARTIES) for name in place.agents)  # also who came last
        assert place.keeper.witness.state().awaited is None


def test_entries_that_nobody_builds_on_wait_for_the_next_sign_of_life() -> None:
    with village() as place:
        place.go()
        place.north.write(DatasetRegistered("rows-2", 3, ("a",), None, bytes(32)))
        place.go(20)
        assert place.keeper.clerk.head.size == 5
        assert place.final() == 4
        place.go(ASK_PAUSE_S)
        assert place.final() == 5


def test_a_minority_that_is_away_is_not_waited_for_and_signs_the_newest_head_once_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with village(down=["west"]) as place:
        for _ in range(2):
            place.admit("ada")
            place.go(10)
            place.turn_out("ada")
            place.go(10)
        assert place.final() == 8
        assert names(place) == {"east", "north"}
        place.down.clear()
        place.go(20)
        assert names(place) == set(PARTIES)
        pledged = place.agents["west"].pledge.newest
        assert pledged is not None
        assert pledged.size == 8
        assert not any(
            each.member == "west"
            for note in place.keeper.clerk.store.checkpoints()
            for each in place.keeper.witness.heads.read(note.encoded()).cosigned
            if "\n8\n" not in note.text
        )  # of several questions it answered the newest
        assert "not final" not in caplog.text


def test_without_a_quorum_it_says_so_and_for_whom_it_waits_and_catches_up_by_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with village(down=["west", "north"]) as place, caplog.at_level(logging.WARNING):
        place.admit("ada")
        place.go(10)
        assert place.final() == 0
        awaited = place.keeper.witness.state().awaited
        assert str(awaited) == "1 of 3 names, waiting for ada, north, west"
        place.go(10 * PATIENCE_S)
        said = [text for text in caplog.messages if "newest head is not final" in text]
        assert 2 <= len(said) <= 5  # once a minute at most, and then ever more rarely
        place.down.clear()
        place.go(20)
        assert {name: place.final(name) for name in place.agents} == dict.fromkeys(place.agents, 5)
        assert place.keeper.witness.state().awaited is None


def test_a_keeper_that_starts_again_asks_again_and_does_not_forget_what_is_final() -> None:
    with village() as place:
        place.go()
        place.start(KEEPER)
        assert place.final() == 4
        place.go()
        assert place.final() == 4
        assert place.keeper.witness.state().awaited is None


def test_a_copy_that_is_behind_asks_for_what_it_lacks_and_answers_then() -> None:
    with village(down=["north"]) as place:
        place.go()
        place.admit("ada")
        place.go()
        place.lose_mail("north")
        place.down = {KEEPER}
        place.north.witness.received(KEEPER, CosignAsked(note_of(place.keeper).encoded()))
        assert place.north.next_due() == place.now_s + LATE_S
        place.go(LATE_S - 2)
        assert place.north.outbox.waiting == 0
        place.go(4)
        assert place.north.outbox.waiting == 1  # the question for entries
        place.down.clear()
        place.go(LOOSE_S + 2)  # until the lost mail is waited for no longer
        assert "north" in names(place)


def test_who_is_asked_for_a_name_by_another_than_the_keeper_refuses() -> None:
    with village() as place:
        with pytest.raises(PeerError, match="east asks for names under a head that aggregator keeps"):
            place.north.witness.received("east", CosignAsked(note_of(place.keeper).encoded()))
        head = place.keeper.clerk.standing.head_checkpoint()
        for forged in (
            Note(head.text, (sign_checkpoint(Identity.generate(KEEPER), head),)),
            Note(head.text, note_of(place.keeper, "east").signatures[1:]),
            note_of(place.keeper, keeper="east"),
        ):
            with pytest.raises(BadNote, match="not signed by aggregator as keeper of epoch 0"):
                place.north.witness.received(KEEPER, CosignAsked(forged.encoded()))
        other = replace(head, federation="elsewhere")
        note = Note(other.text, (sign_checkpoint(keys(KEEPER)[0], other),))
        with pytest.raises(BadNote, match="a head of hansa/elsewhere"):
            place.north.witness.received(KEEPER, HeadTold(note.encoded()))


def test_a_forged_name_costs_the_whole_note() -> None:
    with village() as place:
        signed, name = note_of(place.keeper, "east").signatures
        broken = replace(name, signature=name.signature[:-1] + bytes([name.signature[-1] ^ 1]))
        text = place.keeper.clerk.standing.head_checkpoint().text
        with pytest.raises(BadNote, match="east's cosignature is not of this checkpoint"):
            place.north.witness.received("west", HeadTold(Note(text, (signed, broken)).encoded()))


def test_what_strangers_put_under_a_note_is_left_out() -> None:
    with village() as place:
        head = place.keeper.clerk.standing.head_checkpoint()
        stranger = replace(note_of(place.keeper, "east").signatures[1], name=head.cosigner("nobody"))
        kept = place.north.witness.heads.read(
            Note(head.text, (*note_of(place.keeper, "west").signatures, stranger)).encoded()
        )
        assert [each.member for each in kept.cosigned] == ["west"]
        assert len(kept.note.signatures) == 2


def test_why_a_witness_declines_stands_beside_its_name() -> None:
    with village(down=["north", "west"]) as place:
        place.go()
        place.keeper.witness.received("north", CosignDeclined(4, 2, "we have put our name to epoch 2"))
        place.keeper.witness.received("north", CosignDeclined(4, 2, "we have put our name to epoch 2"))
        place.north.witness.received("west", CosignDeclined(4, 2, "of no interest to a member"))
        assert str(place.keeper.witness.state().awaited) == (
            "1 of 2 names, waiting for north (we have put our name to epoch 2), west"
        )
        place.keeper.witness.received("north", CosignDeclined(4, 2, "y" * 10_000))
        assert len(str(place.keeper.witness.state().awaited)) < 600


def test_a_keeper_of_an_epoch_that_has_ended_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with village() as place:
        said: list[tuple[str, str, object]] = []
        monkeypatch.setattr(place.north.witness._desk, "post", lambda *words: said.append(words))
        stale = note_of(place.keeper).encoded()
        monkeypatch.setattr(place.north.clerk.standing, "epoch", 1)
        place.north.witness.received(KEEPER, CosignAsked(stale))
        monkeypatch.undo()
        assert said == [("ledger", KEEPER, CosignDeclined(4, 1, "epoch 1 of aggregator has begun"))]


def test_a_head_of_an_epoch_that_has_not_come_to_us_waits() -> None:
    with village() as place:
        later = replace(place.keeper.clerk.standing.head_checkpoint(), epoch=1, keeper="east")
        note = Note(later.text, (sign_checkpoint(keys("east")[0], later),)).encoded()
        place.north.witness.received("east", CosignAsked(note))
        place.north.step()
        assert place.north.witness.heads.place(later) == "beyond"
        assert place.north.pledge.newest is None
        assert place.north.next_due() == place.now_s + LATE_S


def test_what_another_keeper_has_replaced_contradicts_nothing() -> None:
    ledger, ours = standing((5, 1, "carol")), history(8)
    ledger.epoch = 1
    given_up = history(8, "b", common=5)
    assert place_of(head(given_up, 7), ledger, ours) == "superseded"
    assert place_of(head(given_up, 5), ledger, ours) == "held"
    assert place_of(head(given_up, 7, 1, "carol"), ledger, ours) == "contradicts"
    assert place_of(head(ours, 7, 1, "carol"), ledger, ours) == "held"
    assert place_of(head(ours, 7, 2, "dora"), ledger, ours) == "beyond"


def test_two_members_alone_need_a_successor() -> None:
    with village() as place:
        for name in ("east", "west"):
            place.turn_out(name)
        place.go()
        awaited = place.keeper.witness.state().awaited
        assert str(awaited) == "1 member beside the keeper, and 2 are needed"


def test_a_long_ledger_is_asked_about_without_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvass, "MOST_READ", 1)
    with village() as place:
        place.go()
        for name in ("rows-2", "rows-3"):
            place.keeper.write(DatasetRegistered(name, 3, ("a",), None, bytes(32)))
        place.go()
        assert place.final() == 6


def test_an_agent_whose_copy_is_empty_has_nothing_to_say() -> None:
    with village() as place:
        (place.folder / "south").mkdir()
        store = LedgerStore.open(place.folder / "south" / "ledger.sqlite")
        identity, config = keys("north")
        agent = Agent(
            identity=identity,
            config=config,
            journal=MemoryJournal(),
            files=MemoryFiles(),
            store=store,
            transport=MemoryBroker("other").connect("north"),
            executor=place.executor,
        )
        agent.step()
        assert agent.witness.heads.final is None
        assert agent.witness.state().awaited is None
        with pytest.raises(LedgerError):
            agent.witness.received(KEEPER, HeadTold(note_of(place.keeper).encoded()))
        agent.close()


# --- signs of life --------------------------------------------------------------------------------------
def test_a_keeper_that_lives_is_heard_every_ten_minutes_and_one_that_does_not_is_missed() -> None:
    with village() as place:
        witness = place.north.witness
        assert witness.keeper_silent_for(place.now_s) == 0.0  # what has waited for us may yet come
        place.go(4 * ASK_PAUSE_S, pace_s=0.5)
        assert witness.keeper_silent_for(place.now_s) <= ASK_PAUSE_S + 2
        assert place.keeper.witness.keeper_silent_for(place.now_s) == 0.0
        place.down.add(KEEPER)
        place.go(4 * ASK_PAUSE_S)
        assert witness.keeper_silent_for(place.now_s) > 3 * ASK_PAUSE_S
        silent_s = place.start("north").witness
        place.go(DRAINED_S / 2)
        assert silent_s.keeper_silent_for(place.now_s) == 0.0
        place.go(DRAINED_S)
        assert silent_s.keeper_silent_for(place.now_s) > 3 * ASK_PAUSE_S  # it was journalled
        silent_s.look(place.now_s, online=False)
        assert silent_s.keeper_silent_for(place.now_s) == 0.0


def test_old_messages_and_those_of_others_are_no_sign_of_life() -> None:
    with village() as place:
        witness = place.north.witness
        place.go(DRAINED_S + 1)
        before = witness.keeper_silent_for(place.now_s)
        witness.heard(KEEPER, int(NOW_S * 1000) - 1)
        witness.heard("east", int(place.now_s * 1000))
        assert witness.keeper_silent_for(place.now_s) == before
        witness.heard(KEEPER, int((place.now_s + 1e6) * 1000))  # its clock may be wrong
        assert witness.keeper_silent_for(place.now_s) == 0.0


# --- restored -------------------------------------------------------------------------------------------
def test_a_restored_member_abstains_until_the_others_have_told_it_what_it_signed() -> None:
    with village() as place:
        place.go()
        before, changes = place.north.pledge.newest, Changes()
        changes.put(*RESTORED, pack_row(int(place.now_s * 1000), []))
        for key in place.journals["north"].load("pledge"):
            changes.drop("pledge", key)
        place.journals["north"].commit(changes)
        place.down = {"east", "west"}
        place.start("north")
        place.admit("ada")
        place.go(10)
        assert place.north.witness.state().abstains == ("ada", "east", "west")
        assert "north was restored from a backup" in str(place.keeper.witness.state().awaited)
        assert place.north.pledge.newest == before  # the keeper has told it, but it is alone
        place.down.clear()
        place.go(20)
        assert place.north.witness.state().abstains == ()
        assert names(place) == set(PARTIES)
        assert place.final() == 5


def test_who_knows_no_head_says_so() -> None:
    with village(down=[KEEPER]) as place:
        place.north.witness.received("east", HeadTold(b"", "asked"))
        place.go()
        assert place.agents["east"].intake.refused == {}
        assert place.agents["east"].pledge.newest is None


# --- evidence -------------------------------------------------------------------------------------------
def other_entry(place: Village) -> tuple[SignedEntry, int]:
    keeper, _ = keys(KEEPER)
    body = DatasetRegistered("other", 1, ("a",), None, bytes(32))
    return sign_entry(keeper, federation="simulated", author_seq=99, body=body, time_ms=0), 3


def test_two_receipts_for_one_place_convict_the_keeper_everywhere_and_stay_told() -> None:
    with village() as place:
        place.go()
        entry, index = other_entry(place)
        before = next(place.north.clerk.store.read(index - 1, index))
        shown = link(keys(KEEPER)[0], "simulated", before.head, entry, 0)
        place.north.witness.forks.receipts([shown], index)
        place.north.witness.forks.receipts([shown], index)
        assert place.north.witness.state().evidence == 1
        place.go(10)
        for name in PARTIES:
            assert place.agents[name].witness.evidence_against(KEEPER)
            assert not place.agents[name].witness.evidence_against("east")
            assert place.agents[name].witness.stops_jobs().startswith("aggregator, who keeps the ledger")
        place.admit("ada")
        place.go(10)
        assert place.final() == 4
        assert "has signed two histories" in str(place.keeper.witness.state().awaited)
        sent = place.start("north").outbox.waiting
        place.go()
        assert place.north.witness.evidence_against(KEEPER)
        assert sent == 0  # nobody is told twice


def test_two_entries_that_prove_nothing_convict_nobody(caplog: pytest.LogCaptureFixture) -> None:
    with village() as place:
        entry, index = other_entry(place)
        elsewhere = link(keys(KEEPER)[0], "simulated", place.north.clerk.head, entry, 0)
        forks = place.north.witness.forks
        forks.receipts([replace(elsewhere, index=index)], index)
        assert "two entries 3, and no proof" in caplog.text
        held = next(place.north.clerk.store.read(index, index + 1))
        forks.receipts([held], index)  # the same
        forks.receipts([], index)
        forks.receipts([held], 77)
        with pytest.raises(BadProof):
            place.north.witness.received("east", ForkTold(b"nonsense"))
        assert place.north.witness.state().evidence == 0
        assert place.north.witness.stops_jobs() == ""


def test_a_message_in_two_versions_is_kept_as_evidence_and_stops_nothing() -> None:
    with village() as place:
        error = Equivocation("east", "ledger", 3, bytes(32), b"\x01" * 32)
        place.north.witness.forks.equivocation(error, b"frame")
        assert [kind for kind, _ in place.north.clerk.store.evidence()] == ["equivocation"]
        assert place.north.witness.state().evidence == 0
        assert place.start("north").witness.stops_jobs() == ""


def test_a_head_beyond_our_copy_is_compared_once_our_copy_has_grown() -> None:
    with village(down=["north"]) as place:
        place.go()
        place.admit("ada")
        place.go()
        note = note_of(place.keeper, "east", "west").encoded()
        place.north.witness.received("east", HeadTold(note))
        assert place.north.witness.heads.final is None
        place.down.clear()
        place.go(20)
        assert place.final("north") == 5
        assert read_note(note).text in {each.text for each in place.north.clerk.store.checkpoints()}


# --- members that mean ill ------------------------------------------------------------------------------
def test_a_member_that_claims_a_later_epoch_does_not_keep_others_from_answering_the_keeper() -> None:
    with village() as place:
        place.go()
        west = place.agents["west"]
        later = replace(west.clerk.standing.head_checkpoint(), epoch=2**62, keeper="west")
        note = Note(later.text, (sign_checkpoint(keys("west")[0], later),)).encoded()
        for name in ("north", "east"):
            west._post("ledger", name, CosignAsked(note))
        place.go()
        place.admit("ada")
        place.go(LATE_S + 10)
        assert place.final() == 5
        assert place.north.witness.next_due() is None


def test_a_head_of_whom_the_ledger_does_not_have_keep_its_epoch_gets_no_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with village() as place:
        place.go()
        north, west = place.north, place.agents["west"]
        later = replace(west.clerk.standing.head_checkpoint(), epoch=1, keeper="west")
        note = Note(later.text, (sign_checkpoint(keys("west")[0], later),)).encoded()
        north.witness.received("west", CosignAsked(note))
        monkeypatch.setattr(north.clerk.standing, "epoch", 1)  # another has taken over meanwhile
        north.witness.look(place.now_s, online=True)
        assert north.witness.next_due() is None
        assert north.pledge.newest is not None
        assert north.pledge.newest.epoch == 0


def test_a_name_under_a_head_beyond_our_copy_that_turns_out_forged_stops_nobody() -> None:
    with village() as place:
        place.go()
        ada = Identity.generate("ada")
        later = replace(place.north.clerk.standing.head_checkpoint(), epoch=1, keeper="west", size=50)
        good = cosign(ada, later, 5)
        forged = replace(good, signature=good.signature[:-1] + bytes([good.signature[-1] ^ 1]))
        note = Note(later.text, (sign_checkpoint(keys("west")[0], later), forged))
        place.north.witness.received("west", HeadTold(note.encoded()))
        place.broker.declare("ada")
        place.keeper.write(MemberAdmitted("ada", ada.public.verify_key, ada.public.seal_key, ""))
        place.go(20)
        assert place.final("north") == 5
