"""How long does an epoch of vertical logistic regression take, beside the multiplications it cannot do without?

    python -m benchmarks --only vertical

All roles share this machine's cores: their machines run in one process, their tasks in a pool of one process for
each core. The first epoch begins when the key goes out; masks and the tables they are made of are inside. The floor
is counted (`vertical_floor`) and priced by multiplications timed on all cores at once, just before and after.
Columns are drawn from a normal distribution, which takes the most multiplications; breast cancer's are
scikit-learn's.

Processor seconds tell what a phase costs; on the clock counts also what lies idle while one role waits for another.
"""

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.datasets import load_breast_cancer

from benchmarks.report import Row, at_most, duration, median_of
from benchmarks.vertical_drive import Course, drive, workers
from benchmarks.vertical_floor import Floor, Phase, Prices, cheapest, epoch_floor, prices
from hansa.protocols.crypto import PublicKey
from hansa.protocols.model import Array, FloatArray
from hansa.protocols.vertical import LogisticSettings
from hansa.protocols.vertical.job import ARBITER, GUEST, HOST, Seat
from hansa.protocols.vertical.rehearsal import Rehearsal, no_model, rehearse
from hansa.protocols.vertical.tasks import (
    FOLD,
    MAKE_KEY,
    OPEN,
    OPEN_LOSS,
    RESIDUAL,
    SCORE,
    SEAL,
    TOTAL,
    KeyPair,
    KeyWish,
    make_key,
)
from hansa.protocols.workbench import RowlessWorkbench

BAR = 1.4  # on the clock, times the floor
KeyName = Literal["subgroup", "standard"]
KEYS: tuple[KeyName, ...] = ("subgroup", "standard")
BANK, SHOP = "bank", "shop"
EPOCHS = 2  # the first makes its tables, the second has them
LARGE, LARGE_QUICK, BATCH = 30_000, 2_000, 1_024
TURNS = 5  # of the job that takes a second

PHASES: Mapping[str, tuple[Phase, ...]] = {
    "host: scores under fresh masks": ((HOST, SCORE),),
    "guest: residuals under fresh masks": ((GUEST, RESIDUAL),),
    "host: Xᵀ[[d]]": ((HOST, FOLD),),
    "guest: Xᵀ[[d]]": ((GUEST, FOLD),),
    "host: pack, mask, add up the loss": ((HOST, SEAL),),
    "guest: pack, mask, add up the loss": ((GUEST, SEAL), (GUEST, TOTAL)),
    "arbiter: open gradients and the loss": ((ARBITER, OPEN), (ARBITER, OPEN_LOSS)),
}

# For scale. Quoted as the project's specification gives them, not measured here.
PEERS = {
    LARGE: "the specification quotes the best-known peer, on such cores, at 52 to 67 s unblinded, 348 s blinded",
    569: "the specification quotes the best-known peer, on such cores, at 2.3 s unblinded, 7.7 s blinded",
}


@dataclass(frozen=True, slots=True)
class Case:
    """A table to learn from.

    Attributes:
        columns: by party, (rows, columns).
        y: (rows,) the guest's classes.
        turns: how often to run it.
    """

    columns: Mapping[str, FloatArray]
    y: Array
    turns: int

    @property
    def rows(self) -> int:
        """Of every party."""
        return len(self.y)

    @property
    def name(self) -> str:
        """Rows × (guest's columns + host's)."""
        widths = " + ".join(str(own.shape[1]) for own in self.columns.values())
        return f"{self.rows:,} × ({widths})"


@dataclass(frozen=True, slots=True)
class Measured:
    """Runs of one job, and what the machine charged for a multiplication meanwhile."""

    job: Rehearsal
    pair: KeyPair
    courses: Sequence[Course]
    prices: Prices
    cores: int

    @property
    def seat(self) -> Seat:
        """The guest's."""
        return Seat.take(self.job.briefs[BANK], GUEST)

    def floor(self, columns: Mapping[str, FloatArray], epoch: int) -> Floor:
        """Return what an epoch needs; the first makes the tables."""
        public = PublicKey.from_bytes(self.pair.public)
        return epoch_floor(columns, self.seat, public, with_tables=epoch == 0)


def made_up(rows: int, widths: Mapping[str, int], seed: int = 1) -> tuple[dict[str, FloatArray], Array]:
    """Return standard normal columns by party, and classes that depend on all of them."""
    generator = np.random.default_rng(seed)
    columns = {name: generator.standard_normal((rows, width)) for name, width in widths.items()}
    score = sum(own @ generator.standard_normal(own.shape[1]) for own in columns.values())
    return columns, (score + generator.standard_normal(rows) > 0).astype(int)


def breast_cancer() -> tuple[dict[str, FloatArray], Array]:
    """Return scikit-learn's breast cancer, standardised: ten columns and the classes at the guest."""
    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    return {BANK: X[:, :10], SHOP: X[:, 10:]}, y


def key_pair(kind: KeyName, bits: int = 2_048) -> KeyPair:
    """Make a key, which no epoch waits for."""
    return make_key(KeyWish(kind, bits, secrets.token_bytes(32)), RowlessWorkbench(no_model), 0)


def measure(case: Case, settings: LogisticSettings, pair: KeyPair) -> Measured:
    """Run a job as often as the case says, each time in new processes, which have no tables yet."""
    cores = os.cpu_count() or 1
    job = rehearse(case.columns, case.y, settings)
    courses, charged = [], []
    for _ in range(case.turns):
        with workers(cores, job.benches) as pool:
            charged.append(prices(pool, cores, pair.secret))
            courses.append(drive(pool, job, {MAKE_KEY: pair}))
            charged.append(prices(pool, cores, pair.secret))
    return Measured(job, pair, courses, cheapest(charged), cores)


# -- rows ---------------------------------------------------------------------------------------------------


def epoch_rows(case: Case, measured: Measured, *, barred: bool) -> Iterator[Row]:
    """Yield the first epoch on the clock and in processor time, and a later one."""
    settings = measured.seat.settings
    how = f"batches of {settings.batch:,}" if settings.batch else "full batch"
    name = f"logistic epoch, {case.name}, {settings.key} key, {how}"
    for epoch, which in enumerate(("first epoch, tables of masks included", "second epoch")):
        floor = measured.floor(case.columns, epoch)
        wall = median_of([course.epoch_s(epoch) for course in measured.courses])
        least = floor.seconds(measured.prices.wall) / measured.cores
        took = str(wall) if wall.runs > 1 else duration(wall.median_s)
        ratio, limit = wall.median_s / least, f"floor {duration(least)}"
        note = f"{which}, job of {EPOCHS}; {_note(case, measured, floor, epoch)}"
        title = name if epoch == 0 else f"{name}: {which}"
        yield (
            at_most(title, took, limit, ratio, BAR, note)
            if barred and epoch == 0
            else Row(title, took, limit, ratio, note=note)
        )
        yield _cpu_row(f"{title}: processor time, all cores", measured, floor, epoch)


def _note(case: Case, measured: Measured, floor: Floor, epoch: int) -> str:
    course = measured.courses[-1]
    sent = sum(course.traffic.values()) / len(course.closed_s) / 2**20
    made = sum(floor.products.values())
    told = (
        f"{made:,} multiplications of {duration(measured.prices.wall.product)} on {measured.cores} cores; "
        f"{sent:.1f} MiB sent in an epoch, {len(course.of(epoch))} tasks, "
        f"cores idle for {duration(idle_s(course, epoch, measured.cores))} together"
    )
    peer = PEERS.get(case.rows) if epoch == 0 and not measured.seat.settings.batch else None
    return f"{told}; {peer}" if peer else told


def idle_s(course: Course, epoch: int, cores: int) -> float:
    """Return how long cores had no task in an epoch, added up over cores."""
    busy = sum(task.spent.ended_s - task.spent.began_s for task in course.of(epoch))
    return max(0.0, cores * course.epoch_s(epoch) - busy)


def _cpu_row(name: str, measured: Measured, floor: Floor, epoch: int) -> Row:
    spent = median_of(
        [sum(task.spent.cpu_s for task in each.of(epoch)) for each in measured.courses]
    ).median_s
    least = floor.seconds(measured.prices.cpu)
    return Row(name, duration(spent), f"floor {duration(least)}", spent / least)


def phase_rows(case: Case, measured: Measured) -> Iterator[Row]:
    """Yield the second epoch's processor time by phase and role."""
    floor, price = measured.floor(case.columns, 1), measured.prices.cpu
    kind = measured.seat.settings.key
    for phase, members in PHASES.items():
        spent = median_of([phase_s(course, 1, members) for course in measured.courses]).median_s
        least = sum(floor.seconds(price, each) for each in members)
        name = f"{case.name}, {kind} key, {phase}"
        yield Row(name, duration(spent), f"floor {duration(least)}", spent / least)


def phase_s(course: Course, epoch: int, members: Sequence[Phase]) -> float:
    """Return the processor seconds of some roles' functions in an epoch."""
    return sum(task.spent.cpu_s for task in course.of(epoch) if (task.role, task.function) in members)


def run(quick: bool) -> list[Row]:
    """Return the rows for `python -m benchmarks`."""
    large = Case(*made_up(LARGE_QUICK if quick else LARGE, {BANK: 13, SHOP: 10}), turns=1)
    small = Case(*breast_cancer(), turns=1 if quick else TURNS)
    rows: list[Row] = []
    for kind in KEYS:
        pair = key_pair(kind)
        for case in (large, small):
            measured = measure(case, _settings(kind), pair)
            rows += epoch_rows(case, measured, barred=not quick or case is small)
            rows += phase_rows(case, measured)
        measured = measure(large, _settings(kind, BATCH), pair)
        rows += epoch_rows(large, measured, barred=False)
    return rows


def _settings(kind: KeyName, batch: int = 0) -> LogisticSettings:
    return LogisticSettings(BANK, epochs=EPOCHS, batch=batch, key=kind, patience=0, holdout=0.0)
