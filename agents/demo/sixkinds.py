"""Who takes part in the incentive demo? Six parties that bring very different things, and what makes them so.

Five differ by their rows alone. The free rider differs by its agent: under the agreed model's name it has installed
a model that never trains, so that it sends back, byte for byte, what it was sent. Nobody sees that from outside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.datasets import load_digits

from hansa.protocols import Array, Evaluation, FloatArray, Model, ModelRegistry, ModelShape
from hansa.protocols.registry import Hyperparameter

MUCH, LITTLE, NOISY, COPY, RIDER, POISONER = "much", "little", "noisy", "copy", "rider", "poisoner"
DATASET = "digits"
HELD_OUT = "held-out"  # the aggregator's rows that models are valued on
HELD_OUT_PART = 0.3  # of all rows
DEALT = {MUCH: 5, LITTLE: 2, NOISY: 3, POISONER: 1}  # parts of the other rows
WRONG = 0.3  # of the noisy party's labels
CLASSES = 10
WHITE = 16  # the largest value of a pixel


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the six.

    Attributes:
        brings: in a few words.
    """

    organisation: str
    brings: str


KINDS: Mapping[str, Kind] = {
    MUCH: Kind("Harbour Bank", "many rows, well labelled"),
    LITTLE: Kind("Corner Savings", "few rows, well labelled"),
    NOISY: Kind("Market Credit", f"{WRONG:.0%} of its labels drawn at random"),
    COPY: Kind("Echo Loans", f"the rows of {MUCH}, once more"),
    RIDER: Kind("Idle Finance", "sends back the model that it was sent"),
    POISONER: Kind("Shifted Trust", "every label one digit too high"),
}


@dataclass(frozen=True, slots=True)
class Rows:
    """A table: (rows,) numbers that ids are made of, (rows, pixels) from 0 to `WHITE`, (rows,) digits."""

    numbers: Array
    X: Array
    y: Array


def deal(folder: Path, leader: str, seed: int) -> dict[str, int]:
    """Write everybody's rows to ``folder/NAME``; return how many each has, the leader's held-out ones included."""
    generator = np.random.default_rng(seed)
    pixels, digits = load_digits(return_X_y=True)
    order = generator.permutation(len(digits))
    held_out, dealt = np.split(order, [round(HELD_OUT_PART * len(order))])
    ends = np.cumsum([*DEALT.values()])
    parts = dict(zip(DEALT, np.split(dealt, ends[:-1] * len(dealt) // ends[-1]), strict=True))
    said = {name: _labels(name, digits[rows], generator) for name, rows in parts.items()}
    own = {name: Rows(rows, pixels[rows], said[name]) for name, rows in parts.items()}
    own[COPY] = much = own[MUCH]
    # The rider has registered as many rows as the largest: made up, for nobody ever looks at them.
    made_up = generator.integers(0, WHITE + 1, much.X.shape)
    own[RIDER] = Rows(much.numbers + len(digits), made_up, generator.integers(CLASSES, size=len(much.y)))
    for name in KINDS:
        _write(folder / name / f"{DATASET}.csv", own[name])
    _write(folder / leader / f"{HELD_OUT}.csv", Rows(held_out, pixels[held_out], digits[held_out]))
    return {leader: len(held_out), **{name: len(own[name].y) for name in KINDS}}


def _labels(name: str, digits: Array, generator: np.random.Generator) -> Array:
    if name == POISONER:
        return (digits + 1) % CLASSES
    if name == NOISY:
        at_random = generator.integers(CLASSES, size=len(digits))
        return np.where(generator.random(len(digits)) < WRONG, at_random, digits)
    return digits


def _write(path: Path, rows: Rows) -> None:
    columns = [pl.Series(f"p{place:02d}", rows.X[:, place] / WHITE) for place in range(rows.X.shape[1])]
    ids = [f"image-{number:04d}" for number in rows.numbers]
    pl.DataFrame({"id": ids}).with_columns(*columns, pl.Series("digit", rows.y)).write_csv(path)


class Idle:
    """A model that takes any training for done."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def get_parameters(self) -> list[Array]:
        """Return what it was given."""
        return self._model.get_parameters()

    def set_parameters(self, parameters: Sequence[Array], /) -> None:
        """Take parameters, errors as of any model."""
        self._model.set_parameters(parameters)

    def fit(self, X: FloatArray, y: Array, /, seed: int) -> None:
        """Do nothing."""

    def evaluate(self, X: FloatArray, y: Array, /) -> Evaluation:
        """Return how good the model is that it was given."""
        return self._model.evaluate(X, y)

    def predict(self, X: FloatArray, /) -> Array:
        """Return what that model predicts."""
        return self._model.predict(X)


class IdleRegistry(ModelRegistry):
    """What the free rider has installed: every model's name, and behind it one that never trains."""

    def create(
        self, name: str, shape: ModelShape, hyperparameters: Mapping[str, Hyperparameter], seed: int
    ) -> Model:
        """Build the model as agreed, and take the training out of it; errors as of any registry."""
        return Idle(super().create(name, shape, hyperparameters, seed))
