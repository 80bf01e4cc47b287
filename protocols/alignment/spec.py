"""Alignment and over-threshold alignment as values for the registry."""

from typing import Any

from hansa.protocols.alignment import aggregator, party
from hansa.protocols.alignment.job import (
    AGGREGATOR,
    ALIGNMENT_NAME,
    OVER_THRESHOLD_NAME,
    PARTY,
    VERSION,
    AlignedRows,
    AlignmentClosed,
    AlignmentSettings,
    OverThresholdSettings,
    Served,
    SharedRows,
)
from hansa.protocols.alignment.messages import Ask, Blinded, Here, Passed, Positions, Raised, Settled, Tagged
from hansa.protocols.alignment.tasks import TASKS
from hansa.protocols.machine import ProtocolSpec, RoleSpec

ROLES: dict[str, RoleSpec[Any]] = {AGGREGATOR: aggregator.SPEC, PARTY: party.SPEC}

ALIGNMENT = ProtocolSpec(
    name=ALIGNMENT_NAME,
    version=VERSION,
    settings=AlignmentSettings,
    roles=ROLES,
    messages=(Blinded, Raised, Passed, Tagged, Positions, Ask, Here, Settled),
    facts=(),
    results=(AlignedRows, Served, AlignmentClosed),
    tasks=TASKS,
    bench="ids",
    names_model=False,
)

OVER_THRESHOLD = ProtocolSpec(
    name=OVER_THRESHOLD_NAME,
    version=VERSION,
    settings=OverThresholdSettings,
    roles=ROLES,
    messages=(Passed, Tagged, Positions, Ask, Here, Settled),
    facts=(),
    results=(SharedRows, AlignmentClosed),
    tasks=TASKS,
    bench="ids",
    names_model=False,
)
