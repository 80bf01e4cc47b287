"""scikit-learn estimators as models."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import MiniBatchKMeans
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import (
    LogisticRegression,
    PassiveAggressiveClassifier,
    Perceptron,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier, MLPRegressor

from hansa.protocols.errors import ModelError
from hansa.protocols.horizontal.estimator import EstimatorModel
from hansa.protocols.model import Array, FloatArray, Model, ModelShape

IRIS = ModelShape(4, (0, 1, 2))
NUMBERS = ModelShape(10, task="regression")

# scikit-learn 1.8 deprecates it in favour of SGDClassifier; it has to work while it is there.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Class PassiveAggressiveClassifier is deprecated:FutureWarning"
)

CLASSIFIERS: list[Callable[[], Any]] = [
    lambda: SGDClassifier(loss="log_loss"),
    lambda: SGDClassifier(),
    lambda: Perceptron(),
    lambda: PassiveAggressiveClassifier(),
    lambda: MLPClassifier(hidden_layer_sizes=(8,), learning_rate_init=0.02),
]
REGRESSORS: list[Callable[[], Any]] = [
    lambda: SGDRegressor(),
    lambda: MLPRegressor(hidden_layer_sizes=(8,), learning_rate_init=0.02),
]


def iris() -> tuple[FloatArray, Array]:
    X, y = load_iris(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def diabetes() -> tuple[FloatArray, Array]:
    X, y = load_diabetes(return_X_y=True)
    return X / X.std(axis=0), (y - y.mean()) / y.std()


def cases() -> list[Any]:
    return [
        *(pytest.param(make, IRIS, iris(), id=type(make()).__name__) for make in CLASSIFIERS[:3]),
        pytest.param(CLASSIFIERS[3], IRIS, iris(), id="PassiveAggressive"),
        pytest.param(CLASSIFIERS[4], IRIS, iris(), id="MLPClassifier"),
        *(pytest.param(make, NUMBERS, diabetes(), id=type(make()).__name__) for make in REGRESSORS),
    ]


@pytest.mark.parametrize(("make", "shape", "rows"), cases())
def test_an_estimator_learns_and_its_training_repeats(
    make: Callable[[], Any], shape: ModelShape, rows: tuple[FloatArray, Array]
) -> None:
    model: Model = EstimatorModel(make(), shape, epochs=30)
    start = model.get_parameters()
    outcomes = []
    for seed in (1, 1):
        model.set_parameters(start)
        model.fit(*rows, seed=seed)
        outcomes.append(model.get_parameters())
    assert all(np.array_equal(one, two) for one, two in zip(*outcomes, strict=True))
    before = EstimatorModel(make(), shape).evaluate(*rows)
    after = model.evaluate(*rows)
    assert after.loss < before.loss
    assert after.score > (0.8 if shape.classes else 0.4)
    assert len(model.predict(rows[0])) == len(rows[0])


@pytest.mark.parametrize(("make", "shape", "rows"), cases())
def test_parameters_carry_everything_that_predictions_need(
    make: Callable[[], Any], shape: ModelShape, rows: tuple[FloatArray, Array]
) -> None:
    one, other = (EstimatorModel(make(), shape, epochs=3) for _ in range(2))
    one.fit(*rows, seed=1)
    other.set_parameters(one.get_parameters())
    assert np.array_equal(one.predict(rows[0]), other.predict(rows[0]))
    one.fit(*rows, seed=2)
    other.fit(*rows, seed=2)
    assert all(
        np.array_equal(a, b) for a, b in zip(one.get_parameters(), other.get_parameters(), strict=True)
    )


@pytest.mark.parametrize("make", CLASSIFIERS)
def test_a_party_without_some_classes_still_has_them_all(make: Callable[[], Any]) -> None:
    X, y = iris()
    model = EstimatorModel(make(), IRIS)
    shapes = [each.shape for each in model.get_parameters()]
    model.fit(X[y == 1], y[y == 1], seed=0)
    assert [each.shape for each in model.get_parameters()] == shapes
    assert model.evaluate(X, y).rows == len(X)


def test_linear_models_start_at_zero_and_networks_by_seed() -> None:
    coefficients, intercepts, steps = EstimatorModel(SGDClassifier(), IRIS).get_parameters()
    assert not coefficients.any()
    assert not intercepts.any()
    assert steps == 1.0
    first, again, other = (
        EstimatorModel(MLPClassifier(), IRIS, seed=seed).get_parameters()[0] for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_two_classes_by_name_have_one_row_of_coefficients() -> None:
    X, y = iris()
    X, y = X[y < 2], np.array(["setosa", "versicolor"])[y[y < 2]]
    model = EstimatorModel(SGDClassifier(loss="log_loss"), ModelShape(4, ("setosa", "versicolor")), epochs=5)
    model.fit(X, y, seed=0)
    assert model.get_parameters()[0].shape == (1, 4)
    assert model.evaluate(X, y).score == 1.0
    assert model.predict_proba(X).shape == (100, 2)


def test_a_classifier_without_probabilities_reports_its_error_rate() -> None:
    X, y = iris()
    model = EstimatorModel(Perceptron(), IRIS, epochs=3)
    model.fit(X, y, seed=0)
    evaluation = model.evaluate(X, y)
    assert evaluation.loss == pytest.approx(1 - evaluation.score)


def test_the_users_estimator_is_never_changed() -> None:
    mine = SGDClassifier(random_state=7)
    model = EstimatorModel(mine, IRIS)
    model.fit(*iris(), seed=0)
    assert mine.random_state == 7
    assert not hasattr(mine, "coef_")


def test_parameters_are_copied_both_ways() -> None:
    model = EstimatorModel(SGDClassifier(), IRIS)
    given = [np.ones((3, 4)), np.ones(3), np.array(5.0)]
    model.set_parameters(given)
    given[0][:] = 2
    model.get_parameters()[0][:] = 3
    assert np.array_equal(model.get_parameters()[0], np.ones((3, 4)))
    with pytest.raises(ValueError, match="2 arrays, expected 3"):
        model.set_parameters(given[:2])


class Centroid(SGDClassifier):  # type: ignore[misc]
    """A classifier that keeps what it learns elsewhere."""

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> "Centroid":
        self.centres_ = getattr(self, "centres_", np.zeros((len(classes), X.shape[1])))
        self.rows_ = getattr(self, "rows_", 0) + len(X)
        self.labels_ = classes
        for place, label in enumerate(classes):
            if (y == label).any():
                self.centres_[place] = X[y == label].mean(axis=0)
        return self

    def predict(self, X: Any) -> Any:
        return self.labels_[np.square(X[:, None] - self.centres_).sum(axis=2).argmin(axis=1)]


def test_attributes_may_be_named_arrays_and_numbers_alike() -> None:
    model = EstimatorModel(Centroid(), IRIS, ["centres_", "rows_"])
    X, y = iris()
    model.fit(X, y, seed=0)
    centres, count = model.get_parameters()
    assert centres.shape == (3, 4)
    assert count == len(X) + 3  # the rows of zeros that made the arrays count too
    assert (model.predict(X) == y).mean() > 0.8


class Perpetual(Centroid):
    """A linear classifier that counts no steps; its coefficients are the centres, scaled."""

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> "Perpetual":
        super().partial_fit(X, y, classes)
        self.coef_, self.intercept_ = 2 * self.centres_ + 1, -np.square(self.centres_).sum(axis=1)
        return self

    def predict(self, X: Any) -> Any:
        return self.labels_[(X @ self.coef_.T + self.intercept_).argmax(axis=1)]


def test_a_linear_model_need_not_count_steps() -> None:
    coefficients, intercepts = EstimatorModel(Perpetual(), IRIS).get_parameters()
    assert not coefficients.any()
    assert not intercepts.any()


@pytest.mark.parametrize(
    ("estimator", "shape", "attributes", "message"),
    [
        (LogisticRegression(), IRIS, None, "LogisticRegression has no partial_fit"),
        (SGDRegressor(), IRIS, None, "SGDRegressor is not made for classification"),
        (SGDClassifier(), NUMBERS, None, "SGDClassifier is not made for regression"),
        (MiniBatchKMeans(), IRIS, None, "MiniBatchKMeans is not made for classification"),
        (MultinomialNB(), IRIS, None, "MultinomialNB learns counts, which add up"),
        (GaussianNB(), IRIS, ["theta_"], "GaussianNB learns counts"),
        (SGDClassifier(average=True), IRIS, None, "use average=False"),
        (Centroid(), IRIS, None, "which attributes does Centroid learn"),
        (Centroid(), IRIS, ["centers_"], "Centroid has no attribute 'centers_'"),
    ],
)
def test_what_cannot_be_averaged_is_refused_with_the_reason(
    estimator: Any, shape: ModelShape, attributes: list[str] | None, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        EstimatorModel(estimator, shape, attributes)
