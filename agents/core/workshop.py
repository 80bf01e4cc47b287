"""Who does the heavy work? Tasks run on an executor; their results come back as events.

A task is journalled when a machine asks for it and dropped when its result has been acted on, so that a
restart runs it again. What a task may use of its agent (rows, model) is its workbench, never the journal.
"""

import logging
import queue
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

import numpy as np

from hansa.agents.core.messages import JobSpec
from hansa.agents.data.rows import Dataset, labels, numeric_target
from hansa.agents.errors import AgentError, DataError
from hansa.protocols import (
    Array,
    Compute,
    Model,
    ModelRegistry,
    ModelShape,
    ProtocolError,
    TaskSpec,
    Workbench,
)
from hansa.protocols.workbench import RowlessWorkbench, RowsWorkbench

log = logging.getLogger("hansa.agent")


@dataclass(frozen=True, slots=True)
class Ended:
    """A task's end, on its way to the machine that asked for it."""

    session: str
    task_id: str
    result: object | None = field(repr=False)
    error: str | None


class Workshop:
    """Runs tasks; `ended()` hands over what has come to an end.

    Args:
        executor: where tasks run.
        wake: called, from any thread, when something has ended.
    """

    def __init__(self, executor: Executor, wake: Callable[[], None]) -> None:
        self._executor = executor
        self._wake = wake
        self._ended: queue.SimpleQueue[Ended] = queue.SimpleQueue()
        self.running = 0

    def start(self, session: str, task: TaskSpec, effect: Compute, bench: Callable[[], Workbench]) -> None:
        """Run a task; a failure of the bench (unreadable data, say) is the task's failure."""
        self.running += 1
        future = self._executor.submit(_run, task, effect, bench)
        future.add_done_callback(lambda done: self._finish(session, effect.task_id, done))

    def _finish(self, session: str, task_id: str, done: "Future[object]") -> None:
        try:
            ended = Ended(session, task_id, done.result(), None)
        except BaseException as error:  # whatever a model raises must reach everybody as a reason
            log.error("task %s of %s failed: %s", task_id, session, error, exc_info=_unforeseen(error))
            ended = Ended(session, task_id, None, _reason(error))
        self._ended.put(ended)
        self._wake()

    def ended(self) -> list[Ended]:
        """Return the tasks that have ended since the last call."""
        ended: list[Ended] = []
        while True:
            try:
                ended.append(self._ended.get_nowait())
            except queue.Empty:
                self.running -= len(ended)
                return ended


def _run(task: TaskSpec, effect: Compute, bench: Callable[[], Workbench]) -> object:
    return task.function(effect.inputs, bench(), effect.seed)


def _unforeseen(error: BaseException) -> bool:
    return not isinstance(error, AgentError | ProtocolError)


def _reason(error: BaseException) -> str:
    """Return what the other organisations may read: a text that could quote our rows stays in our own log."""
    if isinstance(error, DataError):
        return "the data set can't be used; this agent's own log says why"
    if _unforeseen(error):
        return f"the task failed with {type(error).__name__}; this agent's own log says why"
    return str(error)


def shape_of(spec: JobSpec) -> ModelShape:
    """Return the shape of the job's data: no classes means a regression."""
    return ModelShape(spec.features, spec.classes, "classification" if spec.classes else "regression")


def workbench(
    spec: JobSpec, registry: ModelRegistry, datasets: Mapping[str, Callable[[], Dataset]], role: str
) -> Workbench:
    """Return what this agent lends to a job's tasks.

    Raises:
        AgentError: the data set is gone, has other columns than the job, or too few rows.
        DataError: it is unusable.
    """

    def make_model() -> Model:
        return registry.create(spec.model, shape_of(spec), spec.hyperparameters, spec.seed)

    if role != "party":
        return RowlessWorkbench(make_model)
    if spec.dataset not in datasets:
        raise AgentError(f"data set {spec.dataset!r} is no longer here")
    dataset = datasets[spec.dataset]()
    if len(dataset.columns) != spec.features:
        raise AgentError(
            f"data set {dataset.name!r} has {len(dataset.columns)} feature columns; "
            f"the job expects {spec.features}"
        )
    target: Array = labels(dataset, spec.classes) if spec.classes else numeric_target(dataset)
    held_out = dataset.held_out()
    if held_out.all() or not held_out.any():
        side = "training" if held_out.all() else "evaluation"
        raise AgentError(
            f"data set {dataset.name!r}: {dataset.rows} rows leave none for {side} (holdout {dataset.holdout:g})"
        )
    train, test = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    return RowsWorkbench(
        make_model, (dataset.features[train], target[train]), (dataset.features[test], target[test])
    )
