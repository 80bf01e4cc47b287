"""What must a model do to be trained by several owners?

Give its parameters as numpy arrays, take them back, train on local rows, and say how good it is. Everything
a federation exchanges about a model passes through these four calls.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
FloatArray: TypeAlias = npt.NDArray[np.float64]
IndexArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

# Losses and scores are averaged: short of the largest float, so that no peer's figure overflows the mean.
LARGEST_FIGURE = 1e300

# 1 GiB of float64: a job that names a larger model is refused before anything is allocated for it.
MOST_PARAMETERS = 2**27

Task: TypeAlias = Literal["classification", "regression"]


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What the data looks like: enough to build a model without seeing a row.

    Attributes:
        features: number of columns, at least 1.
        classes: for classification the labels, ascending, at least two; for regression empty. They belong to
            the job, since one party's rows may lack some of them.
        task: what is predicted.
    """

    features: int
    classes: tuple[int | str, ...] = ()
    task: Task = "classification"

    def __post_init__(self) -> None:
        if self.features < 1:
            raise ValueError(f"features must be at least 1, not {self.features}")
        match self.task:
            case "classification":
                _check_classes(self.classes)
            case "regression":
                if self.classes:
                    raise ValueError(f"regression has no classes, but {len(self.classes)} were given")

    def class_indices(self, y: Array) -> IndexArray:
        """Return each label's position in ``classes``.

        Args:
            y: (rows,) labels of the classes' type.

        Returns:
            (rows,) int64 in [0, len(classes)).

        Raises:
            ValueError: a label is none of the classes.
        """
        classes = np.asarray(self.classes)
        indices = np.searchsorted(classes, y).clip(max=len(classes) - 1)
        unknown = classes[indices] != y
        if unknown.any():
            raise ValueError(f"label {np.asarray(y)[unknown][0]!r} is none of the classes {self.classes}")
        return indices.astype(np.int64, copy=False)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good a model is on some rows.

    Attributes:
        rows: how many, at least 1.
        loss: mean loss over them; smaller is better.
        score: the model's own figure; greater is better.
        metric: the score's name, such as ``accuracy`` or ``r2``.
    """

    rows: int
    loss: float
    score: float
    metric: str

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ValueError(f"an evaluation needs at least one row, not {self.rows}")
        for name, value in (("loss", self.loss), (self.metric, self.score)):
            if not (isfinite(value) and abs(value) <= LARGEST_FIGURE):
                raise ValueError(f"{name} must be finite and at most {LARGEST_FIGURE:g}, not {value}")


class Model(Protocol):
    """A model whose training several owners can share."""

    def get_parameters(self) -> list[Array]:
        """Return copies of the learned arrays, always in the same order, shapes and dtypes."""
        ...

    def set_parameters(self, parameters: Sequence[Array], /) -> None:
        """Take arrays such as ``get_parameters`` gives, copying them; all else it learned is forgotten.

        Raises:
            ValueError: another number of arrays, or another shape.
        """
        ...

    def fit(self, X: FloatArray, y: Array, /, seed: int) -> None:
        """Train on from the present parameters; the outcome depends on parameters, rows and seed alone.

        Args:
            X: (rows, features).
            y: (rows,) labels or targets.
            seed: in [0, 2**32).
        """
        ...

    def evaluate(self, X: FloatArray, y: Array, /) -> Evaluation:
        """Return loss and score on these rows."""
        ...

    def predict(self, X: FloatArray, /) -> Array:
        """Return (rows,) labels or values."""
        ...


def check_parameters(received: Sequence[Array], expected: Sequence[Array]) -> None:
    """Refuse arrays that cannot stand for the model's: by count, shape, dtype, then value.

    Raises:
        ValueError: naming the first array that differs, with expected and actual.
    """
    check_layout(received, expected)
    for position, (ours, theirs) in enumerate(zip(expected, received, strict=True)):
        if theirs.dtype != ours.dtype:
            raise ValueError(f"array {position} is {theirs.dtype}, expected {ours.dtype}")
        if not all_finite(theirs):
            raise ValueError(f"array {position} holds NaN or infinity")


def check_layout(received: Sequence[Array], expected: Sequence[Array]) -> None:
    """Refuse another number of arrays, or another shape.

    Raises:
        ValueError: naming the first array that differs, with expected and actual.
    """
    if len(received) != len(expected):
        raise ValueError(f"{len(received)} arrays, expected {len(expected)}")
    for position, (ours, theirs) in enumerate(zip(expected, received, strict=True)):
        if theirs.shape != ours.shape:
            raise ValueError(f"array {position} has shape {theirs.shape}, expected {ours.shape}")


def all_finite(array: Array) -> bool:
    """Tell whether no element is NaN or infinite.

    A sum of squares meets both in a single pass without a temporary; only when it isn't finite (huge values
    overflow it too) are the elements looked at one by one.
    """
    if array.dtype.kind != "f":
        return array.dtype.kind in "biu"
    flat = array.reshape(-1)
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.dot(flat, flat)) or np.isfinite(flat).all())


def _check_classes(classes: tuple[int | str, ...]) -> None:
    if len(classes) < 2:
        raise ValueError(f"classification needs at least two classes, not {len(classes)}")
    kinds = {type(label) for label in classes}
    if kinds != {int} and kinds != {str}:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(f"classes must be all int or all str, not {names}")
    if any(not low < high for low, high in pairwise(classes)):  # type: ignore[operator]
        raise ValueError(f"classes must be ascending and distinct, not {classes}")
