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
from typing import ClassVar, TypeVar

from hansa.ledger.contribution.games import Asking, Game, Question, Values
from hansa.ledger.contribution.outcome import Effort, Outcome

MOST_EXACT = 12
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LeaveOneOut:
    """v(everybody) − v(everybody but one): n + 2 values. Two who bring the same are worth nothing each."""

    name: ClassVar[str] = "leave-one-out"

    def effort(self, players: int) -> Effort:
        """Return what a round takes at most."""
        return Effort(min(2**players, players + 2))

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

    def effort(self, players: int) -> Effort:
        """Return what a round takes at most."""
        return Effort(2**players)

    def estimate(self, games: tuple[Game, ...], seed: bytes, values: Values) -> Asking[tuple[Outcome, ...]]:
        """Ask for every coalition of every game."""
        outcomes = []
        for game in games:
            every = coalitions(game, self.name)
            yield from values.need(every)
            worth, denominator = values.whole(every)
            outcomes.append(Outcome(game, shapley(game.players, worth, denominator), {}))
        return tuple(outcomes)


@dataclass(frozen=True, slots=True)
class Banzhaf:
    """What a player adds to a coalition on average, each coalition counting the same: 2^n values."""

    name: ClassVar[str] = "banzhaf"

    def effort(self, players: int) -> Effort:
        """Return what a round takes at most."""
        return Effort(2**players)

    def estimate(self, games: tuple[Game, ...], seed: bytes, values: Values) -> Asking[tuple[Outcome, ...]]:
        """Ask for every coalition of every game."""
        outcomes = []
        for game in games:
            every = coalitions(game, self.name)
            yield from values.need(every)
            worth, denominator = values.whole(every)
            outcomes.append(Outcome(game, _banzhaf(game.players, worth, denominator), {}))
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


def subsets(names: Sequence[T]) -> tuple[tuple[T, ...], ...]:
    """Return all subsets, smaller ones first, those of one size in the order of the names."""
    return tuple(each for size in range(len(names) + 1) for each in combinations(names, size))


def shapley(players: Sequence[str], worth: Sequence[int], denominator: int) -> dict[str, Fraction]:
    """Return Shapley's value of every player, exactly.

    A coalition S with a player is met in (|S| − 1)!·(n − |S|)! of all n! orders just after it came, and one
    without it in |S|!·(n − |S| − 1)! just before.

    Args:
        players: n of them.
        worth: (2^n,) values in the order of ``subsets(players)``, over one denominator.
        denominator: of all of them.
    """
    n = len(players)
    weight = [factorial(size) * factorial(n - 1 - size) for size in range(n)]  # of n! orders
    inside = [[0] * n for _ in range(n + 1)]  # sums by size and player
    of_size = [0] * (n + 1)
    for coalition, value in zip(subsets(range(n)), worth, strict=True):
        size = len(coalition)
        of_size[size] += value
        sums = inside[size]
        for player in coalition:
            sums[player] += value
    whole = [0] * n
    for size in range(n):
        for player in range(n):
            added = inside[size + 1][player] - (of_size[size] - inside[size][player])
            whole[player] += weight[size] * added
    orders = factorial(n) * denominator
    return {name: Fraction(share, orders) for name, share in zip(players, whole, strict=True)}


def _banzhaf(players: Sequence[str], worth: Sequence[int], denominator: int) -> dict[str, Fraction]:
    """Return Banzhaf's value of every player, exactly; arguments as of ``shapley``."""
    inside = [0] * len(players)
    for coalition, value in zip(subsets(range(len(players))), worth, strict=True):
        for player in coalition:
            inside[player] += value
    all_of_them, half = sum(worth), denominator * (len(worth) // 2)
    return {name: Fraction(2 * sums - all_of_them, half) for name, sums in zip(players, inside, strict=True)}


def _without(game: Game, name: str) -> Question:
    return game.question(other for other in game.players if other != name)
