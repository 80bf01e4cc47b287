"""What do a party's own scores give away, where the arbiter sees them? The rounding, and the leak guard for it.

In a valued job the arbiter gets s = Xθ of the rows held out from each party, and everybody gets figures of sums of
these: one for each coalition. Hence

* scores are rounded to a sixteenth of their spread before they are sent, which leaves some six bits a row. With
  more, scores made of a dozen flags would give the flags away: the hidden subset sum problem (Nguyen, Stern 1999);
* two columns at least stand behind them, and none of these alone: of s = xθ the column follows, but for its scale;
* they take as many values as numbers do: few values are few kinds of rows, and say which row is of which kind;
* there are ten rows held out for each coalition there is, and a figure is told to 20 bits, so that all figures
  together tell no more than two bits a row of all that they are made of: what the guard allows of gradients too.

h rows tell h equations in h·k + k unknowns, a party's k columns and their coefficients: for k ≥ 2, whatever columns
somebody thinks of, there are others that give the same scores. A second valued job on the same rows tells h more,
and k of them, at coefficients that differ, all but a linear map of the columns: agents count them.
"""

import math

import numpy as np

from hansa.protocols.model import FloatArray
from hansa.protocols.vertical.errors import BareScores, FewHeldOut
from hansa.protocols.vertical.guard import BITS_PER_ROW, FEWEST_VALUES, STEPS

FIGURE_BITS = 20  # significant ones, of a coalition's figure: six decimal places
ROWS_PER_COALITION = math.ceil(FIGURE_BITS / BITS_PER_ROW)
FEWEST_COLUMNS = 2
# Of the square of our scores, what one column alone may tell: with more, all that it does not tell is less than a
# step of the rounding.
MOST_ALIKE = 1 - STEPS**-2


def check_held_out(rows: int, parties: int) -> None:
    """Refuse to have coalitions valued on too few rows.

    Args:
        rows: held out.
        parties: of the job. A method may ask for every coalition of these.

    Raises:
        FewHeldOut: with the number that would do.
    """
    coalitions = 2**parties
    if rows < ROWS_PER_COALITION * coalitions:
        raise FewHeldOut(
            f"{rows} rows held out: figures of {coalitions} coalitions of {parties} parties take "
            f"{ROWS_PER_COALITION * coalitions}; hold out more, or measure contributions by volume"
        )


def check_own_columns(X: FloatArray) -> None:
    """Refuse columns that no coefficients could hide in their scores; before anything has travelled.

    Args:
        X: (rows held out, columns), without the guest's intercept.

    Raises:
        BareScores: a single column, or rows of few kinds.
    """
    if X.shape[1] < FEWEST_COLUMNS:
        raise BareScores("our own scores would be our one column: measure contributions by volume")
    _check_values(len(np.unique(X, axis=0)), len(X))


def own_scores(X: FloatArray, theta: FloatArray, *, guarded: bool) -> FloatArray:
    """Return what the arbiter gets: Xθ, rounded to a sixteenth of its spread.

    Args:
        X: (rows held out, columns), without the guest's intercept.
        theta: (columns,).
        guarded: whether the leak guard is on.

    Returns:
        (rows held out,) float64.

    Raises:
        BareScores: a column follows from them, or they take few values.
    """
    scores = np.asarray(X @ theta)
    step = float(np.std(scores)) / STEPS
    if step <= math.ulp(float(np.abs(scores).max())):  # equal, but for how they were added up
        return np.full_like(scores, scores.mean())
    steps = np.rint(scores / step)
    if guarded:
        _check_values(len(np.unique(steps)), len(scores))
        _check_likeness(X, scores)
    return np.asarray(steps * step)


def figure(value: float) -> float:
    """Return a figure, far below the largest float, as it is told: to 20 significant bits."""
    fraction, exponent = math.frexp(value)
    return math.ldexp(round(math.ldexp(fraction, FIGURE_BITS)), exponent - FIGURE_BITS)


def _check_values(values: int, rows: int) -> None:
    """Few rows can't take many values: half of them have to differ then."""
    if values < min(FEWEST_VALUES, rows // 2):
        raise BareScores(
            f"our own scores take {values} values in {rows} rows held out, and would tell which row is of which "
            "kind: measure contributions by volume"
        )


def _check_likeness(X: FloatArray, scores: FloatArray) -> None:
    centred, own = X - X.mean(axis=0), scores - scores.mean()
    squares = np.einsum("ij,ij->j", centred, centred)
    alike = (centred.T @ own) ** 2 / np.where(squares > 0, squares, 1.0) / float(own @ own)
    column = int(np.argmax(alike))
    if alike[column] > MOST_ALIKE:
        raise BareScores(
            f"column {column} tells {alike[column]:.1%} of our own scores, and they of it: measure contributions "
            "by volume"
        )
