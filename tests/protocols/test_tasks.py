"""The tasks of federated averaging, on rows of a rehearsal."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from hansa.protocols.digest import parameters_digest
from hansa.protocols.errors import PeerError
from hansa.protocols.horizontal.rehearsal import CLASSES, FEATURES, HUB, rehearse
from hansa.protocols.horizontal.softmax import SoftmaxRegression
from hansa.protocols.horizontal.tasks import (
    Contributions,
    GlobalModel,
    Nothing,
    aggregate,
    evaluate,
    initial,
    train,
)
from hansa.protocols.machine import Workbench
from hansa.protocols.model import ModelShape
from hansa.protocols.workbench import RowsWorkbench


@pytest.fixture
def bench() -> Workbench:
    return rehearse().benches["party-1"]


@pytest.fixture
def start() -> GlobalModel:
    return initial(Nothing(), rehearse().benches[HUB], seed=0)


def test_the_initial_model_is_the_untrained_one_made_read_only(start: GlobalModel) -> None:
    assert [each.shape for each in start.parameters] == [(FEATURES, CLASSES), (CLASSES,)]
    assert not any(each.flags.writeable for each in start.parameters)
    assert start.digest == parameters_digest(start.parameters)


def test_training_moves_the_model_and_evaluates_the_incoming_one(
    start: GlobalModel, bench: Workbench
) -> None:
    trained = train(start, bench, seed=1)
    assert trained.rows == len(bench.training()[0])
    assert trained.evaluation == evaluate(start, bench, seed=9)
    assert trained.evaluation.loss == pytest.approx(np.log(CLASSES))
    after = evaluate(GlobalModel.of(trained.parameters), bench, seed=9)
    assert after.loss < trained.evaluation.loss


def test_training_repeats_exactly_by_seed(start: GlobalModel, bench: Workbench) -> None:
    digests = [parameters_digest(train(start, bench, seed).parameters) for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


def test_the_average_weighs_by_rows() -> None:
    contributions = Contributions(((np.zeros(2),), (np.ones(2),)), (1, 3))
    model = aggregate(contributions, rehearse().benches[HUB], seed=0)
    assert model.parameters[0].tolist() == [0.75, 0.75]
    assert model.digest == parameters_digest([np.full(2, 0.75)])


def test_a_model_under_another_digest_is_the_aggregators_fault(start: GlobalModel, bench: Workbench) -> None:
    forged = replace(start, digest=bytes(32))
    with pytest.raises(PeerError, match=r"the model has digest .*, announced was 0000000000000000"):
        train(forged, bench, seed=0)
    with pytest.raises(PeerError, match="announced"):
        evaluate(forged, bench, seed=0)


def test_a_model_of_another_shape_is_the_aggregators_fault(bench: Workbench) -> None:
    with pytest.raises(PeerError, match="the model does not fit: 1 arrays, expected 2"):
        train(GlobalModel.of([np.zeros(3)]), bench, seed=0)


def test_training_that_diverges_says_so(start: GlobalModel, bench: Workbench) -> None:
    shape = ModelShape(FEATURES, tuple(range(CLASSES)))
    wild = partial(SoftmaxRegression, shape, learning_rate=1e300, l2=1e9, epochs=4)
    with pytest.raises(ValueError, match="training diverged"):
        train(start, RowsWorkbench(wild, bench.training(), bench.holdout()), seed=0)
