"""A vertical regression in one process, on rows in memory: for the tests and for a first look."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hansa.protocols.errors import LocalProtocolError
from hansa.protocols.machine import Brief, ProtocolSpec, Workbench
from hansa.protocols.model import Array, FloatArray, Model
from hansa.protocols.preparation import Preparation, Prepared
from hansa.protocols.vertical.job import ARBITER, GUEST, HOST
from hansa.protocols.vertical.settings import LinearSettings, LogisticSettings
from hansa.protocols.vertical.spec import LINEAR, LOGISTIC
from hansa.protocols.workbench import RowlessWorkbench, RowsWorkbench

HUB = "hub"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What ``simulate`` needs."""

    spec: ProtocolSpec
    briefs: dict[str, Brief]
    benches: dict[str, Workbench]


@dataclass(frozen=True, slots=True)
class AlignedRows(RowsWorkbench):
    """A bench with rows in everybody's order, and how they were prepared."""

    prepared: Preparation = field(repr=False)

    def preparation(self) -> Preparation:
        """Return how columns became features."""
        return self.prepared


def no_model() -> Model:
    """Raise LocalProtocolError: a party of this protocol has coefficients, and no model of its own."""
    raise LocalProtocolError("vertical regression trains no local model")


def as_it_is(columns: int) -> Preparation:
    """Return the preparation of columns that are features already."""
    each = (Prepared(f"column {number}", "number", 0.0, 0.0, 1.0, "", ()) for number in range(columns))
    return Preparation(tuple(each), standardised=False)


def rehearse(
    columns: Mapping[str, FloatArray],
    y: Array,
    settings: LinearSettings | LogisticSettings,
    seed: int = 1,
    start: Mapping[str, object] | None = None,
    valuing: Workbench | None = None,
    volumes: Mapping[str, tuple[int, int]] | None = None,
) -> Rehearsal:
    """Lay out a regression.

    Args:
        columns: by party, its columns of the same rows, (rows, columns).
        y: (rows,) the guest's labels or targets.
        settings: of the job; their class decides the protocol. Their ``holdout`` is the share of rows, the last
            ones, that are not trained on.
        seed: of the job. The roles' secrets derive from it and their names, so that a run can be repeated.
        start: by agent, what it has kept of the job that this one goes on from.
        valuing: the arbiter's bench, where contributions are valued by coalitions.
        volumes: as in ``Brief``, at the arbiter.
    """
    names, kept = tuple(sorted(columns)), start or {}
    roles = {HUB: ARBITER} | {name: GUEST if name == settings.guest else HOST for name in names}
    benches: dict[str, Workbench] = {HUB: valuing or RowlessWorkbench(no_model)}
    for name, X in columns.items():
        labels = y if name == settings.guest else np.zeros(len(X))
        last = len(X) - round(settings.holdout * len(X))
        train, test = (X[:last], labels[:last]), (X[last:], labels[last:])
        benches[name] = AlignedRows(no_model, train, test, as_it_is(X.shape[-1]))
    briefs = {
        name: Brief(
            "rehearsal", name, role, HUB, names, settings, seed, kept.get(name),
            secret=hashlib.sha256(f"{name} {seed} {settings.start_job}".encode()).digest(),
            valued=valuing is not None, volumes=(volumes or {}) if name == HUB else {},
        )
        for name, role in roles.items()
    }  # fmt: skip
    return Rehearsal(LINEAR if isinstance(settings, LinearSettings) else LOGISTIC, briefs, benches)
