"""`hansa job list | watch | result` on jobs that train by epoch, that align, and that serve a model."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hansa.agents.cli import main
from hansa.agents.local import AGGREGATOR
from hansa.ledger import (
    Body,
    ContributionMeasured,
    DistortionFound,
    EpochEnded,
    JobAborted,
    JobAccepted,
    JobFinished,
    JobProposed,
    ModelUsed,
    PartiesOverdue,
    RowsAligned,
    Setting,
)
from tests.agents.bookkeeping import write_down
from tests.agents.federations import found

PARTIES = ("bank", "shop")
DIGEST = bytes(range(32))


def begun(
    job: str,
    protocol: str,
    settings: dict[str, Setting],
    leader: str = AGGREGATOR,
    parties: tuple[str, ...] = PARTIES,
) -> list[tuple[str, Body]]:
    """Return a job's proposal, and everybody's consent."""
    said = {f"protocol.{name}": value for name, value in settings.items()}
    proposal = JobProposed(job, protocol, "", said, parties, "rows", len(parties), 60.0, DIGEST)
    return [(leader, proposal), *((party, JobAccepted(job)) for party in parties)]


ALIGNED = [
    *begun("ids", "alignment", {"receiver": ""}),
    (AGGREGATOR, RowsAligned("ids", {"bank": 500, "shop": 450}, 412)),
    (AGGREGATOR, JobFinished("ids", b"", None, None, "", 0)),
]
ONE_SIDED = [
    *begun("ids-bank", "alignment", {"receiver": "bank"}),
    (AGGREGATOR, RowsAligned("ids-bank", {}, None)),
    (AGGREGATOR, JobFinished("ids-bank", b"", None, None, "", 0)),
]
TRAINED = [
    *begun("fraud", "vertical-logistic", {"epochs": 20, "guest": "bank", "alignment": "ids"}),
    ("bank", EpochEnded("fraud", 1, 0.8, "improved")),
    ("bank", PartiesOverdue("fraud", 4, ("shop",))),
    (AGGREGATOR, PartiesOverdue("fraud", 4, ("shop",))),
    ("bank", EpochEnded("fraud", 2, 0.4, "improved")),
    ("shop", EpochEnded("fraud", 2, 0.4, "improved")),
    ("bank", EpochEnded("fraud", 3, 0.4, "converged")),
    (AGGREGATOR, ContributionMeasured("fraud", "volume", {"bank": 120, "shop": 240})),
    (AGGREGATOR, JobFinished("fraud", DIGEST, 0.4, 0.9914, "auc", 3)),
]
HIDDEN = [
    *begun("spend", "vertical-linear", {"epochs": 1, "guest": "bank"}),
    ("bank", EpochEnded("spend", 1, None, "last")),
    (AGGREGATOR, JobFinished("spend", DIGEST, None, 0.478, "r2", 1)),
]
DISTORTED = [
    *begun("harmed", "vertical-linear", {"epochs": 9, "guest": "bank"}),
    ("bank", EpochEnded("harmed", 1, 1200.5, "improved")),
    ("bank", EpochEnded("harmed", 2, 9800.25, "distorted")),
    ("bank", DistortionFound("harmed", 2, 9800.25, 1200.5)),
    (AGGREGATOR, JobAborted("harmed", "the residuals of epoch 2 have jumped")),
]
SERVED = [
    *begun("new-customers", "vertical-inference", {"model": "fraud"}, "bank", ("shop",)),
    ("shop", ModelUsed("fraud", 8, "new-customers")),
    ("shop", ModelUsed("fraud", 4, "new-customers")),
    ("shop", ModelUsed("fraud", 100, "a letter to all")),
    ("bank", JobFinished("new-customers", b"", None, None, "", 0)),
]
OPEN = [
    *begun("open", "vertical-logistic", {"epochs": 20, "guest": "bank"}),
    ("bank", EpochEnded("open", 1, 0.8, "improved")),
    ("bank", PartiesOverdue("open", 1, ("shop",))),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the homes of a stopped federation whose keeper's books hold all these jobs."""
    folder = tmp_path_factory.mktemp("courses") / "homes"
    with found(folder, parties=PARTIES):
        pass
    jobs = (ALIGNED, ONE_SIDED, TRAINED, HIDDEN, DISTORTED, SERVED, OPEN)
    write_down(folder, AGGREGATOR, *(entry for job in jobs for entry in job))
    return folder


@pytest.fixture
def hub(folder: Path) -> Path:
    return folder / AGGREGATOR


def hansa(*words: object) -> Result:
    return CliRunner(env={"COLUMNS": "140"}).invoke(main, [str(word) for word in words])


def said(*words: object) -> list[str]:
    """Return the lines of a command that succeeds."""
    result = hansa(*words)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_a_training_by_epochs_is_told_by_epochs(hub: Path) -> None:
    lines = said("job", "watch", "fraud", "--home", hub)
    clock, overdue = lines[5].split(maxsplit=1)
    assert len(clock) == len("12:00:00")
    assert overdue == "shop is overdue: bank waits for it"
    assert lines[:5] + lines[6:] == [
        "fraud: vertical-logistic on rows, 20 epochs, labels at bank",
        "  led by aggregator; asked for consent: bank, shop",
        "  ✓ bank consents   awaited: shop",
        "  ✓ shop consents",
        "  epoch  1/20  loss 0.8000    improved   ██████████████████████████████",
        "  epoch  2/20  loss 0.4000    improved   ███████████████",
        "  epoch  3/20  loss 0.4000    converged  ███████████████",
        "fraud: finished after 3 epochs: AUC 0.991, loss 0.4000",
        f"  model {DIGEST.hex()}",
        "  shares by volume: bank 33.3%, shop 66.7%",
        "  used for 112 rows so far",
    ]


def test_a_hidden_loss_is_not_told(hub: Path) -> None:
    lines = said("job", "watch", "spend", "--home", hub)
    assert lines[4:6] == ["  epoch 1/1  last", "spend: finished after 1 epoch: R² 0.48"]


def test_a_distortion_is_told_with_its_evidence_and_not_gone_on_from(hub: Path) -> None:
    result = hansa("job", "watch", "harmed", "--home", hub)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[4:] == [
        "  epoch 1/9  loss 1200.5    improved   ██████████████████████████████",
        "  epoch 2/9  loss 9800.2    distorted  ██████████████████████████████",
        "  epoch 2: the loss has jumped, from 1200.5 to 9800.2: somebody's part is not what it was",
        "harmed: aborted: the residuals of epoch 2 have jumped",
    ]


@pytest.mark.parametrize(
    ("job", "ending"),
    [
        ("ids", "ids: finished: 412 rows in common (bank 500, shop 450)"),
        ("ids-bank", "ids-bank: finished: bank alone knows which rows are common (bank 60, shop 60)"),
        ("new-customers", "new-customers: finished: 12 rows served with the model of fraud"),
    ],
)
def test_a_job_without_a_model_ends_with_what_it_was_for(hub: Path, job: str, ending: str) -> None:
    assert said("job", "watch", job, "--home", hub)[-1] == ending
    assert said("job", "result", job, "--home", hub) == [ending]


def test_a_result_by_epochs_is_a_table_with_shares_and_later_use(hub: Path) -> None:
    lines = said("job", "result", "fraud", "--home", hub)
    assert [line.split() for line in lines[:4]] == [
        ["epoch", "loss", "verdict"],
        ["1", "0.8000", "improved"],
        ["2", "0.4000", "improved"],
        ["3", "0.4000", "converged"],
    ]
    assert lines[-1] == "  used for 112 rows so far"
    assert [line.split() for line in said("job", "result", "spend", "--home", hub)[1:2]] == [["1", "last"]]


def test_jobs_are_listed_with_who_is_waited_for(hub: Path) -> None:
    lines = [line.split(maxsplit=1) for line in said("job", "list", "--home", hub)]
    listed = {name: " ".join(rest.split()) for name, rest in lines}
    assert listed["ids"] == "finished alignment on rows, led by aggregator"
    assert listed["new-customers"] == (
        "finished vertical-inference on rows, with the model of fraud, led by bank"
    )
    told = "open, epoch 1/20 vertical-logistic on rows, 20 epochs, labels at bank, led by aggregator"
    assert listed["open"] == f"{told}, waits for shop"
    assert said("job", "result", "open", "--home", hub)[-1] == "open: open; waits for epoch 2 of shop"


def test_a_script_gets_the_same_as_fields(hub: Path) -> None:
    jobs = {each["job"]: each for each in map(json.loads, said("job", "list", "--json", "--home", hub))}
    assert (jobs["ids"]["common_rows"], jobs["ids"]["list_sizes"]) == (412, {"bank": 500, "shop": 450})
    assert jobs["ids-bank"]["common_rows"] is None
    assert (jobs["new-customers"]["rows_served"], jobs["fraud"]["rows_used_for"]) == (12, 112)
    assert jobs["fraud"]["epochs"][-1] == {"epoch": 3, "loss": 0.4, "verdict": "converged"}
    assert jobs["open"]["overdue"] == ["shop"]
    assert (jobs["ids"]["model_digest"], jobs["spend"]["loss"]) == ("", None)
    lines = hansa("job", "watch", "harmed", "--json", "--home", hub).stdout.splitlines()
    told = [json.loads(line) for line in lines]
    assert told[-2] == {
        "job": "harmed",
        "kind": "distortion-found",
        "time": told[-2]["time"],
        "epoch": 2,
        "loss": 9800.25,
        "before": 1200.5,
        "by": "bank",
    }


def test_the_books_show_no_figure_that_is_not_there(hub: Path) -> None:
    lines = said("ledger", "show", hub, "--kind", "job-finished")
    assert lines[1].endswith("job ids  rounds 0")
    assert said("ledger", "show", hub, "--kind", "rows-aligned")[2].endswith("job ids-bank  sizes {}")
