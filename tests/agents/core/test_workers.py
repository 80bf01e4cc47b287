"""Heavy tasks run in processes that come and go with the agent, and whose deaths cost a repetition."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hansa.agents.core import workers
from hansa.agents.core.workers import TRIES, WorkerProcesses
from hansa.agents.core.workshop import failure
from hansa.agents.errors import AgentError

WAIT_S = 60.0
SECRET = "patient 4711 has it"


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerProcesses]:
    pool = WorkerProcesses(1)
    yield pool
    pool.shutdown()


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether a process has ended; one whose parent has not looked yet counts as ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


def count_and_die(notes: str, deaths: int) -> int:
    """Die so often, as if killed for want of memory; then say how often this was tried."""
    with open(notes, "a") as file:
        file.write("x")
    tried = Path(notes).stat().st_size
    if tried <= deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return tried


def quote_a_row() -> None:
    raise ValueError(SECRET)


def wait_for(path: str) -> int:
    """Say which process this is, and do nothing for long."""
    Path(path).write_text(str(os.getpid()))
    time.sleep(WAIT_S)
    return 0


def environment() -> tuple[str, ...]:
    return tuple(os.environ.get(name, "") for name in sorted(workers.ENVIRONMENT))


def test_tasks_run_in_another_process_with_one_thread_each(pool: WorkerProcesses) -> None:
    assert pool.submit(os.getpid).result(WAIT_S) != os.getpid()
    assert pool.submit(environment).result(WAIT_S) == ("1",) * len(workers.ENVIRONMENT)
    assert pool.submit(divmod, 7, 2).result(WAIT_S) == (3, 1)
    assert pool.submit(int, "12", base=8).result(WAIT_S) == 10


def test_an_exception_comes_back_and_as_a_reason_quotes_no_row(pool: WorkerProcesses) -> None:
    error = pool.submit(quote_a_row).exception(WAIT_S)
    assert isinstance(error, ValueError)
    assert failure(error).reason == "the task failed with ValueError; this agent's own log says why"
    assert SECRET in failure(error).told


def test_what_cannot_travel_is_a_failure_too(pool: WorkerProcesses) -> None:
    error = pool.submit(lambda lock: None, threading.Lock()).exception(WAIT_S)
    assert error is not None
    assert pool.submit(divmod, 7, 2).result(WAIT_S) == (3, 1)


@pytest.mark.parametrize("deaths", [1, TRIES - 1])
def test_a_task_whose_worker_was_killed_is_done_again(
    pool: WorkerProcesses, tmp_path: Path, deaths: int
) -> None:
    deadly = pool.submit(count_and_die, str(tmp_path / "notes"), deaths)
    behind = pool.submit(divmod, 9, 2)  # goes down with it
    assert deadly.result(WAIT_S) == deaths + 1
    assert behind.result(WAIT_S) == (4, 1)


def test_a_task_that_kills_every_worker_is_given_up_with_a_reason(
    pool: WorkerProcesses, tmp_path: Path
) -> None:
    error = pool.submit(count_and_die, str(tmp_path / "notes"), TRIES).exception(WAIT_S)
    assert isinstance(error, AgentError)
    assert failure(error).reason == "the process at work on it died 3 times; has this machine memory enough?"
    assert (tmp_path / "notes").stat().st_size == TRIES
    assert pool.submit(divmod, 7, 2).result(WAIT_S) == (3, 1)  # and the next one has new workers


def test_a_pool_that_breaks_between_two_tasks_is_replaced(pool: WorkerProcesses) -> None:
    worker = pool.submit(os.getpid).result(WAIT_S)
    broken = pool._pool
    os.kill(worker, signal.SIGKILL)
    until(lambda: broken._flags.broken is not None)  # type: ignore[union-attr]
    assert pool.submit(os.getpid).result(WAIT_S) != worker
    assert pool._pool is not broken


def test_shutdown_ends_the_workers_whatever_they_are_doing(tmp_path: Path) -> None:
    pool = WorkerProcesses(1)
    pool.shutdown()  # none has begun
    pool = WorkerProcesses(1)
    waiting = pool.submit(wait_for, str(tmp_path / "pid"))
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    pool.shutdown()
    assert waiting.exception(WAIT_S) is not None
    until(lambda: gone(int((tmp_path / "pid").read_text())))
    with pytest.raises(RuntimeError, match="the workers have been sent home"):
        pool.submit(os.getpid)


def test_a_worker_that_dies_while_all_are_sent_home_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = WorkerProcesses(1)
    hand = pool._hand

    def closing(*arguments: object) -> None:
        if arguments[-1] == TRIES - 1:  # the second try
            pool.shutdown()
        hand(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pool, "_hand", closing)
    error = pool.submit(count_and_die, str(tmp_path / "notes"), TRIES).exception(WAIT_S)
    assert isinstance(error, RuntimeError)
    assert str(error) == "the workers have been sent home"


def test_a_worker_looks_whether_its_agent_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    parents, ends = iter([77, 77, 1]), threading.Event()
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    monkeypatch.setattr(os, "_exit", lambda status: ends.set())
    monkeypatch.setattr(workers, "WATCH_S", 0.001)
    before = signal.getsignal(signal.SIGINT)
    try:
        workers._leash(77)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert ends.wait(WAIT_S)
    assert list(parents) == []


SCRIPT = """
import sys, time
from pathlib import Path
from tests.agents.core.test_workers import wait_for
from hansa.agents.core.workers import WorkerProcesses

pool = WorkerProcesses(1)
print(pool.submit(divmod, 7, 2).result(60), flush=True)
if len(sys.argv) > 1:
    pool.submit(wait_for, sys.argv[1])
    time.sleep(60)
pool.shutdown()
"""


def script(folder: Path) -> list[str]:
    path = folder / "notebook.py"  # a worker that imported it would start workers without end
    path.write_text(SCRIPT)
    return [sys.executable, str(path)]


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        script(tmp_path),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "(3, 1)\n", "")


def test_workers_end_with_an_agent_that_was_killed_and_not_at_ctrl_c(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    note = tmp_path / "pid"
    with subprocess.Popen(
        [*script(tmp_path), str(note)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as agent:
        try:
            until(lambda: note.exists() and note.read_text() != "")
            worker = int(note.read_text())
            os.kill(worker, signal.SIGINT)
            os.kill(worker, 0)
            assert not gone(worker)
        finally:
            agent.kill()
    until(lambda: gone(worker))
