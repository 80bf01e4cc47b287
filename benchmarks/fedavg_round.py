"""How long is a FedAvg round of 10 parties × 1 M float32 parameters, in one process?

Without the journal beside its limit: numpy's weighted average of ten such models, SHA-256 of every byte that
travels (ten updates up, the model down to ten parties: 80 MB) and an Ed25519 signature made and checked for
each of these twenty messages. With the journal (SQLite and fsynced, sealed array files in ten homes and the
aggregator's) beside Flower's simulation of the same round in a venv of its own.

    python -m benchmarks.fedavg_round [--rounds 8] [--json FILE]
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from hansa.agents.data import Dataset, from_arrays
from hansa.agents.local import LocalFederation, Member
from hansa.agents.messages import JobSpec
from hansa.broker import Identity
from hansa.protocols import Array, Evaluation, FloatArray, ModelRegistry

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


def federated_rounds(journalled: bool, rounds: int, folder: Path | None = None) -> list[float]:
    """Return the seconds of each round after the first, from close to close."""
    generator = np.random.default_rng(0)
    members = []
    for party in range(PARTIES):
        rows = _rows(generator, party)
        members.append(Member(f"party-{party}", datasets={"rows": lambda rows=rows: rows}))  # type: ignore[misc]
    registry = ModelRegistry({"untrained": lambda shape: Untrained()})
    closed: list[float] = []
    with LocalFederation.found(members, journalled=journalled, registry=registry, folder=folder) as local:
        local.listen(
            lambda _, kind, fields: closed.append(time.perf_counter()) if kind == "round-closed" else None
        )
        local.register()
        local.run(_specification(rounds))
    return [later - earlier for earlier, later in zip(closed, closed[1:], strict=False)]


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


def measure(rounds: int = ROUNDS) -> dict[str, Any]:
    """Run both and the limit, interleaved with it; seconds are medians of the rounds after the first."""
    before = limit()
    without = federated_rounds(journalled=False, rounds=rounds)
    between = limit()
    journalled = federated_rounds(journalled=True, rounds=rounds)
    floor = {name: statistics.median([before[name], between[name]]) for name in before}
    total = sum(floor.values())
    return {
        "parties": PARTIES,
        "parameters": PARAMETERS,
        "rounds": rounds,
        "limit_s": total,
        "limit_parts_s": floor,
        "without_journal_s": statistics.median(without),
        "without_journal_range_s": [min(without), max(without)],
        "ratio_to_limit": statistics.median(without) / total,
        "with_journal_s": statistics.median(journalled),
        "with_journal_range_s": [min(journalled), max(journalled)],
    }


def main() -> None:
    """Print the figures; optionally write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = measure(arguments.rounds)
    print(json.dumps(figures, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
