"""Training over several parties' columns from Python, as with any scikit-learn estimator."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone, is_classifier, is_regressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.metrics import accuracy_score, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from hansa.agents import local
from hansa.agents.cli import main
from hansa.agents.core.workers import WorkerProcesses
from hansa.agents.errors import AgentError, ConfigError, DataError, FederationError, JobError
from hansa.agents.estimator import FederatedClassifier
from hansa.agents.estimators import VerticalLinearRegression, VerticalLogisticRegression
from hansa.agents.estimators.foresight import check_rows
from hansa.agents.estimators.frames import Preparing, frames, read
from hansa.protocols.vertical import LinearSettings, LogisticSettings

ROWS = 400
TRIAL: dict[str, Any] = {"guard": False, "key_bits": 512, "tol": 0.0, "patience": 0, "holdout": 0.0}
# Standardised, the columns below are nearly orthogonal: at such a rate an epoch leaves a quarter of the error.
EPOCHS, RATE = 16, 0.95
TOLERANCE = 1e-5

generator = np.random.default_rng(3)
NUMBERS = generator.normal(size=(ROWS, 5)) * [1, 20, 0.1, 3, 7] + [0, 50, 1, -2, 9]
Z = StandardScaler().fit_transform(NUMBERS)
TARGETS = 3.0 + Z @ [1.0, -2.0, 0.5, 1.5, -0.7] + generator.normal(size=ROWS)
PEOPLE = np.array([f"person {number:03d}" for number in range(ROWS)])
LABELS = np.where(TARGETS - 3.0 + generator.normal(size=ROWS) > 0, "yes", "no")


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    """Let tasks run in threads: with short keys, processes take longer to start than to work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "WorkerProcesses", ThreadPoolExecutor)
        yield


# --- a linear regression, rows matched by their place -------------------------------------------------------
def by_place(X: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {"shop": X[:, :2], "bank": X[:, 2:4], "club": X[:, 4:]}


@pytest.fixture(scope="module")
def linear() -> VerticalLinearRegression:
    model = VerticalLinearRegression(epochs=EPOCHS, learning_rate=RATE, **TRIAL)
    return model.fit(by_place(NUMBERS), TARGETS, guest="bank")


def test_where_it_converges_a_linear_regression_is_that_of_least_squares(
    linear: VerticalLinearRegression,
) -> None:
    expected = LinearRegression().fit(Z, TARGETS)
    found = np.concatenate([linear.coef_[name] for name in ("shop", "bank", "club")])
    assert found == pytest.approx(expected.coef_, abs=TOLERANCE)
    assert linear.intercept_ == pytest.approx(expected.intercept_, abs=TOLERANCE)
    residuals = TARGETS - expected.predict(Z)
    assert linear.losses_[-1] == pytest.approx(0.5 * np.mean(residuals**2), abs=1e-4)


def test_it_predicts_as_the_regression_in_one_place(linear: VerticalLinearRegression) -> None:
    expected = LinearRegression().fit(NUMBERS, TARGETS)
    new = NUMBERS[30::-1]
    assert linear.predict(by_place(new)) == pytest.approx(expected.predict(new), abs=1e-4)
    assert np.array_equal(linear.decision_function(by_place(new)), linear.predict(by_place(new)))
    found = linear.score(by_place(NUMBERS), TARGETS)
    assert found == pytest.approx(r2_score(TARGETS, expected.predict(NUMBERS)), abs=1e-6)


def test_it_says_how_it_came_about(linear: VerticalLinearRegression) -> None:
    assert linear.feature_names_ == {"shop": ("x0", "x1"), "bank": ("x0", "x1"), "club": ("x0",)}
    assert linear.n_features_in_ == 5
    assert linear.n_common_ == ROWS
    assert linear.n_iter_ == len(linear.losses_) == EPOCHS
    assert (linear.score_, linear.metric_) == (None, "")  # nothing was held out
    assert linear.shares_ == pytest.approx({"bank": 0.4, "shop": 0.4, "club": 0.2})
    assert len(linear.ledger_.head) == 64
    assert linear.ledger_.entries > 20
    assert not hasattr(linear, "classes_")


# --- a logistic regression, rows matched by an id -----------------------------------------------------------
def by_id(rows: NDArray[Any], *, target: bool = True) -> dict[str, pl.DataFrame]:
    """Return frames of these rows at the bank; the shop has others, too, in an order of its own."""
    order = np.random.default_rng(9).permutation(ROWS)
    bank = pl.DataFrame({"customer": PEOPLE[rows], "income": NUMBERS[rows, 0], "age": NUMBERS[rows, 1]})
    if target:
        bank = bank.with_columns(pl.Series("bought", LABELS[rows]))
    shop = pl.DataFrame(NUMBERS[order, 2:], schema=["visits", "spent", "late"])
    return {"bank": bank, "shop": shop.with_columns(pl.Series("customer", PEOPLE[order]))}


@pytest.fixture(scope="module")
def logistic() -> VerticalLogisticRegression:
    """Return a model of 320 rows in common: 30 of the bank's 350 are unknown at the shop, which has 50 others."""
    parties = by_id(np.arange(350))
    parties["shop"] = parties["shop"].filter(~pl.col("customer").is_in(PEOPLE[:30].tolist()))
    # The loss is curved a quarter as much as a linear one.
    model = VerticalLogisticRegression(epochs=EPOCHS, learning_rate=4 * RATE, penalty=0.02, **TRIAL)
    return model.fit(parties, id="customer", target="bought")


def test_where_it_converges_a_logistic_regression_is_least_for_the_taylor_loss(
    logistic: VerticalLogisticRegression,
) -> None:
    common = slice(30, 350)
    X = np.column_stack([StandardScaler().fit_transform(NUMBERS[common]), np.ones(320)])
    y = np.where(LABELS[common] == "yes", 1.0, -1.0)
    curvature = X.T @ X / (4 * 320) + 0.02 * np.diag([1, 1, 1, 1, 1, 0])
    expected = np.linalg.solve(curvature, X.T @ y / (2 * 320))
    found = [*logistic.coef_["bank"], *logistic.coef_["shop"], logistic.intercept_]
    assert found == pytest.approx(expected, abs=TOLERANCE)
    assert logistic.n_common_ == 320
    assert logistic.feature_names_ == {"bank": ("income", "age"), "shop": ("visits", "spent", "late")}
    assert logistic.classes_.tolist() == ["no", "yes"]


def test_labels_and_probabilities_come_in_the_order_of_the_guests_rows(
    logistic: VerticalLogisticRegression,
) -> None:
    rows = np.array([399, 7, 360, 8, 9])
    parties = by_id(rows, target=False)
    scores, labels = logistic.decision_function(parties), logistic.predict(parties)
    assert labels.tolist() == np.where(scores > 0, "yes", "no").tolist()
    assert logistic.decision_function(by_id(rows[::-1]))[::-1] == pytest.approx(scores)
    probabilities = logistic.predict_proba(parties)
    assert probabilities[:, 1] == pytest.approx(1 / (1 + np.exp(-scores)))
    assert probabilities.sum(axis=1) == pytest.approx(1.0)
    assert np.array_equal(logistic.classes_[probabilities.argmax(axis=1)], labels)


def test_a_score_takes_the_targets_from_the_guests_frame_or_apart(
    logistic: VerticalLogisticRegression,
) -> None:
    rows = np.arange(200, 400)
    found = logistic.score(by_id(rows))
    assert found == accuracy_score(LABELS[rows], logistic.predict(by_id(rows))) > 0.7
    assert logistic.score(by_id(rows, target=False), LABELS[rows]) == found
    with pytest.raises(DataError, match=r"^party bank: no column 'bought' \(the target\)"):
        logistic.score(by_id(rows, target=False))


@pytest.mark.parametrize(
    ("party", "change", "text"),
    [
        ("shop", lambda frame: frame.filter(pl.col("customer") != "person 004"), "no row of 'customer' 'person"),
        ("shop", lambda frame: frame.head(1), r"no row of 'customer' .* \(and \d more\)$"),
        ("shop", lambda frame: frame.drop("spent"), r"no column 'spent' \(which the model was trained with\)"),
        ("bank", lambda frame: frame.drop("customer"), r"no column 'customer' \(which the model"),
        ("bank", lambda frame: frame.with_columns(age=pl.lit("old")), "column 'age' is String"),
        ("bank", lambda frame: frame.with_columns(age=None), "row 0, column 'age': no value"),
        ("shop", lambda frame: frame.with_columns(late=1e308 * 2), "row 0, column 'late': 'inf' is not a finite"),
        ("shop", lambda frame: frame.with_columns(visits=1e308), "data set 'rows': column 'visits' has a value"),
        ("bank", lambda frame: frame.head(0), "no rows"),
        ("bank", lambda frame: np.zeros((3, 3)), "an array of 3 columns, trained with columns that have names"),
    ],
    ids=range(10),
)  # fmt: skip
def test_what_cannot_be_predicted_names_party_and_column(
    logistic: VerticalLogisticRegression, party: str, change: Any, text: str
) -> None:
    parties: dict[str, Any] = by_id(np.array([3, 4, 5]), target=False)
    parties[party] = change(parties[party])
    with pytest.raises(DataError, match=f"^party {party}: {text}"):
        logistic.predict(parties)


def test_rows_to_predict_come_from_all_parties_and_in_equal_numbers(
    logistic: VerticalLogisticRegression, linear: VerticalLinearRegression
) -> None:
    parties = by_id(np.arange(3))
    for some in ({"bank": parties["bank"]}, {**parties, "club": parties["shop"]}):
        with pytest.raises(DataError, match="a frame of each of 'bank', 'shop', not of 'bank'"):
            logistic.predict(some)
    new = by_place(NUMBERS[:9])
    with pytest.raises(
        DataError, match=r"^party bank has 8 rows, party shop 9: rows are matched by their place"
    ):
        linear.predict({**new, "bank": new["bank"][:8]})
    with pytest.raises(DataError, match=r"^party bank: an array of 1 columns, trained with 2 columns"):
        linear.predict({**new, "bank": new["bank"][:, :1]})
    with pytest.raises(DataError, match=r"^score takes y"):
        linear.score(new)


# --- a federation with keys of real size ---------------------------------------------------------------------
def test_a_guarded_run_with_real_keys_keeps_its_books(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local, "WorkerProcesses", WorkerProcesses)
    model = VerticalLogisticRegression(
        epochs=2, learning_rate=4 * RATE, holdout=0.25, folder=tmp_path / "kept", verbose=True
    )
    parties = {"bank": NUMBERS[:, :3], "shop": NUMBERS[:, 3:]}
    assert model.fit(parties, LABELS == "yes") is model  # the first party is the guest
    assert model.classes_.tolist() == [False, True]
    assert model.predict(parties).dtype == np.bool_
    assert model.metric_ == "auc"
    assert model.score_ is not None
    assert 0.7 < model.score_ <= 1
    assert re.findall(r"epoch (\d)/2  loss \d", capsys.readouterr().out)[0] == "1"
    verified = CliRunner(env={"COLUMNS": "160"}).invoke(main, ["ledger", "verify", str(tmp_path / "kept")])
    assert verified.exit_code == 0
    assert verified.stdout.count(f"{model.ledger_.entries} entries, head {model.ledger_.head[:16]}") == 3
    with pytest.raises(FederationError, match=r"not empty"):
        model.fit(parties, LABELS == "yes")


# --- scikit-learn's conventions ------------------------------------------------------------------------------
def test_they_behave_as_estimators() -> None:
    model = VerticalLogisticRegression(epochs=3, penalty=0.5, categories={"shop": ["code"]})
    assert is_classifier(model)
    assert is_regressor(VerticalLinearRegression())
    assert get_tags(model).input_tags.dict
    twin = clone(model).set_params(penalty=0.1)
    assert (twin.epochs, twin.penalty, twin.categories) == (3, 0.1, {"shop": ["code"]})
    assert model.get_params()["penalty"] == 0.5
    assert "epochs=3" in repr(model)
    for ask in (model.predict, model.predict_proba, model.decision_function, model.score):
        with pytest.raises(NotFittedError):
            ask({"bank": NUMBERS, "shop": NUMBERS})
    assert FederatedClassifier.__module__ == "hansa.agents.estimator"


class Clipped(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A step of a pipeline that works on all parties' frames."""

    def fit(self, parties: dict[str, NDArray[Any]], y: Any = None) -> "Clipped":
        return self

    def transform(self, parties: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {name: np.clip(frame, -40, 60) for name, frame in parties.items()}


def test_they_take_part_in_pipelines_and_scaled_targets(capsys: pytest.CaptureFixture[str]) -> None:
    trial = TRIAL | {"settings": {"show_loss": False}, "verbose": True, "epochs": 8, "learning_rate": RATE}
    model = TransformedTargetRegressor(
        regressor=make_pipeline(Clipped(), VerticalLinearRegression(**trial)),
        transformer=StandardScaler(),
    )
    dear = 1e7 * TARGETS  # beyond what scores can be
    model.fit(by_place(NUMBERS), dear, verticallinearregression__guest="club")
    clipped = np.clip(NUMBERS, -40, 60)
    expected = LinearRegression().fit(clipped, dear)
    assert model.predict(by_place(NUMBERS)) == pytest.approx(expected.predict(clipped), rel=0.01, abs=1e5)
    assert re.search(r"^epoch 1/8$", capsys.readouterr().out, re.MULTILINE)  # hidden losses aren't shown


# --- what columns become --------------------------------------------------------------------------------------
class Column:
    """A column as pandas has it."""

    def __init__(self, values: list[Any], dtype: Any = object) -> None:
        self.values, self.dtype = values, dtype

    def to_numpy(self) -> NDArray[Any]:
        return np.array(self.values, dtype=self.dtype)

    def isna(self) -> NDArray[Any]:
        return np.array([value is None or value != value for value in self.values])

    def tolist(self) -> list[Any]:
        return self.values


class Table:
    """A DataFrame as pandas has it, as far as it is used."""

    def __init__(self, columns: dict[Any, Column]) -> None:
        self.columns = list(columns)
        self.iloc = self
        self._columns = list(columns.values())

    def __getitem__(self, at: tuple[slice, int]) -> Column:
        return self._columns[at[1]]


def prepared(frame: Any, **options: Any) -> tuple[tuple[str, ...], NDArray[Any]]:
    """Return the names and values of the features that a party's frame becomes."""
    preparing = Preparing(
        **({"categories": None, "missing": "refuse", "standardise": True, "rare": 0.0} | options)
    )
    [one] = frames({"shop": frame}).values()
    dataset = read(one, preparing.section(one, options.get("id")))
    preparation = dataset.prepared()
    return preparation.names(), preparation.apply(dataset.table())


def test_text_is_a_category_and_numbers_are_if_they_are_said_to_be() -> None:
    frame = pl.DataFrame({"region": ["n", "n", "s"], "code": [4, 4, 9], "vip": [True, False, True]})
    assert prepared(frame)[0] == ("region=s", "code", "vip")
    for codes in (["code"], "code"):
        names, values = prepared(frame, categories={"shop": codes, "bank": ["age"]})
        assert names == ("region=s", "code=9", "vip")
        assert values.tolist() == [[0, 0, 1], [0, 0, 0], [1, 1, 1]]
    assert prepared(frame.with_columns(pl.col("region").cast(pl.Categorical)))[0][0] == "region=s"


@pytest.mark.parametrize("own", [lambda value: value, lambda value: {"shop": value, "bank": None}])
def test_what_is_said_of_one_party_holds_for_it_alone(own: Any) -> None:
    frame = pl.DataFrame({"age": [1.0, None, 3.0, 4.0, 4.0], "size": ["x", "x", "y", "z", "y"]})
    names, values = prepared(frame, missing=own("fill"), standardise=own(False), rare=own(0.3))
    assert names == ("age", "size=y")
    assert values[1].tolist() == [3.0, 0.0]
    with pytest.raises(DataError, match=r"^party shop: row 1, column 'age': no value"):
        prepared(frame, missing={"bank": "fill"})
    with pytest.raises(ConfigError, match=r"^party shop: missing: "):
        prepared(frame, missing=own("drop"))


def test_frames_of_pandas_are_read_as_its_columns_say() -> None:
    frame = Table(
        {
            "age": Column([30, 40, 50], np.int64),
            7: Column([0.5, None, float("nan")]),
            "town": Column(["a", None, "b"]),
            "vip": Column([True, False, None]),
            "visits": Column([1, None, 3]),
        }
    )
    [one] = frames({"shop": frame}).values()
    assert one.columns.schema == {
        "age": pl.Int64, "7": pl.Float64, "town": pl.String, "vip": pl.Boolean, "visits": pl.Int64
    }  # fmt: skip
    assert one.columns["7"].to_list() == [0.5, None, None]
    assert not one.is_bare


def test_arrays_of_objects_are_read_column_by_column() -> None:
    [one] = frames({"shop": [["p1", 1, 2.5], ["p2", 3, 7]]}).values()
    assert one.columns.schema == {"x0": pl.String, "x1": pl.String, "x2": pl.String}  # numpy's own choice
    mixed = np.array([["p1", 1, 2.5], ["p2", 3, None]], dtype=object)
    [one] = frames({"shop": mixed}).values()
    assert one.columns.schema == {"x0": pl.String, "x1": pl.Int64, "x2": pl.Float64}
    assert one.is_bare


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (np.zeros(3), r"expected \(rows, columns\), not ndarray of shape \(3,\)"),
        ([[1, 2], [3]], "rows that differ in length"),
        (np.array([[1, 2], ["a", 3]], dtype=object), "column 'x0' holds int, str: a column is numbers, or text"),
        (np.array([["2020-01-01"]], dtype="datetime64[D]"), "column 'x0' holds date: a column is numbers"),
        (Table({"a": Column([1]), " ": Column([2])}), "column 2 has no name"),
        (Table({"1": Column([1]), 1: Column([2])}), "columns 1 and 2 are both '1'"),
    ],
    ids=range(6),
)  # fmt: skip
def test_a_frame_that_cannot_be_read_is_refused(frame: Any, text: str) -> None:
    with pytest.raises(DataError, match=f"^party shop: {text}"):
        frames({"shop": frame})


# --- what is refused before anything begins ----------------------------------------------------------------
SMALL = {"bank": NUMBERS[:9, :2], "shop": NUMBERS[:9, 2:]}
NAMED = {
    "bank": pl.DataFrame({"id": ["a", "b"], "y": [1.5, 2.5], "age": [3, 4]}),
    "shop": pl.DataFrame({"age": [1, 2]}),
}
TEXT = {**SMALL, "shop": np.array([["1", "?"]] * 9)}


@pytest.mark.parametrize(
    ("parties", "how", "error", "text"),
    [
        ([NUMBERS], {}, DataError, "^expected a mapping of party names to frames, not list"),
        ({}, {}, JobError, "^guest: '' is no party; there are "),
        ({"bank": NUMBERS[:9]}, {}, JobError, "^vertical training takes two parties or more, not 1"),
        (SMALL, {"guest": "club"}, JobError, "^guest: 'club' is no party; there are 'bank', 'shop'"),
        ({**SMALL, "shop": NUMBERS[:8]}, {}, DataError, "^party shop has 8 rows, party bank 9"),
        (SMALL, {"y": None}, DataError, "^party bank: targets come as y, or in the column named by target="),
        (SMALL, {"target": "x0"}, DataError, "^party bank: targets come as y, or in the column named by target="),
        (SMALL, {"y": TARGETS[:8]}, DataError, r"^party bank: 9 rows, but y of shape \(8,\)"),
        (SMALL, {"y": None, "target": "age"}, DataError, r"^party bank: no column 'age' \(the target\); has 'x0'"),
        (SMALL, {"y": [1.0] * 8 + ["a"]}, DataError, "^party bank: row 8, column 'y': 'a' is not a finite number"),
        (SMALL, {"y": [1.0] * 8 + [np.nan]}, DataError, "^party bank: row 8, column 'y': 'nan' is not a finite"),
        (NAMED, {"y": None, "id": "id", "target": "y"}, DataError, r"^party shop: no column 'id' \(the id"),
        ({"Bank!": NUMBERS, "shop": NUMBERS}, {"y": TARGETS}, JobError, "Bank!"),
        ({"arbiter": NUMBERS, "shop": NUMBERS}, {"y": TARGETS}, FederationError, "two agents named 'arbiter'"),
    ],
    ids=range(14),
)  # fmt: skip
def test_parties_that_cannot_train_are_refused(parties: Any, how: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        VerticalLinearRegression().fit(parties, **({"y": TARGETS[:9]} | how))


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (["a"] * 8 + [None], "row 8, column 'y': no label"),
        ([1.0] * 8 + [np.nan], "row 8, column 'y': no label"),
        (["a", "b", "c"] * 3, "column 'y': a logistic regression takes two classes, not 3"),
        (np.array(["a"] * 8 + [1], dtype=object), "column 'y' holds labels of types without a common order"),
    ],
    ids=range(4),
)
def test_a_logistic_regression_takes_two_labels(labels: Any, text: str) -> None:
    with pytest.raises(DataError, match=f"^party bank: {text}"):
        VerticalLogisticRegression().fit(SMALL, labels)


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"epochs": 0}, JobError, "epochs must be at least 1"),
        ({"key_bits": 512}, JobError, r"key_bits must be even and in \[2048"),
        ({"optimiser": "lbfgs"}, JobError, "optimiser"),
        ({"settings": {"speed": 3}}, JobError, "speed"),
        ({"settings": {"epochs": 3}}, JobError, "^settings: 'epochs' is a parameter of its own"),
        ({"settings": {"guest": "shop"}}, JobError, "^settings: 'guest' is not for the caller to choose"),
        ({"missing": {"club": "fill"}}, JobError, "^missing: 'club' is no party; there are 'bank', 'shop'"),
        ({"categories": {"bank": ["town"]}}, DataError, r"^party bank: no column 'town' \(a category"),
        ({"rare": 2.0}, ConfigError, "^party bank: rare: "),
    ],
    ids=range(9),
)
def test_settings_that_cannot_be_are_refused(settings: Any, error: type[AgentError], text: str) -> None:
    with pytest.raises(error, match=text):
        VerticalLinearRegression(**settings).fit(SMALL, TARGETS[:9])


def test_rows_without_anything_in_common_train_nothing() -> None:
    parties = {
        name: pl.DataFrame({"id": [f"{name} {row}" for row in range(9)], "age": NUMBERS[:9, 0]})
        for name in ("bank", "shop")
    }
    with pytest.raises(DataError, match=r"^no id stands in the frames of all parties"):
        VerticalLinearRegression().fit(parties, TARGETS[:9], id="id")


# --- what the parties themselves would refuse ---------------------------------------------------------------
def looked_at(changes: dict[str, Any], y: NDArray[Any] = TARGETS, rows: int = ROWS, **settings: Any) -> None:
    """Have the parties' checks look at such columns beside sound ones."""
    sound = {
        "bank": pl.DataFrame({"a": NUMBERS[:rows, 0], "b": NUMBERS[:rows, 1]}),
        "shop": pl.DataFrame({"c": NUMBERS[:rows, 2], "d": NUMBERS[:rows, 3]}),
    }
    preparing = Preparing(None, "refuse", settings.pop("standardise", True), 0.0)
    datasets = {}
    for name, frame in frames(sound | changes).items():
        dataset = read(frame, preparing.section(frame, None))
        target = y[:rows].astype(object) if name == "bank" else None
        datasets[name] = replace(dataset, target=target, target_name="y")
    kind = LogisticSettings if settings.pop("logistic", False) else LinearSettings
    classes = ("no", "yes") if kind is LogisticSettings else ()
    orders = {name: np.arange(rows) for name in datasets}
    check_rows(datasets, orders, kind(guest="bank", **settings), classes, "arbiter", 0)


def bank(**columns: Any) -> dict[str, Any]:
    return {"bank": pl.DataFrame({"a": NUMBERS[:, 0], **columns})}


def shop(**columns: Any) -> dict[str, Any]:
    return {"shop": pl.DataFrame({"c": NUMBERS[:, 2], **columns})}


FEW = np.where(np.arange(ROWS) < 3, 1.0, 0.0)
FAR = np.where(np.arange(ROWS) < 1, 600.0, NUMBERS[:, 3])
NOISE = generator.normal(size=ROWS)
SHOP = {"shop": False}


def test_sound_rows_are_let_through() -> None:
    looked_at({})
    looked_at({}, LABELS, logistic=True)
    looked_at({}, rows=9, guard=False)


@pytest.mark.parametrize(
    ("changes", "settings", "text"),
    [
        (shop(d=np.ones(ROWS)), {}, "^party shop: .*column 'd' has one value in all training rows"),
        (shop(d=FEW), {"holdout": 0.0}, "^party shop, column 'd': column 1 differs in 3 rows only of batch 0"),
        (shop(e=NOISE, d=FAR), {"holdout": 0.0}, "^party shop, column 'd': columns of batch 0, above all 2"),
        (shop(d=2 * NUMBERS[:, 2]), {}, "^party shop, column 'd': column 1 follows from those before it"),
        (shop(d=FAR), {"standardise": SHOP}, r"^party shop, column 'd': feature \[0, 1\] is no number"),
        (bank(b=NUMBERS[:, 1]), {"score_limit": 1.0}, r"^party bank: target \[\d+\] is no number within ±1"),
        ({"bank": pl.DataFrame({"vip": np.arange(ROWS) % 2})}, {}, "^party bank: the guest's scores take 2 values"),
    ],
    ids=range(7),
)  # fmt: skip
def test_a_refusal_names_party_and_column(changes: Any, settings: Any, text: str) -> None:
    with pytest.raises(DataError, match=text):
        looked_at(changes, **settings)


def test_the_leak_guards_demands_on_rows_and_columns_are_told_beforehand() -> None:
    with pytest.raises(JobError, match=r"^the leak guard refuses it: a batch of 240 rows: with 2 columns"):
        looked_at({}, rows=300)
    wide = np.random.default_rng(1).normal(size=(ROWS, 40))
    with pytest.raises(
        JobError, match=r"^the leak guard refuses it: shop has 40 columns, all others together 3"
    ):
        looked_at({"shop": wide})
