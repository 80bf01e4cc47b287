"""What do our own models have in common? Layers of weights, ReLU between them, minibatch gradient descent.

With one layer this is linear or softmax regression, with two a perceptron with one hidden layer. The output
is softmax with log loss for classes, and the identity with half the squared error for numbers; in both cases
the derivative of the loss by the last layer's output is (prediction − target) / rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

import numpy as np

from hansa.protocols.horizontal import scores
from hansa.protocols.model import (
    MOST_PARAMETERS,
    Array,
    Evaluation,
    FloatArray,
    ModelShape,
    check_layout,
)

DTYPES = ("float32", "float64")


@dataclass(frozen=True, slots=True)
class Descent:
    """How to descend.

    Attributes:
        learning_rate: step per unit of gradient, positive.
        epochs: passes over the rows per ``fit``, at least 1.
        batch_rows: rows per step, at least 1; the last batch of an epoch may have fewer.
        l2: λ of the penalty λ/2·‖W‖² on weights, not on biases; at least 0.
        momentum: share of the previous step that is kept, in [0, 1).
    """

    learning_rate: float
    epochs: int
    batch_rows: int
    l2: float
    momentum: float = 0.0

    def __post_init__(self) -> None:
        for name, count in (("epochs", self.epochs), ("batch_rows", self.batch_rows)):
            check_count(name, count)
        if not (isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate must be positive, not {self.learning_rate}")
        if not (isfinite(self.l2) and self.l2 >= 0):
            raise ValueError(f"l2 must be at least 0, not {self.l2}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), not {self.momentum}")


def check_count(name: str, value: int) -> None:
    """Raise ValueError unless a hyperparameter is a whole number of at least 1."""
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")


class Network:
    """A ``Model`` of dense layers: weights (inputs, outputs) and biases (outputs,), layer by layer."""

    def __init__(self, shape: ModelShape, *, hidden: Sequence[int], descent: Descent, dtype: str) -> None:
        """Make a network whose parameters are all zero.

        Args:
            shape: features, classes and task.
            hidden: units of each hidden layer.
            descent: how ``fit`` descends.
            dtype: ``float32`` or ``float64``, of the parameters and of training.

        Raises:
            ValueError: another dtype, or more than MOST_PARAMETERS.
        """
        if dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, not {dtype}")
        self.shape = shape
        self.descent = descent
        self._dtype = np.dtype(dtype)
        widths = [shape.features, *hidden, len(shape.classes) or 1]
        count = sum((inputs + 1) * outputs for inputs, outputs in pairwise(widths))
        if count > MOST_PARAMETERS:
            raise ValueError(f"{count} parameters; a model has at most {MOST_PARAMETERS}")
        self._parameters: list[Array] = []
        for inputs, outputs in pairwise(widths):
            self._parameters.append(np.zeros((inputs, outputs), self._dtype))
            self._parameters.append(np.zeros(outputs, self._dtype))

    def get_parameters(self) -> list[Array]:
        """Return copies: weights (inputs, outputs) and biases (outputs,) of each layer, first layer first."""
        return [parameter.copy() for parameter in self._parameters]

    def set_parameters(self, parameters: Sequence[Array], /) -> None:
        """Copy parameters in, converted to the model's dtype.

        Raises:
            ValueError: another number of arrays, or another shape.
        """
        check_layout(parameters, self._parameters)
        self._parameters = [np.array(parameter, self._dtype) for parameter in parameters]

    def fit(self, X: FloatArray, y: Array, /, seed: int) -> None:
        """Descend ``epochs`` times over the rows, in an order drawn from the seed.

        Raises:
            ValueError: rows of another width, X and y of different lengths, or an unknown label.
        """
        inputs, targets = self._rows(X, y)
        velocities = [np.zeros_like(parameter) for parameter in self._parameters]
        step, momentum = self.descent.learning_rate, self.descent.momentum
        # Too large a step ends in infinity: whoever takes the parameters says so once; no warning from here.
        with np.errstate(over="ignore", invalid="ignore"):
            for batch in _batches(len(inputs), self.descent, seed):
                gradients = self._gradients(inputs[batch], targets[batch])
                for parameter, velocity, gradient in zip(
                    self._parameters, velocities, gradients, strict=True
                ):
                    velocity *= momentum
                    velocity += gradient
                    parameter -= step * velocity

    def evaluate(self, X: FloatArray, y: Array, /) -> Evaluation:
        """Return log loss and accuracy, or mean squared error and r2; the penalty isn't included."""
        inputs, targets = self._rows(X, y)
        if self.shape.classes:
            return scores.classification(self._predictions(inputs), targets.argmax(axis=1))
        return scores.regression(
            self._predictions(inputs)[:, 0].astype(np.float64), targets[:, 0].astype(np.float64)
        )

    def predict(self, X: FloatArray, /) -> Array:
        """Return (rows,) labels or values."""
        predictions = self._predictions(self._inputs(X))
        if self.shape.classes:
            labels: Array = np.asarray(self.shape.classes)[predictions.argmax(axis=1)]
            return labels
        return predictions[:, 0]

    def predict_proba(self, X: FloatArray, /) -> Array:
        """Return (rows, classes) probabilities.

        Raises:
            ValueError: this is a regression.
        """
        if not self.shape.classes:
            raise ValueError("a regression has no class probabilities")
        return self._predictions(self._inputs(X))

    def objective(self, X: FloatArray, y: Array, /) -> float:
        """Return what ``fit`` descends: log loss, or half the squared error, plus the penalty."""
        inputs, targets = self._rows(X, y)
        predictions = self._predictions(inputs)
        if self.shape.classes:
            loss = scores.log_loss(predictions, targets.argmax(axis=1))
        else:
            loss = float(np.square(predictions - targets).mean()) / 2
        penalty = sum(float(np.square(weights).sum()) for weights in self._parameters[::2])
        return loss + self.descent.l2 / 2 * penalty

    def gradients(self, X: FloatArray, y: Array, /) -> list[Array]:
        """Return the derivative of ``objective`` by each parameter, in their order and shapes."""
        return self._gradients(*self._rows(X, y))

    def _inputs(self, X: FloatArray) -> Array:
        if X.ndim != 2 or X.shape[1] != self.shape.features:
            raise ValueError(f"X has shape {X.shape}, expected (rows, {self.shape.features})")
        return np.asarray(X, self._dtype)

    def _rows(self, X: FloatArray, y: Array) -> tuple[Array, Array]:
        """Return inputs (rows, features) and targets (rows, outputs), classes as 0 and 1."""
        inputs = self._inputs(X)
        if y.shape != (len(inputs),):
            raise ValueError(f"y has shape {y.shape}, expected ({len(inputs)},)")
        if len(inputs) == 0:
            raise ValueError("there are no rows")
        if self.shape.classes:
            return inputs, np.eye(len(self.shape.classes), dtype=self._dtype)[self.shape.class_indices(y)]
        return inputs, np.asarray(y, self._dtype).reshape(-1, 1)

    def _activations(self, inputs: Array) -> list[Array]:
        """Return the input of every layer, then the last layer's output."""
        activations = [inputs]
        layers = list(zip(self._parameters[::2], self._parameters[1::2], strict=True))
        for weights, biases in layers[:-1]:
            activations.append(np.maximum(activations[-1] @ weights + biases, 0))
        weights, biases = layers[-1]
        return [*activations, activations[-1] @ weights + biases]

    def _predictions(self, inputs: Array) -> Array:
        output = self._activations(inputs)[-1]
        return scores.softmax(output) if self.shape.classes else output

    def _gradients(self, inputs: Array, targets: Array) -> list[Array]:
        *activations, output = self._activations(inputs)
        predictions = scores.softmax(output) if self.shape.classes else output
        error = (predictions - targets) / len(inputs)
        gradients: list[Array] = []
        for layer in reversed(range(len(activations))):
            weights = self._parameters[2 * layer]
            by_weights = activations[layer].T @ error + self.descent.l2 * weights
            gradients[:0] = [by_weights, error.sum(axis=0)]
            if layer > 0:
                error = (error @ weights.T) * (activations[layer] > 0)
        return gradients


def _batches(rows: int, descent: Descent, seed: int) -> Iterator[Array]:
    """Yield the positions of each batch's rows: every row once an epoch, in a fresh order."""
    generator = np.random.default_rng(seed)
    for _ in range(descent.epochs):
        order = generator.permutation(rows)
        for start in range(0, rows, descent.batch_rows):
            yield order[start : start + descent.batch_rows]
