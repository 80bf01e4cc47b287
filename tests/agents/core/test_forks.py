"""Two histories come out whichever heads of them are shown, in whichever order."""

import itertools
from dataclasses import replace

import pytest

from hansa.agents.core import forks
from hansa.agents.core.canvass import ASK_PAUSE_S
from hansa.agents.core.messages import CosignAsked, ForkTold, HeadTold
from hansa.agents.simulation import KEEPER, PARTIES
from hansa.agents.simulation.template import keys
from hansa.broker import Equivocation
from hansa.ledger import DatasetRegistered
from hansa.ledger.checkpoints import sign_checkpoint
from hansa.ledger.evidence import ForkEvidence, read_evidence
from hansa.ledger.notes import Note, NoteSignature, read_note
from tests.agents.village import Village, village


def other_head(place: Village, size: int, root: int = 9) -> bytes:
    """Return a head that the keeper signed and that is of no history of ours."""
    head = replace(place.keeper.clerk.standing.head_checkpoint(), size=size, root=bytes([root]) * 32)
    return Note(head.text, (sign_checkpoint(keys(KEEPER)[0], head),)).encoded()


def gain(place: Village, entries: int) -> None:
    """Have the ledger grow by entries that the keeper asks no names for at once."""
    for number in range(entries):
        name = f"rows-{place.keeper.clerk.head.size}-{number}"
        place.keeper.write(DatasetRegistered(name, 3, ("a",), None, bytes(32)))
    place.go(10)


def convinced(place: Village) -> set[str]:
    return {name for name in PARTIES if place.agents[name].witness.evidence_against(KEEPER)}


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_head_that_is_not_in_our_copy_and_no_larger_than_one_we_hold_is_proof(size: int) -> None:
    with village() as place:
        place.go()
        place.north.witness.received("east", HeadTold(other_head(place, size)))
        place.go()
        assert convinced(place) == set(PARTIES)
        [(kind, content)] = place.agents["west"].clerk.store.evidence()
        found = read_evidence(content)
        assert kind == "fork"
        assert isinstance(found, ForkEvidence)
        origin = place.north.clerk.standing.head_checkpoint().origin
        words = found.check(origin, {0: keys(KEEPER)[0].public}.get)
        assert f"one of {size} entries" in words


def test_a_head_larger_than_all_we_hold_convinces_us_and_later_everybody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with village() as place:
        place.go()
        gain(place, 1)
        place.north.witness.received(KEEPER, CosignAsked(other_head(place, 5)))
        place.north.witness.received("east", HeadTold(other_head(place, 5)))
        place.go()
        assert "is not in our copy" in "".join(caplog.messages).replace("which ", "")
        assert convinced(place) == {"north"}
        assert place.north.witness.state().evidence == 0
        place.start("north")
        assert convinced(place) == {"north"}  # it is journalled
        place.go(ASK_PAUSE_S)
        assert convinced(place) == set(PARTIES)
        assert place.north.witness.state().evidence == 1
        place.start("north")
        assert convinced(place) == set(PARTIES)


def test_a_head_beyond_our_copy_is_judged_once_our_copy_has_come_there() -> None:
    with village() as place:
        place.go()
        place.north.witness.received("east", HeadTold(other_head(place, 6)))
        place.go()
        assert convinced(place) == set()
        gain(place, 1)
        assert convinced(place) == set()
        gain(place, 1)
        assert convinced(place) == {"north"}
        place.go(ASK_PAUSE_S)
        assert convinced(place) == set(PARTIES)


@pytest.mark.parametrize("order", list(itertools.permutations([3, 5, 6])))
def test_several_heads_of_another_history_convict_in_any_order(order: tuple[int, ...]) -> None:
    with village() as place:
        place.go()
        gain(place, 1)
        for size in order:
            place.north.witness.received("east", HeadTold(other_head(place, size)))
            place.go(2)
        assert convinced(place) == set(PARTIES)
        place.keeper.write(DatasetRegistered("more", 3, ("a",), None, bytes(32)))
        place.go(10)
        assert convinced(place) == set(PARTIES)


def test_what_proves_nothing_yet_is_kept_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "MOST_SHOWN", 2)
    with village() as place:
        place.go()
        gain(place, 1)
        for root in range(4):
            place.north.witness.received("east", HeadTold(other_head(place, 5, root)))
        place.go(1)
        assert len(place.journals["north"].load("fork-shown")) == 2


def test_a_contradiction_of_a_keeper_that_was_set_aside_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    with village() as place:
        place.go()
        gain(place, 1)
        place.north.witness.received("east", HeadTold(other_head(place, 5)))
        place.go(1)
        monkeypatch.setattr(place.north.clerk.standing, "rosters", ())
        place.north.witness.forks.look()
        assert not place.north.witness.forks._shown


def test_heads_beyond_our_copy_are_kept_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hansa.agents.core.witness.MOST_BEYOND", 2)
    with village() as place:
        for root in range(4):
            place.north.witness.received("east", HeadTold(other_head(place, 9, root)))
        assert len(place.north.witness._beyond) == 2


def test_a_note_that_no_keeper_signed_proves_nothing_and_stands_in_no_proofs_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hansa.agents.core.heads.MOST_KNOWN", 0)
    with village() as place:
        place.go()
        head = place.north.clerk.standing.head_checkpoint()
        unsigned = Note(head.text, (sign_checkpoint(keys("east")[0], replace(head, root=bytes(32))),))
        place.north.clerk.store.add_checkpoint(Note(replace(head, root=bytes(32)).text, unsigned.signatures))
        place.north.witness.received("east", HeadTold(other_head(place, 4)))
        place.go()
        assert convinced(place) == set(PARTIES)


def test_of_a_fork_that_is_proven_little_more_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "MOST_PROOFS", 2)
    with village() as place:
        place.go()
        place.north.witness.received("east", HeadTold(other_head(place, 4)))
        place.go()
        [(_, content)] = place.north.clerk.store.evidence()
        proof = read_evidence(content)
        assert isinstance(proof, ForkEvidence)
        for number in range(4):
            line = NoteSignature(f"nobody-{number}", bytes(4), b"x")
            note = read_note(proof.first)
            other = replace(proof, first=Note(note.text, (*note.signatures, line)).encoded())
            place.north.witness.received("east", ForkTold(other.encoded()))
            place.north.witness.received("east", HeadTold(other_head(place, 3, number)))
        place.go()
        assert place.north.witness.state().evidence == 2
        assert len(place.north.clerk.store.checkpoint(3, 0)) == 0
        assert len(place.north.clerk.store.checkpoint(4, 0)) == 2


def test_of_members_that_equivocate_without_end_little_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "MOST_EQUIVOCATIONS", 2)
    with village() as place:
        for life in range(2):
            found = place.start("north").witness.forks
            for number in range(2 + life):
                error = Equivocation("east", "ledger", number, b"a" * 32, b"b" * 32)
                found.equivocation(error, b"frame")
        assert len(list(place.north.clerk.store.evidence())) == 2
