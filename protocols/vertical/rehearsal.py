"""A vertical regression in one process, on rows in memory: for the tests and for a first look."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hansa.protocols.errors import LocalProtocolError
from hansa.protocols.machine import Brief, ProtocolSpec, Workbench
from hansa.protocols.model import Array, FloatArray, Model
from hansa.protocols.vertical.job import ARBITER, GUEST, HOST, LinearSettings, LogisticSettings
from hansa.protocols.vertical.spec import LINEAR, LOGISTIC
from hansa.protocols.workbench import RowlessWorkbench, RowsWorkbench

HUB = "hub"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What ``simulate`` needs."""

    spec: ProtocolSpec
    briefs: dict[str, Brief]
    benches: dict[str, Workbench]


def no_model() -> Model:
    """Raise LocalProtocolError: a party of this protocol has coefficients, and no model of its own."""
    raise LocalProtocolError("vertical regression trains no local model")


def rehearse(
    columns: Mapping[str, FloatArray], y: Array, settings: LinearSettings | LogisticSettings, seed: int = 1
) -> Rehearsal:
    """Lay out a regression.

    Args:
        columns: by party, its columns of the same rows, (rows, columns).
        y: (rows,) the guest's labels or targets.
        settings: of the job; their class decides the protocol.
        seed: of the job. The roles' secrets derive from it and their names, so that a run can be repeated.
    """
    names = tuple(sorted(columns))
    roles = {HUB: ARBITER} | {name: GUEST if name == settings.guest else HOST for name in names}
    benches: dict[str, Workbench] = {HUB: RowlessWorkbench(no_model)}
    for name in names:
        labels = y if name == settings.guest else np.zeros(len(columns[name]))
        rows = (columns[name], labels)
        benches[name] = RowsWorkbench(no_model, rows, rows)
    briefs = {
        name: Brief(
            "rehearsal", name, role, HUB, names, settings, seed,
            secret=hashlib.sha256(f"{name} {seed}".encode()).digest(),
        )
        for name, role in roles.items()
    }  # fmt: skip
    return Rehearsal(LINEAR if isinstance(settings, LinearSettings) else LOGISTIC, briefs, benches)
