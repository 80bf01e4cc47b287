"""Where do a task's rows and model come from, when they are already in memory?"""

from collections.abc import Callable
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
