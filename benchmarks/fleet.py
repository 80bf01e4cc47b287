"""A federation of daemons, each `hansa agent run` in a process of its own, that works at one job.

What happens is read from the daemons' own logs, whose lines carry milliseconds: they go on when the broker is gone.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.report import ROOT
from benchmarks.town import KEEPER, WITH_ROWS, Child, Town, town
from hansa.agents.core.messages import JobSpec
from hansa.agents.local import Member
from hansa.broker import to_plain

PARTIES = tuple(f"party-{number}" for number in range(4))
PARAMETERS = 1_000_000
MODEL = "untrained"
JOB = "rounds"
PATIENCE_S = 120.0
LOOK_S = 0.01


class NotReached(Exception):
    """The fleet did not get where it should in time; the message is one line."""


@dataclass(slots=True)
class Daemon:
    """One agent's process and its log."""

    home: Path
    packages: Path
    _process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0  # UTC seconds
    _read: int = 0  # bytes of the log
    _events: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.home.with_suffix(".log")

    @property
    def pid(self) -> int:
        """Its process; it must run."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; `ready` waits until it is connected."""
        paths = filter(None, [str(self.packages), str(ROOT), os.environ.get("PYTHONPATH")])
        self.started = time.time()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    Path(sys.executable).with_name("hansa"),
                    *("agent", "run", "--log", "json", "--home", self.home),
                ],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                stdin=subprocess.DEVNULL,
                stderr=log,
            )

    def ready(self) -> float:
        """Wait until the broker serves it; return the seconds since it was started."""
        return wait_until(lambda: self._since("broker-ready", self.started), str(self.home)) - self.started

    def events(self) -> list[tuple[float, str, dict[str, Any]]]:
        """Return what it has logged: UTC seconds, kind, fields."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                told = json.loads(line)
                at = datetime.fromisoformat(told["time"]).timestamp()
                self._events.append((at, told.get("event", ""), told.get("fields", {})))
        return self._events

    def closes(self) -> list[float]:
        """Return when each round ended, once for each."""
        ended: dict[int, float] = {}
        for at, kind, fields in self.events():
            if kind == "round-closed":
                ended.setdefault(fields["round"], at)
        return [ended[number] for number in sorted(ended)]

    def last_words(self) -> str:
        """Return how it is and the last it logged."""
        ended = self._process is not None and self._process.poll() is not None
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return f"{self.home.name}{' has ended' if ended else ''}: {lines[-1][:300] if lines else 'silent'}"

    def kill(self) -> None:
        """End it as when the power goes."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _since(self, kind: str, since: float) -> float | None:
        return next((at for at, which, _ in self.events() if which == kind and at >= since), None)


def wait_until(look: Callable[[], float | None], what: str) -> float:
    """Look until there is an answer.

    Raises:
        NotReached: there was none in time.
    """
    deadline = time.monotonic() + PATIENCE_S
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise NotReached(f"{what}: nothing within {PATIENCE_S:g} s")
        time.sleep(LOOK_S)
    return found


@dataclass(frozen=True, slots=True)
class Fleet:
    """Where the daemons are; the keeper coordinates."""

    where: Town
    keeper: Daemon
    parties: tuple[Daemon, ...]

    def begin(self, rounds: int) -> None:
        """Propose the job, and start every daemon."""
        told = {"home": str(self.keeper.home), "spec": to_plain(specification(rounds))}
        with Child("benchmarks.propose", told, path=self.keeper.packages) as child:
            child.answer()
        for daemon in (self.keeper, *self.parties):
            daemon.start()

    def wait_for_rounds(self, count: int) -> list[float]:
        """Wait until so many rounds have ended; return when each did, UTC seconds."""

        def reached() -> float | None:
            closes = self.keeper.closes()
            return closes[-1] if len(closes) >= count else None

        wait_until(reached, f"{count} rounds")
        return self.keeper.closes()

    def next_close(self, after: float) -> float:
        """Wait for the first round that ends after a moment; return when it did."""
        return wait_until(lambda: next((at for at in self.keeper.closes() if at > after), None), "a round")


@contextmanager
def fleet() -> Iterator[Fleet]:
    """Found a federation of `PARTIES` and `KEEPER`; nothing runs yet, and all of it ends with the block."""
    with town([Member(name, config=WITH_ROWS) for name in PARTIES]) as where, ExitStack() as stack:
        packages = install_model(where.folder)
        keeper, *parties = (Daemon(where.home(name), packages) for name in (KEEPER, *PARTIES))
        for daemon in (keeper, *parties):
            stack.callback(daemon.kill)
        try:
            yield Fleet(where, keeper, tuple(parties))
        except NotReached as error:
            said = "; ".join(daemon.last_words() for daemon in (keeper, *parties))
            raise NotReached(f"{error}; {said}") from None


def install_model(folder: Path) -> Path:
    """Write a package that brings the model, as any installed one would; return the folder for the path."""
    metadata = folder / "packages" / "untrained-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: untrained\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        f"[hansa.models]\n{MODEL} = benchmarks.fedavg_round:untrained\n"
    )
    return metadata.parent


def specification(rounds: int) -> JobSpec:
    """Return a job over all parties, who all take part in every round."""
    return JobSpec(
        job=JOB,
        protocol="horizontal-fedavg",
        model=MODEL,
        dataset="rows",
        parties=PARTIES,
        classes=("no", "yes"),
        features=2,
        hyperparameters={},
        settings={
            "rounds": rounds,
            "quorum": len(PARTIES),
            "round_deadline_s": 60.0,
            "silence_s": 240.0,
        },
        minimum_parties=len(PARTIES),
        consent_s=60.0,
        seed=1,
    )
