"""Linear and logistic regression over columns that different organisations hold. See docs/vertical.md."""

from hansa.protocols.vertical.job import (
    Distorted,
    EpochEnded,
    LinearSettings,
    LogisticSettings,
    Overdue,
    OwnCoefficients,
    TrainingClosed,
)
from hansa.protocols.vertical.spec import LINEAR, LOGISTIC

__all__ = [
    "LINEAR",
    "LOGISTIC",
    "Distorted",
    "EpochEnded",
    "LinearSettings",
    "LogisticSettings",
    "Overdue",
    "OwnCoefficients",
    "TrainingClosed",
]
