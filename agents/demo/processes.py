"""Agents as processes of their own, for as long as somebody needs them."""

import os
import subprocess
import sys
import time
from types import TracebackType

from hansa.agents.errors import AgentError
from hansa.agents.home import Home
from hansa.agents.service.reach import reach
from hansa.agents.service.status import Status

READY_S = 60.0
STOP_S = 15.0
POLL_S = 0.05
LOG = "agent.log"


class AgentProcesses:
    """Runs `hansa agent run` for homes; a context manager that stops them all.

    They do not outlive this process, however it ends (on Linux). What they log goes to `agent.log` in their homes.
    """

    def __init__(self) -> None:
        self._running: dict[Home, subprocess.Popen[bytes]] = {}

    def start(self, home: Home) -> None:
        """Start a home's agent, and wait until it answers and is connected to the broker.

        Raises:
            AgentError: it ended, or is not connected in time; with the last line of its log.
        """
        command = [sys.executable, "-m", "hansa.agents.demo.leashed", str(os.getpid())]
        command += ["agent", "run", "--home", str(home.path)]
        with (home.path / LOG).open("ab") as log:
            self._running[home] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; we tell them
            )
        deadline = time.monotonic() + READY_S
        while not _ready(home):
            if self._running[home].poll() is not None:
                raise AgentError(f"the agent in {home.path} ended at once: {_last_line(home)}")
            if time.monotonic() > deadline:
                raise AgentError(
                    f"the agent in {home.path} is not ready after {READY_S:g} s: {_last_line(home)}"
                )
            time.sleep(POLL_S)

    def stop(self, home: Home) -> int:
        """End one agent, as the service manager would; return its exit status."""
        process = self._running.pop(home)
        process.terminate()
        return _await_end(process)

    def kill(self, home: Home) -> None:
        """End one agent at once, as a power failure would."""
        process = self._running.pop(home)
        process.kill()
        process.wait()

    def stop_all(self) -> None:
        """End all agents together."""
        running, self._running = self._running, {}
        for process in running.values():
            process.terminate()
        for process in running.values():
            _await_end(process)

    def __enter__(self) -> "AgentProcesses":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_all()


def _await_end(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _ready(home: Home) -> bool:
    try:
        with reach(home, alone=False) as ask:
            return bool(ask(Status())["broker"]["state"] == "ready")
    except AgentError:  # nobody there yet, or just starting
        return False


def _last_line(home: Home) -> str:
    lines = (home.path / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1] if lines else "its log is empty"
