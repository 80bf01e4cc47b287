"""Commands and their agent: through the daemon, or alone."""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hansa.agents.admission.rekeying import RotateKeys, prepare_keys
from hansa.agents.errors import AgentError, AgentNotRunning, HomeError, JobError
from hansa.agents.home import LEDGER, Home
from hansa.agents.service import reach as reaching
from hansa.agents.service.office import Office
from hansa.agents.service.orders import ORDERS
from hansa.agents.service.reach import reach
from hansa.agents.service.status import Status
from hansa.broker import BrokerUnreachable, Health
from hansa.ledger import DatasetRegistered, StoreMissing
from tests import servers
from tests.agents.daemons import at_work, ready, until
from tests.agents.towns import connect, found_town, raze_town


@dataclass(frozen=True, slots=True)
class Offer:
    """Registers a data set of this name, or fails."""

    name: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        if not self.name:
            raise JobError("it has no name")
        body = DatasetRegistered(self.name, 1, ("x",), None, bytes(32))
        office.ask(lambda: office.agent.write(body))
        return {"names": (self.name,)}


@dataclass(frozen=True, slots=True)
class Dawdle:
    """Is carried out once the test says so."""

    late: bool = False

    def carry_out(self, office: Office) -> dict[str, Any]:
        GATE.wait(30.0)
        if self.late:
            raise TimeoutError("of its own")
        return {}


GATE = threading.Event()


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Home]]:
    node = servers.shared()
    homes = found_town(tmp_path_factory.mktemp("reach") / "town", node, ["north", "south"])
    yield homes
    raze_town(node, homes)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        return int(holder.getsockname()[1])


def test_without_a_daemon_the_command_is_the_agent_until_everything_has_left(town: dict[str, Home]) -> None:
    with reach(town["north"]) as ask:
        assert ask(Status())["name"] == "north"
        assert ask(Offer("rows")) == {"names": ["rows"]}  # as JSON, as a daemon would answer
    with town["north"].held():
        pass
    with reach(town["aggregator"]) as ask:  # what north sent lies at the broker
        deadline = time.monotonic() + 30.0
        while ask(Status())["ledger"]["entries"] < 4:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_what_the_agent_refuses_is_told_in_its_words(town: dict[str, Home]) -> None:
    with reach(town["north"]) as ask, pytest.raises(AgentError, match="it has no name"):
        ask(Offer(""))


def test_a_command_that_needs_a_daemon_says_how_to_start_one(town: dict[str, Home]) -> None:
    with pytest.raises(AgentNotRunning, match="hansa agent run --home"):
        with reach(town["north"], alone=False):
            raise AssertionError("nobody is there")


def test_what_cannot_leave_yet_is_told_and_leaves_later(
    town: dict[str, Home], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home = town["south"]
    section = home.config().broker
    assert section is not None
    head, _, vhost = section.url.rpartition("/")
    connect(home, f"{head.rpartition(':')[0]}:{closed_port()}/{vhost}")
    monkeypatch.setattr(reaching, "CONFIRM_S", 0.3)
    with reach(home) as ask:
        ask(Offer("rows"))
    assert "south: not everything has left (not connected: " in caplog.text
    assert "it will when the agent runs" in caplog.text
    caplog.clear()
    connect(home, section.url)
    monkeypatch.setattr(reaching, "CONFIRM_S", 30.0)
    with reach(home):
        pass
    assert not [record for record in caplog.records if record.name == "hansa.reach"]


def test_a_home_that_another_command_holds_is_waited_for_a_while(
    town: dict[str, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = town["north"]
    monkeypatch.setattr(reaching, "LOCKED_S", 0.1)
    with home.held(), pytest.raises(HomeError, match="in use"), reach(home):
        raise AssertionError("two of them")
    monkeypatch.setattr(reaching, "LOCKED_S", 30.0)
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with home.held():
            held.set()
            release.wait(30.0)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(30.0)
    threading.Timer(0.1, release.set).start()
    with reach(home) as ask:
        assert ask(Status())["name"] == "north"
    other.join()


def test_what_keeps_the_agent_from_starting_is_told(town: dict[str, Home], tmp_path: Path) -> None:
    home = town["north"]
    (home.path / LEDGER).rename(tmp_path / LEDGER)
    try:
        with pytest.raises(StoreMissing), reach(home):
            raise AssertionError("without a ledger")
    finally:
        (tmp_path / LEDGER).rename(home.path / LEDGER)


def test_an_agent_that_is_long_in_starting_is_told(
    town: dict[str, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaching, "START_S", -1.0)
    with pytest.raises(AgentNotRunning, match="just starting"), reach(town["north"]):
        raise AssertionError("not yet")


def test_an_order_that_takes_too_long_is_given_up(town: dict[str, Home]) -> None:
    GATE.clear()
    with reach(town["north"]) as ask:
        with pytest.raises(AgentError, match=r"north did not answer within 0\.05 s"):
            ask(Dawdle(), 0.05)
        GATE.set()
        assert ask(Dawdle(), 30.0) == {}
        with pytest.raises(TimeoutError, match="of its own"):
            ask(Dawdle(late=True), 30.0)


def test_who_waits_is_told_why_once_whether_a_daemon_runs_or_not(
    town: dict[str, Home], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reaching, "ALOUD_S", 0.02)
    monkeypatch.setitem(ORDERS, "dawdle", Dawdle)

    def told(home: Home) -> str:
        """Wait for two orders until something is said; return it."""
        caplog.clear()
        GATE.clear()
        with reach(home) as ask:
            other = threading.Thread(target=lambda: ask(Dawdle()))
            other.start()
            until(lambda: lines(caplog) != [], "a word")
            GATE.set()
            other.join(30.0)
            ask(Dawdle())
        [line] = lines(caplog)
        return line

    assert told(town["north"]).startswith("waiting")
    with at_work(town["north"]) as daemon:
        until(lambda: ready(daemon), "north")
        assert told(town["north"]) == "waiting for the others to answer"
        away = Health("connecting", BrokerUnreachable("no connection to 127.0.0.1:1"))
        monkeypatch.setattr(daemon, "health", lambda: away)
        assert told(town["north"]).endswith("not connected to the broker: no connection to 127.0.0.1:1")
        monkeypatch.setattr(reaching, "Status", Dawdle)
        monkeypatch.setattr(reaching, "STATUS_S", 0.02)
        assert told(town["north"]).endswith("which is busy")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what people read of what a command says by itself."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_command_without_a_broker_says_so_in_two_lines_and_soon(
    town: dict[str, Home], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home = town["south"]
    section = home.config().broker
    assert section is not None
    head, _, vhost = section.url.rpartition("/")
    connect(home, f"{head.rpartition(':')[0]}:{closed_port()}/{vhost}")
    monkeypatch.setattr(reaching, "ALOUD_S", 0.3)
    monkeypatch.setattr("hansa.agents.service.connection.AWAY_S", 1.0)
    began = time.monotonic()
    with reach(home) as ask:
        prepare_keys(home, home.identity())
        assert ask(RotateKeys(), 60.0) == {"chained": False, "keeper": "aggregator"}
    assert time.monotonic() - began < 10.0  # of 30, were the broker only slow
    first, last = lines(caplog)
    assert first.startswith("waiting: not connected: no connection to 127.0.0.1:")
    assert last.startswith("south: not everything has left; it will when the agent runs: ")
    connect(home, section.url)


def test_what_has_been_said_is_not_said_again(caplog: pytest.LogCaptureFixture) -> None:
    voice = reaching._Voice(lambda: "waiting")
    for _ in range(2):
        voice._tell()
    assert lines(caplog) == ["waiting"]
