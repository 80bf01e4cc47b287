"""What came out, with all that anybody needs to compute it again?"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from typing import ClassVar, Protocol

from hansa.ledger.contribution.games import Asking, Game, Question, Values


@dataclass(frozen=True, slots=True)
class Effort:
    """What a method may take at most for a round, told without drawing or listing anything.

    Attributes:
        values: of coalitions, which are asked for and told; nobody and everybody are among them.
        drawn: orders or coalitions, whether or not they come to more values.
    """

    values: int
    drawn: int = 0


class Method(Protocol):
    """A way to estimate contributions, with its settings: a frozen dataclass."""

    name: ClassVar[str]

    def effort(self, players: int) -> Effort:
        """Return what a round of so many players takes at most; no fewer players take more."""
        ...

    def estimate(self, games: tuple[Game, ...], seed: bytes, values: Values) -> "Asking[tuple[Outcome, ...]]":
        """Ask for values and return an outcome for each game; v(nobody) and v(everybody) are told already."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What each player of one game has contributed, in the utility's unit.

    Attributes:
        game: the round and its players.
        shares: by player; exact results of the values told, without rounding.
        variances: of each share, over what was drawn; empty if nothing was, or too little to tell. They say how
            far another seed's estimate may lie, and nothing about what truncation leaves out.
        permutations: the orders that were walked through.
        samples: the coalitions that were drawn.
        groups: the partition that was drawn.
        scale: what the shares were multiplied by so that they sum to the game's gain; 1 where nothing was.
        skipped: the round gained so little that nobody is paid for it.
    """

    game: Game
    shares: Mapping[str, Fraction]
    variances: Mapping[str, Fraction]
    permutations: tuple[tuple[str, ...], ...] = ()
    samples: tuple[frozenset[str], ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    scale: Fraction = Fraction(1)
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Contribution:
    """A measurement: how, of which games, with which seed, from which values, and what came out.

    Attributes:
        method: with its settings.
        seed: (32,) bytes that all draws come from.
        outcomes: one for each game, rounds ascending.
        values: every question that was asked, with its answer.
    """

    method: Method
    seed: bytes
    outcomes: tuple[Outcome, ...]
    values: Mapping[Question, float]

    @property
    def evaluations(self) -> int:
        """How many coalitions' values were asked for, v(nobody) and v(everybody) of each game included."""
        return len(self.values)

    @property
    def shares(self) -> dict[str, Fraction]:
        """Each party's contribution over all games, names ascending."""
        return _summed(each.shares for each in self.outcomes)

    @property
    def standard_errors(self) -> dict[str, float]:
        """Of each party's contribution, where orders or samples were drawn; rounds are drawn independently.

        Rounds of which all coalitions were asked, or which were skipped, add nothing. Empty if nothing was drawn
        in any round, or in some round too little to tell.
        """
        drawn = [each for each in self.outcomes if each.permutations or each.samples]
        if not drawn or not all(each.variances for each in drawn):
            return {}
        variances = {name: Fraction(0) for name in self.shares} | _summed(each.variances for each in drawn)
        return {name: sqrt(each) for name, each in variances.items()}

    @property
    def gain(self) -> Fraction:
        """v(everybody) − v(nobody), summed over all games."""
        return sum((self._gain(each.game) for each in self.outcomes), Fraction(0))

    @property
    def unpaid(self) -> Fraction:
        """The part of the gain that no share accounts for; negative if shares sum to more than the gain."""
        return self.gain - sum(self.shares.values(), Fraction(0))

    def _gain(self, game: Game) -> Fraction:
        return Fraction(self.values[game.grand]) - Fraction(self.values[game.empty])


def _summed(parts: Iterable[Mapping[str, Fraction]]) -> dict[str, Fraction]:
    total: dict[str, Fraction] = {}
    for part in parts:
        for name, share in part.items():
            total[name] = total.get(name, Fraction(0)) + share
    return dict(sorted(total.items()))
