"""What tasks may use of our rows: those to train and to evaluate on, ids alone, or rows in an agreed order."""

from typing import Any

import numpy as np
import pytest

from hansa.agents.core.lending import shape_of, training_bench
from hansa.agents.core.messages import JobSpec
from hansa.agents.data.rows import Dataset, from_arrays
from hansa.agents.errors import AgentError
from hansa.protocols import ModelRegistry, ProtocolError, Workbench
from tests.agents.federations import FEATURES, lender, rows, specification


def bench(dataset: Dataset | None = None, role: str = "party", **changes: Any) -> Workbench:
    datasets = {} if dataset is None else {"rows": lender(dataset)}
    return training_bench(specification(**changes), ModelRegistry(), datasets, holds_rows=role == "party")


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
