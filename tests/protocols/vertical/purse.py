"""A coordinator's bench that values every coalition, with shares computed from Shapley's own formula."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import factorial
from typing import Literal

from hansa.protocols.machine import Valuation, Worth
from hansa.protocols.workbench import BareWorkbench

Coalition = frozenset[str]


def coalitions(players: Sequence[str]) -> Iterator[Coalition]:
    """Yield every subset, that of nobody first."""
    return (frozenset(some) for size in range(len(players) + 1) for some in combinations(players, size))


def shapley(players: Sequence[str], values: Mapping[Coalition, float]) -> dict[str, Fraction]:
    """Return what each adds on average to those before it, over all orders."""
    n, shares = len(players), dict.fromkeys(players, Fraction(0))
    for player in players:
        for before in coalitions([each for each in players if each != player]):
            weight = Fraction(factorial(len(before)) * factorial(n - len(before) - 1), factorial(n))
            shares[player] += weight * (Fraction(values[before | {player}]) - Fraction(values[before]))
    return shares


@dataclass(frozen=True, slots=True)
class Purse(BareWorkbench):
    """Values all coalitions by score or by loss."""

    utility: Literal["score", "loss"] = "score"

    kind = "a purse"

    def appraise(self, number: int, rows: Mapping[str, int], worth: Worth) -> Valuation:
        """Value every coalition, the larger ones first, since the order must not matter."""
        players = tuple(sorted(rows))
        asked = tuple(coalitions(players))[::-1]
        found = worth(asked)
        values = {
            coalition: each.score if self.utility == "score" else -each.loss
            for coalition, each in zip(asked, found, strict=True)
        }
        by_number = {
            sum(1 << place for place, name in enumerate(players) if name in each): value
            for each, value in values.items()
        }
        shares = {
            name: f"{each.numerator}/{each.denominator}" for name, each in shapley(players, values).items()
        }
        order = tuple(sorted(by_number))
        told = tuple(by_number[each] for each in order)
        return Valuation(number, players, tuple(rows[name] for name in players), order, told, shares)
