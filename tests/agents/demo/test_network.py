"""`hansa demo horizontal --broker`: every agent a process, and none of them outlives the demo."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hansa.agents.cli import main
from hansa.agents.demo.digits import PARTIES, PLANS
from hansa.agents.demo.leashed import leash
from hansa.agents.demo.network import _withdraw_earlier, guessed_management
from hansa.agents.demo.processes import AgentProcesses
from hansa.agents.errors import AgentError, ConfigError, HomeError
from hansa.agents.home import Home, find_homes
from hansa.broker import BrokerError, Management, withdraw
from tests import servers

ENDS_S = 60.0  # for what takes a few seconds, on a machine that is busy


def words(folder: Path, *more: str) -> list[str]:
    node = servers.shared()
    broker = f"amqp://guest:guest@127.0.0.1:{node.port}"
    return ["demo", "horizontal", "--folder", str(folder), "--broker", broker, *more]


def demo(folder: Path, *more: str) -> Result:
    environment = {"COLUMNS": "160", "HANSA_MANAGEMENT": servers.shared().management_url}
    return CliRunner(env=environment).invoke(main, words(folder, *more))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "demo"
    management = Management.from_url(servers.shared().management_url)
    with suppress(ConfigError, BrokerError):
        federation = Home(tmp_path / "demo" / "aggregator").config().federation.id
        for name in ("aggregator", *PARTIES):
            withdraw(management, federation, name)
        management.call("DELETE", f"vhosts/{federation}")


def vhosts() -> str:
    return Management.from_url(servers.shared().management_url).call("GET", "vhosts").decode()


def nobody_works_in(folder: Path) -> bool:
    """Whether no process holds any of the homes."""
    try:
        for home in find_homes(folder):
            with home.held():
                pass
    except HomeError:
        return False
    return True


def test_the_walk_is_typed_and_ends_with_the_same_tables(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hansa.agents.demo.network.PLANS", (replace(PLANS[0], rounds=2),))
    result = demo(folder)
    assert result.exit_code == 0, result.output
    typed = re.findall(r"^\$ hansa (\w+(?: \w+)?)", result.stdout, re.MULTILINE)
    assert [each.split()[0] for each in typed][:3] == ["init", "federation", "agent"]
    assert sum(each == "federation invite" for each in typed) == len(PARTIES)
    assert "guest" not in result.stdout
    assert re.search(r"round 2/2  loss \d\.\d+ +accuracy", result.stdout)
    assert re.search(r"softmax regression +[\d.]+% +[\d.]+% +[\d.]+ points +[\d.]+% \(\w+\)", result.stdout)
    assert re.search(r"ledger verified: \d+ entries, head [0-9a-f]{16}, the same at all 5", result.stdout)
    assert nobody_works_in(folder)
    before = Home(folder / "aggregator").config().federation.id
    assert before in vhosts()
    _withdraw_earlier(folder, Management.from_url(servers.shared().management_url), replace=True)
    assert before not in vhosts()
    _withdraw_earlier(
        folder, Management.from_url(servers.shared().management_url), replace=True
    )  # gone already


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda end: end.name)
def test_the_agents_end_with_the_demo_however_it_ends(folder: Path, end: signal.Signals) -> None:
    command = [sys.executable, "-c", "from hansa.agents.cli import main; main()", *words(folder)]
    environment = os.environ | {"HANSA_MANAGEMENT": servers.shared().management_url}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: (folder / "aggregator" / "agent.log").exists())
    finally:
        process.send_signal(end)
        process.wait()
    until(lambda: nobody_works_in(folder))


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ENDS_S
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_who_is_not_told_where_the_management_api_is_guesses() -> None:
    assert guessed_management("amqp://me:p%40ss@broker:5672") == "http://me:p%40ss@broker:15672"
    assert guessed_management("amqps://me:pw@[::1]") == "https://me:pw@[::1]:15672"
    with pytest.raises(AgentError, match="expected amqp://user:password@host:port"):
        guessed_management("amqp://broker")


def test_a_broker_that_does_not_let_us_in_is_said_in_a_line(tmp_path: Path) -> None:
    node = servers.shared()
    url = node.management_url.replace("guest:guest", "guest:wrong")
    result = CliRunner().invoke(main, [*words(tmp_path / "demo"), "--management", url])
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "wrong" not in result.stderr


def test_an_agent_that_cannot_start_says_why(tmp_path: Path) -> None:
    made = CliRunner().invoke(main, ["init", str(tmp_path / "bank"), "--name", "north"])
    assert made.exit_code == 0
    with (
        AgentProcesses() as agents,
        pytest.raises(AgentError, match=r"ended at once: .*belongs to no federation yet"),
    ):
        agents.start(Home(tmp_path / "bank"))


def test_a_process_whose_parent_is_gone_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "other")  # this process shall outlive the test
    leash(os.getppid())
    with pytest.raises(SystemExit):
        leash(-1)
