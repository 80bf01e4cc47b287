"""Who earned which part, and how is a pot split without losing a cent?

Shares are exact fractions; money is integers in minor units. For now a party's share is its part of the
rows trained on. Estimators that ask what a coalition's model is worth take a `Value`; whoever calls them
trains and scores the coalitions.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction

Value = Callable[[frozenset[str]], float]
"""What a model trained by exactly these parties is worth, in the utility's unit; `value(frozenset())` is the
worth of having no model. Must be the same at every call, or nobody can recompute the shares."""


def volume_shares(rows: Mapping[str, int]) -> dict[str, Fraction]:
    """Return each party's part of all rows, in the order given; the parts sum to exactly 1.

    Args:
        rows: rows trained on, by party; at least one of them positive.

    Raises:
        ValueError: nobody, a negative count, or no rows at all.
    """
    total = _total(rows)
    return {party: Fraction(count) / total for party, count in rows.items()}


def largest_remainder(pot_minor: int, weights: Mapping[str, int | Fraction]) -> dict[str, int]:
    """Split a pot by weight into whole minor units that sum to the pot exactly.

    Everyone gets the whole units of its exact part; the units left over go one each to the largest remainders
    (Hamilton's method). Equal remainders go by name, so that everyone computes the same split.

    Args:
        pot_minor: what to split, >= 0, in minor units (cents, say).
        weights: >= 0 by party, at least one of them positive; only their ratios matter.

    Returns:
        Minor units by party, in the order of `weights`; each within one unit of its exact part.

    Raises:
        ValueError: a negative pot, nobody to pay, a negative weight, or no positive weight.
    """
    if pot_minor < 0:
        raise ValueError(f"expected a pot >= 0, got {pot_minor}")
    total = _total(weights)
    exact = {party: pot_minor * Fraction(weight) / total for party, weight in weights.items()}
    amounts = {party: int(part) for party, part in exact.items()}
    left = pot_minor - sum(amounts.values())
    by_remainder = sorted(exact, key=lambda party: (amounts[party] - exact[party], party))
    for party in by_remainder[:left]:
        amounts[party] += 1
    return amounts


def _total(weights: Mapping[str, int | Fraction]) -> Fraction:
    for party, weight in weights.items():
        if weight < 0:
            raise ValueError(f"expected weights >= 0, got {weight} for {party}")
    total = sum(map(Fraction, weights.values()), Fraction(0))
    if total == 0:
        raise ValueError(f"no positive weight among {len(weights)} parties")
    return total
