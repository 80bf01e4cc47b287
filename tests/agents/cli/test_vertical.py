"""A bank and a shop train one model over RabbitMQ, a process each; the shop is killed halfway, and comes back."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer

from hansa.agents.demo.processes import AgentProcesses
from hansa.agents.home import Home
from hansa.agents.jobs.follow import follow
from hansa.agents.jobs.parts import read_part
from hansa.agents.jobs.progress import JobProgress, read_progress
from hansa.agents.local import Member
from tests import servers
from tests.agents.cli.test_jobs import hansa, refusal, said
from tests.agents.towns import found_town, raze_town

ARBITER, BANK, SHOP = "arbiter", "bank", "shop"
COLUMNS = {BANK: slice(0, 10), SHOP: slice(10, 30)}
KNOWN = {BANK: range(0, 500), SHOP: range(60, 569)}
EPOCHS = 14
OVERDUE_S = 0.5
TRAINING = """
job = "{job}"
protocol = "vertical-logistic"
dataset = "customers"
classes = ["benign", "malignant"]
seed = 7
[settings]
epochs = {epochs}
learning_rate = 0.3
tol = 0.0
overdue_s = {overdue_s}
guard = false      # for a key that is made and used in no time
start_spread = 0.0 # and coefficients that begin at 0, so that two runs can be compared
key_bits = 512
"""
ALIGNMENT = """
job = "align-1"
protocol = "alignment"
dataset = "customers"
"""


def write_customers(home: Home, name: str) -> Path:
    """Write one party's columns of scikit-learn's breast cancer, the bank's with the labels."""
    X, y = load_breast_cancer(return_X_y=True)
    rows = np.random.default_rng(len(name)).permutation(list(KNOWN[name]))
    part = X[rows, COLUMNS[name]]
    frame = pl.DataFrame({"id": [f"customer-{row}" for row in rows]})
    frame = frame.with_columns(pl.Series(f"x{place}", part[:, place]) for place in range(part.shape[1]))
    if name == BANK:
        labels = ["benign" if label else "malignant" for label in y[rows]]
        frame = frame.with_columns(pl.Series("diagnosis", labels))
    path = home.path / "customers.csv"
    frame.write_csv(path)
    return path


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Home]]:
    node = servers.shared()
    policies: dict[str, dict[str, int]] = {BANK: {}, SHOP: {"served_rows": 510}}
    members = [
        Member(name, config={"policy": {"unguarded": True, **more}}) for name, more in policies.items()
    ]
    town = found_town(tmp_path_factory.mktemp("vertical") / "town", node, members, aggregator=ARBITER)
    yield town
    raze_town(node, town)


@pytest.fixture(scope="module")
def agents(homes: dict[str, Home]) -> Iterator[AgentProcesses]:
    with AgentProcesses() as processes:
        for home in homes.values():
            processes.start(home)
        for name, target in ((BANK, ["--target", "diagnosis"]), (SHOP, [])):
            path = write_customers(homes[name], name)
            said("data", "add", path, "--name", "customers", *target, "--home", homes[name].path)
        yield processes


def submit(homes: dict[str, Home], folder: Path, text: str, *more: str) -> str:
    path = folder / "job.toml"
    path.write_text(text)
    return said("job", "submit", path, "--home", homes[ARBITER].path, *more)


def training(job: str) -> str:
    return TRAINING.format(job=job, epochs=EPOCHS, overdue_s=OVERDUE_S)


def progress(home: Home, job: str) -> JobProgress:
    """Return how far a job has come, as a home's copy of the ledger tells."""
    with follow(home) as view:
        return read_progress(view.news()).get(job, JobProgress(job))


def wait_for_epoch(home: Home, job: str, epoch: int) -> JobProgress:
    deadline = time.monotonic() + 60
    while (told := progress(home, job)).newest < epoch:
        assert time.monotonic() < deadline, told
        assert not told.outcome, told.reason
        time.sleep(0.02)
    return told


def test_a_host_killed_within_an_epoch_is_named_and_the_epoch_goes_on_when_it_returns(
    homes: dict[str, Home], agents: AgentProcesses, tmp_path: Path
) -> None:
    hub = homes[ARBITER].path
    told = submit(homes, tmp_path, ALIGNMENT, "--watch")
    assert "align-1: finished: 440 rows in common" in told
    calm = submit(homes, tmp_path, training("calm"), "--watch")
    assert re.search(rf"epoch {EPOCHS}/{EPOCHS}  loss 0\.\d+", calm)
    submit(homes, tmp_path, training("harmed"))
    killed_at = wait_for_epoch(homes[ARBITER], "harmed", 3)
    agents.kill(homes[SHOP])
    assert killed_at.newest < EPOCHS
    deadline = time.monotonic() + 30
    while SHOP not in progress(homes[ARBITER], "harmed").overdue:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    at = progress(homes[BANK], "harmed")
    agents.start(homes[SHOP])
    told = said("job", "watch", "harmed", "--home", hub, "--timeout", "60")
    assert "shop is overdue: arbiter waits for it" in told or "shop is overdue: bank waits for it" in told
    assert f"harmed: finished after {EPOCHS} epochs" in told
    results = [json.loads(said("job", "result", job, "--json", "--home", hub)) for job in ("calm", "harmed")]
    assert results[0]["epochs"] == results[1]["epochs"]
    assert (results[0]["loss"], results[0]["score"]) == (results[1]["loss"], results[1]["score"])
    assert results[1]["score"] > 0.94
    assert at.newest < EPOCHS
    assert results[1]["overdue"] == []


def test_its_model_is_asked_by_the_guest_and_taken_away_in_parts(
    homes: dict[str, Home], agents: AgentProcesses, tmp_path: Path
) -> None:
    bank, shop, hub = (homes[name].path for name in (BANK, SHOP, ARBITER))
    asked = hansa("predict", "--job", "harmed", "--id", "customer-100", "--id", "customer-3", "--home", bank)
    assert asked.exit_code == 0, asked.output
    assert re.fullmatch(r"id,prediction\ncustomer-100,(benign|malignant)\n", asked.stdout)
    assert "harmed-p1: asks arbiter, shop about 2 rows" in asked.stderr
    assert "not known to all who are asked: customer-3" in asked.stderr
    out = tmp_path / "said.csv"
    told = said(
        "predict",
        "--job",
        "harmed",
        "--output",
        "decile",
        "--home",
        bank,
        "--out",
        out,
        "--data",
        "customers",
    )
    assert told == f"{out}: 440 predictions\n"
    assert set(pl.read_csv(out)["prediction"]) <= set(range(1, 11))
    quota = hansa("predict", "--job", "harmed", "--home", bank)
    assert quota.exit_code == 1
    assert "shop refused: our policy serves 510 rows a day of harmed" in quota.stderr.splitlines()[-1]
    assert "its model answers bank" in refusal("predict", "--job", "harmed", "--home", shop)
    part = tmp_path / "part.json"
    assert "the other parts are with the others" in said(
        "model", "export", "harmed", "--home", shop, "--out", part
    )
    assert read_part(part).card.features == tuple(f"x{place}" for place in range(20))
    assert "one party's part of a model" in refusal("predict", part, bank / "customers.csv")
    rows = tmp_path / "rows.csv"
    assert "440 rows, one id on each line" in said("job", "result", "align-1", "--home", shop, "--out", rows)
    nothing = hansa("job", "result", "harmed", "--home", hub, "--out", part)
    assert nothing.exit_code == 1
    assert "the parties have a part of the model each" in nothing.stderr


def test_who_is_in_several_lists_is_told_to_each_of_its_own(
    homes: dict[str, Home], agents: AgentProcesses, tmp_path: Path
) -> None:
    text = ALIGNMENT.replace("align-1", "lending-1").replace('"alignment"', '"over-threshold-alignment"')
    told = submit(homes, tmp_path, text + "[settings]\nthreshold = 2\n", "--watch")
    assert "lending-1: finished: 440 rows in 2 lists or more" in told
    ids = []
    for name in (BANK, SHOP):
        out = tmp_path / f"{name}.csv"
        said("job", "result", "lending-1", "--home", homes[name].path, "--out", out)
        ids.append(pl.read_csv(out)["id"].to_list())
    assert sorted(ids[0]) == sorted(ids[1])
    assert len(ids[0]) == 440


def test_a_job_that_was_aborted_goes_on_from_its_last_epoch(
    homes: dict[str, Home], agents: AgentProcesses, tmp_path: Path
) -> None:
    hub = homes[ARBITER].path
    submit(homes, tmp_path, training("broken"))
    wait_for_epoch(homes[ARBITER], "broken", 2)
    agents.kill(homes[SHOP])
    said("job", "cancel", "broken", "--reason", "the shop is away", "--home", hub)
    agents.start(homes[SHOP])
    told = said("job", "resume", "broken", "--home", hub)
    assert re.search(r"broken-r2: proposed; it goes on after \d+ epochs of broken", told)
    told = said("job", "watch", "broken-r2", "--home", hub, "--timeout", "60")
    assert f"broken-r2: finished after {EPOCHS} epochs" in told
    calm, resumed = (
        json.loads(said("job", "result", job, "--json", "--home", hub)) for job in ("calm", "broken-r2")
    )
    assert (calm["loss"], calm["score"]) == (resumed["loss"], resumed["score"])
    again = hansa("job", "resume", "harmed-p1", "--home", homes[BANK].path)
    assert "has finished" in again.stderr
