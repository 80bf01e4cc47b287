"""What has each contributed, estimated from some of the coalitions?

Permutation sampling: Castro, Gómez and Tejada 2009. Truncated: Ghorbani and Zou 2019, "Data Shapley". An
order together with its reverse: Mitchell et al. 2022, who call it antithetic. Banzhaf with maximum sample
reuse: Wang and Jia 2023, "Data Banzhaf".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from hansa.ledger.contribution.games import Asking, Game, Values
from hansa.ledger.contribution.outcome import Effort, Outcome
from hansa.ledger.contribution.stream import Stream
from hansa.ledger.contribution.walks import Order, Parts, Walk, effort_of_walks, walk


@dataclass(frozen=True, slots=True)
class Permutation:
    """The mean over orders drawn at random; the sum stays exact.

    Attributes:
        permutations: at most so many; a pair counts as two.
        paired: after each order comes its reverse. Who came early then comes late, and what players add to each
            other two by two cancels out exactly.
        enough: stop once every standard error is at most this part of the gain; 0 walks through all.
    """

    name: ClassVar[str] = "permutation"
    permutations: int = 100
    paired: bool = True
    enough: float = 0.0

    def __post_init__(self) -> None:
        check_count("permutations", self.permutations, 2 if self.paired else 1)
        if self.paired and self.permutations % 2:
            raise ValueError(f"permutations: pairs make an even number, not {self.permutations}")
        check_part("enough", self.enough)

    def effort(self, players: int) -> Effort:
        """Return what a round takes at most."""
        return effort_of_walks(players, self.permutations)

    def estimate(self, games: tuple[Game, ...], seed: bytes, values: Values) -> Asking[tuple[Outcome, ...]]:
        """Ask for what the orders need, game by game."""
        blocks = self.permutations // 2 if self.paired else self.permutations
        plan, draw = Walk(blocks, Fraction(0), self.enough), pair if self.paired else single
        outcomes = []
        for game in games:
            stream = Stream(seed, self.name, game.round)
            outcomes.append((yield from walk(game, values, stream, draw, plan)))
        return tuple(outcomes)


@dataclass(frozen=True, slots=True)
class Truncated:
    """Permutation sampling whose walks end early, scaled so that the sum is exact again.

    Attributes:
        permutations: at most so many.
        short: a walk ends where less than this part of the gain is missing, in [0, 1).
        enough: as of ``Permutation``.
    """

    name: ClassVar[str] = "truncated"
    permutations: int = 100
    short: float = 0.05
    enough: float = 0.0

    def __post_init__(self) -> None:
        check_count("permutations", self.permutations, 1)
        check_part("short", self.short)
        check_part("enough", self.enough)

    def effort(self, players: int) -> Effort:
        """Return what a round takes at most."""
        return effort_of_walks(players, self.permutations)

    def estimate(self, games: tuple[Game, ...], seed: bytes, values: Values) -> Asking[tuple[Outcome, ...]]:
        """Ask for one more player of all walks at once, game by game."""
        plan = Walk(self.permutations, Fraction(self.short), self.enough)
        outcomes = []
        for game in games:
            stream = Stream(seed, self.name, game.round)
            outcomes.append((yield from walk(game, values, stream, single, plan)))
        return tuple(outcomes)


@dataclass(frozen=True, slots=True)
class SampledBanzhaf:
    """The mean worth of coalitions with a player less that of coalitions without it, all from the same sample.

    Every coalition is drawn together with its complement. So each player is in exactly half of the sample, where
    independent draws could leave it in none.

    Attributes:
        samples: coalitions drawn, an even number.
    """

    name: ClassVar[str] = "banzhaf-sampled"
    samples: int = 400

    def __post_init__(self) -> None:
        check_count("samples", self.samples, 2)
        if self.samples % 2:
            raise ValueError(f"samples: pairs make an even number, not {self.samples}")

    def effort(self, players: int) -> Effort:
        """Return what a round takes at most."""
        return Effort(min(2**players, self.samples + 2), self.samples)

    def estimate(self, games: tuple[Game, ...], seed: bytes, values: Values) -> Asking[tuple[Outcome, ...]]:
        """Ask for the whole sample of every game at once."""
        drawn = [self._pairs(Stream(seed, self.name, game.round), game) for game in games]
        yield from values.need(
            game.question(each)
            for game, pairs in zip(games, drawn, strict=True)
            for pair in pairs
            for each in pair
        )
        outcomes = []
        for game, pairs in zip(games, drawn, strict=True):
            samples = tuple(each for pair in pairs for each in pair)
            whole, denominator = values.whole(map(game.question, samples))
            parts = Parts(game.players)
            for (one, _), worth, other in zip(pairs, whole[::2], whole[1::2], strict=True):
                more = worth - other
                parts.add([more if name in one else -more for name in game.players], denominator)
            outcomes.append(Outcome(game, parts.mean(), parts.variances(), samples=samples))
        return tuple(outcomes)

    def _pairs(self, stream: Stream, game: Game) -> list[tuple[frozenset[str], frozenset[str]]]:
        chosen = [stream.subset(game.players) for _ in range(self.samples // 2)]
        return [(each, frozenset(game.players) - each) for each in chosen]


def single(stream: Stream, players: Sequence[str]) -> tuple[Order, ...]:
    """Draw an order."""
    return (stream.shuffled(players),)


def pair(stream: Stream, players: Sequence[str]) -> tuple[Order, ...]:
    """Draw an order, and take its reverse with it."""
    order = stream.shuffled(players)
    return order, order[::-1]


def check_count(name: str, value: int, least: int) -> None:
    """Raise ValueError below the least."""
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, got {value}")


def check_part(name: str, value: float) -> None:
    """Raise ValueError unless in [0, 1)."""
    if not 0 <= value < 1:  # nor is what is no number
        raise ValueError(f"{name}: expected a part in [0, 1), got {value}")
