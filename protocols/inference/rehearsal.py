"""A joint inference in one process, on rows in memory: for the tests and for a first look."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hansa.protocols.alignment.ids import normalised
from hansa.protocols.inference.job import GUEST, InferenceSettings, role_of
from hansa.protocols.inference.spec import INFERENCE
from hansa.protocols.machine import Brief, ProtocolSpec, Workbench
from hansa.protocols.model import BoolArray, FloatArray
from hansa.protocols.preparation import Preparation, Table
from hansa.protocols.vertical import OwnCoefficients
from hansa.protocols.workbench import BareWorkbench


@dataclass(frozen=True, slots=True)
class TableWorkbench(BareWorkbench):
    """Rows by id; they stay out of the repr.

    Attributes:
        row_ids: one for each row, no two alike.
        table: their raw columns.
    """

    row_ids: Sequence[str] = field(repr=False)
    table: Table = field(repr=False)

    kind = "a bench of rows by id"

    def ids(self) -> tuple[Sequence[str], int]:
        """Return the ids, and 0 for the first row's number."""
        return self.row_ids, 0

    def lookup(self, ids: Sequence[str], preparation: Preparation) -> tuple[BoolArray, FloatArray]:
        """Return which ids are held, and their features."""
        places = {normalised(text): place for place, text in enumerate(self.row_ids)}
        found = [places.get(normalised(text), -1) for text in ids]
        rows = [place for place in found if place >= 0]
        return np.array(found, np.int64) >= 0, preparation.apply(self.table)[rows]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What ``simulate`` needs."""

    spec: ProtocolSpec
    briefs: dict[str, Brief]
    benches: dict[str, Workbench]


def rehearse(
    parts: Mapping[str, OwnCoefficients],
    benches: Mapping[str, Workbench],
    settings: InferenceSettings,
    seed: int = 1,
) -> Rehearsal:
    """Lay out an inference.

    Args:
        parts: by guest and host, its part of the model, which says who the guest is.
        benches: by guest and host, its rows; the guest's are to be scored.
        settings: of the job.
        seed: of the job. The roles' secrets derive from it and their names, so that a run can be repeated.
    """
    guest = next(iter(parts.values())).guest
    names = {*parts, settings.arbiter} - {""}
    parties = tuple(sorted(names - {guest}))
    briefs = {
        name: Brief(
            "rehearsal", name, GUEST if name == guest else role_of(settings, name), guest, parties, settings,
            seed, parts.get(name), hashlib.sha256(f"{name} {seed}".encode()).digest(),
        )
        for name in sorted(names)
    }  # fmt: skip
    lent = {name: benches.get(name, BareWorkbench()) for name in briefs}
    return Rehearsal(INFERENCE, briefs, lent)
