"""An older self: it begins anew, leaves its jobs, catches up, and signs nothing twice."""

import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hansa.agents.care.backup import make_backup, restore_backup
from hansa.agents.care.keeping import GoOn
from hansa.agents.core import intake
from hansa.agents.core.agent import Agent
from hansa.agents.core.desk import Desk
from hansa.agents.core.former_life import FormerLife
from hansa.agents.core.journal import RESTORED, Changes, MemoryJournal, pack_row
from hansa.agents.core.messages import JobAbort, JobLeft, LedgerFetch
from hansa.agents.core.restored import (
    DROPPED,
    PATIENCE_S,
    REASON,
    CatchingUp,
    Restoration,
    renew,
    restoration,
)
from hansa.agents.errors import AgentError
from hansa.agents.home import Home
from hansa.agents.local import LocalFederation
from hansa.agents.service.status import Status as AskStatus
from hansa.broker import Identity
from hansa.ledger import EMPTY, Body, Head, Job, JobAborted, Standing, Verifier, read_entry
from hansa.ledger.standing import Member, Status
from tests.agents.federations import found, lender, rows, specification
from tests.agents.offices import order

PATIENCE = 60.0


def journal(at_ms: int = 5_000, **meta: bytes) -> MemoryJournal:
    """Return a journal with something in every space, restored at this time."""
    rows = MemoryJournal()
    changes = Changes()
    for space in (*DROPPED, "seen", "salt", "result", "awaited", "pushed"):
        changes.put(space, b"key", b"value")
    for slot in ("job", "role"):
        changes.put("machine", pack_row("trial", slot), b"state")
        changes.put("timer", pack_row("trial", slot, "deadline"), b"due")
    for name, value in meta.items():
        changes.put("meta", name.replace("_", "-").encode(), value)
    changes.put(*RESTORED, pack_row(at_ms, ["west"]))
    rows.commit(changes)
    return rows


# --- beginning anew -------------------------------------------------------------------------------------
def test_a_restored_journal_begins_a_new_life_and_drops_what_was_on_its_way() -> None:
    rows = journal()
    found = renew(rows)
    assert found is not None
    assert (found.at_ms, found.without, found.left, found.settled) == (5_000, ("west",), False, False)
    assert not any(rows.load(space) for space in DROPPED)
    assert all(rows.load(space) for space in ("seen", "salt", "result", "awaited", "pushed"))
    assert list(rows.load("machine")) == [pack_row("trial", "job")]
    assert list(rows.load("timer")) == [pack_row("trial", "job", "deadline")]
    meta = rows.load("meta")
    assert int.from_bytes(meta[b"incarnation"]) == int.from_bytes(meta[b"author-seq"]) == 5_000


def test_numbers_never_go_back() -> None:
    rows = journal(incarnation=(9_000).to_bytes(8), author_seq=(7_000).to_bytes(8))
    renew(rows)
    meta = rows.load("meta")
    assert int.from_bytes(meta[b"incarnation"]) == 9_001  # restored before, by a clock that was ahead
    assert int.from_bytes(meta[b"author-seq"]) == 7_000


def test_a_new_life_begins_once() -> None:
    rows = journal()
    first = renew(rows)
    assert first is not None
    changes = Changes()
    changes.put("outbox", b"new", b"letter")
    first.note_left(changes)
    first.note_settled(changes)
    rows.commit(changes)
    second = renew(rows)
    assert rows.load("outbox") == {b"new": b"letter"}
    assert second == restoration(rows)
    assert second is not None
    assert second.left
    assert second.settled


def test_a_second_restoration_begins_another_life() -> None:
    rows = journal()
    first = renew(rows)
    assert first is not None
    changes = Changes()
    first.note_settled(changes)
    changes.put(*RESTORED, pack_row(6_000, []))
    rows.commit(changes)
    second = renew(rows)
    assert second is not None
    assert not second.settled
    assert int.from_bytes(rows.load("meta")[b"incarnation"]) == 6_000


def test_a_journal_that_was_never_restored_stays_as_it_is() -> None:
    assert renew(MemoryJournal()) is None


# --- whom a keeper waits for ----------------------------------------------------------------------------
def standing(**members: Status) -> Standing:
    result = Standing()
    for name, status in members.items():
        public = Identity.generate(name).public
        result.members[name] = Member(public, "", status, 0, 0)
    return result


def test_a_keeper_asks_every_active_member_once_and_newly_found_ones_too() -> None:
    catching_up = CatchingUp("hub", 0.0)
    now = standing(hub="active", east="active", west="suspended", south="left")
    assert catching_up.to_ask(now) == ["east"]
    assert catching_up.to_ask(now) == []
    later = standing(hub="active", east="active", north="active")
    assert catching_up.to_ask(later) == ["north"]
    assert catching_up.silent(later) == ("east", "north")
    catching_up.answered.update(("east", "north"))
    assert catching_up.over(later, 0.0)


def test_patience_ends_where_most_have_answered_and_not_before() -> None:
    now = standing(hub="active", east="active", north="active", west="active")
    catching_up = CatchingUp("hub", 100.0)
    catching_up.answered.add("east")
    assert not catching_up.over(now, 100.0 + 10 * PATIENCE_S)
    catching_up.answered.add("north")
    assert not catching_up.over(now, 100.0)
    assert catching_up.over(now, 100.0 + PATIENCE_S)


def test_who_is_gone_for_good_is_not_waited_for() -> None:
    now = standing(hub="active", east="active", west="active")
    catching_up = CatchingUp("hub", 0.0, {"west"})
    catching_up.answered.add("east")
    assert catching_up.over(now, 0.0)
    alone = CatchingUp("hub", 0.0)
    alone.go_without(["east", "west"])
    assert alone.over(now, 0.0)


# --- what the former self began ---------------------------------------------------------------------------
@dataclass(slots=True)
class Played:
    """Stands for clerk and machines: a ledger's standing, and one job that is known."""

    standing: Standing
    head: Head = EMPTY
    catching_up: CatchingUp | None = None
    keeper: str = "hub"
    keeps: bool = False

    def knows(self, job: str) -> bool:
        return job == "known"

    def leave_all(self, reason: str) -> None:
        return None

    def send_again(self) -> None:
        return None


def test_jobs_of_the_former_self_are_ended_by_their_coordinator_and_left_by_who_accepted() -> None:
    now = standing(hub="active", north="active", east="active")
    job = Job("north", "p", "m", "rows", ("east", "hub"), 1, bytes(32), 5)
    now.jobs = {
        "ours": job,
        "known": job,
        "ended": replace(job, status="finished"),
        "accepted": replace(job, coordinator="hub", accepted=("east", "north")),
        "on-offer": replace(job, coordinator="hub", accepted=("east",)),
    }
    said: list[tuple[str, str, object]] = []
    written: list[tuple[str, Body]] = []
    desk = Desk(
        "north", lambda: 0.0, lambda *words: said.append(words), lambda job, body: written.append((job, body))
    )
    played = Played(now)
    former = FormerLife(Restoration(7, (), False, False), desk, played, played)  # type: ignore[arg-type]
    former.begin()
    assert said == [("ledger", "hub", LedgerFetch(0))]
    before = former.settled
    said.clear()
    former.say_who_is_awaited()  # nobody: we are no keeper
    former.settle()
    assert written == [("ours", JobAborted(job="ours", reason=REASON))]
    assert said == [
        ("ours", "east", JobAbort(REASON)),
        ("ours", "hub", JobAbort(REASON)),
        ("accepted", "hub", JobLeft(REASON)),
    ]
    assert (before, former.settled) == (False, True)
    former.settle()  # the keeper's answer to a later fetch
    assert len(written) == 1


# --- a federation whose keeper loses its disk -----------------------------------------------------------
@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restored agent that passes over gaps soon."""
    monkeypatch.setattr(intake, "SKIP_S", 0.2)


def wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def lose(folder: Path, name: str, backup: Path) -> None:
    """Take an agent's disk away, and give it what was backed up."""
    shutil.rmtree(folder / name)
    restore_backup(backup, folder / name)


def open_again(folder: Path) -> LocalFederation:
    """Open a federation whose parties hold their rows again."""
    federation = LocalFederation.open(folder)
    for name, agent in federation.agents.items():
        if name != federation.keeper:
            agent.datasets["rows"] = lender(rows(name))
    return federation


def kinds(agent: Agent) -> list[str]:
    return [read_entry(entry.signed).kind for entry in agent.clerk.store.read()]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("who", ["aggregator", "north"])
def test_an_older_self_learns_what_happened_and_takes_part_again(tmp_path: Path, who: str) -> None:
    folder = tmp_path / "town"
    with found(folder) as federation:
        federation.run(specification("before"))
        backup = make_backup(Home(folder / who), tmp_path / "backup").path
        federation.run(specification("after"))
        head = federation.coordinator.clerk.head
    lose(folder, who, backup)
    with open_again(folder) as federation:
        agent = federation.agents[who]
        assert agent.clerk.head.size < head.size
        wait(lambda: agent.former_life.settled)
        assert agent.clerk.head == head
        assert not agent.knows("after")
        assert federation.run(specification("again")).outcome == "finished"
        wait(lambda: len({each.clerk.head for each in federation.agents.values()}) == 1)
        verifier = Verifier()
        for entry in federation.coordinator.clerk.store.read():
            verifier.accept(entry)
        assert kinds(agent).count("job-finished") == 3
    with open_again(folder) as federation:  # what is settled stays so
        assert federation.agents[who].former_life.settled
        assert federation.run(specification("at-last")).outcome == "finished"


@pytest.mark.usefixtures("quick")
def test_a_keeper_chains_nothing_until_its_members_have_answered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "hansa.agent")
    folder = tmp_path / "town"
    with found(folder) as federation:
        backup = make_backup(Home(folder / "aggregator"), tmp_path / "backup").path
        federation.run(specification("after"))
        head = federation.coordinator.clerk.head
    lose(folder, "aggregator", backup)
    (folder / "west").rename(tmp_path / "west")  # away for the time being
    with open_again(folder) as federation:
        keeper = federation.coordinator
        wait(lambda: keeper.clerk.catching_up is not None and len(keeper.clerk.catching_up.answered) == 2)
        keeper.register(rows("aggregator"))
        wait(lambda: keeper.clerk.waiting())
        assert keeper.clerk.head == head  # all is here, but who knows
        keeper.ask(keeper.former_life.say_who_is_awaited).result(PATIENCE)
        assert "chains nothing before it knows what west hold" in caplog.text
        with pytest.raises(AgentError, match="no member"):
            keeper.ask(lambda: keeper.former_life.go_on_without(["weest"])).result(PATIENCE)
        assert order(federation, "aggregator", AskStatus())["awaited"] == ["west"]
        assert order(federation, "aggregator", GoOn(("west",))) == {"awaited": []}
        wait(lambda: not keeper.clerk.waiting())
        assert keeper.clerk.head.size == head.size + 1
        assert "without what west may hold" in caplog.text
        with pytest.raises(AgentError, match="waits for nobody"):
            keeper.ask(lambda: keeper.former_life.go_on_without(["west"])).result(PATIENCE)
    (tmp_path / "west").rename(folder / "west")
    with open_again(folder) as federation:  # it held nothing that the others did not
        wait(lambda: len({agent.clerk.head for agent in federation.agents.values()}) == 1)
        assert federation.agents["west"].clerk.head.size == head.size + 1
