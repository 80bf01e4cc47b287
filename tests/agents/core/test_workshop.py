"""Tasks run elsewhere and come back as events; what others may read of a failure quotes nobody's rows."""

import logging
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NoReturn

import pytest

from hansa.agents.core.workshop import Done, Ended, Failure, Workshop
from hansa.agents.errors import AgentError, DataError
from hansa.protocols import Compute, PeerError, ProtocolError, TaskSpec, Workbench

SECRET = "patient 4711 has it"


def nothing() -> Any:
    return None


def task(function: Callable[[Any, Any, int], object]) -> TaskSpec:
    return TaskSpec(function, int, object)


def run(function: Callable[[Any, Any, int], object], bench: Callable[[], Workbench] = nothing) -> Ended:
    """Run one task to its end."""
    woken: list[bool] = []
    with ThreadPoolExecutor(1) as executor:
        workshop = Workshop(executor, lambda: woken.append(True))
        workshop.start("job", task(function), Compute("task-1", "train", 20, 22), bench)
        assert workshop.running == 1
    [ended] = workshop.ended()
    assert workshop.ended() == []
    assert workshop.running == 0
    assert woken == [True]
    return ended


def failing(error: BaseException) -> Callable[[Any, Any, int], NoReturn]:
    def fail(inputs: Any, bench: Any, seed: int) -> NoReturn:
        raise error

    return fail


def test_a_tasks_result_comes_back_under_its_name() -> None:
    ended = run(lambda inputs, bench, seed: inputs + seed)
    assert ended == Ended("job", "task-1", 42, None)
    assert "42" not in repr(ended)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AgentError("too few rows"), "too few rows"),
        (ProtocolError("out of turn"), "out of turn"),
        (PeerError("another digest"), "another digest"),
        (DataError(f"rows.csv: row 7: {SECRET!r} is no number"), "the data set can't be used"),
        (ValueError(SECRET), "the task failed with ValueError"),
        (MemoryError(SECRET), "the task failed with MemoryError"),
        (SystemExit(SECRET), "the task failed with SystemExit"),
        (CancelledError(), "the task failed with CancelledError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_failure_is_a_reason_that_quotes_no_rows(
    error: BaseException, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "hansa.agent"):
        ended = run(failing(error))
    assert ended.result is None
    assert ended.error is not None
    assert ended.error.startswith(reason)
    assert SECRET not in ended.error
    assert str(error) in caplog.text  # here the cause can be found


def test_a_bench_that_cannot_be_made_is_the_tasks_failure() -> None:
    def no_rows() -> Workbench:
        raise DataError("rows.csv: no such file")

    ended = run(lambda inputs, bench, seed: bench.training(), no_rows)
    assert ended.error == "the data set can't be used; this agent's own log says why"


def test_tasks_come_back_in_the_order_of_their_ends() -> None:
    workshop = Workshop(ThreadPoolExecutor(1), lambda: None)
    futures: list[Future[Done | Failure]] = [Future(), Future()]
    for place, future in enumerate(futures):
        future.add_done_callback(partial(workshop._finish, "job", Compute(str(place), "train", 0, 0)))
    futures[1].set_result(Done("fast", 0.5))
    futures[0].set_result(Done("slow", 1.5))
    assert [(each.task_id, each.result) for each in workshop.ended()] == [("1", "fast"), ("0", "slow")]
    assert workshop.spent_s == {"train": 2.0}
