"""What daemons log is read as it comes, and what does not come is one clear line. No daemon is run here."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks import fleet
from benchmarks.fleet import Daemon, NotReached, install_model, specification, wait_until
from hansa.agents.core.policy import check_spec
from hansa.protocols import ModelRegistry


def line(at: float, event: str, **fields: object) -> str:
    time = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return json.dumps({"time": time, "event": event, "fields": fields}) + "\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path / "keeper", tmp_path)


def test_rounds_are_read_once_each_though_a_restart_logs_one_again(daemon: Daemon) -> None:
    daemon.log.write_text(
        line(10.0, "round-closed", round=1)
        + json.dumps({"time": "1970-01-01T00:00:10.500+00:00", "message": "no event"})
        + "\n"
        + line(11.25, "round-closed", round=2)
        + line(12.0, "round-closed", round=2)
    )
    assert daemon.closes() == [10.0, 11.25]


def test_a_line_that_is_half_written_is_read_when_it_is_whole(daemon: Daemon) -> None:
    whole = line(10.0, "round-closed", round=1)
    daemon.log.write_text(whole[:20])
    assert daemon.closes() == []
    daemon.log.write_text(whole)
    assert daemon.closes() == [10.0]


def test_ready_is_counted_from_this_start_and_not_from_an_earlier_one(daemon: Daemon) -> None:
    daemon.started = 100.0
    daemon.log.write_text(line(99.0, "broker-ready") + line(101.5, "broker-ready"))
    assert daemon.ready() == 1.5


def test_what_does_not_come_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "PATIENCE_S", 0.0)
    with pytest.raises(NotReached, match="a round: nothing within 0 s"):
        wait_until(lambda: None, "a round")


def test_a_daemon_that_never_spoke_is_said_to_be_silent(daemon: Daemon) -> None:
    assert daemon.last_words() == "keeper: silent"
    daemon.log.write_text("one\ntwo\n")
    assert daemon.last_words() == "keeper: two"


def test_the_model_is_installed_as_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(install_model(tmp_path)))
    check_spec(specification(3), ModelRegistry())
