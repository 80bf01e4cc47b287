"""Would a gradient give single rows away? The leak guard: checks that each party makes on its own rows.

A party sees its own gradient Xᵀd of every batch in the clear. That is one equation about the batch's residuals for
each of its columns, and for a fixed batch never more than that whatever the number of epochs, provided that the
residuals themselves are no few known numbers. Hence

* the guest starts from random coefficients, with scores that vary by 1 or more in every batch: at 0 the logistic
  residual is -y/2, and lattice reduction finds all labels from one gradient;
* a batch has at least 256 rows, and four for each column of whoever has most;
* no column is constant, or constant but for a single row, whose gradient would be one row's residual.
"""

import numpy as np

from hansa.protocols.model import FloatArray
from hansa.protocols.vertical.batches import Plan
from hansa.protocols.vertical.errors import ColdStart, ConstantColumn, LoneRowColumn, SmallBatch

FEWEST_ROWS = 256
ROWS_PER_COLUMN = 4
LEAST_SPREAD = 1.0
# A guest's scores must not take so few values that a residual still tells the label.
FEWEST_VALUES = 32


def check_batches(plan: Plan, widest: int) -> None:
    """Refuse batches of too few rows.

    Args:
        plan: of the job.
        widest: the columns of the party that has most.

    Raises:
        SmallBatch: with the number that would do.
    """
    smallest = plan.size(0)  # the last one takes what is left over
    least = max(FEWEST_ROWS, ROWS_PER_COLUMN * widest)
    if smallest < least:
        raise SmallBatch(f"a batch of {smallest} rows: with {widest} columns at a party it takes {least}")


def check_columns(X: FloatArray, plan: Plan) -> None:
    """Refuse columns whose gradient is about one row, or about all alike.

    Args:
        X: (rows, columns).
        plan: its batches are looked at one by one. A column may be constant in one: its gradient there is the
            residuals' sum, an equation like others.

    Raises:
        ConstantColumn, LoneRowColumn: with the column, counted from 0.
    """
    for column, odd in enumerate(_odd_rows(X)):
        if odd == 0:
            raise ConstantColumn(f"column {column} has no variance: leave it out")
    for number in range(plan.batches):
        for column, odd in enumerate(_odd_rows(X[plan.batch_rows(number)])):
            if odd == 1:
                raise LoneRowColumn(
                    f"column {column} differs in one row only of batch {number}: leave it out, or larger batches"
                )


def least_spread(scores: FloatArray, plan: Plan) -> float:
    """Return the smallest standard deviation that scores have in a batch."""
    return min(float(np.std(scores[plan.batch_rows(number)])) for number in range(plan.batches))


def check_start(scores: FloatArray, plan: Plan) -> None:
    """Refuse a guest's first scores that are too even.

    Args:
        scores: (rows,) of the guest's own columns.
        plan: of the job.

    Raises:
        ColdStart: they vary by less than 1 in a batch, or take few values: no column is real-valued.
    """
    spread = least_spread(scores, plan)
    if not spread >= LEAST_SPREAD * (1 - 1e-9):  # rounding, after scaling to exactly 1
        raise ColdStart(
            f"the guest's first scores vary by {spread:.3g} in a batch, at least {LEAST_SPREAD:g} is safe"
        )
    values = min(len(np.unique(scores[plan.batch_rows(number)])) for number in range(plan.batches))
    if values < FEWEST_VALUES:
        raise ColdStart(f"the guest's scores take {values} values: it has no real-valued column")


def _odd_rows(X: FloatArray) -> list[int]:
    """Return, for each column, how many rows differ from its most frequent value."""
    return [len(X) - int(np.unique(column, return_counts=True)[1].max()) for column in X.T]
