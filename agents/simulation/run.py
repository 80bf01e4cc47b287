"""How does a simulated run go, and what comes of it? Step by step, until everything is over everywhere."""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from hansa.agents.core.agent import Agent
from hansa.agents.core.coordination import Over
from hansa.agents.core.messages import JobSpec
from hansa.agents.errors import JobError
from hansa.agents.simulation.harm import Harm
from hansa.agents.simulation.jobs import KEEPER, specification
from hansa.agents.simulation.template import copied_federation
from hansa.agents.simulation.weather import EPOCH_S
from hansa.agents.simulation.world import World, entries
from hansa.ledger import ChainedEntry

MAX_STEPS = 20_000


@dataclass(frozen=True, slots=True)
class Run:
    """What came of it."""

    seed: int
    outcomes: dict[str, Over | None]  # by agent, of the last job; of one before it if that has not finished
    results: dict[str, Any] = field(repr=False)  # what that ended with, at whom it has ended with something
    entries: dict[str, list[ChainedEntry]] = field(repr=False)  # by agent, its copy of the ledger
    digest: bytes
    crashes: tuple[str, ...]
    refused: dict[str, int]
    trace: tuple[str, ...] = field(repr=False)
    virtual_s: float
    held: dict[int, set[bytes]] = field(repr=False)  # by index, the hashes that any member ever stored
    pledged: dict[str, list[str]] = field(
        repr=False
    )  # by agent, the heads it put its name to, in all its lives
    final: dict[str, int] = field(
        repr=False
    )  # by agent that is up, the size of the newest final head it knows
    points: int  # at which an agent could have been killed
    strangers: frozenset[str]  # who is up and was never offered the last job, or not in this life
    early: int  # messages that waited for a start: the most at once in one agent


def simulate(harm: Harm, *specs: JobSpec) -> Run:
    """Run jobs one after the other, each to its end at every agent that is up; deterministic in its arguments.

    Args:
        specs: each begins when the one before it has finished; none: `specification()`.
    """
    specs = specs or (specification(),)
    with copied_federation(registered=True) as folder:
        world = World(harm, folder, specs)
        for _ in range(MAX_STEPS):
            keeper = world.seats[KEEPER].agent
            if keeper is not None:
                _propose(world, keeper)
            world.pass_time()
            if world.tick():
                continue
            later = world.next_event()
            if later is None and world.harm_to_come():
                continue  # nothing happens by itself, but somebody's disk is still to be lost
            if later is None:
                break
            world.weather.now = later
            if _over(world) and not _busy(world):
                break
        else:
            raise AssertionError(f"seed {harm.seed}: no end within {MAX_STEPS} ticks")
        return _what_came_of(world)


def _what_came_of(world: World) -> Run:
    """Close a world, and return what is left of it."""
    up = {name: seat.agent for name, seat in world.seats.items() if seat.agent is not None}
    outcomes = {name: up[name].outcome(world.job) if name in up else None for name in world.seats}
    results: dict[str, Any] = {}
    for name, agent in up.items():
        with suppress(JobError):
            results[name] = agent.result(world.job)
    over = outcomes[KEEPER]
    finished = over is not None and over.outcome == "finished"
    run = Run(
        seed=world.harm.seed,
        outcomes=outcomes,
        results=results,
        entries={name: entries(seat.url) for name, seat in world.seats.items()},
        digest=getattr(results.get(KEEPER), "digest", b"") if finished else b"",
        crashes=tuple(world.weather.crashes),
        refused=world.refused,
        trace=tuple(world.weather.trace),
        virtual_s=world.weather.now - EPOCH_S,
        held=world.held,
        pledged={name: seat.journal.pledged for name, seat in world.seats.items()},
        final={
            name: final.checkpoint.size for name, agent in up.items() if (final := agent.witness.heads.final)
        },
        points=world.weather.points,
        strangers=frozenset(name for name, agent in up.items() if not agent.knows(world.job)),
        early=max(seat.journal.most_early for seat in world.seats.values()),
    )
    world.close()
    return run


def _propose(world: World, keeper: Agent) -> None:
    """Propose the first job that is not finished, unless it is under way: a person types the command again."""
    jobs = keeper.clerk.standing.jobs
    for spec in world.specs:
        world.job = spec.job
        if not (keeper.knows(spec.job) or keeper.clerk.catching_up or spec.job in jobs):
            keeper.submit(spec)
        if spec.job not in jobs or jobs[spec.job].status != "finished":
            return


def _over(world: World) -> bool:
    """Whether the last job is over everywhere; who lost its memory of it need only know so."""
    up = [(name, seat) for name, seat in world.seats.items() if seat.back_at < float("inf")]
    for name, seat in up:
        if seat.agent is None or seat.restored != (name in world.harm.restored):
            return False
        forgotten = seat.restored and not seat.agent.knows(world.job)
        closed = forgotten and seat.settled and _closed(seat.agent, world.job)
        if seat.agent.outcome(world.job) is None and not closed:
            return False
    return True


def _closed(agent: Agent, name: str) -> bool:
    job = agent.clerk.standing.jobs.get(name)
    return job is not None and job.status != "open"


def _busy(world: World) -> bool:
    """Whether anything but mail to the absent is under way."""
    gone = {name for name, seat in world.seats.items() if seat.back_at == float("inf")}
    if any(queue for name, queue in world.network.queues.items() if name not in gone):
        return True
    agents = [seat.agent for seat in world.seats.values() if seat.agent is not None]
    heads = {agent.clerk.head for agent in agents}
    return len(heads) > 1 or any(agent.clerk.waiting() for agent in agents)
