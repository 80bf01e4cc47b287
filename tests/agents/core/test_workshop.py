"""Tasks run elsewhere and come back as events; what others may read of a failure quotes nobody's rows."""

import logging
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, NoReturn

import numpy as np
import pytest

from hansa.agents.core.messages import JobSpec
from hansa.agents.core.workshop import Ended, Workshop, shape_of, workbench
from hansa.agents.data.rows import Dataset, from_arrays
from hansa.agents.errors import AgentError, DataError
from hansa.protocols import Compute, ModelRegistry, PeerError, ProtocolError, TaskSpec, Workbench
from tests.agents.federations import FEATURES, lender, rows, specification

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
    futures: list[Future[object]] = [Future(), Future()]
    for place, future in enumerate(futures):
        future.add_done_callback(lambda done, place=place: workshop._finish("job", str(place), done))  # type: ignore[misc]
    futures[1].set_result("fast")
    futures[0].set_result("slow")
    assert [(each.task_id, each.result) for each in workshop.ended()] == [("1", "fast"), ("0", "slow")]


# --- the workbench ----------------------------------------------------------------------------------------
def bench(dataset: Dataset | None = None, role: str = "party", **changes: Any) -> Workbench:
    datasets = {} if dataset is None else {"rows": lender(dataset)}
    return workbench(specification(**changes), ModelRegistry(), datasets, role)


def made(features: Any, target: Any, holdout: float = 0.25, regression: bool = False) -> Dataset:
    return from_arrays("rows", features, target, holdout=holdout, regression=regression, source="us")


def test_a_partys_bench_parts_training_from_held_out_rows() -> None:
    dataset = rows("north")
    lent = bench(dataset)
    held_out = dataset.held_out()
    (X, y), (X_test, y_test) = lent.training(), lent.holdout()
    assert dataset.target is not None
    assert np.array_equal(X, dataset.features[~held_out])
    assert np.array_equal(X_test, dataset.features[held_out])
    assert y.tolist() == dataset.target[~held_out].tolist()
    assert y_test.tolist() == dataset.target[held_out].tolist()
    assert lent.model().get_parameters()[0].size == FEATURES * 2


def test_a_regressions_target_is_numbers() -> None:
    target = np.arange(60) / 2
    lent = bench(made(rows("north").features, target, regression=True), classes=())
    y = np.concatenate([lent.training()[1], lent.holdout()[1]])
    assert y.dtype == np.float64
    assert sorted(y.tolist()) == target.tolist()


def test_an_aggregator_is_lent_a_model_and_no_rows() -> None:
    lent = bench(rows("north"), role="aggregator")
    assert lent.model().get_parameters()
    for ask in (lent.training, lent.holdout):
        with pytest.raises(ProtocolError):
            ask()


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (None, "data set 'rows' is no longer here"),
        (made(np.zeros((9, 2)), ["no"] * 9), "has 2 feature columns; the job expects 4"),
        (made(np.zeros((9, 4)), ["no"] * 9, holdout=1e-9), "9 rows leave none for evaluation"),
        (made(np.zeros((1, 4)), ["no"], holdout=0.999), "1 rows leave none for training"),
        (made(np.zeros((9, 4)), ["maybe"] * 9), "label 'maybe' is none of the job's classes"),
    ],
    ids=["gone", "columns", "no evaluation", "no training", "label"],
)
def test_rows_that_do_not_fit_the_job_are_named(dataset: Dataset | None, message: str) -> None:
    with pytest.raises(AgentError, match=message):
        bench(dataset)


@pytest.mark.parametrize(
    ("spec", "task"),
    [(specification(), "classification"), (specification(classes=()), "regression")],
    ids=["classes", "no classes"],
)
def test_a_job_without_classes_is_a_regression(spec: JobSpec, task: str) -> None:
    shape = shape_of(spec)
    assert (shape.features, shape.classes, shape.task) == (FEATURES, spec.classes, task)
