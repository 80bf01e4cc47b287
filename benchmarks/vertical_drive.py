"""How long does each part of a vertical regression take, when all its roles share this machine's cores?

The roles' machines run in this process; every task goes to a pool of worker processes, which have the rows already.
Messages arrive at once: what is measured is the work, and what lies idle while one role waits for another.
"""

import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hansa.protocols import Abort, Compute, Computed, Event, Finish, Received, Send, Workbench
from hansa.protocols.machine import Step
from hansa.protocols.vertical.messages import EpochClosed, Key
from hansa.protocols.vertical.rehearsal import Rehearsal

PRELOADED = ["hansa.protocols.vertical.tasks"]

_benches: Mapping[str, Workbench] = {}  # a worker's: given to it once, when it starts


@dataclass(frozen=True, slots=True)
class Spent:
    """What a task took its worker: on a clock that all processes share, and of processor time; in seconds."""

    began_s: float
    ended_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Task:
    """A task that has ended.

    Attributes:
        role, function: whose, and which.
        spent: in the worker.
        epoch: in which it was asked for; -1 before the first.
    """

    role: str
    function: str
    spent: Spent
    epoch: int


@dataclass(slots=True)
class Course:
    """What happened in a job.

    Attributes:
        started_s: when the key went out, which is where the first epoch begins.
        closed_s: when each epoch was closed.
        tasks: in the order in which they ended.
        traffic: bytes of frames by message.
        outcomes: of tasks whose result was to be kept: function, agent, result.
        results: by agent.
    """

    started_s: float = 0.0
    closed_s: list[float] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    traffic: dict[str, int] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)

    def epoch_s(self, epoch: int) -> float:
        """Return how long an epoch took, from the key's sending or the last epoch's end."""
        return self.closed_s[epoch] - (self.closed_s[epoch - 1] if epoch else self.started_s)

    def of(self, epoch: int) -> list[Task]:
        """Return an epoch's tasks."""
        return [task for task in self.tasks if task.epoch == epoch]


class JobFailed(Exception):
    """A role gave up, or a task failed: nothing was measured. The message says who and why."""


@contextmanager
def workers(cores: int, benches: Mapping[str, Workbench]) -> Iterator[ProcessPoolExecutor]:
    """Open a pool of processes that have these rows and their imports behind them, but no tables of masks."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with ProcessPoolExecutor(cores, context, initializer=_settle, initargs=(dict(benches),)) as pool:
        for future in [pool.submit(time.sleep, 0.05) for _ in range(cores)]:
            future.result()
        yield pool


def drive(pool: ProcessPoolExecutor, job: Rehearsal, known: Mapping[str, object] | None = None) -> Course:
    """Run a job to the end of all its roles.

    Args:
        pool: from `workers`, with this job's benches.
        job: what to run.
        known: results of functions that need not be computed: a key that was made before.

    Raises:
        JobFailed: a role gave up.
    """
    return _Drive(pool, job, known or {}).run()


def _settle(benches: Mapping[str, Workbench]) -> None:
    global _benches
    _benches = benches


def _work(function: Callable[..., object], inputs: object, agent: str, seed: int) -> tuple[object, Spent]:
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    result = function(inputs, _benches[agent], seed)
    return result, Spent(began_s, time.perf_counter(), time.process_time() - began_cpu_s)


class _Drive:
    """The machines of one job: messages at once, tasks in the pool, timers never."""

    def __init__(self, pool: ProcessPoolExecutor, job: Rehearsal, known: Mapping[str, object]) -> None:
        self._pool, self._job, self._known = pool, job, known
        self._roles = {name: job.spec.role(brief.role) for name, brief in job.briefs.items()}
        self._states: dict[str, Any] = {}
        self._events: deque[tuple[str, Event]] = deque()
        self._running: dict[Future[tuple[object, Spent]], tuple[str, Compute, int]] = {}
        self._course = Course()

    def run(self) -> Course:
        for name, role in self._roles.items():
            self._take(name, role.begin(self._job.briefs[name]))
        while len(self._course.results) < len(self._roles):
            while self._events:
                name, event = self._events.popleft()
                self._take(name, self._roles[name].step(self._states[name], event))
            if self._running:
                self._collect()
        return self._course

    def _collect(self) -> None:
        for done in wait(self._running, return_when=FIRST_COMPLETED).done:
            name, task, epoch = self._running.pop(done)
            result, spent = done.result()
            role = self._job.briefs[name].role
            self._course.tasks.append(Task(role, task.function, spent, epoch))
            self._ended(name, task, result)

    def _ended(self, name: str, task: Compute, result: object) -> None:
        if task.function == "inspect":
            self._course.outcomes[task.function, name] = result
        self._events.append((name, Computed(task.task_id, result)))

    def _take(self, name: str, step: Step[Any]) -> None:
        self._states[name] = step.state
        for effect in step.effects:
            match effect:
                case Send(recipient, message):
                    self._noted(message)
                    self._events.append((recipient, Received(name, message)))
                case Compute(_, function) if function in self._known:
                    self._ended(name, effect, self._known[function])
                case Compute(_, function, inputs, seed):
                    work = self._job.spec.tasks[function].function
                    epoch = len(self._course.closed_s) if self._course.started_s else -1
                    future = self._pool.submit(_work, work, inputs, name, seed)
                    self._running[future] = (name, effect, epoch)
                case Finish(result):
                    self._course.results[name] = result
                case Abort(reason):
                    raise JobFailed(f"{name} gave up: {reason}")

    def _noted(self, message: object) -> None:
        now_s, course = time.perf_counter(), self._course
        if isinstance(message, Key) and not course.started_s:
            course.started_s = now_s
        if isinstance(message, EpochClosed) and message.epoch == len(course.closed_s):
            course.closed_s.append(now_s)
        size = len(getattr(message, "frame", b""))
        kind = type(message).__name__
        course.traffic[kind] = course.traffic.get(kind, 0) + size
