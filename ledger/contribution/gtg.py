"""What has each contributed over many rounds, without much asking where little was gained?

GTG-Shapley (Liu, Chen, Yu, Liu and Cui 2022, "GTG-Shapley: Efficient and Accurate Participant Contribution
Evaluation in Federated Learning") samples permutations of each round's updates, and saves in three ways:
rounds that gained hardly anything are skipped, walks end where little is missing, and orders are *guided*, so
that in each cycle of n orders everybody comes first once.

Where the paper gives its thresholds in the utility's unit we take parts of what was gained, so that settings
mean the same for accuracies and for losses; and the shares of a round are scaled so that they sum to its
gain. The paper stops when estimates change little; `error` stops when their standard errors are small, in the
utility's unit: most of a job's error is that of its first rounds, and cycles are better spent there.

A cycle's orders are guided in who comes first; how the others follow is free. *Circles* use that freedom: all
players in a circle, walked from everyone on, both ways. What both ways meet are the same n(n − 1) arcs of the
circle, so that 2n orders cost as many values as n, and everybody is in every place equally often. Circles come in
sets in which any two players are neighbours once (Walecki's, in Lucas 1883, "Récréations mathématiques"): whoever
comes first has everybody in second place before long, and it is the first places that say most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from typing import ClassVar

from hansa.ledger.contribution.games import Asking, Game, Values
from hansa.ledger.contribution.outcome import Effort, Outcome
from hansa.ledger.contribution.sampled import check_count, check_part
from hansa.ledger.contribution.stream import Stream
from hansa.ledger.contribution.walks import Order, Walk, effort_of_walks, walk


@dataclass(frozen=True, slots=True)
class Guided:
    """GTG-Shapley.

    Attributes:
        cycles: at most so many a round, of as many orders as it has players.
        between: a round is skipped if its gain is less than this part of all rounds' gains, signs aside; 0 skips
            none. A round that gained nothing may be one in which much was done and undone: what a poisoner spoils
            there, and the others make good, is then never counted. So it is 0 unless a job says otherwise.
        within: a walk ends where less than this part of the round's gain is missing.
        enough: a round has enough cycles once every standard error is at most this part of its gain; 0 walks
            through all.
        circles: a cycle is a circle's orders, two for each player.
        error: a round has enough cycles once every standard error is at most so much, in the utility's unit; 0
            walks through all. These standard errors are over single orders, or over both ways from one player
            on, and rather too large: orders of a cycle are spread more evenly than independent ones.
    """

    name: ClassVar[str] = "gtg"
    cycles: int = 6
    between: float = 0.0
    within: float = 0.05
    enough: float = 0.0
    circles: bool = False
    error: float = 0.0

    def __post_init__(self) -> None:
        check_count("cycles", self.cycles, 1)
        check_part("between", self.between)
        check_part("within", self.within)
        check_part("enough", self.enough)
        if not (isfinite(self.error) and self.error >= 0):
            raise ValueError(f"error: expected at least 0, got {self.error}")

    def effort(self, players: int) -> Effort:
        """Return what a round takes at most."""
        return effort_of_walks(players, self.cycles * players * (2 if self.circles else 1))

    def estimate(self, games: tuple[Game, ...], seed: bytes, values: Values) -> Asking[tuple[Outcome, ...]]:
        """Skip what gained too little, and walk the other games through one by one."""
        least = Fraction(self.between) * sum(abs(values.gain(game)) for game in games)
        plan = Walk(
            self.cycles, Fraction(self.within), self.enough, self.error, unit=2 if self.circles else 1
        )
        outcomes = []
        for game in games:
            if abs(values.gain(game)) < least:
                outcomes.append(Outcome(game, dict.fromkeys(game.players, Fraction(0)), {}, skipped=True))
                continue
            stream = Stream(seed, self.name, game.round)
            draw = Circles() if self.circles else cycle
            outcomes.append((yield from walk(game, values, stream, draw, plan)))
        return tuple(outcomes)


def cycle(stream: Stream, players: Sequence[str]) -> tuple[Order, ...]:
    """Draw an order for each player, in which it comes first and the others follow at random."""
    return tuple((first, *stream.shuffled([each for each in players if each != first])) for first in players)


class Circles:
    """Draws the orders of one circle after the other, from sets in which everybody is everybody's neighbour."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: list[Order] = []

    def __call__(self, stream: Stream, players: Sequence[str]) -> tuple[Order, ...]:
        """Walk the next circle from every player on: forwards, and from its end back."""
        if not self._left:
            self._left += reversed(circles(stream.shuffled(players)))
        around = self._left.pop()
        turned = [around[start:] + around[:start] for start in range(len(around))]
        return tuple(order for each in turned for order in (each, each[::-1]))


def circles(players: Sequence[str]) -> tuple[Order, ...]:
    """Return circles in which any two players are neighbours, (n − 1)/2 of them or n/2.

    All but at most one sit on a ring and are visited from side to side: k, k + 1, k − 1, k + 2 and so on. Of an odd
    number of players the last joins the ends, and any two are neighbours once; of an even number nobody does, the
    ends meet, and some are so twice.

    Source: Walecki's construction, in Lucas 1883; Alspach 2008, "The wonderful Walecki construction".
    """
    ring = len(players) - len(players) % 2
    hub = tuple(players[ring:])
    return tuple(
        (*(players[(first + _swing(step)) % ring] for step in range(ring)), *hub)
        for first in range(max(ring // 2, 1))
    )


def _swing(step: int) -> int:
    return (step + 1) // 2 if step % 2 else -(step // 2)
