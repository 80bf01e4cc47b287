"""What tasks may use of our rows: those to train and to evaluate on, ids alone, or rows in an agreed order."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hansa.agents.core.lending import lend, shape_of, training_bench
from hansa.agents.core.messages import JobSpec
from hansa.agents.data.rows import Dataset, from_arrays
from hansa.agents.errors import AgentError
from hansa.protocols import PROTOCOLS, Brief, ModelRegistry, ProtocolError, Workbench
from hansa.protocols.alignment import AlignedRows, AlignmentSettings
from hansa.protocols.alignment.ids import rows_digest
from hansa.protocols.inference import InferenceSettings
from hansa.protocols.vertical import LogisticSettings
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


# --- ids, rows in the order of an alignment, and rows by id ---------------------------------------------
def lent(
    protocol: str,
    settings: object,
    datasets: dict[str, Dataset],
    me: str = "north",
    role: str = "host",
    aligned: AlignedRows | None = None,
    wanted: tuple[str, ...] = (),
    **changes: Any,
) -> Workbench:
    spec = specification(**changes)
    brief = Brief("trial", me, role, "east", ("north", "west"), settings, 4)
    lenders = {name: lender(dataset) for name, dataset in datasets.items()}
    return lend(spec, PROTOCOLS[protocol], brief, ModelRegistry(), lenders, aligned, wanted)


def order_of(dataset: Dataset, *order: int) -> AlignedRows:
    return AlignedRows(np.array(order), rows_digest(dataset.ids))


def test_an_alignment_is_lent_ids_and_nothing_else() -> None:
    dataset = rows("north", 3)
    bench = lent("alignment", AlignmentSettings(), {"rows": dataset}, role="party")
    assert bench.ids() == (dataset.ids, dataset.first_row)
    with pytest.raises(ProtocolError, match="holds no rows to train on"):
        bench.training()


@pytest.mark.parametrize("role", ["party", "aggregator"])
def test_federated_averaging_is_lent_rows_where_there_are_any(role: str) -> None:
    me = "north" if role == "party" else "east"
    bench = lent("horizontal-fedavg", None, {"rows": rows("north")}, me, role)
    assert bench.model().get_parameters()
    if role == "party":
        assert len(bench.training()[0])
    else:
        with pytest.raises(ProtocolError):
            bench.training()


@pytest.mark.parametrize("role", ["guest", "host"])
def test_a_vertical_job_is_lent_rows_in_the_order_of_its_alignment_and_labels_to_the_guest(role: str) -> None:
    dataset = rows("north", 20)
    order = (7, 3, 11, 0, 5)
    settings = LogisticSettings("north", alignment="order", holdout=0.4)
    bench = lent(
        "vertical-logistic", settings, {"rows": dataset}, role=role, aligned=order_of(dataset, *order)
    )
    (X, y), (X_test, y_test) = bench.training(), bench.holdout()
    assert (len(X), len(X_test)) == (3, 2)
    raw = dataset.features[list(order)]
    mean, scale = raw[:3].mean(axis=0), raw[:3].std(axis=0)
    assert np.allclose(np.vstack([X, X_test]), (raw - mean) / scale)
    assert dataset.target is not None
    labels = [float(dataset.target[row] == "yes") if role == "guest" else 0.0 for row in order]
    assert [*y, *y_test] == labels


def changed(dataset: Dataset, how: str) -> Dataset:
    """Return the data set with a row gone, a row more, two rows exchanged, or another id."""
    ids = list(dataset.ids)
    match how:
        case "shorter":
            return rows("north", dataset.rows - 1)
        case "longer":
            return rows("north", dataset.rows + 1)
        case "exchanged":
            ids[3], ids[4] = ids[4], ids[3]
        case "renamed":
            ids[9] = "somebody else"
    return replace(dataset, ids=tuple(ids))


@pytest.mark.parametrize("how", ["shorter", "longer", "exchanged", "renamed"])
def test_rows_that_have_changed_since_they_were_aligned_are_not_lent(how: str) -> None:
    dataset = rows("north", 20)
    settings = LogisticSettings("north", alignment="order")
    with pytest.raises(
        AgentError, match="'rows' has other rows than when it was aligned in 'order': align it again"
    ):
        lent(
            "vertical-logistic",
            settings,
            {"rows": changed(dataset, how)},
            aligned=order_of(dataset, 0, 1, 2),
        )


def test_rows_are_served_by_id() -> None:
    dataset = rows("north", 20)
    settings = InferenceSettings("trained", "score", rows="newcomers")
    bench = lent("vertical-inference", settings, {"rows": dataset})
    found, features = bench.lookup(["3", "nobody"], dataset.prepared(np.arange(20)))
    assert found.tolist() == [True, False]
    assert features.shape == (1, FEATURES)


@pytest.mark.parametrize(
    ("chosen", "expected"), [("newcomers", "newcomers"), ("", "rows")], ids=["named", "the job's"]
)
def test_whoever_asks_says_of_which_data_set_of_its_own(chosen: str, expected: str) -> None:
    datasets = {"rows": rows("east", 20), "newcomers": rows("east", 5)}
    settings = InferenceSettings("trained", "score", rows=chosen)
    bench = lent("vertical-inference", settings, datasets, me="east", role="guest")
    assert len(bench.ids()[0]) == datasets[expected].rows


def test_whoever_asks_may_ask_for_some_rows_alone() -> None:
    settings = InferenceSettings("trained", "score")
    datasets = {"rows": rows("east", 20)}
    bench = lent("vertical-inference", settings, datasets, me="east", role="guest", wanted=("4", "2"))
    assert list(bench.ids()[0]) == ["4", "2"]


@pytest.mark.parametrize("protocol", ["alignment", "vertical-logistic", "vertical-inference"])
def test_a_data_set_that_is_gone_is_named(protocol: str) -> None:
    settings = {
        "alignment": AlignmentSettings(),
        "vertical-logistic": LogisticSettings("north", alignment="order"),
        "vertical-inference": InferenceSettings("trained", "score"),
    }[protocol]
    with pytest.raises(AgentError, match="data set 'rows' is no longer here"):
        lent(protocol, settings, {}, aligned=order_of(rows("north"), 0))
