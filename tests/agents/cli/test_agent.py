"""`hansa init` and `hansa agent` as a person types them."""

import json
import logging
import os
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from hansa.agents.cli import agent as commands
from hansa.agents.cli import main
from hansa.agents.cli.agent import obey_signals
from hansa.agents.config import PolicySection
from hansa.agents.errors import AgentError, BrokerTurnedAway, ConfigError
from hansa.agents.home import CONFIG, IDENTITY, Home
from hansa.agents.local import Member
from hansa.agents.service.daemon import Daemon
from hansa.agents.service.reach import reach
from hansa.agents.service.status import Stop
from tests import servers
from tests.agents.daemons import PATIENCE_S, at_work, ready, until
from tests.agents.towns import found_town, raze_town


def hansa(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


# --- init -------------------------------------------------------------------------------------------------


def test_init_makes_a_home_with_keys_and_examples(tmp_path: Path) -> None:
    folder = tmp_path / "north"
    done = hansa(
        "init",
        folder,
        "--name",
        "north",
        "--organisation",
        "St. Ämter",
        "--role",
        "party",
        "--role",
        "arbiter",
    )
    assert done.exit_code == 0, done.output
    home = Home(folder)
    assert home.identity().public.fingerprint in done.output
    assert f"hansa join FILE --home {folder}" in done.output
    assert "federation create" not in done.output  # that is an aggregator's
    founder = hansa("init", tmp_path / "guild", "--name", "guild", "--role", "aggregator")
    command = f"hansa federation create NAME --broker amqps://HOST:PORT --home {tmp_path / 'guild'}"
    assert command in founder.output
    config = home.config()
    assert (config.agent.organisation, config.agent.roles) == ("St. Ämter", ("party", "arbiter"))
    assert stat.S_IMODE((folder / IDENTITY).stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match="belongs to no federation yet"):
        _ = config.federation


def test_every_example_of_a_new_agent_toml_is_valid(tmp_path: Path) -> None:
    folder = tmp_path / "north"
    hansa("init", folder, "--name", "north")
    text = (folder / CONFIG).read_text()
    told, examples = text.split("[policy]\n")
    assert (
        Home(folder).config().written_policy == PolicySection()
    )  # what stands there is what counts without it
    lines = [
        line.removeprefix("# ") for line in examples.splitlines() if "=" in line or line.startswith("# [")
    ]
    (folder / CONFIG).write_text(told + "[policy]\n" + "\n".join(lines) + "\n")
    config = Home(folder).config()
    assert set(config.data) == {"patients", "measurements"}
    assert config.daemon.listen == "127.0.0.1:9464"
    assert config.ledger.url.startswith("postgresql+psycopg://")


def test_init_never_writes_over_a_home(tmp_path: Path) -> None:
    folder = tmp_path / "north"
    hansa("init", folder, "--name", "north")
    before = (folder / IDENTITY).read_bytes()
    done = hansa("init", folder, "--name", "north")
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    assert "there is an agent's home already" in done.output
    assert (folder / IDENTITY).read_bytes() == before


def test_init_protects_the_keys_with_a_passphrase(tmp_path: Path) -> None:
    phrase = tmp_path / "phrase"
    phrase.write_text("correct horse\n")
    refused = hansa("init", tmp_path / "north", "--name", "north", "--passphrase-file", phrase)
    assert "chmod 600" in refused.output
    assert not (tmp_path / "north").exists()
    phrase.chmod(0o600)
    assert hansa("init", tmp_path / "north", "--name", "north", "--passphrase-file", phrase).exit_code == 0
    assert Home(tmp_path / "north").identity(b"correct horse").name == "north"


# --- agent ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Home]]:
    node, folder = servers.shared(), tmp_path_factory.mktemp("commands") / "town"
    homes = found_town(folder, node, [Member("north", "Ämter GmbH")])
    yield homes
    raze_town(node, homes)


@pytest.fixture(autouse=True)
def _restore_logs() -> Iterator[None]:
    root, house = logging.getLogger(), logging.getLogger("hansa")
    before = root.handlers[:], root.level, house.level
    yield
    logging.captureWarnings(False)
    root.handlers[:], root.level = before[0], before[1]
    house.setLevel(before[2])
    logging.getLogger("hansa.broker.line").setLevel(logging.NOTSET)


def test_status_reload_and_stop_speak_with_the_daemon(town: dict[str, Home]) -> None:
    home = town["north"]
    with at_work(home) as running:
        until(lambda: ready(running), "ready")
        told = hansa("agent", "status", "--home", home.path).output
        assert f"north (Ämter GmbH): party of {home.config().federation.id}\n" in told
        assert f"process {os.getpid()}" in told
        assert "broker    ready\n" in told
        assert "members   aggregator, north\n" in told
        assert "0 unconfirmed; refused: none\n" in told
        as_json = hansa("agent", "status", "--home", home.path, "--json")
        assert json.loads(as_json.output)["ledger"]["entries"] == 2
        assert hansa("agent", "reload", "--home", home.path).output.startswith("policy and 0 data sets")
        assert hansa("agent", "stop", "--home", home.path).output == "north: stopped\n"


def test_an_agent_that_does_not_stop_is_told(town: dict[str, Home], monkeypatch: pytest.MonkeyPatch) -> None:
    home = town["north"]
    monkeypatch.setattr(commands, "STOPPED_S", 0.05)
    monkeypatch.setattr(Daemon, "stop", lambda self: None)
    with at_work(home) as running:
        until(lambda: ready(running), "ready")
        done = hansa("agent", "stop", "--home", home.path)
        monkeypatch.undo()
    assert done.exit_code == 1
    assert "was told to stop, but has not ended within 0.05 s" in done.output


def test_without_a_daemon_the_commands_say_how_to_start_it(town: dict[str, Home], tmp_path: Path) -> None:
    done = hansa("agent", "status", "--home", town["north"].path)
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    assert "is not running: hansa agent run --home" in done.output
    assert (
        "no agent's home: identity.key and agent.toml missing"
        in hansa("agent", "status", "--home", tmp_path).output
    )


def test_status_shows_jobs_refusals_and_missing_queues() -> None:
    lines = "\n".join(
        commands.describe(
            {
                "name": "north",
                "organisation": "",
                "roles": ["party", "arbiter"],
                "federation": "town",
                "keeper": "aggregator",
                "version": "1",
                "pid": 7,
                "started": 0.0,
                "health_url": "http://127.0.0.1:1",
                "broker": {"state": "connecting", "trouble": "no\x1b connection"},
                "ledger": {"entries": 3, "head": "ab" * 32},
                "members": {"north": "active", "south": "suspended"},
                "jobs": [
                    {"job": "one", "status": "open"},
                    {"job": "two", "status": "aborted", "outcome": "aborted", "reason": "south left"},
                ],
                "unconfirmed": 4,
                "unroutable": ["south"],
                "refused": {"BadSignature": 2},
                "last_refusal": "BadSignature: not signed by south",
                "awaited": ["west"],
                "checkpoint": {
                    "final": 2,
                    "since_s": 60,
                    "lacks": "1 of 2 names, waiting for south",
                    "abstains": ["east"],
                    "evidence": 1,
                },
            }
        )
    )
    assert "north: party, arbiter of town" in lines
    assert "since 1970-01-01 00:00:00 UTC" in lines
    assert r"connecting: no\x1b connection" in lines
    assert "north, south (suspended)" in lines
    assert "one: open" in lines
    assert "two: aborted: south left" in lines
    assert "4 unconfirmed; refused: 2 BadSignature; the last: BadSignature: not signed by south" in lines
    assert "no queue  south" in lines
    assert "chains nothing before it knows what is held by west" in lines
    assert "FORKED    1 proofs" in lines
    since = "since 1970-01-01 00:01:00 UTC"
    assert (
        f"final     the first 2 entries, {since}; not yet the newest: 1 of 2 names, waiting for south"
        in lines
    )
    assert "cosigns nothing before it is told what east know" in lines


def test_status_says_what_nothing_is_final_for() -> None:
    told: dict[str, Any] = {
        "final": None,
        "since_s": None,
        "lacks": "0 of 2 names, waiting for south",
        "abstains": [],
        "evidence": 0,
    }
    assert list(commands._checkpoint(told)) == ["  final     nothing yet: 0 of 2 names, waiting for south"]
    assert list(commands._checkpoint(told | {"lacks": ""})) == []
    final = told | {"lacks": "", "final": 3, "since_s": 60}
    assert list(commands._checkpoint(final)) == [
        "  final     the first 3 entries, since 1970-01-01 00:01:00 UTC"
    ]


def test_run_works_until_it_is_told_to_stop(town: dict[str, Home]) -> None:
    home = town["north"]

    def stop() -> None:
        def asked() -> bool:
            with suppress(AgentError), reach(home, alone=False) as ask:
                return bool(ask(Stop()))
            return False

        until(asked, "stopped")

    stopper = threading.Thread(target=stop)
    stopper.start()
    done = hansa("agent", "run", "--home", home.path, "--log", "json")
    stopper.join()
    assert done.exit_code == 0, done.output
    assert [json.loads(line)["agent"] for line in done.stderr.splitlines()] == ["north"] * len(
        done.stderr.splitlines()
    )
    assert "north: stopped" in done.stderr


def test_what_ends_the_daemon_is_one_line_and_a_status(
    town: dict[str, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = town["north"]
    ends: list[Exception] = [BrokerTurnedAway("north: refused"), MemoryError("no more"), OSError("no file")]
    monkeypatch.setattr(Daemon, "run", lambda self: raise_(ends.pop(0)))
    turned_away = hansa("agent", "run", "--home", home.path)
    assert (turned_away.exit_code, turned_away.output) == (3, "Error: north: refused\n")
    fault = hansa("agent", "run", "--home", home.path)
    assert fault.exit_code == 1
    assert "north: ends because of a fault of its own\nTraceback" in fault.output
    assert hansa("agent", "run", "--home", home.path).output == "Error: no file\n"


def raise_(error: Exception) -> None:
    raise error


def test_nobody_waits_for_a_task_at_the_end(town: dict[str, Home], monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    left: list[int] = []

    def leave(code: int) -> None:
        left.append(code)
        release.set()

    monkeypatch.setattr(commands, "TASKS_S", -1.0)
    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(Daemon, "run", lambda self: None)
    task = threading.Thread(target=release.wait, name="hansa-task_0")
    task.start()
    hansa("agent", "run", "--home", town["north"].path)
    task.join()
    assert left[0] == 0


def test_a_task_that_ends_at_once_is_waited_for(
    town: dict[str, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Daemon, "run", lambda self: None)
    task = threading.Timer(0.1, lambda: None)
    task.name = "hansa-task_0"
    task.start()
    assert hansa("agent", "run", "--home", town["north"].path).exit_code == 0


class Listener:
    """What obeys signals."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.reloads = 0

    def stop(self) -> None:
        self.stopped.set()

    def reload(self) -> str:
        self.reloads += 1
        if self.reloads == 2:
            raise ConfigError("agent.toml: wrong")
        return "taken"


def test_signals_stop_and_reload_and_leave_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    before = [signal.getsignal(each) for each in commands.SIGNALS]
    listener = Listener()
    others = signal.signal(signal.SIGUSR1, lambda _number, _frame: None)
    with obey_signals(cast(Daemon, listener)):
        signal.raise_signal(signal.SIGUSR1)  # another's: of no matter here
        signal.raise_signal(signal.SIGHUP)
        until(lambda: listener.reloads == 1, "reloaded")
        signal.raise_signal(signal.SIGHUP)
        until(lambda: "not reloaded, all stays as it was: agent.toml: wrong" in caplog.text, "told")
        assert not listener.stopped.is_set()
        signal.raise_signal(signal.SIGTERM)
        assert listener.stopped.wait(PATIENCE_S)
    signal.signal(signal.SIGUSR1, others)
    assert [signal.getsignal(each) for each in commands.SIGNALS] == before
