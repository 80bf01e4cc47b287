"""Is a model of several owners as good as scikit-learn's on everything together? On rows that neither has seen."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score, roc_auc_score

from hansa.protocols.model import Array, FloatArray
from hansa.protocols.simulator import Chaos, simulate
from hansa.protocols.vertical import LinearSettings, LogisticSettings
from hansa.protocols.vertical.rehearsal import HUB, rehearse

HOLDOUT = 0.2
SHARED: dict[str, Any] = {"batch": 0, "block": 512, "guard": False, "key_bits": 512, "patience": 0}


def shuffled(X: FloatArray, y: Array) -> tuple[FloatArray, Array, int]:
    """Return rows in another order, standardised by those to train on, and how many these are."""
    order = np.random.default_rng(0).permutation(len(X))
    X, y = X[order], y[order]
    train = len(X) - round(HOLDOUT * len(X))
    return (X - X[:train].mean(axis=0)) / X[:train].std(axis=0), y, train


def trained(columns: dict[str, FloatArray], y: Array, settings: LinearSettings | LogisticSettings) -> Any:
    laid = rehearse(columns, y, settings)
    run = simulate(laid.spec, laid.briefs, laid.benches, Chaos(1))
    assert run.aborts == {}
    return run.results[HUB]


def test_breast_cancer_over_two_owners_comes_within_a_two_hundredth_of_the_area_under_the_curve() -> None:
    X, y, train = shuffled(*load_breast_cancer(return_X_y=True))
    settings = LogisticSettings("bank", epochs=15, learning_rate=0.5, penalty=1 / train, **SHARED)
    found = trained({"bank": X[:, :10], "shop": X[:, 10:]}, y, settings)
    whole = LogisticRegression(C=1.0, max_iter=1_000).fit(X[:train], y[:train])
    assert found.metric == "auc"
    assert found.score == pytest.approx(
        roc_auc_score(y[train:], whole.decision_function(X[train:])), abs=0.005
    )


def test_diabetes_over_three_owners_comes_within_a_two_hundredth_of_the_variance_explained() -> None:
    X, y, train = shuffled(*load_diabetes(return_X_y=True))
    y = (y - y[:train].mean()) / y[:train].std()
    settings = LinearSettings("bank", epochs=30, learning_rate=0.4, penalty=0.1, **SHARED)
    found = trained({"bank": X[:, :4], "clinic": X[:, 4:7], "shop": X[:, 7:]}, y, settings)
    whole = Ridge(alpha=0.1 * train).fit(X[:train], y[:train])
    assert found.metric == "r2"
    assert found.score == pytest.approx(r2_score(y[train:], whole.predict(X[train:])), abs=0.005)
