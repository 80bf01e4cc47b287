"""Tasks run elsewhere and come back as events; what others may read of a failure quotes nobody's rows."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from hansa.agents.core.workers import WorkerProcesses
from hansa.agents.core.workshop import Done, Ended, Failure, Workshop
from hansa.agents.data.benches import AlignedWorkbench
from hansa.agents.errors import AgentError, DataError
from hansa.protocols import Compute, PeerError, ProtocolError, TaskSpec, Workbench
from hansa.protocols.preparation import Preparation
from hansa.protocols.vertical.errors import LoneRowColumn

SECRET = "patient 4711 has it"
EFFECT = Compute("task-1", "train", 20, 22)
WAIT_S = 60.0


def nothing() -> Any:
    return None


def rows() -> Workbench:
    ones = np.ones((4, 3))
    return AlignedWorkbench(ones, np.zeros(4), ones[:0], np.zeros(0), Preparation((), True))


def task(function: Callable[[Any, Any, int], object]) -> TaskSpec:
    return TaskSpec(function, int, object)


def add_up(inputs: Any, bench: Workbench, seed: int) -> tuple[float, int]:
    """A heavy task: say what the rows add up to, and where that was done."""
    return float(bench.training()[0].sum()) + inputs + seed, os.getpid()


def say_where(inputs: Any, bench: Workbench, seed: int) -> int:
    return os.getpid()


def die(inputs: Any, bench: Workbench, seed: int) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def leak(inputs: Any, bench: Workbench, seed: int) -> NoReturn:
    raise ValueError(SECRET)


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
    assert "result" not in repr(ended)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AgentError("too few rows"), "too few rows"),
        (ProtocolError("out of turn"), "out of turn"),
        (PeerError("another digest"), "another digest"),
        (DataError(f"rows.csv: row 7: {SECRET!r} is no number"), "the data set can't be used"),
        (LoneRowColumn(f"column {SECRET!r} differs in one row"), "the data set is refused (LoneRowColumn)"),
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


def test_a_task_that_fails_because_we_close_is_left_to_the_journal(caplog: pytest.LogCaptureFixture) -> None:
    workshop = Workshop(ThreadPoolExecutor(1), lambda: None)
    future: Future[Done | Failure] = Future()
    future.add_done_callback(partial(workshop._finish, "job", Compute("task-1", "train", 0, 0)))
    workshop.close()
    future.set_result(Failure("the task failed with FileNotFoundError", "its rows are put away"))
    assert workshop.ended() == []
    assert caplog.text == ""


# --- heavy tasks ----------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def processes() -> Iterator[WorkerProcesses]:
    processes = WorkerProcesses(1)
    yield processes
    processes.shutdown()


@dataclass(slots=True)
class House:
    """A workshop with processes, and a folder for rows."""

    workshop: Workshop
    scratch: Path
    woken: threading.Event

    def run(self, heavy: TaskSpec, bench: Callable[[], Workbench] = rows) -> Ended:
        self.woken.clear()
        self.workshop.start("job", heavy, EFFECT, bench)
        assert self.woken.wait(WAIT_S)
        [ended] = self.workshop.ended()
        return ended


@pytest.fixture
def house(tmp_path: Path, processes: WorkerProcesses) -> Iterator[House]:
    woken = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        yield House(Workshop(executor, woken.set, processes, tmp_path), tmp_path, woken)


def test_a_heavy_task_finds_our_rows_in_a_process_of_its_own_until_the_job_ends(house: House) -> None:
    heavy = TaskSpec(add_up, int, tuple, heavy=True)
    total, process = house.run(heavy).result  # type: ignore[misc]
    assert total == 12 + 20 + 22
    assert process != os.getpid()
    assert list(house.scratch.iterdir()) != []
    house.workshop.forget("job")
    assert list(house.scratch.iterdir()) == []
    assert house.run(heavy).error is None
    house.workshop.close()
    assert list(house.scratch.iterdir()) == []


def test_a_heavy_task_that_needs_no_rows_has_none_laid_out(house: House) -> None:
    def no_rows() -> Workbench:
        raise AssertionError

    ended = house.run(TaskSpec(say_where, int, int, uses_bench=False, heavy=True), no_rows)
    assert ended.result not in (None, os.getpid())
    assert ended.took_s > 0


def test_without_processes_a_heavy_task_is_one_like_others() -> None:
    woken = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        workshop = Workshop(executor, woken.set)
        workshop.start("job", TaskSpec(add_up, int, tuple, heavy=True), EFFECT, rows)
    [ended] = workshop.ended()
    assert ended.result == (12 + 20 + 22, os.getpid())


def test_without_a_folder_processes_get_the_rows_themselves() -> None:
    with ThreadPoolExecutor(1) as heavy, ThreadPoolExecutor(1) as executor:
        workshop = Workshop(executor, lambda: None, heavy)
        workshop.start("job", TaskSpec(add_up, int, tuple, heavy=True), EFFECT, rows)
    [ended] = workshop.ended()
    assert ended.result == (12 + 20 + 22, os.getpid())


def test_what_a_heavy_task_raises_quotes_no_row_to_others(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "hansa.agent"):
        ended = house.run(TaskSpec(leak, int, int, heavy=True))
    assert ended.error == "the task failed with ValueError; this agent's own log says why"
    assert f"ValueError: {SECRET}" in caplog.text


def test_rows_that_cannot_be_laid_out_are_a_heavy_tasks_failure(house: House) -> None:
    def unreadable() -> Workbench:
        raise DataError(f"rows.csv: row 7: {SECRET!r} is no number")

    ended = house.run(TaskSpec(add_up, int, tuple, heavy=True), unreadable)
    assert ended.error == "the data set can't be used; this agent's own log says why"
    house.workshop.forget("job")
    assert house.run(TaskSpec(add_up, int, tuple, heavy=True)).error is None


def test_a_heavy_task_that_kills_its_process_again_and_again_fails_with_a_reason(house: House) -> None:
    ended = house.run(TaskSpec(die, int, int, heavy=True))
    assert ended.error == "the process at work on it died 3 times; has this machine memory enough?"


def test_a_task_that_a_closing_executor_drops_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    begun, go = threading.Event(), threading.Event()

    def wait(inputs: Any, bench: Workbench, seed: int) -> int:
        begun.set()
        assert go.wait(WAIT_S)
        return 1

    executor = ThreadPoolExecutor(1)
    workshop = Workshop(executor, lambda: None)
    for place in ("first", "second"):
        workshop.start("job", task(wait), Compute(place, "train", 20, 22), nothing)
    assert begun.wait(WAIT_S)
    executor.shutdown(wait=False, cancel_futures=True)
    go.set()
    executor.shutdown()
    assert [each.task_id for each in workshop.ended()] == ["first"]
    assert caplog.text == ""
