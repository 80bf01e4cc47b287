"""What would the other methods have made of a job whose coalitions' values are all on the ledger?

A job that was measured exactly has put the worth of every coalition there. Every other method asks for some of
these, so that what it would have said follows from the ledger alone, drawn from the job's own seed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from statistics import fmean

from hansa.ledger.contribution.chosen import VOLUME, Chosen, estimated
from hansa.ledger.contribution.exact import Shapley
from hansa.ledger.jobs import CoalitionsValued
from hansa.ledger.shares import volume_shares

UTILITY = "score"  # or "loss": the values are what they are


@dataclass(frozen=True, slots=True)
class Compared:
    """What one method says, beside exact Shapley.

    Attributes:
        name: of `contribution.METHODS`.
        shares: by party, in the utility's unit, over all rounds; exact.
        error: the largest difference of any party's share from its Shapley value, as a part of the whole gain.
        rank: Spearman's correlation with the Shapley values; 0 where all of either are equal.
        values: how many coalitions' values it has asked for, over all rounds.
        of: how many there are.
    """

    name: str
    shares: Mapping[str, Fraction]
    error: float
    rank: float
    values: int
    of: int


def compare(rounds: Sequence[CoalitionsValued], seed: bytes, hows: Iterable[Chosen]) -> tuple[Compared, ...]:
    """Return what methods make of the same rounds: exact Shapley first, then each of `hows`, volume last.

    Volume is the rows' part of what was gained in each round.

    Args:
        rounds: with the values of all coalitions of their players, as a job measured by `shapley` leaves them.
        seed: (32,) of the job, `chosen.seed_of`.
        hows: methods, each with its own settings.

    Raises:
        BadValue: a coalition's value is missing that a method asks for.
        ValueError: there are no rounds, nothing was gained that errors could be a part of, or players that a method
            can't serve.
    """
    if not rounds:
        raise ValueError("there are no rounds whose coalitions were valued")
    exact = _said(Chosen(Shapley.name, UTILITY), rounds, seed)
    gain = sum(exact.shares.values(), Fraction(0))  # Shapley's values sum to it
    if gain == 0:
        raise ValueError("nothing was gained over these rounds, so that no error is a part of it")
    said = (exact, *(_said(how, rounds, seed) for how in hows), _by_volume(rounds))
    return tuple(
        Compared(
            each.name,
            each.shares,
            float(max(abs(share - exact.shares[name]) for name, share in each.shares.items()) / abs(gain)),
            spearman([*each.shares.values()], [exact.shares[name] for name in each.shares]),
            each.values,
            exact.values,
        )
        for each in said
    )


def spearman(one: Sequence[Fraction], other: Sequence[Fraction]) -> float:
    """Return the correlation of ranks; who is equal has the mean of the ranks. 0 if either are all equal."""
    ours, theirs = _ranks(one), _ranks(other)
    middle = fmean(ours)  # of both: ranks of equally many
    spread = sum((each - middle) ** 2 for each in ours) * sum((each - middle) ** 2 for each in theirs)
    if spread == 0:
        return 0.0
    return sum((a - middle) * (b - middle) for a, b in zip(ours, theirs, strict=True)) / sqrt(spread)


@dataclass(frozen=True, slots=True)
class _Said:
    name: str
    shares: Mapping[str, Fraction]
    values: int


def _said(how: Chosen, rounds: Sequence[CoalitionsValued], seed: bytes) -> _Said:
    """Measure each round by itself, as jobs do."""
    found = [estimated(how, seed, body) for body in rounds]
    return _Said(how.name, _summed(each.shares for each in found), sum(each.evaluations for each in found))


def _by_volume(rounds: Sequence[CoalitionsValued]) -> _Said:
    parts = []
    for body in rounds:
        gain = Fraction(body.values[-1]) - Fraction(
            body.values[0]
        )  # everybody's is the last, nobody's the first
        parts.append(
            {
                name: part * gain
                for name, part in volume_shares(dict(zip(body.players, body.rows, strict=True))).items()
            }
        )
    return _Said(VOLUME, _summed(parts), 0)


def _summed(parts: Iterable[Mapping[str, Fraction]]) -> dict[str, Fraction]:
    total: dict[str, Fraction] = {}
    for part in parts:
        for name, share in part.items():
            total[name] = total.get(name, Fraction(0)) + share
    return dict(sorted(total.items()))


def _ranks(values: Sequence[Fraction]) -> list[float]:
    return [
        sum(other < each for other in values) + sum(other == each for other in values) / 2 for each in values
    ]
