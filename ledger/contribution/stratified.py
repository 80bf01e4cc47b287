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
from itertools import combinations
from math import comb, lcm
from typing import ClassVar

from hansa.ledger.contribution.games import Asking, Game, Question, Values
from hansa.ledger.contribution.outcome import Effort, Outcome
from hansa.ledger.contribution.sampled import check_count
from hansa.ledger.contribution.stream import Stream
from hansa.ledger.contribution.walks import Order, Parts


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

    def effort(self, players: int) -> Effort:
        """Return what a round takes at most."""
        middle = self._middle(players)
        whole = sum(comb(players, size) for size in range(players + 1) if size not in middle)
        cycles = self.cycles if middle else 0
        return Effort(min(2**players, whole + cycles * players * len(middle)), cycles * players)

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
        if self._middle(len(game.players)):
            stream = Stream(seed, self.name, game.round)
            return [rotations(stream, game.players) for _ in range(self.cycles)]
        return []

    def _middle(self, players: int) -> range:
        """Return the sizes that are sampled."""
        return range(self.ends + 1, players - self.ends)

    def _all(self, game: Game, size: int) -> list[Question]:
        """Return all coalitions of a size, or nothing if it is one that is sampled."""
        if size in self._middle(len(game.players)):
            return []
        return [game.question(each) for each in combinations(game.players, size)]

    def _outcome(self, game: Game, cycles: Sequence[tuple[Order, ...]], values: Values) -> Outcome:
        count = len(game.players)
        middle = self._middle(count)
        ends = [self._all(game, size) for size in range(count + 1)]
        ruler = _Ruler(game, values, ends, [_cut(game, each, size) for each in cycles for size in middle])
        whole = ruler.summed(ends)
        parts = Parts(game.players)
        for cycle in cycles or ((),):
            sampled = ruler.summed([_cut(game, cycle, size) for size in middle] if cycle else [])
            sums = [one + other for one, other in zip(whole, sampled, strict=True)]
            parts.add(*ruler.levelled(sums))
        orders = tuple(order for cycle in cycles for order in cycle)
        return Outcome(game, parts.mean(), parts.variances(), permutations=orders)


class _Ruler:
    """Means by size, as whole numbers over one denominator for a game.

    Args:
        of_a_size: lists of questions about coalitions of one size, in which every player is equally often.
    """

    def __init__(self, game: Game, values: Values, *of_a_size: Sequence[Sequence[Question]]) -> None:
        self._game = game
        self._count = len(game.players)
        asked = tuple({each for lists in of_a_size for listed in lists for each in listed})
        whole, self._below = values.whole((*asked, game.grand, game.empty))
        self._gain = whole[-2] - whole[-1]
        self._worth = dict(zip(asked, whole, strict=False))
        self._parts = lcm(
            *(
                each
                for lists in of_a_size
                for listed in filter(None, lists)
                for each in self._sides(listed)
                if each
            )
        )

    def _sides(self, listed: Sequence[Question]) -> tuple[int, int]:
        """Return how many of these coalitions a player is in, and in how many it is not."""
        inside = len(listed) * len(listed[0].coalition) // self._count
        return inside, len(listed) - inside

    def summed(self, lists: Sequence[Sequence[Question]]) -> list[int]:
        """Return for each player the mean value of coalitions it is in less that of the others, over all sizes.

        The mean of nothing is 0: nobody is in the empty coalition, and everybody in the grand one.
        """
        sums = [0] * self._count
        for listed in filter(None, lists):
            worth = [self._worth[each] for each in listed]
            total, (inside, outside) = sum(worth), self._sides(listed)
            with_it, without = (self._parts // each if each else 0 for each in (inside, outside))
            for place, name in enumerate(self._game.players):
                own = sum(value for value, each in zip(worth, listed, strict=True) if name in each.coalition)
                sums[place] += own * with_it - (total - own) * without
        return sums

    def levelled(self, sums: Sequence[int]) -> tuple[list[int], int]:
        """Turn sums over the sizes into shares: divide by the players, and spread evenly what is left of the gain.

        Returns:
            The shares, and the denominator of them all.
        """
        count = self._count
        left = count * self._gain * self._parts - sum(sums)
        return [count * each + left for each in sums], count * count * self._parts * self._below


def rotations(stream: Stream, players: Sequence[str]) -> tuple[Order, ...]:
    """Draw an order and turn it around: everybody is at every place once."""
    order = stream.shuffled(players)
    return tuple(order[start:] + order[:start] for start in range(len(order)))


def _cut(game: Game, orders: Iterable[Order], size: int) -> list[Question]:
    return [game.question(order[:size]) for order in orders]
