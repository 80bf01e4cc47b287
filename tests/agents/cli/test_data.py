"""`hansa data add` without a federation: what it writes into agent.toml, and says of columns to be prepared."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hansa.agents.cli import main
from hansa.agents.home import CONFIG, Home

ROWS = "id,age,ward,late\na,31,east,no\nb,,west,yes\nc,27,,no\nd,50,north,no\n"
FILLED = ("--category", "ward", "--fill-missing")


def hansa(*words: object) -> Result:
    return CliRunner(env={"COLUMNS": "140"}).invoke(main, [str(word) for word in words])


@pytest.fixture
def home(tmp_path: Path) -> Home:
    hansa("init", tmp_path / "north", "--name", "north")
    (tmp_path / "north" / "rows.csv").write_text(ROWS)
    return Home(tmp_path / "north")


def added(home: Home, *options: object) -> Result:
    file = home.path / "rows.csv"
    return hansa("data", "add", file, "--home", home.path, "--name", "rows", "--target", "late", *options)


def test_columns_to_be_prepared_are_written_down_and_counted(home: Home) -> None:
    done = added(home, *FILLED, "--rare", "0.1", "--keep-scale")
    assert done.exit_code == 0, done.output
    assert "  features: age, ward\n" in done.output
    assert "  for vertical jobs only: text or missing values; 3 features once prepared\n" in done.output
    section = home.config().data["rows"]
    assert (section.categories, section.missing) == (("ward",), "fill")
    assert (section.rare, section.standardise) == (0.1, False)
    assert 'categories = ["ward"]' in (home.path / CONFIG).read_text()


def test_rows_of_numbers_alone_are_written_down_as_ever(home: Home) -> None:
    (home.path / "rows.csv").write_text("id,age,late\na,31,no\nb,31,yes\n")
    done = added(home)
    assert "prepared" not in done.output
    text = (home.path / CONFIG).read_text().split("[data.rows]\n")[1]
    assert text.splitlines()[:4] == ['file = "rows.csv"', 'id = "id"', 'target = "late"', "holdout = 0.2"]
    assert not {"categories", "missing", "rare", "standardise"} & home.config().data["rows"].model_fields_set


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (ROWS, "row 3, column 'age': no value"),
        (ROWS.replace("b,,", "b,40,"), "column 'ward': 'east' is not a finite number (and 3 more); if the"),
    ],
)
def test_gaps_and_text_are_refused_unless_allowed_for(home: Home, rows: str, complaint: str) -> None:
    (home.path / "rows.csv").write_text(rows)
    done = added(home)
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
    assert complaint in done.stderr
    assert not home.config().data


def test_rows_that_nothing_can_be_trained_on_may_still_be_served_from(home: Home) -> None:
    (home.path / "rows.csv").write_text(ROWS.replace("west", "east").replace("north", "east"))
    done = added(home, *FILLED)
    assert done.exit_code == 0
    expected = "nothing to train on, since column 'ward' has one category in all training rows: leave it out"
    assert f"  for vertical jobs only: text or missing values; {expected}\n" in done.output
    assert "rows" in home.config().data


def test_a_category_that_is_no_feature_is_a_wrong_use(home: Home) -> None:
    done = added(home, "--category", "late")
    assert done.exit_code == 2
    assert "data.rows" not in done.stderr
    assert "categories: 'late' is the target, not a feature" in done.stderr
