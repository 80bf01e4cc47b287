"""What has each contributed, estimated size by size from coalitions' values, and not from what players add?

Shapley's value is a mean over the sizes of coalitions: of what those of a size are worth on average that a
player is in, less what those are worth that it is not in. So every value that was asked for tells something
about every player, where a walk tells each player a single difference. The smallest and the largest
coalitions, few and of the greatest weight each, are asked for completely; of the sizes between them some.

Source: Kolpaczki, Bengs, Muschalik and Hüllermeier 2024, "Approximating the Shapley Value without Marginal
Contributions" (Stratified SVARM), which takes one size at either end. Ours differs in the draw: rotations of
a random order, in which every player is in equally many coalitions of a size, so that no mean is over
nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import ClassVar

from hansa.ledger.contribution.games import Asking, Game, Question, Values
from hansa.ledger.contribution.outcome import Outcome
from hansa.ledger.contribution.sampled import check_count
from hansa.ledger.contribution.stream import Stream
from hansa.ledger.contribution.walks import Order, mean, variances


@dataclass(frozen=True, slots=True)
class Stratified:
    """Means by size. What they lack or exceed the gain by is spread evenly, so that the sum is exact.

    Attributes:
        cycles: of rotations, each of as many orders as there are players; all prefixes of them are asked for.
        ends: coalitions of so many players or fewer, or lacking so many or fewer, are all asked for.
    """

    name: ClassVar[str] = "stratified"
    cycles: int = 2
    ends: int = 2

    def __post_init__(self) -> None:
        check_count("cycles", self.cycles, 1)
        check_count("ends", self.ends, 0)

    def estimate(self, games: tuple[Game, ...], seed: bytes, values: Values) -> Asking[tuple[Outcome, ...]]:
        """Ask for everything of every game at once."""
        drawn = [self._draw(game, seed) for game in games]
        yield from values.need(
            question
            for game, cycles in zip(games, drawn, strict=True)
            for size in range(len(game.players) + 1)
            for question in self._all(game, size)
            or [each for cycle in cycles for each in _cut(game, cycle, size)]
        )
        return tuple(self._outcome(game, cycles, values) for game, cycles in zip(games, drawn, strict=True))

    def _draw(self, game: Game, seed: bytes) -> list[tuple[Order, ...]]:
        if self._middle(game):
            stream = Stream(seed, self.name, game.round)
            return [rotations(stream, game.players) for _ in range(self.cycles)]
        return []

    def _middle(self, game: Game) -> range:
        """Return the sizes that are sampled."""
        return range(self.ends + 1, len(game.players) - self.ends)

    def _all(self, game: Game, size: int) -> list[Question]:
        """Return all coalitions of a size, or nothing if it is one that is sampled."""
        if size in self._middle(game):
            return []
        return [game.question(each) for each in combinations(game.players, size)]

    def _outcome(self, game: Game, cycles: Sequence[tuple[Order, ...]], values: Values) -> Outcome:
        sizes = range(len(game.players) + 1)
        ends = _sum(game, (_difference(game, values, self._all(game, size)) for size in sizes))
        parts = [
            _sum(
                game,
                [ends, *(_difference(game, values, _cut(game, cycle, size)) for size in self._middle(game))],
            )
            for cycle in cycles
        ] or [ends]
        parts = [_levelled(part, values.gain(game)) for part in parts]
        shares = mean(parts)
        orders = tuple(order for cycle in cycles for order in cycle)
        return Outcome(game, shares, variances(parts, shares), permutations=orders)


def rotations(stream: Stream, players: Sequence[str]) -> tuple[Order, ...]:
    """Draw an order and turn it around: everybody is at every place once."""
    order = stream.shuffled(players)
    return tuple(order[start:] + order[:start] for start in range(len(order)))


def _cut(game: Game, orders: Iterable[Order], size: int) -> list[Question]:
    return [game.question(order[:size]) for order in orders]


def _difference(game: Game, values: Values, asked: Sequence[Question]) -> dict[str, Fraction]:
    """Return for each player the mean value of the coalitions it is in less that of the others."""
    differences = {}
    for name in game.players:
        inside = [values[each] for each in asked if name in each.coalition]
        outside = [values[each] for each in asked if name not in each.coalition]
        differences[name] = _mean(inside) - _mean(outside)
    return differences


def _mean(listed: Sequence[Fraction]) -> Fraction:
    """Return the mean, 0 of nothing: nobody is in the empty coalition, and everybody in the grand one."""
    return sum(listed, Fraction(0)) / len(listed) if listed else Fraction(0)


def _sum(game: Game, parts: Iterable[dict[str, Fraction]]) -> dict[str, Fraction]:
    total = dict.fromkeys(game.players, Fraction(0))
    for part in parts:
        total = {name: share + part[name] for name, share in total.items()}
    return total


def _levelled(sums: dict[str, Fraction], gain: Fraction) -> dict[str, Fraction]:
    """Turn sums over the sizes into shares: divide by the players, and spread evenly what is left of the gain."""
    count = len(sums)
    shares = {name: each / count for name, each in sums.items()}
    left = (gain - sum(shares.values(), Fraction(0))) / count
    return {name: share + left for name, share in shares.items()}
