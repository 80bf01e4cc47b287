"""The demo's data and jobs, and how its figures are made and shown: the same over memory and over a broker."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits

from hansa.agents.cli.storyteller import shows
from hansa.agents.core.messages import JobSpec, Setting
from hansa.agents.errors import AgentError
from hansa.ledger import largest_remainder
from hansa.protocols import Workbench

PARTIES = {"north": "North Bank", "east": "East Clinic", "south": "South Shop", "west": "West Insurance"}
DATASET = "digits"
CONCENTRATION = 0.3  # of the Dirichlet split
CURRENCY_UNITS = 100  # cents
MOST_UNITS = 10**15  # of cents: more than there is

Counts = dict[str, NDArray[np.int64]]  # by party, how many rows of each digit


@dataclass(frozen=True, slots=True)
class Plan:
    """One job of the demo."""

    job: str
    title: str
    model: str
    rounds: int
    hyperparameters: Mapping[str, Setting]


PLANS = (
    Plan(
        "digits-softmax",
        "softmax regression",
        "softmax",
        30,
        {"learning_rate": 0.5, "epochs": 2, "batch_rows": 32},
    ),
    Plan(
        "digits-mlp",
        "two-layer network",
        "mlp",
        40,
        {"hidden": 64, "learning_rate": 0.1, "epochs": 2, "batch_rows": 32},
    ),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a model reached on the union of the held-out rows."""

    title: str
    federated: float
    pooled: float
    best_local: float
    best_party: str

    @property
    def delta(self) -> float:
        """The accuracy loss of federating."""
        return abs(self.federated - self.pooled)


def minor_units(pot: str) -> int:
    try:
        amount = Decimal(pot) * CURRENCY_UNITS
    except ArithmeticError:  # no number, or one beyond all bounds
        raise AgentError(f"--pot {pot}: not an amount such as 10000.00") from None
    if not (amount.is_finite() and 0 < amount <= MOST_UNITS and amount == amount.to_integral_value()):
        raise AgentError(f"--pot {pot}: expected a positive amount with at most two decimals")
    return int(amount)


def deal(folder: Path, seed: int) -> Counts:
    """Split the digits over the parties, write their files, and return how many of each digit each holds."""
    pixels, digits = load_digits(return_X_y=True)
    generator = np.random.default_rng(seed)
    owner = np.empty(len(digits), dtype=np.int64)
    for digit in range(10):
        rows = generator.permutation(np.flatnonzero(digits == digit))
        parts = generator.dirichlet([CONCENTRATION] * len(PARTIES))
        cuts = (np.cumsum(parts)[:-1] * len(rows)).round().astype(int)
        for party, chunk in enumerate(np.split(rows, cuts)):
            owner[chunk] = party
    counts = {}
    for party, name in enumerate(PARTIES):
        mine = np.flatnonzero(owner == party)
        frame = pl.DataFrame({"id": [f"image-{row:04d}" for row in mine]})
        columns = [pl.Series(f"p{place:02d}", pixels[mine, place] / 16.0) for place in range(pixels.shape[1])]
        frame.with_columns(*columns, pl.Series("digit", digits[mine])).write_csv(
            folder / name / f"{DATASET}.csv"
        )
        counts[name] = np.bincount(digits[mine], minlength=10)
    return counts


def write_data(folder: Path, seed: int) -> dict[Path, int]:
    """Write each party's rows to ``folder/PARTY/digits.csv``; return how many rows stand in which file.

    Raises:
        AgentError: one of the files is there already; nothing is written then.
    """
    files = [folder / name / f"{DATASET}.csv" for name in PARTIES]
    for file in files:
        if file.exists():
            raise AgentError(f"{file}: exists; name another folder, or remove it")
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
    counts = deal(folder, seed)
    return {file: int(counts[file.parent.name].sum()) for file in files}


def specification(plan: Plan, seed: int) -> JobSpec:
    return JobSpec(
        job=plan.job,
        protocol="horizontal-fedavg",
        model=plan.model,
        dataset=DATASET,
        parties=tuple(sorted(PARTIES)),
        classes=tuple(str(digit) for digit in range(10)),
        features=64,
        hyperparameters=dict(plan.hyperparameters),
        settings={
            "rounds": plan.rounds,
            "quorum": 3,
            "round_deadline_s": 30.0,
            "silence_s": 120.0,
            "tol": 0.0,
            "patience": 0,
        },
        minimum_parties=3,
        consent_s=30.0,
        seed=seed,
    )


def compare(spec: JobSpec, plan: Plan, benches: Mapping[str, Workbench], federated: float) -> Figures:
    """Return what a federated model's score is worth beside the pooled rows' model and the best party's own."""
    test = _union([bench.holdout() for bench in benches.values()])
    pooled = _train_alone(spec, plan, list(benches.values()), test)
    alone = {name: _train_alone(spec, plan, [bench], test) for name, bench in benches.items()}
    best = max(sorted(alone), key=lambda name: alone[name])
    return Figures(plan.title, federated, pooled, alone[best], best)


def _union(parts: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
    return np.concatenate([X for X, _ in parts]), np.concatenate([y for _, y in parts])


def _train_alone(spec: JobSpec, plan: Plan, benches: Sequence[Workbench], test: tuple[Any, Any]) -> float:
    """Return the accuracy of the same learner on these parties' rows together, after as many passes."""
    X, y = _union([bench.training() for bench in benches])
    model = benches[0].model()
    for round_number in range(plan.rounds):
        model.fit(X, y, spec.seed + round_number)
    return model.evaluate(*test).score


def print_members(console: Console, members: Iterable[str], counts: Counts) -> None:
    console.print("joined, and how many rows of each digit they hold:")
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("agent", no_wrap=True)
    table.add_column("organisation", no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    for digit in range(10):
        table.add_column(str(digit), justify="right", no_wrap=True)
    for name in members:
        rows = counts.get(name)
        if rows is None:
            table.add_row(name, "keeps the ledger")
        else:
            table.add_row(name, PARTIES[name], str(int(rows.sum())), *(str(count) for count in rows.tolist()))
    console.print(table)


def print_figures(console: Console, figures: Sequence[Figures]) -> None:
    console.print("\naccuracy on the union of held-out rows:")
    table = Table(box=None, header_style="bold")
    table.add_column("model")
    for column in ("V_FED", "V_SUM", "δ" if shows(console, "δ") else "delta", "best local-only"):
        table.add_column(column, justify="right")
    for each in figures:
        table.add_row(
            each.title,
            f"{each.federated:.1%}",
            f"{each.pooled:.1%}",
            f"{100 * each.delta:.1f} points",
            f"{each.best_local:.1%} ({each.best_party})",
        )
    console.print(table)


def print_shares(
    console: Console, rows: Mapping[str, int], pot_minor: int, of: str = "training rows", unit: str = "rows"
) -> None:
    amounts = largest_remainder(pot_minor, rows)
    total = sum(rows.values())
    console.print(f"\nshares by data volume ({of}):")
    table = Table(box=None, header_style="bold")
    table.add_column("party")
    for column in (unit, "share", "EUR"):
        table.add_column(column, justify="right")
    for name in sorted(amounts, key=lambda name: -amounts[name]):
        table.add_row(
            name, str(rows[name]), f"{rows[name] / total:.1%}", f"{amounts[name] / CURRENCY_UNITS:,.2f}"
        )
    table.add_row("pot", str(total), "", f"{pot_minor / CURRENCY_UNITS:,.2f}", style="dim")
    console.print(table)
