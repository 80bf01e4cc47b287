"""Federated learning with scikit-learn's conventions: everybody's rows in, a fitted estimator out."""

from hansa.agents.estimator import FederatedClassifier, FederatedRegressor, LedgerHead
from hansa.agents.estimators.vertical import VerticalLinearRegression, VerticalLogisticRegression

__all__ = [
    "FederatedClassifier",
    "FederatedRegressor",
    "LedgerHead",
    "VerticalLinearRegression",
    "VerticalLogisticRegression",
]
