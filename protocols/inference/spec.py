"""Joint inference as a value for the registry."""

from hansa.protocols.inference import arbiter, guest, host, messages
from hansa.protocols.inference.job import (
    ARBITER,
    GUEST,
    HOST,
    NAME,
    VERSION,
    Answered,
    InferenceSettings,
    ModelServed,
    Scored,
    role_of,
)
from hansa.protocols.inference.tasks import TASKS
from hansa.protocols.machine import ProtocolSpec, Start
from hansa.protocols.vertical import Overdue


def _start(settings: InferenceSettings) -> Start:
    return Start(settings.model, b"", of="result")


INFERENCE = ProtocolSpec(
    name=NAME,
    version=VERSION,
    settings=InferenceSettings,
    roles={GUEST: guest.SPEC, HOST: host.SPEC, ARBITER: arbiter.SPEC},
    messages=(
        messages.MaskKey,
        messages.Ask,
        messages.Known,
        messages.Chosen,
        messages.Due,
        messages.Share,
        messages.Answer,
        messages.Waiting,
    ),
    facts=(Overdue, ModelServed),
    results=(Scored, Answered),
    tasks=TASKS,
    start=_start,
    coordinator_role=GUEST,
    role_of=role_of,
    bench="lookup",
    names_model=False,
)
