"""How does the guest of a vertical model ask what it says of other rows? In a job of its own, which it leads."""

import secrets
import threading
from dataclasses import dataclass
from itertools import count
from typing import Any

from hansa.agents.core.agent import Agent
from hansa.agents.core.messages import JobSpec, Setting
from hansa.agents.data.rows import Dataset
from hansa.agents.errors import DataError, JobError
from hansa.agents.jobs.jobfile import SEED_BITS
from hansa.agents.jobs.orders import NAME_CHARS
from hansa.agents.service.office import Office
from hansa.protocols.alignment.ids import normalised
from hansa.protocols.inference import INFERENCE
from hansa.protocols.inference.job import MOST_ROWS, Output
from hansa.protocols.vertical import OwnCoefficients

CONSENT_S = 120.0

_naming = threading.Lock()  # two orders at once must not choose one name


@dataclass(frozen=True, slots=True)
class Predict:
    """Propose a job of joint inference, with this agent as its guest.

    Args:
        job: the training.
        output: what is to be learned of each row; empty: labels of a logistic model, scores of a linear one.
        arbiter: who adds up the shares for labels and deciles; empty: the training's coordinator.
        dataset: whose rows are meant; empty: the training's.
        ids: of these rows alone; none: all of them. They stay here, and come to those who are asked.
    """

    job: str
    output: Output | None = None
    arbiter: str = ""
    dataset: str = ""
    ids: tuple[str, ...] = ()

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return the new job, who is asked, which ids are none of ours, and how many rows were withdrawn since.

        Raises:
            JobError: no such model here, or it is another's to ask, or it has no such output.
            DataError: the rows can't be read, or there are none, or too many for one job.
        """
        agent = office.agent
        spec, own = office.ask(lambda: _model(agent, self.job))
        dataset = self._rows(office, spec)
        wanted, unknown = _found(dataset, self.ids)
        rows = len(wanted) if self.ids else dataset.rows
        if not rows:
            what = f"row {self.ids[0]!r}" if self.ids else "rows"
            raise DataError(f"data set {dataset.name!r} has no {what}: there is nothing to ask")
        if rows > MOST_ROWS:
            raise DataError(
                f"data set {dataset.name!r} has {rows} rows, and one job asks for {MOST_ROWS} at most: "
                "name some with --id, or offer them in several data sets"
            )

        def propose() -> JobSpec:
            asked = self._specification(agent, spec, own, dataset.name, rows)
            agent.submit(asked, wanted)
            return asked

        with _naming:
            asked = office.ask(propose)
        withdrawn = office.ask(lambda: dict(agent.clerk.standing.jobs[self.job].withdrawn))
        told = {"job": asked.job, "parties": list(asked.parties), "rows": rows, "unknown": unknown}
        return told | {"withdrawn": withdrawn}

    def _rows(self, office: Office, spec: JobSpec) -> Dataset:
        name = self.dataset or spec.dataset
        read = office.ask(lambda: office.agent.readers.get(name))
        if read is None:
            raise DataError(f"data set {name!r} is not in agent.toml; offer it first: hansa data add")
        return read()

    def _specification(
        self, agent: Agent, spec: JobSpec, own: OwnCoefficients, dataset: str, rows: int
    ) -> JobSpec:
        output = self.output or ("label" if own.logistic else "score")
        arbiter = self.arbiter
        if not arbiter and output != "score":
            arbiter = agent.clerk.standing.jobs[spec.job].coordinator
        if arbiter in (own.guest, *own.hosts):
            raise JobError(
                f"arbiter {arbiter} has a part of the model of {spec.job}: it may not add up the shares"
            )
        if output == "label" and not own.logistic:
            raise JobError(f"the model of {spec.job} is linear and predicts numbers: ask for score or decile")
        if output == "decile" and not own.deciles:
            raise JobError(
                f"the model of {spec.job} has no deciles, for no rows were held out: ask for score or label"
            )
        settings: dict[str, Setting] = {
            "model": spec.job,
            "output": output,
            "rows": dataset,
            "most_rows": rows,
        }
        if arbiter:
            settings["arbiter"] = arbiter
        parties = tuple(sorted({*own.hosts, arbiter} - {""}))
        return JobSpec(
            job=_next_name(agent, spec.job),
            protocol=INFERENCE.name,
            model="",
            dataset=spec.dataset,
            parties=parties,
            classes=(),
            features=0,
            hyperparameters={},
            settings=settings,
            minimum_parties=len(parties),
            consent_s=CONSENT_S,
            seed=secrets.randbits(SEED_BITS),
        )


def _model(agent: Agent, job: str) -> tuple[JobSpec, OwnCoefficients]:
    """Return a training of ours, and our part of its model.

    Raises:
        JobError: it is unknown here, has no parts, is not over, or another party is its guest.
    """
    spec, own = agent.spec(job), agent.result(job)
    if not isinstance(own, OwnCoefficients):
        raise JobError(
            f"job {job!r} ({spec.protocol}) has left {agent.name} no part of a model; joint predictions are of "
            "vertical models, and asked for by their guest"
        )
    if own.guest != agent.name:
        raise JobError(f"job {job!r}: its model answers {own.guest}, who has the labels, and nobody else")
    return spec, own


def _found(dataset: Dataset, ids: tuple[str, ...]) -> tuple[tuple[str, ...], list[str]]:
    """Return those of these ids that a data set has, each once, and the others."""
    if not ids:
        return (), []
    ours = {normalised(each) for each in dataset.ids}
    wanted = tuple(dict.fromkeys(each for each in map(normalised, ids) if each in ours))
    return wanted, [each for each in ids if normalised(each) not in ours]


def _next_name(agent: Agent, model: str) -> str:
    """Return the next free of MODEL-p1, MODEL-p2, …, cut to what a name may be."""
    for number in count(1):
        ending = f"-p{number}"
        candidate = model[: NAME_CHARS - len(ending)] + ending
        if candidate not in agent.clerk.standing.jobs and not agent.knows(candidate):
            return candidate
    raise AssertionError
