"""What do our own rows look like to the protocol? Read from the workbench, checked, and cut into blocks."""

from dataclasses import dataclass, field

import numpy as np

from hansa.protocols.crypto import SeedStream
from hansa.protocols.machine import Workbench
from hansa.protocols.model import Array, FloatArray
from hansa.protocols.vertical import guard
from hansa.protocols.vertical.errors import RowsRefused
from hansa.protocols.vertical.job import MOST_COLUMNS, MOST_ROWS, Seat


@dataclass(frozen=True, slots=True, eq=False)
class OwnRows:
    """Our rows, as they enter the sums.

    Attributes:
        X: (rows, gradients) float64; at a guest with an intercept the last column is 1.
        targets: the guest's: targets of a linear job, −1 and +1 of a logistic one; (rows,), empty at hosts.
    """

    X: FloatArray = field(repr=False)
    targets: FloatArray = field(repr=False)


def own_rows(seat: Seat, bench: Workbench) -> OwnRows:
    """Return our rows without looking at their values, which `checked_rows` has done once.

    Raises:
        RowsRefused: labels of a logistic guest that are not two classes.
    """
    X, y = bench.training()
    X = np.asarray(X, np.float64)
    if seat.me != seat.guest:
        return OwnRows(X, np.zeros(0))
    if seat.settings.intercept:
        X = np.column_stack([X, np.ones(len(X))])
    return OwnRows(X, _signs(y) if seat.logistic else np.asarray(y, np.float64))


def checked_rows(seat: Seat, bench: Workbench) -> OwnRows:
    """Return our rows after a look at everything that could make them unfit.

    Raises:
        RowsRefused: shapes that don't fit, no rows or columns or too many, a value that is not finite or beyond
            its limit, labels that are not two classes.
        LeakRefused: the leak guard's; see `guard.check_columns`.
    """
    X, y = bench.training()
    if X.ndim != 2 or not 1 <= len(X) <= MOST_ROWS or not 1 <= X.shape[1] <= MOST_COLUMNS:
        raise RowsRefused(f"features of shape {X.shape}; they come as rows × columns, at least one of each")
    _check_values("feature", X, seat.settings.feature_limit)
    rows = own_rows(seat, bench)
    if seat.me == seat.guest:
        if y.shape != (len(X),):
            raise RowsRefused(f"{len(X)} rows, but labels of shape {y.shape}")
        _check_values("target", rows.targets, seat.settings.score_limit)
    if seat.settings.guard:
        guard.check_columns(np.asarray(X, np.float64), seat.plan(len(X)))
    return rows


def first_coefficients(seat: Seat, rows: OwnRows, secret_seed: bytes) -> FloatArray:
    """Return where a party starts: 0 at hosts, at the guest random coefficients with scores that vary.

    Args:
        seat: ours.
        rows: ours.
        secret_seed: 32 bytes of which the guest's directions are made.

    Returns:
        (gradients,) float64.

    Raises:
        ColdStart: see `guard.check_start`.
    """
    theta = np.zeros(rows.X.shape[1])
    if seat.me != seat.guest:
        return theta
    settings, plan = seat.settings, seat.plan(len(rows.X))
    columns = len(theta) - settings.intercept
    drawn = np.frombuffer(SeedStream(secret_seed)(8 * columns), "<u8")
    theta[:columns] = drawn / 2.0**63 - 1.0
    spread = guard.least_spread(rows.X @ theta, plan)
    theta *= settings.start_spread / spread if spread > 0 else 0.0
    if settings.guard:
        guard.check_start(rows.X @ theta, plan)
    return theta


def _signs(y: Array) -> FloatArray:
    """Return −1 for the lesser label and +1 for the greater."""
    labels = np.unique(y)
    if len(labels) != 2:
        raise RowsRefused(f"a logistic regression takes labels of two classes, not of {len(labels)}")
    return np.where(y == labels[1], 1.0, -1.0)


def _check_values(what: str, values: FloatArray, limit: float) -> None:
    bad = ~(np.abs(values) <= limit)
    if bad.any():
        place = ", ".join(str(int(index)) for index in np.unravel_index(int(np.argmax(bad)), bad.shape))
        raise RowsRefused(f"{what} [{place}] is no number within ±{limit:g}: standardise, or agree on more")
