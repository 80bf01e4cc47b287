"""Which rows a job of ours asks for is known here alone: journalled with the proposal, gone with the end."""

import pytest

from hansa.agents.core.messages import JobAnswer
from hansa.protocols import PROTOCOLS
from tests.agents.core.echo import ECHO, LEADER, NAME, PARTIES, Party, specification

IDS = ("a", "b")


@pytest.fixture(autouse=True)
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROTOCOLS, NAME, ECHO)


def test_they_are_kept_through_restarts_until_the_job_ends() -> None:
    leader = Party(LEADER)
    leader.machines.propose(specification(), IDS)
    leader.machines.propose(specification("whole"))
    leader.commit()
    assert leader.noted("wanted") == 1
    for _ in range(2):
        assert leader.machines._wanted.of("trial") == IDS
        assert leader.machines._wanted.of("whole") == ()
        leader.start()
    for name in PARTIES:
        leader.hear(name, JobAnswer(True))
    assert leader.machines._bench("trial").args[-1] == IDS  # type: ignore[attr-defined]
    leader.say("east", "finish")
    leader.commit()
    assert leader.noted("wanted") == 0


def test_a_job_that_never_begins_forgets_them_too() -> None:
    leader = Party(LEADER)
    leader.machines.propose(specification(), IDS)
    for name in PARTIES:
        leader.hear(name, JobAnswer(False, "no"))
    leader.commit()
    assert leader.noted("wanted") == 0


def test_no_other_agent_hears_of_them() -> None:
    leader = Party(LEADER)
    leader.machines.propose(specification(), ("secret-id",))
    assert "secret-id" not in repr((leader.posted, leader.written, leader.desk.events))
