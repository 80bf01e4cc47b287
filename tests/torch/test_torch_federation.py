"""A PyTorch module trained across parties, beside all rows in one place and each party alone."""

import numpy as np
import pytest
from sklearn.base import clone
from torch import nn

from hansa.agents.estimator import FederatedClassifier, FederatedRegressor
from hansa.protocols import ModelShape
from hansa.protocols.horizontal.training import Training, module_model
from hansa.protocols.model import Array, FloatArray
from tests.torch.modules import cnn, digits

NAMES = ("north", "south", "west")
ROUNDS = 12
SHAPE = ModelShape(64, tuple("0123456789"))
TRAINING = Training(optimizer="adam", learning_rate=0.01)

Rows = tuple[FloatArray, Array]


def skewed() -> tuple[dict[str, Rows], Rows]:
    """Return three parties' digits, none of which has all ten, and every fourth row as the test set."""
    X, y = digits()
    test = np.arange(len(y)) % 4 == 0
    kinds = {"north": "0123456", "south": "3456789", "west": "7890123"}
    generator = np.random.default_rng(0)
    owner = np.array([generator.choice([name for name in NAMES if label in kinds[name]]) for label in y])
    parties = {name: (X[~test & (owner == name)], y[~test & (owner == name)]) for name in NAMES}
    return parties, (X[test], y[test])


def alone(rows: Rows, test: Rows) -> float:
    """Return the accuracy of the same module trained as long on one set of rows."""
    model = module_model(lambda: cnn(SHAPE), SHAPE, TRAINING, 0)
    for seed in range(ROUNDS):
        model.fit(*rows, seed=seed)
    return model.evaluate(*test).score


def test_a_federated_cnn_comes_near_the_one_trained_on_all_rows_and_beats_every_party_alone() -> None:
    parties, (X_test, y_test) = skewed()
    model = FederatedClassifier(cnn(SHAPE), rounds=ROUNDS, holdout=0.1, training=TRAINING).fit(parties)
    v_fed = model.score(X_test, y_test)
    together = tuple(np.concatenate(each) for each in zip(*parties.values(), strict=True))
    v_sum = alone((together[0], together[1]), (X_test, y_test))
    local = {name: alone(rows, (X_test, y_test)) for name, rows in parties.items()}
    print(f"\nV_FED {v_fed:.3f}  V_SUM {v_sum:.3f}  delta {abs(v_fed - v_sum):.3f}  local-only {local}")
    assert abs(v_fed - v_sum) < 0.05
    assert v_fed > max(local.values()) + 0.1
    assert isinstance(model.estimator_, nn.Sequential)
    assert not model.estimator_.training
    assert np.allclose(model.predict_proba(X_test).sum(axis=1), 1.0)
    assert sum(model.shares_.values()) == pytest.approx(1.0)


def test_it_starts_from_the_modules_own_weights_and_leaves_them() -> None:
    parties, _ = skewed()
    module = cnn(SHAPE)
    before = [each.clone() for each in module.state_dict().values()]
    model = FederatedClassifier(module, rounds=1, training=Training(learning_rate=1e-12))
    twin = clone(model).set_params(rounds=2)
    assert (twin.rounds, twin.training) == (2, model.training)
    model.fit(parties)
    trained = model.estimator_.state_dict()
    assert np.allclose(trained["1.weight"], module.state_dict()["1.weight"], atol=1e-6)
    assert all(map(np.array_equal, before, module.state_dict().values()))


def test_a_regression_is_trained_as_well() -> None:
    generator = np.random.default_rng(0)
    parties = {}
    for name in NAMES:
        X = generator.normal(size=(60, 4))
        parties[name] = (X, X @ np.arange(4.0) + 1.0)
    model = FederatedRegressor(nn.Linear(4, 1), rounds=10, training=Training(epochs=5)).fit(parties)
    assert model.score(*parties["north"]) > 0.9
