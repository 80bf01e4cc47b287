"""`hansa ledger checkpoints` and `evidence`, and what the doctor says of them."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner, Result

from hansa.agents.care.doctor import Finding, Patient
from hansa.agents.care.doctor_heads import OLD_S, checkpoints
from hansa.agents.cli import main
from hansa.agents.cli.witness import _when
from hansa.agents.core.messages import HeadTold
from hansa.agents.simulation import KEEPER
from hansa.agents.simulation.template import keys
from hansa.broker import Equivocation
from hansa.ledger import SignedEntry, link
from hansa.ledger.checkpoints import sign_checkpoint
from hansa.ledger.notes import Note
from tests.agents.core.test_forks import gain, other_head
from tests.agents.core.test_witness import other_entry
from tests.agents.village import NOW_S, Village, village


@pytest.fixture
def place() -> Iterator[Village]:
    with village() as found:
        found.go()
        yield found


def run(place: Village, *words: str) -> Result:
    return CliRunner().invoke(main, ["ledger", *words[:1], str(place.folder / "north"), *words[1:]])


def told(place: Village, after_s: float = 0.0) -> list[Finding]:
    patient = Patient(place.home("north"), clock=lambda: place.now_s + after_s)
    patient.standing = place.north.clerk.standing
    return list(checkpoints(patient))


def test_checkpoints_lists_who_cosigned_which_head_when(place: Village) -> None:
    result = run(place, "checkpoints")
    assert result.exit_code == 0
    when = datetime.fromtimestamp(NOW_S, UTC).strftime("%Y-%m-%d %H:%M")
    assert (
        f"4 entries  root {place.north.clerk.standing.tree.root.hex()[:16]}  epoch 0 aggregator"
        in result.output
    )
    assert f"final since {when}" in result.output
    for name in ("east", "north", "west"):
        assert f"{name} {when}" in result.output
    assert result.output.endswith("final: all 4 entries\n")
    [line] = map(json.loads, run(place, "checkpoints", "--json").output.splitlines())
    assert (line["size"], line["final"], line["needed"], line["waiting"]) == (4, True, 2, [])
    assert {each["member"] for each in line["cosigners"]} == {"east", "north", "west"}


def test_checkpoints_says_what_is_not_final_and_for_whom_it_waits(place: Village) -> None:
    gain(place, 1)
    assert (
        "final: the first 4 entries; the newest wait for the next checkpoint"
        in run(place, "checkpoints").output
    )
    place.down = {"east", "west"}
    place.admit("ada")
    place.go()
    lines = run(place, "checkpoints").output.splitlines()
    assert lines[-1].startswith("not final since ")
    assert lines[-1].endswith("1 of 3 names, waiting for ada, east, west")


def test_checkpoints_waits_for_no_name_under_what_a_later_final_head_covers(place: Village) -> None:
    place.down = {"east", "west"}
    place.admit("ada")
    place.go()
    place.admit("bea")
    place.go()
    place.down = set()
    place.go()
    lines = run(place, "checkpoints").output.splitlines()
    assert lines[-1] == "final: all 6 entries"
    assert "covered by the final 6; cosigned by north" in lines[-3]


def test_checkpoints_of_a_ledger_that_nobody_has_signed() -> None:
    with village() as fresh:
        assert "no head has been signed yet" in run(fresh, "checkpoints").output
        assert run(fresh, "checkpoints", "--json").output == ""
        [finding] = told(fresh, 0.0)
        assert finding.text.startswith("no checkpoint is final yet")


def test_no_evidence_is_a_good_answer(place: Village) -> None:
    result = run(place, "evidence")
    assert (result.exit_code, result.output) == (0, "none: nobody is known to have signed two histories\n")
    assert run(place, "evidence", "--json").output == ""


def test_evidence_shows_both_signed_heads_verbatim_after_checking_them_again(place: Village) -> None:
    note = other_head(place, 3)
    place.north.witness.received("east", HeadTold(note))
    place.go()
    result = run(place, "evidence")
    assert result.exit_code == 1
    assert "fork: aggregator, who kept the ledger in epoch 0, has signed two histories" in result.output
    for line in note.decode().splitlines():
        assert line in result.output
    assert f"\n    {place.north.clerk.standing.head_checkpoint().origin}\n    4\n" in result.output
    [piece] = map(json.loads, run(place, "evidence", "--json").output.splitlines())
    assert (piece["kind"], piece["sound"], len(piece["signed"])) == ("fork", True, 2)
    assert any("NOT IN OUR COPY" in line for line in run(place, "checkpoints").output.splitlines())
    [wrong, _] = told(place)
    assert wrong.verdict == "wrong"
    assert "1 pieces of evidence" in wrong.text


def test_evidence_of_receipts_and_of_messages_and_what_is_none(place: Village) -> None:
    entry, index = other_entry(place)
    before = next(place.north.clerk.store.read(index - 1, index))
    forks, store = place.north.witness.forks, place.north.clerk.store
    forks.receipts([link(keys(KEEPER)[0], "simulated", before.head, entry, 0)], index)
    forks.equivocation(Equivocation("east", "ledger", 3, bytes(32), b"\x01" * 32), b"frame")
    for kind in ("fork", "equivocation"):
        store.add_evidence(kind, b"nonsense")
    store.add_evidence("equivocation", b"\x91\x01")
    lines = run(place, "evidence").output
    assert "receipts: aggregator, who kept the ledger in epoch 0, has signed two entries 3" in lines
    assert "entry 3: dataset-registered by aggregator, its number 99" in lines
    assert "equivocation: east signed two messages 3 in session 'ledger'" in lines
    assert "the message, 5 bytes, is kept" in lines
    assert "fork: NO PROOF: no evidence" in lines
    assert lines.count("equivocation: NO PROOF") == 2
    assert "not as this version keeps it" in lines
    notes = [each for each in told(place) if each.verdict == "note"]
    assert "3 members' messages" in notes[0].text


def test_a_note_that_no_keeper_signed_is_left_out_and_one_that_contradicts_is_passed_over(
    place: Village,
) -> None:
    gain(place, 1)
    head = replace(place.north.clerk.standing.head_checkpoint(), root=bytes(32))
    place.north.clerk.store.add_checkpoint(Note(head.text, (sign_checkpoint(keys("east")[0], head),)))
    place.north.witness.received("east", HeadTold(other_head(place, 5)))
    place.go(1)
    lines = run(place, "checkpoints").output.splitlines()
    assert len(lines) == 4
    assert "NOT IN OUR COPY" in lines[2]
    assert told(place)[-1].text.startswith("the newest final checkpoint is ")


def test_a_receipt_for_what_is_no_entry_is_evidence_too(place: Village) -> None:
    before = next(place.north.clerk.store.read(2, 3))
    shown = link(keys(KEEPER)[0], "simulated", before.head, SignedEntry(b"junk", bytes(64)), 0)
    place.north.witness.forks.receipts([shown], 3)
    assert "entry 3: no entry of ours" in run(place, "evidence").output


def test_evidence_that_no_longer_holds_is_shown_as_none(place: Village) -> None:
    place.north.witness.received("east", HeadTold(other_head(place, 3)))
    place.go()
    [(_, content)] = place.north.clerk.store.evidence()
    place.agents["west"].clerk.store.add_evidence("fork", content[:-1] + bytes([content[-1] ^ 1]))
    result = CliRunner().invoke(main, ["ledger", "evidence", str(place.folder / "west")])
    assert result.exit_code == 1
    assert "fork: NO PROOF:" in result.output


# --- the doctor -----------------------------------------------------------------------------------------
def test_the_doctor_is_content_where_everything_is_final_and_says_for_how_long_it_is_not(
    place: Village,
) -> None:
    assert [(each.verdict, each.text) for each in told(place, 1e6)] == [("ok", "final: all 4 entries")]
    place.down = {"east", "west"}
    place.admit("ada")
    place.go()
    [finding] = told(place, 180.0)
    assert finding.verdict == "ok"
    assert (
        finding.text == "the newest final checkpoint is 3 min old: 1 of 3 names, waiting for ada, east, west"
    )
    [finding] = told(place, OLD_S + 1)
    assert finding.verdict == "wrong"
    assert "start the agents it waits for" in finding.remedy
    [finding] = told(place, 3 * 3_600.0)
    assert "3 h old" in finding.text


def test_the_doctor_says_where_no_checkpoint_can_be_final(place: Village) -> None:
    for name in ("east", "west"):
        place.turn_out(name)
    place.go()
    [finding] = told(place)
    assert (finding.verdict, finding.text) == (
        "note",
        "no checkpoint can be final: 1 beside the keeper, and 2 are needed",
    )
    assert (
        run(place, "checkpoints")
        .output.splitlines()[-1]
        .endswith("1 of 2 names, of 1 member beside the keeper")
    )


def test_the_doctor_does_not_judge_what_it_has_not_read(place: Village) -> None:
    [finding] = list(checkpoints(Patient(place.home("north"), clock=time.time)))
    assert finding.verdict == "unchecked"


def test_a_time_that_no_calendar_has_is_shown_as_it_is() -> None:
    assert _when(2.0**63) == "second 9223372036854775808"
