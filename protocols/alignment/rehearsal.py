"""An alignment small enough to be played a thousand times: for the tests and the benchmark."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hansa.protocols.alignment.job import AGGREGATOR, PARTY, AlignmentSettings, OverThresholdSettings
from hansa.protocols.alignment.spec import ALIGNMENT, OVER_THRESHOLD
from hansa.protocols.machine import Brief, ProtocolSpec, Workbench
from hansa.protocols.workbench import IdsWorkbench

HUB = "hub"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What ``simulate`` needs."""

    spec: ProtocolSpec
    briefs: dict[str, Brief]
    benches: dict[str, Workbench]


def rehearse(
    ids: Mapping[str, Sequence[str]],
    settings: AlignmentSettings | OverThresholdSettings,
    seed: int = 1,
) -> Rehearsal:
    """Lay out an alignment.

    Args:
        ids: by party, its rows' ids; the parties' secrets derive from their names and the seed.
        settings: of the job; their class decides the protocol.
        seed: of the job.
    """
    spec = ALIGNMENT if isinstance(settings, AlignmentSettings) else OVER_THRESHOLD
    names = tuple(sorted(ids))
    briefs = {HUB: Brief("rehearsal", HUB, AGGREGATOR, HUB, names, settings, seed)}
    benches: dict[str, Workbench] = {HUB: IdsWorkbench(())}
    for name in names:
        secret = hashlib.sha256(f"{name} {seed}".encode()).digest()
        briefs[name] = Brief("rehearsal", name, PARTY, HUB, names, settings, seed, secret=secret)
        benches[name] = IdsWorkbench(tuple(ids[name]))
    return Rehearsal(spec, briefs, benches)
