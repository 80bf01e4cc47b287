"""What would one learner reach that holds all columns itself? The vertical protocols' learner, in plaintext."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import r2_score, roc_auc_score

from hansa.protocols import Array, FloatArray
from hansa.protocols.vertical import LinearSettings, LogisticSettings
from hansa.protocols.vertical.batches import Plan
from hansa.protocols.vertical.optimiser import Learner


def score_alone(
    columns: Sequence[FloatArray], y: Array, settings: LinearSettings | LogisticSettings, seed: int
) -> float:
    """Return the score on the last rows of a learner that was trained on the others.

    Args:
        columns: each party's, (rows, columns), in the order of their alignment; they are standardised by the
            training rows.
        y: (rows,) 0 and 1, or numbers.
        settings: of the federated job: the same loss, steps, batches and held-out rows.
        seed: of the job.

    Returns:
        The area under the ROC curve, or R² of a linear regression.
    """
    logistic = isinstance(settings, LogisticSettings)
    held = round(settings.holdout * len(y))
    train, test = slice(0, len(y) - held), slice(len(y) - held, len(y))
    X = np.hstack(columns)
    X = np.column_stack([(X - X[train].mean(axis=0)) / X[train].std(axis=0), np.ones(len(X))])
    targets = 2.0 * y[train] - 1.0 if logistic else y[train]
    penalty = np.append(np.full(X.shape[1] - 1, settings.penalty), 0.0)  # the intercept has none
    learner = Learner.at(np.zeros(X.shape[1]))
    plan = Plan(len(targets), settings.batch, settings.block, seed)
    for _ in range(settings.epochs):
        for number in range(plan.batches):
            rows = plan.batch_rows(number)
            u = X[train][rows] @ learner.theta
            d = 0.25 * u - 0.5 * targets[rows] if logistic else u - targets[rows]
            gradient = X[train][rows].T @ d / len(rows) + penalty * learner.theta
            learner = learner.stepped(gradient, settings.optimiser, settings.learning_rate)
    scores = X[test] @ learner.theta
    return float(roc_auc_score(y[test], scores) if logistic else r2_score(y[test], scores))
