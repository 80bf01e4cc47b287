"""Where do a task's rows and model come from, when they are already in memory?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from hansa.protocols.errors import LocalProtocolError
from hansa.protocols.machine import Valuation, Worth
from hansa.protocols.model import Array, BoolArray, FloatArray, Model
from hansa.protocols.preparation import Preparation

Rows = tuple[FloatArray, Array]


class BareWorkbench:
    """Lends nothing. Who lends something overrides that, and says in ``kind`` what it is otherwise."""

    __slots__ = ()

    kind = "a bench of nothing"

    def model(self) -> Model:
        """Return a new model."""
        self._refuse("model")

    def training(self) -> Rows:
        """Return the rows to train on."""
        self._refuse("rows to train on")

    def holdout(self) -> Rows:
        """Return the rows to evaluate on."""
        self._refuse("rows to evaluate on")

    def validation(self) -> Rows:
        """Return the rows that coalitions' models are valued on."""
        self._refuse("rows to value models on")

    def appraise(self, number: int, rows: Mapping[str, int], worth: Worth) -> Valuation:
        """Value coalitions as the job says."""
        self._refuse("way of measuring contributions")

    def preparation(self) -> Preparation:
        """Return how columns became features."""
        self._refuse("prepared columns")

    def ids(self) -> tuple[Sequence[str], int]:
        """Return the rows' ids, and the first one's number."""
        self._refuse("ids")

    def lookup(self, ids: Sequence[str], preparation: Preparation) -> tuple[BoolArray, FloatArray]:
        """Return which ids are held, and their features."""
        self._refuse("rows by id")

    def _refuse(self, what: str) -> NoReturn:
        raise LocalProtocolError(f"{self.kind} holds no {what}")


@dataclass(frozen=True, slots=True)
class RowsWorkbench(BareWorkbench):
    """A party's bench: its rows stay out of the repr."""

    make_model: Callable[[], Model]
    train: Rows = field(repr=False)
    test: Rows = field(repr=False)

    kind = "a bench for training"

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
class RowlessWorkbench(BareWorkbench):
    """The aggregator's bench: it builds the model and never holds a row."""

    make_model: Callable[[], Model]

    kind = "the aggregator"

    def model(self) -> Model:
        """Return a new model."""
        return self.make_model()


@dataclass(frozen=True, slots=True)
class IdsWorkbench(BareWorkbench):
    """The bench of a party whose ids alone are asked for: they stay out of the repr.

    Attributes:
        row_ids: one per row, in the rows' order.
        first_row: the number that people give to the first row.
    """

    row_ids: Sequence[str] = field(repr=False)
    first_row: int = 0

    kind = "a bench of ids"

    def ids(self) -> tuple[Sequence[str], int]:
        """Return the ids and the first row's number."""
        return self.row_ids, self.first_row
