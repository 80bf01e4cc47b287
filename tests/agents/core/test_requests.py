"""What other threads ask of the one that steps."""

from concurrent.futures import Future

import pytest

from hansa.agents.core.requests import Requests
from hansa.agents.errors import AgentError, JobError, JournalError
from hansa.ledger import StoreError


@pytest.fixture
def requests() -> Requests:
    return Requests("north", lambda: None)


def fail(error: Exception) -> None:
    raise error


def test_an_answer_comes_when_its_consequences_are_safe(requests: Requests) -> None:
    future = requests.ask(lambda: 7)
    assert requests
    requests.carry_out()
    assert not requests
    assert not future.done()
    requests.answer()
    assert future.result(0) == 7


@pytest.mark.parametrize("error", [JobError("no"), ValueError("too large")])
def test_what_a_request_raises_comes_out_at_once(requests: Requests, error: Exception) -> None:
    future = requests.ask(lambda: fail(error))
    requests.carry_out()
    assert future.exception(0) is error


@pytest.mark.parametrize("error", [JournalError("disk"), StoreError("disk"), ZeroDivisionError()])
def test_our_own_disk_and_our_own_faults_end_the_agent(requests: Requests, error: Exception) -> None:
    future = requests.ask(lambda: fail(error))
    with pytest.raises(type(error)):
        requests.carry_out()
    requests.close()
    assert "north stopped before it answered" in str(future.exception(0))


def test_nobody_waits_for_ever(requests: Requests) -> None:
    waiting, carried_out, answered = requests.ask(lambda: 1), requests.ask(lambda: 2), Future[int]()
    requests.add(lambda: None)
    requests.close()
    late = requests.ask(lambda: 3)
    for future in (waiting, carried_out, late):
        assert isinstance(future.exception(0), AgentError)
    answered.set_result(1)
    requests._never_answered(answered)  # an answer that came in between stays
    assert answered.result(0) == 1
