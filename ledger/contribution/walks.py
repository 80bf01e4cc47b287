"""What do players add, one after the other, in the orders that were drawn?

Shapley's value is what a player adds on average over all orders; the mean over orders drawn at random
estimates it. Truncation ends a walk once the coalition is worth almost as much as everybody together, and
counts what the rest would have added as nothing.

Orders come in *blocks*, of which each is drawn independently of the others: a single order, an order and its
reverse, or a cycle in which everybody comes first once. Standard errors are taken over blocks, or over the smaller
units that these consist of.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from hansa.ledger.contribution.games import Asking, Game, Question, Values
from hansa.ledger.contribution.outcome import Outcome
from hansa.ledger.contribution.stream import Stream

Order: TypeAlias = tuple[str, ...]
Shares: TypeAlias = Mapping[str, Fraction]
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

    def settled(self, parts: Sequence[Shares], gain: Fraction) -> bool:
        """Whether all standard errors over parts are small enough."""
        if self.error == self.enough == 0:
            return False
        most = max(Fraction(self.error), Fraction(self.enough) * abs(gain))
        spread = variances(parts, mean(parts))
        return bool(spread) and all(each <= most**2 for each in spread.values())


def walk(game: Game, values: Values, stream: Stream, draw: Draw, plan: Walk) -> Asking[Outcome]:
    """Draw blocks of orders, walk through them and average what each player adds.

    Where walks ended early the shares sum to less than the gain, or more, by less than the part `short` of it; they
    are scaled so that they sum to it, and the outcome says by what.
    """
    gain = values.gain(game)
    orders: list[Order] = []
    parts: list[Shares] = []
    drawn = 0
    while drawn < plan.blocks:
        blocks = [draw(stream, game.players) for _ in range(plan.stride(drawn))]
        drawn += len(blocks)
        fresh = [each for block in blocks for each in block]
        added = yield from _added(game, values, fresh, plan.short)
        size = plan.unit if plan.error > 0 else len(blocks[0])
        parts += [mean(added[start : start + size]) for start in range(0, len(added), size)]
        orders += fresh
        if plan.settled(parts, gain):
            break
    shares = mean(parts)
    total = sum(shares.values())
    scale = Fraction(1) if total == gain else gain / total
    return Outcome(
        game,
        {name: scale * share for name, share in shares.items()},
        {name: scale**2 * each for name, each in variances(parts, shares).items()},
        permutations=tuple(orders),
        scale=scale,
    )


def mean(parts: Sequence[Shares]) -> dict[str, Fraction]:
    """Return the mean of each player's share; exact."""
    return {name: sum((part[name] for part in parts), Fraction(0)) / len(parts) for name in parts[0]}


def variances(parts: Sequence[Shares], average: Shares) -> dict[str, Fraction]:
    """Return the variance of each player's mean over independent parts, n − 1 in the denominator.

    Empty for a single part, of which nothing can be said.
    """
    count = len(parts)
    if count < 2:
        return {}
    return {
        name: sum(((part[name] - each) ** 2 for part in parts), Fraction(0)) / (count * (count - 1))
        for name, each in average.items()
    }


def _added(
    game: Game, values: Values, orders: Sequence[Order], short: Fraction
) -> Asking[list[dict[str, Fraction]]]:
    """Walk all orders side by side and return what each player adds in each.

    Without truncation everything is asked at once; with it, one more player in every walk still under way.
    """
    if short == 0:
        yield from values.need(_after(game, order, steps) for order in orders for steps in range(len(order)))
    margin = short * abs(values.gain(game))
    added = [dict.fromkeys(game.players, Fraction(0)) for _ in orders]
    under_way = list(range(len(orders)))
    for step in range(len(game.players)):
        under_way = [
            each
            for each in under_way
            if abs(values[game.grand] - values[_after(game, orders[each], step)]) >= margin
        ]
        yield from values.need(_after(game, orders[each], step + 1) for each in under_way)
        for each in under_way:
            before, after = (_after(game, orders[each], steps) for steps in (step, step + 1))
            added[each][orders[each][step]] = values[after] - values[before]
    return added


def _after(game: Game, order: Order, steps: int) -> Question:
    return game.question(order[:steps])
