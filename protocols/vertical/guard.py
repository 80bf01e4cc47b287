"""Would a gradient give single rows away? The leak guard: checks that each party makes on its own rows.

A party sees its own gradient Xᵀd of every batch in the clear: for each of its columns one equation about the
batch's residuals, d = slope·(u of everybody) − labels. It knows its own part of u, so what hides the labels is what
the others add, and that there are more rows than equations. Hence

* the guest starts from random coefficients, with scores that are spread by as much as its labels, and never lets
  them shrink to nothing: where they are 0, lattice reduction finds all labels from one gradient;
* a batch has at least 256 rows, and four for each column of whoever has most;
* nobody has so many more columns than all others together that it could subtract what they add. Over the epochs
  others' scores move within as many dimensions as they have columns. A party with more finds out, from the
  differences between its gradients, in which; what it sees in the rest is labels alone, as at 0;
* no column, and no combination of columns, is about a single row, or a column about a handful.

What lattices find is numbers of few values, labels and flags, and only if equations tell bits enough about them:
``BITS_PER_ROW``.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from hansa.protocols.model import BoolArray, FloatArray
from hansa.protocols.vertical.batches import Plan
from hansa.protocols.vertical.errors import (
    ColdStart,
    ConstantColumn,
    DependentColumn,
    GoneCold,
    LoneRowColumn,
    OutlyingRow,
    Outnumbered,
    SmallBatch,
)

FEWEST_ROWS = 256
ROWS_PER_COLUMN = 4
LEAST_SPREAD = 1.0
# The guest's scores, in steps of a sixteenth of their spread, must not take so few values that a residual still
# tells the label.
FEWEST_VALUES, STEPS = 32, 16
# From a sum over fewer residuals, whoever guesses how many of their labels are which is right two times in three:
# the guest's scores then blur it by ½ at most, where the sums are 1 apart.
FEWEST_ODD_ROWS = 5
# Of the square of any combination of columns, no row may hold more; 1 is a combination of that row alone.
MOST_LEVERAGE = 0.95
# From n rows a party may learn so many bits a row, as bits of equations go. From one bit on, labels are determined,
# but at 256 rows and more it takes some four until reduction finds them (Hermite factor 1.01), and what is between
# is for labels of which most are alike.
BITS_PER_ROW = 2.0
# An encrypted score is rounded; its equation holds a little more than its fractional bits.
BITS_BEYOND = 2
# Columns are scaled to length 1 before they are compared; what is left of one then is rounding.
TINY = 1e-9
BLOCK = 2**16  # rows looked at together


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


def check_balance(plan: Plan, columns: Mapping[str, int], score_bits: int) -> None:
    """Refuse a party that can subtract what all others add, and then has equations enough about few-valued numbers.

    Batches of one epoch meet the others' coefficients within a step of each other, so that they share the
    dimensions in which these hide.

    Args:
        plan: of the job.
        columns: by party, the guest's intercept included.
        score_bits: fractional bits of scores, to which an equation is exact.

    Raises:
        Outnumbered: with the rows that would do.
    """
    for party, own in columns.items():
        others = sum(columns.values()) - own
        least = math.ceil((own - others / plan.batches) * (score_bits + BITS_BEYOND) / BITS_PER_ROW)
        if plan.size(0) < least:
            raise Outnumbered(
                f"{party} has {own} columns, all others together {others}: over the epochs it could tell labels "
                f"from scores, unless a batch has {least} rows; this one has {plan.size(0)}"
            )


def check_columns(X: FloatArray, plan: Plan) -> None:
    """Refuse columns whose gradient is about a few rows, or about all alike, and those that hide nothing.

    Args:
        X: (rows, columns).
        plan: its batches are looked at one by one. A column may be constant in one: its gradient there is the
            residuals' sum, an equation like others.

    Raises:
        ConstantColumn, DependentColumn, LoneRowColumn, OutlyingRow: with the column, counted from 0.
    """
    (constant,) = np.nonzero(X.max(axis=0) == X.min(axis=0))
    if constant.size:
        raise ConstantColumn(f"column {constant[0]} has no variance: leave it out")
    leftover = np.abs(np.diag(_triangle(_blocks(X, _lengths(X)))))
    if leftover.min() < TINY:
        raise DependentColumn(
            f"column {int(np.argmin(leftover))} follows from those before it, and hides nothing: leave it out"
        )
    for number in range(plan.batches):
        batch = X[plan.batch_rows(number)]
        _check_handfuls(batch, number)
        _check_leverage(batch, number)


def leverages(X: FloatArray) -> FloatArray:
    """Return how much of the square of the combination that favours it most each row holds, (rows,) in [0, 1].

    A constant counts as a column: a residuals' sum is known where the guest's intercept has converged.

    Args:
        X: (rows, columns); columns may depend on each other.

    Source: Hoaglin and Welsch 1978, "The Hat Matrix in Regression and ANOVA".
    """
    lengths, rotation = _rotation(X)
    return np.concatenate([((block @ rotation) ** 2).sum(axis=1) for block in _with_constant(X, lengths)])


def spread(scores: FloatArray) -> float:
    """Return the standard deviation, or half the width of the middle two thirds where that is less.

    A few rows far out drive the former up, and hide nothing about the others. Normal scores have both alike.
    """
    low, high = np.quantile(scores, (0.1587, 0.8413))
    return min(float(np.std(scores)), float(high - low) / 2)


def least_spread(scores: FloatArray, plan: Plan) -> float:
    """Return the smallest spread that scores have in a batch."""
    return min(spread(scores[plan.batch_rows(number)]) for number in range(plan.batches))


def needed_spread(targets: FloatArray, plan: Plan) -> float:
    """Return the spread that hides such labels: at least 1, and the targets' largest standard deviation in a batch.

    Args:
        targets: (rows,), the guest's; −1 and +1 in a logistic job, which 1 is for.
        plan: of the job.
    """
    return max(_needed(targets[plan.batch_rows(number)]) for number in range(plan.batches))


def check_start(scores: FloatArray, plan: Plan, needed: float = LEAST_SPREAD) -> None:
    """Refuse a guest's first scores that are too even.

    Args:
        scores: (rows,) of the guest's own columns.
        plan: of the job.
        needed: see `needed_spread`.

    Raises:
        ColdStart: they are spread by less in a batch, or take few values: no column is real-valued.
    """
    found = least_spread(scores, plan)
    if not found >= needed * (1 - 1e-9):  # rounding, after scaling to exactly that
        raise ColdStart(
            f"the guest's first scores vary by {found:.3g} in a batch, at least {needed:.3g} is safe"
        )
    values = min(_values(scores[plan.batch_rows(number)]) for number in range(plan.batches))
    if values < FEWEST_VALUES:
        raise ColdStart(f"the guest's scores take {values} values: it has no real-valued column that counts")


def check_scores(scores: FloatArray, targets: FloatArray, widest: int, score_bits: int) -> None:
    """Refuse to go on with a guest's scores that hide its labels no more.

    Scores may well become less spread than they were at first. An equation then tells more; what matters is how
    many there are.

    Args:
        scores: (rows of a batch,) of the guest's own columns.
        targets: (rows of the batch,), the guest's.
        widest: the columns of the host that has most.
        score_bits: fractional bits of scores.

    Raises:
        GoneCold: with the columns that a host may have at such a spread.
    """
    found, most = spread(scores), float(score_bits + BITS_BEYOND)
    bits = min(most, math.log2(1 + 2 * _needed(targets) / found)) if found > 0 else most
    if widest * bits > BITS_PER_ROW * len(scores):
        raise GoneCold(
            f"the guest's scores vary by no more than {found:.3g} in a batch of {len(scores)} rows: this is safe "
            f"with {int(BITS_PER_ROW * len(scores) / bits)} columns at a host, not with {widest}"
        )


def _needed(targets: FloatArray) -> float:
    return max(LEAST_SPREAD, float(np.std(targets)))


def _values(scores: FloatArray) -> int:
    step = spread(scores) / STEPS
    return len(np.unique(np.rint(scores / step) if step > 0 else scores))


def _check_handfuls(batch: FloatArray, number: int) -> None:
    """Look for columns that differ from their most frequent value in a few rows, and for pairs of flags."""
    flags = []
    for column, values in enumerate(batch.T):
        # The value of more than half the rows, if there is one, is in the middle of them all.
        common = np.partition(values, len(values) // 2)[len(values) // 2]
        odd = int(np.count_nonzero(values != common))
        if 0 < odd < FEWEST_ODD_ROWS:
            rows = "one row" if odd == 1 else f"{odd} rows"
            raise LoneRowColumn(
                f"column {column} differs in {rows} only of batch {number}: leave it out, or larger batches"
            )
        if odd and ((values == values.min()) | (values == values.max())).all():
            flags.append(column)
    for one, other in _nearly_alike(batch[:, flags]):
        raise LoneRowColumn(
            f"columns {flags[one]} and {flags[other]} say the same but for a few rows of batch {number}: "
            f"leave one out"
        )


def _nearly_alike(flags: FloatArray) -> list[list[int]]:
    """Return pairs of columns of two values each that agree, or disagree, in all but a few rows."""
    highest, together = flags.max(axis=0), np.zeros((flags.shape[1], flags.shape[1]))
    for at in range(0, len(flags), BLOCK):
        ones = (flags[at : at + BLOCK] == highest).astype(np.float64)
        together += ones.T @ ones
    counts = np.diag(together)
    differ = counts[:, None] + counts - 2 * together
    few = np.minimum(differ, len(flags) - differ)
    pairs: list[list[int]] = np.argwhere(np.triu((few > 0) & (few < FEWEST_ODD_ROWS), 1)).tolist()
    return pairs


def _check_leverage(batch: FloatArray, number: int) -> None:
    found = leverages(batch)
    row = int(np.argmax(found))
    if found[row] > MOST_LEVERAGE:
        lengths, rotation = _rotation(batch)
        (single,) = _with_constant(batch[row : row + 1], lengths)
        weights = np.abs(rotation @ (single @ rotation)[0])[1:]
        raise OutlyingRow(
            f"columns of batch {number}, above all {int(np.argmax(weights))}, add up to {found[row]:.0%} of a "
            f"single row: leave the column out, bound its values, or larger batches"
        )


def _lengths(X: FloatArray) -> FloatArray:
    """Return the columns' lengths, (columns,); 1 for a column of zeros."""
    lengths: FloatArray = np.sqrt(np.einsum("ij,ij->j", X, X))
    return np.where(lengths > 0, lengths, 1.0)


def _rotation(X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the lengths of a constant and the columns, and what makes them orthonormal, (columns + 1, rank)."""
    lengths = np.append(math.sqrt(len(X)), _lengths(X))
    _, weights, directions = np.linalg.svd(_triangle(_with_constant(X, lengths)))
    kept: BoolArray = weights > TINY
    return lengths, directions[: len(weights)][kept].T / weights[kept]


def _blocks(X: FloatArray, lengths: FloatArray) -> Iterator[FloatArray]:
    """Yield X / lengths, some rows at a time, so that there is never a second copy of all."""
    return (X[at : at + BLOCK] / lengths for at in range(0, len(X), BLOCK))


def _with_constant(X: FloatArray, lengths: FloatArray) -> Iterator[FloatArray]:
    """Yield the same with a column of ones before X."""
    parts = (X[at : at + BLOCK] for at in range(0, len(X), BLOCK))
    return (np.column_stack([np.ones(len(part)), part]) / lengths for part in parts)


def _triangle(blocks: Iterable[FloatArray]) -> FloatArray:
    """Return the triangular factor of what the blocks are together."""
    ahead = iter(blocks)
    factor = next(ahead)
    for block in itertools.chain([factor[:0]], ahead):
        factor = np.asarray(np.linalg.qr(np.vstack([factor, block]), mode="r"))
    return factor
