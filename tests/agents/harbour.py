"""Two or three organisations with columns of the same customers, and an arbiter: for tests of vertical jobs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from hansa.agents.core.messages import JobSpec, Setting
from hansa.agents.jobs.jobfile import read_job
from hansa.agents.local import LocalFederation, Member

ARBITER, BANK, SHOP = "arbiter", "bank", "shop"
KNOWN = {BANK: range(0, 90), SHOP: range(10, 100)}  # customers
CLASSES = ("bad", "good")
COLUMNS = {BANK: ("age", "income"), SHOP: ("visits", "spent")}
TRIAL: dict[str, Setting] = {
    "key_bits": 512,
    "guard": False,
    "epochs": 4,
    "learning_rate": 0.3,
    "holdout": 0.4,
}
SERVES = 10_000  # rows a day

_generator = np.random.default_rng(11)
_ALL = {name: _generator.normal(size=(100, len(columns))) for name, columns in COLUMNS.items()}
_SCORE = _ALL[BANK] @ [1.0, -0.5] + _ALL[SHOP] @ [0.7, 0.3]


def table(name: str, dataset: str = "customers") -> pl.DataFrame:
    """Return a party's table, its rows in an order of its own; the bank's has labels, or in "values" numbers."""
    rows = np.random.default_rng(len(name)).permutation(list(KNOWN[name]))
    frame = pl.DataFrame({"id": [f"c-{row}" for row in rows]}).with_columns(
        pl.Series(column, _ALL[name][rows, place]) for place, column in enumerate(COLUMNS[name])
    )
    if name != BANK:
        return frame
    if dataset == "values":
        return frame.with_columns(pl.Series("worth", _SCORE[rows]))
    return frame.with_columns(pl.Series("standing", [CLASSES[int(score > 0)] for score in _SCORE[rows]]))


def members() -> list[Member]:
    """Return the parties as they found a federation; their tables are still to be written."""
    host: dict[str, Any] = {"customers": {"file": "customers.csv"}, "values": {"file": "values.csv"}}
    guest = {
        "customers": {**host["customers"], "target": "standing"},
        "values": {**host["values"], "target": "worth"},
    }
    serving = {"served_rows": SERVES, "own_scores": True, "unguarded": True}
    return [
        Member(BANK, config={"data": guest, "policy": {"unguarded": True}}),
        Member(SHOP, config={"data": host, "policy": serving}),
    ]


def write_tables(folder: Path) -> None:
    """Write every party's table into its home."""
    for name in (BANK, SHOP):
        for dataset in ("customers", "values"):
            table(name, dataset).write_csv(folder / name / f"{dataset}.csv")


def found(folder: Path) -> LocalFederation:
    """Found the federation in this process, all data sets registered."""
    local = LocalFederation.found(members(), federation="harbour", folder=folder, aggregator=ARBITER)
    write_tables(folder)
    local.register()
    return local


def specification(local: LocalFederation, job: str, **settings: Setting) -> JobSpec:
    """Return an alignment ("align-…") or a training ("risk-…", or "worth-…", which predicts a number)."""
    protocol = {"align": "alignment", "risk": "vertical-logistic", "worth": "vertical-linear"}[
        job.split("-")[0]
    ]
    dataset = "values" if "worth" in job else "customers"
    lines = [
        f'job = "{job}"',
        f'protocol = "{protocol}"',
        f'dataset = "{dataset}"',
        "seed = 4",
        "consent_s = 30",
    ]
    if protocol == "vertical-logistic":
        lines.append('classes = ["good", "bad"]')
    chosen: Mapping[str, Setting] = settings if protocol == "alignment" else {**TRIAL, **settings}
    lines += ["[settings]", *(f"{key} = {_toml(value)}" for key, value in chosen.items())]
    path = local.folder / f"{job}.toml"
    path.write_text("\n".join(lines))
    return read_job(path, ARBITER, local.ask(ARBITER, lambda agent: agent.clerk.standing.copy()))


def run(local: LocalFederation, job: str, **settings: Setting) -> JobSpec:
    """Have a job run to its end, and everybody's books agree."""
    spec = specification(local, job, **settings)
    local.run(spec)
    local.settle()
    return spec


def _toml(value: Setting) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')
