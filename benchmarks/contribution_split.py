"""Which federation are contributions measured in? Parties of six kinds, and a job that was really trained.

The kinds: much data, little data, noisy labels, a copy of another's data, a free rider who sends back the
model it got, a poisoner who has shifted every label by one class. The rows are digits or the breast cancer
data, those of the utility's are nobody's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits

from hansa.ledger.contribution import WHOLE_JOB, Question
from hansa.protocols.horizontal import (
    ClosedRound,
    SoftmaxRegression,
    job_models,
    round_models,
    weighted_average,
)
from hansa.protocols.model import Array, FloatArray, ModelShape

MUCH, LITTLE, NOISY, COPY, RIDER, POISONER = "much", "little", "noisy", "copy", "rider", "poisoner"
KINDS = (MUCH, LITTLE, NOISY, COPY, RIDER, POISONER)
MORE = (MUCH, LITTLE, MUCH, LITTLE)  # the seventh party and the following ones
PARTS = {
    MUCH: 4,
    LITTLE: 1,
    NOISY: 3,
    POISONER: 2,
}  # how the rows are dealt out; others have none of their own
SETS = {"digits": load_digits, "breast cancer": load_breast_cancer}
HELD_OUT = 0.25  # of all rows, for the utility
WRONG = 0.4  # of the noisy party's labels
ROUNDS = 8
LEARNING_RATE, BATCH_ROWS = 0.05, 32

Rows = tuple[FloatArray, Array]


@dataclass(frozen=True, slots=True)
class Federation:
    """What each party trains on, and what models are valued by.

    Attributes:
        shape: of the model.
        parties: rows by name, names ascending; a free rider has those that it claims to have.
        held_out: the utility's rows.
    """

    shape: ModelShape
    parties: Mapping[str, Rows]
    held_out: Rows

    def model(self) -> SoftmaxRegression:
        """Return the untrained model."""
        return SoftmaxRegression(self.shape, learning_rate=LEARNING_RATE, batch_rows=BATCH_ROWS)


def names(count: int) -> tuple[str, ...]:
    """Return so many names, each its kind and a number, such as "much-1".

    Args:
        count: from 4 on; beyond six there are more of the first kinds.
    """
    kinds = [*KINDS[:count], *(MORE[index % len(MORE)] for index in range(count - len(KINDS)))]
    return tuple(f"{kind}-{kinds[: index + 1].count(kind)}" for index, kind in enumerate(kinds))


def split(data: str, count: int, seed: int) -> Federation:
    """Deal a data set out to parties of the six kinds."""
    generator = np.random.default_rng(seed)
    X, y = SETS[data](return_X_y=True)
    order = generator.permutation(len(X))
    cut = int(HELD_OUT * len(X))
    train, held_out = order[cut:], order[:cut]
    X = (X - X[train].mean(axis=0)) / (X[train].std(axis=0) + 1e-9)
    classes = len(np.unique(y))
    owners = [name for name in names(count) if kind(name) in PARTS]
    ends = np.cumsum([PARTS[kind(name)] for name in owners])
    dealt = np.split(train, (ends[:-1] * len(train)) // ends[-1])
    parties: dict[str, Rows] = {
        name: (X[rows], _labels(kind(name), y[rows], classes, generator))
        for name, rows in zip(owners, dealt, strict=True)
    }
    first = parties[f"{MUCH}-1"]
    parties |= {name: first for name in names(count) if kind(name) in (COPY, RIDER)}
    shape = ModelShape(X.shape[1], tuple(range(classes)))
    return Federation(shape, dict(sorted(parties.items())), (X[held_out], y[held_out]))


def kind(name: str) -> str:
    """Return which of the six kinds a party is of."""
    return name.split("-")[0]


def train(federation: Federation, rounds: int = ROUNDS) -> list[ClosedRound]:
    """Average the parties' models over some rounds, and return what the aggregator held at the end of each."""
    base, closed = tuple(federation.model().get_parameters()), []
    for number in range(rounds):
        updates = tuple(_update(federation, name, base, number) for name in federation.parties)
        rows = tuple(len(X) for X, _ in federation.parties.values())
        closed.append(ClosedRound(base, tuple(federation.parties), updates, rows))
        base = tuple(weighted_average(updates, rows))
    return closed


@dataclass(frozen=True, slots=True)
class Valuer:
    """Answers what coalitions' models are worth: their accuracy on the rows held out, by round or of the job.

    Attributes:
        federation: whose.
        rounds: closed, in order; the first is round 1.
    """

    federation: Federation
    rounds: Sequence[ClosedRound]

    @property
    def players(self) -> dict[int, tuple[str, ...]]:
        """Who took part, by round."""
        return {number: closed.parties for number, closed in enumerate(self.rounds, 1)}

    def __call__(self, batch: Sequence[Question]) -> dict[Question, float]:
        """Rebuild the models of a batch of coalitions, those of one round together, and value each."""
        values: dict[Question, float] = {}
        for number in sorted({each.round for each in batch}):
            asked = [each for each in batch if each.round == number]
            coalitions = [each.coalition for each in asked]
            if number == WHOLE_JOB:
                models = job_models(self.rounds, coalitions)
            else:
                models = round_models(self.rounds[number - 1], coalitions)
            values |= {each: self._worth(model) for each, model in zip(asked, models, strict=True)}
        return values

    def _worth(self, parameters: Sequence[Array]) -> float:
        model = self.federation.model()
        model.set_parameters(parameters)
        return model.evaluate(*self.federation.held_out).score


def _labels(of: str, y: Array, classes: int, generator: np.random.Generator) -> Array:
    if of == POISONER:
        return (y + 1) % classes
    if of == NOISY:
        return np.where(generator.random(len(y)) < WRONG, generator.integers(classes, size=len(y)), y)
    return y


def _update(federation: Federation, name: str, base: tuple[Array, ...], number: int) -> tuple[Array, ...]:
    if kind(name) == RIDER:
        return base
    model = federation.model()
    model.set_parameters(base)
    model.fit(*federation.parties[name], seed=number)
    return tuple(model.get_parameters())
