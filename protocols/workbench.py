"""Where do a task's rows and model come from, when they are already in memory?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hansa.protocols.errors import LocalProtocolError
from hansa.protocols.model import Array, FloatArray, Model

Rows = tuple[FloatArray, Array]


@dataclass(frozen=True, slots=True)
class RowsWorkbench:
    """A party's bench: its rows stay out of the repr."""

    make_model: Callable[[], Model]
    train: Rows = field(repr=False)
    test: Rows = field(repr=False)

    def model(self) -> Model:
        """Return a new model."""
        return self.make_model()

    def training(self) -> Rows:
        """Return the rows to train on."""
        return self.train

    def holdout(self) -> Rows:
        """Return the rows to evaluate on."""
        return self.test

    def ids(self) -> tuple[Sequence[str], int]:
        """Raise LocalProtocolError: training needs none."""
        raise LocalProtocolError("a bench for training lends no ids")


@dataclass(frozen=True, slots=True)
class RowlessWorkbench:
    """The aggregator's bench: it builds the model and never holds a row."""

    make_model: Callable[[], Model]

    def model(self) -> Model:
        """Return a new model."""
        return self.make_model()

    def training(self) -> Rows:
        """Raise LocalProtocolError: there are none."""
        raise LocalProtocolError("the aggregator holds no rows to train on")

    def holdout(self) -> Rows:
        """Raise LocalProtocolError: there are none."""
        raise LocalProtocolError("the aggregator holds no rows to evaluate on")

    def ids(self) -> tuple[Sequence[str], int]:
        """Raise LocalProtocolError: there are none."""
        raise LocalProtocolError("the aggregator holds no rows, so it has no ids")


@dataclass(frozen=True, slots=True)
class IdsWorkbench:
    """The bench of a party whose ids alone are asked for: they stay out of the repr.

    Attributes:
        row_ids: one per row, in the rows' order.
        first_row: the number that people give to the first row.
    """

    row_ids: Sequence[str] = field(repr=False)
    first_row: int = 0

    def model(self) -> Model:
        """Raise LocalProtocolError: there is none."""
        raise LocalProtocolError("a bench of ids has no model")

    def training(self) -> Rows:
        """Raise LocalProtocolError: there are none."""
        raise LocalProtocolError("a bench of ids has no rows to train on")

    def holdout(self) -> Rows:
        """Raise LocalProtocolError: there are none."""
        raise LocalProtocolError("a bench of ids has no rows to evaluate on")

    def ids(self) -> tuple[Sequence[str], int]:
        """Return the ids and the first row's number."""
        return self.row_ids, self.first_row
