"""How does one process train over several parties' columns? A federation in it, which aligns and then trains."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hansa.agents.core.messages import JobSpec, Setting
from hansa.agents.core.policy import check_spec, read_settings
from hansa.agents.data.rows import Dataset
from hansa.agents.errors import DataError, JobError
from hansa.agents.estimator import LedgerHead
from hansa.agents.estimators.foresight import check_rows
from hansa.agents.estimators.frames import DATASET
from hansa.agents.local import Listener, LocalFederation, Member
from hansa.protocols import ModelRegistry, protocol
from hansa.protocols.vertical import OwnCoefficients, TrainingClosed

JOB = "fit"
ALIGNMENT = "fit-rows"
ARBITER = "arbiter"
FOREVER_S = 30 * 86_400.0  # the jobs' own deadlines end them long before
SMALLEST_BLOCK, LARGEST_BLOCK = 128, 4_096  # rows in a task


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be trained.

    Attributes:
        protocol: "vertical-linear" or "vertical-logistic".
        settings: of the job, as far as the caller chooses them; the guest is among them.
        classes: of a logistic job: the two labels, the one that counts as 0 first.
        seed: of the job.
    """

    protocol: str
    settings: Mapping[str, Setting]
    classes: tuple[str, ...]
    seed: int

    def alignment(self, parties: tuple[str, ...]) -> JobSpec:
        """Return the job that finds the rows in common."""
        return self._job("alignment", ALIGNMENT, parties, {}, ())

    def training(self, parties: tuple[str, ...], rows: int = 0) -> JobSpec:
        """Return the job that trains on so many rows; JobError for a setting that can't be."""
        # With few rows in a task, all cores have work in a small batch, too.
        block = min(max(rows // (2 * (os.cpu_count() or 1)), SMALLEST_BLOCK), LARGEST_BLOCK)
        settings = {"alignment": ALIGNMENT, "block": block, **self.settings}
        spec = self._job(self.protocol, JOB, parties, settings, self.classes)
        check_spec(spec, ModelRegistry())
        return spec

    def _job(
        self,
        protocol: str,
        job: str,
        parties: tuple[str, ...],
        settings: Mapping[str, Setting],
        classes: tuple[str, ...],
    ) -> JobSpec:
        return JobSpec(
            job=job,
            protocol=protocol,
            model="",
            dataset=DATASET,
            parties=parties,
            classes=classes,
            features=0,
            hyperparameters={},
            settings=dict(settings),
            minimum_parties=len(parties),
            consent_s=60.0,
            seed=self.seed,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What is left when a federation has gone.

    Attributes:
        parts: each party's part of the model.
        closed: what the arbiter ended with.
        common: how many rows all parties have.
        ledger: where the ledger ends.
    """

    parts: Mapping[str, OwnCoefficients] = field(repr=False)
    closed: TrainingClosed
    common: int
    ledger: LedgerHead


def train(
    datasets: Mapping[str, Dataset], wish: Wish, folder: Path | None, listener: Listener | None
) -> Trained:
    """Found a federation, have it align and train, and take what it ends with.

    Args:
        datasets: by party, at least two.
        wish: what is to be trained.
        folder: where the federation shall be kept; None for nowhere.
        listener: hears events of the training.

    Raises:
        JobError: fewer than two parties, a setting that can't be, or too few rows for the leak guard.
        DataError: no rows in common, or a party's rows won't do; names party and column.
        JobAborted: a job ended without a result.
        FederationError: the folder is in use, or a party is named as the arbiter is.
    """
    parties = tuple(sorted(datasets))
    if len(parties) < 2:
        raise JobError(f"vertical training takes two parties or more, not {len(parties)}")
    wish.training(parties)  # a setting that can't be is refused before anything begins
    # Whether there is a leak guard is for the caller to say, whose the rows of all parties are.
    policy = {"policy": {"unguarded": True}}
    members = [Member(name, "", {DATASET: _constant(rows)}, policy) for name, rows in datasets.items()]
    with LocalFederation.found(
        members, folder=folder, journalled=folder is not None, aggregator=ARBITER
    ) as local:
        local.register()
        local.run(wish.alignment(parties), FOREVER_S)
        orders = {name: local.result(ALIGNMENT, name).rows for name in parties}
        common = len(orders[parties[0]])
        if not common:
            raise DataError("no id stands in the frames of all parties: there is nothing to train on")
        spec = wish.training(parties, common)
        settings = read_settings(protocol(spec.protocol), spec)
        check_rows(datasets, orders, settings, wish.classes, ARBITER, wish.seed)
        if listener is not None:
            local.listen(listener)
        local.run(spec, FOREVER_S)
        parts = {name: local.result(JOB, name) for name in datasets}
        closed = local.result(JOB)
        head = local.ask(local.keeper, lambda agent: agent.clerk.head)
    return Trained(parts, closed, common, LedgerHead(head.size, head.hash.hex()))


def _constant(dataset: Dataset) -> Any:
    return lambda: dataset
