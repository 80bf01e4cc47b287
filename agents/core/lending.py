"""What may tasks use of our rows? As much as the protocol needs, and nothing more."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from hansa.agents.core.agreed import how_measured
from hansa.agents.core.messages import JobSpec
from hansa.agents.data.appraisal import AppraisalWorkbench, ValidationWorkbench, validation_rows
from hansa.agents.data.benches import aligned_bench, lookup_bench
from hansa.agents.data.rows import Dataset, labels, numeric_target
from hansa.agents.errors import AgentError
from hansa.ledger.contribution import Chosen
from hansa.protocols import (
    Array,
    Brief,
    IdsWorkbench,
    Model,
    ModelRegistry,
    ModelShape,
    ProtocolSpec,
    RowlessWorkbench,
    RowsWorkbench,
    Workbench,
)
from hansa.protocols.alignment import AlignedRows
from hansa.protocols.alignment.ids import rows_digest

Datasets = Mapping[str, Callable[[], Dataset]]


def shape_of(spec: JobSpec) -> ModelShape:
    """Return the shape of the job's data: no classes means a regression."""
    return ModelShape(spec.features, spec.classes, "classification" if spec.classes else "regression")


def lend(
    spec: JobSpec,
    known: ProtocolSpec,
    brief: Brief,
    registry: ModelRegistry,
    datasets: Datasets,
    aligned: AlignedRows | None = None,
    wanted: tuple[str, ...] = (),
    draws: bytes = b"",
) -> Workbench:
    """Return what this agent lends to the tasks of its role.

    Args:
        spec: the job.
        known: its protocol.
        brief: of our role.
        registry: the models that jobs may name.
        datasets: by name, how to read our rows.
        aligned: in which order, if the protocol asks for the order of an alignment.
        wanted: ids of the rows that a job of ours asks for, if not for all.
        draws: the seed of what is drawn, in a job of ours whose coalitions are valued.

    Raises:
        AgentError: the data set is gone, has other columns than the job, too few rows, or has changed since it was
            aligned.
        DataError: it is unusable.
    """
    how = how_measured(spec)
    if how is not None and brief.me == brief.coordinator:
        return appraisal_bench(spec, known, how, draws, registry, datasets)
    match known.bench:
        case "training":
            return training_bench(spec, registry, datasets, holds_rows=brief.me in brief.parties)
        case "ids":
            dataset = _read(spec.dataset, datasets)
            return IdsWorkbench(dataset.ids, dataset.first_row)
        case "aligned":
            assert aligned is not None
            dataset = _read(spec.dataset, datasets)
            if rows_digest(dataset.ids) != aligned.source:
                raise AgentError(
                    f"data set {spec.dataset!r} has other rows than when it was aligned in "
                    f"{brief.settings.alignment!r}: align it again"  # type: ignore[attr-defined]
                )
            holdout = brief.settings.holdout  # type: ignore[attr-defined]
            guest = brief.role == "guest"
            return aligned_bench(dataset, aligned.rows, holdout, guest, spec.classes)
        case "lookup":
            own = brief.settings.rows if brief.me == brief.coordinator else ""  # type: ignore[attr-defined]
            return lookup_bench(_read(own or spec.dataset, datasets), wanted)


def training_bench(
    spec: JobSpec, registry: ModelRegistry, datasets: Datasets, *, holds_rows: bool = True
) -> Workbench:
    """Return a model, and our rows to train and to evaluate it on; errors as of `lend`."""
    make_model = _maker(spec, registry)
    if not holds_rows:
        return RowlessWorkbench(make_model)
    dataset = _read(spec.dataset, datasets)
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
    features = dataset.features
    return RowsWorkbench(make_model, (features[train], target[train]), (features[test], target[test]))


def appraisal_bench(
    spec: JobSpec,
    known: ProtocolSpec,
    how: Chosen,
    draws: bytes,
    registry: ModelRegistry,
    datasets: Datasets,
) -> Workbench:
    """Return what a coordinator lends to tasks that value coalitions; errors as of `lend`.

    Where the job names a model, that and all rows of the data set that coalitions' models are valued on.
    """
    if not known.names_model:
        return AppraisalWorkbench(how, draws)
    rows = validation_rows(_read(how.validation, datasets), spec.features, spec.classes)
    return ValidationWorkbench(how, draws, _maker(spec, registry), rows)


def _maker(spec: JobSpec, registry: ModelRegistry) -> Callable[[], Model]:
    """Return how the job's model is made, in whatever process."""
    return partial(registry.create, spec.model, shape_of(spec), spec.hyperparameters, spec.seed)


def _read(name: str, datasets: Datasets) -> Dataset:
    if name not in datasets:
        raise AgentError(f"data set {name!r} is no longer here")
    return datasets[name]()
