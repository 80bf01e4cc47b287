"""What the service manager is told."""

import os
import secrets
import socket
from pathlib import Path

import pytest

from hansa.agents.service.notify import Notifier


def heard(manager: socket.socket) -> list[str]:
    """Return what has come to a manager's socket."""
    manager.setblocking(False)
    words = []
    while True:
        try:
            words.append(manager.recv(4_096).decode())
        except BlockingIOError:
            return words


@pytest.mark.parametrize("abstract", [False, True])
def test_words_reach_the_manager_by_path_and_by_abstract_name(abstract: bool, tmp_path: Path) -> None:
    name = secrets.token_hex(8)
    address = f"@{name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}" if abstract else address)
        Notifier(address).tell("READY=1", "STATUS=well")
        assert heard(manager) == ["READY=1\nSTATUS=well"]


def test_a_status_is_told_once_and_in_one_line(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        notifier = Notifier(address)
        notifier.status("two\nlines")
        notifier.status("two\nlines")
        notifier.status("other")
        assert heard(manager) == ["STATUS=two lines", "STATUS=other"]


def test_signs_of_life_come_at_half_the_watchdogs_interval(tmp_path: Path) -> None:
    address, now = str(tmp_path / "notify"), [100.0]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        notifier = Notifier(address, 20.0, lambda: now[0])
        for now[0] in (100.0, 105.0, 110.0, 119.0, 120.0):
            notifier.alive()
        assert heard(manager) == ["WATCHDOG=1"] * 3


def test_the_manager_is_found_in_the_environment_and_taken_out_of_it(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        Notifier.from_environment(environment).alive()
        assert heard(manager) == ["WATCHDOG=1"]
    assert not environment  # no child of ours speaks in our name


@pytest.mark.parametrize(
    ("interval", "process"), [("", ""), ("0", ""), ("soon", ""), ("2000000", "1")], ids=str
)
def test_no_signs_of_life_where_nobody_expects_them(interval: str, process: str, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        Notifier.from_environment(
            {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": interval, "WATCHDOG_PID": process}
        ).alive()
        assert heard(manager) == []


def test_a_manager_that_is_not_there_is_no_reason_to_stop(tmp_path: Path) -> None:
    Notifier(str(tmp_path / "nobody")).tell("READY=1")
    Notifier.from_environment({}).tell("READY=1")
