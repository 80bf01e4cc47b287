"""What may be asked of an agent about its jobs?"""

import re
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from hansa.agents.core.agent import Agent
from hansa.agents.core.messages import JobSpec, Setting
from hansa.agents.errors import JobError
from hansa.agents.service.office import Office
from hansa.ledger import Job, RoundClosed, decode_body, read_entry
from hansa.protocols import protocol
from hansa.protocols.horizontal.fedavg import Checkpoint
from hansa.protocols.inference import INFERENCE
from hansa.protocols.vertical.outcome import ArbiterCheckpoint

NAME_CHARS = 40  # of a job's name at most

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
    """Take up a job that was aborted, from its last closed round or epoch, as a new job."""

    job: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return the new job, or, if the old one goes on by itself, what it waits for.

        Raises:
            JobError: it is another's, has finished, or nothing of it is left here.
        """
        return office.ask(lambda: _resume(office.agent, self.job))


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
    known = protocol(spec.protocol)
    if known.name == INFERENCE.name:
        raise JobError(f"job {name!r} has only asked for predictions: ask again, hansa predict --job")
    parties = tuple(p for p in spec.parties if agent.clerk.standing.members[p].status == "active")
    left_out = [party for party in spec.parties if party not in parties]
    if left_out and not known.names_model:
        raise JobError(f"job {name!r} takes all of its parties; {left_out[0]} is no active member any more")
    if known.bench == "aligned":
        settings, closed = _continued_epochs(agent, name, spec)
    else:
        settings, closed = _continued(agent, name, job, spec)
    again = replace(spec, job=_next_name(agent, name), settings=settings, parties=parties)
    agent.submit(again)
    return {
        "job": name,
        "resumed": again.job,
        "unit": "epoch" if known.bench == "aligned" else "round",
        "rounds_closed": closed,
        "rounds": settings.get("rounds", 0),
        "model_digest": settings.get("start_digest", ""),
        "left_out": left_out,
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


def _continued_epochs(agent: Agent, name: str, spec: JobSpec) -> tuple[dict[str, Setting], int]:
    """Return the settings of a vertical job that goes on where another stopped, and how many epochs that one had.

    All parties have kept that epoch, or the one before, and begin with the last that they have in common.
    """
    kept = agent.kept(name)
    if isinstance(kept, ArbiterCheckpoint) and kept.losses:
        return {**spec.settings, "start_job": name}, len(kept.losses)
    ended = max((e for (job, _), e in agent.clerk.standing.epochs.items() if job == name), default=0)
    if ended:
        raise JobError(
            f"job {name!r}: what it had kept of epoch {ended} is not here any more; submit a new job"
        )
    return spec.settings, 0  # it had none: from the beginning, or where that one began


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
