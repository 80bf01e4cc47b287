"""A federation small enough to be played a thousand times: for the simulator's command and the tests."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from hansa.protocols.horizontal.fedavg import AGGREGATOR, PARTY, FedAvgSettings
from hansa.protocols.horizontal.softmax import SoftmaxRegression
from hansa.protocols.horizontal.spec import FEDAVG
from hansa.protocols.machine import Brief, ProtocolSpec, Workbench
from hansa.protocols.model import ModelShape
from hansa.protocols.workbench import RowlessWorkbench, Rows, RowsWorkbench

HUB = "hub"
FEATURES = 4
CLASSES = 3
TRAINING_ROWS = 24
HOLDOUT_ROWS = 9

# A day: longer than any chaos lasts, so that a reliable run never meets it.
PATIENT = FedAvgSettings(rounds=3, quorum=2, round_deadline_s=86_400, silence_s=2 * 86_400)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What ``simulate`` needs."""

    spec: ProtocolSpec
    briefs: dict[str, Brief]
    benches: dict[str, Workbench]


def rehearse(parties: int = 4, settings: FedAvgSettings = PATIENT, seed: int = 1) -> Rehearsal:
    """Lay out a federated averaging of softmax models over made-up rows.

    Args:
        parties: how many; named party-1, party-2, ...
        settings: of the job.
        seed: of the job and the rows.
    """
    names = tuple(f"party-{number}" for number in range(1, parties + 1))
    shape = ModelShape(FEATURES, tuple(range(CLASSES)))
    make_model = partial(SoftmaxRegression, shape, batch_rows=8)
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(CLASSES, FEATURES))

    def rows(count: int) -> Rows:
        y = generator.integers(CLASSES, size=count)
        return centres[y] + generator.normal(size=(count, FEATURES)), y

    briefs = {HUB: Brief("rehearsal", HUB, AGGREGATOR, HUB, names, settings, seed)}
    benches: dict[str, Workbench] = {HUB: RowlessWorkbench(make_model)}
    for position, name in enumerate(names):
        briefs[name] = Brief("rehearsal", name, PARTY, HUB, names, settings, seed)
        benches[name] = RowsWorkbench(make_model, rows(TRAINING_ROWS + position), rows(HOLDOUT_ROWS))
    return Rehearsal(FEDAVG, briefs, benches)
