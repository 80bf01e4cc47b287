"""What an agent's machines do around any protocol: who plays which role, from where, and what ends it."""

from dataclasses import replace
from typing import Any

import pytest

from hansa.agents.core.coordination import Over
from hansa.agents.core.messages import JobAnswer, JobLeft, JobStart
from hansa.agents.errors import JobError
from hansa.protocols import (
    PROTOCOLS,
    Awaited,
    Computed,
    PeerError,
    Step,
)
from hansa.protocols.alignment import Served
from tests.agents.core.echo import (
    ECHO,
    LEADER,
    ME,
    NAME,
    NOW_S,
    PARTIES,
    ROLE,
    Page,
    Party,
    blinded,
    proposed,
    specification,
)

FINISHED = proposed(specification(), status="finished")


@pytest.fixture(autouse=True)
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROTOCOLS, NAME, ECHO)


@pytest.fixture
def party() -> Party:
    """An agent at work in a job."""
    party = Party()
    party.begin(specification())
    party.commit()
    return party


def end(party: Party, job: str = "trial") -> Over:
    over = party.machines.outcome(job)
    assert over is not None
    return over


def left(party: Party) -> str:
    """Return the reason with which the coordinator was told that we leave."""
    [reason] = [message.reason for _, to, message in party.posted if isinstance(message, JobLeft)]
    return reason


# --- roles ----------------------------------------------------------------------------------------------
def test_the_settings_say_which_role_a_party_plays_and_the_protocol_what_the_coordinators_is() -> None:
    party = Party()
    party.begin(specification("one"))
    party.begin(specification("two", helper=ME))
    assert [party.notes(job).role for job in ("one", "two")] == ["party", "helper"]
    leader = Party(LEADER)
    leader.machines.propose(specification("three"))
    leader.shown |= proposed(specification("three"), accepted=PARTIES)
    for name in PARTIES:
        leader.hear(name, JobAnswer(True), "three")
    assert leader.notes("three").role == "leader"


def test_a_restart_at_any_time_takes_up_role_timers_and_tasks(party: Party) -> None:
    party.say("east", "one", "wait", "add")
    party.hear("west", blinded(2, 1_000))
    party.commit()
    before = party.notes()
    party.start()
    assert party.notes() == before
    assert party.machines.busy()
    party.work()
    assert party.notes().words[-1] == f"add: Total(value={4950.0 + 7})"
    party.now_s += 6
    party.machines.fire_timers(party.now_s)
    assert party.notes().words[-1] == "alarm rang"
    assert not party.machines.busy()


def test_tasks_may_use_what_the_protocol_says(party: Party) -> None:
    party.say("east", "look")
    party.work()
    assert party.notes().words[-1] == "look: Total(value=60.0)"


def test_a_message_that_cannot_be_sent_ends_the_role_and_nothing_else_of_the_step_is_done(
    party: Party,
) -> None:
    party.say("east", "diverge")
    assert left(party).startswith("north: cannot send Blinded: ")
    assert not party.machines.busy()
    assert party.machines._timers.first("trial", "role") is None
    assert end(party).outcome == "aborted"


def test_an_error_of_our_own_ends_the_role_with_the_reason(party: Party) -> None:
    party.say("east", "confuse")
    assert left(party) == "north: that makes no sense here"


def test_a_message_that_breaks_the_role_costs_the_job_and_not_the_agent(
    party: Party, caplog: pytest.LogCaptureFixture
) -> None:
    party.say("east", "break")
    assert left(party) == "north: the protocol failed with OverflowError; this agent's own log says why"
    assert "something that we never thought of" in caplog.text


def test_a_message_that_the_role_refuses_changes_nothing(party: Party) -> None:
    before = party.notes()
    with pytest.raises(PeerError, match="east must not say that"):
        party.say("east", "refuse")
    assert party.notes() == before


def test_words_after_the_end_are_of_no_consequence(party: Party) -> None:
    party.say("east", "finish")
    party.say("west", "one")
    party.commit()
    assert isinstance(party.machines.records.result("trial"), Served)
    assert party.noted("role") == 0


def test_a_job_is_proposed_once(caplog: pytest.LogCaptureFixture) -> None:
    leader = Party(LEADER)
    leader.machines.propose(specification())
    posted = list(leader.posted)
    leader.machines.propose(specification())
    assert leader.posted == posted
    assert "job trial was submitted twice" in caplog.text


def test_whoever_asks_is_told_what_a_job_waits_for_and_how_long() -> None:
    party = Party()
    with pytest.raises(JobError, match="job 'trial' is unknown at north"):
        party.machines.awaited("trial")
    party.consent(specification())
    assert party.machines.awaited("trial") == (Awaited("the start", (LEADER,)), NOW_S + 120)
    party.hear(LEADER, JobStart(PARTIES))
    assert party.machines.awaited("trial") == (Awaited("a word", PARTIES), None)
    party.say("east", "wait")
    assert party.machines.awaited("trial") == (Awaited("a word", PARTIES), NOW_S + 5)
    assert party.machines.next_timer() == NOW_S + 5


def test_a_task_whose_end_the_role_takes_for_a_peers_fault_ends_the_role(
    party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(state: Any, event: Any) -> Step[Any]:
        if isinstance(event, Computed):
            raise PeerError("east's numbers do not add up")
        return ROLE.step(state, event)

    party.machines._roles["trial"].role = replace(ROLE, step=step)
    party.say("east", "add")
    party.work()
    assert left(party) == "north: east's numbers do not add up"


def test_the_end_of_a_task_that_nobody_waits_for_is_of_no_consequence(party: Party) -> None:
    party.say("east", "add", "abort")
    posted = list(party.posted)
    party.work()
    assert party.posted == posted


def test_a_job_that_is_over_is_forgotten_whole_unless_it_has_left_a_result(party: Party) -> None:
    party.say("east", "keep", "finish")
    party.begin(specification("other"))
    party.say("east", "keep", "abort", job="other")
    party.commit()
    assert party.machines.over() == {"other"}
    for job in ("trial", "other"):
        party.machines.forget(job)
    party.commit()
    assert party.noted("kept") == 0
    party.start()
    assert party.machines.spec("trial") == specification()
    assert not party.machines.knows("other")


# --- where a role starts from -----------------------------------------------------------------------------
def test_a_role_starts_from_what_an_aborted_job_has_kept_here(party: Party) -> None:
    party.say("east", "keep", "abort")
    party.commit()
    assert end(party).reason == "they told us to"
    assert isinstance(party.machines.records.kept("trial"), Page)
    party.start()
    party.begin(specification("next", kept_by="trial"))
    assert party.notes("next").started_from == "Page"
    party.begin(specification("fresh", kept_by="unheard-of"))
    assert party.notes("fresh").started_from == ""


def test_a_role_starts_from_what_its_part_of_a_finished_job_was(party: Party) -> None:
    party.say("east", "keep", "finish")
    party.commit()
    assert party.machines.records.kept("trial") is None  # it is needed no more
    party.begin(specification("next", ended_in="trial"), FINISHED, leader="east")
    assert party.notes("next").started_from == "Served"


def test_a_role_without_what_it_starts_from_does_not_begin() -> None:
    party = Party()
    party.begin(specification("next", ended_in="trial"), FINISHED, leader="east")
    assert left(party) == "north: cannot begin: job 'trial' has left no result at north"
    with pytest.raises(JobError, match="job 'trial' has left no result at north"):
        party.machines.records.result("trial")


def test_settings_that_do_not_fit_end_the_job_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROTOCOLS, NAME, replace(ECHO, roles={}))
    party = Party()
    party.begin(specification())
    assert left(party).startswith("north: cannot begin: echo has no role 'party'")


# --- the order of our rows --------------------------------------------------------------------------------
def aligned(party: Party, **changes: Any) -> Party:
    """Have the party end an alignment, and offer it a job on the rows in its order."""
    party.begin(replace(specification("order"), **changes))
    party.say("east", "align", job="order")
    party.commit()
    return party


def on_aligned_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROTOCOLS, NAME, replace(ECHO, bench="aligned"))


def test_a_protocol_on_aligned_rows_begins_with_their_order_and_goes_on_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    party = aligned(Party())
    on_aligned_rows(monkeypatch)
    party.begin(specification("next", alignment="order"))
    party.commit()
    party.start()
    for machines in (party.machines,):
        role = machines._roles["next"]
        assert role.aligned is not None
        assert role.aligned.rows.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("made", "asked", "reason"),
    [
        ({}, {}, "alignment '' has left no order of rows here"),
        ({}, {"alignment": "unheard-of"}, "job 'unheard-of' has left no result at north"),
        ({"dataset": "cards"}, {"alignment": "order"}, "is of data set 'cards' of east, north, west"),
        (
            {"parties": ("east", "north"), "minimum_parties": 2},
            {"alignment": "order"},
            "alignment 'order' is of data set 'rows' of east, north",
        ),
    ],
    ids=["none named", "unknown", "another data set", "without a party"],
)
def test_an_alignment_that_does_not_fit_is_named_and_the_role_does_not_begin(
    made: dict[str, Any], asked: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    party = Party()
    party.datasets["cards"] = party.datasets["rows"]
    aligned(party, **made)
    on_aligned_rows(monkeypatch)
    party.begin(specification("next", **asked))
    assert reason in left(party)


def test_what_is_no_order_of_rows_is_not_taken_for_one(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    party.say("east", "finish")
    party.commit()
    on_aligned_rows(monkeypatch)
    party.begin(specification("next", alignment="trial"))
    assert left(party) == "north: cannot begin: alignment 'trial' has left no order of rows here"


# --- a disk that forgets ------------------------------------------------------------------------------------
@pytest.mark.parametrize("what", ["state", "task", "kept"])
def test_a_role_whose_arrays_are_lost_gives_up_with_the_reason_at_the_next_start(
    party: Party, what: str
) -> None:
    if what == "state":
        party.hear("east", blinded(1, 1_000))
        party.say("east", "remember")
    else:
        party.say("east", "add", "add" if what == "task" else "keep")
    party.commit()
    for lost in party.files.ids():
        party.files.remove(lost)
    party.start()
    assert left(party).startswith("north: cannot go on after the restart: blob ")
    party.commit()
    assert (party.noted("task"), party.noted("role"), party.noted("kept")) == (0, 0, int(what == "kept"))
    party.start()
    assert end(party).outcome == "aborted"
