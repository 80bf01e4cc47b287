"""How close does the alignment of two parties come to what X25519 itself costs?

Both sides run on this machine's cores, as real machines over a pool of processes: each blinds its own list and
raises the other's, 4n exponentiations for n × n ids. The limit is as many bare calls of X25519 from Python, made
in the same pool with nothing around them. The two take turns; wall time counts, and CPU time is given beside it,
since a busy machine moves the first more than the second.

openmined-psi (Apache-2.0), the best-known library of its kind, does the one-sided protocol in one thread, with
as many exponentiations on the curve P-256. It lives in `.venv-psi`, made on demand; hansa never imports it.

    python -m benchmarks.alignment [--ids 1000000] [--turns 1] [--cores N] [--no-peer]
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from benchmarks.report import ROOT, Row, at_least, duration, median_of
from hansa.protocols import Abort, Compute, Computed, Event, Finish, IdsWorkbench, Received, Send, Workbench
from hansa.protocols.alignment import ALIGNMENT, AlignedRows, AlignmentSettings
from hansa.protocols.alignment.rehearsal import rehearse

BAR = 0.8  # of the rate of bare X25519, at least
IDS, QUICK_IDS, PEER_IDS = 1_000_000, 20_000, 100_000
QUICK_BLOCK = 1_024  # so that a short run, too, has work for every core until its end
BARE_CHUNK = 2_048  # exponentiations in one task of the limit
PEER = "openmined-psi==2.0.6"
VENV = ROOT / ".venv-psi"
SCRIPT = Path(__file__).parent / "peer" / "openmined_psi.py"
PEER_S = 3_600.0


class PeerMissing(Exception):
    """openmined-psi could not be installed or run; the message is one line."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one run: on the wall, and of all processes' CPU time."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Result:
    """All turns of one size.

    Attributes:
        exponentiations: in one turn of either contender.
    """

    ids: int
    cores: int
    exponentiations: int
    ours: Sequence[Cost]
    bare: Sequence[Cost]

    def ratio(self, part: Callable[[Cost], float]) -> float:
        """Return our share of the bare rate, by wall or CPU time."""
        return median_of([*map(part, self.bare)]).median_s / median_of([*map(part, self.ours)]).median_s


# -- the machines over a pool -------------------------------------------------------------------------------


def _task(function: str, inputs: object, bench: Workbench) -> tuple[object, float]:
    began = time.process_time()
    return ALIGNMENT.tasks[function].function(inputs, bench, 0), time.process_time() - began


class Drive:
    """Three machines in one process: messages at once, tasks in the pool, timers never."""

    def __init__(self, pool: ProcessPoolExecutor, ids: dict[str, list[str]], settings: AlignmentSettings):
        rehearsal = rehearse(ids, settings)
        self._pool = pool
        self._benches = rehearsal.benches
        self._events: deque[tuple[str, Event]] = deque()
        self._tasks: dict[Future[tuple[object, float]], tuple[str, str]] = {}
        self._states: dict[str, Any] = {}
        self._roles = {name: ALIGNMENT.role(brief.role) for name, brief in rehearsal.briefs.items()}
        self._briefs = rehearsal.briefs
        self.results: dict[str, object] = {}
        self.cpu_s = 0.0

    def run(self) -> None:
        """Run to the end of all roles."""
        for name, role in self._roles.items():
            self._take(name, role.begin(self._briefs[name]))
        while len(self.results) < len(self._roles):
            while self._events:
                name, event = self._events.popleft()
                self._take(name, self._roles[name].step(self._states[name], event))
            if self._tasks:
                self._collect()

    def _collect(self) -> None:
        for done in wait(self._tasks, return_when=FIRST_COMPLETED).done:
            name, task_id = self._tasks.pop(done)
            result, cpu_s = done.result()
            self.cpu_s += cpu_s
            self._events.append((name, Computed(task_id, result)))

    def _take(self, name: str, step: Any) -> None:
        self._states[name] = step.state
        for effect in step.effects:
            match effect:
                case Send(recipient, message):
                    self._events.append((recipient, Received(name, message)))
                case Compute(task_id, function, inputs):
                    own = ALIGNMENT.tasks[function].uses_bench
                    bench = self._benches[name] if own else IdsWorkbench(())
                    self._tasks[self._pool.submit(_task, function, inputs, bench)] = (name, task_id)
                case Finish(result):
                    self.results[name] = result
                case Abort(reason):
                    raise RuntimeError(f"{name} gave up: {reason}")


def align(pool: ProcessPoolExecutor, count: int, block: int) -> Cost:
    """Align two lists that have half of their ids in common, and check the outcome."""
    start = count // 2
    ids = {
        "ann": [f"customer-{number:09d}" for number in range(count)],
        "bob": [f"customer-{number:09d}" for number in range(start, start + count)],
    }
    drive = Drive(pool, ids, AlignmentSettings(block=block))
    began, began_cpu = time.perf_counter(), time.process_time()
    drive.run()
    cost = Cost(time.perf_counter() - began, time.process_time() - began_cpu + drive.cpu_s)
    ann, bob = drive.results["ann"], drive.results["bob"]
    assert isinstance(ann, AlignedRows), ann
    assert isinstance(bob, AlignedRows), bob
    assert len(ann.rows) == count - start, len(ann.rows)
    assert (ann.rows == bob.rows + start).all()
    return cost


# -- the limit ----------------------------------------------------------------------------------------------


def _bare(count: int) -> float:
    """Raise one point so many times; return CPU seconds."""
    private = X25519PrivateKey.from_private_bytes(hashlib.sha256(b"key").digest())
    exchange, read = private.exchange, X25519PublicKey.from_public_bytes
    point = private.public_key().public_bytes_raw()
    began = time.process_time()
    for _ in range(count):
        exchange(read(point))
    return time.process_time() - began


def bare(pool: ProcessPoolExecutor, count: int) -> Cost:
    """Make so many bare calls in the pool."""
    chunks = [BARE_CHUNK] * (count // BARE_CHUNK) + ([count % BARE_CHUNK] if count % BARE_CHUNK else [])
    began = time.perf_counter()
    cpu_s = sum(pool.map(_bare, chunks))
    return Cost(time.perf_counter() - began, cpu_s)


def measure(count: int, turns: int, cores: int, block: int) -> Result:
    """Let the two take turns, every other turn in the other order; the pool is warm before the first."""
    exponentiations = 4 * count
    ours: list[Cost] = []
    limit: list[Cost] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores, mp_context=context) as pool:
        align(pool, 8 * cores, 1)  # imports, in every worker
        for turn in range(turns):
            if turn % 2 == 0:
                limit.append(bare(pool, exponentiations))
            ours.append(align(pool, count, block))
            if turn % 2:
                limit.append(bare(pool, exponentiations))
    return Result(count, cores, exponentiations, ours, limit)


# -- the peer -----------------------------------------------------------------------------------------------


def peer(count: int) -> tuple[Cost, str]:
    """Run openmined-psi once in a process of its own; return its cost and version.

    Raises:
        PeerMissing: it can't be installed here, or fails.
    """
    python = VENV / "bin" / "python"
    if not python.exists():
        _call([sys.executable, "-m", "venv", str(VENV)])
    try:
        _call([str(python), "-c", "import private_set_intersection.python"])
    except PeerMissing:
        print(f"Installing {PEER} into {VENV.name} (once) ...", file=sys.stderr, flush=True)
        _call([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PEER])
    figures = json.loads(_call([str(python), str(SCRIPT), "--ids", str(count)]).splitlines()[-1])
    return Cost(figures["seconds"], figures["cpu_s"]), figures["version"]


def _call(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PEER_S, check=True)
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout or "no reason given").strip().splitlines()
        raise PeerMissing(f"{PEER} can't be used: {lines[-1]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerMissing(f"{PEER} can't be used: {error}") from None
    return done.stdout


# -- rows ---------------------------------------------------------------------------------------------------


def rows(result: Result) -> list[Row]:
    """Return the comparison with bare X25519, by wall and by CPU time."""

    def rates(part: Callable[[Cost], float], costs: Sequence[Cost]) -> str:
        return f"{result.exponentiations / median_of([*map(part, costs)]).median_s:,.0f}/s"

    name = f"alignment, {result.ids:,} × {result.ids:,} ids"
    seconds = duration(median_of([cost.wall_s for cost in result.ours]).median_s)
    note = (
        f"exponentiations, 4 for each id, on {result.cores} cores; {seconds} for all, both sides together, "
        f"hashing to the curve and intersecting included; {len(result.ours)} runs"
    )
    return [
        at_least(
            name,
            rates(lambda cost: cost.wall_s, result.ours),
            f"{rates(lambda cost: cost.wall_s, result.bare)} of bare X25519",
            result.ratio(lambda cost: cost.wall_s),
            BAR,
            note,
        ),
        Row(
            f"{name}: by CPU time",
            rates(lambda cost: cost.cpu_s, result.ours),
            f"{rates(lambda cost: cost.cpu_s, result.bare)} of bare X25519",
            result.ratio(lambda cost: cost.cpu_s),
        ),
    ]


def peer_rows(count: int, result: Result) -> list[Row]:
    """Return the comparison with openmined-psi, in ids aligned per second."""
    name = "alignment beside openmined-psi"
    try:
        cost, version = peer(count)
    except PeerMissing as reason:
        return [Row(name, "not measured", note=str(reason))]
    wall = result.ids / median_of([each.wall_s for each in result.ours]).median_s
    cpu = result.ids / median_of([each.cpu_s for each in result.ours]).median_s
    note = (
        f"version {version}, raw set-up, {count:,} × {count:,} ids in {duration(cost.wall_s)}; it has one thread, "
        f"ours ran on {result.cores} cores, both sides learning the result where its client alone does"
    )
    theirs = count / cost.wall_s, count / cost.cpu_s
    return [
        Row(name, f"{wall:,.0f} ids/s", f"{theirs[0]:,.0f} ids/s", wall / theirs[0], note=note),
        Row(f"{name}: by CPU time", f"{cpu:,.0f} ids/s", f"{theirs[1]:,.0f} ids/s", cpu / theirs[1]),
    ]


def run(quick: bool) -> list[Row]:
    """Return the rows for `python -m benchmarks`."""
    cores = os.cpu_count() or 1
    if quick:
        result = measure(QUICK_IDS, 3, cores, QUICK_BLOCK)
        return [*rows(result), *peer_rows(QUICK_IDS, result)]
    result = measure(IDS, 1, cores, AlignmentSettings().block)
    return [*rows(result), *peer_rows(PEER_IDS, result)]


def main() -> None:
    """Measure one size and print its rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alignment", description=main.__doc__)
    parser.add_argument("--ids", type=int, default=IDS, help="of each side")
    parser.add_argument("--turns", type=int, default=1, help="of each contender")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1, help="processes in the pool")
    parser.add_argument("--no-peer", action="store_true", help="leave openmined-psi out")
    options = parser.parse_args()
    block = AlignmentSettings().block if options.ids >= PEER_IDS else QUICK_BLOCK
    result = measure(options.ids, options.turns, options.cores, block)
    found = rows(result) + ([] if options.no_peer else peer_rows(min(options.ids, PEER_IDS), result))
    for row in found:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        print(f"{row.name:48}{row.measured:>18}{row.limit_or_peer:>32}{ratio:>8} {row.bar:>6}  {row.note}")


if __name__ == "__main__":
    main()
