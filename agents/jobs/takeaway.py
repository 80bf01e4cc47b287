"""What has a job left at an agent to be taken away? A model, a part of one, rows in common, predictions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from hansa.agents.core.agent import Agent
from hansa.agents.core.messages import JobSpec
from hansa.agents.data.commitments import Registered, unchanged
from hansa.agents.data.rows import Dataset
from hansa.agents.errors import JobError
from hansa.agents.jobs.export import Form, ModelCard, SavedModel, write_private
from hansa.agents.jobs.parts import part_of
from hansa.agents.service.office import Office
from hansa.protocols.alignment import AlignedRows, AlignmentClosed, Served, SharedRows
from hansa.protocols.alignment.ids import rows_digest
from hansa.protocols.horizontal.fedavg import ModelReceived, TrainingDone
from hansa.protocols.inference import Answered, Scored
from hansa.protocols.vertical import OwnCoefficients, TrainingClosed

EXPORTS = "exports"  # in the home: files on their way to whoever asked for them
NUMBERS: tuple[Form, ...] = ("npz", "json")
TABLE: tuple[Form, ...] = ("csv",)

# What somebody is left with who has only helped.
_NOTHING = {
    TrainingClosed: "the parties have a part of the model each: hansa model export, there",
    AlignmentClosed: "the parties know which of their rows these are",
    Served: "another party alone knows which rows are common",
    Answered: "the guest has the predictions",
}


@dataclass(frozen=True, slots=True)
class Export:
    """Write what a job has ended with here into a file of the home.

    Args:
        job: its name.
        form: how; models as arrays (npz) or spelt out (json), rows and predictions as a table (csv).
    """

    job: str
    form: Form

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return the file, for whoever asked to take away, and what is in it.

        Raises:
            JobError: there is nothing, or nothing of this form, or our rows are not those of the job any more.
            DataError: our rows can't be read.
        """
        agent = office.agent
        spec, result = office.ask(lambda: (agent.spec(self.job), agent.result(self.job)))
        folder = office.home.path / EXPORTS
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{self.job}.{self.form}"
        told: dict[str, Any] = {"file": str(path.resolve())}
        match result:
            case TrainingDone() | ModelReceived():
                self._check_form(NUMBERS)
                saved = office.ask(lambda: _saved(agent, spec, result))
                saved.write(path, self.form)
                return told | {"what": "model", "model_digest": saved.card.digest}
            case OwnCoefficients():
                self._check_form(NUMBERS)
                withdrawn = office.ask(lambda: agent.clerk.standing.jobs[spec.job].withdrawn)
                part = part_of(agent.config.federation.id, agent.name, spec, result, withdrawn)
                part.write(path, self.form)
                return told | {"what": "part", "model_digest": part.card.digest}
            case AlignedRows() | SharedRows():
                self._check_form(TABLE)
                ids = common_ids(_own_rows(office, spec, result), result)
                write_private(path, pl.DataFrame({"id": ids}, {"id": pl.String}).write_csv().encode())
                return told | {"what": "rows", "rows": len(ids)}
            case Scored():
                self._check_form(TABLE)
                classes = office.ask(lambda: agent.spec(str(spec.settings["model"])).classes)
                write_private(path, predictions(result, classes).write_csv().encode())
                return told | {"what": "predictions", "rows": len(result.values), "unknown": unknown(result)}
        raise JobError(
            f"job {self.job!r} has left nothing to take away at {agent.name}: {_NOTHING[type(result)]}"
        )

    def _check_form(self, forms: tuple[Form, ...]) -> None:
        if self.form not in forms:
            raise JobError(
                f"job {self.job!r}: what it has left here is written as .{' or .'.join(forms)}, not .{self.form}"
            )


def common_ids(dataset: Dataset, result: AlignedRows | SharedRows) -> list[str]:
    """Return the ids of the rows that an alignment has found, in its order."""
    return [dataset.ids[row] for row in result.rows.tolist()]


def predictions(scored: Scored, classes: tuple[str, ...]) -> pl.DataFrame:
    """Return id and prediction of the rows that all parties know.

    Args:
        scored: what the guest has learned.
        classes: the two labels of a logistic model, for predictions that are labels.
    """
    values = scored.values.tolist()
    said = [classes[value] for value in values] if scored.output == "label" else values
    kind = {"label": pl.String, "decile": pl.Int64, "score": pl.Float64}[scored.output]
    ids = [scored.ids[position] for position in scored.positions.tolist()]
    return pl.DataFrame({"id": ids, "prediction": said}, {"id": pl.String, "prediction": kind})


def unknown(scored: Scored) -> list[str]:
    """Return the ids that somebody does not know."""
    return [each for each, known in zip(scored.ids, scored.known.tolist(), strict=True) if not known]


def _own_rows(office: Office, spec: JobSpec, result: AlignedRows | SharedRows) -> Dataset:
    """Return our rows, if they still are those that were compared.

    Raises:
        JobError: they are not, or not here any more.
        DataError: they can't be read.
    """
    agent, name = office.agent, spec.dataset

    def look() -> tuple[Callable[[], Dataset] | None, Registered | None]:
        now = agent.clerk.standing
        held, job = now.datasets.get((agent.name, name)), now.jobs[spec.job]
        later = held is None or held.registered_at > job.proposed_at or agent.name in job.withdrawn
        return agent.readers.get(name), None if later else agent.registered(name)

    read, registered = office.ask(look)
    if read is None:
        raise JobError(f"job {spec.job!r}: data set {name!r} is not here any more, and with it the ids")
    dataset = read()
    if isinstance(result, AlignedRows):
        same = rows_digest(dataset.ids) == result.source
    else:  # which knows positions only: the rows must be those that were registered before, none withdrawn since
        same = registered is not None and bool(
            unchanged(dataset, registered, agent.salts.read(name, registered.commitment))
        )
    if not same:
        raise JobError(f"job {spec.job!r}: data set {name!r} has other rows than when they were compared")
    return dataset


def _saved(agent: Agent, spec: JobSpec, result: TrainingDone | ModelReceived) -> SavedModel:
    columns: tuple[str, ...] = ()
    target = None
    for party in spec.parties:
        registered = agent.clerk.standing.datasets.get((party, spec.dataset))
        if registered is not None and len(registered.columns) == spec.features:
            columns, target = registered.columns, registered.target
            break
    card = ModelCard(
        federation=agent.config.federation.id,
        job=spec.job,
        protocol=spec.protocol,
        model=spec.model,
        features=spec.features,
        columns=columns,
        target=target,
        classes=spec.classes,
        hyperparameters=spec.hyperparameters,
        seed=spec.seed,
        evaluation=result.evaluation,
        digest=result.digest.hex(),
        withdrawn=dict(agent.clerk.standing.jobs[spec.job].withdrawn),
    )
    return SavedModel(card, tuple(result.parameters))
