"""Horizontal learning: the parties hold different rows of the same columns."""

from hansa.protocols.horizontal.aggregation import weighted_average
from hansa.protocols.horizontal.estimator import EstimatorModel
from hansa.protocols.horizontal.fedavg import (
    FedAvgSettings,
    ModelEvaluated,
    ModelReceived,
    RoundClosed,
    TrainingDone,
)
from hansa.protocols.horizontal.mlp import MultilayerPerceptron
from hansa.protocols.horizontal.reconstruction import ClosedRound, job_models, round_models
from hansa.protocols.horizontal.softmax import SoftmaxRegression
from hansa.protocols.horizontal.spec import FEDAVG

__all__ = [
    "FEDAVG",
    "ClosedRound",
    "EstimatorModel",
    "FedAvgSettings",
    "ModelEvaluated",
    "ModelReceived",
    "MultilayerPerceptron",
    "RoundClosed",
    "SoftmaxRegression",
    "TrainingDone",
    "job_models",
    "round_models",
    "weighted_average",
]
