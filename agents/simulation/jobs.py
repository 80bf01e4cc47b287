"""Which jobs are simulated, and on which rows? Small ones, whose ends a calm run tells."""

from dataclasses import replace
from functools import cache

import numpy as np

from hansa.agents.core.messages import JobSpec, Setting
from hansa.agents.data.rows import Dataset, from_arrays

PARTIES = ("east", "north", "west")
GUEST = "north"  # who has the labels in vertical jobs
KEEPER = "aggregator"
JOB = "simulated"
DATASET = "rows"
AGREED = "agreed"  # the keeper's, on which coalitions' models are valued
CUSTOMERS = "customers"  # of whom everybody knows other things


def specification(rounds: int = 3, quorum: int = 3, deadline_s: float = 3_600.0) -> JobSpec:
    """Return the simulated job: a small softmax model over three parties."""
    return JobSpec(
        job=JOB,
        protocol="horizontal-fedavg",
        model="softmax",
        dataset=DATASET,
        parties=PARTIES,
        classes=("no", "yes"),
        features=6,
        hyperparameters={"learning_rate": 0.5, "epochs": 1, "batch_rows": 8},
        settings={
            "rounds": rounds,
            "quorum": quorum,
            "round_deadline_s": deadline_s,
            "silence_s": 4 * deadline_s,
            "tol": 0.0,
            "patience": 0,
        },
        minimum_parties=quorum,
        consent_s=deadline_s,
        seed=11,
    )


def valued(method: str = "shapley", **changes: int) -> JobSpec:
    """Return the simulated job, with each party's contribution measured by valuing coalitions.

    Args:
        changes: as of `specification`.
    """
    how: dict[str, Setting] = {"method": method, "utility": "score", "validation": AGREED}
    return replace(specification(**changes), contribution=how)


def alignment(deadline_s: float = 3_600.0) -> JobSpec:
    """Return a job that finds the customers whom all parties have."""
    return _of_customers(
        "aligned", "alignment", (), {"block": 16, "silence_s": deadline_s, "deadline_s": 4 * deadline_s}
    )


def vertical(deadline_s: float = 3_600.0, **changes: Setting) -> JobSpec:
    """Return a job that trains on these customers: few rows, a tiny key, and a start that is everybody's.

    Args:
        changes: settings that differ from these.
    """
    settings: dict[str, Setting] = {
        "guest": GUEST,
        "alignment": "aligned",
        "epochs": 2,
        "tol": 0.0,
        "learning_rate": 0.5,
        "holdout": 0.0,
        "guard": False,
        "start_spread": 0.0,
        "key_bits": 512,
        "block": 32,
        "overdue_s": deadline_s,
        "give_up_s": 4 * deadline_s,
    }
    return _of_customers("trained", "vertical-logistic", ("no", "yes"), settings | changes)


def _of_customers(job: str, protocol: str, classes: tuple[str, ...], settings: dict[str, Setting]) -> JobSpec:
    return JobSpec(
        job=job,
        protocol=protocol,
        model="",
        dataset=CUSTOMERS,
        parties=PARTIES,
        classes=classes,
        features=0,
        hyperparameters={},
        settings=settings,
        minimum_parties=len(PARTIES),
        consent_s=3_600.0,
        seed=11,
    )


@cache
def rows(name: str) -> Dataset:
    """Return a party's rows: 40 + 10 × its place, from a plane with noise."""
    place = sorted((*PARTIES, KEEPER)).index(name)
    generator = np.random.default_rng(place)
    features = generator.normal(size=(40 + 10 * place, 6))
    target = np.where(features @ np.arange(1.0, 7.0) + generator.normal(size=len(features)) > 0, "yes", "no")
    return from_arrays(DATASET, features, target, holdout=0.25, regression=False, source=name)


def agreed() -> Dataset:
    """Return the keeper's rows, of the same kind."""
    return replace(rows(KEEPER), name=AGREED)


@cache
def customers(name: str) -> Dataset:
    """Return what a party knows of its customers, in an order of its own; 50 of them are everybody's."""
    place = PARTIES.index(name)
    generator = np.random.default_rng(100 + place)
    whose = generator.permutation(np.arange(5 * place, 60 + 5 * place))
    known = np.random.default_rng(99).normal(size=(100, 2 * len(PARTIES)))  # of every customer there is
    target = np.where(known.sum(axis=1) > 0, "yes", "no")[whose]
    features = known[whose, 2 * place : 2 * place + 2]
    dataset = from_arrays(CUSTOMERS, features, target, holdout=0.25, regression=False, source=name)
    return replace(dataset, ids=tuple(f"customer {each}" for each in whose))
