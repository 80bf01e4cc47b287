"""How long is a FedAvg round with Flower's deployment runtime on loopback?

As Flower's guide "Run Flower with the Deployment Runtime" does it: `flower-superlink --insecure`, one
`flower-supernode --insecure` for each client, and `flwr run` against a connection in `config.toml`. They come from
the virtual environment of `benchmarks.flower_peer`, run in a temporary folder and end with this module's `measure`.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.flower_peer import PeerUnavailable, environment, last_line, scratch
from benchmarks.report import Spread, duration, median_of

SCRIPT = Path(__file__).parent / "peer" / "flower_network.py"
ROUNDS, QUICK_ROUNDS = 7, 3
LEAST_POLL_S = 0.01  # Flower takes no less
POLL_VARIABLE = "FLWR_SUPEREXEC_TASK_POLL_INTERVAL"
START_S = 60.0
RUN_S = 240.0
LOOK_S = 0.1

APP = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "rounds"
version = "1.0.0"
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "benchmark"

[tool.flwr.app.components]
serverapp = "rounds.app:server"
clientapp = "rounds.app:client"

[tool.flwr.app.config]
rounds = {rounds}
parties = {parties}
parameters = {parameters}
figures = "{figures}"
"""

CONNECTION = """
[superlink]
default = "loopback"

[superlink.loopback]
address = "127.0.0.1:{port}"
insecure = true
"""


@dataclass(frozen=True, slots=True)
class Timing:
    """What Flower's rounds took; the first is not among them.

    Attributes:
        poll_s: how often its executors look for tasks; None for Flower's default, a second.
    """

    poll_s: float | None
    round_s: Spread
    first_s: float
    versions: Mapping[str, str]

    @property
    def setting(self) -> str:
        """What a reader should know of it."""
        if self.poll_s is None:
            return "deployment runtime as documented"
        return f"looking for tasks each {duration(self.poll_s)}"


def measure_all(quick: bool, *, parties: int, parameters: int) -> list[Timing]:
    """Time Flower as it comes, and unless it shall be quick as fast as it can be set.

    Raises:
        PeerUnavailable: as `measure`.
    """
    rounds = QUICK_ROUNDS if quick else ROUNDS
    return [
        measure(poll_s, rounds=rounds, parties=parties, parameters=parameters)
        for poll_s in ((None,) if quick else (None, LEAST_POLL_S))
    ]


def measure(poll_s: float | None, *, rounds: int, parties: int, parameters: int) -> Timing:
    """Bring Flower up, run the rounds, end it.

    Raises:
        PeerUnavailable: it can't be installed, does not start, or does not finish.
    """
    programs = environment().parent
    with scratch() as variables, ExitStack() as stack:
        folder = Path(variables["FLWR_HOME"])
        figures = folder / "figures.json"
        variables["PATH"] = os.pathsep.join([str(programs), variables.get("PATH", "")])
        if poll_s is not None:
            variables[POLL_VARIABLE] = str(poll_s)
        ports = _free_ports(1 + parties)
        write_app(folder, ports[0], rounds=rounds, parties=parties, parameters=parameters)
        superlink = ["flower-superlink", "--insecure", "--port", str(ports[0])]
        superlink += ["--disable-runtime-dependency-installation"]
        processes = [stack.enter_context(_running(superlink, variables, folder / "superlink.log"))]
        _wait_until_up(ports[0], processes[0], folder / "superlink.log")
        for number, port in enumerate(ports[1:]):
            command = ["flower-supernode", "--insecure", "--superlink", f"127.0.0.1:{ports[0]}"]
            command += ["--port", str(port)]
            log = folder / f"supernode-{number}.log"
            processes.append(stack.enter_context(_running(command, variables, log)))
        _submit(folder, variables)
        return parse(_await(figures, processes, folder), poll_s, rounds, parties)


def write_app(folder: Path, port: int, *, rounds: int, parties: int, parameters: int) -> None:
    """Write the Flower app and the connection to the SuperLink."""
    package = folder / "app" / "rounds"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    shutil.copy(SCRIPT, package / "app.py")
    text = APP.format(rounds=rounds, parties=parties, parameters=parameters, figures=folder / "figures.json")
    (folder / "app" / "pyproject.toml").write_text(text)
    (folder / "config.toml").write_text(CONNECTION.format(port=port))


def parse(text: str, poll_s: float | None, rounds: int, parties: int) -> Timing:
    """Read the figures; check that every client's update went into every round.

    Raises:
        PeerUnavailable: it did not.
    """
    figures = json.loads(text)
    if figures["answers"] != [parties] * rounds:
        raise PeerUnavailable(f"Flower had {figures['answers']} answers, not {parties} in each round")
    expected = rounds * figures["step"]
    if abs(figures["final"] - expected) > 1e-5 * expected:
        raise PeerUnavailable(f"Flower's parameters are {figures['final']}, not {expected}")
    first, *others = map(float, figures["rounds_s"])
    return Timing(poll_s, median_of(others), first, dict(figures["versions"]))


def _submit(folder: Path, variables: Mapping[str, str]) -> None:
    done = subprocess.run(
        ["flwr", "run", str(folder / "app"), "loopback"],
        env=dict(variables),
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    if done.returncode != 0:
        raise PeerUnavailable(f"flwr run: {last_line(done.stderr or done.stdout)}")


def _await(figures: Path, processes: list["subprocess.Popen[bytes]"], folder: Path) -> str:
    deadline = time.monotonic() + RUN_S
    while not figures.exists():
        if time.monotonic() > deadline:
            said = last_line((folder / "superlink.log").read_text(errors="replace"))
            raise PeerUnavailable(f"Flower did not finish within {RUN_S:.0f} s; it said last: {said}")
        if any(process.poll() is not None for process in processes):
            raise PeerUnavailable("one of Flower's processes ended early")
        time.sleep(LOOK_S)
    return figures.read_text()


@contextmanager
def _running(
    command: list[str], variables: Mapping[str, str], log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process, with a group of its own, until the block ends."""
    with log.open("wb") as output:
        program = shutil.which(command[0], path=variables["PATH"]) or command[0]
        process = subprocess.Popen(
            [program, *command[1:]],
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_up(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                return
        except OSError:
            time.sleep(LOOK_S)
    raise PeerUnavailable(f"the SuperLink did not start: {last_line(log.read_text(errors='replace'))}")


def _free_ports(count: int) -> list[int]:
    holders = [socket.socket() for _ in range(count)]
    try:
        for holder in holders:
            holder.bind(("127.0.0.1", 0))
        return [int(holder.getsockname()[1]) for holder in holders]
    finally:
        for holder in holders:
            holder.close()
