"""Small federations for tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hansa.agents.core.messages import JobSpec
from hansa.agents.data.rows import Dataset, from_arrays
from hansa.agents.local import LocalFederation, Member
from hansa.protocols import ModelRegistry

PARTIES = ("east", "north", "west")
FEATURES = 4


def rows(name: str, count: int = 60) -> Dataset:
    """Return a party's rows: two classes, parted by a plane."""
    generator = np.random.default_rng(sum(name.encode()))
    features = generator.normal(size=(count, FEATURES))
    target = np.where(features @ np.array([1.0, -2.0, 0.5, 0.0]) > 0, "yes", "no")
    return from_arrays("rows", features, target, holdout=0.25, regression=False, source=f"party {name}")


def lender(dataset: Dataset) -> Callable[[], Dataset]:
    return lambda: dataset


def found(
    folder: Path | None = None,
    *,
    journalled: bool = True,
    parties: tuple[str, ...] = PARTIES,
    registry: ModelRegistry | None = None,
    config: dict[str, dict[str, Any]] | None = None,
) -> LocalFederation:
    """Found a federation whose parties hold `rows`, registered."""
    members = [
        Member(name, f"{name} org", {"rows": lender(rows(name))}, (config or {}).get(name, {}))
        for name in parties
    ]
    local = LocalFederation.found(members, folder=folder, journalled=journalled, registry=registry)
    local.register()
    return local


def specification(job: str = "trial", **changes: Any) -> JobSpec:
    """Return a small job; `settings` and every field can be changed."""
    settings = {"rounds": 3, "quorum": 3, "round_deadline_s": 30.0, "silence_s": 120.0} | changes.pop(
        "settings", {}
    )
    fields: dict[str, Any] = {
        "job": job,
        "protocol": "horizontal-fedavg",
        "model": "softmax",
        "dataset": "rows",
        "parties": PARTIES,
        "classes": ("no", "yes"),
        "features": FEATURES,
        "hyperparameters": {"learning_rate": 0.5, "epochs": 1, "batch_rows": 16},
        "settings": settings,
        "minimum_parties": 3,
        "consent_s": 30.0,
        "seed": 4,
    }
    return JobSpec(**(fields | changes))
