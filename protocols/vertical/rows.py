"""What do our own rows look like to the protocol? Read from the workbench, checked, and cut into blocks."""

from dataclasses import dataclass, field

import numpy as np

from hansa.protocols.crypto import SeedStream
from hansa.protocols.machine import Workbench
from hansa.protocols.model import Array, FloatArray, IndexArray
from hansa.protocols.vertical import guard
from hansa.protocols.vertical.errors import RowsRefused
from hansa.protocols.vertical.job import MOST_COLUMNS, MOST_ROWS, Seat

EVERY = slice(None)


@dataclass(frozen=True, slots=True, eq=False)
class OwnRows:
    """Our rows, as they enter the sums.

    Attributes:
        X: (rows, gradients) float64; at a guest with an intercept the last column is 1.
        targets: the guest's: targets of a linear job, −1 and +1 of a logistic one; (rows,), empty at hosts.
    """

    X: FloatArray = field(repr=False)
    targets: FloatArray = field(repr=False)


def own_rows(seat: Seat, bench: Workbench, which: IndexArray | slice = EVERY) -> OwnRows:
    """Return our rows, or some of them, without looking at their values, which `checked_rows` has done once.

    Args:
        seat: ours.
        bench: has them.
        which: positions; no other row is read.
    """
    X, y = bench.training()
    return _entering(seat, X[which], y[which], y)


def held_out_rows(seat: Seat, bench: Workbench) -> OwnRows:
    """Return the rows held out; as in `own_rows`, and the guest's labels are those of the rows to train on."""
    X, y = bench.holdout()
    return _entering(seat, X, y, bench.training()[1])


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
    if seat.me == seat.guest:
        _check_labels(seat, "", X, y)
    if seat.settings.guard:
        guard.check_columns(np.asarray(X, np.float64), seat.plan(len(X)))
    return own_rows(seat, bench)


def checked_held_out(seat: Seat, bench: Workbench) -> OwnRows:
    """Return the rows held out, if any, after the same look; the leak guard has nothing to say of them.

    Raises:
        RowsRefused: as above, or labels of a class that no row to train on has.
    """
    (X, y), (train, known) = bench.holdout(), bench.training()
    if X.ndim != 2 or X.shape[1] != train.shape[1] or len(X) > MOST_ROWS:
        raise RowsRefused(f"held-out features of shape {X.shape}, where those to train on are {train.shape}")
    _check_values("held-out feature", X, seat.settings.feature_limit)
    if seat.me == seat.guest:
        _check_labels(seat, "held-out ", X, y)
        if seat.logistic and not np.isin(y, known).all():
            raise RowsRefused("held-out labels of a class that no row to train on has")
    return held_out_rows(seat, bench)


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
    drawn = np.frombuffer(SeedStream(secret_seed)(8 * columns), "<u8") / 2.0**63 - 1.0
    theta[:columns] = (drawn + np.copysign(1.0, drawn)) / 2  # every column counts
    spread, needed = guard.least_spread(rows.X @ theta, plan), guard.needed_spread(rows.targets, plan)
    theta *= settings.start_spread * needed / spread if spread > 0 else 0.0
    if settings.guard:
        guard.check_start(rows.X @ theta, plan, needed)
    return theta


def _entering(seat: Seat, X: Array, y: Array, known: Array) -> OwnRows:
    """Return rows as they enter the sums; ``known`` are the labels of all rows to train on."""
    X = np.asarray(X, np.float64)
    if seat.me != seat.guest:
        return OwnRows(X, np.zeros(0))
    if seat.settings.intercept:
        X = np.column_stack([X, np.ones(len(X))])
    if seat.logistic:
        return OwnRows(X, np.where(y == _greater(known), 1.0, -1.0))
    return OwnRows(X, np.asarray(y, np.float64))


def _greater(y: Array) -> object:
    """Return the greater of two labels, in one pass over them."""
    return y.max() if y.dtype.kind in "biuf" else max(set(y.tolist()))


def _check_labels(seat: Seat, which: str, X: Array, y: Array) -> None:
    if y.shape != (len(X),):
        raise RowsRefused(f"{len(X)} {which}rows, but labels of shape {y.shape}")
    if not seat.logistic:
        _check_values(f"{which}target", np.asarray(y, np.float64), seat.settings.score_limit)
    elif not which and (classes := len(np.unique(y))) != 2:
        raise RowsRefused(f"a logistic regression takes labels of two classes, not of {classes}")


def _check_values(what: str, values: Array, limit: float) -> None:
    bad = ~(np.abs(values) <= limit)
    if bad.any():
        place = ", ".join(str(int(index)) for index in np.unravel_index(int(np.argmax(bad)), bad.shape))
        raise RowsRefused(f"{what} [{place}] is no number within ±{limit:g}: standardise, or agree on more")
