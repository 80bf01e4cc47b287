"""Orders through a home's control socket, and everything else that may come through it."""

import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hansa.agents.errors import AgentError, AgentNotRunning, JobError
from hansa.agents.home import Home
from hansa.agents.service import control
from hansa.agents.service.control import MOST_LINE_BYTES, SOCKET, ControlClient, ControlServer
from hansa.agents.service.office import Office
from hansa.agents.service.orders import ORDERS, read_order, write_order
from hansa.agents.service.status import Status


@dataclass(frozen=True, slots=True)
class Echo:
    """Gives back what it was given, or fails as it is told to."""

    text: str
    number: int = 0
    secret: bytes = b""
    failure: str = ""

    def carry_out(self, office: Office) -> dict[str, Any]:
        match self.failure:
            case "job":
                raise JobError("job 'demo': there is none")
            case "value":
                raise ValueError("too large")
            case "bug":
                raise ZeroDivisionError
            case "wait":
                assert office.home.path.exists()
                GATE.wait(20.0)
        return {"text": self.text, "number": self.number, "secret": self.secret.hex()}


GATE = threading.Event()


@pytest.fixture(autouse=True)
def _echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ORDERS, "echo", Echo)
    GATE.clear()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def server(home: Home) -> Iterator[ControlServer]:
    office = cast(Office, SimpleNamespace(home=home))
    with closing(ControlServer(home, lambda: office)) as running:
        yield running


def say(home: Home, content: bytes) -> list[dict[str, Any]]:
    """Send bytes as they are; return what comes back until the other end hangs up."""
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(10.0)
        raw.connect(str(home.path / SOCKET))
        raw.sendall(content)
        raw.shutdown(socket.SHUT_WR)
        with raw.makefile("rb") as lines:
            return [json.loads(line) for line in lines]


def test_orders_travel_as_json_and_come_back_the_same() -> None:
    order = Echo("ö\n", 7, b"\x00\xff")
    line = write_order(order)
    assert line.count(b"\n") == 1
    assert read_order(line) == order


@pytest.mark.usefixtures("server")
def test_an_order_is_carried_out_and_another_on_the_same_connection(home: Home) -> None:
    with closing(ControlClient(home)) as client:
        assert client.ask(Echo("a", 1, b"\x01")) == {"text": "a", "number": 1, "secret": "01"}
        assert client.ask(Echo("b"), timeout_s=10.0)["text"] == "b"


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("failure", "words"),
    [("job", "job 'demo': there is none"), ("value", "too large"), ("bug", "its log says more")],
)
def test_what_was_refused_comes_out_as_one_line(failure: str, words: str, home: Home) -> None:
    with closing(ControlClient(home)) as client:
        with pytest.raises(AgentError, match=words):
            client.ask(Echo("a", failure=failure))
        assert client.ask(Echo("still there"))["text"] == "still there"


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x00\xff garbage\n", "that is no order"),
        (b"[" * 100_000 + b"\n", "that is no order"),
        (b"[]\n", "that is no order"),
        (b'{"order": "echo"}\n', "that is no order"),
        (b'{"order": "dance", "fields": {}}\n', "knows no order 'dance'"),
        (b'{"order": ["echo"], "fields": {}}\n', "knows no order"),
        (b'{"order": "echo", "fields": {}}\n', "order echo: text: Field required"),
        (b'{"order": "echo", "fields": {"text": "a", "more": 1}}\n', "order echo: more"),
        (b"x" * (MOST_LINE_BYTES + 2), f"at most {MOST_LINE_BYTES} bytes"),
    ],
    ids=["bytes", "deep", "list", "no fields", "unknown", "no name", "field missing", "field more", "long"],
)
def test_garbage_is_answered_and_harms_nobody(content: bytes, words: str, home: Home) -> None:
    (answer,) = say(home, content)
    assert words in answer["error"]
    with closing(ControlClient(home)) as client:
        assert client.ask(Echo("a"))["text"] == "a"


@pytest.mark.usefixtures("server")
def test_only_the_owner_reads_and_writes_the_socket(home: Home) -> None:
    assert stat.S_IMODE((home.path / SOCKET).stat().st_mode) == 0o600


@pytest.mark.usefixtures("server")
def test_another_user_is_turned_away(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_user_of", lambda _connection: os.geteuid() + 4_711)
    with closing(ControlClient(home)) as client, pytest.raises(AgentError, match="only the agent's own user"):
        client.ask(Status())


@pytest.mark.usefixtures("server")
def test_too_many_at_once_are_turned_away(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = [ControlClient(home) for _ in range(control.MOST_CONNECTIONS)]
    for client in clients:
        client.ask(Echo("a"))  # it is served, not only waiting to be
    with closing(ControlClient(home)) as late, pytest.raises(AgentError, match="too many connections"):
        late.ask(Echo("a"))
    for client in clients:
        client.close()


@pytest.mark.usefixtures("server")
def test_whoever_waits_too_long_is_told(home: Home) -> None:
    with closing(ControlClient(home)) as client, pytest.raises(AgentError, match="did not answer within"):
        client.ask(Echo("a", failure="wait"), timeout_s=0.05)
    GATE.set()


def test_an_order_under_way_is_answered_before_the_end(home: Home) -> None:
    office = cast(Office, SimpleNamespace(home=home))
    server = ControlServer(home, lambda: office)
    answers: list[dict[str, Any]] = []
    with closing(ControlClient(home)) as client:
        client.ask(Echo("a"))
        asking = threading.Thread(target=lambda: answers.append(client.ask(Echo("b", failure="wait"))))
        asking.start()
        threading.Timer(0.1, GATE.set).start()
        server.close()
        asking.join(10.0)
    assert not (home.path / SOCKET).exists()
    with pytest.raises(AgentNotRunning):
        ControlClient(home)


def test_an_agent_that_ends_in_the_middle_is_told_from_one_that_refuses(home: Home) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home.path / SOCKET))
        listener.listen()
        with closing(ControlClient(home)) as client:
            listener.accept()[0].close()
            with pytest.raises(AgentNotRunning, match="ended before it answered"):
                client.ask(Status())


def test_an_order_waits_for_an_agent_that_is_being_built(home: Home) -> None:
    calls = iter([False, False, True])

    def soon() -> Office:
        if next(calls):
            return cast(Office, None)
        raise AgentNotRunning("north is just starting; try again")

    with closing(ControlServer(home, soon)), closing(ControlClient(home)) as client:
        assert client.ask(Echo("a"))["text"] == "a"


def test_while_there_is_no_agent_for_long_the_order_is_refused(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "BUILD_S", 0.1)

    def nobody() -> Office:
        raise AgentNotRunning("north is just starting; try again")

    with closing(ControlServer(home, nobody)), closing(ControlClient(home)) as client:
        with pytest.raises(AgentError, match="just starting"):
            client.ask(Echo("a"))


def test_a_dead_processs_socket_is_replaced_and_nobody_listening_is_said(home: Home) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(home.path / SOCKET))
    with pytest.raises(AgentNotRunning, match="is not running: hansa agent run --home"):
        ControlClient(home)
    office = cast(Office, SimpleNamespace(home=home))
    with closing(ControlServer(home, lambda: office)), closing(ControlClient(home)) as client:
        assert client.ask(Echo("a"))["text"] == "a"


def test_a_home_deeper_than_a_sockets_address_is_reached(tmp_path: Path) -> None:
    home = Home(tmp_path / ("deep" * 20) / ("deeper" * 20))
    home.path.mkdir(parents=True)
    office = cast(Office, SimpleNamespace(home=home))
    with closing(ControlServer(home, lambda: office)), closing(ControlClient(home)) as client:
        assert client.ask(Echo("a"))["text"] == "a"


def test_a_connection_that_cannot_be_taken_ends_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(control, "PAUSE_S", 0.01)
    started, user_of = threading.Thread.start, control._user_of
    fails = iter([True, True])

    def start(thread: threading.Thread) -> None:
        if thread.name == "hansa-order" and next(fails, False):
            raise RuntimeError("can't start new thread")
        started(thread)

    with closing(ControlServer(home, lambda: cast(Office, None))):
        monkeypatch.setattr(threading.Thread, "start", start)
        for _ in range(2):  # closed without a word, and without a place lost
            with closing(ControlClient(home)) as client, pytest.raises(AgentNotRunning):
                client.ask(Echo("a"))
        with closing(ControlClient(home)) as client:
            assert client.ask(Echo("a"))["text"] == "a"

        def out_of_descriptors(connection: socket.socket) -> int:
            monkeypatch.setattr(control, "_user_of", user_of)
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(control, "_user_of", out_of_descriptors)
        with closing(ControlClient(home)) as client, pytest.raises(AgentNotRunning):
            client.ask(Echo("a"))
        clients = [ControlClient(home) for _ in range(control.MOST_CONNECTIONS)]
        assert [client.ask(Echo("a"))["text"] for client in clients] == ["a"] * control.MOST_CONNECTIONS
        for client in clients:
            client.close()
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert ["can't start new thread" in told[0], "Too many open files" in told[1]] == [True, True]
    assert len(told) == 2  # of several in a row, the first
