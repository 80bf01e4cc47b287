"""The heavy work of federated averaging: pure functions of their inputs, the agent's rows and a seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hansa.protocols.digest import freeze, parameters_digest
from hansa.protocols.errors import PeerError
from hansa.protocols.horizontal.aggregation import weighted_average
from hansa.protocols.horizontal.reconstruction import ClosedRound, round_models
from hansa.protocols.machine import TaskSpec, Valuation, Workbench
from hansa.protocols.model import Array, Evaluation, Model, all_finite

INITIAL = "initial"
CONTINUE = "continue"
TRAIN = "train"
AGGREGATE = "aggregate"
EVALUATE = "evaluate"
VALUE = "value"

MOST_AT_ONCE = 256  # coalitions' models in memory
MOST_BYTES_AT_ONCE = 256 * 2**20  # and what they take there


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


@dataclass(frozen=True, slots=True, eq=False)
class RoundToValue:
    """What a round's coalitions have made their models of; all but the number as in ``ClosedRound``."""

    number: int
    base: tuple[Array, ...]
    parties: tuple[str, ...]
    updates: tuple[tuple[Array, ...], ...]
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


def value(inputs: RoundToValue, bench: Workbench, seed: int) -> Valuation:
    """Return what coalitions' models of a round are worth on the coordinator's rows, as the job has it measured.

    Raises:
        ValueError: a coalition's average overflows, or too many or too few took part for the method.
    """
    closed = ClosedRound(inputs.base, inputs.parties, inputs.updates, inputs.rows)
    X, y = bench.validation()
    model = bench.model()
    at_once = max(
        1, min(MOST_AT_ONCE, MOST_BYTES_AT_ONCE // max(1, sum(each.nbytes for each in closed.base)))
    )

    def worth(coalitions: Sequence[frozenset[str]]) -> list[Evaluation]:
        figures = []
        for start in range(0, len(coalitions), at_once):
            for parameters in round_models(closed, coalitions[start : start + at_once]):
                model.set_parameters(parameters)
                figures.append(model.evaluate(X, y))
        return figures

    return bench.appraise(inputs.number, dict(zip(closed.parties, closed.rows, strict=True)), worth)


TASKS: dict[str, TaskSpec] = {
    INITIAL: TaskSpec(initial, Nothing, GlobalModel),
    CONTINUE: TaskSpec(proceed, GlobalModel, GlobalModel),
    TRAIN: TaskSpec(train, GlobalModel, Trained),
    AGGREGATE: TaskSpec(aggregate, Contributions, GlobalModel, uses_bench=False),
    EVALUATE: TaskSpec(evaluate, GlobalModel, Evaluation),
    VALUE: TaskSpec(value, RoundToValue, Valuation, heavy=True),
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
