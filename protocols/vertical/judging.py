"""What does an epoch's loss mean for training? Pure functions of the losses so far."""

import math
from collections.abc import Mapping, Sequence

from hansa.protocols.vertical.settings import Verdict, VerticalSettings


def verdict(settings: VerticalSettings, before: Sequence[float], loss: float) -> Verdict:
    """Return what follows from an epoch's loss, given those before it."""
    if loss > settings.alarm * min(before, default=math.inf):
        return "distorted"
    losses = (*before, loss)
    stalled = stalled_after(settings, losses)
    if settings.patience and stalled >= settings.patience:
        return "converged"
    if len(losses) >= settings.epochs:
        return "last"
    return "stalled" if stalled else "improved"


def stalled_after(settings: VerticalSettings, losses: Sequence[float]) -> int:
    """Return how many epochs in a row, up to the last, have not improved the least loss before them by ``tol``."""
    stalled, least = 0, math.inf
    for loss in losses:
        stalled = stalled + 1 if loss > least - settings.tol else 0
        least = min(least, loss)
    return stalled


def over_already(settings: VerticalSettings, losses: Sequence[float]) -> bool:
    """Say whether a job that goes on after these epochs has nothing left to train."""
    converged = settings.patience and stalled_after(settings, losses) >= settings.patience
    return bool(converged) or len(losses) >= settings.epochs


def common_start(kept: Mapping[str, Sequence[int]], most: int) -> int | None:
    """Return after how many epochs everybody can go on: the most that all have kept, or None.

    Args:
        kept: by party, after how many epochs it could.
        most: the arbiter's own epochs; it has all before as well.
    """
    common = set.intersection(*map(set, kept.values())) & set(range(most + 1))
    return max(common, default=None)
