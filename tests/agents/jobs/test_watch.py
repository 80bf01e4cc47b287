"""Watching a job where no daemon runs, or one that has nothing to say: never silent, never in vain."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hansa.agents.cli import main
from hansa.agents.errors import AgentError, AgentNotRunning, JobAborted, JobError
from hansa.agents.home import Home
from hansa.agents.jobs.course import News
from hansa.agents.jobs.follow import read_standing
from hansa.agents.jobs.orders import Submit
from hansa.agents.jobs.progress import JobProgress
from hansa.agents.jobs.watch import Waiting, wait_for, watch_job
from hansa.agents.local import AGGREGATOR
from tests.agents.federations import found, specification
from tests.agents.offices import order

READY: dict[str, Any] = {"broker": "ready", "unroutable": [], "known": True, "outcome": ""}
ROUND = {"what": "round 2", "whom": ["east"], "until": 5.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the homes of a federation that was stopped with a job open."""
    folder = tmp_path_factory.mktemp("watch") / "homes"
    with found(folder) as local:
        order(local, AGGREGATOR, Submit(specification("open", settings={"rounds": 5000})))
        local._until(lambda: "open" in local.coordinator.clerk.standing.jobs and local._level(), 30.0)
    return folder


@pytest.fixture
def home(folder: Path) -> Home:
    return Home(folder / AGGREGATOR)


def hansa(*words: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(main, [str(word) for word in words])


def answers(monkeypatch: pytest.MonkeyPatch, *told: dict[str, Any] | AgentError) -> None:
    """Let the home's agent answer these, the last one for ever."""
    waiting = list(told)

    def ask(home: Home, job: str) -> dict[str, Any]:
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(answer, AgentError):
            raise answer
        return answer

    monkeypatch.setattr("hansa.agents.jobs.watch._ask", ask)


def test_without_a_daemon_it_says_so_at_once_and_how_to_start_it(folder: Path) -> None:
    result = hansa("job", "watch", "open", "--home", folder / "north", "--timeout", "0.6")
    assert result.exit_code == 1
    assert "is not running: hansa agent run --home" in result.stdout
    assert "'open' is still open after 0.6 s" in result.stderr


def test_for_a_script_waiting_is_a_line_of_its_own(folder: Path) -> None:
    result = hansa("job", "watch", "open", "--home", folder / "north", "--timeout", "0.6", "--json")
    assert '"kind": "waiting"' in result.stdout


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (READY | ROUND, ("round 2", ("east",), 5.0, True, "")),
        (READY | ROUND | {"unroutable": ["east"]}, ("round 2", ("east",), 5.0, True, "")),
        (READY | ROUND | {"broker": "connecting"}, ("round 2", ("east",), 5.0, True, "connecting")),
        (READY | {"known": False}, ("", (), None, False, "")),
        (AgentError("did not answer"), ("", (), None, False, "did not answer")),
        (AgentNotRunning("not running: start it"), ("", (), None, False, "not running: start it")),
    ],
)
def test_what_is_waited_for_comes_from_the_agent_or_else_from_the_ledger(
    home: Home, monkeypatch: pytest.MonkeyPatch, told: Any, expected: tuple[Any, ...]
) -> None:
    answers(monkeypatch, told)
    progress = JobProgress("open")
    waiting = wait_for(home, progress)
    what, whom, until, certain, trouble = expected
    assert (waiting.what, waiting.whom) == (what or "the proposal to reach the ledger", whom)
    assert (waiting.until_s, waiting.certain) == (until, certain)
    assert trouble in waiting.trouble


def test_a_party_without_a_queue_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, READY | {"unroutable": ["east"], "known": False})
    progress = JobProgress("open", coordinator=AGGREGATOR, parties=("east", "north"))
    assert wait_for(home, progress).trouble == "the broker has no queue for east"


def test_a_quiet_job_is_told_of_again_and_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hansa.agents.jobs.watch.QUIET_S", 0.2)
    answers(monkeypatch, READY | ROUND)
    seen = watch_job(home, JobProgress("open"), timeout_s=1.5)
    kinds: list[type] = []
    with pytest.raises(JobError, match="still open"):
        kinds.extend(type(each) for each in seen)
    assert kinds[0] is News
    assert kinds.count(Waiting) >= 2


def test_a_job_that_ended_before_the_ledger_had_it_is_not_waited_for(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = READY | {"outcome": "aborted", "reason": "the keeper refused it", "missing": []}
    answers(monkeypatch, READY | ROUND, READY | ROUND, READY | ROUND, over)
    with pytest.raises(JobAborted, match="the keeper refused it"):
        list(watch_job(home, JobProgress("unseen")))


def test_a_job_nobody_knows_is_refused_with_those_there_are(home: Home) -> None:
    with pytest.raises(JobError, match=r"no job 'typo' on this copy of the ledger; there are: open$"):
        list(watch_job(home, JobProgress("typo")))


def test_submitting_needs_the_coordinators_agent(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text(
        'job = "new"\nmodel = "softmax"\ndataset = "rows"\nclasses = ["no", "yes"]\n[settings]\nrounds = 1\n'
    )
    result = hansa("job", "submit", path, "--home", folder / AGGREGATOR)
    assert result.exit_code == 1
    assert "is not running: hansa agent run" in result.stderr


def test_an_open_jobs_result_and_list_come_from_the_ledger_alone(folder: Path) -> None:
    result = hansa("job", "result", "open", "--home", folder / "east")
    assert result.exit_code == 0
    assert "open: open; waits for" in result.stdout
    assert read_standing(Home(folder / "east")).jobs["open"].status == "open"


# --- data sets of an agent that belongs to no federation yet ----------------------------------------------
@pytest.fixture
def lonely(tmp_path: Path) -> Path:
    home = tmp_path / "bank"
    assert hansa("init", home, "--name", "bank").exit_code == 0
    (home / "rows.csv").write_text("id,a,label\n1,2,x\n2,3,y\n")
    return home


def test_data_can_be_named_before_a_federation_is_joined(lonely: Path, tmp_path: Path) -> None:
    text = (lonely / "agent.toml").read_text()
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert "no data sets" in hansa("data", "list", "--home", lonely).stdout
    add = ("data", "add", lonely / "rows.csv", "--home", lonely, "--name", "rows", "--target", "label")
    added = hansa(*add)
    assert added.exit_code == 0, added.output
    assert "registered when the agent belongs to a federation" in added.stdout
    written = (lonely / "agent.toml").read_text()
    assert 'file = "rows.csv"' in written
    assert set(comments) <= set(written.splitlines())
    assert "not on the ledger" in hansa("data", "list", "--home", lonely).stdout
    assert "is there already; --replace" in hansa(*add).stderr
    assert hansa(*add, "--holdout", "0.4", "--replace").exit_code == 0
    assert Home(lonely).config().data["rows"].holdout == 0.4
    withdrawn = hansa("data", "withdraw", "rows", "--reason", "x", "--home", lonely)
    assert withdrawn.stdout == "rows: taken out of agent.toml; it was not on the ledger\n"
    assert "no such section" in hansa("data", "withdraw", "rows", "--reason", "x", "--home", lonely).stderr


def test_a_data_set_comes_from_one_place(lonely: Path) -> None:
    nothing = hansa("data", "add", "--home", lonely, "--name", "rows")
    assert nothing.exit_code == 2
    assert "needs either file, or url with query" in nothing.stderr
    assert hansa("data", "add", lonely / "rows.csv", "--home", lonely, "--name", "No Name").exit_code == 1
