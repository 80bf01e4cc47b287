"""How does one train across parties from a notebook? As with any scikit-learn estimator.

    model = FederatedClassifier(SGDClassifier(loss="log_loss"), rounds=20)
    model.fit({"north": (X1, y1), "south": (X2, y2), "west": (X3, y3)})
    model.score(X_test, y_test), model.shares_, model.ledger_

Behind it stands a whole federation in this process (hansa.agents.local): every party an agent with keys of its
own, every message sealed, every round on a ledger, which `folder=` keeps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from hansa.agents.data import Dataset, from_arrays
from hansa.agents.local import LocalFederation, Member
from hansa.agents.messages import JobSpec
from hansa.ledger import volume_shares
from hansa.protocols import Evaluation, ModelRegistry, ModelShape
from hansa.protocols.horizontal.estimator import EstimatorModel

JOB = "fit"
DATASET = "rows"
MODEL = "own-estimator"


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """Where the job's record ends."""

    entries: int
    head: str


class _Federated(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor share."""

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

    def fit(self, parties: Mapping[str, tuple[Any, Any]], y: None = None) -> "_Federated":
        """Train one model over the parties' rows.

        Args:
            parties: by name (`[a-z0-9-]{1,40}`), (rows, columns) features and (rows,) targets.
            y: ignored; the targets stand beside the features of each party.

        Returns:
            self, with `estimator_`, `classes_` (classification), `evaluation_` (on the parties' held-out rows),
            `history_`, `shares_` and `ledger_`.

        Raises:
            DataError: a party's arrays are unusable; names party, row and column.
            JobAborted: the job ended without a model, and why.
        """
        regression = self._task == "regression"
        rows = {
            name: from_arrays(
                DATASET, X, target, holdout=self.holdout, regression=regression, source=f"party {name}"
            )
            for name, (X, target) in parties.items()
        }
        classes, names = ((), ()) if regression else _classes([target for _, target in parties.values()])
        shape = ModelShape(next(iter(rows.values())).features.shape[1], names, self._task)
        EstimatorModel(
            self.estimator, shape
        )  # an estimator that can't be averaged fails here, not in a party
        spec = JobSpec(
            job=JOB,
            protocol="horizontal-fedavg",
            model=MODEL,
            dataset=DATASET,
            parties=tuple(sorted(rows)),
            classes=names,
            features=shape.features,
            hyperparameters={},
            settings={
                "rounds": self.rounds,
                "quorum": self.quorum or len(rows),
                "round_deadline_s": float(self.round_deadline_s),
                "silence_s": float(self.round_deadline_s) * 2,
                "tol": float(self.tol),
                "patience": self.patience,
            },
            minimum_parties=self.quorum or len(rows),
            consent_s=60.0,
            seed=self.seed,
        )
        registry = ModelRegistry({MODEL: lambda shape: EstimatorModel(self.estimator, shape)})
        members = [Member(name, datasets={DATASET: _constant(dataset)}) for name, dataset in rows.items()]
        folder = None if self.folder is None else Path(self.folder)
        history: list[dict[str, Any]] = []
        with LocalFederation.found(
            members, folder=folder, journalled=folder is not None, registry=registry
        ) as local:
            local.listen(
                lambda _, kind, fields: history.append(fields) if kind == "model-evaluated" else None
            )
            local.register()
            local.run(spec)
            result = local.coordinator.result(JOB)
            head = local.coordinator.clerk.head
        model = EstimatorModel(self.estimator, shape)
        model.set_parameters(list(result.parameters))
        self.estimator_ = model.fitted()
        self.evaluation_: Evaluation = result.evaluation
        self.history_ = sorted(history, key=lambda fields: int(fields["round"]))
        self.shares_ = {name: float(share) for name, share in volume_shares(result.rows).items()}
        self.ledger_ = LedgerHead(head.size, head.hash.hex())
        self.n_features_in_ = shape.features
        if not regression:
            self.classes_ = np.array(classes)
            self._names = dict(zip(names, classes, strict=True))
        return self

    def predict(self, X: Any) -> Any:
        """Return (rows,) predictions, in the labels of the parties' own targets."""
        check_is_fitted(self, "estimator_")
        predicted = self.estimator_.predict(np.asarray(X, dtype=np.float64))
        if self._task == "regression":
            return predicted
        return np.array([self._names[str(label)] for label in predicted])


class FederatedClassifier(ClassifierMixin, _Federated):  # type: ignore[misc]
    """A scikit-learn classifier with `partial_fit`, trained by federated averaging over parties."""

    _task = "classification"

    def predict_proba(self, X: Any) -> Any:
        """Return (rows, classes) probabilities in the order of `classes_`, if the estimator has them."""
        check_is_fitted(self, "estimator_")
        probabilities = self.estimator_.predict_proba(np.asarray(X, dtype=np.float64))
        places = [list(self.estimator_.classes_).index(str(label)) for label in self.classes_]
        return probabilities[:, places]


class FederatedRegressor(RegressorMixin, _Federated):  # type: ignore[misc]
    """A scikit-learn regressor with `partial_fit`, trained by federated averaging over parties."""

    _task = "regression"


def _constant(dataset: Dataset) -> Any:
    return lambda: dataset


def _classes(targets: list[Any]) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """Return the labels of all parties and their names, both in the order of the names."""
    labels = np.unique(np.concatenate([np.asarray(target) for target in targets]))
    pairs = sorted((str(label), label) for label in labels)
    return tuple(label for _, label in pairs), tuple(name for name, _ in pairs)
