"""Linear and logistic regression over columns that different organisations hold. See docs/vertical.md."""

from hansa.protocols.vertical.outcome import (
    Distorted,
    EpochEnded,
    Overdue,
    OwnCoefficients,
    TrainingClosed,
)
from hansa.protocols.vertical.settings import LinearSettings, LogisticSettings, VerticalSettings
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
    "VerticalSettings",
]
