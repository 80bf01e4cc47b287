"""How does a scikit-learn estimator of one's own take part? As a ``Model`` around its ``partial_fit``.

Its parameters are the arrays it learns: found for linear models (``coef_``, ``intercept_``, and ``t_``, the
step count that schedules the learning rate) and for multilayer perceptrons (``coefs_``, ``intercepts_``),
named by the user for others. scikit-learn is imported when an adapter is made, not before.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from hansa.protocols.errors import ModelError
from hansa.protocols.horizontal import scores
from hansa.protocols.horizontal.network import check_count
from hansa.protocols.model import Array, Evaluation, FloatArray, ModelShape, check_layout

LINEAR = ("coef_", "intercept_")
STEPS = "t_"
PERCEPTRON = ("coefs_", "intercepts_")


class EstimatorModel:
    """A ``Model`` around any classifier or regressor with ``partial_fit``; the given one is never changed."""

    # scikit-learn ships no types, so estimators are Any throughout.

    def __init__(
        self,
        estimator: Any,
        shape: ModelShape,
        attributes: Sequence[str] | None = None,
        *,
        epochs: int = 1,
        seed: int = 0,
    ) -> None:
        """Clone the estimator and have it make arrays of the right shapes.

        A linear model starts at zero, any other as a first ``partial_fit`` on rows of zeros leaves it.

        Args:
            estimator: an unfitted or fitted estimator; only its hyperparameters are used.
            shape: features, classes and task; a party whose rows lack some classes still has them all.
            attributes: the learned attributes to exchange, each an array, a number, or a list of arrays;
                needed when they aren't those above. Whatever ``predict`` uses must be among them.
            epochs: calls of ``partial_fit`` per ``fit``.
            seed: for the estimator's own random start, if it has one.

        Raises:
            ModelError: no ``partial_fit``, the wrong kind for the task, an estimator whose learned arrays
                can't be averaged, or attributes unknown or absent.
            ValueError: epochs < 1.
        """
        check_count("epochs", epochs)
        self.shape = shape
        self._name = type(estimator).__name__
        self._epochs = epochs
        _check_kind(estimator, shape)
        primed = _primed(estimator, shape, seed)
        _check_averages(primed)
        self._attributes = _attributes(primed, attributes)
        for attribute in self._attributes:
            if not hasattr(primed, attribute):
                raise ModelError(f"{self._name} has no attribute {attribute!r} after partial_fit")
        if attributes is None and self._attributes != PERCEPTRON:
            for attribute in LINEAR:
                getattr(primed, attribute)[...] = 0.0
            if hasattr(primed, STEPS):
                setattr(primed, STEPS, 1.0)
        self._primed = primed
        self._estimator = copy.deepcopy(primed)

    def get_parameters(self) -> list[Array]:
        """Return copies of the learned arrays as floats, attribute by attribute, a list's in its order."""
        return [_floats(array) for attribute in self._attributes for array in self._arrays(attribute)]

    def set_parameters(self, parameters: Sequence[Array], /) -> None:
        """Copy parameters into a fresh clone, so that nothing else learned before (Adam's moments) stays.

        Raises:
            ValueError: another number of arrays, or another shape.
        """
        check_layout(parameters, self.get_parameters())
        fresh = copy.deepcopy(self._primed)
        remaining = list(parameters)
        for attribute in self._attributes:
            old = getattr(fresh, attribute)
            taken = len(old) if isinstance(old, list) else 1
            values, remaining = remaining[:taken], remaining[taken:]
            setattr(fresh, attribute, _like(old, values))
        self._estimator = fresh

    def fit(self, X: FloatArray, y: Array, /, seed: int) -> None:
        """Call ``partial_fit`` ``epochs`` times, each with its own random state from the seed."""
        self.set_parameters(self.get_parameters())
        for state in np.random.SeedSequence(seed).generate_state(self._epochs):
            _seed(self._estimator, int(state))
            _partial_fit(self._estimator, X, y, self.shape)

    def evaluate(self, X: FloatArray, y: Array, /) -> Evaluation:
        """Return log loss and accuracy, or mean squared error and r2.

        A classifier without ``predict_proba``, such as a hinge-loss one, has no log loss: its loss is then
        the share of rows it gets wrong.
        """
        if not self.shape.classes:
            return scores.regression(self.predict(X), np.asarray(y, np.float64))
        labels = self.shape.class_indices(y)
        if hasattr(self._estimator, "predict_proba"):
            return scores.classification(self.predict_proba(X), labels)
        accuracy = float((self.shape.class_indices(self.predict(X)) == labels).mean())
        return Evaluation(len(labels), 1.0 - accuracy, accuracy, scores.ACCURACY)

    def predict(self, X: FloatArray, /) -> Array:
        """Return (rows,) labels or values."""
        return np.asarray(self._estimator.predict(X))

    def predict_proba(self, X: FloatArray, /) -> Array:
        """Return (rows, classes) probabilities.

        Raises:
            AttributeError: this estimator gives none.
        """
        return np.asarray(self._estimator.predict_proba(X))

    def fitted(self) -> Any:
        """Return a copy of the estimator as it is trained now."""
        return copy.deepcopy(self._estimator)

    def _arrays(self, attribute: str) -> list[Any]:
        value = getattr(self._estimator, attribute)
        return value if isinstance(value, list) else [value]


def _check_kind(estimator: Any, shape: ModelShape) -> None:
    from sklearn.base import is_classifier, is_regressor

    name = type(estimator).__name__
    if not hasattr(estimator, "partial_fit"):
        raise ModelError(f"{name} has no partial_fit, so it cannot train on from given parameters")
    fits = is_classifier(estimator) if shape.classes else is_regressor(estimator)
    if not fits:
        raise ModelError(f"{name} is not made for {shape.task}")


def _primed(estimator: Any, shape: ModelShape, seed: int) -> Any:
    """Return a clone that has seen one row of zeros per class, and so has all its arrays."""
    from sklearn.base import clone

    primed = clone(estimator)
    _seed(primed, seed)
    y = np.asarray(shape.classes) if shape.classes else np.zeros(1)
    _partial_fit(primed, np.zeros((len(y), shape.features)), y, shape)
    return primed


def _partial_fit(estimator: Any, X: FloatArray, y: Array, shape: ModelShape) -> None:
    if shape.classes:
        estimator.partial_fit(X, y, classes=np.asarray(shape.classes))
    else:
        estimator.partial_fit(X, y)


def _seed(estimator: Any, seed: int) -> None:
    if "random_state" in estimator.get_params(deep=False):
        estimator.set_params(random_state=seed)


def _check_averages(primed: Any) -> None:
    name = type(primed).__name__
    if hasattr(primed, "class_count_"):
        raise ModelError(f"{name} learns counts, which add up over the parties and don't average")
    if getattr(primed, "average", False):
        raise ModelError(f"{name}(average=...) keeps hidden averages beside coef_; use average=False")


def _attributes(primed: Any, named: Sequence[str] | None) -> tuple[str, ...]:
    if named is not None:
        return tuple(named)
    if all(hasattr(primed, attribute) for attribute in PERCEPTRON):
        return PERCEPTRON
    if all(hasattr(primed, attribute) for attribute in LINEAR):
        return (*LINEAR, STEPS) if hasattr(primed, STEPS) else LINEAR
    raise ModelError(f"which attributes does {type(primed).__name__} learn? Name them with attributes=[...]")


def _floats(value: Any) -> Array:
    array = np.asarray(value)
    return np.array(array, array.dtype if array.dtype.kind == "f" else np.float64)


def _like(old: Any, values: Sequence[Array]) -> Any:
    """Return the values as the attribute held them: a list of arrays, an array, or a plain number."""
    if isinstance(old, list):
        return [np.array(value, each.dtype, order="C") for value, each in zip(values, old, strict=True)]
    if isinstance(old, np.ndarray):
        return np.array(values[0], old.dtype, order="C")
    return type(old)(values[0])
