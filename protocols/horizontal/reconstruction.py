"""Which model would these parties have made without the others?

Nobody trains again: a coalition's model is put together from what its members sent, averaged as the aggregator
averages. Two ways, after Song, Tong and Wei 2019, "Profit Allocation for Federated Learning":

    by round (MR)       each round alone: the average of the members' updates of that round. A coalition then
                        begins every round with the model that everybody has made.
    the whole job (OR)  the members' steps, added up from the first round's model on. They are steps from models
                        that everybody has made: what the members would have done from their own is not known.

The grand coalition's model is the aggregator's, to the last bit. Sums are taken element by element in one order, so
that everybody who rebuilds a model gets the same bits.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np

from hansa.protocols.horizontal.aggregation import BLOCK
from hansa.protocols.model import Array, FloatArray, all_finite, check_parameters


@dataclass(frozen=True, slots=True, eq=False)
class ClosedRound:
    """What an aggregator held when it closed a round.

    Attributes:
        base: the model that the round began with.
        parties: who sent an update, ascending; at least one.
        updates: the parameters they sent, in that order, laid out like the base.
        rows: how many they trained on, each at least 1.
    """

    base: tuple[Array, ...]
    parties: tuple[str, ...]
    updates: tuple[tuple[Array, ...], ...]
    rows: tuple[int, ...]

    def __post_init__(self) -> None:
        count = len(self.parties)
        if count == 0 or list(self.parties) != sorted(set(self.parties)):
            raise ValueError(f"parties must be distinct and ascending, at least one; got {self.parties}")
        for index, array in enumerate(self.base):
            if array.dtype.kind != "f":
                raise ValueError(f"array {index} of the base is {array.dtype}, not floating")
        if len(self.updates) != count or len(self.rows) != count:
            raise ValueError(f"{len(self.updates)} updates and {len(self.rows)} counts for {count} parties")
        for party, update, rows in zip(self.parties, self.updates, self.rows, strict=True):
            if rows < 1:
                raise ValueError(f"{party}: expected at least 1 row, got {rows}")
            try:
                check_parameters(update, self.base)
            except ValueError as error:
                raise ValueError(f"{party}: {error}") from error


def round_models(closed: ClosedRound, coalitions: Sequence[Iterable[str]]) -> list[tuple[Array, ...]]:
    """Return each coalition's model of one round: the average of its members' updates, weighted by rows.

    A coalition of which nobody sent an update has the base. Each update is read once for all coalitions.

    Args:
        closed: the round; its arrays are not changed.
        coalitions: of any names; who did not take part in the round counts for nothing.

    Returns:
        For each coalition new arrays, laid out like the base.

    Raises:
        ValueError: a coalition's average overflows the arrays' type.

    Source: Song, Tong and Wei 2019, Algorithm 2 (multi-round).
    """
    shares = _shares(closed, coalitions)
    present = np.flatnonzero(shares.any(axis=1))
    models: list[list[Array]] = [[] for _ in shares]
    for index, base in enumerate(closed.base):
        averages = _averages([update[index] for update in closed.updates], shares[present])
        for model in models:
            model.append(base.copy())
        for position, average in zip(present, averages, strict=True):
            models[position][index] = average
    return [_checked(model) for model in models]


def job_models(rounds: Sequence[ClosedRound], coalitions: Sequence[Iterable[str]]) -> list[tuple[Array, ...]]:
    """Return each coalition's model of a whole job: the first base, and its members' steps of every round.

    A step is the average of the members' updates less the round's base. A coalition of which nobody took part in
    a round stays where it is.

    Args:
        rounds: of one job, in order, each beginning with the model that the one before has made.
        coalitions: as in ``round_models``.

    Raises:
        ValueError: no rounds, rounds laid out differently, or a model that overflows.

    Source: Song, Tong and Wei 2019, Algorithm 1 (one-round).
    """
    if not rounds:
        raise ValueError("there are no rounds to rebuild a model from")
    named = [tuple(coalition) for coalition in coalitions]
    start = rounds[0].base
    models: list[list[FloatArray]] = [[np.asarray(each, np.float64) for each in start] for _ in named]
    for number, closed in enumerate(rounds):
        try:
            check_parameters(closed.base, start)
        except ValueError as error:
            raise ValueError(f"round {number} in order: {error}") from error
        averages = round_models(closed, named)
        present = _shares(closed, named).any(axis=1)
        for position in np.flatnonzero(present):
            models[position] = [
                # average + (model − base), the other way round: where the coalition stands at the base, that is
                # the average to the last bit, even where it is −0
                average - (base.astype(np.float64) - model)
                for average, base, model in zip(
                    averages[position], closed.base, models[position], strict=True
                )
            ]
    with np.errstate(over="ignore"):
        typed = [
            [array.astype(base.dtype) for array, base in zip(model, start, strict=True)] for model in models
        ]
    return [_checked(model) for model in typed]


def _shares(closed: ClosedRound, coalitions: Sequence[Iterable[str]]) -> FloatArray:
    """Return (coalitions, parties) weights; a row of zeros if nobody of a coalition took part."""
    shares = np.zeros((len(coalitions), len(closed.parties)))
    for position, coalition in enumerate(coalitions):
        members = frozenset(coalition)
        inside = [index for index, party in enumerate(closed.parties) if party in members]
        total = fsum(closed.rows[index] for index in inside)
        for index in inside:
            shares[position, index] = closed.rows[index] / total
    return shares


def _averages(arrays: Sequence[Array], shares: FloatArray) -> list[Array]:
    """Return the weighted sum of the arrays for each row of shares, block by block, arrays in their order."""
    shape, dtype = arrays[0].shape, arrays[0].dtype
    flat = [np.ascontiguousarray(array).reshape(-1) for array in arrays]
    sums = [np.empty(flat[0].size, dtype) for _ in shares]
    width = max(1, BLOCK // max(1, len(shares)))
    with np.errstate(over="ignore", invalid="ignore"):  # looked for once, in the outcome
        for start in range(0, flat[0].size, width):
            stop = min(start + width, flat[0].size)
            # Whoever is not in a coalition counts 0 times: that adds ±0 and changes no bit but a zero's sign.
            block = np.multiply.outer(shares[:, 0], flat[0][start:stop].astype(np.float64))
            for position, values in enumerate(flat[1:], 1):
                block += np.multiply.outer(shares[:, position], values[start:stop].astype(np.float64))
            for each, row in zip(sums, block, strict=True):
                each[start:stop] = row
    return [each.reshape(shape) for each in sums]


def _checked(model: Sequence[Array]) -> tuple[Array, ...]:
    for index, array in enumerate(model):
        if not all_finite(array):
            raise ValueError(f"array {index} of a coalition's model overflows {array.dtype}")
    return tuple(model)
