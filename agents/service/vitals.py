"""How is a running agent, in figures? Taken on its own thread, read by status, health and metrics."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from hansa.agents.core.agent import Agent
from hansa.agents.core.witness import Cosigning
from hansa.agents.home import JOURNAL, Home


@dataclass(frozen=True, slots=True)
class Vitals:
    """One agent at one moment.

    Attributes:
        head: size and hash of its copy of the ledger.
        members: status by name, as of that head.
        jobs: status by name, as of that head: ``open``, ``finished`` or ``aborted``.
        ended: how the jobs that this agent took part in ended for it, with the reason if there is one.
        rounds: the newest round closed, by job.
        received, sent: messages since the agent was built, repetitions included.
        refused: how many messages were refused, by the name of the error.
        unconfirmed: messages that the broker has not confirmed yet.
        unroutable: whom the broker knows no queue of.
        tasks: running or waiting for a worker.
        steps: how many took how long (`tally.STEP_BOUNDS_S`); `step_s` seconds in all.
        journal_bytes: of the journal's files.
        awaited: whom a keeper that was restored from a backup waits for, before it chains anything.
        cosigning: how it stands with the heads of the ledger.
    """

    name: str
    federation: str
    keeper: str
    head: tuple[int, str]
    members: dict[str, str]
    jobs: dict[str, str]
    ended: dict[str, tuple[str, str]]
    rounds: dict[str, int]
    received: int
    sent: int
    refused: dict[str, int]
    last_refusal: str = field(repr=False)
    unconfirmed: int
    unroutable: tuple[str, ...]
    tasks: int
    steps: tuple[int, ...]
    step_s: float
    journal_bytes: int
    awaited: tuple[str, ...] = ()
    cosigning: Cosigning = field(default_factory=Cosigning)

    @property
    def jobs_by_status(self) -> dict[str, int]:
        """How many jobs are open, finished and aborted."""
        counted = Counter(self.jobs.values())
        return {status: counted[status] for status in ("open", "finished", "aborted")}


def take_vitals(home: Home, agent: Agent) -> Vitals:
    """Return how an agent is; on its own thread only."""
    standing = agent.clerk.standing
    outcomes = {name: over for name in standing.jobs if (over := agent.outcome(name)) is not None}
    return Vitals(
        name=agent.name,
        federation=agent.config.federation.id,
        keeper=agent.clerk.keeper,
        head=(agent.clerk.head.size, agent.clerk.head.hash.hex()),
        members={name: member.status for name, member in standing.members.items()},
        jobs={name: job.status for name, job in standing.jobs.items()},
        ended={name: (over.outcome, over.reason) for name, over in outcomes.items()},
        rounds=dict(standing.rounds),
        received=agent.tally.received,
        sent=agent.tally.sent,
        refused=dict(agent.intake.refused),
        last_refusal=agent.intake.last_refusal,
        unconfirmed=agent.outbox.waiting,
        unroutable=tuple(sorted(agent.outbox.unroutable)),
        tasks=agent.tasks,
        steps=tuple(agent.tally.steps),
        step_s=agent.tally.step_s,
        journal_bytes=_size(home.path / JOURNAL),
        awaited=agent.clerk.awaits(),
        cosigning=agent.witness.state(),
    )


def _size(journal: Path) -> int:
    """Return the bytes of a SQLite file and of its write-ahead log."""
    files = (journal, journal.with_name(f"{journal.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
