"""A job's file: made whole with the ledger, or refused with file, key and expectation."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hansa.agents.errors import ConfigError
from hansa.agents.jobs.jobfile import column_count, read_job
from hansa.agents.local import AGGREGATOR, LocalFederation
from hansa.ledger import Standing
from tests.agents.federations import FEATURES, PARTIES, found

EXAMPLES = sorted((Path(__file__).parents[3] / "docs" / "examples").glob("*.toml"))
JOB = """
job = "trial"
model = "softmax"
dataset = "rows"
classes = ["yes", "no"]
[settings]
rounds = 3
[hyperparameters]
learning_rate = 0.5
"""


@pytest.fixture(scope="module")
def now() -> Iterator[Standing]:
    with found(journalled=False) as local:
        yield standing(local)


def standing(local: LocalFederation) -> Standing:
    return local.ask(AGGREGATOR, lambda agent: agent.clerk.standing.copy())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job.toml"


def test_a_short_file_is_made_whole_with_what_the_members_registered(path: Path, now: Standing) -> None:
    path.write_text(JOB)
    spec = read_job(path, AGGREGATOR, now)
    assert (spec.job, spec.protocol, spec.parties) == ("trial", "horizontal-fedavg", PARTIES)
    assert (spec.features, spec.classes, spec.minimum_parties) == (FEATURES, ("no", "yes"), 3)
    assert spec.settings == {"rounds": 3, "quorum": 3, "round_deadline_s": 300.0, "silence_s": 600.0}
    other = read_job(path, AGGREGATOR, now)
    assert other.seed != spec.seed
    assert 0 <= spec.seed < 2**32


def test_what_the_file_says_counts(path: Path, now: Standing) -> None:
    text = JOB.replace("[settings]", 'parties = ["west", "east"]\nminimum_parties = 2\nseed = 9\n[settings]')
    path.write_text(
        text.replace("rounds = 3", "rounds = 3\nquorum = 1\nround_deadline_s = 10\nsilence_s = 20")
    )
    spec = read_job(path, AGGREGATOR, now)
    assert (spec.parties, spec.minimum_parties, spec.seed) == (("east", "west"), 2, 9)
    assert spec.settings == {"rounds": 3, "quorum": 1, "round_deadline_s": 10, "silence_s": 20}


def test_without_classes_it_is_a_regression(path: Path, now: Standing) -> None:
    text = JOB.replace('classes = ["yes", "no"]\n', "").replace('"softmax"', '"mlp"')
    path.write_text(text)
    assert read_job(path, AGGREGATOR, now).classes == ()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('job = "trial"', "", "job: missing"),
        ('job = "trial"', 'job = "Trial"', "job: names are 1 to 40 of a-z"),
        ('job = "trial"', 'jobb = "trial"', r"job: missing \(and 1 more\)"),
        ('model = "softmax"', 'model = "oracle"', "no model 'oracle'; there are mlp"),
        (
            'dataset = "rows"',
            'dataset = "gold"',
            "no active member has registered 'gold'; registered are rows",
        ),
        ('dataset = "rows"', 'dataset = "rows"\nparties = ["eve"]', "eve has not registered 'rows'"),
        (
            'dataset = "rows"',
            'dataset = "rows"\nparties = ["east", "east"]',
            "parties: 'east' is named twice",
        ),
        ('dataset = "rows"', 'dataset = "rows"\nprotocol = "magic"', "no protocol 'magic'"),
        ('dataset = "rows"', 'dataset = "rows"\nminimum_parties = 4', "minimum_parties is 4, of 3 invited"),
        ('dataset = "rows"', 'dataset = "rows"\nconsent_s = 0', "consent_s: Input should be greater than 0"),
        ("rounds = 3", "rounds = 0", "rounds must be at least 1, not 0"),
        ("rounds = 3", "", "rounds"),
        ("rounds = 3", 'rounds = 3\nround_deadline_s = "soon"', "round_deadline_s"),
        ("rounds = 3", "rounds = 3\nspeed = 9", "speed"),
        ("learning_rate = 0.5", "learning = 0.5", "softmax has no hyperparameter 'learning'"),
        ('classes = ["yes", "no"]', 'classes = ["yes"]', "at least two classes"),
        ('classes = ["yes", "no"]', 'classes = ["yes", "yes"]', "ascending and distinct"),
    ],
)
def test_a_file_that_cannot_be_is_refused_by_key(
    path: Path, now: Standing, old: str, new: str, message: str
) -> None:
    path.write_text(JOB.replace(old, new))
    with pytest.raises(ConfigError, match=message) as caught:
        read_job(path, AGGREGATOR, now)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_file_and_a_broken_one_are_named(path: Path, now: Standing) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_job(path, AGGREGATOR, now)
    path.write_text("job = ")
    with pytest.raises(ConfigError, match="Invalid value"):
        read_job(path, AGGREGATOR, now)


def test_nobody_has_registered_anything_yet(path: Path, now: Standing) -> None:
    empty = now.copy()
    empty.datasets = {}
    path.write_text(JOB)
    with pytest.raises(ConfigError, match=r"no active member has registered 'rows'$"):
        read_job(path, AGGREGATOR, empty)


def test_a_name_that_was_used_is_refused(path: Path, now: Standing) -> None:
    path.write_text(JOB)
    used = now.copy()
    used.jobs = {"trial": None}  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match="toml: a job 'trial' exists already; give this one"):
        read_job(path, AGGREGATOR, used)


@pytest.mark.parametrize(
    ("columns", "count"),
    [(("a", "b"), 2), (("5000 columns, sha256 " + "ab" * 32,), 5000), (("5000 columns",), 1)],
)
def test_columns_are_counted_also_where_the_ledger_only_counts_them(
    columns: tuple[str, ...], count: int
) -> None:
    assert column_count(columns) == count


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_a_job_once_the_data_are_there(example: Path, now: Standing) -> None:
    there = now.copy()
    name = {"job.toml": "digits", "regression.toml": "premiums"}[example.name]
    there.datasets = {(party, name): each for (party, _), each in now.datasets.items()}
    assert read_job(example, AGGREGATOR, there).dataset == name
