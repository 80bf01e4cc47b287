"""A bank with customers to be scored, shops that know most of them, and a model that was trained before."""

from dataclasses import replace
from typing import Any

import numpy as np

from hansa.protocols.inference.job import InferenceSettings
from hansa.protocols.inference.rehearsal import Rehearsal, TableWorkbench, rehearse
from hansa.protocols.model import FloatArray
from hansa.protocols.pairwise import UintArray, decode64
from hansa.protocols.preparation import fit
from hansa.protocols.vertical import OwnCoefficients
from tests.protocols.transcript import Transcript, told

BANK, SHOP, TELCO, HUB = "bank", "shop", "telco", "hub"
MODEL = "credit"
ROWS = 8
IDS = tuple(f"customer {row}" for row in range(ROWS))
# By party, the rows that it has never heard of.
UNKNOWN: dict[str, tuple[int, ...]] = {BANK: (), SHOP: (2,), TELCO: (2, 5)}
DECILES = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)

SCORE = InferenceSettings(MODEL, "score")
LABEL = InferenceSettings(MODEL, "label", HUB)
DECILE = InferenceSettings(MODEL, "decile", HUB)


def tables(seed: int = 0) -> dict[str, dict[str, FloatArray]]:
    """Return by party two columns of all rows, in the order of ``IDS``."""
    random = np.random.default_rng(seed)
    return {
        name: {f"{name} {column}": random.normal(3.0, 2.0, ROWS) for column in "ab"}
        for name in (BANK, SHOP, TELCO)
    }


def coefficients(hosts: int = 2, logistic: bool = True, **changes: Any) -> dict[str, OwnCoefficients]:
    """Return everybody's part of a model."""
    names = (SHOP, TELCO)[:hosts]
    thetas = {BANK: [0.9, -1.2], SHOP: [1.4, 0.7], TELCO: [-0.8, 1.1]}
    return {
        name: replace(
            OwnCoefficients(
                theta=np.array(thetas[name]), intercept=0.25 if name == BANK else 0.0,
                preparation=fit(tables()[name], standardise=True), role="guest" if name == BANK else "host",
                guest=BANK, hosts=names, logistic=logistic, losses=(), epochs=1, salt=b"", parts={},
                digest=b"d" * 32, loss=None, score=None, metric="", rows=0,
                deciles=DECILES if name == BANK else (),
            ),
            **changes,
        )
        for name in (BANK, *names)
    }  # fmt: skip


def bench(name: str, rows: tuple[int, ...] | None = None) -> TableWorkbench:
    """Return a party's rows, in an order of its own; all but the unknown ones, if none are named."""
    held = rows if rows is not None else tuple(row for row in range(ROWS) if row not in UNKNOWN[name])
    own = held if name == BANK else held[::-1]
    return TableWorkbench(
        tuple(IDS[row] for row in own),
        {column: values[list(own)] for column, values in tables()[name].items()},
    )


def partial(name: str) -> FloatArray:
    """Return a party's part of all rows' scores, in plain text, in the order of ``IDS``."""
    part = coefficients()[name]
    return np.asarray(part.preparation.apply(tables()[name]) @ part.theta + part.intercept)


def truth(hosts: int = 2) -> FloatArray:
    """Return what a plaintext model says of all rows, in the order of ``IDS``."""
    return np.asarray(np.sum([partial(name) for name in (BANK, SHOP, TELCO)[: hosts + 1]], axis=0))


def common(hosts: int = 2) -> list[int]:
    """Return the rows that everybody has."""
    lost = {row for name in (BANK, SHOP, TELCO)[: hosts + 1] for row in UNKNOWN[name]}
    return [row for row in range(ROWS) if row not in lost]


def laid_out(settings: InferenceSettings, hosts: int = 2, logistic: bool = True) -> Rehearsal:
    """Return a job, ready to run."""
    parts = coefficients(hosts, logistic)
    return rehearse(parts, {name: bench(name) for name in parts}, settings)


def plain(numbers: UintArray, settings: InferenceSettings) -> FloatArray:
    """Return what a share says to somebody who knows no masks."""
    return decode64(numbers, settings.score_bits)


def play(laid: Rehearsal) -> Transcript:
    """Run a job without trouble."""
    return told(laid)
