"""What is asked about a game, and what was answered?

A *game* is a round of a job, or the job as a whole (round 0): its players, and for each coalition of them the
value of the model that exactly these have made. Estimators do not call anything to learn a value. They are
generators that yield the questions they need next, all at once, and are sent the answers: so whoever runs
them can answer a batch in parallel, on other machines, or from a ledger.
"""

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from typing import NamedTuple, TypeAlias, TypeVar

from hansa.ledger.errors import BadValue

WHOLE_JOB = 0  # the round of a game that is not about a single round; those count from 1


class Question(NamedTuple):
    """What is the model worth that this coalition has made in this round?

    A tuple, since whoever replays a ledger looks each up several times, and a dataclass's hash is Python's own.
    """

    round: int
    coalition: frozenset[str]

    def __str__(self) -> str:
        return f"round {self.round}, {{{', '.join(sorted(self.coalition))}}}"


T = TypeVar("T")
Asking: TypeAlias = Generator[tuple[Question, ...], Mapping[Question, float], T]
"""Yields questions, is sent their values, returns what they were needed for."""


@dataclass(frozen=True, slots=True)
class Game:
    """A round and who took part in it.

    Attributes:
        round: counts from 1; 0 for a job as a whole.
        players: at least one, ascending.
    """

    round: int
    players: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.round < 0:
            raise ValueError(f"rounds count from 1, and 0 is the whole job; got {self.round}")
        if not self.players:
            raise ValueError(f"round {self.round} has no players")
        if list(self.players) != sorted(set(self.players)):
            raise ValueError(
                f"round {self.round}: players must be distinct and ascending, got {self.players}"
            )

    @classmethod
    def of(cls, number: int, players: Iterable[str]) -> "Game":
        """Return the game of these players, in whatever order they are named."""
        return cls(number, tuple(sorted(players)))

    def question(self, coalition: Iterable[str]) -> Question:
        """Return what is asked about this coalition."""
        return Question(self.round, frozenset(coalition))

    @property
    def empty(self) -> Question:
        """Nobody: what the model was worth before."""
        return self.question(())

    @property
    def grand(self) -> Question:
        """Everybody."""
        return self.question(self.players)


class Values:
    """The answers so far: no question is asked twice, and no answer is taken that cannot be right."""

    def __init__(self) -> None:
        self._told: dict[Question, float] = {}

    def __getitem__(self, question: Question) -> Fraction:
        """Return a value that was told, exactly."""
        return Fraction(self._told[question])

    def whole(self, questions: Iterable[Question]) -> tuple[list[int], int]:
        """Return values that were told as whole numbers over one denominator, and that: a power of two.

        They are floats, so it is exact; and sums of whole numbers need no cancelling.
        """
        ratios = [self._told[each].as_integer_ratio() for each in questions]
        denominator = max((below for _, below in ratios), default=1)
        return [above * (denominator // below) for above, below in ratios], denominator

    def gain(self, game: Game) -> Fraction:
        """Return v(everybody) − v(nobody)."""
        return self[game.grand] - self[game.empty]

    @property
    def told(self) -> dict[Question, float]:
        """All questions that were asked, with their answers, in the order asked."""
        return dict(self._told)

    def need(self, questions: Iterable[Question]) -> Asking[None]:
        """Ask for what has not been told yet, in one batch.

        Raises:
            BadValue: as ``tell``.
        """
        missing = tuple(each for each in dict.fromkeys(questions) if each not in self._told)
        if missing:
            self.tell(missing, (yield missing))

    def tell(self, asked: Iterable[Question], answers: Mapping[Question, float]) -> None:
        """Take answers over: to all that was asked, and to nothing else but what had been told before.

        Raises:
            BadValue: an answer is missing, was not asked for, is not finite, or contradicts an earlier one.
        """
        wanted = dict.fromkeys(asked)
        for question in wanted:
            if question not in answers:
                raise BadValue(f"{question}: there is no value")
        for question, value in answers.items():
            if question not in wanted and question not in self._told:
                raise BadValue(f"{question}: a value that nobody has asked for")
            if not isfinite(value):
                raise BadValue(f"{question}: expected a finite value, got {value}")
            if value != self._told.get(question, value):
                raise BadValue(f"{question}: the value was {self._told[question]}, and is {value} now")
        for question in wanted:
            self._told[question] = float(answers[question])
