"""A party's message that overtakes the start waits for it: in order, through crashes, and not without limit."""

from collections.abc import Callable

import pytest

from hansa.agents.core import early, wire
from hansa.agents.core.messages import JobStart
from hansa.protocols import PROTOCOLS, PeerError
from hansa.protocols.alignment.messages import Ask
from hansa.protocols.inference.messages import Waiting
from tests.agents.core.echo import ECHO, LEADER, NAME, PARTIES, Party, blinded, specification

LARGE = 1_000  # numbers in an array that is too large for the journal


@pytest.fixture(autouse=True)
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROTOCOLS, NAME, ECHO)


@pytest.fixture
def party() -> Party:
    """An agent that has consented to a job, and waits for its start."""
    party = Party()
    party.consent(specification())
    return party


def start(party: Party) -> None:
    party.hear(LEADER, JobStart(PARTIES))


def test_messages_before_the_start_are_heard_after_it_in_the_order_in_which_they_came(party: Party) -> None:
    party.say("west", "one", "two")
    party.say("east", "three")
    party.say("west", "four")
    start(party)
    assert party.notes().words == ("west: one", "west: two", "east: three", "west: four")
    party.commit()
    assert party.noted("early") == 0


@pytest.mark.parametrize("crash_after", range(7))
def test_no_crash_loses_doubles_or_reorders_them(party: Party, crash_after: int) -> None:
    actions: list[Callable[[], None]] = [
        lambda: party.say("west", "one"),
        lambda: party.hear("east", blinded(2, LARGE)),
        lambda: party.say("west", "three"),
        lambda: party.hear("west", blinded(4, LARGE)),
        lambda: party.say("east", "five"),
        lambda: start(party),
        lambda: party.say("east", "six"),
    ]
    party.commit()
    for place, act in enumerate(actions):
        if place == crash_after:
            act()  # in a step that is never committed: what it acted on comes again
            party.start()
        act()
        party.commit()
    party.start()
    assert party.notes().words == (
        "west: one",
        "east: 2",
        "west: three",
        "west: 4",
        "east: five",
        "east: six",
    )
    party.commit()
    assert party.noted("early") == 0
    assert party.files.ids() == []


def test_the_arrays_of_waiting_messages_lie_on_the_disk_until_they_are_heard(party: Party) -> None:
    party.hear("west", blinded(1, LARGE))
    party.hear("west", blinded(2))
    party.commit()
    assert len(party.files.ids()) == 1
    assert all(len(row) < 8 * LARGE for row in party.journal.load("early").values())
    start(party)
    party.commit()
    assert party.files.ids() == []


def test_one_sender_cannot_have_any_number_of_messages_wait(
    party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early, "MOST_EARLY", 2)
    party.say("west", "one", "two")
    with pytest.raises(PeerError, match="west sent more than 2 messages before job 'trial' began"):
        party.say("west", "three")
    party.say("east", "four")
    start(party)
    assert party.notes().words == ("west: one", "west: two", "east: four")


def test_nor_any_number_of_bytes(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    party.say("west", "one")
    party.commit()
    [row] = party.journal.load("early").values()
    monkeypatch.setattr(early, "MOST_EARLY_BYTES", 2 * len(row))
    party.start()
    party.say("west", "two")
    with pytest.raises(
        PeerError, match=rf"^west sent more than {2 * len(row)} bytes before job 'trial' began$"
    ):
        party.say("west", "3")
    party.say("east", "four")
    start(party)
    assert party.notes().words == ("west: one", "west: two", "east: four")


def test_nothing_waits_of_another_protocol(party: Party) -> None:
    with pytest.raises(PeerError, match=r"^west sent Waiting, no message of echo$"):
        party.hear("west", Waiting(b"", ("east",)))


def test_nothing_waits_of_those_who_have_no_part_in_the_job(party: Party) -> None:
    with pytest.raises(PeerError, match="south has no part in job 'trial'"):
        party.say("south", "hello")
    party.say(LEADER, "hello")
    start(party)
    assert party.notes().words == (f"{LEADER}: hello",)


def test_a_message_that_the_role_refuses_costs_only_itself(party: Party) -> None:
    party.say("west", "refuse", "one")
    start(party)
    assert party.notes().words == ("west: one",)
    assert ("message-refused", {"error": "PeerError", "peer": "west"}) in party.desk.events


@pytest.mark.parametrize("last", ["finish", "abort", "confuse", "break"])
def test_what_comes_after_the_message_that_ends_the_role_is_forgotten(party: Party, last: str) -> None:
    party.say("west", last, "one", "two")
    party.commit()
    start(party)
    party.commit()
    assert "trial" not in party.machines._roles
    assert party.noted("early") == 0


def test_what_waits_for_a_job_that_never_starts_goes_with_it(party: Party) -> None:
    party.hear("west", blinded(1, LARGE))
    party.commit()
    party.machines.leave_all("we leave")
    party.commit()
    assert party.noted("early") == 0
    assert party.files.ids() == []


@pytest.mark.parametrize("restarted", [False, True], ids=["at work", "restarted"])
def test_an_array_that_a_power_failure_has_taken_ends_the_job_here_with_the_reason(
    party: Party, restarted: bool
) -> None:
    party.say("west", "one")
    party.hear("west", blinded(2, LARGE))
    party.say("west", "three")
    party.commit()
    [lost] = party.files.ids()
    party.files.remove(lost)
    party.start()  # and not: fail to start
    assert party.machines.outcome("trial") is None
    if restarted:
        party.commit()
        party.start()
    start(party)
    party.commit()
    over = party.machines.outcome("trial")
    assert over is not None
    assert over.outcome == "aborted"
    assert over.reason.startswith("north: cannot act on what came before the start: blob ")
    assert party.noted("early") == 0
    assert [type(message).__name__ for _, to, message in party.posted if to == LEADER][-1] == "JobLeft"


def test_a_kind_that_this_version_no_longer_knows_ends_the_job_here_too(
    party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    party.say("west", "one")
    party.commit()
    kind = wire.kind_of(Ask(b""))
    monkeypatch.delitem(wire._CLASSES, kind.name)
    party.start()
    start(party)
    over = party.machines.outcome("trial")
    assert over is not None
    assert "which this version does not know" in over.reason
