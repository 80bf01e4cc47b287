"""Daemons on a real broker, in this process and as processes of their own."""

import http.client
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from hansa.agents.core.agent import Agent
from hansa.agents.errors import AgentError, AgentNotRunning, BrokerTurnedAway, ConfigError, HomeError
from hansa.agents.home import CONFIG, LEDGER, PASSWORD, Home, write_whole
from hansa.agents.local import Member
from hansa.agents.service import connection, daemon
from hansa.agents.service.connection import ConnectionWatch
from hansa.agents.service.daemon import Daemon
from hansa.agents.service.notify import Notifier
from hansa.agents.service.offers import offer
from hansa.agents.service.reach import reach
from hansa.agents.service.status import Reload, Status, Stop
from hansa.broker import AmqpTransport
from hansa.ledger import StoreError, StoreMissing
from tests import servers
from tests.agents.daemons import PATIENCE_S, at_work, ready, until, work
from tests.agents.towns import connect, found_town, raze_town
from tests.proxy import Proxy

PARTIES = ("east", "north", "south", "west", "centre", "inland", "coast", "island")
ROWS = "id,age,outcome\na,1,0\nb,2,1\nc,3,0\n"
RUN = "from hansa.agents.cli import main; main()"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Home]]:
    """A federation whose agents each serve one test or more, one after the other."""
    node = servers.shared()
    data = {"data": {"people": {"file": "people.csv", "target": "outcome"}}}
    members = [Member(name, config=data if name in ("coast", "island") else {}) for name in PARTIES]
    homes = found_town(tmp_path_factory.mktemp("daemons") / "town", node, members)
    yield homes
    raze_town(node, homes)


def monitored(running: Daemon, path: str = "/health") -> tuple[int, str]:
    with closing(
        http.client.HTTPConnection(running.health_url.removeprefix("http://"), timeout=30)
    ) as client:
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, answer.read().decode()


class Manager(Notifier):
    """Keeps what a service manager would hear."""

    def __init__(self) -> None:
        super().__init__("@nobody", watchdog_s=0.02)
        self.heard: list[str] = []

    def tell(self, *words: str) -> None:
        self.heard.extend(words)


def test_a_daemon_is_ready_answers_and_stops(town: dict[str, Home]) -> None:
    home, manager = town["east"], Manager()
    with at_work(home, manager) as running:
        until(lambda: ready(running), "ready")
        with reach(home, alone=False) as ask:
            told = ask(Status())
            assert (told["name"], told["pid"], told["broker"]["state"]) == ("east", os.getpid(), "ready")
            assert set(told["members"]) == {"aggregator", *PARTIES}
            status, health = monitored(running)
            assert (status, json.loads(health)["ready"]) == (200, True)
            assert 'hansa_broker_state{state="ready"} 1.0' in monitored(running, "/metrics")[1]
            assert ask(Stop()) == {"pid": os.getpid()}
    assert manager.heard.count("READY=1") == 1
    assert manager.heard[-1] == "STOPPING=1"
    assert "STATUS=connected to the broker" in manager.heard
    assert "WATCHDOG=1" in manager.heard
    with home.held():
        assert not (home.path / "control.sock").exists()


def test_a_broker_that_is_away_is_waited_for(town: dict[str, Home], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    home = town["north"]
    with Proxy(servers.shared().port) as proxy, directed(home, proxy.port):
        proxy.refusing = True
        with at_work(home) as running:
            until(lambda: "not connected" in caplog.text, "told that it is not connected")
            status, health = monitored(running)
            assert (status, json.loads(health)["broker"]) == (503, "connecting")
            assert "trying again" in json.loads(health)["why"]
            proxy.refusing = False
            until(lambda: ready(running), "connected in the end")
    assert "check that the broker runs" in caplog.text
    assert caplog.text.count("north: connected to the broker") == 1


@contextmanager
def directed(home: Home, port: int) -> Iterator[None]:
    """Have a home's agent connect through another port while the block lasts."""
    section = home.config().broker
    assert section is not None
    before, _, vhost = section.url.rpartition(":")[0], *section.url.rpartition(":")[2].partition("/")[1:]
    connect(home, f"{before}:{port}/{vhost}")
    yield
    connect(home, section.url)


@pytest.mark.parametrize("building", [True, False])
def test_an_agent_whose_database_fails_is_built_anew(
    building: bool,
    town: dict[str, Home],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = threading.Event()
    step, store = Agent.step, Home.store

    def failing_step(self: Agent) -> bool:
        if broken.is_set() and not building:
            broken.clear()
            raise StoreError("the server closed the connection unexpectedly")
        return step(self)

    def failing_store(self: Home, create: bool = False) -> Any:
        if broken.is_set():
            broken.clear()
            raise StoreError("the server closed the connection unexpectedly")
        return store(self, create)

    monkeypatch.setattr(Agent, "step", failing_step)
    monkeypatch.setattr(Home, "store", failing_store)
    monkeypatch.setattr(daemon, "FIRST_PAUSE_S", 0.3)
    manager = Manager()
    home = town["south"]
    if building:
        broken.set()
    with at_work(home, manager) as running:
        if not building:
            until(lambda: ready(running), "ready")
            first = running.office().agent
            broken.set()
            until(lambda: not broken.is_set(), "it failed")
            with pytest.raises(AgentError, match="stopped before it answered"):
                first.ask(lambda: None).result(PATIENCE_S)
            assert monitored(running)[0] == 503
        until(lambda: ready(running), "ready again")
        with pytest.raises(HomeError), home.held():
            raise AssertionError("the lock was let go")
        with reach(home) as ask:
            assert ask(Status())["broker"]["state"] == "ready"
    assert "south: our own disk or database failed: the server closed the connection" in caplog.text
    assert any(word.startswith("STATUS=our own disk") for word in manager.heard)


def test_the_pause_is_short_again_after_steady_work(
    town: dict[str, Home], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = 3

    def failing_run(self: Agent, stop: threading.Event, beat: Callable[[], None]) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise StoreError("gone")
        stop.wait(PATIENCE_S)

    monkeypatch.setattr(Agent, "run", failing_run)
    monkeypatch.setattr(daemon, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(daemon, "STEADY_S", -1.0)
    with at_work(town["south"]):
        until(lambda: not failures, "it failed thrice")
    assert [record.getMessage().rsplit(" in ")[-1] for record in caplog.records].count("0.01 s") == 3


def test_without_a_ledger_waiting_is_of_no_use(town: dict[str, Home]) -> None:
    home = town["south"]
    (home.path / LEDGER).rename(home.path / "elsewhere")
    try:
        with pytest.raises(StoreMissing):
            work(home)
    finally:
        (home.path / "elsewhere").rename(home.path / LEDGER)


def test_a_newer_connection_elsewhere_ends_the_daemon(town: dict[str, Home]) -> None:
    home = town["west"]
    failures: list[Exception] = []
    with at_work(home, failures=failures) as running:
        until(lambda: ready(running), "ready")
        with closing(AmqpTransport(home.address(), home.config().federation.id, "west")):
            until(lambda: failures, "taken over")
    (failure,) = failures
    assert isinstance(failure, BrokerTurnedAway)
    assert "a copy of this home at work elsewhere" in str(failure)


def test_a_broker_that_refuses_the_login_ends_the_daemon(
    town: dict[str, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = town["west"]
    password = (home.path / PASSWORD).read_text()
    monkeypatch.setattr(connection, "REFUSED_S", 0.1)
    write_whole(home.path / PASSWORD, "wrong")
    try:
        with pytest.raises(BrokerTurnedAway, match="refused the login"):
            work(home)
    finally:
        write_whole(home.path / PASSWORD, password)


def test_policy_and_data_sets_are_taken_anew_or_all_stays(town: dict[str, Home]) -> None:
    home = town["centre"]
    good = (home.path / CONFIG).read_text()
    with at_work(home) as running:
        until(lambda: running._office, "at work")
        agent = running.office().agent
        (home.path / CONFIG).write_text(good + '\n[policy]\nmodels = ["softmax"]\n')
        with reach(home) as ask:
            assert ask(Reload())["taken"] == "policy and 0 data sets taken from agent.toml"
            assert agent.config.policy.models == ("softmax",)
            (home.path / CONFIG).write_text(good + '\n[policy]\nmodel = ["mlp"]\n')
            with pytest.raises(AgentError, match="unknown key"):
                ask(Reload())
            assert agent.config.policy.models == ("softmax",)
            (home.path / CONFIG).write_text(good.replace('name = "centre"', 'name = "other"'))
            with pytest.raises(AgentError, match="of other"):
                ask(Reload())
    (home.path / CONFIG).write_text(good)


def test_data_sets_go_on_the_ledger_and_changed_rows_are_told(
    town: dict[str, Home], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    home = town["coast"]
    rows = home.path / "people.csv"

    def offered(running: Daemon) -> bool:
        with suppress(AgentNotRunning):
            office = running.office()
            return office.ask(lambda: ("coast", "people") in office.agent.clerk.standing.datasets)
        return False

    with at_work(town["aggregator"]), at_work(home) as running:
        until(lambda: "data set people: " in caplog.text, "an unreadable file is told")
        assert f"{rows}: no such file" in caplog.text
        rows.write_text(ROWS)
        running.reload()
        until(lambda: offered(running), "registered")
        agent = running.office().agent
        caplog.clear()
        offer(agent, "people", lambda: home.dataset("people"))
        assert not caplog.records  # nothing has changed
        rows.write_text(ROWS + "d,4,1\n")
        running.reload()
        until(lambda: "people has changed since it was registered" in caplog.text, "the change is told")
    assert "hansa data add people --replace" in caplog.text


def test_nobody_waits_for_an_agent_that_has_stopped(town: dict[str, Home]) -> None:
    home = town["island"]
    (home.path / "people.csv").write_text(ROWS)
    with at_work(home) as running:  # its keeper is away: the registration is under way when it stops
        until(lambda: running._office, "at work")
        office = running.office()
        until(lambda: office.ask(office.agent.clerk.waiting), "registering")
        running.reload()
        for _ in range(2):  # looked at, and left alone while it is under way
            office.ask(lambda: None)
            time.sleep(1.2 * daemon.OFFER_POLL_S)
        assert len(office.ask(lambda: tuple(office.agent.clerk._awaited))) == 1
    with pytest.raises(AgentError, match="island stopped before it answered"):
        office.ask(lambda: None)


def test_a_slow_agent_is_said_to_be_slow(town: dict[str, Home], monkeypatch: pytest.MonkeyPatch) -> None:
    home, release = town["centre"], threading.Event()
    monkeypatch.setattr(daemon, "VITALS_S", 0.05)
    with at_work(home) as running:
        until(lambda: ready(running), "ready")
        office = running.office()
        busy = office.agent.ask(lambda: release.wait(PATIENCE_S))
        with pytest.raises(AgentError, match=r"did not answer within 0\.05 s"):
            office.ask(lambda: None, 0.05)
        status, health = monitored(running)
        assert (status, json.loads(health)["why"]) == (503, "the agent does not answer; its log says why")
        assert "hansa_agent_up 0.0" in monitored(running, "/metrics")[1]
        release.set()
        busy.result(PATIENCE_S)


def test_where_nobody_can_listen_the_daemon_does_not_start(town: dict[str, Home]) -> None:
    home = town["centre"]
    good = (home.path / CONFIG).read_text()
    with Proxy(1) as taken:

        def listen(document: tomlkit.TOMLDocument) -> None:
            document["daemon"] = {"listen": f"127.0.0.1:{taken.port}"}

        home.edit(listen)
        with pytest.raises(ConfigError, match="already in use"):
            work(home)
    (home.path / CONFIG).write_text(good)


def test_a_watch_looks_at_a_real_connection(town: dict[str, Home]) -> None:
    home = town["inland"]
    with closing(AmqpTransport(home.address(), home.config().federation.id, "inland")) as transport:
        transport.ready(PATIENCE_S)
        assert ConnectionWatch("inland", transport).look().state == "ready"


# --- processes of their own -------------------------------------------------------------------------------


class Process:
    """`hansa agent run` in a process; its log is read as it comes."""

    def __init__(self, home: Home, *options: str) -> None:
        self.log: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, "agent", "run", "--home", str(home.path), *options],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.log.extend(self.process.stderr)

    def wait_for(self, words: str, after: int = 0) -> None:
        until(lambda: any(words in line for line in list(self.log)[after:]), f"{words!r} in {self.log}")

    def end(self, number: int) -> tuple[int, float]:
        """Send a signal; return the exit status and how long it took."""
        self.process.send_signal(number)
        began = time.monotonic()
        status = self.process.wait(PATIENCE_S)
        took = time.monotonic() - began
        self._reader.join(PATIENCE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status, took


def test_a_process_starts_reloads_stops_and_survives_being_killed(town: dict[str, Home]) -> None:
    home = town["inland"]
    first = Process(home, "--log", "json")
    first.wait_for("connected to the broker")
    assert all(json.loads(line)["agent"] == "inland" for line in first.log)
    second = Process(home)
    status, _ = second.end(0)
    assert (status, second.log) == (1, [f"Error: {home.path}: in use by another process\n"])
    first.process.send_signal(signal.SIGHUP)
    first.wait_for("policy and 0 data sets taken")
    good = (home.path / CONFIG).read_text()
    (home.path / CONFIG).write_text(good + "\n[polcy]\n")
    first.process.send_signal(signal.SIGHUP)
    first.wait_for("not reloaded, all stays as it was")
    (home.path / CONFIG).write_text(good)
    assert first.end(signal.SIGKILL)[0] == -signal.SIGKILL
    third = Process(home)
    third.wait_for("connected to the broker")
    with reach(home, alone=False) as ask:
        assert ask(Status())["pid"] == third.process.pid
    status, took = third.end(signal.SIGTERM)
    assert status == 0, third.log
    assert took < 10.0  # about a second where nothing else runs
    assert third.log[-1].endswith("inland: stopped\n")
    with home.held():
        pass


def test_a_process_that_the_broker_refuses_exits_with_3(town: dict[str, Home]) -> None:
    home = town["inland"]
    password = (home.path / PASSWORD).read_text()
    write_whole(home.path / PASSWORD, "wrong")
    try:
        refused = Process(home)
        assert refused.end(0)[0] == 3
    finally:
        write_whole(home.path / PASSWORD, password)
    assert refused.log[-1].startswith("Error: inland: ")
    assert "refused the login" in refused.log[-1]
    assert Path(home.path, "lock").exists()
