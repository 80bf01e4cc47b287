"""The heavy work of federated averaging: pure functions of their inputs, the agent's rows and a seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hansa.protocols.digest import freeze, parameters_digest
from hansa.protocols.errors import PeerError
from hansa.protocols.horizontal.aggregation import weighted_average
from hansa.protocols.machine import TaskSpec, Workbench
from hansa.protocols.model import Array, Evaluation, Model, all_finite

INITIAL = "initial"
CONTINUE = "continue"
TRAIN = "train"
AGGREGATE = "aggregate"
EVALUATE = "evaluate"


@dataclass(frozen=True, slots=True)
class Nothing:
    """The inputs of a task that needs none."""


@dataclass(frozen=True, slots=True, eq=False)
class GlobalModel:
    """A model as the federation knows it: its arrays and their digest."""

    digest: bytes
    parameters: tuple[Array, ...]

    @classmethod
    def of(cls, parameters: Sequence[Array]) -> "GlobalModel":
        """Take arrays over, make them read-only and compute their digest."""
        frozen = tuple(freeze(np.asarray(each)) for each in parameters)
        return cls(parameters_digest(frozen), frozen)


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A party's new parameters, and how good the incoming ones were on its holdout."""

    parameters: tuple[Array, ...]
    rows: int
    evaluation: Evaluation


@dataclass(frozen=True, slots=True, eq=False)
class Contributions:
    """The updates of one round and their weights, by the parties' names in ascending order."""

    parameters: tuple[tuple[Array, ...], ...]
    rows: tuple[int, ...]


def initial(_: Nothing, bench: Workbench, seed: int) -> GlobalModel:
    """Return the untrained model's parameters; the seed is already in the model that the bench builds."""
    return GlobalModel.of(bench.model().get_parameters())


def proceed(inputs: GlobalModel, bench: Workbench, seed: int) -> GlobalModel:
    """Return the model that an earlier job has left, once its digest and its fit are checked.

    Raises:
        PeerError: the digest is not that of the parameters, or they don't fit the model.
    """
    _loaded(inputs, bench)
    return inputs


def train(inputs: GlobalModel, bench: Workbench, seed: int) -> Trained:
    """Check the digest, evaluate the incoming model on the holdout, then train on from it.

    Raises:
        PeerError: the digest is not that of the parameters, or they don't fit the model.
        ValueError: training or evaluation came to NaN or infinity.
    """
    model = _loaded(inputs, bench)
    evaluation = model.evaluate(*bench.holdout())
    X, y = bench.training()
    model.fit(X, y, seed=seed)
    parameters = tuple(freeze(np.asarray(each)) for each in model.get_parameters())
    if not all(all_finite(each) for each in parameters):
        raise ValueError(
            "training diverged: the parameters are no longer finite; try a smaller learning rate"
        )
    return Trained(parameters, len(X), evaluation)


def aggregate(inputs: Contributions, bench: Workbench, seed: int) -> GlobalModel:
    """Return the average of the updates, weighted by rows."""
    return GlobalModel.of(weighted_average(inputs.parameters, inputs.rows))


def evaluate(inputs: GlobalModel, bench: Workbench, seed: int) -> Evaluation:
    """Check the digest, then return how good the model is on the holdout.

    Raises:
        PeerError: as ``train``.
    """
    return _loaded(inputs, bench).evaluate(*bench.holdout())


TASKS: dict[str, TaskSpec] = {
    INITIAL: TaskSpec(initial, Nothing, GlobalModel),
    CONTINUE: TaskSpec(proceed, GlobalModel, GlobalModel),
    TRAIN: TaskSpec(train, GlobalModel, Trained),
    AGGREGATE: TaskSpec(aggregate, Contributions, GlobalModel),
    EVALUATE: TaskSpec(evaluate, GlobalModel, Evaluation),
}


def _loaded(inputs: GlobalModel, bench: Workbench) -> Model:
    actual = parameters_digest(inputs.parameters)
    if actual != inputs.digest:
        raise PeerError(
            f"the model has digest {actual.hex()[:16]}…, announced was {inputs.digest.hex()[:16]}…"
        )
    model = bench.model()
    try:
        model.set_parameters(inputs.parameters)
    except ValueError as error:
        raise PeerError(f"the model does not fit: {error}") from error
    return model
