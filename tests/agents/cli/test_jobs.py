"""`hansa data`, `hansa job` and `hansa model` as people type them, with every agent a process on a real broker."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from hansa.agents.cli import main
from hansa.agents.demo.processes import AgentProcesses
from hansa.agents.home import Home
from hansa.agents.jobs.export import read_model
from hansa.agents.local import AGGREGATOR
from tests import servers
from tests.agents.federations import rows
from tests.agents.towns import found_town, raze_town

PARTIES = ("east", "north")
JOB = """
job = "{job}"
model = "softmax"
dataset = "rows"
classes = ["yes", "no"]
seed = 4
consent_s = 60
[settings]
rounds = {rounds}
round_deadline_s = {deadline}
"""


def hansa(*words: object) -> Result:
    return CliRunner(env={"COLUMNS": "140"}).invoke(main, [str(word) for word in words])


def said(*words: object) -> str:
    """Return what a command that succeeds says."""
    result = hansa(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def refusal(*words: object) -> str:
    """Return the one line with which a command is refused."""
    result = hansa(*words)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1, result.stderr
    return result.stderr


def write_rows(name: str, path: Path) -> Path:
    made = rows(name)
    frame = pl.DataFrame({"id": list(made.ids)})
    columns = [pl.Series(each, made.features[:, place]) for place, each in enumerate(made.columns)]
    assert made.target is not None
    frame.with_columns(*columns, pl.Series("label", made.target.tolist())).write_csv(path)
    return path


def write_job(folder: Path, job: str, count: int = 3, deadline: float = 30.0) -> Path:
    path = folder / f"{job}.toml"
    path.write_text(JOB.format(job=job, rounds=count, deadline=deadline))
    return path


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Home]]:
    node = servers.shared()
    town = found_town(tmp_path_factory.mktemp("jobs") / "town", node, PARTIES)
    yield town
    raze_town(node, town)


@pytest.fixture(scope="module")
def agents(homes: dict[str, Home]) -> Iterator[AgentProcesses]:
    with AgentProcesses() as processes:
        for home in homes.values():
            processes.start(home)
        for name in PARTIES:
            path = write_rows(name, homes[name].path / "rows.csv")
            added = said(
                "data", "add", path, "--home", homes[name].path, "--name", "rows", "--target", "label"
            )
            assert "60 rows (" in added
            assert added.endswith("  registered\n")
        yield processes


@pytest.fixture
def hub(homes: dict[str, Home], agents: AgentProcesses) -> Path:
    """Return the home of the aggregator, all agents running and their rows registered."""
    return homes[AGGREGATOR].path


def test_a_job_is_submitted_watched_and_its_model_used(
    hub: Path, homes: dict[str, Home], tmp_path: Path
) -> None:
    told = said("job", "submit", write_job(tmp_path, "first"), "--home", hub, "--watch")
    assert "first: proposed to east, north; 2 must consent within 60 s" in told
    assert told.count("consents") == 2
    assert re.search(r"round 3/3  loss 0\.\d+ +accuracy +\d+\.\d%  █", told)
    assert "first: finished after 3 rounds" in told
    assert "first  finished" in said("job", "list", "--home", homes["north"].path)
    training = int((~replace(rows("east"), holdout=0.2).held_out()).sum())
    [listed] = map(json.loads, said("job", "list", "--json", "--home", hub).splitlines())
    assert (listed["status"], listed["rows"]["east"]) == ("finished", training)
    news = [json.loads(line) for line in said("job", "watch", "first", "--json", "--home", hub).splitlines()]
    assert [each["kind"] for each in news].count("round-closed") == 3
    assert news[-1]["kind"] == "job-finished"
    out = tmp_path / "model.npz"
    assert "shares by volume" in said("job", "result", "first", "--home", homes["east"].path, "--out", out)
    assert not list((homes["east"].path / "exports").iterdir())
    assert read_model(out).card.digest == news[-1]["model_digest"]
    said("model", "export", "first", "--home", hub, "--out", tmp_path / "model.json")
    whole = read_model(tmp_path / "model.json").parameters
    assert all(np.array_equal(a, b) for a, b in zip(whole, read_model(out).parameters, strict=True))
    predicted = said("predict", out, homes["north"].path / "rows.csv", "--target", "label")
    assert len(predicted.splitlines()) == 61
    result = json.loads(said("job", "result", "first", "--json", "--home", hub))
    assert result["score"] == pytest.approx(news[-1]["score"])
    assert "finished; its model: hansa job result first" in refusal("job", "resume", "first", "--home", hub)


def test_what_a_job_waits_for_is_said_after_a_while_and_who_was_missing_at_the_end(
    hub: Path, homes: dict[str, Home], agents: AgentProcesses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hansa.agents.jobs.watch.QUIET_S", 0.5)
    agents.kill(homes["north"])
    said("job", "submit", write_job(tmp_path, "waits", 2000, 600.0), "--home", hub)
    quiet = hansa("job", "watch", "waits", "--home", hub, "--timeout", 2)
    assert quiet.exit_code == 1
    assert "waiting for consent of north, for at most" in quiet.stdout
    assert "'waits' is still open after 2 s" in quiet.stderr
    open_still = said("job", "resume", "waits", "--home", hub)
    assert "go on by themselves" in open_still
    assert "it waits for consent of north" in open_still
    assert "waits  open, 1/2 consent" in said("job", "list", "--home", hub)
    silent = hansa(
        "job", "list", "--home", homes["north"].path
    )  # its copy of the ledger can be read all the same
    assert silent.exit_code == 0
    assert "waits" not in silent.stdout
    assert said("job", "cancel", "waits", "--reason", "north is down", "--home", hub) == "waits: aborted\n"
    ended = hansa("job", "watch", "waits", "--home", hub)
    assert ended.exit_code == 1
    assert "waits: aborted: north is down" in ended.stdout
    agents.start(homes["north"])


def test_an_aborted_job_is_taken_up_by_command(hub: Path, homes: dict[str, Home], tmp_path: Path) -> None:
    said("job", "submit", write_job(tmp_path, "long", 3000), "--home", hub)
    deadline = time.monotonic() + 60
    while "open, round" not in said("job", "list", "--home", homes["east"].path):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    left = said("job", "cancel", "long", "--reason", "we need the machine", "--home", homes["east"].path)
    assert left == "long: left; the others may go on\n"
    ended = hansa("job", "watch", "long", "--home", hub)
    assert ended.exit_code == 1
    assert "at aggregator: hansa job resume long" in ended.stdout
    assert hansa("job", "result", "long", "--home", hub).exit_code == 1
    resumed = said("job", "resume", "long", "--home", hub)
    assert re.search(
        r"long-r2: proposed; it starts from round \d+ of long, model [0-9a-f]{16}, and has \d+", resumed
    )
    said("job", "cancel", "long-r2", "--reason", "seen enough", "--home", hub)


def test_data_sets_are_listed_replaced_and_withdrawn(
    hub: Path, homes: dict[str, Home], tmp_path: Path
) -> None:
    home = homes["north"].path
    assert "60 rows, 4 columns on the ledger" in said("data", "list", "--home", home)
    more = write_rows("north", tmp_path / "more.csv")
    add = ("data", "add", more, "--home", home, "--name", "rows", "--target", "label")
    assert "data.rows is there already; --replace" in refusal(*add)
    assert said(*add, "--replace", "--holdout", "0.5").endswith("  registered\n")
    added = said("data", "add", more, "--home", home, "--name", "other", "--target", "label")
    assert re.search(r"north takes part in jobs of \w+, with any protocol", added)
    listed = [json.loads(line) for line in said("data", "list", "--json", "--home", home).splitlines()]
    assert [(each["name"], each["registered"], each["rows"]) for each in listed] == [
        ("other", True, 60),
        ("rows", True, 60),
    ]
    assert said("data", "withdraw", "other", "--reason", "old", "--home", home) == "other: withdrawn\n"
    assert "other" not in said("data", "list", "--home", home)
    assert "neither in agent.toml nor on the ledger" in refusal(
        "data", "withdraw", "other", "--reason", "old", "--home", home
    )
    broken = tmp_path / "broken.csv"
    broken.write_text("id,a,label\n1,2,x\n1,3,y\n")
    message = refusal("data", "add", broken, "--home", home, "--name", "bad", "--target", "label")
    assert "row 3, column 'id': id '1' stands in row 2 too" in message
    assert "bad" not in said("data", "list", "--home", home)


def test_what_nobody_knows_is_refused_in_a_line(hub: Path, homes: dict[str, Home], tmp_path: Path) -> None:
    assert "no job 'nothing' on this copy of the ledger" in refusal("job", "watch", "nothing", "--home", hub)
    assert "no job 'nothing'" in refusal("job", "result", "nothing", "--home", hub)
    assert "no such file" not in refusal("job", "cancel", "nothing", "--reason", "x", "--home", hub)
    taken = write_job(tmp_path, "first")
    assert "a job 'first' exists already" in refusal("job", "submit", taken, "--home", hub)
    odd = hansa("model", "export", "first", "--home", hub, "--out", tmp_path / "model.pkl")
    assert odd.exit_code == 2
    assert ".npz or .json" in odd.stderr
