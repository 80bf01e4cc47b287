"""What stands in for a container's processes ends them all, however it ends itself."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.docker import container

ENDS_S = 30.0
FOREVER = "sleep 600 & echo $! >child; wait"


def start(script: str, folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, container.__file__, "sh", "-c", script]
    return subprocess.Popen(command, stdin=subprocess.PIPE, cwd=folder, start_new_session=True)


def child(folder: Path) -> int:
    """Return what the script has started, once it has."""
    deadline = time.monotonic() + ENDS_S
    file = folder / "child"
    while not (file.exists() and file.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(file.read_text())


def ends(process: int) -> bool:
    """Wait for the end of a process that is not our child; dead and not reaped is ended, too."""
    deadline = time.monotonic() + ENDS_S
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(process, 0)
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize(("script", "status"), [("exit 5", 5), ("kill -9 $$", 128 + signal.SIGKILL)])
def test_its_status_is_the_commands(script: str, status: int, tmp_path: Path) -> None:
    with start(script, tmp_path) as process:
        assert process.wait(ENDS_S) == status


def test_what_a_command_leaves_behind_is_killed(tmp_path: Path) -> None:
    with start("sleep 600 & echo $! >child", tmp_path) as process:
        assert process.wait(ENDS_S) == 0
    assert ends(child(tmp_path))


def test_sigterm_reaches_the_command(tmp_path: Path) -> None:
    with start(f"trap 'exit 7' TERM; {FOREVER}", tmp_path) as process:
        left = child(tmp_path)
        process.terminate()
        assert process.wait(ENDS_S) == 7
    assert ends(left)


def test_all_of_it_ends_when_nobody_holds_the_other_end_of_its_input(tmp_path: Path) -> None:
    with start(f"trap '' TERM; {FOREVER}", tmp_path) as process:
        left = child(tmp_path)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(ENDS_S) == 128 + signal.SIGKILL
    assert ends(left)
