"""Does a federation survive anything, anywhere? A whole one in virtual time, harmed from a seed.

Real agents, real envelopes, real ledger stores; the network, the clock, the executor and the disks are ours.
Messages are delayed, overtake each other, arrive twice or are lost on the way (the sender's transport then
reports them lost); agents are killed before and after every journal commit, ledger append, flush, publication
and acknowledgement, lose what was not durable, and come back later; some come back as an older self, from a
backup. The same seed gives the same run:

    python -m hansa.agents.simulation --seed 17
"""

import heapq
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from hansa.agents.config import AgentConfig
from hansa.agents.core.agent import Agent
from hansa.agents.core.blobs import Chunk, MemoryFiles
from hansa.agents.core.coordination import Over
from hansa.agents.core.journal import RESTORED, Changes, MemoryJournal, pack_row
from hansa.agents.core.messages import JobSpec, Setting
from hansa.agents.data.rows import Dataset, from_arrays
from hansa.agents.errors import JobError
from hansa.agents.home import find_homes
from hansa.agents.local import LocalFederation, Member
from hansa.broker import Identity
from hansa.broker.transport import Delivery, Outcome
from hansa.ledger import ChainedEntry, LedgerStore

EPOCH_S = 1_900_000_000.0  # virtual time begins here
PARTIES = ("east", "north", "west")
GUEST = "north"  # who has the labels in vertical jobs
KEEPER = "aggregator"
JOB = "simulated"
DATASET = "rows"
CUSTOMERS = "customers"  # of whom everybody knows other things
DETACH_BYTES = 64  # so low that every model travels in chunks
MAX_STEPS = 20_000


class Crashed(BaseException):
    """The process was killed here; not an Exception, so that no handler of the agent's can outlive it."""


@dataclass(frozen=True, slots=True)
class Harm:
    """How much of what may go wrong does.

    Args:
        seed: everything random derives from it.
        crash: probability of a kill at each of the points named above.
        crashes: at most so many in one run.
        crash_at: a kill at this one of all those points, counted from 1; 0: at none.
        down_s: how long a killed agent stays away, at most.
        delay_s: how long a message travels, at most; longer ones are overtaken.
        slow: agents whose messages travel up to ten times as long: those of others overtake them.
        duplicate: probability that a message arrives twice.
        lose: probability that a message is lost and reported so.
        power: a kill is a power failure: it takes what was written but not fsynced, too.
        absent: agents that never come up.
        vanish: agents that never come back from their first kill; nobody else is killed then.
        restored: agents that lose their disk once, some time after a backup, and come back from that.
    """

    seed: int
    crash: float = 0.02
    crashes: int = 6
    crash_at: int = 0
    down_s: float = 20.0
    delay_s: float = 3.0
    slow: tuple[str, ...] = ()
    duplicate: float = 0.1
    lose: float = 0.05
    power: bool = False
    absent: tuple[str, ...] = ()
    vanish: tuple[str, ...] = ()
    restored: tuple[str, ...] = ()


CALM = Harm(seed=0, crash=0.0, crashes=0, down_s=0.0, delay_s=0.0, duplicate=0.0, lose=0.0)


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
    points: int  # at which an agent could have been killed
    early: int  # messages that waited for a start: the most at once in one agent


# --- the world ------------------------------------------------------------------------------------------
class _Network:
    """Carries frames in virtual time; keeps what was delivered but not acknowledged."""

    def __init__(self, world: "_World") -> None:
        self.world = world
        self.queues: dict[str, list[tuple[float, int, Delivery, _Transport, int]]] = {}
        self.counter = 0

    def send(self, sender: "_Transport", key: str, body: bytes, tag: int) -> None:
        world = self.world
        _, recipient, traffic = key.split(".")
        if traffic == "event":
            return
        if world.random.random() < world.harm.lose:
            world.note(f"lost {key}")
            world.report(sender, Outcome(tag, "lost"), world.random.uniform(0, world.harm.delay_s))
            return
        copies = 2 if world.random.random() < world.harm.duplicate else 1
        for copy in range(copies):
            self.counter += 1
            delay_s = world.harm.delay_s * (10 if sender.name in world.harm.slow else 1)
            arrives = world.now + world.random.uniform(0, delay_s)
            delivery = Delivery(self.counter, key, body, traffic, redelivered=copy > 0)  # type: ignore[arg-type]
            heapq.heappush(
                self.queues.setdefault(recipient, []), (arrives, self.counter, delivery, sender, tag)
            )

    def next_arrival(self, name: str) -> float | None:
        queue = self.queues.get(name)
        return queue[0][0] if queue else None


class _Transport:
    """One agent's connection, from one start to the next kill."""

    def __init__(self, world: "_World", name: str) -> None:
        self.name = name
        self._world = world
        self._held: dict[int, tuple[float, int, Delivery, _Transport, int]] = {}
        self._outcomes: list[Outcome] = []

    def publish(self, routing_key: str, body: bytes, tag: int) -> None:
        if not routing_key.endswith(".event"):
            self._world.may_crash(self.name, "publish")
        self._world.network.send(self, routing_key, body, tag)

    @property
    def online(self) -> bool:
        return True

    def room(self) -> int:
        return 256

    def deliveries(self, limit: int) -> list[Delivery]:
        queue = self._world.network.queues.get(self.name, [])
        taken: list[Delivery] = []
        while queue and len(taken) < limit and queue[0][0] <= self._world.now:
            item = heapq.heappop(queue)
            self._held[item[1]] = item
            taken.append(item[2])
        return taken

    def acknowledge(self, tags: Iterable[int]) -> None:
        for tag in tags:
            self._world.may_crash(self.name, "acknowledge")
            _, _, _, sender, sent_tag = self._held.pop(tag)
            self._world.report(sender, Outcome(sent_tag, "confirmed"), 0.0)

    def reject(self, tags: Iterable[int]) -> None:
        for tag in tags:
            _, _, delivery, sender, sent_tag = self._held.pop(tag)
            self._world.note(f"{self.name} rejected {delivery.routing_key}")
            self._world.report(sender, Outcome(sent_tag, "confirmed"), 0.0)

    def outcomes(self) -> list[Outcome]:
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def wait(self, timeout_s: float) -> bool:
        return True

    def wake(self) -> None:
        return None

    def subscribe(self, pattern: str) -> None:
        return None

    def close(self) -> None:
        """Everything delivered but not acknowledged goes back to the queue, in no particular order."""
        queue = self._world.network.queues.setdefault(self.name, [])
        for _, number, delivery, sender, tag in self._held.values():
            again = Delivery(number, delivery.routing_key, delivery.body, delivery.traffic, redelivered=True)
            arrives = self._world.now + self._world.random.uniform(0, self._world.harm.delay_s)
            heapq.heappush(queue, (arrives, number, again, sender, tag))
        self._held.clear()

    def inform(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)


class _Files(MemoryFiles):
    """A disk: a kill takes what was not flushed yet; a power failure, what was not meant to be durable too."""

    def __init__(self, world: "_World", name: str) -> None:
        super().__init__()
        self._world, self._name = world, name
        self._unsafe: dict[tuple[bytes, int], Chunk] = {}
        self._unsynced: set[bytes] = set()

    def write(self, blob_id: bytes, index: int, chunk: Chunk, durable: bool = True) -> None:
        self._unsafe[blob_id, index] = chunk
        if not durable:
            self._unsynced.add(blob_id)

    def read(self, blob_id: bytes, index: int) -> Chunk:
        unsafe = self._unsafe.get((blob_id, index))
        return super().read(blob_id, index) if unsafe is None else unsafe

    def flush(self, needless: Collection[bytes] = ()) -> None:
        for (blob_id, index), chunk in self._unsafe.items():
            if blob_id not in needless:
                self._world.may_crash(self._name, "flush")
                super().write(blob_id, index, chunk)
        self._unsafe.clear()

    def secure(self, blob_id: bytes) -> None:
        self._unsynced.discard(blob_id)

    def link(self, source: bytes, blob_id: bytes) -> None:
        super().link(source, blob_id)
        for index in [index for origin, index in self._unsafe if origin == source]:
            self._unsafe.setdefault((blob_id, index), self._unsafe[source, index])
        self._unsynced.add(blob_id)

    def remove(self, blob_id: bytes) -> None:
        for place in [place for place in self._unsafe if place[0] == blob_id]:
            del self._unsafe[place]
        self._unsynced.discard(blob_id)
        super().remove(blob_id)

    def copy(self) -> dict[bytes, dict[int, Chunk]]:
        """Return what is on it."""
        return {blob_id: dict(chunks) for blob_id, chunks in self._chunks.items()}

    def become(self, chunks: dict[bytes, dict[int, Chunk]]) -> None:
        """Hold what another one held."""
        self._chunks = {blob_id: dict(each) for blob_id, each in chunks.items()}
        self._unsynced.clear()

    def fail(self, power: bool) -> None:
        """Lose what the kill takes."""
        self._unsafe.clear()
        for blob_id in list(self._unsynced) if power else ():
            self.remove(blob_id)


class _Journal(MemoryJournal):
    def __init__(self, world: "_World", name: str) -> None:
        super().__init__()
        self._world, self._name = world, name

    def commit(self, changes: Changes) -> None:
        self._world.may_crash(self._name, "before commit")
        super().commit(changes)
        self._world.early = max(self._world.early, len(self._spaces.get("early", ())))
        self._world.may_crash(self._name, "after commit")

    def copy(self) -> dict[str, dict[bytes, bytes]]:
        """Return all rows."""
        return {space: dict(rows) for space, rows in self._spaces.items()}

    def become(self, spaces: dict[str, dict[bytes, bytes]], at_ms: int) -> None:
        """Hold what was backed up, marked as restored."""
        self._spaces = {space: dict(rows) for space, rows in spaces.items()}
        space, key = RESTORED
        self._spaces.setdefault(space, {})[key] = pack_row(at_ms, [])


class _Store:
    """A ledger store whose process may be killed around an append."""

    def __init__(self, world: "_World", name: str, store: LedgerStore) -> None:
        self._world, self._name, self._store = world, name, store

    def append(self, *arguments: Any) -> None:
        self._world.may_crash(self._name, "before append")
        self._store.append(*arguments)
        if self._name != KEEPER:
            for entry in arguments[0]:
                self._world.held.setdefault(entry.index, set()).add(entry.hash)
        self._world.may_crash(self._name, "after append")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _Executor(Executor):
    """Tasks end at a later virtual time; a kill loses them."""

    def __init__(self, world: "_World") -> None:
        self._world = world
        self.pending: list[tuple[float, int, Callable[[], None]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def end() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:  # what the executor of a real agent does
                future.set_exception(error)

        takes = self._world.random.uniform(0, self._world.harm.delay_s)
        self._world.counter += 1
        heapq.heappush(self.pending, (self._world.now + takes, self._world.counter, end))
        return future


@dataclass(frozen=True, slots=True)
class _Backup:
    """What an agent had on its disk at one instant, between two steps."""

    spaces: dict[str, dict[bytes, bytes]]
    chunks: dict[bytes, dict[int, Chunk]]
    entries: list[ChainedEntry]


@dataclass(slots=True)
class _Seat:
    """An agent's place: what survives a kill, and the process that may be running."""

    identity: Identity
    config: AgentConfig
    journal: _Journal
    files: _Files
    url: str
    agent: Agent | None = None
    transport: _Transport | None = None
    executor: _Executor | None = None
    back_at: float = 0.0
    backup_in: int = 0  # ticks until it is backed up, and from then until its disk is lost
    loss_in: int = 0
    backup: _Backup | None = None
    restored: bool = False

    @property
    def settled(self) -> bool:
        """Whether its agent is up, and knows what its former self did."""
        return self.agent is not None and self.agent.former_life.settled


class _World:
    def __init__(self, harm: Harm, folder: Path, specs: tuple[JobSpec, ...]) -> None:
        self.harm = harm
        self.specs = specs
        self.job = specs[0].job  # the one that is under way, or the last
        self.random = random.Random(harm.seed)
        self.now = EPOCH_S
        self.counter = 0
        self.network = _Network(self)
        self.crashes: list[str] = []
        self.trace: list[str] = []
        self.reports: list[tuple[float, int, _Transport, Outcome]] = []
        self.refused: dict[str, int] = {}
        self.held: dict[int, set[bytes]] = {}
        self.points = self.early = 0
        self.seats: dict[str, _Seat] = {}
        for home in find_homes(folder):
            identity, config = _keys(home.path.name)
            seat = _Seat(
                identity,
                config,
                _Journal(self, identity.name),
                _Files(self, identity.name),
                f"sqlite:///{home.path / 'ledger.sqlite'}",
            )
            seat.back_at = float("inf") if identity.name in harm.absent else EPOCH_S
            if identity.name in harm.restored:
                seat.backup_in, seat.loss_in = self.random.randint(1, 100), self.random.randint(1, 100)
            self.seats[identity.name] = seat

    def note(self, text: str) -> None:
        self.trace.append(f"{self.now - EPOCH_S:9.3f} {text}")

    def may_crash(self, name: str, point: str) -> None:
        if self.harm.vanish and (
            name not in self.harm.vanish or self.specs[-1].job not in self._jobs_of(name)
        ):
            return
        self.points += 1
        drawn = len(self.crashes) < self.harm.crashes and self.random.random() < self.harm.crash
        if drawn or self.points == self.harm.crash_at:
            self.crashes.append(f"{name} {point}")
            raise Crashed(f"{name} {point}")

    def _jobs_of(self, name: str) -> Mapping[str, Any]:
        agent = self.seats[name].agent
        return {} if agent is None else agent.clerk.standing.jobs

    def report(self, publisher: _Transport, outcome: Outcome, after_s: float) -> None:
        """Tell a publisher what became of a message; if its process has gone since, nobody hears it."""
        self.counter += 1
        heapq.heappush(self.reports, (self.now + after_s, self.counter, publisher, outcome))

    def start(self, name: str) -> None:
        seat = self.seats[name]
        self.note(f"{name} starts")
        seat.transport = _Transport(self, name)
        seat.executor = _Executor(self)
        lent = {DATASET: partial(_rows, name), CUSTOMERS: partial(customers, name)}
        try:
            seat.agent = Agent(
                identity=seat.identity,
                config=seat.config,
                journal=seat.journal,
                files=seat.files,
                store=_Store(self, name, LedgerStore.open(seat.url)),  # type: ignore[arg-type]
                transport=seat.transport,
                executor=seat.executor,
                datasets=lent if name != KEEPER else {},
                clock=lambda: self.now,
                detach_bytes=DETACH_BYTES,
            )
        except Crashed as crash:
            self.kill(name, crash)

    def kill(self, name: str, crash: Crashed) -> None:
        seat = self.seats[name]
        down_s = self.random.uniform(0, self.harm.down_s)
        self.note(
            f"killed: {crash}; " + ("for good" if name in self.harm.vanish else f"back in {down_s:.1f} s")
        )
        if seat.agent is not None:
            self._count_refusals(seat.agent)
            seat.agent.clerk.store.close()
        if seat.transport is not None:
            seat.transport.close()
        seat.files.fail(self.harm.power)
        seat.agent = seat.transport = seat.executor = None
        seat.back_at = float("inf") if name in self.harm.vanish else self.now + down_s

    def pass_time(self) -> None:
        """Back up, and lose the disks of, those whose time has come."""
        for name, seat in self.seats.items():
            if name not in self.harm.restored or seat.restored or seat.agent is None:
                continue
            if seat.backup_in > 0:
                seat.backup_in -= 1
                if seat.backup_in == 0:
                    self.note(f"{name} is backed up")
                    seat.backup = _Backup(seat.journal.copy(), seat.files.copy(), _entries(seat.url))
            elif seat.loss_in > 0:
                seat.loss_in -= 1
            else:
                self.restore(name, seat)

    def harm_to_come(self) -> bool:
        """Whether somebody is at work whose disk is still to be lost."""
        return any(
            seat.agent is not None and not seat.restored
            for name, seat in self.seats.items()
            if name in self.harm.restored
        )

    def restore(self, name: str, seat: _Seat) -> None:
        """Take an agent's disk away, and give it what was backed up."""
        assert seat.backup is not None
        self.kill(name, Crashed(f"{name} loses its disk"))
        seat.journal.become(seat.backup.spaces, int(self.now * 1000))
        seat.files.become(seat.backup.chunks)
        path = Path(seat.url.removeprefix("sqlite:///"))
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        store = LedgerStore.open(seat.url)
        store.append(seat.backup.entries)
        store.close()
        seat.restored = True
        self.crashes.append(f"{name} restored")

    def _count_refusals(self, agent: Agent) -> None:
        for kind, count in agent.intake.refused.items():
            self.refused[kind] = self.refused.get(kind, 0) + count

    def tick(self) -> bool:
        """Let everything that is due happen, agents in random order; return whether anything did."""
        happened = False
        while self.reports and self.reports[0][0] <= self.now:
            _, _, publisher, outcome = heapq.heappop(self.reports)
            publisher.inform(outcome)
        for name in self.random.sample(sorted(self.seats), len(self.seats)):
            seat = self.seats[name]
            if seat.agent is None and seat.back_at <= self.now:
                self.start(name)
                happened = True
            if seat.executor is not None:
                while seat.executor.pending and seat.executor.pending[0][0] <= self.now:
                    heapq.heappop(seat.executor.pending)[2]()
            if seat.agent is not None:
                try:
                    happened |= seat.agent.step()
                except Crashed as crash:
                    self.kill(name, crash)
                    happened = True
        return happened

    def next_event(self) -> float | None:
        """When something can happen next."""
        times = [report[0] for report in self.reports[:1]]
        for name, seat in self.seats.items():
            if seat.agent is None:
                times.append(seat.back_at)
                continue
            arrival = self.network.next_arrival(name)
            times.extend(at for at in (arrival, seat.agent.next_due()) if at is not None)
            if seat.executor is not None:
                times.extend(item[0] for item in seat.executor.pending[:1])
        later = [at for at in times if self.now < at < float("inf")]
        return min(later, default=None)

    def close(self) -> None:
        for seat in self.seats.values():
            if seat.agent is not None:
                self._count_refusals(seat.agent)
                seat.agent.clerk.store.close()


# --- a run ----------------------------------------------------------------------------------------------
def specification(rounds: int = 3, quorum: int = 3, deadline_s: float = 3_600.0) -> JobSpec:
    """Return the simulated job: a small softmax model over three parties."""
    return JobSpec(
        job=JOB,
        protocol="horizontal-fedavg",
        model="softmax",
        dataset=DATASET,
        parties=PARTIES,
        classes=("no", "yes"),
        features=6,
        hyperparameters={"learning_rate": 0.5, "epochs": 1, "batch_rows": 8},
        settings={
            "rounds": rounds,
            "quorum": quorum,
            "round_deadline_s": deadline_s,
            "silence_s": 4 * deadline_s,
            "tol": 0.0,
            "patience": 0,
        },
        minimum_parties=quorum,
        consent_s=deadline_s,
        seed=11,
    )


def alignment(deadline_s: float = 3_600.0) -> JobSpec:
    """Return a job that finds the customers whom all parties have."""
    return _of_customers(
        "aligned", "alignment", (), {"block": 16, "silence_s": deadline_s, "deadline_s": 4 * deadline_s}
    )


def vertical(deadline_s: float = 3_600.0, **changes: Setting) -> JobSpec:
    """Return a job that trains on these customers: few rows, a tiny key, and a start that is everybody's.

    Args:
        changes: settings that differ from these.
    """
    settings: dict[str, Setting] = {
        "guest": GUEST,
        "alignment": "aligned",
        "epochs": 2,
        "tol": 0.0,
        "learning_rate": 0.5,
        "holdout": 0.0,
        "guard": False,
        "start_spread": 0.0,
        "key_bits": 512,
        "block": 32,
        "overdue_s": deadline_s,
        "give_up_s": 4 * deadline_s,
    }
    return _of_customers("trained", "vertical-logistic", ("no", "yes"), settings | changes)


def _of_customers(job: str, protocol: str, classes: tuple[str, ...], settings: dict[str, Setting]) -> JobSpec:
    return JobSpec(
        job=job,
        protocol=protocol,
        model="",
        dataset=CUSTOMERS,
        parties=PARTIES,
        classes=classes,
        features=0,
        hyperparameters={},
        settings=settings,
        minimum_parties=len(PARTIES),
        consent_s=3_600.0,
        seed=11,
    )


def simulate(harm: Harm, *specs: JobSpec) -> Run:
    """Run jobs one after the other, each to its end at every agent that is up; deterministic in its arguments.

    Args:
        specs: each begins when the one before it has finished; none: `specification()`.
    """
    specs = specs or (specification(),)
    with _copied_federation() as folder:
        world = _World(harm, folder, specs)
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
            world.now = later
            if _over(world) and not _busy(world):
                break
        else:
            raise AssertionError(f"seed {harm.seed}: no end within {MAX_STEPS} ticks")
        return _what_came_of(world)


def _what_came_of(world: _World) -> Run:
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
        entries={name: _entries(seat.url) for name, seat in world.seats.items()},
        digest=getattr(results.get(KEEPER), "digest", b"") if finished else b"",
        crashes=tuple(world.crashes),
        refused=world.refused,
        trace=tuple(world.trace),
        virtual_s=world.now - EPOCH_S,
        held=world.held,
        points=world.points,
        early=world.early,
    )
    world.close()
    return run


def _propose(world: _World, keeper: Agent) -> None:
    """Propose the first job that is not finished, unless it is under way: a person types the command again."""
    jobs = keeper.clerk.standing.jobs
    for spec in world.specs:
        world.job = spec.job
        if not (keeper.knows(spec.job) or keeper.clerk.catching_up or spec.job in jobs):
            keeper.submit(spec)
        if spec.job not in jobs or jobs[spec.job].status != "finished":
            return


def _over(world: _World) -> bool:
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


def _busy(world: _World) -> bool:
    """Whether anything but mail to the absent is under way."""
    gone = {name for name, seat in world.seats.items() if seat.back_at == float("inf")}
    if any(queue for name, queue in world.network.queues.items() if name not in gone):
        return True
    agents = [seat.agent for seat in world.seats.values() if seat.agent is not None]
    heads = {agent.clerk.head for agent in agents}
    return len(heads) > 1 or any(agent.clerk.waiting() for agent in agents)


def _entries(url: str) -> list[ChainedEntry]:
    store = LedgerStore.open(url)
    try:
        return list(store.read())
    finally:
        store.close()


# --- the federation that every run begins with ------------------------------------------------------------
@cache
def _template() -> Path:
    """Found one federation for all runs of this process: keys and ledgers are copied, not made anew."""
    folder = Path(tempfile.mkdtemp(prefix="hansa-simulation-")) / "federation"
    members = [Member(name) for name in PARTIES]
    LocalFederation.found(members, federation="simulated", folder=folder).close()
    return folder


@cache
def _keys(name: str) -> tuple[Identity, AgentConfig]:
    [home] = [home for home in find_homes(_template()) if home.path.name == name]
    return home.identity(), home.config()


@contextmanager
def _copied_federation() -> Iterator[Path]:
    memory = Path("/dev/shm")  # a disk in memory where there is one: a thousand runs wait for no fsync
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as scratch:
        folder = Path(scratch) / "federation"
        shutil.copytree(_template(), folder)
        yield folder


@cache
def _rows(name: str) -> Dataset:
    """Return a party's rows: 40 + 10 × its place, from a plane with noise."""
    place = sorted((*PARTIES, KEEPER)).index(name)
    generator = np.random.default_rng(place)
    features = generator.normal(size=(40 + 10 * place, 6))
    target = np.where(features @ np.arange(1.0, 7.0) + generator.normal(size=len(features)) > 0, "yes", "no")
    return from_arrays(DATASET, features, target, holdout=0.25, regression=False, source=name)


@cache
def customers(name: str) -> Dataset:
    """Return what a party knows of its customers, in an order of its own; 50 of them are everybody's."""
    place = PARTIES.index(name)
    generator = np.random.default_rng(100 + place)
    whose = generator.permutation(np.arange(5 * place, 60 + 5 * place))
    known = np.random.default_rng(99).normal(size=(100, 2 * len(PARTIES)))  # of every customer there is
    target = np.where(known.sum(axis=1) > 0, "yes", "no")[whose]
    features = known[whose, 2 * place : 2 * place + 2]
    dataset = from_arrays(CUSTOMERS, features, target, holdout=0.25, regression=False, source=name)
    return replace(dataset, ids=tuple(f"customer {each}" for each in whose))


def main(arguments: Mapping[str, Any] | None = None) -> None:
    """Replay one seed and print what happened."""
    import argparse

    parser = argparse.ArgumentParser(description="Replay one simulated run.")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument(
        "--vertical", action="store_true", help="an alignment and a vertical training instead"
    )
    parser.add_argument("--crash-at", type=int, default=0, help="a kill at this one of all points, too")
    parser.add_argument("--power", action="store_true", help="kills are power failures")
    parser.add_argument("--absent", action="append", default=[], help="an agent that never comes up")
    given = parser.parse_args(sys.argv[1:] if arguments is None else [])
    specs = (alignment(), vertical()) if given.vertical else ()
    harm = Harm(seed=given.seed, power=given.power, absent=tuple(given.absent), crash_at=given.crash_at)
    run = simulate(harm, *specs)
    print("\n".join(run.trace))
    for name, over in sorted(run.outcomes.items()):
        print(f"{name}: {over.outcome + ': ' + over.reason if over else 'down'}")
    print(f"seed {run.seed}: {len(run.crashes)} kills, {run.virtual_s:.0f} virtual seconds, ", end="")
    print(f"{len(run.entries[KEEPER])} entries, model {run.digest.hex()[:16] or 'none'}")


if __name__ == "__main__":
    main()
