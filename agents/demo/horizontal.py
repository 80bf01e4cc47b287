"""Four parties, one digits data set split unevenly, two models: what does federating gain, and who earned what?

The split is Dirichlet(0.3) by class (Hsu et al. 2019), so that some parties hardly know some digits. Every
figure is taken on the union of the parties' held-out rows:

    V_FED   the federated model
    V_SUM   the same learner on the pooled training rows, as many passes, same seed
    local   the best of the parties training alone
    δ       |V_FED - V_SUM|, the accuracy loss of Yang et al. 2019, section 2.1
"""

import shlex
import shutil
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sklearn.datasets import load_digits

from hansa.agents.errors import AgentError
from hansa.agents.home import find_homes
from hansa.agents.local import AGGREGATOR, LocalFederation, Member
from hansa.agents.messages import JobSpec, Setting
from hansa.agents.workshop import workbench
from hansa.ledger import largest_remainder, verify_store
from hansa.protocols import Evaluation, ModelRegistry, Workbench

PARTIES = {"north": "North Bank", "east": "East Clinic", "south": "South Shop", "west": "West Insurance"}
DATASET = "digits"
CONCENTRATION = 0.3  # of the Dirichlet split
CURRENCY_UNITS = 100  # cents
MOST_UNITS = 10**15  # of cents: more than there is
FEDERATION = "digits-demo"
MARKER = ".hansa-demo"  # lies in a demo's folder before anything else does
FOUNDING = ".founding"  # where the homes lie until all of them are made


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


def run_demo(folder: Path, *, replace: bool, seed: int, pot: str, console: Console) -> list[Figures]:
    """Run both jobs, print what happens, and leave the homes in `folder`.

    Raises:
        AgentError: the folder is in use, the pot is no amount of money, or a job failed.
    """
    pot_minor = _minor_units(pot)
    _clear(folder, replace)
    started = time.monotonic()
    members = [
        Member(
            name,
            organisation,
            config={"data": {DATASET: {"file": "digits.csv", "id": "id", "target": "digit"}}},
        )
        for name, organisation in PARTIES.items()
    ]
    console.print(
        "[bold]hansa demo horizontal[/]: one process, memory transport, SQLite ledger", highlight=False
    )
    with _found(folder, members) as local:
        counts = _deal(folder, seed)
        local.register()
        _print_members(console, local, counts)
        figures = [_run_plan(console, local, plan, seed) for plan in PLANS]
        rows = local.coordinator.result(PLANS[-1].job).rows
        local.settle()
        agent = local.coordinator
        verified = verify_store(agent.clerk.store, fingerprint=bytes.fromhex(agent.config.federation.charter))
    _print_figures(console, figures)
    _print_shares(console, rows, pot_minor)
    console.print(
        f"\nledger verified: {verified.head.size} entries, head {verified.head.hash.hex()[:16]}   "
        f"({time.monotonic() - started:.0f} s in all)",
        highlight=False,
    )
    shown, typed = escape(str(folder)), escape(shlex.quote(str(folder)))
    hansa = escape(shlex.quote(_command()))
    console.print(
        f"\nLeft in [bold]{shown}[/]: the homes of all agents, each with its copy of the ledger. Try:\n"
        f"  {hansa} ledger show {typed} --last 12\n"
        f"  {hansa} ledger verify {typed}\n"
        f"Then change any byte of an entry in {shown}/north/ledger.sqlite, and verify again.",
        highlight=False,
        soft_wrap=True,
    )
    return figures


def _minor_units(pot: str) -> int:
    try:
        amount = Decimal(pot) * CURRENCY_UNITS
    except ArithmeticError:  # no number, or one beyond all bounds
        raise AgentError(f"--pot {pot}: not an amount such as 10000.00") from None
    if not (amount.is_finite() and 0 < amount <= MOST_UNITS and amount == amount.to_integral_value()):
        raise AgentError(f"--pot {pot}: expected a positive amount with at most two decimals")
    return int(amount)


def _clear(folder: Path, replace: bool) -> None:
    """Remove an earlier demo's folder, and nothing else."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not replace:
        raise AgentError(f"{folder}: not empty; choose another --folder, or --replace an earlier demo")
    if not (folder / MARKER).is_file():
        raise AgentError(f"{folder}: not an earlier demo's folder (no {MARKER} in it); nothing removed")
    strangers = sorted({path.name for path in folder.iterdir()} - {MARKER, FOUNDING, AGGREGATOR, *PARTIES})
    if strangers:
        raise AgentError(f"{folder}: not an earlier demo's folder ({strangers[0]}); nothing removed")
    for path in folder.iterdir():
        if path.name != MARKER:  # it stays, so that a removal cut short can be taken up again
            shutil.rmtree(path)


def _found(folder: Path, members: Sequence[Member]) -> LocalFederation:
    """Found the federation in a folder that says from the first moment whose it is."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / MARKER).touch()
    founding = folder / FOUNDING
    with LocalFederation.found(members, federation=FEDERATION, folder=founding, purpose="the digits demo"):
        pass
    for home in find_homes(founding):
        home.path.rename(folder / home.path.name)
    founding.rmdir()
    return LocalFederation.open(folder)


def _command() -> str:
    """Return how `hansa` is called from here: by its name, or by its path where the shell doesn't know it."""
    installed = Path(sys.prefix, "bin", "hansa")
    if shutil.which("hansa") or not installed.exists():
        return "hansa"
    here = Path.cwd()
    return str(installed.relative_to(here) if installed.is_relative_to(here) else installed)


def _shows(console: Console, text: str) -> bool:
    try:
        text.encode(console.encoding)
    except UnicodeEncodeError:
        return False
    return True


def _deal(folder: Path, seed: int) -> dict[str, np.ndarray[Any, np.dtype[np.int64]]]:
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
        frame.with_columns(*columns, pl.Series("digit", digits[mine])).write_csv(folder / name / "digits.csv")
        counts[name] = np.bincount(digits[mine], minlength=10)
    return counts


def _specification(plan: Plan, seed: int) -> JobSpec:
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


def _run_plan(console: Console, local: LocalFederation, plan: Plan, seed: int) -> Figures:
    spec = _specification(plan, seed)
    console.print(f"\n[bold]{plan.title}[/], FedAvg, {plan.rounds} rounds", highlight=False)
    over = threading.Event()
    full = "█" if _shows(console, "█") else "#"

    def progress(sender: str, kind: str, fields: dict[str, Any]) -> None:
        if sender != local.keeper or fields.get("job") != plan.job or over.is_set():
            return
        if kind == "model-evaluated":
            bar = full * round(30 * float(fields["score"]))
            console.print(
                f"  round {fields['round']:>2}/{plan.rounds}  loss {fields['loss']:.4f}  "
                f"accuracy {fields['score']:6.1%}  {bar}",
                highlight=False,
            )
        elif kind == "round-closed" and fields["missing"]:
            console.print(
                f"  round {fields['round']:>2}: without {', '.join(fields['missing'])}", style="yellow"
            )

    local.listen(progress)
    local.run(spec)
    over.set()
    federated: Evaluation = local.coordinator.result(plan.job).evaluation
    registry = ModelRegistry()
    benches = {
        name: workbench(spec, registry, local.agents[name].datasets, "party") for name in sorted(PARTIES)
    }
    test = _union([bench.holdout() for bench in benches.values()])
    pooled = _train_alone(spec, plan, list(benches.values()), test)
    alone = {name: _train_alone(spec, plan, [bench], test) for name, bench in benches.items()}
    best = max(sorted(alone), key=lambda name: alone[name])
    return Figures(plan.title, federated.score, pooled, alone[best], best)


def _union(parts: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
    return np.concatenate([X for X, _ in parts]), np.concatenate([y for _, y in parts])


def _train_alone(spec: JobSpec, plan: Plan, benches: Sequence[Workbench], test: tuple[Any, Any]) -> float:
    """Return the accuracy of the same learner on these parties' rows together, after as many passes."""
    X, y = _union([bench.training() for bench in benches])
    model = benches[0].model()
    for round_number in range(plan.rounds):
        model.fit(X, y, spec.seed + round_number)
    return model.evaluate(*test).score


def _print_members(console: Console, local: LocalFederation, counts: Mapping[str, Any]) -> None:
    console.print("joined, and how many rows of each digit they hold:")
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("agent", no_wrap=True)
    table.add_column("organisation", no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    for digit in range(10):
        table.add_column(str(digit), justify="right", no_wrap=True)
    for name in local.coordinator.clerk.standing.members:
        rows = counts.get(name)
        if rows is None:
            table.add_row(name, "keeps the ledger")
        else:
            table.add_row(name, PARTIES[name], str(int(rows.sum())), *(str(count) for count in rows.tolist()))
    console.print(table)


def _print_figures(console: Console, figures: Sequence[Figures]) -> None:
    console.print("\naccuracy on the union of held-out rows:")
    table = Table(box=None, header_style="bold")
    table.add_column("model")
    for column in ("V_FED", "V_SUM", "δ" if _shows(console, "δ") else "delta", "best local-only"):
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


def _print_shares(console: Console, rows: Mapping[str, int], pot_minor: int) -> None:
    amounts = largest_remainder(pot_minor, rows)
    total = sum(rows.values())
    console.print("\nshares by data volume (training rows):")
    table = Table(box=None, header_style="bold")
    table.add_column("party")
    for column in ("rows", "share", "EUR"):
        table.add_column(column, justify="right")
    for name in sorted(amounts, key=lambda name: -amounts[name]):
        table.add_row(
            name, str(rows[name]), f"{rows[name] / total:.1%}", f"{amounts[name] / CURRENCY_UNITS:,.2f}"
        )
    table.add_row("pot", str(total), "", f"{pot_minor / CURRENCY_UNITS:,.2f}", style="dim")
    console.print(table)
