"""Where does arithmetic run that would keep every other thread waiting? In processes of their own.

They start with the first such task, one for each core that the agent may use, and end after a minute without
work, or with the agent, even one that was killed. A worker that dies takes what all of them have in hand with it:
that is done again.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from functools import partial
from typing import Any, TypeVar

from loky import ProcessPoolExecutor

from hansa.agents.errors import AgentError

IDLE_S = 60.0  # after which a worker without a task ends
TRIES = 3  # of a task whose worker died
WATCH_S = 1.0  # how often a worker looks whether its agent is there
# A task fills its core alone; libraries that would each start a thread for every core are kept from it.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

log = logging.getLogger("hansa.agent")

Outcome = TypeVar("Outcome")


class WorkerProcesses(Executor):
    """Runs importable functions of plain arguments; `submit` may be called from any thread.

    Args:
        workers: how many processes at most.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._closed = False

    def submit(
        self, fn: Callable[..., Outcome], /, *args: Any, **kwargs: Any
    ) -> "Future[Outcome]":  # the base class's own names and types
        """Run a function in a worker; the future ends with AgentError if that died time and again.

        Raises:
            RuntimeError: after `shutdown`.
        """
        outcome: Future[Outcome] = Future()
        self._hand(outcome, partial(fn, *args, **kwargs), TRIES)
        return outcome

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers, whatever they are doing; what they have in hand fails."""
        with self._lock:
            self._closed, pool, self._pool = True, self._pool, None
        if pool is not None:
            pool.shutdown(wait=wait, kill_workers=True)

    def _hand(self, outcome: "Future[Any]", work: Callable[[], Any], tries: int) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError("the workers have been sent home")
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    self._workers,
                    timeout=IDLE_S,
                    initializer=_leash,
                    initargs=(os.getpid(),),
                    env=ENVIRONMENT,
                )
            pool = self._pool
            try:
                future = pool.submit(work)
            except BrokenExecutor as error:  # its workers died a moment ago
                future = Future()
                future.set_exception(error)
        future.add_done_callback(partial(self._done, outcome, work, tries, pool))

    def _done(
        self,
        outcome: "Future[Any]",
        work: Callable[[], Any],
        tries: int,
        pool: ProcessPoolExecutor,
        future: "Future[Any]",
    ) -> None:
        error = future.exception()
        if error is None:
            outcome.set_result(future.result())
        elif not isinstance(error, BrokenExecutor) or self._closed:
            outcome.set_exception(error)
        elif tries == 1:
            died = f"the process at work on it died {TRIES} times; has this machine memory enough?"
            outcome.set_exception(AgentError(died))
        else:
            log.warning("a worker process died; what it had in hand is done again: %s", error)
            with self._lock:
                if self._pool is pool:
                    self._pool = None
            try:
                self._hand(outcome, work, tries - 1)
            except RuntimeError as closed:
                outcome.set_exception(closed)


def _leash(agent: int) -> None:
    """Have this worker end with its agent; a person's Ctrl-C is the agent's to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == agent:
            time.sleep(WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
