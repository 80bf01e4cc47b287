"""A bank with labels, shops with columns, a plaintext learner to compare with, and small keys."""

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from hansa.protocols.model import Array, FloatArray
from hansa.protocols.simulator import Chaos, Run, simulate
from hansa.protocols.vertical.job import Seat, drawn_seed
from hansa.protocols.vertical.optimiser import Learner
from hansa.protocols.vertical.rehearsal import rehearse
from hansa.protocols.vertical.rows import first_coefficients, own_rows
from hansa.protocols.vertical.settings import LinearSettings, LogisticSettings

GUEST, HOST, SECOND = "bank", "shop", "telco"
Settings = LinearSettings | LogisticSettings
SettingsT = TypeVar("SettingsT", LinearSettings, LogisticSettings)

# Small keys and few rows, which a guarded job refuses; none of them held out, unless a test says so.
SMALL: dict[str, Any] = {
    "epochs": 3, "batch": 8, "block": 5, "guard": False, "key_bits": 512, "patience": 0, "penalty": 0.05,
    "alarm": 1e6, "holdout": 0.0,
}  # fmt: skip
LINEAR_SMALL = LinearSettings(GUEST, **SMALL)
LOGISTIC_SMALL = LogisticSettings(GUEST, **SMALL)


def table(rows: int, seed: int = 0, hosts: int = 1) -> tuple[dict[str, FloatArray], FloatArray]:
    """Return columns by party, and a score that depends on all of them."""
    random = np.random.default_rng(seed)
    widths = {GUEST: 2, HOST: 3, SECOND: 2}
    names = (GUEST, HOST, SECOND)[: hosts + 1]
    columns = {name: random.normal(size=(rows, widths[name])) for name in names}
    score = sum(X @ random.normal(size=X.shape[1]) for X in columns.values()) + random.normal(size=rows) / 2
    return columns, np.asarray(score) + 0.5


def labels(score: FloatArray, settings: Settings) -> Array:
    """Return targets of a linear job, classes of a logistic one."""
    return score if isinstance(settings, LinearSettings) else (score > 0).astype(int)


def train(
    columns: dict[str, FloatArray], y: Array, settings: Settings, chaos: Chaos | None = None, **more: Any
) -> Run:
    """Run a whole job."""
    plan = rehearse(columns, y, settings)
    return simulate(plan.spec, plan.briefs, plan.benches, chaos or Chaos(1), **more)


def seats(columns: dict[str, FloatArray], y: Array, settings: Settings) -> dict[str, Seat]:
    """Return every party's seat."""
    briefs = rehearse(columns, y, settings).briefs
    return {name: Seat.take(briefs[name], briefs[name].role) for name in columns}


def pooled(
    columns: dict[str, FloatArray], y: Array, settings: Settings
) -> tuple[dict[str, FloatArray], list[float]]:
    """Train one plaintext learner on all columns: coefficients by party, the running loss by epoch."""
    plan = rehearse(columns, y, settings)
    sitting = seats(columns, y, settings)
    mine = {name: own_rows(sitting[name], plan.benches[name]) for name in columns}
    starts = [
        first_coefficients(sitting[name], mine[name], drawn_seed(plan.briefs[name].secret, "start"))
        for name in columns
    ]
    X, target = np.hstack([mine[name].X for name in columns]), mine[GUEST].targets
    shrunk = np.ones(X.shape[1])
    if settings.intercept:
        shrunk[len(starts[list(columns).index(GUEST)]) - 1] = 0.0  # the guest comes first
    batches, learner = sitting[GUEST].plan(len(X)), Learner.at(np.concatenate(starts))
    losses = []
    for _ in range(settings.epochs):
        total = 0.0
        for number in range(batches.batches):
            rows = batches.batch_rows(number)
            theta = learner.theta
            u, t = X[rows] @ theta, target[rows]
            logistic = isinstance(settings, LogisticSettings)
            d = 0.25 * u - 0.5 * t if logistic else u - t
            each = np.log(2) - 0.5 * t * u + u**2 / 8 if logistic else 0.5 * d**2
            penalties = settings.penalty / 2 * theta**2 + settings.l1 * np.abs(theta)
            total += each.sum() + len(rows) * float(shrunk @ penalties)
            gradient = X[rows].T @ d / len(rows) + settings.penalty * shrunk * theta
            l1 = settings.l1 * shrunk
            learner = learner.stepped(gradient, settings.optimiser, settings.learning_rate, l1)
        losses.append(total / len(X))
    edges = np.cumsum([len(each) for each in starts])[:-1]
    return dict(zip(columns, np.split(learner.theta, edges), strict=True)), losses


def learned(result: Any, name: str, settings: Settings) -> FloatArray:
    """Return a party's coefficients, of its result, as they stand in the pooled learner's."""
    has_intercept = name == GUEST and settings.intercept
    return np.append(result.theta, result.intercept) if has_intercept else np.asarray(result.theta)


def with_settings(settings: SettingsT, **changes: Any) -> SettingsT:
    """Return other settings."""
    return replace(settings, **changes)
