"""What do players add, one after the other, in the orders that were drawn?

Shapley's value is what a player adds on average over all orders; the mean over orders drawn at random
estimates it. Truncation ends a walk once the coalition is worth almost as much as everybody together, and
counts what the rest would have added as nothing.

Orders come in *blocks*, of which each is drawn independently of the others: a single order, an order and its
reverse, or a cycle in which everybody comes first once. Standard errors are taken over blocks, or over the smaller
units that these consist of.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import TypeAlias

from hansa.ledger.contribution.games import Asking, Game, Question, Values
from hansa.ledger.contribution.outcome import Effort, Outcome
from hansa.ledger.contribution.stream import Stream

Order: TypeAlias = tuple[str, ...]
Draw: TypeAlias = Callable[[Stream, Sequence[str]], Sequence[Order]]
"""Draws a block of orders of these players."""

# Whether enough was drawn is looked at after so many blocks, and again after as many more: the variance of fewer
# says little, and a batch of questions should keep several processors busy.
STRIDE = 8


@dataclass(frozen=True, slots=True)
class Walk:
    """How far walks go, and how many.

    Attributes:
        blocks: at most so many.
        short: a walk ends where less than this part of the gain is missing, in [0, 1); 0 walks to the end.
        enough: no more blocks are drawn once every standard error is at most this part of the gain; 0 draws all.
        error: likewise once it is at most this much, in the utility's unit; looked at after every block. Standard
            errors are then over units, not over blocks: a single block has enough of them.
        unit: orders, one after the other in a block, that make a unit.
    """

    blocks: int
    short: Fraction
    enough: float
    error: float = 0.0
    unit: int = 1

    def stride(self, drawn: int) -> int:
        """Return how many blocks to draw before standard errors are looked at, after so many."""
        if self.error > 0:
            return 1
        return min(STRIDE, self.blocks - drawn) if self.enough > 0 else self.blocks

    def settled(self, parts: "Parts", gain: Fraction) -> bool:
        """Whether all standard errors over parts are small enough."""
        if self.error == self.enough == 0:
            return False
        most = max(Fraction(self.error), Fraction(self.enough) * abs(gain))
        spread = parts.variances()
        return bool(spread) and all(each <= most**2 for each in spread.values())


def walk(game: Game, values: Values, stream: Stream, draw: Draw, plan: Walk) -> Asking[Outcome]:
    """Draw blocks of orders, walk through them and average what each player adds.

    Where walks ended early the shares sum to less than the gain, or more, by less than the part `short` of it; they
    are scaled so that they sum to it, and the outcome says by what.
    """
    gain = values.gain(game)
    orders: list[Order] = []
    parts = Parts(game.players)
    drawn = 0
    while drawn < plan.blocks:
        blocks = [draw(stream, game.players) for _ in range(plan.stride(drawn))]
        drawn += len(blocks)
        fresh = [each for block in blocks for each in block]
        added, denominator = yield from _added(game, values, fresh, plan.short)
        size = plan.unit if plan.error > 0 else len(blocks[0])
        for start in range(0, len(added), size):
            unit = added[start : start + size]
            parts.add([sum(each) for each in zip(*unit, strict=True)], denominator * len(unit))
        orders += fresh
        if plan.settled(parts, gain):
            break
    shares = parts.mean()
    total = sum(shares.values(), Fraction(0))
    scale = Fraction(1) if total == gain else gain / total
    return Outcome(
        game,
        {name: scale * share for name, share in shares.items()},
        {name: scale**2 * each for name, each in parts.variances().items()},
        permutations=tuple(orders),
        scale=scale,
    )


def effort_of_walks(players: int, orders: int) -> Effort:
    """Return what walks in so many orders take at most: coalitions of all sizes between nobody and everybody.

    Of one player, and of all but one, there are as many coalitions as players.
    """
    ends = min(players - 1, 2) * min(players, orders)
    return Effort(min(2**players, 2 + ends + max(players - 3, 0) * orders), orders)


class Parts:
    """Independent estimates of all players' shares: their mean, and how far it may lie off. All of it exact.

    Sums are kept as whole numbers over one denominator, since a fraction cancels at each step.
    """

    def __init__(self, players: Sequence[str]) -> None:
        self._players = tuple(players)
        self._denominator = 1
        self._sums = [0] * len(self._players)
        self._squares = [0] * len(self._players)
        self.count = 0

    def add(self, whole: Sequence[int], denominator: int) -> None:
        """Take one more estimate: a number for each player, over a denominator of them all."""
        common = lcm(self._denominator, denominator)
        before, now = common // self._denominator, common // denominator
        if before != 1:
            self._sums = [before * each for each in self._sums]
            self._squares = [before * before * each for each in self._squares]
        self._denominator = common
        for place, each in enumerate(whole):
            self._sums[place] += now * each
            self._squares[place] += (now * each) ** 2
        self.count += 1

    def mean(self) -> dict[str, Fraction]:
        """Return the mean of each player's share."""
        below = self.count * self._denominator
        return {name: Fraction(each, below) for name, each in zip(self._players, self._sums, strict=True)}

    def variances(self) -> dict[str, Fraction]:
        """Return the variance of each player's mean, n − 1 in the denominator.

        Empty for a single part, of which nothing can be said.
        """
        count = self.count
        if count < 2:
            return {}
        below = count * count * (count - 1) * self._denominator**2
        return {
            name: Fraction(count * squares - each * each, below)
            for name, each, squares in zip(self._players, self._sums, self._squares, strict=True)
        }


class _Walked:
    """An order, what is asked on the way, and how far it was walked."""

    __slots__ = ("order", "questions", "steps")

    def __init__(self, game: Game, order: Order) -> None:
        self.order = order
        self.questions = [game.question(order[:steps]) for steps in range(len(order) + 1)]
        self.steps = len(order)


def _added(
    game: Game, values: Values, orders: Sequence[Order], short: Fraction
) -> Asking[tuple[list[list[int]], int]]:
    """Walk all orders side by side, and return what each player adds in each, over one denominator, and that."""
    walks = [_Walked(game, order) for order in orders]
    if short == 0:
        yield from values.need(question for each in walks for question in each.questions)
    else:
        yield from _walk_until(game, values, walks, short)
    asked = tuple({each for walked in walks for each in walked.questions[: walked.steps + 1]})
    whole, denominator = values.whole(asked)
    worth = dict(zip(asked, whole, strict=True))
    place = {name: number for number, name in enumerate(game.players)}
    added = []
    for walked in walks:
        sums = [0] * len(place)
        met = [worth[each] for each in walked.questions[: walked.steps + 1]]
        for name, before, after in zip(walked.order, met, met[1:], strict=False):
            sums[place[name]] = after - before
        added.append(sums)
    return added, denominator


def _walk_until(game: Game, values: Values, walks: Sequence[_Walked], short: Fraction) -> Asking[None]:
    """Ask for one more player in every walk still under way, and end those where little is missing."""
    grand, margin = values[game.grand], short * abs(values.gain(game))
    near: dict[Question, bool] = {}
    going = list(walks)
    for step in range(len(game.players)):
        for each in going:
            reached = each.questions[step]
            if reached not in near:
                near[reached] = abs(grand - values[reached]) < margin
            if near[reached]:
                each.steps = step
        going = [each for each in going if each.steps > step]
        yield from values.need(each.questions[step + 1] for each in going)
