"""How good are predictions? One loss and one score each for classes and for numbers."""

import numpy as np

from hansa.protocols.model import Array, Evaluation, FloatArray, IndexArray

ACCURACY = "accuracy"
R2 = "r2"

# Below this a probability counts as this: a confident error costs much, but not infinitely much.
LEAST_PROBABILITY = 1e-15


def softmax(scores: Array) -> Array:
    """Turn each row of (rows, classes) scores into probabilities.

    Shifting by the row's maximum keeps large scores from overflowing.
    """
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def log_loss(probabilities: Array, labels: IndexArray) -> float:
    """Return the mean of −log p(label), in nats.

    Args:
        probabilities: (rows, classes), rows summing to 1.
        labels: (rows,) class positions.
    """
    chosen = np.asarray(probabilities, dtype=np.float64)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, LEAST_PROBABILITY)).mean())


def classification(probabilities: Array, labels: IndexArray) -> Evaluation:
    """Return log loss and accuracy; arguments as ``log_loss``."""
    accuracy = float((probabilities.argmax(axis=1) == labels).mean())
    return Evaluation(len(labels), log_loss(probabilities, labels), accuracy, ACCURACY)


def regression(predictions: FloatArray, targets: FloatArray) -> Evaluation:
    """Return mean squared error and r2 of (rows,) predictions.

    r2 is 1 − error / variance. Targets that don't vary have none: it is then 1 for exact predictions and 0
    otherwise, as in scikit-learn.
    """
    error = float(np.square(predictions - targets).mean())
    variance = float(targets.var())
    if variance == 0.0:
        score = 1.0 if error == 0.0 else 0.0
    else:
        score = 1.0 - error / variance
    return Evaluation(len(targets), error, score, R2)
