"""What has each contributed, from all the coalitions that count?

Leave-one-out asks what would be missing without a player. Shapley's value averages what it adds over all
orders in which players may come together, Banzhaf's over all coalitions it may join. Both need all 2^n
coalitions, so that twelve players are the most: 4,096 values.

Sources: Shapley 1953; Banzhaf 1965; Wang and Jia 2023 on Banzhaf's value for data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import factorial
from typing import ClassVar

from hansa.ledger.contribution.games import Asking, Game, Question, Values
from hansa.ledger.contribution.outcome import Outcome

MOST_EXACT = 12


@dataclass(frozen=True, slots=True)
class LeaveOneOut:
    """v(everybody) − v(everybody but one): n + 2 values. Two who bring the same are worth nothing each."""

    name: ClassVar[str] = "leave-one-out"

    def estimate(self, games: tuple[Game, ...], seed: bytes, values: Values) -> Asking[tuple[Outcome, ...]]:
        """Ask for everybody but one, of every game at once."""
        yield from values.need(_without(game, name) for game in games for name in game.players)
        return tuple(
            Outcome(
                game,
                {name: values[game.grand] - values[_without(game, name)] for name in game.players},
                {},
            )
            for game in games
        )


@dataclass(frozen=True, slots=True)
class Shapley:
    """The only value with all four properties: 2^n values."""

    name: ClassVar[str] = "shapley"

    def estimate(self, games: tuple[Game, ...], seed: bytes, values: Values) -> Asking[tuple[Outcome, ...]]:
        """Ask for every coalition of every game."""
        outcomes = []
        for game in games:
            every = coalitions(game, self.name)
            yield from values.need(every)
            outcomes.append(Outcome(game, shapley(game.players, [values[each] for each in every]), {}))
        return tuple(outcomes)


@dataclass(frozen=True, slots=True)
class Banzhaf:
    """What a player adds to a coalition on average, each coalition counting the same: 2^n values."""

    name: ClassVar[str] = "banzhaf"

    def estimate(self, games: tuple[Game, ...], seed: bytes, values: Values) -> Asking[tuple[Outcome, ...]]:
        """Ask for every coalition of every game."""
        outcomes = []
        for game in games:
            every = coalitions(game, self.name)
            yield from values.need(every)
            half = Fraction(2, len(every))
            shares = {
                name: half * sum(values[each] if name in each.coalition else -values[each] for each in every)
                for name in game.players
            }
            outcomes.append(Outcome(game, shares, {}))
        return tuple(outcomes)


def coalitions(game: Game, method: str) -> tuple[Question, ...]:
    """Return a question for every coalition, smaller ones first.

    Raises:
        ValueError: more than ``MOST_EXACT`` players.
    """
    count = len(game.players)
    if count > MOST_EXACT:
        raise ValueError(
            f"{method}: {count} players have 2^{count} = {2**count:,} coalitions; exact results are for at most "
            f"{MOST_EXACT} players. Take a sampled method: permutation, truncated, gtg or banzhaf-sampled"
        )
    return tuple(game.question(each) for each in subsets(game.players))


def subsets(names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return all subsets, smaller ones first, those of one size in the order of the names."""
    return tuple(each for size in range(len(names) + 1) for each in combinations(names, size))


def shapley(players: Sequence[str], worth: Sequence[Fraction]) -> dict[str, Fraction]:
    """Return Shapley's value of every player, exactly.

    A coalition S with a player is met in (|S| − 1)!·(n − |S|)! of all n! orders just after it came, and one
    without it in |S|!·(n − |S| − 1)! just before.

    Args:
        players: n of them.
        worth: (2^n,) values in the order of ``subsets(players)``.
    """
    n = len(players)
    weight = [Fraction(factorial(size) * factorial(n - 1 - size), factorial(n)) for size in range(n)]
    with_player = {name: [Fraction(0)] * (n + 1) for name in players}
    of_size = [Fraction(0)] * (n + 1)
    for coalition, value in zip(subsets(players), worth, strict=True):
        of_size[len(coalition)] += value
        for name in coalition:
            with_player[name][len(coalition)] += value
    shares = {}
    for name, sums in with_player.items():
        gained = sum((weight[size - 1] * sums[size] for size in range(1, n + 1)), Fraction(0))
        missed = sum((weight[size] * (of_size[size] - sums[size]) for size in range(n)), Fraction(0))
        shares[name] = gained - missed
    return shares


def _without(game: Game, name: str) -> Question:
    return game.question(other for other in game.players if other != name)
