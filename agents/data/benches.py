"""What does a party lend to the tasks of a vertical job? Its rows in the order of an alignment, or rows by id.

Both benches are plain values, so that a task can run in a process of its own; no row stands in a repr.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hansa.agents.data.rows import Dataset, labels, numeric_target
from hansa.agents.errors import DataError
from hansa.protocols import FloatArray, Workbench
from hansa.protocols.alignment.ids import normalised
from hansa.protocols.errors import PreparationError
from hansa.protocols.model import BoolArray, IndexArray
from hansa.protocols.preparation import Preparation
from hansa.protocols.workbench import BareWorkbench, Rows


@dataclass(frozen=True, slots=True, eq=False)
class AlignedWorkbench(BareWorkbench):
    """Rows in the order that all parties of a job have agreed on, prepared.

    Attributes:
        X_train, X_test: (rows, features) float64; X_test may have no rows.
        y_train, y_test: (rows,) float64; a host's are 0.
        prepared: how our columns became the features.
    """

    X_train: FloatArray = field(repr=False)
    y_train: FloatArray = field(repr=False)
    X_test: FloatArray = field(repr=False)
    y_test: FloatArray = field(repr=False)
    prepared: Preparation = field(repr=False)

    kind = "a bench of aligned rows"

    def training(self) -> Rows:
        """Return the rows to train on."""
        return self.X_train, self.y_train

    def holdout(self) -> Rows:
        """Return the rows to evaluate on."""
        return self.X_test, self.y_test

    def preparation(self) -> Preparation:
        """Return how columns became features."""
        return self.prepared


@dataclass(frozen=True, slots=True, eq=False)
class LookupWorkbench(BareWorkbench):
    """Rows to be served: found by id, and prepared as the model's were.

    Attributes:
        dataset: whose rows these are.
        places: the row of each id, normalised, in the rows' order.
    """

    dataset: Dataset = field(repr=False)
    places: Mapping[str, int] = field(repr=False)

    kind = "a bench of rows by id"

    def ids(self) -> tuple[Sequence[str], int]:
        """Return the rows' ids, and the first one's number."""
        return tuple(self.places), self.dataset.first_row

    def lookup(self, ids: Sequence[str], preparation: Preparation) -> tuple[BoolArray, FloatArray]:
        """Return which of these ids we hold, (ids,), and the features of those, (held, features), in their order.

        Raises:
            PreparationError: our columns are not those that this preparation is for; names data set and column.
        """
        rows = np.array([self.places.get(normalised(each), -1) for each in ids], dtype=np.int64)
        held: BoolArray = rows >= 0
        try:
            return held, preparation.apply(self.dataset.table(rows[held]))
        except PreparationError as error:
            raise PreparationError(_about(self.dataset, error)) from None


def aligned_bench(
    dataset: Dataset, order: IndexArray, holdout: float, guest: bool, classes: tuple[str, ...]
) -> Workbench:
    """Return a party's bench for a vertical job.

    Args:
        dataset: ours; its target column is no feature, and only a guest's is read.
        order: (rows,) the rows of the data set that all parties have in common, in the agreed order.
        holdout: share of these, in [0, 1), that is kept for evaluation: the last ones. The preparation is fitted
            on the others.
        guest: whether the targets are ours.
        classes: the two labels of a logistic job, whose targets are 0 and 1; none if the target is a number.

    Raises:
        DataError: the order is of other rows than these, or leaves none to train on; a column can't be prepared;
            no target, or one that does not fit. Names the data set, and row or column.
    """
    if order.size and not 0 <= int(order.min()) <= int(order.max()) < dataset.rows:
        raise DataError(
            f"{dataset.source}: data set {dataset.name!r} has {dataset.rows} rows, fewer than it was aligned with: "
            "align it anew"
        )
    held = round(holdout * len(order))
    train, test = order[: len(order) - held], order[len(order) - held :]
    if not len(train):
        raise DataError(
            f"{dataset.source}: data set {dataset.name!r}: {len(order)} common rows leave none for training "
            f"(holdout {holdout:g})"
        )
    try:
        preparation = dataset.prepared(train)
        X_train, X_test = (preparation.apply(dataset.table(rows)) for rows in (train, test))
    except PreparationError as error:
        raise DataError(_about(dataset, error)) from None
    y = _targets(dataset, classes) if guest else np.zeros(dataset.rows)
    return AlignedWorkbench(X_train, y[train], X_test, y[test], preparation)


def lookup_bench(dataset: Dataset, only: Sequence[str] = ()) -> Workbench:
    """Return a party's bench for serving rows by id.

    Args:
        dataset: ours.
        only: ids of the rows to be lent, in this order, as far as we have them; none: all.

    Raises:
        DataError: two rows' ids are one, once Unicode's spellings are normalised; names the rows.
    """
    places: dict[str, int] = {}
    for row, text in enumerate(dataset.ids):
        first = places.setdefault(normalised(text), row)
        if first != row:
            raise DataError(
                f"{dataset.source}: row {row + dataset.first_row}: its id stands in row "
                f"{first + dataset.first_row} too, once both are normalised"
            )
    if only:
        wanted = dict.fromkeys(normalised(each) for each in only)
        places = {each: places[each] for each in wanted if each in places}
    return LookupWorkbench(dataset, places)


def _targets(dataset: Dataset, classes: tuple[str, ...]) -> FloatArray:
    """Return (rows,) float64: numbers as they are, or 1 for the second of two classes."""
    if not classes:
        return numeric_target(dataset)
    if len(classes) != 2:
        raise DataError(f"{dataset.source}: a vertical job tells two classes apart, not {len(classes)}")
    return np.asarray(labels(dataset, classes) == classes[1], dtype=np.float64)


def _about(dataset: Dataset, error: PreparationError) -> str:
    return f"{dataset.source}: data set {dataset.name!r}: {error}"
