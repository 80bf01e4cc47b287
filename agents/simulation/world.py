"""Who takes part in a simulated run? Whole agents, each at a place whose process may be killed and come back."""

import heapq
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hansa.agents.config import AgentConfig
from hansa.agents.core.agent import Agent
from hansa.agents.core.blobs import Chunk
from hansa.agents.core.messages import JobSpec
from hansa.agents.home import find_homes
from hansa.agents.simulation.disks import Files, Journal, Store
from hansa.agents.simulation.harm import Crashed, Harm
from hansa.agents.simulation.jobs import (
    AGREED,
    CUSTOMERS,
    DATASET,
    KEEPER,
    agreed,
    customers,
    rows,
)
from hansa.agents.simulation.network import Network, Wire
from hansa.agents.simulation.template import keys
from hansa.agents.simulation.weather import EPOCH_S, Weather
from hansa.broker import Identity
from hansa.ledger import ChainedEntry, LedgerStore

DETACH_BYTES = 64  # so low that every model travels in chunks


class Slow(Executor):
    """Tasks end at a later virtual time; a kill loses them."""

    def __init__(self, weather: Weather) -> None:
        self._weather = weather
        self.pending: list[tuple[float, int, Callable[[], None]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def end() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:  # what the executor of a real agent does
                future.set_exception(error)

        ends = self._weather.now + self._weather.delay_s()
        heapq.heappush(self.pending, (ends, self._weather.count(), end))
        return future


@dataclass(frozen=True, slots=True)
class Backup:
    """What an agent had on its disk at one instant, between two steps."""

    spaces: dict[str, dict[bytes, bytes]]
    chunks: dict[bytes, dict[int, Chunk]]
    entries: list[ChainedEntry]


@dataclass(slots=True)
class Seat:
    """An agent's place: what survives a kill, and the process that may be running."""

    identity: Identity
    config: AgentConfig
    journal: Journal
    files: Files
    url: str
    agent: Agent | None = None
    transport: Wire | None = None
    executor: Slow | None = None
    back_at: float = 0.0
    backup_in: int = 0  # ticks until it is backed up, and from then until its disk is lost
    loss_in: int = 0
    backup: Backup | None = None
    restored: bool = False

    @property
    def settled(self) -> bool:
        """Whether its agent is up, and knows what its former self did."""
        return self.agent is not None and self.agent.former_life.settled


class World:
    """The agents of one run, and what is between them."""

    def __init__(self, harm: Harm, folder: Path, specs: tuple[JobSpec, ...]) -> None:
        self.harm = harm
        self.specs = specs
        self.job = specs[0].job  # the one that is under way, or the last
        self.weather = Weather(harm, self._exposed)
        self.network = Network(self.weather)
        self.refused: dict[str, int] = {}
        self.held: dict[int, set[bytes]] = {}
        self.seats: dict[str, Seat] = {}
        for home in find_homes(folder):
            identity, config = keys(home.path.name)
            seat = Seat(
                identity,
                config,
                Journal(self.weather, identity.name),
                Files(self.weather, identity.name),
                f"sqlite:///{home.path / 'ledger.sqlite'}",
            )
            seat.back_at = float("inf") if identity.name in harm.absent else EPOCH_S
            if identity.name in harm.restored:
                seat.backup_in, seat.loss_in = (
                    self.weather.random.randint(1, 100),
                    self.weather.random.randint(1, 100),
                )
            self.seats[identity.name] = seat

    def _exposed(self, name: str) -> bool:
        """Whether an agent may be killed: any at any time, or those alone that are to vanish from the last job."""
        if not self.harm.vanish:
            return True
        agent = self.seats[name].agent
        return (
            name in self.harm.vanish and agent is not None and self.specs[-1].job in agent.clerk.standing.jobs
        )

    def start(self, name: str) -> None:
        seat = self.seats[name]
        self.weather.note(f"{name} starts")
        seat.transport = Wire(self.network, name)
        seat.executor = Slow(self.weather)
        held = None if name == KEEPER else self.held
        lent = {DATASET: partial(rows, name), CUSTOMERS: partial(customers, name)}
        try:
            seat.agent = Agent(
                identity=seat.identity,
                config=seat.config,
                journal=seat.journal,
                files=seat.files,
                store=Store(self.weather, name, LedgerStore.open(seat.url), held),  # type: ignore[arg-type]
                transport=seat.transport,
                executor=seat.executor,
                datasets=lent if name != KEEPER else {AGREED: agreed},
                clock=lambda: self.weather.now,
                detach_bytes=DETACH_BYTES,
            )
        except Crashed as crash:
            self.kill(name, crash)

    def kill(self, name: str, crash: Crashed) -> None:
        seat = self.seats[name]
        down_s = self.weather.random.uniform(0, self.harm.down_s)
        self.weather.note(
            f"killed: {crash}; " + ("for good" if name in self.harm.vanish else f"back in {down_s:.1f} s")
        )
        if seat.agent is not None:
            self._count_refusals(seat.agent)
            seat.agent.clerk.store.close()
        if seat.transport is not None:
            seat.transport.close()
        seat.files.fail(self.harm.power)
        seat.agent = seat.transport = seat.executor = None
        seat.back_at = float("inf") if name in self.harm.vanish else self.weather.now + down_s

    def pass_time(self) -> None:
        """Back up, and lose the disks of, those whose time has come."""
        for name, seat in self.seats.items():
            if name not in self.harm.restored or seat.restored or seat.agent is None:
                continue
            if seat.backup_in > 0:
                seat.backup_in -= 1
                if seat.backup_in == 0:
                    self.weather.note(f"{name} is backed up")
                    seat.backup = Backup(seat.journal.copy(), seat.files.copy(), entries(seat.url))
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

    def restore(self, name: str, seat: Seat) -> None:
        """Take an agent's disk away, and give it what was backed up."""
        assert seat.backup is not None
        self.kill(name, Crashed(f"{name} loses its disk"))
        seat.journal.become(seat.backup.spaces, int(self.weather.now * 1000))
        seat.files.become(seat.backup.chunks)
        path = Path(seat.url.removeprefix("sqlite:///"))
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        store = LedgerStore.open(seat.url)
        store.append(seat.backup.entries)
        store.close()
        seat.restored = True
        self.weather.crashes.append(f"{name} restored")

    def _count_refusals(self, agent: Agent) -> None:
        for kind, count in agent.intake.refused.items():
            self.refused[kind] = self.refused.get(kind, 0) + count

    def tick(self) -> bool:
        """Let everything that is due happen, agents in random order; return whether anything did."""
        happened = False
        self.network.tell_reports()
        for name in self.weather.random.sample(sorted(self.seats), len(self.seats)):
            seat = self.seats[name]
            if seat.agent is None and seat.back_at <= self.weather.now:
                self.start(name)
                happened = True
            if seat.executor is not None:
                while seat.executor.pending and seat.executor.pending[0][0] <= self.weather.now:
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
        times = [self.network.next_report() or float("inf")]
        for name, seat in self.seats.items():
            if seat.agent is None:
                times.append(seat.back_at)
                continue
            arrival = self.network.next_arrival(name)
            times.extend(at for at in (arrival, seat.agent.next_due()) if at is not None)
            if seat.executor is not None:
                times.extend(item[0] for item in seat.executor.pending[:1])
        later = [at for at in times if self.weather.now < at < float("inf")]
        return min(later, default=None)

    def close(self) -> None:
        for seat in self.seats.values():
            if seat.agent is not None:
                self._count_refusals(seat.agent)
                seat.agent.clerk.store.close()


def entries(url: str) -> list[ChainedEntry]:
    """Return all that a copy of the ledger holds."""
    store = LedgerStore.open(url)
    try:
        return list(store.read())
    finally:
        store.close()
