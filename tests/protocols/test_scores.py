"""Losses and scores agree with scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error, r2_score

from hansa.protocols.horizontal import scores
from hansa.protocols.model import FloatArray, IndexArray

FIGURES = arrays(np.float64, (7, 3), elements=st.floats(-50, 50))


@given(FIGURES)
def test_softmax_rows_are_probabilities(figures: FloatArray) -> None:
    probabilities = scores.softmax(figures)
    assert probabilities.min() >= 0
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(7))
    assert scores.softmax(figures + 1e4) == pytest.approx(probabilities)


@given(FIGURES, arrays(np.int64, 7, elements=st.integers(0, 2)))
def test_classification_agrees_with_scikit_learn(figures: FloatArray, labels: IndexArray) -> None:
    probabilities = scores.softmax(figures / 10)
    evaluation = scores.classification(probabilities, labels)
    assert evaluation.loss == pytest.approx(log_loss(labels, probabilities, labels=[0, 1, 2]))
    assert evaluation.score == pytest.approx(accuracy_score(labels, probabilities.argmax(axis=1)))
    assert (evaluation.rows, evaluation.metric) == (7, "accuracy")


def test_certain_and_wrong_costs_much_but_not_infinitely() -> None:
    assert scores.log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-np.log(1e-15))


@given(arrays(np.float64, 5, elements=st.floats(-9, 9)))
def test_regression_agrees_with_scikit_learn(predictions: FloatArray) -> None:
    targets = np.array([0.0, 1.0, -2.0, 5.0, 0.5])
    evaluation = scores.regression(predictions, targets)
    assert evaluation.loss == pytest.approx(mean_squared_error(targets, predictions))
    assert evaluation.score == pytest.approx(r2_score(targets, predictions))
    assert (evaluation.rows, evaluation.metric) == (5, "r2")


@pytest.mark.parametrize(("prediction", "score"), [(2.0, 1.0), (3.0, 0.0)])
def test_targets_that_do_not_vary_have_all_or_nothing(prediction: float, score: float) -> None:
    evaluation = scores.regression(np.full(4, prediction), np.full(4, 2.0))
    assert evaluation.score == score == r2_score(np.full(4, 2.0), np.full(4, prediction))
