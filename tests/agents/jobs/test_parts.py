"""A party's part of a model outside the federation: the same after a round trip, and nothing else taken for one."""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hansa.agents.cli import main, predict
from hansa.agents.core.messages import JobSpec
from hansa.agents.errors import JobAborted, ModelFileError
from hansa.agents.home import Home
from hansa.agents.jobs.course import News
from hansa.agents.jobs.export import Form
from hansa.agents.jobs.parts import SavedPart, is_part, part_of, read_part
from hansa.agents.jobs.progress import JobProgress
from hansa.agents.jobs.watch import Seen, Waiting
from hansa.protocols.preparation import Preparation, Prepared
from hansa.protocols.vertical import OwnCoefficients
from hansa.protocols.vertical.concluding import part_digest

SPEC = JobSpec(
    job="risk-1",
    protocol="vertical-logistic",
    model="",
    dataset="customers",
    parties=("bank", "shop"),
    classes=("bad", "good"),
    features=0,
    hyperparameters={},
    settings={"guest": "bank"},
    minimum_parties=2,
    consent_s=30.0,
    seed=1,
)
PREPARATION = Preparation(
    (
        Prepared("age", "number", 40.0, 41.5, 9.25),
        Prepared("region", "category", fill_category="south", categories=("north", "west")),
    ),
    standardised=True,
)
SALT = b"s" * 32


def part(coefficients: Any = (0.1, -2.5, 1e-300), intercept: float = 0.5) -> SavedPart:
    theta = np.array(coefficients)
    own = OwnCoefficients(
        theta=theta,
        intercept=intercept,
        preparation=PREPARATION,
        role="guest",
        guest="bank",
        hosts=("shop",),
        logistic=True,
        losses=(0.6, 0.5),
        epochs=2,
        salt=SALT,
        parts={"bank": part_digest(SALT, theta, intercept, PREPARATION), "shop": b"p" * 32},
        digest=b"d" * 32,
        loss=0.4,
        score=None,
        metric="",
        rows=0,
        deciles=(),
    )
    return part_of("harbour", "bank", SPEC, own)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "part.npz"


@given(
    coefficients=st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3),
    intercept=st.floats(-1e9, 1e9),
    form=st.sampled_from(["npz", "json"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
def test_a_part_comes_back_as_it_was_written(
    path: Path, coefficients: list[float], intercept: float, form: Form
) -> None:
    made = part(coefficients, intercept)
    made.write(path, form)
    read = read_part(path)
    assert read.card == made.card
    assert read.coefficients.tolist() == coefficients
    assert path.stat().st_mode & 0o777 == 0o600
    assert is_part(path)


def test_a_coefficient_stands_beside_its_features_name(path: Path) -> None:
    part().write(path, "json")
    named = json.loads(path.read_text())["coefficients"]
    assert [each["feature"] for each in named] == ["age", "region=north", "region=west"]


def test_neither_numbers_nor_the_salt_stand_in_a_repr() -> None:
    assert "-2.5" not in repr(part())
    assert SALT.hex() not in repr(part())


def forged(path: Path) -> None:
    made = part()
    SavedPart(made.card, made.coefficients + 1e-9).write(path, "npz")


def another_preparation(path: Path) -> None:
    made = part()
    SavedPart(
        replace(made.card, preparation=replace(PREPARATION, standardised=False)), made.coefficients
    ).write(path, "json")


def unsalted(path: Path) -> None:
    made = part()
    SavedPart(replace(made.card, salt="no hex"), made.coefficients).write(path, "json")


def of_tomorrow(path: Path) -> None:
    part().write(path, "json")
    path.write_text(path.read_text().replace("hansa-model-part-v1", "hansa-model-part-v2"))


def no_part(path: Path) -> None:
    path.write_text("[1, 2]")


def not_a_part(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.npy", b"nothing")


def missing(path: Path) -> None:
    path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (forged, "damaged or altered: the coefficients"),
        (another_preparation, "damaged or altered"),
        (unsalted, "not a part of a model"),
        (of_tomorrow, "not a part of a model that this version"),
        (no_part, "not a part"),
        (not_a_part, "not a part"),
        (missing, "No such file"),
    ],
)
def test_anything_else_is_refused_by_name(path: Path, spoil: Any, message: str) -> None:
    spoil(path)
    with pytest.raises(ModelFileError, match=message) as caught:
        read_part(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("spoil", [of_tomorrow, no_part, not_a_part, missing])
def test_what_does_not_say_so_is_no_part(path: Path, spoil: Any) -> None:
    spoil(path)
    assert not is_part(path)


# --- hansa predict, as it can be mistyped -----------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "expected MODEL and ROWS, or --job JOB"),
        (("MODEL",), "expected MODEL and ROWS, or --job JOB"),
        (("MODEL", "MODEL", "--id", "7"), "go with --job"),
        (("MODEL", "MODEL", "--output", "label"), "go with --job"),
        (("MODEL", "--job", "risk-1"), "leave MODEL and ROWS out"),
    ],
)
def test_one_model_is_named_one_way(path: Path, words: tuple[str, ...], message: str) -> None:
    part().write(path, "npz")
    typed = [str(path) if word == "MODEL" else word for word in words]
    result = CliRunner(env={"COLUMNS": "140"}).invoke(main, ["predict", *typed])
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_part_says_nothing_by_itself(path: Path) -> None:
    part().write(path, "npz")
    result = CliRunner().invoke(main, ["predict", str(path), str(path)])
    assert result.exit_code == 1
    assert "one party's part of a model, which says nothing by itself: hansa predict --job" in result.stderr


def test_what_a_prediction_waits_for_is_said_on_stderr_and_why_there_is_none_in_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def watched(_home: Home, progress: JobProgress, _timeout_s: float | None) -> Iterator[Seen]:
        yield Waiting("consent", ("shop",), None, True, "")
        yield News("job-refused", 0.0, {"party": "shop", "reason": "no"})
        yield Waiting("consent", ("shop",), None, True, "the broker has no queue for shop")
        progress.outcome, progress.reason = "aborted", "shop refused: our policy serves 0 rows a day"

    monkeypatch.setattr(predict, "watch_job", watched)
    with pytest.raises(
        JobAborted, match="job risk-1-p1 aborted: shop refused: our policy serves 0 rows a day"
    ):
        predict._wait(Home(Path()), "risk-1-p1", None)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "  waiting for consent of shop",
        "  waiting for consent of shop (the broker has no queue for shop)",
    ]
