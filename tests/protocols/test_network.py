"""Softmax regression and the perceptron: gradients, determinism, accuracy."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression

from hansa.protocols.horizontal.mlp import MultilayerPerceptron
from hansa.protocols.horizontal.network import Descent, Network
from hansa.protocols.horizontal.softmax import SoftmaxRegression
from hansa.protocols.model import Array, FloatArray, Model, ModelShape

CLASSES = ModelShape(3, ("a", "b", "c", "d"))
NUMBERS = ModelShape(3, task="regression")


def rows(shape: ModelShape, count: int = 20) -> tuple[FloatArray, Array]:
    generator = np.random.default_rng(5)
    X = generator.normal(size=(count, shape.features))
    if shape.classes:
        return X, np.asarray(shape.classes)[generator.integers(len(shape.classes), size=count)]
    return X, X.sum(axis=1) + 1


def networks() -> list[Network]:
    return [
        SoftmaxRegression(CLASSES, l2=0.1),
        MultilayerPerceptron(CLASSES, hidden=5, l2=0.1, momentum=0.5),
        MultilayerPerceptron(NUMBERS, hidden=5, l2=0.1),
    ]


def randomised(network: Network) -> list[Array]:
    generator = np.random.default_rng(7)
    parameters: list[Array] = [generator.normal(size=each.shape) for each in network.get_parameters()]
    network.set_parameters(parameters)
    return parameters


@pytest.mark.parametrize("network", networks())
def test_gradients_match_finite_differences(network: Network) -> None:
    X, y = rows(network.shape)
    parameters = randomised(network)
    width = 1e-6
    for index, gradient in enumerate(network.gradients(X, y)):
        assert gradient.shape == parameters[index].shape
        for place in np.ndindex(gradient.shape):
            sides = []
            for shift in (width, -width):
                moved = [each.copy() for each in parameters]
                moved[index][place] += shift
                network.set_parameters(moved)
                sides.append(network.objective(X, y))
            network.set_parameters(parameters)
            assert gradient[place] == pytest.approx((sides[0] - sides[1]) / (2 * width), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("network", networks())
def test_one_full_batch_moves_against_the_gradient(network: Network) -> None:
    X, y = rows(network.shape)
    network.descent = Descent(learning_rate=0.01, epochs=1, batch_rows=100, l2=network.descent.l2)
    parameters = randomised(network)
    expected = [
        parameter - 0.01 * gradient
        for parameter, gradient in zip(parameters, network.gradients(X, y), strict=True)
    ]
    network.fit(X, y, seed=0)
    for actual, wanted in zip(network.get_parameters(), expected, strict=True):
        assert actual == pytest.approx(wanted)


@pytest.mark.parametrize("network", networks())
def test_training_depends_on_parameters_rows_and_seed_alone(network: Network) -> None:
    X, y = rows(network.shape)
    parameters = randomised(network)
    outcomes = []
    for seed in (1, 1, 2):
        network.set_parameters(parameters)
        network.fit(X, y, seed=seed)
        outcomes.append(network.get_parameters()[0])
    assert np.array_equal(outcomes[0], outcomes[1])
    # One batch holds all rows; its order changes sums by rounding only.
    assert outcomes[0] == pytest.approx(outcomes[2], abs=1e-12)


def test_momentum_carries_the_last_step_on() -> None:
    X, y = rows(CLASSES)
    plain, carried = (
        MultilayerPerceptron(CLASSES, epochs=5, momentum=momentum, seed=1) for momentum in (0.0, 0.9)
    )
    plain.fit(X, y, seed=1)
    carried.fit(X, y, seed=1)
    assert carried.objective(X, y) < plain.objective(X, y)


@pytest.mark.parametrize("network", networks())
def test_parameters_are_copied_both_ways(network: Network) -> None:
    parameters = randomised(network)
    network.get_parameters()[0][:] = 0
    parameters[0][:] = 0
    assert network.get_parameters()[0].any()


def test_parameters_of_another_float_type_are_converted() -> None:
    network = SoftmaxRegression(CLASSES)
    network.set_parameters([np.ones((3, 4), np.float32), np.ones(4, np.float32)])
    assert {each.dtype for each in network.get_parameters()} == {np.dtype(np.float64)}
    with pytest.raises(ValueError, match="array 0 has shape"):
        network.set_parameters([np.ones((4, 3)), np.ones(4)])


def test_training_in_float32_stays_there() -> None:
    network = MultilayerPerceptron(CLASSES, dtype="float32")
    X, y = rows(CLASSES)
    network.fit(X, y, seed=0)
    assert {each.dtype for each in network.get_parameters()} == {np.dtype(np.float32)}


def test_predictions_are_labels_and_probabilities() -> None:
    X, y = rows(CLASSES)
    network = SoftmaxRegression(CLASSES, epochs=50)
    network.fit(X, y, seed=0)
    probabilities = network.predict_proba(X)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(len(X)))
    assert network.predict(X).tolist() == [CLASSES.classes[best] for best in probabilities.argmax(axis=1)]
    assert network.evaluate(X, y).score == pytest.approx((network.predict(X) == y).mean())


def test_a_regression_learns_and_has_no_probabilities() -> None:
    X, y = load_diabetes(return_X_y=True)
    X, y = X / X.std(axis=0), (y - y.mean()) / y.std()
    network = MultilayerPerceptron(
        ModelShape(10, task="regression"), hidden=16, epochs=30, learning_rate=0.01
    )
    network.fit(X, y, seed=0)
    evaluation = network.evaluate(X, y)
    assert evaluation.score > 0.45
    assert evaluation.loss == pytest.approx(np.square(network.predict(X) - y).mean())
    with pytest.raises(ValueError, match="no class probabilities"):
        network.predict_proba(X)


def test_digits_are_learned_about_as_well_as_by_scikit_learn() -> None:
    X, y = load_digits(return_X_y=True)
    X = X / 16
    train, test = slice(None, 1200), slice(1200, None)
    shape = ModelShape(64, tuple(range(10)))
    models: list[Model] = [
        SoftmaxRegression(shape, epochs=30),
        MultilayerPerceptron(shape, epochs=30, hidden=64, momentum=0.9),
    ]
    peer = LogisticRegression(tol=1e-2).fit(X[train], y[train]).score(X[test], y[test])
    for model in models:
        model.fit(X[train], y[train], seed=1)
        accuracy = model.evaluate(X[test], y[test]).score
        assert accuracy > 0.9
        assert accuracy > peer - 0.02


def test_too_large_a_step_ends_in_no_warning_but_in_no_number_either() -> None:
    network = SoftmaxRegression(CLASSES, learning_rate=1e300, epochs=5, l2=1e9)
    X, y = rows(CLASSES)
    network.fit(X, y, seed=0)
    assert not np.isfinite(network.get_parameters()[0]).all()


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones((2, 4)), np.array(["a", "b"]), r"X has shape \(2, 4\), expected \(rows, 3\)"),
        (np.ones(3), np.array(["a"]), r"X has shape \(3,\)"),
        (np.ones((2, 3)), np.array(["a"]), r"y has shape \(1,\), expected \(2,\)"),
        (np.ones((0, 3)), np.array([], str), "there are no rows"),
        (np.ones((1, 3)), np.array(["z"]), "is none of the classes"),
    ],
)
def test_rows_that_do_not_fit_are_refused(X: FloatArray, y: Array, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SoftmaxRegression(CLASSES).fit(X, y, seed=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", float("inf")),
        ("epochs", 0),
        ("epochs", True),
        ("epochs", 1.5),
        ("batch_rows", 0),
        ("hidden", 0),
        ("l2", -1.0),
        ("l2", float("nan")),
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("dtype", "int64"),
    ],
)
def test_a_hyperparameter_out_of_range_is_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        MultilayerPerceptron(CLASSES, **{name: value})  # type: ignore[arg-type]


def test_softmax_regression_is_for_classes() -> None:
    with pytest.raises(ValueError, match="the job's task is regression"):
        SoftmaxRegression(NUMBERS)
