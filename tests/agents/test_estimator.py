"""Training across parties from Python, as with any scikit-learn estimator."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, SGDClassifier, SGDRegressor
from sklearn.metrics import accuracy_score, r2_score
from sklearn.neural_network import MLPClassifier

from hansa.agents import estimator
from hansa.agents.cli import main
from hansa.agents.errors import DataError, FederationError, JobAborted, JobError
from hansa.agents.estimator import FederatedClassifier, FederatedRegressor
from hansa.broker import BrokerError
from hansa.protocols import ModelError, ModelShape
from hansa.protocols.horizontal.estimator import EstimatorModel
from hansa.protocols.horizontal.training import Training

NAMES = ("north", "south", "west")
Parties = dict[str, tuple[NDArray[Any], NDArray[Any]]]


def standardised(features: NDArray[Any]) -> NDArray[Any]:
    scaled: NDArray[Any] = (features - features.mean(axis=0)) / features.std(axis=0)
    return scaled


def shared_out(X: NDArray[Any], y: NDArray[Any]) -> tuple[Parties, NDArray[Any], NDArray[Any]]:
    """Deal three quarters of the rows to three parties; the rest is the test set."""
    parties = {name: (X[place::4], y[place::4]) for place, name in enumerate(NAMES)}
    return parties, X[3::4], y[3::4]


def small(labels: Any = ("no", "yes"), seed: int = 0) -> tuple[Parties, NDArray[Any], NDArray[Any]]:
    """Return three parties' rows of two classes (or more) that a plane parts."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(160, 3))
    places = np.digitize(X @ np.array([2.0, -1.0, 0.5]), np.linspace(-1, 1, len(labels) + 1)[1:-1])
    return shared_out(X, np.array(labels)[places])


def sgd(**settings: Any) -> SGDClassifier:
    return SGDClassifier(**({"loss": "log_loss"} | settings))


def test_the_five_lines_of_the_readme_train_a_good_model() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    parties, X_test, y_test = shared_out(standardised(X), y)
    model = FederatedClassifier(sgd(), rounds=20)
    assert model.fit(parties) is model
    assert model.score(X_test, y_test) > 0.9
    assert model.score(X_test, y_test) == accuracy_score(y_test, model.predict(X_test))
    assert model.shares_.keys() == set(NAMES)
    assert sum(model.shares_.values()) == pytest.approx(1.0)
    assert model.evaluation_.metric == "accuracy"
    assert model.evaluation_.score > 0.9
    assert [each["round"] for each in model.history_] == list(range(21))
    assert model.history_[-1]["loss"] < model.history_[0]["loss"]
    assert model.history_[-1]["score"] == model.evaluation_.score
    assert len(model.ledger_.head) == 64
    assert model.ledger_.entries > 40
    assert model.n_features_in_ == 30


@pytest.mark.parametrize(
    "labels",
    [(2, 10), (-1, 10, 9), (False, True), (0.0, 1.0), ("ö", "a b", "")],
    ids=str,
)
def test_labels_come_back_as_they_were_given_and_sorted_as_they_sort(labels: tuple[Any, ...]) -> None:
    parties, X_test, y_test = small(labels)
    model = FederatedClassifier(sgd(), rounds=3).fit(parties)
    assert model.classes_.tolist() == sorted(labels)
    predicted = model.predict(X_test)
    assert predicted.dtype == y_test.dtype
    assert set(predicted.tolist()) <= set(labels)
    assert model.score(X_test, y_test) > 0.7
    probabilities = model.predict_proba(X_test)
    assert np.allclose(probabilities.sum(axis=1), 1.0)
    assert np.array_equal(model.classes_[probabilities.argmax(axis=1)], predicted)


def test_one_label_may_be_a_whole_number_at_one_party_and_a_float_at_another() -> None:
    parties, X_test, y_test = small((0, 1))
    X, y = parties["south"]
    parties["south"] = X, y.astype(np.float32)
    model = FederatedClassifier(sgd(), rounds=2).fit(parties)
    assert model.classes_.tolist() == [0, 1]
    assert model.score(X_test, y_test) > 0.7


def test_a_party_may_lack_a_class() -> None:
    parties, X_test, y_test = small(("a", "b", "c"))
    X, y = parties["west"]
    parties["west"] = X[y != "b"], y[y != "b"]
    model = FederatedClassifier(sgd(), rounds=5).fit(parties)
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.score(X_test, y_test) > 0.6
    assert model.shares_["west"] == min(model.shares_.values())


def test_a_perceptron_is_trained_as_well() -> None:
    parties, X_test, y_test = small()
    perceptron = MLPClassifier(hidden_layer_sizes=(8,), learning_rate_init=0.05)
    model = FederatedClassifier(perceptron, rounds=10).fit(parties)
    assert model.score(X_test, y_test) > 0.8
    assert model.predict_proba(X_test).shape == (len(X_test), 2)


def test_a_regression_is_trained_and_scored_by_r2() -> None:
    X, y = load_diabetes(return_X_y=True)
    parties, X_test, y_test = shared_out(standardised(X), (y - y.mean()) / y.std())
    model = FederatedRegressor(SGDRegressor(eta0=0.005), rounds=20).fit(parties)
    assert model.score(X_test, y_test) > 0.35
    assert model.score(X_test, y_test) == r2_score(y_test, model.predict(X_test))
    assert model.evaluation_.metric == "r2"
    assert not hasattr(model, "classes_")


def test_it_behaves_as_an_estimator() -> None:
    model = FederatedClassifier(sgd(alpha=0.01), rounds=3, seed=5)
    assert is_classifier(model)
    assert is_regressor(FederatedRegressor(SGDRegressor()))
    parameters = model.get_params()
    assert parameters["rounds"] == 3
    assert parameters["estimator__alpha"] == 0.01
    twin = clone(model).set_params(estimator__alpha=0.5, rounds=4)
    assert (twin.estimator.alpha, twin.rounds, twin.seed) == (0.5, 4, 5)
    assert (model.estimator.alpha, model.rounds) == (0.01, 3)
    assert "rounds=3" in repr(model)
    for ask in (model.predict, model.predict_proba):
        with pytest.raises(NotFittedError):
            ask(np.zeros((1, 3)))


def test_the_given_estimator_is_left_as_it_was() -> None:
    parties, X_test, _ = small()
    given = sgd(random_state=3).fit(*parties["west"])
    coefficients, settings = given.coef_.copy(), given.get_params()
    model = FederatedClassifier(given, rounds=2).fit(parties)
    assert np.array_equal(given.coef_, coefficients)
    assert given.get_params() == settings
    assert model.estimator is given
    assert model.estimator_ is not given
    model.predict(X_test)


@pytest.mark.parametrize("estimator", [sgd(), MLPClassifier(hidden_layer_sizes=(4,))], ids=["linear", "mlp"])
def test_equal_seeds_give_equal_models_and_others_give_others(estimator: Any) -> None:
    parties, _, _ = small()
    turned = dict(reversed(parties.items()))
    one, two, other = (
        FederatedClassifier(estimator, rounds=1, seed=seed).fit(rows).estimator_
        for rows, seed in ((parties, 1), (turned, 1), (parties, 2))
    )
    name = "coef_" if hasattr(one, "coef_") else "coefs_"
    assert all(map(np.array_equal, getattr(one, name), getattr(two, name)))
    assert not all(map(np.array_equal, getattr(one, name), getattr(other, name)))


def test_a_folder_keeps_the_federation_and_its_ledger_verifies(tmp_path: Path) -> None:
    parties, _, _ = small()
    folder = tmp_path / "federation"
    model = FederatedClassifier(sgd(), rounds=2, folder=str(folder)).fit(parties)
    result = CliRunner().invoke(main, ["ledger", "verify", str(folder)])
    assert result.exit_code == 0, result.output
    verified = f"ledger verified: {model.ledger_.entries} entries, head {model.ledger_.head[:16]}"
    assert [line.split(": ", 1)[1] for line in result.stdout.splitlines()] == [verified] * 4
    with pytest.raises(FederationError, match="not empty"):
        model.fit(parties)


def test_training_can_stop_early() -> None:
    parties, _, _ = small()
    model = FederatedClassifier(sgd(), rounds=50, tol=10.0, patience=2).fit(parties)
    assert len(model.history_) < 10


def spoilt(party: str, X: Any = None, y: Any = None) -> Parties:
    """Return good rows, with one party's replaced."""
    parties, _, _ = small((0, 1))
    good_X, good_y = parties[party]
    parties[party] = (good_X if X is None else X), (good_y if y is None else y)
    return parties


def with_nan() -> NDArray[Any]:
    X = small()[0]["south"][0].copy()
    X[7, 2] = np.nan
    return X


@pytest.mark.parametrize(
    ("parties", "message"),
    [
        (spoilt("south", X=with_nan()), "party south: row 7, column 'x2': 'nan' is not a finite number"),
        (spoilt("south", X=[[1.0, "tall", 2.0]], y=[1]), "party south: row 0, column 'x1': 'tall'"),
        (
            spoilt("west", X=[[1.0, 2.0], [1.0]], y=[0, 1]),
            "party west: the rows of X or of y differ in length",
        ),
        (spoilt("west", y=[0, 1]), r"party west: expected X of \(rows, columns\) and y of \(rows,\)"),
        (spoilt("west", X=np.zeros(3), y=np.zeros(3)), "party west: expected X"),
        (spoilt("west", X=np.zeros((0, 3)), y=np.zeros(0)), "party west: expected X"),
        (spoilt("west", X=np.zeros((9, 2)), y=np.zeros(9)), "party west has 2 columns, party north has 3"),
        (spoilt("west", X=np.zeros((2, 3)), y=[1.0, np.nan]), "party west: row 1, column 'y': no label"),
        (spoilt("west", X=np.zeros((2, 3)), y=[None, 1]), "party west: row 0, column 'y': no label"),
        (
            spoilt("west", X=np.zeros((2, 3)), y=np.array(["a", 1], dtype=object)),
            "labels of types that have no common order: int, str",
        ),
        (small()[0]["north"], "expected a mapping of party names"),
    ],
)
def test_unusable_rows_are_named_before_anything_starts(parties: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        FederatedClassifier(sgd()).fit(parties)


@pytest.mark.parametrize("count", [0, 1])
def test_training_takes_two_parties(count: int) -> None:
    parties = dict(list(small()[0].items())[:count])
    with pytest.raises(JobError, match=f"two parties or more, not {count}"):
        FederatedClassifier(sgd()).fit(parties)


def test_a_regression_needs_finite_targets() -> None:
    with pytest.raises(DataError, match="party west: row 1, column 'y': 'inf' is not a finite number"):
        FederatedRegressor(SGDRegressor()).fit(spoilt("west", X=np.zeros((2, 3)), y=[1.0, np.inf]))


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (LogisticRegression(), "LogisticRegression has no partial_fit"),
        (SGDRegressor(), "SGDRegressor is not made for classification"),
        (sgd(average=True), "average"),
    ],
    ids=["no partial_fit", "a regressor", "averaging"],
)
def test_an_estimator_that_cannot_be_averaged_is_refused_before_anything_starts(
    estimator: Any, message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "federation"
    with pytest.raises(ModelError, match=message):
        FederatedClassifier(estimator, folder=folder).fit(small()[0])
    assert not folder.exists()


def test_a_pytorch_module_is_copied_and_trained_as_its_training_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the adapter does, for which tests/torch has PyTorch."""
    mine, seen = sgd(), []

    def adapted(make: Any, shape: ModelShape, training: Training, seed: int) -> EstimatorModel:
        seen.append((training, make() is mine))
        return EstimatorModel(make(), shape, seed=seed)

    monkeypatch.setattr(estimator, "is_module", lambda value: value is mine)
    monkeypatch.setattr(estimator, "module_model", adapted)
    parties, X_test, y_test = small()
    model = FederatedClassifier(mine, rounds=2, training=Training(epochs=2)).fit(parties)
    assert model.score(X_test, y_test) > 0.7
    assert set(seen) == {(Training(epochs=2), False)}


def test_settings_for_a_pytorch_module_are_no_settings_for_an_estimator() -> None:
    with pytest.raises(
        ModelError, match="training is for PyTorch modules; SGDClassifier has its own settings"
    ):
        FederatedClassifier(sgd(), training=Training(epochs=2)).fit(small()[0])


def test_one_class_is_no_classification() -> None:
    parties = {name: (X, np.zeros(len(X))) for name, (X, _) in small()[0].items()}
    with pytest.raises(ValueError, match="at least two classes"):
        FederatedClassifier(sgd()).fit(parties)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": 0}, "rounds"),
        ({"quorum": 4}, "quorum"),
        ({"quorum": 0}, "quorum"),
        ({"round_deadline_s": 0.0}, "deadline"),
    ],
    ids=str,
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(JobError, match=message):
        FederatedClassifier(sgd(), **settings).fit(small()[0])


def test_rows_without_an_evaluation_set_end_the_job_with_the_reason() -> None:
    with pytest.raises(JobAborted, match="training failed in round 1"):
        FederatedClassifier(sgd(), holdout=1e-9).fit(small()[0])


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, float("nan")])
def test_a_holdout_that_is_no_share_is_refused_before_anything_begins(share: float) -> None:
    with pytest.raises(DataError, match="holdout: expected a share of the rows between 0 and 1"):
        FederatedClassifier(sgd(), holdout=share).fit(small()[0])


def test_a_round_may_go_on_with_one_party() -> None:
    model = FederatedClassifier(sgd(), rounds=1, quorum=1).fit(small()[0])
    assert len(model.history_) == 2


@pytest.mark.parametrize("name", ["North", "", "all", "a b", "x" * 41])
def test_a_partys_name_must_be_a_name(name: str) -> None:
    parties = small()[0]
    with pytest.raises(BrokerError):
        FederatedClassifier(sgd()).fit({**parties, name: parties["north"]})


# --- contributions ------------------------------------------------------------------------------------------
def test_what_each_party_has_added_is_measured_on_rows_of_our_own() -> None:
    parties, X, y = small(labels=(3, 8))
    model = FederatedClassifier(sgd(), rounds=2, contribution="shapley").fit(parties, validation=(X, y))
    assert model.contributions_.keys() == model.shares_.keys() == set(NAMES)
    gained = model.score(X, y) - np.mean(y == 3)  # which is what an untrained model says of every row
    assert sum(model.contributions_.values()) == pytest.approx(gained)
    positive = {name: max(share, 0.0) for name, share in model.contributions_.items()}
    expected = {name: share / sum(positive.values()) for name, share in positive.items()}
    assert model.shares_ == pytest.approx(expected)
    assert clone(model).get_params()["contribution"] == "shapley"


def test_a_regressions_models_are_valued_on_numbers() -> None:
    model = FederatedRegressor(SGDRegressor(), contribution={"method": "gtg", "cycles": 2})
    held = model._agreed((np.eye(3), np.array([0.5, 1.5, 2.5])), np.empty(0))
    assert held["validation"]().target == pytest.approx(np.array([0.5, 1.5, 2.5]))


def test_rows_to_value_models_on_are_given_exactly_where_models_are_valued() -> None:
    parties, X, y = small()
    with pytest.raises(JobError, match="validation: missing: rows that nobody trains on"):
        FederatedClassifier(sgd(), contribution="gtg").fit(parties)
    with pytest.raises(JobError, match="validation: of no use, since contributions are measured by 'volume'"):
        FederatedClassifier(sgd()).fit(parties, validation=(X, y))
    with pytest.raises(JobError, match="expected one of volume, "):
        FederatedClassifier(sgd(), contribution="auction").fit(parties, validation=(X, y))
