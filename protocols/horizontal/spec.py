"""Federated averaging as one value for the registry."""

from hansa.protocols.horizontal import aggregator, party
from hansa.protocols.horizontal.fedavg import (
    AGGREGATOR,
    NAME,
    PARTY,
    VERSION,
    Checkpoint,
    Evaluated,
    FedAvgSettings,
    ModelEvaluated,
    ModelReady,
    ModelReceived,
    RoundClosed,
    RoundOpened,
    TrainingDone,
    Update,
    start,
)
from hansa.protocols.horizontal.tasks import TASKS
from hansa.protocols.machine import ProtocolSpec, Valuation

FEDAVG = ProtocolSpec(
    name=NAME,
    version=VERSION,
    settings=FedAvgSettings,
    roles={AGGREGATOR: aggregator.SPEC, PARTY: party.SPEC},
    messages=(RoundOpened, Update, ModelReady, Evaluated),
    facts=(RoundClosed, ModelEvaluated, Valuation),
    results=(TrainingDone, ModelReceived),
    tasks=TASKS,
    kept=(Checkpoint,),
    start=start,
)
