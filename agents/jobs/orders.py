"""What may be asked of an agent about its jobs?"""

import re
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from hansa.agents.core.agent import Agent
from hansa.agents.core.messages import JobSpec, Setting
from hansa.agents.errors import JobError
from hansa.agents.jobs.export import Form, ModelCard, SavedModel
from hansa.agents.service.office import Office
from hansa.ledger import Job, RoundClosed, decode_body, read_entry
from hansa.protocols.horizontal.fedavg import Checkpoint

NAME_CHARS = 40  # of a job's name at most
EXPORTS = "exports"  # in the home: models on their way to whoever asked for them

_RESUMED = re.compile("-r[0-9]+$")


@dataclass(frozen=True, slots=True)
class Submit:
    """Propose a job, with this agent as its coordinator."""

    spec: JobSpec

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return the job's name, and how the connection is; JobError if it can't be."""
        office.ask(lambda: office.agent.submit(self.spec))
        broker = office.daemon.health().state
        return {"job": self.spec.job, "parties": list(self.spec.parties), "broker": broker}


@dataclass(frozen=True, slots=True)
class Cancel:
    """Abort a job that this agent coordinates, or leave one that it takes part in."""

    job: str
    reason: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return whether this ends the job for everybody; JobError if it is unknown here or over."""
        agent = office.agent

        def cancel() -> bool:
            agent.spec(self.job)
            over = agent.outcome(self.job)
            if over is not None:
                raise JobError(f"job {self.job!r} is over: {over.outcome}")
            agent.cancel(self.job, self.reason)
            return _coordinates(agent, self.job)

        return {"job": self.job, "for_everybody": office.ask(cancel)}


@dataclass(frozen=True, slots=True)
class Awaits:
    """Tell what a job waits for at this agent."""

    job: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return what, for whom and until when (UTC seconds); how it ended, if it has; nothing if it is unknown."""
        return office.ask(lambda: _awaits(office.agent, self.job)) | {
            "broker": office.daemon.health().state,
            "unroutable": office.ask(lambda: sorted(office.agent.outbox.unroutable)),
        }


@dataclass(frozen=True, slots=True)
class Resume:
    """Take up a job that was aborted, from the model of its last closed round, as a new job."""

    job: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return the new job, or, if the old one goes on by itself, what it waits for.

        Raises:
            JobError: it is another's, has finished, or nothing of it is left here.
        """
        return office.ask(lambda: _resume(office.agent, self.job))


@dataclass(frozen=True, slots=True)
class Export:
    """Write the model that a job has ended with here into a file of the home."""

    job: str
    form: Form

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return the file, for whoever asked to take away; JobError if there is no model."""
        saved = office.ask(lambda: _saved(office.agent, self.job))
        folder = office.home.path / EXPORTS
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{self.job}.{self.form}"
        saved.write(path, self.form)
        return {"file": str(path.resolve()), "model_digest": saved.card.digest}


# --- on the agent's own thread ----------------------------------------------------------------------------
def _awaits(agent: Agent, job: str) -> dict[str, Any]:
    if not agent.knows(job):
        return {"known": False}
    over = agent.outcome(job)
    if over is not None:
        return {"known": True, "outcome": over.outcome, "reason": over.reason, "missing": list(over.missing)}
    awaited, until = agent.awaited(job)
    return {"known": True, "outcome": "", "what": awaited.what, "whom": list(awaited.whom), "until": until}


def _coordinates(agent: Agent, job: str) -> bool:
    known = agent.clerk.standing.jobs.get(job)
    return agent.name not in agent.spec(job).parties if known is None else known.coordinator == agent.name


def _resume(agent: Agent, name: str) -> dict[str, Any]:
    job = agent.clerk.standing.jobs.get(name)
    if job is None:
        raise JobError(f"job {name!r}: the ledger knows no such job")
    if job.coordinator != agent.name:
        raise JobError(f"job {name!r}: {job.coordinator} coordinates it; only there can it be taken up")
    if job.status == "finished":
        raise JobError(f"job {name!r} has finished; its model: hansa job result {name}")
    if job.status == "open":
        return {"job": name, "resumed": "", **_awaits(agent, name)}
    spec = agent.spec(name)
    settings, closed = _continued(agent, name, job, spec)
    parties = tuple(p for p in spec.parties if agent.clerk.standing.members[p].status == "active")
    again = replace(spec, job=_next_name(agent, name), settings=settings, parties=parties)
    agent.submit(again)
    return {
        "job": name,
        "resumed": again.job,
        "rounds_closed": closed,
        "rounds": settings.get("rounds", 0),
        "model_digest": settings.get("start_digest", ""),
        "left_out": [party for party in spec.parties if party not in parties],
    }


def _continued(agent: Agent, name: str, job: Job, spec: JobSpec) -> tuple[dict[str, Setting], int]:
    """Return the settings of a job that starts where another stopped, and how many rounds that one closed."""
    digest = _last_model(agent, name, job)
    rounds = spec.settings.get("rounds", 0)
    if digest is None or not isinstance(rounds, int):
        return spec.settings, 0  # it never came so far: from the beginning
    kept = agent.kept(name)
    if not isinstance(kept, Checkpoint) or kept.digest != digest:
        raise JobError(
            f"job {name!r}: its last model, {digest.hex()[:16]}, is not here any more; submit a new job"
        )
    left = max(rounds - kept.round, 1)  # it may have been aborted in the final evaluation
    return {**spec.settings, "rounds": left, "start_job": name, "start_digest": digest.hex()}, kept.round


def _last_model(agent: Agent, name: str, job: Job) -> bytes | None:
    """Return the digest of the last closed round's model, as the ledger has it."""
    digest = None
    for entry in agent.clerk.store.read(job.proposed_at):
        fields = read_entry(entry.signed)
        if fields.kind == "round-closed":
            body = decode_body(fields.kind, fields.schema, fields.body)
            if isinstance(body, RoundClosed) and body.job == name:
                digest = body.model_digest
    return digest


def _next_name(agent: Agent, name: str) -> str:
    """Return the next free of NAME-r2, NAME-r3, …, cut to what a name may be."""
    stem = _RESUMED.sub("", name)
    for number in count(2):
        ending = f"-r{number}"
        candidate = stem[: NAME_CHARS - len(ending)] + ending
        if candidate not in agent.clerk.standing.jobs and not agent.knows(candidate):
            return candidate
    raise AssertionError


def _saved(agent: Agent, job: str) -> SavedModel:
    spec = agent.spec(job)
    result = agent.result(job)
    standing = agent.clerk.standing
    columns: tuple[str, ...] = ()
    target = None
    for party in spec.parties:
        registered = standing.datasets.get((party, spec.dataset))
        if registered is not None and len(registered.columns) == spec.features:
            columns, target = registered.columns, registered.target
            break
    card = ModelCard(
        federation=agent.config.federation.id,
        job=job,
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
    )
    return SavedModel(card, tuple(result.parameters))
