"""Does a vertical regression learn what one learner would learn from everything together?

    python -m benchmarks --only vertical_accuracy

Breast cancer (569 rows; ten columns and the classes at a bank, twenty at a shop) and diabetes (442 rows; a clinic
with the targets and four columns, two hosts with three each), both scikit-learn's; three rows in ten are held out.

V_FED is the federated model's score on the held-out rows, as the job itself tells; V_SUM that of the same learner
in plaintext on pooled columns, with the same split, seed, batches and start; δ = |V_FED − V_SUM| (Yang et al. 2019,
§2.1). "Local only" is that learner with the guest's columns alone.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import train_test_split

from benchmarks.report import Row
from benchmarks.vertical import BANK, breast_cancer, key_pair
from benchmarks.vertical_drive import Course, drive, workers
from hansa.protocols.model import Array, FloatArray
from hansa.protocols.vertical import LinearSettings, LogisticSettings
from hansa.protocols.vertical.batches import Plan
from hansa.protocols.vertical.optimiser import Learner
from hansa.protocols.vertical.rehearsal import rehearse
from hansa.protocols.vertical.tasks import INSPECT, MAKE_KEY

EPOCHS, QUICK_EPOCHS = 60, 3
LOSSLESS = 1e-6
AUC_BAR = 0.005
HELD_OUT, SPLIT_SEED, JOB_SEED = 0.3, 7, 1
INVERSE_PENALTY = 1.0  # scikit-learn's C

Settings = LinearSettings | LogisticSettings
Columns = Mapping[str, FloatArray]


@dataclass(frozen=True, slots=True)
class Split:
    """A table that several parties hold together, cut in two; standardised by the training rows.

    Attributes:
        train, test: by party, the guest first; (rows, columns).
        y_train, y_test: (rows,) classes 0 and 1, or targets.
    """

    train: Columns
    y_train: Array
    test: Columns
    y_test: Array


@dataclass(frozen=True, slots=True)
class Part:
    """What one party has learned; the intercept is the guest's, 0 at hosts."""

    theta: FloatArray
    intercept: float


Parts = Mapping[str, Part]


@dataclass(frozen=True, slots=True)
class Models:
    """What came of one table.

    Attributes:
        fed: learned in federation.
        together: by one plaintext learner with everybody's columns.
        alone: by one with the guest's.
        told: V_FED, the score that the job ended with.
    """

    fed: Parts
    together: Parts
    alone: Parts
    told: float


def split(columns: Columns, y: Array, *, by_class: bool) -> Split:
    """Hold rows out, the same ones everywhere."""
    rows = np.arange(len(y))
    train, test = train_test_split(
        rows, test_size=HELD_OUT, random_state=SPLIT_SEED, stratify=y if by_class else None
    )
    means = {name: own[train].mean(axis=0) for name, own in columns.items()}
    spreads = {name: own[train].std(axis=0) for name, own in columns.items()}

    def cut(picked: Array) -> Columns:
        return {name: (own[picked] - means[name]) / spreads[name] for name, own in columns.items()}

    return Split(cut(train), y[train], cut(test), y[test])


def diabetes() -> Split:
    """Return scikit-learn's diabetes over three parties, its targets standardised too."""
    X, y = load_diabetes(return_X_y=True)
    data = split({"clinic": X[:, :4], "insurer": X[:, 4:7], "laboratory": X[:, 7:]}, y, by_class=False)
    mean, spread = data.y_train.mean(), data.y_train.std()
    return replace(data, y_train=(data.y_train - mean) / spread, y_test=(data.y_test - mean) / spread)


def pooled(columns: Columns, y: Array, settings: Settings, starts: Mapping[str, FloatArray]) -> Parts:
    """Train the same learner in plaintext.

    Args:
        columns: by party, (rows, columns).
        y: (rows,) targets, or classes 0 and 1.
        settings: of the job.
        starts: by party, where its coefficients start, (columns,); the guest's end with its intercept's.
    """
    guest, logistic = settings.guest, isinstance(settings, LogisticSettings)
    parts = {
        name: np.column_stack([own, np.ones(len(own))]) if name == guest and settings.intercept else own
        for name, own in columns.items()
    }
    X, targets = np.hstack([*parts.values()]), 2.0 * y - 1.0 if logistic else np.asarray(y, np.float64)
    shrunk = np.concatenate(
        [np.arange(part.shape[1]) < columns[name].shape[1] for name, part in parts.items()]
    )
    learner = Learner.at(np.concatenate([starts[name] for name in columns]))
    plan = Plan(len(y), settings.batch, settings.block, JOB_SEED)
    for _ in range(settings.epochs):
        for number in range(plan.batches):
            rows = plan.batch_rows(number)
            u = X[rows] @ learner.theta
            d = 0.25 * u - 0.5 * targets[rows] if logistic else u - targets[rows]
            gradient = X[rows].T @ d / len(rows) + settings.penalty * shrunk * learner.theta
            learner = learner.stepped(gradient, settings.optimiser, settings.learning_rate)
    edges = np.cumsum([part.shape[1] for part in parts.values()])[:-1]
    thetas = dict(zip(parts, np.split(learner.theta, edges), strict=True))
    return {
        name: Part(theta[: columns[name].shape[1]], float(theta[columns[name].shape[1] :].sum()))
        for name, theta in thetas.items()
    }


def federated(data: Split, settings: Settings) -> Course:
    """Train and evaluate under encryption, all roles in one process and their tasks in others."""
    columns = {name: np.vstack([own, data.test[name]]) for name, own in data.train.items()}
    y = np.append(data.y_train, data.y_test)
    job = rehearse(columns, y, replace(settings, holdout=len(data.y_test) / len(y)), JOB_SEED)
    known = {MAKE_KEY: key_pair(settings.key, settings.key_bits)}
    with workers(os.cpu_count() or 1, job.benches) as pool:
        return drive(pool, job, known)


def models(data: Split, settings: Settings) -> Models:
    """Train in federation, in plaintext on everybody's columns, and on the guest's alone."""
    course, guest = federated(data, settings), settings.guest
    # Where coefficients start only their owner's agent knows in earnest.
    starts = {name: course.outcomes[INSPECT, name].theta for name in data.train}
    fed = {name: Part(course.results[name].theta, course.results[name].intercept) for name in data.train}
    together = pooled(data.train, data.y_train, settings, starts)
    alone = pooled({guest: data.train[guest]}, data.y_train, settings, {guest: starts[guest]})
    return Models(fed, together, alone, course.results[guest].score)


def scores(parts: Parts, columns: Columns) -> FloatArray:
    """Return every row's score, (rows,): what the parties' parts add up to."""
    return sum((columns[name] @ part.theta + part.intercept for name, part in parts.items()), np.zeros(()))


def furthest(one: Parts, other: Parts) -> float:
    """Return the largest difference of two models' coefficients, intercepts included."""
    return max(
        float(
            np.abs(
                np.append(one[name].theta, one[name].intercept)
                - np.append(other[name].theta, other[name].intercept)
            ).max()
        )
        for name in one
    )


# -- rows ---------------------------------------------------------------------------------------------------


def within(name: str, difference: float, bar: float, beside: str, note: str = "") -> Row:
    """Return the row of a difference that has to stay below a bar."""
    met = difference <= bar
    return Row(f"{name}: difference", f"{difference:.2g}", beside, None, f"≤ {bar:g}", met, note)


def logistic_rows(epochs: int) -> list[Row]:
    """Breast cancer, beside scikit-learn with equal L2."""
    data = split(*breast_cancer(), by_class=True)
    rows = len(data.y_train)
    settings = LogisticSettings(
        BANK,
        epochs=epochs,
        learning_rate=0.5,
        optimiser="momentum",
        penalty=1 / (INVERSE_PENALTY * rows),
        patience=0,
    )
    found = models(data, settings)
    learner = LogisticRegression(C=INVERSE_PENALTY, max_iter=10_000)
    learner.fit(np.hstack([*data.train.values()]), data.y_train)
    theirs = roc_auc_score(data.y_test, learner.decision_function(np.hstack([*data.test.values()])))
    name = f"breast cancer, {rows} + {len(data.y_test)} rows, logistic"
    beside = f"federated {found.told:.4f}; scikit-learn, C = 1: {theirs:.4f}"
    together, alone = (
        roc_auc_score(data.y_test, scores(each, data.test)) for each in (found.together, found.alone)
    )
    return [
        _lossless(name, found, settings),
        within(f"{name}, AUC", abs(found.told - theirs), AUC_BAR, beside),
        *_value_rows(f"{name}, AUC", found.told, together, alone),
    ]


def linear_rows(epochs: int) -> list[Row]:
    """Diabetes, two hosts, beside scikit-learn's ridge with equal L2."""
    data = diabetes()
    rows = len(data.y_train)
    settings = LinearSettings(
        "clinic", epochs=epochs, learning_rate=0.1, optimiser="momentum", penalty=1 / rows, patience=0
    )
    found = models(data, settings)
    ridge = Ridge(alpha=1.0).fit(np.hstack([*data.train.values()]), data.y_train)
    theirs = r2_score(data.y_test, ridge.predict(np.hstack([*data.test.values()])))
    name = f"diabetes, {rows} + {len(data.y_test)} rows, linear, two hosts"
    together, alone = (
        r2_score(data.y_test, scores(each, data.test)) for each in (found.together, found.alone)
    )
    return [
        _lossless(name, found, settings),
        Row(f"{name}, R²", f"{found.told:.4f}", f"scikit-learn's ridge, α = 1: {theirs:.4f}"),
        *_value_rows(f"{name}, R²", found.told, together, alone),
    ]


def _lossless(name: str, found: Models, settings: Settings) -> Row:
    note = (
        f"{settings.epochs} epochs, {settings.optimiser}, {settings.key} key of {settings.key_bits} bits, "
        f"λ = {settings.penalty:.3g}, {settings.feature_bits} fractional bits of features"
    )
    beside = "largest, to one plaintext learner"
    return within(f"{name}, coefficients", furthest(found.fed, found.together), LOSSLESS, beside, note)


def _value_rows(name: str, fed: float, together: float, alone: float) -> list[Row]:
    delta = f"δ = {abs(fed - together):.2g}"
    return [
        Row(f"{name}: V_FED beside V_SUM", f"{fed:.6f}", f"{together:.6f}", note=delta),
        Row(f"{name}: V_FED beside local only", f"{fed:.4f}", f"{alone:.4f}"),
    ]


def run(quick: bool) -> list[Row]:
    """Return the rows for `python -m benchmarks`; a quick run has too few epochs to converge."""
    epochs = QUICK_EPOCHS if quick else EPOCHS
    return [*logistic_rows(epochs), *linear_rows(epochs)]
