"""Models outside the federation: the same arrays after a round trip, and nothing else accepted as one."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hansa.agents.cli import main
from hansa.agents.errors import ModelFileError
from hansa.agents.jobs.export import Form, ModelCard, SavedModel, read_model
from hansa.protocols import Evaluation, ModelRegistry, parameters_digest

COLUMNS = ("height", "weight")
CARD = ModelCard(
    federation="town",
    job="trial",
    protocol="horizontal-fedavg",
    model="softmax",
    features=2,
    columns=COLUMNS,
    target="label",
    classes=("no", "yes"),
    hyperparameters={"learning_rate": 0.5, "epochs": 1},
    seed=3,
    evaluation=Evaluation(10, 0.5, 0.9, "accuracy"),
    digest="",
)


def saved(*parameters: Any, **changes: Any) -> SavedModel:
    made = parameters or (np.array([[-1.0, 1.0], [0.0, 0.0]]), np.zeros(2))
    return SavedModel(replace(CARD, digest=parameters_digest(made).hex(), **changes), tuple(made))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.npz"


@given(
    arrays=st.lists(
        arrays.arrays(
            st.sampled_from(["<f4", "<f8"]),
            arrays.array_shapes(max_dims=3, max_side=4),
            elements=st.floats(-1e6, 1e6, width=32),
        ),
        max_size=4,
    ),
    form=st.sampled_from(["npz", "json"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
def test_a_model_comes_back_as_it_was_written(path: Path, arrays: list[Any], form: Form) -> None:
    made = SavedModel(replace(CARD, digest=parameters_digest(arrays).hex()), tuple(arrays))
    made.write(path, form)
    read = read_model(path)
    assert read.card == made.card
    for ours, theirs in zip(read.parameters, made.parameters, strict=True):
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)


def test_the_file_is_its_owners_alone_and_needs_no_pickle(path: Path) -> None:
    saved().write(path, "npz")
    assert path.stat().st_mode & 0o777 == 0o600
    with np.load(path, allow_pickle=False) as archive:
        assert json.loads(str(archive["metadata"]))["job"] == "trial"


def forged_npz(path: Path) -> None:
    made = saved()
    SavedModel(replace(made.card, digest="00" * 32), made.parameters).write(path, "npz")


def pickled(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, metadata=np.array([{}], dtype=object))


def not_a_zip(path: Path) -> None:
    path.write_text("no model")


def not_a_model(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.npy", b"nothing")


def of_tomorrow(path: Path) -> None:
    saved().write(path, "json")
    path.write_text(path.read_text().replace("hansa-model-v1", "hansa-model-v2"))


def missing(path: Path) -> None:
    path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (forged_npz, "damaged or altered"),
        (pickled, "not a model"),
        (not_a_zip, "not a model"),
        (not_a_model, "not a model"),
        (of_tomorrow, "not a model that this version"),
        (missing, "No such file"),
    ],
)
def test_anything_else_is_refused_by_name(path: Path, spoil: Any, message: str) -> None:
    spoil(path)
    with pytest.raises(ModelFileError, match=message) as caught:
        read_model(path)
    assert str(caught.value).startswith(str(path))


def test_arrays_that_do_not_fit_the_model_are_refused() -> None:
    with pytest.raises(ModelFileError, match="the parameters do not fit model softmax"):
        saved(np.zeros(3)).build(ModelRegistry())


# --- hansa predict ----------------------------------------------------------------------------------------
def hansa(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    pl.DataFrame(
        {"weight": [1.0, 2.0], "id": ["a", "b"], "height": [3.0, -3.0], "label": ["yes", "no"]}
    ).write_csv(path)
    return path


def test_rows_are_scored_whatever_the_order_of_their_columns(path: Path, rows: Path, tmp_path: Path) -> None:
    saved().write(path, "npz")
    result = hansa("predict", path, rows)
    assert result.exit_code == 0, result.output
    lines = [line.split(",") for line in result.stdout.splitlines()]
    assert lines[0] == ["id", "prediction", "p(no)", "p(yes)"]
    assert [line[:2] for line in lines[1:]] == [["a", "yes"], ["b", "no"]]
    out = tmp_path / "out.csv"
    result = hansa("predict", path, rows, "--target", "label", "--out", out)
    assert result.stdout == f"{out}: 2 predictions\n"
    assert out.read_text().splitlines()[0] == "id,prediction,p(no),p(yes)"


def test_a_regression_gives_values_only(path: Path, rows: Path) -> None:
    saved(
        *(np.zeros((2, 4)), np.zeros(4), np.zeros((4, 1)), np.ones(1)),
        model="mlp",
        classes=(),
        hyperparameters={"hidden": 4},
    ).write(path, "json")
    result = hansa("predict", path, rows, "--target", "label")
    assert result.stdout == "id,prediction\na,1.0\nb,1.0\n"


@pytest.mark.parametrize(
    ("columns", "words", "message"),
    [
        (("height",), [], "column 'weight' is none of the model's: 'height'"),
        (("height", "age"), ["--target", "label"], "no column 'age'; the model needs 'height', 'age'"),
        ((), ["--target", "weight"], "label"),
    ],
)
def test_rows_of_other_columns_are_refused(
    path: Path, rows: Path, columns: tuple[str, ...], words: list[str], message: str
) -> None:
    saved(columns=columns).write(path, "npz")
    result = hansa("predict", path, rows, *words)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_where_columns_are_only_counted_their_number_must_fit(path: Path, rows: Path, tmp_path: Path) -> None:
    saved(columns=()).write(path, "npz")
    assert hansa("predict", path, rows, "--target", "label").exit_code == 0
    narrow = tmp_path / "narrow.csv"
    narrow.write_text("id,height\na,1\n")
    result = hansa("predict", path, narrow)
    assert "1 feature columns; the model was trained on 2" in result.stderr
