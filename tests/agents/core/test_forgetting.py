"""A week after a job's end nothing of it is left but its result, and the specification that says what it is of."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hansa.agents.core.agent import Agent
from hansa.agents.core.forgetting import CLOCKS_S, Forgetting
from hansa.agents.core.journal import Changes, MemoryJournal, unpack_row
from hansa.agents.core.messages import JobAbort
from hansa.agents.core.outbox import EXPIRY_S
from hansa.agents.errors import JobAborted, JobError
from hansa.agents.local import AGGREGATOR, LocalFederation
from hansa.broker import frame_kind
from tests.agents.core.test_outbox_intake import SMALL, Road, Side, model
from tests.agents.federations import PARTIES, found, lender, specification
from tests.agents.federations import rows as made

WEEK_S = EXPIRY_S + CLOCKS_S
NOW_S = 1_900_000_000.0


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[LocalFederation]:
    with found(tmp_path / "homes") as local:
        yield local


def keep_house(local: LocalFederation, name: str, later_s: float = 0.0) -> None:
    """Let an agent keep house, as if so many seconds had passed."""

    def advance(agent: Agent) -> None:
        agent._desk.clock = lambda: time.time() + later_s
        agent._housekeeping._done_at = 0.0

    local.ask(name, advance)
    local.ask(name, lambda _: None)  # the next step keeps house
    local.ask(name, lambda _: None)


def rows(local: LocalFederation, name: str, job: str) -> Counter[str]:
    """Return how many rows of a job an agent's journal has, by space."""

    def count(agent: Agent) -> Counter[str]:
        counted = Counter[str]()
        for space, place in (("seen", 2), ("held", 2), ("sequence", 0), ("machine", 0)):
            counted[space] += sum(unpack_row(key)[place] == job for key in agent._journal.load(space))
        for space in ("result", "kept", "ended"):
            counted[space] += job.encode() in agent._journal.load(space)
        return +counted

    return local.ask(name, count)


def test_a_finished_jobs_result_stays_and_everything_else_goes(federation: LocalFederation) -> None:
    federation.run(specification())
    federation.settle()
    for name in federation.agents:
        before = rows(federation, name, "trial")
        assert before.keys() == {"seen", "sequence", "machine", "result"}
        keep_house(federation, name)
        assert rows(federation, name, "trial") == before | {"ended": 1}
        keep_house(federation, name, WEEK_S - 600)
        assert rows(federation, name, "trial") == before | {"ended": 1}
        keep_house(federation, name, WEEK_S + 600)
        assert rows(federation, name, "trial") == {"machine": 1, "result": 1}
        keep_house(federation, name, WEEK_S + 1_200)
        assert rows(federation, name, "trial") == {"machine": 1, "result": 1}
        assert federation.result("trial", name).digest == federation.result("trial").digest


def test_an_aborted_job_goes_whole_and_its_name_stays_taken(federation: LocalFederation) -> None:
    federation.agents["north"]._machines.policy = federation.agents["north"].config.policy.model_copy(
        update={"models": ("mlp",)}
    )
    with pytest.raises(JobAborted):
        federation.run(specification())
    federation.settle()
    for name in federation.agents:
        keep_house(federation, name)
        keep_house(federation, name, WEEK_S + 600)
        assert rows(federation, name, "trial") == {}
        with pytest.raises(JobError, match="unknown"):
            federation.ask(name, lambda agent: agent.spec("trial"))
    keep_house(federation, AGGREGATOR)
    with pytest.raises(JobError, match="exists already"):
        federation.ask(AGGREGATOR, lambda agent: agent.submit(specification()))


def test_an_offer_of_a_job_that_was_forgotten_is_not_taken_up(federation: LocalFederation) -> None:
    federation.run(specification())
    federation.settle()

    def offer_again(agent: Agent) -> bool:
        machines = agent._machines
        del machines._jobs["trial"]
        machines.offered("trial", AGGREGATOR, specification())
        machines.consider_offers(agent.clerk.standing.jobs, None)
        return agent.knows("trial")

    assert federation.ask("north", offer_again) is False


def test_a_federation_that_has_forgotten_a_job_runs_the_next_one_after_a_restart(tmp_path: Path) -> None:
    with found(tmp_path / "homes") as local:
        local.run(specification("first"))
        local.settle()
        for name in local.agents:
            keep_house(local, name)
            keep_house(local, name, WEEK_S + 600)
            keep_house(local, name)
    with LocalFederation.open(tmp_path / "homes") as local:
        for name in PARTIES:
            local.agents[name].datasets["rows"] = lender(made(name))
        local.run(specification("second"))
        assert local.result("first").digest == local.result("second").digest  # of one seed


def test_a_session_is_due_a_week_after_it_was_first_seen_over_also_across_a_restart() -> None:
    journal, changes = MemoryJournal(), Changes()
    assert Forgetting(journal).due(changes, NOW_S, {"job"}) == []
    journal.commit(changes)
    changes = Changes()
    restarted = Forgetting(journal)
    assert restarted.due(changes, NOW_S + WEEK_S - 1, {"job"}) == []
    assert restarted.due(changes, NOW_S + WEEK_S, {"job"}) == ["job"]
    journal.commit(changes)
    assert journal.load("ended") == {}


def test_a_session_that_goes_on_after_all_is_not_forgotten() -> None:
    journal = MemoryJournal()
    forgetting = Forgetting(journal)
    forgetting.due(Changes(), NOW_S, {"job"})
    assert forgetting.due(Changes(), NOW_S + 1, set()) == []
    assert forgetting.due(Changes(), NOW_S + WEEK_S, {"job"}) == []


@pytest.mark.parametrize("lost", ["the first message", "the chunks"])
def test_what_waited_for_something_that_never_came_is_forgotten_too(lost: str) -> None:
    road = Road()
    for name in ("alice", "bob"):
        road.declare(name)
    if lost == "the first message":
        road.loses = lambda place: place == 0
    else:
        road.loses = lambda place: frame_kind(road.frames[place]) == "chunk"
    alice, bob = Side(road, "alice"), Side(road, "bob")
    array = np.zeros(SMALL)
    for message in (JobAbort("one"), JobAbort("two")) if lost == "the first message" else (model(array),):
        alice.post(message)
    alice.step()
    bob.step()
    assert (bob.rows("held"), bob.got) == (1, [])
    assert bob.intake.sessions() == alice.outbox.sessions() == {"job"}
    bob.intake.forget(bob.changes, ["job"])
    bob.commit()
    alice.outbox.forget(alice.changes, ["job"])
    alice.commit()
    assert (bob.rows("held"), bob.rows("seen"), alice.rows("sequence")) == (0, 0, 0)
    assert bob.intake.sessions() == alice.outbox.sessions() == set()
    assert not +bob.intake._pending
