"""A job begins once its coordinator's copy of the ledger shows who consents: what waits, and what becomes of it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from hansa.agents.core.briefing import Opening
from hansa.agents.core.coordination import RECEIPT_S, Cancel
from hansa.agents.core.journal import pack_row
from hansa.agents.core.messages import JobAbort, JobAnswer, JobLeft, JobSpec
from hansa.ledger import JobAborted, JobStarted
from hansa.ledger.contribution import seed_of
from hansa.ledger.standing import Volume
from hansa.protocols import PROTOCOLS, Awaited, PeerError, Valuation
from tests.agents.core.echo import ECHO, LEADER, NAME, PARTIES, Party, blinded, proposed, specification

DRAWS = {name: bytes([place]) * 32 for place, name in enumerate(PARTIES)}
VOLUMES = {"east": Volume(40, 2), "west": Volume(60, 2)}


@pytest.fixture(autouse=True)
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROTOCOLS, NAME, replace(ECHO, facts=(Valuation,)))


def valued() -> JobSpec:
    return replace(specification(), contribution={"method": "shapley", "utility": "score"})


def show(leader: Party, spec: JobSpec, *accepted: str) -> None:
    """Have the leader's copy show these consents."""
    draws = {name: DRAWS[name] for name in accepted} if spec.contribution else {}
    leader.shown |= proposed(spec, accepted=accepted, draws=draws, volumes=VOLUMES)


def waiting(spec: JobSpec | None = None) -> Party:
    """Return a leader to whom all have said yes, and whose copy shows nothing of it."""
    leader = Party(LEADER)
    leader.machines.propose(spec or specification())
    for name in PARTIES:
        leader.hear(name, JobAnswer(True))
    leader.commit()
    return leader


def begun(leader: Party) -> bool:
    return "trial" in leader.machines._roles


def test_a_job_waits_for_the_consents_that_the_ledger_does_not_show_yet() -> None:
    leader = waiting()
    assert not begun(leader)
    awaited, until = leader.machines.awaited("trial")
    assert awaited == Awaited("the ledger to show all consents", PARTIES)
    assert until == leader.now_s + RECEIPT_S
    show(leader, specification(), "east", "west")
    leader.machines.begin_shown()
    assert leader.machines.awaited("trial")[0].whom == ("north",)
    show(leader, specification(), *PARTIES)
    leader.machines.begin_shown()
    assert begun(leader)
    assert leader.machines.next_timer() is None


@pytest.mark.parametrize("restart", [False, True])
def test_what_parties_say_meanwhile_is_heard_at_the_start_also_after_a_crash(restart: bool) -> None:
    leader = waiting()
    leader.say("west", "one")
    leader.hear("east", blinded(2, 1_000))
    leader.hear("north", JobLeft("out of disk"))
    leader.commit()
    if restart:
        leader.start()
    assert not begun(leader)
    show(leader, specification(), *PARTIES)
    leader.machines.begin_shown()
    assert leader.notes().words[-3:] == ("west: one", "east: 2", "north left: out of disk")


def test_strangers_are_not_heard_meanwhile() -> None:
    leader = waiting()
    with pytest.raises(PeerError, match="south has no part in job 'trial'"):
        leader.say("south", "one")


@pytest.mark.parametrize("restart", [False, True])
def test_a_job_whose_consents_never_show_ends_by_naming_them(restart: bool) -> None:
    leader = waiting()
    show(leader, specification(), "east")
    if restart:
        leader.start()
    leader.now_s += RECEIPT_S + 1
    leader.machines.fire_timers(leader.now_s)
    over = leader.machines.outcome("trial")
    assert over is not None
    assert over.reason == (
        "aggregator: cannot begin: the ledger has not shown the consent of north, west within 120 s"
    )
    assert isinstance(leader.written[-1], JobAborted)
    assert {who for _, who, message in leader.posted if isinstance(message, JobAbort)} == set(PARTIES)


@pytest.mark.parametrize(
    "end",
    [
        lambda leader: leader.machines.tell_job("trial", Cancel("enough")),
        lambda leader: leader.machines.leave_all("restored from a backup"),
    ],
)
def test_a_job_that_is_called_off_before_it_begins_never_does(end: Callable[[Party], None]) -> None:
    leader = waiting()
    end(leader)
    show(leader, specification(), *PARTIES)
    leader.machines.begin_shown()
    leader.machines.fire_timers(leader.now_s + RECEIPT_S + 1)
    assert not begun(leader)
    assert leader.machines.outcome("trial") is not None
    leader.commit()
    leader.start()
    assert leader.machines.outcome("trial") is not None


def test_who_values_coalitions_says_with_whom_it_begins_and_knows_seed_and_volumes() -> None:
    leader = waiting(valued())
    show(leader, valued(), *PARTIES)
    leader.machines.begin_shown()
    assert leader.written[-1] == JobStarted(job="trial", parties=PARTIES)
    role = leader.machines._roles["trial"]
    assert role.draws == seed_of(PARTIES, DRAWS)
    assert (role.brief.valued, role.brief.volumes) == (True, {"east": (40, 2), "west": (60, 2)})


def test_a_restart_finds_the_same_seed_and_volumes_whatever_the_ledger_shows_by_then() -> None:
    leader = waiting(valued())
    show(leader, valued(), *PARTIES)
    leader.machines.begin_shown()
    leader.commit()
    before = leader.machines._roles["trial"]
    leader.shown = {}
    leader.start()
    after = leader.machines._roles["trial"]
    assert (after.brief, after.brief.volumes, after.draws) == (
        before.brief,
        before.brief.volumes,
        before.draws,
    )


def test_a_consent_without_a_draw_begins_nothing() -> None:
    leader = waiting(valued())
    leader.shown |= proposed(valued(), accepted=PARTIES, draws={"east": DRAWS["east"]})
    leader.machines.begin_shown()
    over = leader.machines.outcome("trial")
    assert over is not None
    assert over.reason == "aggregator: cannot begin: north has added no draw to the seed"


def test_a_start_that_was_journalled_before_there_were_draws_is_taken_up() -> None:
    assert Opening.read(pack_row(["east", "west"], b"secret")) == Opening(("east", "west"), b"secret")
    full = Opening(("east",), b"secret", bytes(32), {"east": (7, 2)})
    assert Opening.read(full.row()) == full
