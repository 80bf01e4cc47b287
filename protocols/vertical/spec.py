"""Vertical linear and logistic regression as values for the registry."""

from typing import Any

from hansa.protocols.machine import ProtocolSpec, RoleSpec
from hansa.protocols.vertical import arbiter, messages, party
from hansa.protocols.vertical.job import (
    ARBITER,
    GUEST,
    HOST,
    LINEAR_NAME,
    LOGISTIC_NAME,
    VERSION,
    Distorted,
    EpochEnded,
    LinearSettings,
    LogisticSettings,
    Overdue,
    OwnCoefficients,
    TrainingClosed,
    VerticalSettings,
)
from hansa.protocols.vertical.tasks import TASKS

ROLES: dict[str, RoleSpec[Any]] = {ARBITER: arbiter.SPEC, GUEST: party.GUEST_SPEC, HOST: party.HOST_SPEC}


def _spec(name: str, settings: type[VerticalSettings]) -> ProtocolSpec:
    return ProtocolSpec(
        name=name,
        version=VERSION,
        settings=settings,
        roles=ROLES,
        messages=(
            messages.Ready,
            messages.Key,
            messages.Scores,
            messages.Residual,
            messages.Masked,
            messages.Opened,
            messages.LossTerm,
            messages.LossSum,
            messages.EpochClosed,
            messages.Waiting,
        ),
        facts=(Overdue, EpochEnded, Distorted),
        results=(OwnCoefficients, TrainingClosed),
        tasks=TASKS,
    )


LINEAR = _spec(LINEAR_NAME, LinearSettings)
LOGISTIC = _spec(LOGISTIC_NAME, LogisticSettings)
