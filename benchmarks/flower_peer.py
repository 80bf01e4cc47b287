"""How long does Flower take for a FedAvg round of 10 clients × 1 M float32 parameters?

Flower (`flwr[simulation]`, Apache-2.0) is the most used framework of this kind, and its in-process
simulation does what ours does: ten clients, one machine, every parameter up and down each round. It lives in
a virtual environment of its own, `.venv-flower`, made on demand with an exact version; hansa never imports it.
The numpy inside is hansa's, so that both average with the same code.

Several settings are timed, since those Flower comes with are not its fastest. How many CPUs a client claims
decides how many run at once. The recommended interface looks for work and for replies every 0.1 s each, so that
its rounds come in steps of 0.1 s: looking for replies more often takes some of that out, and the deprecated
interface has no such wait. Hold hansa against `Peer.recommended` and against `Peer.fastest`.

    python -m benchmarks --only flower_peer
"""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.report import ROOT, Row, Spread, duration, median_of

FLOWER = "1.41.0"
REQUIREMENTS = (f"flwr[simulation]=={FLOWER}", f"numpy=={np.__version__}")
VENV = ROOT / ".venv-flower"
SCRIPT = Path(__file__).parent / "peer" / "flower_fedavg.py"

PARTIES = 10
PARAMETERS = 1_000_000
ROUNDS = 16  # starting Ray takes 6 to 10 s, a round 0.3 s: more of them cost little
QUICK_ROUNDS = 6
INSTALL_S = 900.0  # about 530 MB unpacked
RUN_S = 180.0

Api = Literal["message", "legacy"]


class PeerUnavailable(Exception):
    """Flower could not be installed or did not finish; the message is one line."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to run Flower's simulation.

    Attributes:
        api: "message", which Flower recommends, or "legacy", which it has deprecated.
        client_cpus: CPUs that a client claims; the machine's, divided by it, run at once.
        poll_s: seconds between two looks of the server for replies; None for Flower's default, 0.1.
    """

    api: Api
    client_cpus: float
    poll_s: float | None = None

    @property
    def recommended(self) -> bool:
        """Whether Flower's documentation would lead a user here."""
        return self.api == "message" and self.poll_s is None

    def __str__(self) -> str:
        poll = "" if self.poll_s is None else f", polling each {duration(self.poll_s)}"
        return f"{self.api} API, {self.client_cpus:g} CPU a client{poll}"


SETTINGS = (
    Setting("message", 2.0),  # Flower's default
    Setting("message", 1.0),
    Setting("message", 0.5),
    Setting("message", 1.0, poll_s=0.01),
    Setting("legacy", 1.0),  # its default
    Setting("legacy", 2.0),
)
QUICK_SETTINGS = (Setting("message", 1.0), Setting("legacy", 1.0))


@dataclass(frozen=True, slots=True)
class Timing:
    """The rounds of one setting."""

    setting: Setting
    round_s: Spread  # the first round, which starts the workers, is not in it
    first_s: float
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Peer:
    """All settings that were timed, in that order."""

    timings: tuple[Timing, ...]

    @property
    def recommended(self) -> Timing:
        """The fastest of the settings that Flower recommends."""
        return _fastest([timing for timing in self.timings if timing.setting.recommended])

    @property
    def fastest(self) -> Timing:
        """The fastest of all, the deprecated interface and the shortened poll included."""
        return _fastest(list(self.timings))


def _fastest(timings: list[Timing]) -> Timing:
    return min(timings, key=lambda timing: timing.round_s.median_s)


@functools.cache
def measure_all(quick: bool = False) -> Peer:
    """Time every setting that this machine has the CPUs for; once per process, since it takes a minute.

    Raises:
        PeerUnavailable: Flower can't be installed, or fails.
    """
    cpus = os.cpu_count() or 1
    settings = [setting for setting in (QUICK_SETTINGS if quick else SETTINGS) if setting.client_cpus <= cpus]
    return Peer(tuple(measure(setting, rounds=QUICK_ROUNDS if quick else ROUNDS) for setting in settings))


def measure(
    setting: Setting, *, rounds: int = ROUNDS, parties: int = PARTIES, parameters: int = PARAMETERS
) -> Timing:
    """Run Flower once, in processes of its own, and return its seconds by round.

    Raises:
        PeerUnavailable: Flower can't be installed, or fails.
    """
    if rounds < 2:
        raise ValueError(f"expected at least 2 rounds, since the first does not count, got {rounds}")
    python = environment()
    command = [str(python), str(SCRIPT), "--api", setting.api, "--client-cpus", str(setting.client_cpus)]
    command += ["--rounds", str(rounds), "--parties", str(parties), "--parameters", str(parameters)]
    command += [] if setting.poll_s is None else ["--poll-s", str(setting.poll_s)]
    with scratch() as variables:
        output = _finish(command, variables)
    return parse(setting, output)


def parse(setting: Setting, output: str) -> Timing:
    """Read the peer script's last JSON line; Ray's workers may have printed around it.

    Raises:
        PeerUnavailable: there is none.
    """
    objects = [line for line in output.splitlines() if line.startswith("{")]
    if not objects:
        raise PeerUnavailable(f"Flower ({setting}) printed no figures")
    figures = json.loads(objects[-1])
    first, *others = (float(seconds) for seconds in figures["rounds_s"])
    return Timing(setting, median_of(others), first, dict(figures["versions"]))


def environment() -> Path:
    """Return the interpreter of Flower's virtual environment; make it if it is missing or of another version.

    Raises:
        PeerUnavailable: a package can't be installed here.
    """
    python = VENV / "bin" / "python"
    if _installed(python):
        return python
    print(f"Installing {' and '.join(REQUIREMENTS)} into {VENV.name} (once) ...", file=sys.stderr, flush=True)
    _install([sys.executable, "-m", "venv", "--clear", str(VENV)])
    _install([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS])
    return python


def _installed(python: Path) -> bool:
    """Whether the environment holds what it should; `ray` stands for the extra."""
    query = "from importlib.metadata import version; print(*map(version, ('flwr', 'numpy', 'ray')))"
    try:
        done = subprocess.run(
            [str(python), "-c", query], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.stdout.split()[:2] == [FLOWER, np.__version__]


def _install(command: list[str]) -> None:
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=True)
    except subprocess.CalledProcessError as error:
        reason = last_line(error.stderr or error.stdout)
    except subprocess.TimeoutExpired:
        reason = f"no end after {INSTALL_S:.0f} s"
    except OSError as error:
        reason = str(error)
    else:
        return
    raise PeerUnavailable(f"{REQUIREMENTS[0]} could not be installed into {VENV.name}: {reason}")


def last_line(output: str) -> str:
    """Return the line that says why: pip's last ERROR, else the last that is not empty."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no reason given"])[-1]


@contextmanager
def scratch() -> Iterator[dict[str, str]]:
    """Yield variables that keep Flower and Ray from calling home and out of the user's folders."""
    # Ray puts Unix sockets below this folder, whose paths may not pass 107 bytes: a long TMPDIR won't do.
    folder = tempfile.mkdtemp(prefix="peer-", dir="/tmp" if os.path.isdir("/tmp") else None)
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        yield {
            **inherited,
            "FLWR_HOME": folder,
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "RAY_TMPDIR": folder,
            "RAY_USAGE_STATS_ENABLED": "0",
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _finish(command: list[str], variables: dict[str, str]) -> str:
    """Run to the end, or end it with every process it started."""
    process = subprocess.Popen(
        command,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=RUN_S)
    except subprocess.TimeoutExpired:
        raise PeerUnavailable(f"Flower did not finish within {RUN_S:.0f} s") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode != 0:
        raise PeerUnavailable(f"Flower ended with status {process.returncode}: {last_line(errors)}")
    return output


def run(quick: bool) -> list[Row]:
    """Return a row for each setting, for information: the bar belongs to hansa's own round.

    Raises:
        PeerUnavailable: Flower can't be installed, or fails.
    """
    peer = measure_all(quick)
    return [_row(timing, peer) for timing in peer.timings]


def _row(timing: Timing, peer: Peer) -> Row:
    ranks = {id(peer.recommended): "fastest of the recommended settings", id(peer.fastest): "fastest of all"}
    rank = ranks.get(id(timing))
    versions = ", ".join(f"{name} {number}" for name, number in timing.versions.items())
    note = f"first round {duration(timing.first_s)}; {versions}" + (f"; {rank}" if rank else "")
    return Row(f"Flower, {timing.setting}", str(timing.round_s), note=note)
