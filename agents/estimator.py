"""How does one train across parties from a notebook? As with any scikit-learn estimator.

    model = FederatedClassifier(SGDClassifier(loss="log_loss"), rounds=20)
    model.fit({"north": (X1, y1), "south": (X2, y2), "west": (X3, y3)})
    model.score(X_test, y_test), model.shares_, model.ledger_

A `torch.nn.Module` serves as well: FederatedClassifier(module, training=Training(optimizer="adam"), rounds=20).

What each party has added to the model is measured on rows of your own, that nobody trains on:

    model = FederatedClassifier(SGDClassifier(loss="log_loss"), contribution="gtg")
    model.fit(parties, validation=(X_agreed, y_agreed)).contributions_

Behind it stands a whole federation in this process (hansa.agents.local): every party an agent with keys of its
own, every message sealed, every round on a ledger, which `folder=` keeps.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from hansa.agents.core.messages import JobSpec, Setting
from hansa.agents.data.rows import Dataset, from_arrays
from hansa.agents.errors import DataError, JobError
from hansa.agents.local import LocalFederation, Member
from hansa.ledger import LedgerStore, ModelEvaluated, decode_body, read_entry
from hansa.ledger.contribution import VOLUME
from hansa.protocols import Array, Evaluation, ModelError, ModelRegistry, ModelShape
from hansa.protocols.horizontal.estimator import EstimatorModel
from hansa.protocols.horizontal.training import AdaptedModel, Training, is_module, module_model

JOB = "fit"
DATASET = "rows"
VALIDATION = "validation"  # the data set that models are valued on
UTILITY: Literal["score"] = "score"
MODEL = "own-estimator"


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """Where the job's record ends."""

    entries: int
    head: str


class _Federated(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor share.

    `training` is for PyTorch modules. `contribution` is how contributions are measured: a name of
    `hansa.ledger.contribution.METHODS`, or a mapping of `method` and the method's own settings.
    """

    _task: Literal["classification", "regression"]

    def __init__(
        self,
        estimator: Any,
        *,
        rounds: int = 10,
        quorum: int | None = None,
        holdout: float = 0.2,
        tol: float = 0.0,
        patience: int = 0,
        round_deadline_s: float = 300.0,
        seed: int = 0,
        folder: str | Path | None = None,
        training: Training | None = None,
        contribution: str | Mapping[str, Setting] = VOLUME,
    ) -> None:
        self.estimator = estimator
        self.rounds = rounds
        self.quorum = quorum
        self.holdout = holdout
        self.tol = tol
        self.patience = patience
        self.round_deadline_s = round_deadline_s
        self.seed = seed
        self.folder = folder
        self.training = training
        self.contribution = contribution

    def fit(
        self,
        parties: Mapping[str, tuple[Any, Any]],
        y: None = None,
        *,
        validation: tuple[Any, Any] | None = None,
    ) -> "_Federated":
        """Train one model over the parties' rows.

        Args:
            parties: by name (`[a-z0-9-]{1,40}`), (rows, columns) features and (rows,) targets.
            y: ignored; the targets stand beside the features of each party.
            validation: features and targets of rows that nobody trains on, where contributions are not volumes.

        Returns:
            self, with `estimator_`, `classes_` (classification), `evaluation_` (on the parties' held-out rows),
            `history_`, `shares_` (sum to 1, unless nobody has contributed), `contributions_` (in the score, perhaps
            negative; empty if they are volumes) and `ledger_`.

        Raises:
            DataError: a party's arrays are unusable; names party, row and column.
            JobError: fewer than two parties, or a setting that can't be.
            ModelError: an estimator that can't be trained by averaging.
            JobAborted: the job ended without a model, and why.
        """
        rows = _datasets(parties, self.holdout, self._task)
        quorum = len(rows) if self.quorum is None else self.quorum
        if not 1 <= quorum <= len(rows):
            raise JobError(f"quorum: expected 1 to {len(rows)} of the parties, not {quorum}")
        labels: Array = np.empty(0)
        names: tuple[str, ...] = ()
        if self._task == "classification":
            rows, labels = _with_common_labels(rows, parties)
            names = tuple(labels.astype(np.str_).tolist())
        classes = tuple(sorted(names))
        shape = ModelShape(next(iter(rows.values())).features.shape[1], classes, self._task)
        agreed = self._agreed(validation, labels)
        self._model(shape, self.seed)  # an estimator that can't be averaged fails here, not in a party
        spec = JobSpec(
            job=JOB,
            protocol="horizontal-fedavg",
            model=MODEL,
            dataset=DATASET,
            parties=tuple(sorted(rows)),
            classes=classes,
            features=shape.features,
            hyperparameters={},
            settings={
                "rounds": self.rounds,
                "quorum": quorum,
                "round_deadline_s": float(self.round_deadline_s),
                "silence_s": float(self.round_deadline_s) * 2,
                "tol": float(self.tol),
                "patience": self.patience,
            },
            minimum_parties=max(quorum, 2),  # alone is no federation; a round may go on with one
            consent_s=60.0,
            seed=self.seed,
            contribution=self._measuring(),
        )
        registry = ModelRegistry({MODEL: self._model})
        # Whoever runs all parties in one process may set a quorum that a party of its own would refuse.
        policy = {"policy": {"minimum_parties": min(quorum, 2)}}
        members = [Member(name, "", {DATASET: _constant(dataset)}, policy) for name, dataset in rows.items()]
        folder = None if self.folder is None else Path(self.folder)
        with LocalFederation.found(
            members,
            folder=folder,
            journalled=folder is not None,
            registry=registry,
            utility=UTILITY,
            validation=agreed,
        ) as local:
            local.register()
            local.run(spec)
            result = local.result(JOB)
            head, job, history = local.ask(
                local.keeper,
                lambda agent: (
                    agent.clerk.head,
                    agent.clerk.standing.jobs[JOB],
                    _history(agent.clerk.store),
                ),
            )
        model = self._model(shape, self.seed)
        model.set_parameters(list(result.parameters))
        self.estimator_ = model.fitted()
        self._trained = model
        self.evaluation_: Evaluation = result.evaluation
        self.history_ = history
        total = max(sum(job.shares.values()), 1)
        self.shares_ = {name: weight / total for name, weight in job.shares.items()}
        added = {} if job.appraisal is None else job.appraisal.shares
        self.contributions_ = {name: float(share) for name, share in added.items()}
        self.ledger_ = LedgerHead(head.size, head.hash.hex())
        self.n_features_in_ = shape.features
        if self._task == "classification":
            self.classes_ = labels
            self._labels = dict(zip(names, labels, strict=True))
        return self

    def _measuring(self) -> dict[str, Setting]:
        """Return how contributions are measured, as the job has it."""
        given = self.contribution
        own: Mapping[str, Setting] = {"method": given} if isinstance(given, str) else given
        if own.get("method") == VOLUME:
            return {}
        return {"utility": UTILITY, "validation": VALIDATION, **own}

    def _agreed(self, validation: tuple[Any, Any] | None, labels: Array) -> dict[str, Callable[[], Dataset]]:
        """Return the rows that models are valued on, under their name; none where nothing is valued."""
        if (validation is None) == bool(self._measuring()):
            why = "missing: rows that nobody trains on" if validation is None else "of no use"
            raise JobError(f"validation: {why}, since contributions are measured by {self.contribution!r}")
        if validation is None:
            return {}
        X, target = validation
        regression = self._task == "regression"
        rows = from_arrays(VALIDATION, X, target, holdout=0.5, regression=regression, source=VALIDATION)
        if not regression:
            texts = np.asarray(target).astype(labels.dtype).astype(np.str_)
            rows = replace(rows, target=texts.astype(object))
        return {VALIDATION: _constant(rows)}

    def _model(self, shape: ModelShape, seed: int) -> AdaptedModel:
        if is_module(self.estimator):
            make = partial(copy.deepcopy, self.estimator)
            return module_model(make, shape, self.training or Training(), seed)
        if self.training is not None:
            raise ModelError(
                f"training is for PyTorch modules; {type(self.estimator).__name__} has its own settings"
            )
        return EstimatorModel(self.estimator, shape, seed=seed)

    def predict(self, X: Any) -> Any:
        """Return (rows,) predictions, in the labels of the parties' own targets."""
        check_is_fitted(self, "estimator_")
        predicted = self._trained.predict(np.asarray(X, dtype=np.float64))
        if self._task == "regression":
            return predicted
        return np.array([self._labels[str(label)] for label in predicted])


class FederatedClassifier(ClassifierMixin, _Federated):  # type: ignore[misc]
    """A scikit-learn classifier with `partial_fit`, trained by federated averaging over parties."""

    _task = "classification"

    def predict_proba(self, X: Any) -> Any:
        """Return (rows, classes) probabilities in the order of `classes_`, if the estimator has them."""
        check_is_fitted(self, "estimator_")
        probabilities = self._trained.predict_proba(np.asarray(X, dtype=np.float64))
        names = sorted(self._labels)  # the order of the job's classes
        return probabilities[:, [names.index(str(label)) for label in self.classes_]]


class FederatedRegressor(RegressorMixin, _Federated):  # type: ignore[misc]
    """A scikit-learn regressor with `partial_fit`, trained by federated averaging over parties."""

    _task = "regression"


def _constant(dataset: Dataset) -> Any:
    return lambda: dataset


def _datasets(
    parties: Mapping[str, tuple[Any, Any]], holdout: float, task: Literal["classification", "regression"]
) -> dict[str, Dataset]:
    """Return the parties' rows, checked, all of one width."""
    if not isinstance(parties, Mapping):
        raise DataError(f"expected a mapping of party names to (X, y), not {type(parties).__name__}")
    if len(parties) < 2:
        raise JobError(f"federated training takes two parties or more, not {len(parties)}")
    rows = {
        name: from_arrays(
            DATASET, X, target, holdout=holdout, regression=task == "regression", source=f"party {name}"
        )
        for name, (X, target) in parties.items()
    }
    first = next(iter(rows.values()))
    for dataset in rows.values():
        if len(dataset.columns) != len(first.columns):
            widths = f"{len(dataset.columns)} columns, {first.source} has {len(first.columns)}"
            raise DataError(f"{dataset.source} has {widths}")
    return rows


def _with_common_labels(
    rows: Mapping[str, Dataset], parties: Mapping[str, tuple[Any, Any]]
) -> tuple[dict[str, Dataset], Array]:
    """Return the rows with targets of one type, so that 1 here and 1.0 there are one label; and all labels.

    Returns:
        The rows, and (classes,) the labels in their own order.
    """
    targets = {name: np.asarray(target) for name, (_, target) in parties.items()}
    for name, target in targets.items():
        for row, label in enumerate(target.tolist()):
            if label is None or label != label:  # NaN
                raise DataError(f"party {name}: row {row}, column 'y': no label")
    together = np.concatenate(list(targets.values()))
    try:
        labels = np.unique(together)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in together.tolist()})
        raise DataError(f"labels of types that have no common order: {', '.join(kinds)}") from None
    texts = {name: target.astype(together.dtype).astype(np.str_) for name, target in targets.items()}
    return {name: replace(rows[name], target=texts[name].astype(object)) for name in rows}, labels


def _history(store: LedgerStore) -> list[dict[str, Any]]:
    """Return what the ledger says of each round's model, the initial one first."""
    history = []
    for entry in store.read():
        fields = read_entry(entry.signed)
        body = decode_body(fields.kind, fields.schema, fields.body)
        if isinstance(body, ModelEvaluated):
            figures = {"loss": body.loss, "score": body.score, "metric": body.metric, "rows": body.rows}
            history.append({"round": body.round, **figures})
    return history
