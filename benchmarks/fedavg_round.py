"""How long is a FedAvg round of 10 parties × 1 M float32 parameters, in one process?

Without the journal beside its limit: numpy's weighted average of ten such models, SHA-256 of every byte that
travels (ten updates up, the model down to ten parties: 80 MB) and an Ed25519 signature made and checked for
each of these twenty messages. With the journal (SQLite and fsynced, sealed array files in ten homes and the
aggregator's) beside Flower's simulation of the same round in a venv of its own.

    python -m benchmarks.fedavg_round [--rounds 8]
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks import flower_peer
from benchmarks.report import Row, Spread, at_least, at_most, duration, median_of
from hansa.agents.core.messages import JobSpec
from hansa.agents.data.rows import Dataset, from_arrays
from hansa.agents.local import LocalFederation, Member
from hansa.broker import Identity
from hansa.protocols import Array, Evaluation, FloatArray, ModelRegistry, ModelShape

PARTIES = 10
PARAMETERS = 1_000_000
ROUNDS = 8
JOB = "round"


class Untrained:
    """A model of the wanted size that spends no time on training: adds a constant and reports a constant."""

    def __init__(self) -> None:
        self.weights = np.zeros(PARAMETERS, dtype=np.float32)

    def get_parameters(self) -> list[Array]:
        return [self.weights]

    def set_parameters(self, parameters: Sequence[Array]) -> None:
        self.weights = parameters[0]

    def fit(self, X: FloatArray, y: Array, seed: int) -> None:
        self.weights = self.weights + np.float32(1e-3 + seed * 1e-12)

    def evaluate(self, X: FloatArray, y: Array) -> Evaluation:
        return Evaluation(len(X), 1.0, 0.5, "accuracy")

    def predict(self, X: FloatArray) -> Array:
        return np.zeros(len(X))


def untrained(shape: ModelShape) -> Untrained:
    """Make the model, as the entry points of `hansa.models` do."""
    return Untrained()


def federated_rounds(journalled: bool, rounds: int, folder: Path | None = None) -> list[float]:
    """Return the seconds of each round after the first, from close to close."""
    generator = np.random.default_rng(0)
    members = []
    for party in range(PARTIES):
        rows = _rows(generator, party)
        members.append(Member(f"party-{party}", datasets={"rows": lambda rows=rows: rows}))  # type: ignore[misc]
    registry = ModelRegistry({"untrained": untrained})
    closed: list[float] = []
    with LocalFederation.found(members, journalled=journalled, registry=registry, folder=folder) as local:
        local.listen(
            lambda _, kind, fields: closed.append(time.perf_counter()) if kind == "round-closed" else None
        )
        local.register()
        local.run(_specification(rounds))
    return [later - earlier for earlier, later in pairwise(closed)]


def _rows(generator: np.random.Generator, party: int) -> Dataset:
    features = generator.normal(size=(50, 2))
    target = np.where(features[:, 0] > 0, "yes", "no")
    return from_arrays("rows", features, target, holdout=0.2, regression=False, source=f"party-{party}")


def _specification(rounds: int) -> JobSpec:
    return JobSpec(
        job=JOB,
        protocol="horizontal-fedavg",
        model="untrained",
        dataset="rows",
        parties=tuple(sorted(f"party-{party}" for party in range(PARTIES))),
        classes=("no", "yes"),
        features=2,
        hyperparameters={},
        settings={"rounds": rounds, "quorum": PARTIES, "round_deadline_s": 60.0, "silence_s": 240.0},
        minimum_parties=PARTIES,
        consent_s=60.0,
        seed=1,
    )


def limit(repeats: int = 5) -> dict[str, float]:
    """Return the median seconds of the parts that no such round can do without."""
    generator = np.random.default_rng(0)
    models = [generator.random(PARAMETERS, dtype=np.float32) for _ in range(PARTIES)]
    identity = Identity.generate("bench")
    parts: dict[str, list[float]] = {"average": [], "sha256": [], "signatures": []}
    for _ in range(repeats):
        started = time.perf_counter()
        total = np.zeros(PARAMETERS)
        for model in models:
            total += model * (1 / PARTIES)
        total.astype(np.float32)
        averaged = time.perf_counter()
        for model in models * 2:  # up and down
            sha256(model.view(np.uint8).data).digest()
        hashed = time.perf_counter()
        for _ in range(2 * PARTIES):
            identity.public.verify(identity.sign(b"x" * 200), b"x" * 200)
        signed = time.perf_counter()
        parts["average"].append(averaged - started)
        parts["sha256"].append(hashed - averaged)
        parts["signatures"].append(signed - hashed)
    return {name: statistics.median(seconds) for name, seconds in parts.items()}


def disk_seconds(repeats: int = 3) -> float:
    """Return the median seconds that the disk alone needs for a round's durable arrays: eleven files, fsynced."""
    content = bytes(4 * PARAMETERS)
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(repeats):
            started = time.perf_counter()
            for file in range(PARTIES + 1):
                with open(f"{folder}/{repeat}-{file}", "wb", buffering=0) as written:
                    written.write(content)
                    os.fsync(written.fileno())
            taken.append(time.perf_counter() - started)
    return statistics.median(taken)


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run measured.

    Attributes:
        limit: median seconds of each part of the limit.
        in_memory: rounds without journal and chunk files.
        journalled: rounds with both on disk.
        disk_s: what the disk alone needs for the arrays of such a round, in this run.
    """

    limit: Mapping[str, float]
    in_memory: Spread
    journalled: Spread
    disk_s: float

    @property
    def limit_s(self) -> float:
        """The parts' sum."""
        return sum(self.limit.values())


def measure(rounds: int = ROUNDS, turns: int = 3) -> Figures:
    """Run limit and both kinds of round in turns; the first round of each turn is left out."""
    limits: list[Mapping[str, float]] = []
    in_memory: list[float] = []
    journalled: list[float] = []
    disk: list[float] = []
    for _ in range(turns):
        disk.append(disk_seconds())
        limits.append(limit())
        in_memory += federated_rounds(journalled=False, rounds=rounds)
        journalled += federated_rounds(journalled=True, rounds=rounds)
    parts = {name: statistics.median(each[name] for each in limits) for name in limits[0]}
    return Figures(parts, median_of(in_memory), median_of(journalled), statistics.median(disk))


def run(quick: bool) -> list[Row]:
    """Return the rows against the limit and against Flower."""
    figures = measure(rounds=5 if quick else ROUNDS, turns=1 if quick else 3)
    parts = ", ".join(f"{name} {duration(seconds)}" for name, seconds in figures.limit.items())
    size = f"FedAvg round, {PARTIES} parties × {PARAMETERS:,} float32"
    rows = [
        at_most(
            f"{size}, without the journal",
            str(figures.in_memory),
            f"limit {duration(figures.limit_s)}",
            figures.in_memory.median_s / figures.limit_s,
            3,
            f"limit: {parts}",
        )
    ]
    ours = figures.journalled
    name = f"{size}, with the journal"
    try:
        peer = flower_peer.measure_all(quick)
    except flower_peer.PeerUnavailable as error:
        return [*rows, Row(name, str(ours), note=f"Flower: {error}")]
    for timing, which in ((peer.recommended, "recommended"), (peer.fastest, "fastest of all")):
        other = timing.round_s
        gain = other.median_s / ours.median_s
        label = f"Flower, {timing.setting}: {other}"
        note = (
            f"Flower keeps no journal; the disk alone took {duration(figures.disk_s)} for this round's arrays"
        )
        if which == "recommended":
            rows.append(at_least(name, str(ours), label, gain, 2, note))
        else:
            rows.append(Row(name, str(ours), label, gain, note="Flower's fastest setting, for information"))
    return rows


def main() -> None:
    """Print our own figures; `python -m benchmarks` adds Flower's."""
    parser = argparse.ArgumentParser(description="Time FedAvg rounds beside their limit.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    figures = measure(parser.parse_args().rounds)
    print(f"limit              {duration(figures.limit_s)}")
    print(
        f"without journal    {figures.in_memory}: {figures.in_memory.median_s / figures.limit_s:.2f} × the limit"
    )
    print(f"with journal       {figures.journalled}; the disk alone: {duration(figures.disk_s)}")


if __name__ == "__main__":
    main()
