"""How is a contribution measured, and how does anybody check it?

Three ways to have the same questions answered: `begin` gives the generator itself, for whoever evaluates
coalitions over an executor; `answered` drives it with a function that answers a batch; `measure` and
`measure_rounds` with one that answers a single coalition. `recomputed` takes the answers from a measurement
that somebody else has made.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from hansa.ledger.contribution.games import WHOLE_JOB, Asking, Game, Question, Values
from hansa.ledger.contribution.outcome import Contribution, Method
from hansa.ledger.errors import BadValue
from hansa.ledger.shares import Value

RoundValue: TypeAlias = Callable[[int, frozenset[str]], float]
"""What the model is worth that these parties have made in this round; the same at every call."""


def begin(method: Method, rounds: Mapping[int, Iterable[str]], seed: bytes) -> Asking[Contribution]:
    """Measure contributions over rounds: yield batches of questions, be sent their values, return the outcome.

    The first batch is v(nobody) and v(everybody) of every round. No question is asked twice.

    Args:
        method: with its settings.
        rounds: who took part, by round; {0: players} for the game of a whole job.
        seed: (32,) bytes, which nobody should be able to choose.

    Raises:
        ValueError: no rounds, a round without players, players that the method can't serve, or no seed of 32 bytes.
        BadValue: an answer is missing, not finite or contradicts an earlier one.
    """
    games = tuple(Game.of(number, players) for number, players in sorted(rounds.items()))
    if not games:
        raise ValueError("there are no rounds to measure")
    values = Values()
    yield from values.need(each for game in games for each in (game.empty, game.grand))
    outcomes = yield from method.estimate(games, seed, values)
    return Contribution(method, seed, outcomes, values.told)


def answered(
    asking: Asking[Contribution], answer: Callable[[tuple[Question, ...]], Mapping[Question, float]]
) -> Contribution:
    """Drive a measurement with a function that answers a batch of questions.

    Raises:
        BadValue, ValueError: as ``begin``.
    """
    try:
        batch = next(asking)
        while True:
            batch = asking.send(answer(batch))
    except StopIteration as ended:
        contribution: Contribution = ended.value
        return contribution


def measure_rounds(
    method: Method, rounds: Mapping[int, Iterable[str]], value: RoundValue, seed: bytes
) -> Contribution:
    """Measure contributions over rounds with a function that values a single coalition.

    It is asked once for each coalition, and in the end once more for everybody in the last round: a function that
    does not answer the same again gives shares that nobody can recompute.

    Raises:
        BadValue, ValueError: as ``begin``, or the second answer differs.
    """
    contribution = answered(
        begin(method, rounds, seed),
        lambda batch: {each: value(each.round, each.coalition) for each in batch},
    )
    last = contribution.outcomes[-1].game.grand
    again, first = value(last.round, last.coalition), contribution.values[last]
    if again != first:
        raise BadValue(f"{last}: the value was {first}, and is {again} now")
    return contribution


def measure(method: Method, players: Iterable[str], value: Value, seed: bytes) -> Contribution:
    """Measure contributions to a job as a whole; otherwise as ``measure_rounds``."""
    return measure_rounds(method, {WHOLE_JOB: players}, lambda _, coalition: value(coalition), seed)


def recomputed(contribution: Contribution) -> Contribution:
    """Draw and compute all again from the method, the players, the seed and the values; nothing else is read.

    A measurement is what it claims to be if the result equals it.

    Raises:
        BadValue: the values lack a coalition that the method asks for.
        ValueError: as ``begin``.
    """
    rounds = {each.game.round: each.game.players for each in contribution.outcomes}
    known = contribution.values
    return answered(
        begin(contribution.method, rounds, contribution.seed),
        lambda batch: {each: known[each] for each in batch if each in known},
    )
