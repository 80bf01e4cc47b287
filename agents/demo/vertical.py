"""A bank and a shop know the same customers, three laboratories the same patients: what does joining columns gain?

Two jobs on scikit-learn's data sets, each after an alignment, with keys of real size:

    breast cancer   logistic; the bank has the labels and 10 columns, the shop 20; customers overlap in part
    diabetes        linear; the clinic has the targets and 4 columns, two hosts 3 each

Every figure is taken on the same held-out rows:

    V_FED   the federated model
    V_SUM   the same learner in plaintext on the pooled columns, same rows, same number of epochs
    local   the same learner on the guest's own columns
    δ       |V_FED - V_SUM|, the accuracy loss of Yang et al. 2019, section 2.1

At last the bank asks for customers that no training has seen, and learns which class they are in, not the shop's
part of their scores: the arbiter adds up shares that are masked.
"""

import dataclasses
import os
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_breast_cancer, load_diabetes

from hansa.agents.cli.storyteller import shows
from hansa.agents.core.messages import JobSpec, Setting
from hansa.agents.core.policy import read_settings
from hansa.agents.demo.digits import minor_units, print_shares
from hansa.agents.demo.folder import clear, found, print_farewell
from hansa.agents.demo.pooled import score_alone
from hansa.agents.errors import AgentError
from hansa.agents.local import LocalFederation, Member
from hansa.ledger import verify_store
from hansa.protocols import Array, protocol
from hansa.protocols.inference import Scored

FEDERATION = "vertical-demo"
ARBITER = "arbiter"
NEWCOMERS = "newcomers"
NEW = 8  # customers whom both know and no training sees
OVERLAP = 0.92  # of all rows that a party knows
STRANGERS = 2  # of the newcomers, whom the shop does not know
SERVED_ROWS = 100  # of predictions a day that a host helps with

PHASES = {
    "blind": "alignment: X25519",
    "raise": "alignment: X25519",
    "make-key": "keys of 2048 bits",
    "score": "encrypt scores",
    "residual": "residuals, masked afresh",
    "fold": "columns × encrypted residuals",
    "seal": "pack and mask gradients",
    "open": "open gradients",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """One training of the demo.

    Attributes:
        holders: by party, the guest first: its organisation, and which columns it has.
        target: the guest's column.
        classes: what it calls 0 and 1; none if the target is a number.
    """

    job: str
    title: str
    protocol: str
    metric: str
    dataset: str
    target: str
    classes: tuple[str, ...]
    holders: Mapping[str, tuple[str, slice]]
    settings: Mapping[str, Setting]

    @property
    def guest(self) -> str:
        """The party that holds the target."""
        return next(iter(self.holders))


PLANS = (
    Plan(
        "cancer-logistic",
        "logistic regression on breast cancer",
        "vertical-logistic",
        "AUC",
        "customers",
        "diagnosis",
        ("benign", "malignant"),
        {"bank": ("Harbour Bank", slice(0, 10)), "shop": ("Corner Shop", slice(10, 30))},
        {"epochs": 25, "learning_rate": 0.4, "penalty": 0.05, "tol": 0.0, "holdout": 0.3},
    ),
    Plan(
        "diabetes-linear",
        "linear regression on diabetes",
        "vertical-linear",
        "R²",
        "patients",
        "progression",
        (),
        {
            "clinic": ("West Clinic", slice(0, 4)),
            "insurer": ("East Insurance", slice(4, 7)),
            "laboratory": ("South Laboratory", slice(7, 10)),
        },
        {"epochs": 20, "learning_rate": 0.3, "penalty": 0.001, "tol": 0.0},
    ),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a model reached on so many rows held out, and how long an epoch took, all in all, seconds."""

    plan: Plan
    federated: float
    pooled: float
    alone: float
    rows: int
    epoch_s: float


def run_demo(folder: Path, *, replace: bool, seed: int, pot: str, console: Console) -> list[Figures]:
    """Run alignments, trainings and a joint prediction, print what happens, and leave the homes in `folder`.

    Raises:
        AgentError: the folder is in use, the pot is no amount of money, or a job failed.
    """
    pot_minor = minor_units(pot)
    names = [name for plan in PLANS for name in plan.holders]
    clear(folder, replace, [ARBITER, *names])
    started = time.monotonic()
    console.print(
        "[bold]hansa demo vertical[/]: one process, memory transport, SQLite ledger, 2048-bit keys",
        highlight=False,
    )
    members = [_member(plan, name) for plan in PLANS for name in plan.holders]
    with found(folder, members, FEDERATION, ARBITER, "the vertical demo") as local:
        tables = [_deal(folder, plan, seed) for plan in PLANS]
        local.register()
        _print_holdings(console, tables)
        figures = [
            _train(console, local, plan, table, seed) for plan, table in zip(PLANS, tables, strict=True)
        ]
        _predict(console, local, PLANS[0], tables[0], seed)
        weights = local.result(PLANS[0].job).cells
        local.settle()
        spent = _spent(local)
        agent = local.coordinator
        verified = verify_store(agent.clerk.store, fingerprint=bytes.fromhex(agent.config.federation.charter))
    _print_figures(console, figures)
    _print_times(console, spent)
    print_shares(console, weights, pot_minor, f"of {PLANS[0].job}: training rows × columns", "cells")
    console.print(
        f"\nledger verified: {verified.head.size} entries, head {verified.head.hash.hex()[:16]}   "
        f"({time.monotonic() - started:.0f} s in all)",
        highlight=False,
    )
    print_farewell(console, folder, PLANS[0].guest)
    return figures


# --- the data -------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Deal:
    """A data set over several parties.

    Attributes:
        X, y: all rows; y is 0 and 1, or numbers.
        rows: by party, the rows that it knows, in its own order.
    """

    plan: Plan
    X: Array
    y: Array
    rows: Mapping[str, Array]


def _member(plan: Plan, name: str) -> Member:
    target = {"target": plan.target} if name == plan.guest else {}
    data: dict[str, Any] = {plan.dataset: {"file": f"{plan.dataset}.csv", **target}}
    policy = {"coordinators": [ARBITER], "served_rows": SERVED_ROWS}
    if plan.classes and name == plan.guest:
        data[NEWCOMERS] = {"file": f"{NEWCOMERS}.csv"}
    return Member(name, plan.holders[name][0], config={"data": data, "policy": policy})


def _deal(folder: Path, plan: Plan, seed: int) -> Deal:
    """Write the parties' files; each knows most rows, and lists them in an order of its own."""
    bunch = load_breast_cancer() if plan.classes else load_diabetes()
    X, y = bunch.data, 1 - bunch.target if plan.classes else bunch.target  # scikit-learn's 0 is malignant
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(X))
    settled, new, strangers = order, order[:0], order[:0]
    if plan.classes:
        # Newcomers of both classes, in turn; the strangers are the last of them.
        pairs = np.stack([order[y[order] == label][: (NEW + STRANGERS) // 2] for label in (0, 1)], axis=1)
        new, strangers = np.split(pairs.ravel(), [NEW])
        settled = order[~np.isin(order, pairs)]
    rows: dict[str, Array] = {}
    for party, (_, part) in plan.holders.items():
        names = [str(name).replace(" ", "_") for name in bunch.feature_names[part]]

        def write(rows: Array, file: str, *more: pl.Series) -> None:
            ids = pl.Series("id", [f"{plan.dataset[:-1]}-{row:03d}" for row in rows])
            frame = pl.DataFrame(X[rows, part], schema=names).insert_column(0, ids)  # noqa: B023
            frame.with_columns(*more).write_csv(folder / party / f"{file}.csv")  # noqa: B023

        known = rows[party] = generator.permutation(settled)[: round(OVERLAP * len(settled))]
        if party == plan.guest:
            target = [plan.classes[row] for row in y[known]] if plan.classes else y[known]
            write(known, plan.dataset, pl.Series(plan.target, target))
            if plan.classes:
                write(np.concatenate([new, strangers]), NEWCOMERS)
        else:
            here = np.concatenate([known, new]) if plan.classes else known
            write(generator.permutation(here), plan.dataset)
    return Deal(plan, X, y, rows)


def write_data(folder: Path, seed: int) -> dict[Path, int]:
    """Write the tables of the bank and the shop to FOLDER/PARTY, as the demo has them; return each one's rows.

    Raises:
        AgentError: one of the files is there already; nothing is written then.
    """
    plan = PLANS[0]
    files = [folder / party / f"{plan.dataset}.csv" for party in plan.holders]
    files.append(folder / plan.guest / f"{NEWCOMERS}.csv")
    for file in files:
        if file.exists():
            raise AgentError(f"{file}: exists; name another folder, or remove it")
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
    _deal(folder, plan, seed)
    return {file: pl.read_csv(file).height for file in files}


# --- the jobs -------------------------------------------------------------------------------------------
def _job(plan: Plan, job: str, protocol: str, settings: dict[str, Setting], seed: int) -> JobSpec:
    parties = tuple(sorted(plan.holders))
    return JobSpec(
        job=job,
        protocol=protocol,
        model="",
        dataset=plan.dataset,
        parties=parties,
        classes=plan.classes if protocol == plan.protocol else (),
        features=0,
        hyperparameters={},
        settings=settings,
        minimum_parties=len(parties),
        consent_s=30.0,
        seed=seed,
    )


def _train(console: Console, local: LocalFederation, plan: Plan, deal: Deal, seed: int) -> Figures:
    console.print(
        f"\n[bold]{plan.title}[/]: {', '.join(plan.holders)}, and the arbiter with the key", highlight=False
    )
    began = time.monotonic()
    aligned = f"{plan.job}-rows"
    local.run(_job(plan, aligned, "alignment", {}, seed))
    order = local.result(aligned, plan.guest).rows
    known = ", ".join(f"{name} knows {len(rows)}" for name, rows in deal.rows.items())
    console.print(
        f"  aligned in {time.monotonic() - began:.1f} s: {known}; {len(order)} rows in common",
        highlight=False,
    )
    settings = {**plan.settings, "guest": plan.guest, "alignment": aligned}
    spec = _job(plan, plan.job, plan.protocol, settings, seed)
    over = threading.Event()
    local.listen(lambda *event: None if over.is_set() else _print_epoch(console, plan, *event))
    began = time.monotonic()
    local.run(spec)
    took_s = time.monotonic() - began
    over.set()
    done = local.result(plan.job)
    places = deal.rows[plan.guest][order]
    columns = [deal.X[places, part] for _, part in plan.holders.values()]
    learner = read_settings(protocol(plan.protocol), spec)
    pooled = score_alone(columns, deal.y[places], learner, seed)
    alone = score_alone(columns[:1], deal.y[places], learner, seed)
    return Figures(plan, done.score, pooled, alone, done.rows, took_s / done.epochs)


def _print_epoch(console: Console, plan: Plan, sender: str, kind: str, fields: dict[str, Any]) -> None:
    if kind == "epoch-ended" and (sender, fields.get("job")) == (plan.guest, plan.job):
        epochs = plan.settings["epochs"]
        console.print(f"  epoch {fields['epoch']:>2}/{epochs}  loss {fields['loss']:.4f}", highlight=False)


def _predict(console: Console, local: LocalFederation, plan: Plan, deal: Deal, seed: int) -> None:
    """Have the guest ask for rows that no training has seen; it leads that job itself."""
    hosts = tuple(name for name in plan.holders if name != plan.guest)
    settings: dict[str, Setting] = {
        "model": plan.job,
        "output": "label",
        "arbiter": ARBITER,
        "rows": NEWCOMERS,
        "most_rows": NEW + STRANGERS,
    }
    job = f"{plan.job}-p1"
    spec = _job(plan, job, "vertical-inference", settings, seed)
    parties = tuple(sorted((*hosts, ARBITER)))
    began = time.monotonic()
    local.run(
        dataclasses.replace(spec, parties=parties, minimum_parties=len(parties)), coordinator=plan.guest
    )
    scored: Scored = local.result(job, plan.guest)
    console.print(
        f"\n[bold]joint prediction[/] for {len(scored.ids)} new customers of the {plan.guest}, "
        f"{time.monotonic() - began:.1f} s; the {plan.guest} learns labels only:",
        highlight=False,
    )
    table = Table(box=None, header_style="bold", pad_edge=True)
    for column in ("customer", "prediction", "truth"):
        table.add_column(column)
    said = iter(scored.values.tolist())
    right = 0
    for name, held in zip(scored.ids, scored.known.tolist(), strict=True):
        if not held:
            table.add_row(name, "not known to all", "", style="dim")
            continue
        label, truth = plan.classes[next(said)], plan.classes[int(deal.y[int(name.rsplit("-", 1)[1])])]
        right += label == truth
        table.add_row(name, label, truth)
    console.print(table)
    console.print(f"  {right} of {int(scored.known.sum())} right", highlight=False)


# --- what is printed --------------------------------------------------------------------------------------
def _print_holdings(console: Console, deals: Iterable[Deal]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("agent", "organisation", "data set"):
        table.add_column(column)
    for column in ("rows", "columns"):
        table.add_column(column, justify="right")
    table.add_column("holds the")
    for deal in deals:
        for name, (organisation, part) in deal.plan.holders.items():
            target = deal.plan.target if name == deal.plan.guest else ""
            width = str(deal.X[:, part].shape[1])
            table.add_row(name, organisation, deal.plan.dataset, str(len(deal.rows[name])), width, target)
    table.add_row(ARBITER, "", "", "", "", "key, and the ledger")
    console.print(table)


def _print_figures(console: Console, figures: Iterable[Figures]) -> None:
    console.print("\non the rows held out, which the alignment draws anew in every run:")
    table = Table(box=None, header_style="bold")
    table.add_column("model")
    for column in (
        "rows",
        "metric",
        "V_FED",
        "V_SUM",
        "δ" if shows(console, "δ") else "delta",
        "guest alone",
        "epoch",
    ):
        table.add_column(column, justify="right")
    for each in figures:
        table.add_row(
            each.plan.title,
            str(each.rows),
            each.plan.metric,
            f"{each.federated:.4f}",
            f"{each.pooled:.4f}",
            f"{abs(each.federated - each.pooled):.4f}",
            f"{each.alone:.4f}",
            f"{each.epoch_s:.2f} s",
        )
    console.print(table)


def _print_times(console: Console, spent: Mapping[str, float]) -> None:
    cores = os.cpu_count() or 1
    console.print(f"\nseconds of computing, all roles together, on {cores} cores:")
    table = Table(box=None, show_header=False)
    table.add_column("phase")
    table.add_column("seconds", justify="right")
    for phase, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        table.add_row(phase, f"{seconds:.2f}")
    console.print(table)


def _spent(local: LocalFederation) -> dict[str, float]:
    """Return how long each phase has kept processors busy, at all agents."""
    spent: dict[str, float] = {}
    for name in local.agents:
        for function, seconds in local.ask(name, lambda agent: dict(agent.spent_s)).items():
            phase = PHASES.get(function, "the rest")
            spent[phase] = spent.get(phase, 0.0) + seconds
    return spent
