"""The keeper's process is killed for good, another member takes over, and the federation goes on."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hansa.agents.admission.succession import ApproveTakeover, ShowTakeover, TakeOver
from hansa.agents.cli import main
from hansa.agents.errors import AgentError
from hansa.agents.home import Home
from hansa.agents.jobs.orders import Submit
from hansa.agents.local import Member
from hansa.agents.service.reach import reach
from hansa.agents.service.status import Status
from tests import servers
from tests.agents.daemons import at_work, ready, until
from tests.agents.federations import specification
from tests.agents.service.test_daemon import Process
from tests.agents.towns import found_town, raze_town

PARTIES = ("east", "north", "west")


def table(name: str) -> str:
    """Return thirty rows as CSV: two classes, parted by a line."""
    values = np.random.default_rng(sum(name.encode())).normal(size=(30, 2))
    lines = [f"{name}-{row},{a:.6f},{b:.6f},{'yes' if a > b else 'no'}" for row, (a, b) in enumerate(values)]
    return "\n".join(["id,a,b,outcome", *lines]) + "\n"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[dict[str, Home]]:
    node = servers.shared()
    data = {"data": {"rows": {"file": "rows.csv", "target": "outcome"}}}
    homes = found_town(tmp_path / "town", node, [Member(name, config=data) for name in PARTIES])
    for name in PARTIES:
        (homes[name].path / "rows.csv").write_text(table(name))
    yield homes
    raze_town(node, homes)


def hansa(*words: str) -> str:
    """Run a command in this process; return what it says."""
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return result.output


def keeper(home: Home) -> str:
    with reach(home, alone=False) as ask:
        return str(ask(Status())["keeper"])


def finished(home: Home, job: str) -> bool:
    with reach(home, alone=False) as ask:
        return any(each["job"] == job and each["status"] == "finished" for each in ask(Status())["jobs"])


def test_the_federation_goes_on_without_the_process_of_its_keeper(town: dict[str, Home]) -> None:
    founder = next(iter(town))
    process = Process(town[founder])
    with ExitStack() as stack:
        running = {name: stack.enter_context(at_work(town[name])) for name in PARTIES}
        until(lambda: all(ready(each) for each in running.values()), "ready")
        process.wait_for("connected to the broker")
        until(lambda: registered(town["north"]) == 3, "their rows are on the ledger")
        assert process.end(signal.SIGKILL)[0] == -signal.SIGKILL
        with reach(town["north"], alone=False) as ask:
            assert ask(TakeOver("its disk is gone"))["candidate"]
            until(lambda: len(ask(ShowTakeover())["undecided"]) == 2, "asked")
        told = hansa("ledger", "takeover", "--status", "--home", str(town["north"].path))
        assert "a person there may type: hansa ledger takeover --approve north" in told
        told = hansa("ledger", "takeover", "--status", "--home", str(town["east"].path))
        assert "north wants to keep the ledger; east has not agreed" in told
        hansa("ledger", "takeover", "--approve", "north", "--home", str(town["east"].path))
        with reach(town["west"], alone=False) as ask:
            ask(ApproveTakeover("north"))
            with pytest.raises(AgentError, match="no active member"):
                ask(ApproveTakeover("nobody"))
        told = hansa("ledger", "takeover", "--home", str(town["north"].path))
        assert told.splitlines()[-1] == "north keeps the ledger, in epoch 1"
        until(lambda: keeper(town["east"]) == keeper(town["west"]) == "north", "all follow")
        with reach(town["north"], alone=False) as ask:
            spec = specification(
                "after", parties=("east", "west"), features=2, minimum_parties=2, settings={"quorum": 2}
            )
            ask(Submit(spec))
        until(lambda: finished(town["north"], "after"), "a job under the new keeper")
        back = stack.enter_context(at_work(town[founder]))
        until(lambda: ready(back), "ready")
        until(lambda: keeper(town[founder]) == "north" and finished(town[founder], "after"), "a member again")


def registered(home: Home) -> int:
    """Return how many entries about data a home's copy of the ledger holds."""
    with reach(home, alone=False) as ask:
        return int(ask(Status())["ledger"]["entries"]) - 4
