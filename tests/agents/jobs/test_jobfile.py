"""A job's file: made whole with the ledger, or refused with file, key and expectation."""

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from hansa.agents.errors import ConfigError
from hansa.agents.jobs.jobfile import JobFile, read_job
from hansa.agents.local import AGGREGATOR, LocalFederation
from hansa.ledger import Standing
from hansa.ledger.membership import column_count
from hansa.ledger.standing import Job
from hansa.protocols import PROTOCOLS, ProtocolSpec
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
        ('model = "softmax"', "", "model: missing; horizontal-fedavg trains one of mlp"),
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


# --- columns of the same rows at several parties ------------------------------------------------------------
VERTICAL = """
job = "risk"
protocol = "vertical-logistic"
dataset = "rows"
classes = ["yes", "no"]
[settings]
epochs = 3
"""
ALIGNED = Job(AGGREGATOR, "alignment", "", "rows", PARTIES, 3, b"s" * 32, proposed_at=9, status="finished")


def town(now: Standing, *labelled: str, jobs: dict[str, Job] | None = None) -> Standing:
    """Return a standing in which these parties alone have labels, and these jobs have been proposed."""
    there = now.copy()
    there.datasets = {
        (party, name): replace(each, target="label" if party in labelled else None)
        for (party, name), each in now.datasets.items()
    }
    there.jobs = {"aligned": ALIGNED} if jobs is None else jobs
    return there


def test_a_vertical_job_needs_no_more_than_its_data_set(path: Path, now: Standing) -> None:
    path.write_text(VERTICAL)
    spec = read_job(path, AGGREGATOR, town(now, "north"))
    assert (spec.model, spec.features, spec.hyperparameters, spec.minimum_parties) == ("", 0, {}, 3)
    assert (spec.parties, spec.classes) == (PARTIES, ("no", "yes"))
    assert spec.settings == {"epochs": 3, "guest": "north", "alignment": "aligned"}


def test_what_a_vertical_file_says_counts(path: Path, now: Standing) -> None:
    older = replace(ALIGNED, parties=("north", "west"), proposed_at=5)
    jobs = {"older": older, "aligned": ALIGNED}
    text = VERTICAL.replace("epochs = 3", 'guest = "west"\nalignment = "older"')
    path.write_text(text.replace("[settings]", 'parties = ["west", "north"]\n[settings]'))
    spec = read_job(path, AGGREGATOR, town(now, "north", "west", jobs=jobs))
    assert spec.settings == {"guest": "west", "alignment": "older"}
    path.write_text(VERTICAL.replace("[settings]", 'parties = ["west", "north"]\n[settings]'))
    assert read_job(path, AGGREGATOR, town(now, "west", jobs=jobs)).settings["alignment"] == "aligned"


def test_a_number_is_predicted_without_classes_and_rows_are_aligned_without_labels(
    path: Path, now: Standing
) -> None:
    path.write_text(VERTICAL.replace("logistic", "linear").replace('classes = ["yes", "no"]', ""))
    assert read_job(path, AGGREGATOR, town(now, "east")).settings["guest"] == "east"
    path.write_text('job = "a"\nprotocol = "alignment"\ndataset = "rows"\n')
    assert read_job(path, AGGREGATOR, town(now)).settings == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"status": "open"},
            "nothing has told east, north, west yet .* aligned is open, not finished; submit",
        ),
        ({"dataset": "gold"}, "which rows of 'rows' they share; submit a job with protocol = \"alignment\""),
        ({"parties": ("east", "north")}, "aligned was without west; submit"),
        ({"settings": {"protocol.receiver": "east"}}, "aligned has told east alone which rows"),
        ({"protocol": "over-threshold-alignment"}, "they share; submit"),
    ],
)
def test_without_an_alignment_that_serves_it_is_said_how_to_make_one(
    path: Path, now: Standing, changes: dict[str, Any], message: str
) -> None:
    path.write_text(VERTICAL)
    with pytest.raises(ConfigError, match=message):
        read_job(path, AGGREGATOR, town(now, "north", jobs={"aligned": replace(ALIGNED, **changes)}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "aborted"}, "settings.alignment: aligned is aborted, not finished"),
        ({"dataset": "gold"}, "aligned has aligned data set 'gold', not 'rows'"),
        ({"protocol": "over-threshold-alignment"}, "aligned is a job of protocol over-threshold-alignment"),
    ],
)
def test_an_alignment_that_is_named_must_serve(
    path: Path, now: Standing, changes: dict[str, Any], message: str
) -> None:
    path.write_text(VERTICAL.replace("epochs = 3", 'alignment = "aligned"'))
    with pytest.raises(ConfigError, match=message):
        read_job(path, AGGREGATOR, town(now, "north", jobs={"aligned": replace(ALIGNED, **changes)}))
    path.write_text(VERTICAL.replace("epochs = 3", 'alignment = "nothing"'))
    with pytest.raises(ConfigError, match="the ledger has no job 'nothing'"):
        read_job(path, AGGREGATOR, town(now, "north"))


@pytest.mark.parametrize(
    ("labelled", "old", "new", "message"),
    [
        ((), "", "", "none of east, north, west has registered 'rows' with a target"),
        (("east", "west"), "", "", "east, west have registered 'rows' with a target; name the one"),
        (("east",), "epochs = 3", 'guest = "eve"', "'eve' is none of the parties east, north, west"),
        (("east",), "epochs = 3", 'guest = "west"', "west has registered 'rows' without a target"),
        (("east",), '"yes", "no"', '"yes", "no", "perhaps"', "classes: vertical-logistic tells two labels"),
        (("east",), "vertical-logistic", "vertical-linear", "classes: vertical-linear takes none"),
        (("east",), "vertical-logistic", "alignment", "classes: alignment takes none"),
        (("east",), 'job = "risk"', 'job = "risk"\nmodel = "mlp"', "model: vertical-logistic takes none"),
        (("east",), "[settings]", "[hyperparameters]", "takes no model and no hyperparameters"),
        (("east",), "[settings]", "minimum_parties = 2\n[settings]", "minimum_parties must be 3"),
        (("east",), "epochs = 3", "epochs = 0", "epochs must be at least 1"),
        (("east",), "epochs = 3", "epoch = 3", "epoch"),
        (("east",), "vertical-logistic", "vertical-inference", "asked for by `hansa predict --job`"),
    ],
)
def test_a_vertical_file_that_cannot_be_is_refused_by_key(
    path: Path, now: Standing, labelled: tuple[str, ...], old: str, new: str, message: str
) -> None:
    path.write_text(VERTICAL.replace(old, new))
    with pytest.raises(ConfigError, match=message) as caught:
        read_job(path, AGGREGATOR, town(now, *labelled))
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_a_job_once_the_data_are_there(example: Path, now: Standing) -> None:
    name, parties = {
        "job.toml": ("digits", PARTIES),
        "regression.toml": ("premiums", PARTIES),
        "alignment.toml": ("customers", ("bank", "shop")),
        "vertical-logistic.toml": ("customers", ("bank", "shop")),
        "vertical-linear.toml": ("patients", ("clinic", "insurer", "laboratory")),
        "lending.toml": ("borrowers", PARTIES),
        "valued.toml": ("premiums", PARTIES),
    }[example.name]
    there = now.copy()
    anybody, rows = now.members[PARTIES[0]], now.datasets[PARTIES[0], "rows"]
    there.members |= dict.fromkeys(parties, anybody)
    others = rows if name in ("digits", "premiums") else replace(rows, target=None)
    there.datasets = {(party, name): others for party in parties}
    there.datasets[parties[0], name] = there.datasets[AGGREGATOR, "agreed"] = rows
    there.jobs = {"align": replace(ALIGNED, dataset=name, parties=parties)}
    assert read_job(example, AGGREGATOR, there).dataset == name


@pytest.mark.parametrize("known", PROTOCOLS.values(), ids=lambda known: known.name)
def test_every_setting_is_in_the_documentation_with_its_default(known: ProtocolSpec) -> None:
    text = (EXAMPLES[0].parents[1] / "jobs.md").read_text()
    if known.name == "vertical-inference":
        return  # which nobody submits by file
    section = next(part for part in text.split("\n## ")[1:] if f"`{known.name}`" in part.splitlines()[0])
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    alike = known.name == "over-threshold-alignment"  # whose others are those of `alignment`
    for field in fields(known.settings):
        if field.name in ("start_job", "start_digest") or (alike and field.name != "threshold"):
            continue
        row = next(each for each in rows if f"`{field.name}`" in each.split("|")[1])
        if type(field.default) in (int, float):
            assert f"{field.default:.12g}" in row, row


def test_the_documentation_knows_every_key_of_the_file() -> None:
    text = (EXAMPLES[0].parents[1] / "jobs.md").read_text().split("\n## ")[1]
    for key in JobFile.model_fields:
        assert f"`{key}`" in text or f"`[{key}]`" in text
