"""Vertical linear and logistic regression as values for the registry."""

from typing import Any

from hansa.protocols.machine import ProtocolSpec, RoleSpec, Start, Valuation
from hansa.protocols.vertical import arbiter, concluding, messages, party, tasks, valuing
from hansa.protocols.vertical.job import ARBITER, GUEST, HOST, LINEAR_NAME, LOGISTIC_NAME, VERSION
from hansa.protocols.vertical.outcome import (
    ArbiterCheckpoint,
    Distorted,
    EpochEnded,
    Overdue,
    OwnCoefficients,
    PartyCheckpoint,
    TrainingClosed,
)
from hansa.protocols.vertical.settings import LinearSettings, LogisticSettings, VerticalSettings

ROLES: dict[str, RoleSpec[Any]] = {ARBITER: arbiter.SPEC, GUEST: party.GUEST_SPEC, HOST: party.HOST_SPEC}


def role_of(settings: VerticalSettings, name: str) -> str:
    """Return the role of a party."""
    return GUEST if name == settings.guest else HOST


def start(settings: VerticalSettings) -> Start | None:
    """Return what a job goes on from: each role's last epochs in another, which no digest names."""
    return Start(settings.start_job, b"") if settings.start_job else None


def _spec(name: str, settings: type[VerticalSettings]) -> ProtocolSpec:
    return ProtocolSpec(
        name=name,
        version=VERSION,
        settings=settings,
        roles=ROLES,
        messages=(
            messages.MaskKey,
            messages.Ready,
            messages.Key,
            messages.Scores,
            messages.Residual,
            messages.Masked,
            messages.Opened,
            messages.LossTerm,
            messages.LossSum,
            messages.EpochClosed,
            messages.HeldOut,
            messages.Part,
            messages.Closed,
            messages.Waiting,
        ),
        facts=(Overdue, EpochEnded, Distorted, Valuation),
        results=(OwnCoefficients, TrainingClosed),
        tasks={**tasks.TASKS, **concluding.TASKS, **valuing.TASKS},
        kept=(PartyCheckpoint, ArbiterCheckpoint),
        start=start,
        coordinator_role=ARBITER,
        role_of=role_of,
        bench="aligned",
        names_model=False,
    )


LINEAR = _spec(LINEAR_NAME, LinearSettings)
LOGISTIC = _spec(LOGISTIC_NAME, LogisticSettings)
