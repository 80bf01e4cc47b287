"""How does one train over columns that several parties hold, from a notebook? One frame for each party.

    model = VerticalLogisticRegression(epochs=30, penalty=0.01)
    model.fit({"bank": X_bank, "shop": X_shop}, y, guest="bank")
    model.predict({"bank": new_bank, "shop": new_shop})

Rows are matched by their place; or, with `id="customer"`, by a column that every frame has, and then the parties
may hold different rows, of which those in common are trained on.

Behind `fit` stands a whole federation in this process (hansa.agents.local): the parties find the rows that they
have in common without showing others, then train under the key of an arbiter, every message sealed, every epoch on
a ledger, which `folder=` keeps. Since all parts of the model end up here, `predict` adds up the parties' scores in
plain; between organisations that is what joint inference is for (docs/inference.md).

The leak guard makes demands (docs/vertical.md): 256 rows in a batch, and four for each column of the widest party;
no party with many more columns than the others together; no column that is about a handful of rows; a guest with a
column of real numbers. `guard=False` lifts them, and allows short keys, for trials.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from hansa.agents.config import RowsSection
from hansa.agents.core.messages import Setting
from hansa.agents.data import columns as checked
from hansa.agents.data.benches import lookup_bench
from hansa.agents.data.rows import Dataset
from hansa.agents.data.tables import listed
from hansa.agents.errors import DataError, JobError
from hansa.agents.estimators.frames import Frame, Preparing, check_places, frames, read
from hansa.agents.estimators.training import Trained, Wish, train
from hansa.ledger import volume_shares
from hansa.protocols import Array, FloatArray
from hansa.protocols.errors import PreparationError

# What of a job's settings stands under its own name among the parameters.
OWN = (
    "epochs",
    "batch",
    "learning_rate",
    "optimiser",
    "penalty",
    "l1",
    "intercept",
    "tol",
    "patience",
    "holdout",
    "key",
    "key_bits",
    "guard",
)
ELSEWHERE = (*OWN, "guest", "alignment", "start_job")


@dataclass(frozen=True, slots=True)
class Reading:
    """How frames are read, at `fit` and ever after.

    Attributes:
        guest: the party that holds the targets.
        id: the column by which rows are matched; None: by their place.
        target: the guest's column of targets, if they came in one.
        sections: by party, what its columns are.
        widths: of the parties that gave arrays, how many columns these had.
    """

    guest: str
    id: str | None
    target: str | None
    sections: Mapping[str, RowsSection]
    widths: Mapping[str, int]


class VerticalRegression(BaseEstimator, ABC):  # type: ignore[misc]
    """What both regressions share.

    Args:
        epochs: at most so many passes over the rows.
        batch: rows in a batch; 0 for all of them. More than one batch means more steps for the same encryption.
        learning_rate, optimiser: of every step; "sgd", "momentum" or "adam".
        penalty, l1: λ of λ/2·‖θ‖² and of λ·‖θ‖₁ beside the mean loss, without the intercept.
        intercept: whether there is one, at the guest.
        tol, patience: end when the loss has improved by less than `tol` for `patience` epochs.
        holdout: share of the common rows that is not trained on, for `score_`; 0 for none.
        key, key_bits: of the arbiter; "subgroup" or "standard". Below 2048 bits with `guard=False` only.
        guard: whether the leak guard is on.
        categories: by party, columns of numbers that are codes; columns of text are categories anyway.
        missing: "refuse" missing values, or "fill" them; for all parties, or by party.
        standardise: bring numbers to mean 0 and variance 1; likewise.
        rare: a category of a smaller share of the rows gets no feature of its own; likewise.
        settings: further settings of the job by name, such as `{"score_limit": 1e6}` for targets beyond ±4096; see
            `hansa.protocols.vertical.VerticalSettings`.
        seed: of batches and of the order of rows. The guest's first coefficients are random and its secret: two
            runs meet where they converge.
        folder: where the federation and its ledger shall be kept; None for nowhere.
        verbose: print the loss as epochs end.
    """

    _protocol: ClassVar[str]

    def __init__(
        self,
        *,
        epochs: int = 30,
        batch: int = 0,
        learning_rate: float = 0.2,
        optimiser: str = "sgd",
        penalty: float = 0.0,
        l1: float = 0.0,
        intercept: bool = True,
        tol: float = 1e-4,
        patience: int = 3,
        holdout: float = 0.2,
        key: str = "subgroup",
        key_bits: int = 2_048,
        guard: bool = True,
        categories: Mapping[str, Sequence[str]] | None = None,
        missing: str | Mapping[str, str] = "refuse",
        standardise: bool | Mapping[str, bool] = True,
        rare: float | Mapping[str, float] = 0.0,
        settings: Mapping[str, Setting] | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        verbose: bool = False,
    ) -> None:
        self.epochs = epochs
        self.batch = batch
        self.learning_rate = learning_rate
        self.optimiser = optimiser
        self.penalty = penalty
        self.l1 = l1
        self.intercept = intercept
        self.tol = tol
        self.patience = patience
        self.holdout = holdout
        self.key = key
        self.key_bits = key_bits
        self.guard = guard
        self.categories = categories
        self.missing = missing
        self.standardise = standardise
        self.rare = rare
        self.settings = settings
        self.seed = seed
        self.folder = folder
        self.verbose = verbose

    def fit(
        self,
        parties: Mapping[str, Any],
        y: Any = None,
        *,
        guest: str | None = None,
        id: str | None = None,
        target: str | None = None,
    ) -> Self:
        """Train one model over the parties' columns.

        Args:
            parties: by name (`[a-z0-9-]{1,40}`), a frame: (rows, columns) as a polars or pandas DataFrame or array.
            y: (rows,) the guest's targets, one for each row of its frame.
            guest: the party that holds them; None for the first.
            id: the column, in every frame, by which rows are matched; None: by their place.
            target: the column of the guest's frame that holds the targets, instead of `y`.

        Returns:
            self, with `coef_`, `feature_names_` (both by party), `intercept_`, `classes_` (logistic), `losses_`,
            `n_iter_`, `score_`, `metric_` (of the rows held out), `n_common_`, `shares_` (by volume), `ledger_`.

        Raises:
            DataError: a party's frame is unusable, or the leak guard refuses it; names party, row and column.
            JobError: fewer than two parties, a setting that can't be, or too few rows for the leak guard.
            JobAborted: the job ended without a model, and why.
        """
        given = frames(parties)
        guest = next(iter(given), "") if guest is None else guest
        if guest not in given:
            raise JobError(f"guest: {guest!r} is no party; there are {listed(list(given))}")
        if id is None:
            check_places(given)
        y = _targets(given[guest], y, target)
        widths = {name: frame.columns.width for name, frame in given.items() if frame.is_bare}
        if target is not None:
            given[guest] = given[guest].without(target)
        preparing = Preparing(self.categories, self.missing, self.standardise, self.rare)
        preparing.check_parties(list(given))
        sections = {name: preparing.section(frame, id) for name, frame in given.items()}
        datasets = {name: read(frame, sections[name]) for name, frame in given.items()}
        named = "y" if target is None else target
        told, labels = self._told(y, given[guest].source, named)
        datasets[guest] = dataclasses.replace(datasets[guest], target=told, target_name=named)
        classes = tuple(labels.astype(np.str_).tolist())
        wish = Wish(self._protocol, self._settings(guest), classes, self.seed)
        folder = None if self.folder is None else Path(self.folder)
        trained = train(datasets, wish, folder, partial(self._print_epoch, guest) if self.verbose else None)
        self._keep(trained, Reading(guest, id, target, sections, widths))
        self.n_features_in_ = sum(len(dataset.columns) for dataset in datasets.values())
        if len(labels):
            self.classes_ = labels
        return self

    def decision_function(self, parties: Mapping[str, Any]) -> FloatArray:
        """Return (rows,) scores: the sum of all parties' parts and the intercept.

        Args:
            parties: a frame of each party that has trained, as for `fit`; further columns don't matter. By place,
                all have the same number of rows. By id, every row of the guest's must stand in all others, which
                may hold more.

        Raises:
            DataError: names party, and row or column.
        """
        check_is_fitted(self, "coef_")
        reading, given = self._reading, frames(parties)
        if given.keys() != reading.sections.keys():
            trained, now = listed(sorted(reading.sections)), listed(sorted(given))
            raise DataError(f"the model takes a frame of each of {trained}, not of {now}")
        if reading.id is None:
            check_places(given)
        datasets = {name: self._again(frame) for name, frame in given.items()}
        ids = datasets[reading.guest].ids
        total: FloatArray = np.full(len(ids), self.intercept_)
        for name, dataset in datasets.items():
            try:
                held, features = lookup_bench(dataset).lookup(ids, self._preparations[name])
            except PreparationError as error:
                raise DataError(str(error)) from None
            if not held.all():
                row, lacking = int(np.argmin(held)), int(np.count_nonzero(~held))
                more = f" (and {lacking - 1} more)" if lacking > 1 else ""
                who = f"row {row} of party {reading.guest}"
                raise DataError(
                    f"{dataset.source}: no row of {reading.id!r} {ids[row]!r}, which is {who}{more}"
                )
            total += features @ self.coef_[name]
        return total

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.dict = False, True
        tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    # --- inside -----------------------------------------------------------------------------------------
    def _true(self, parties: Mapping[str, Any], y: Any) -> Any:
        """Return the targets that predictions are scored by."""
        check_is_fitted(self, "coef_")
        if y is not None:
            return y
        given, guest, target = frames(parties), self._reading.guest, self._reading.target
        if guest not in given or target is None:
            raise DataError("score takes y, or a frame of the guest with the target column named in fit")
        return _targets(given[guest], None, target)

    @abstractmethod
    def _told(self, y: Array, who: str, column: str) -> tuple[Array, Array]:
        """Return the targets as a data set holds them, and the two labels in their order, or none."""

    def _settings(self, guest: str) -> dict[str, Setting]:
        """Return the job's settings; JobError for one that has a place elsewhere."""
        more = dict(self.settings or {})
        for name in more:
            if name in ELSEWHERE:
                where = "a parameter of its own" if name in OWN else "not for the caller to choose"
                raise JobError(f"settings: {name!r} is {where}")
        return {"guest": guest, **{name: getattr(self, name) for name in OWN}, **more}

    def _keep(self, trained: Trained, reading: Reading) -> None:
        parts, closed = trained.parts, trained.closed
        self._reading = reading
        self.coef_ = {name: np.array(part.theta) for name, part in parts.items()}
        self.feature_names_ = {name: part.preparation.names() for name, part in parts.items()}
        self.intercept_ = float(parts[reading.guest].intercept)
        self._preparations = {name: part.preparation for name, part in parts.items()}
        self.losses_ = np.array(closed.losses)
        self.n_iter_ = closed.epochs
        self.score_ = closed.score
        self.metric_ = closed.metric
        self.n_common_ = trained.common
        self.shares_ = {name: float(share) for name, share in volume_shares(closed.cells).items()}
        self.ledger_ = trained.ledger

    def _print_epoch(self, guest: str, sender: str, kind: str, fields: Mapping[str, Any]) -> None:
        if kind == "epoch-ended" and sender == guest:
            loss = fields["loss"]
            shown = "" if loss is None else f"  loss {loss:.6g}"
            print(f"epoch {fields['epoch']}/{self.epochs}{shown}", flush=True)

    def _again(self, frame: Frame) -> Dataset:
        """Return rows to predict, as those trained on were read."""
        reading, width = self._reading, frame.columns.width
        expected = reading.widths.get(frame.party)
        if frame.is_bare and width != expected:
            trained = "columns that have names" if expected is None else f"{expected} columns"
            raise DataError(f"{frame.source}: an array of {width} columns, trained with {trained}")
        names = [column.name for column in self._preparations[frame.party].columns]
        if reading.id is not None:
            names.insert(0, reading.id)
        for name in names:
            frame.column(name, "which the model was trained with")
        return read(
            dataclasses.replace(frame, columns=frame.columns.select(names)), reading.sections[frame.party]
        )


class VerticalLogisticRegression(ClassifierMixin, VerticalRegression):  # type: ignore[misc]
    """A logistic regression of two classes over several parties' columns, by Taylor's expansion around 0.

    What is minimised is mean(log 2 − ½yu + ⅛u²) + λ/2·‖θ‖², y = ±1 (Hardy et al. 2017). Scores rank rows as those
    of logistic regression do, or nearly, but lie closer to 0, and so `predict_proba` closer to ½. Parameters as of
    `VerticalRegression`.
    """

    _protocol = "vertical-logistic"

    def predict(self, parties: Mapping[str, Any]) -> Array:
        """Return (rows,) labels, those given to `fit`; errors as of `decision_function`."""
        positive = self.decision_function(parties) > 0
        labels: Array = self.classes_[positive.astype(np.int64)]
        return labels

    def predict_proba(self, parties: Mapping[str, Any]) -> FloatArray:
        """Return (rows, 2) probabilities in the order of `classes_`; errors as of `decision_function`."""
        scores = self.decision_function(parties)
        positive = np.exp(-np.logaddexp(0.0, -scores))
        return np.column_stack([np.exp(-np.logaddexp(0.0, scores)), positive])

    def score(self, parties: Mapping[str, Any], y: Any = None, sample_weight: Any = None) -> float:
        """Return the accuracy on these rows.

        Args:
            parties: as for `predict`.
            y: (rows,) the guest's; None: the target column that `fit` was told of.
            sample_weight: (rows,).
        """
        return float(super().score(parties, self._true(parties, y), sample_weight))

    def _told(self, y: Array, who: str, column: str) -> tuple[Array, Array]:
        for row, label in enumerate(y.tolist()):
            if label is None or label != label:  # NaN
                raise DataError(f"{who}: row {row}, column {column!r}: no label")
        try:
            labels = np.unique(y)
        except TypeError:
            raise DataError(
                f"{who}: column {column!r} holds labels of types without a common order"
            ) from None
        if len(labels) != 2:
            raise DataError(
                f"{who}: column {column!r}: a logistic regression takes two classes, not {len(labels)}"
            )
        return labels.astype(np.str_)[np.searchsorted(labels, y)].astype(object), labels


class VerticalLinearRegression(RegressorMixin, VerticalRegression):  # type: ignore[misc]
    """A linear regression over several parties' columns: mean(½(u − y)²) + λ/2·‖θ‖² is minimised.

    Targets are taken as they are; scikit-learn's `TransformedTargetRegressor` brings large ones to another scale.
    Parameters as of `VerticalRegression`.
    """

    _protocol = "vertical-linear"

    def predict(self, parties: Mapping[str, Any]) -> FloatArray:
        """Return (rows,) predictions; errors as of `decision_function`."""
        return self.decision_function(parties)

    def score(self, parties: Mapping[str, Any], y: Any = None, sample_weight: Any = None) -> float:
        """Return R² on these rows; arguments as of `VerticalLogisticRegression.score`."""
        return float(super().score(parties, self._true(parties, y), sample_weight))

    def _told(self, y: Array, who: str, column: str) -> tuple[Array, Array]:
        return checked.of_array(y, who, column).astype(object), np.empty(0)


def _targets(guest: Frame, y: Any, target: str | None) -> Array:
    """Return (rows,) the guest's targets as they were given."""
    if (y is None) == (target is None):
        raise DataError(f"{guest.source}: targets come as y, or in the column named by target=: one of both")
    values = np.asarray(guest.column(target, "the target") if target is not None else y)
    if values.shape != (len(guest.columns),):
        raise DataError(
            f"{guest.source}: {len(guest.columns)} rows, but y of shape {values.shape}: one target for each row"
        )
    return values
