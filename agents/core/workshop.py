"""Who does the heavy work? Tasks run on an executor; their results come back as events.

A task is journalled when a machine asks for it and dropped when its result has been acted on, so that a
restart runs it again. What a task may use of its agent (rows, model) is its workbench, never the journal.
"""

import logging
import queue
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hansa.agents.core.shelves import Shelves
from hansa.agents.errors import AgentError, DataError
from hansa.protocols import BareWorkbench, Compute, ProtocolError, TaskSpec, Workbench
from hansa.protocols.errors import DataRefused, PreparationError

log = logging.getLogger("hansa.agent")


@dataclass(frozen=True, slots=True)
class Ended:
    """A task's end, on its way to the machine that asked for it."""

    session: str
    task_id: str
    result: object | None = field(repr=False)
    error: str | None
    function: str = field(default="", compare=False)
    took_s: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Done:
    """What a task gave, and how long it took, seconds."""

    result: object = field(repr=False)
    took_s: float


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task failed.

    Attributes:
        reason: what the other organisations may read: a text that could quote our rows stays in our own log.
        told: what our own log says.
    """

    reason: str
    told: str


class Workshop:
    """Runs tasks; `ended()` hands over what has come to an end.

    Args:
        executor: where tasks run.
        wake: called, from any thread, when something has ended.
        heavy: where long arithmetic runs, in processes of its own; as other tasks if there is none.
        scratch: a folder that processes find our rows in while a job lasts; without it they get copies.
    """

    def __init__(
        self,
        executor: Executor,
        wake: Callable[[], None],
        heavy: Executor | None = None,
        scratch: Path | None = None,
    ) -> None:
        self._executor = executor
        self._wake = wake
        self._heavy = heavy
        self._shelves = Shelves(scratch)
        self._ended: queue.SimpleQueue[Ended] = queue.SimpleQueue()
        self.running = 0
        self._closed = False
        self.spent_s: dict[str, float] = {}  # in tasks that have ended, by function

    def start(self, session: str, task: TaskSpec, effect: Compute, bench: Callable[[], Workbench]) -> None:
        """Run a task; a failure of the bench (unreadable data, say) is the task's failure."""
        self.running += 1
        finish = partial(self._finish, session, effect)
        lent = bench if task.uses_bench else BareWorkbench
        if self._heavy is None or not task.heavy:
            self._executor.submit(perform, task.function, effect, lent).add_done_callback(finish)
        elif task.uses_bench:
            shelved = self._shelves.bench(session, bench, self._executor)
            shelved.add_done_callback(lambda found: self._hand_over(task, effect, found, finish))
        else:
            self._heavy.submit(perform, task.function, effect, lent).add_done_callback(finish)

    def forget(self, session: str) -> None:
        """Put away what tasks of a job had been lent."""
        self._shelves.clear(session)

    def close(self) -> None:
        """Put away what all tasks had been lent; nobody waits for the ends of those under way."""
        self._closed = True
        self._shelves.close()

    def _hand_over(
        self,
        task: TaskSpec,
        effect: Compute,
        found: "Future[Workbench]",
        finish: "Callable[[Future[Done | Failure]], None]",
    ) -> None:
        """Have a process do it, once our rows are where it finds them."""
        assert self._heavy is not None
        try:
            future = self._heavy.submit(perform, task.function, effect, partial(_given, found.result()))
        except BaseException as error:
            future = Future()
            future.set_result(failure(error))
        future.add_done_callback(finish)

    def _finish(self, session: str, effect: Compute, done: "Future[Done | Failure]") -> None:
        if done.cancelled() or self._closed:
            return  # we are closing, and what it was lent may be gone: the journal has the task
        error = done.exception()
        match done.result() if error is None else failure(error):
            case Done(result, took_s):
                ended = Ended(session, effect.task_id, result, None, effect.function, took_s)
            case Failure(reason, told):
                log.error("task %s of %s failed: %s", effect.task_id, session, told)
                ended = Ended(session, effect.task_id, None, reason)
        self._ended.put(ended)
        self._wake()

    def ended(self) -> list[Ended]:
        """Return the tasks that have ended since the last call."""
        ended: list[Ended] = []
        while True:
            try:
                ended.append(self._ended.get_nowait())
            except queue.Empty:
                break
        self.running -= len(ended)
        for each in ended:
            self.spent_s[each.function] = self.spent_s.get(each.function, 0.0) + each.took_s
        return ended


def perform(
    function: Callable[[Any, Workbench, int], object], effect: Compute, bench: Callable[[], Workbench]
) -> Done | Failure:
    """Do a task, in whatever process; return its result, or a Failure, which travels where exceptions may not."""
    began = time.perf_counter()
    try:
        result = function(effect.inputs, bench(), effect.seed)
        return Done(result, time.perf_counter() - began)
    except BaseException as error:  # whatever a model raises must reach everybody as a reason
        return failure(error)


def failure(error: BaseException) -> Failure:
    """Return what an exception means to the others, and to us."""
    if isinstance(error, DataError | PreparationError):
        return Failure("the data set can't be used; this agent's own log says why", str(error))
    if isinstance(error, DataRefused):
        kind = type(error).__name__
        return Failure(f"the data set is refused ({kind}); this agent's own log says why", f"{kind}: {error}")
    if isinstance(error, AgentError | ProtocolError):
        return Failure(str(error), str(error))
    told = "".join(traceback.format_exception(error)).rstrip()
    return Failure(f"the task failed with {type(error).__name__}; this agent's own log says why", told)


def _given(bench: Workbench) -> Workbench:
    return bench
