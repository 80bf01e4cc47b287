"""What a job may name."""

from functools import partial

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier

from hansa.protocols import PROTOCOLS, ModelError, ModelRegistry, ModelShape, UnknownProtocol, protocol
from hansa.protocols.horizontal.estimator import EstimatorModel
from hansa.protocols.horizontal.softmax import SoftmaxRegression

SHAPE = ModelShape(3, (0, 1))


def test_every_protocol_is_listed_under_its_own_name() -> None:
    assert all(protocol(name) is spec and spec.name == name for name, spec in PROTOCOLS.items())


def test_an_unknown_protocol_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        UnknownProtocol,
        match="no protocol 'x'; there are alignment, horizontal-fedavg, over-threshold-alignment",
    ):
        protocol("x")


def test_an_unknown_role_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="has no role 'arbiter'; it has aggregator, party"):
        protocol("horizontal-fedavg").role("arbiter")


def test_our_own_models_are_installed() -> None:
    assert {"softmax", "mlp"} <= set(ModelRegistry().names())


def test_hyperparameters_reach_the_model() -> None:
    model = ModelRegistry().create("mlp", SHAPE, {"hidden": 5, "dtype": "float32"}, seed=1)
    assert [each.shape for each in model.get_parameters()] == [(3, 5), (5,), (5, 2), (2,)]
    assert model.get_parameters()[0].dtype == np.float32


def test_the_seed_decides_the_initial_parameters() -> None:
    first, again, other = (
        ModelRegistry().create("mlp", SHAPE, {}, seed).get_parameters()[0] for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_callers_own_model_is_listed_and_made() -> None:
    registry = ModelRegistry({"mine": partial(EstimatorModel, SGDClassifier())})
    assert "mine" in registry.names()
    assert registry.hyperparameters("mine") == ("attributes", "epochs")
    assert len(registry.create("mine", SHAPE, {"epochs": 2}, seed=0).get_parameters()) == 3


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(ValueError, match="softmax is already installed"):
        ModelRegistry({"softmax": SoftmaxRegression})


@pytest.mark.parametrize(
    ("name", "hyperparameters", "message"),
    [
        ("cnn", {}, "no model 'cnn'; there are .*mlp, softmax"),
        ("softmax", {"lr": 1}, "softmax has no hyperparameter 'lr'; it has batch_rows, .*learning_rate"),
        ("mlp", {"seed": 1}, "mlp has no hyperparameter 'seed'"),
        ("mlp", {"hidden": 0}, "model mlp: hidden must be a whole number of at least 1, not 0"),
        ("mlp", {"hidden": "many"}, "not 'many'"),
        ("softmax", {"learning_rate": "fast"}, "model softmax: "),
    ],
)
def test_a_bad_choice_is_refused_by_name(
    name: str, hyperparameters: dict[str, int | str], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        ModelRegistry().create(name, SHAPE, hyperparameters, seed=0)
