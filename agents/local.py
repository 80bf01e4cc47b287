"""A whole federation in one process: every agent real, only the broker is memory.

Each agent has its own keys, journal, chunk files and ledger copy, and a thread of its own; they speak through
sealed envelopes exactly as they do between organisations. For demos, notebooks, tests and benchmarks.
"""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

from hansa.agents.core.agent import Agent
from hansa.agents.core.blobs import MemoryFiles
from hansa.agents.core.coordination import Over
from hansa.agents.core.journal import MemoryJournal
from hansa.agents.core.messages import JobSpec
from hansa.agents.core.workers import WorkerProcesses
from hansa.agents.data.rows import Dataset
from hansa.agents.data.salts import MemorySalts
from hansa.agents.errors import FederationError, JobAborted, JobError
from hansa.agents.home import Home, find_homes
from hansa.agents.memory import keep_freed_memory
from hansa.broker import BrokerError, Identity, MemoryBroker, check_name, decode, open_event
from hansa.broker.transport import Transport
from hansa.ledger import Charter, Keeper, LedgerStore, MemberAdmitted, Refusal, Replica, sign_entry
from hansa.ledger.contribution import VOLUME
from hansa.protocols import ModelRegistry

AGGREGATOR = "aggregator"
OBSERVER = "observer"
EVENTS = "*.all.event"
POLL_S = 0.05

Listener = Callable[[str, str, dict[str, Any]], None]  # sender, kind of event, its fields
Rows = Callable[[], Dataset]
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Member:
    """One organisation that founds a federation."""

    name: str
    organisation: str = ""
    datasets: Mapping[str, Rows] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)  # more sections for its agent.toml


class LocalFederation:
    """Agents of one federation in one process; a context manager.

    Use `found` for a new one, `open` for a folder that `found` has left.
    """

    def __init__(
        self,
        folder: Path,
        homes: Sequence[Home],
        datasets: Mapping[str, Mapping[str, Rows]],
        *,
        journalled: bool,
        registry: ModelRegistry | None,
        temporary: bool,
        detach_bytes: int | None = None,
        registries: Mapping[str, ModelRegistry] | None = None,
    ) -> None:
        keep_freed_memory()
        self._locks = [home.lock() for home in homes]
        self.folder = folder
        self._temporary = temporary
        cores = os.cpu_count() or 1
        self._executor: Executor = ThreadPoolExecutor(cores, thread_name_prefix="hansa-task")
        self._workers = WorkerProcesses(cores)
        self._stop = threading.Event()
        self._failures: list[tuple[str, BaseException]] = []
        self._threads: list[threading.Thread] = []
        self._listeners: list[Listener] = []
        self.agents: dict[str, Agent] = {}
        self.transports: dict[str, Transport] = {}
        federation = homes[0].config().federation
        self.federation = federation.id
        self.keeper = federation.keeper
        self.broker = MemoryBroker(self.federation)
        for home in homes:
            self.broker.declare(home.config().agent.name)
        self._observer = self.broker.connect(OBSERVER)
        self._observer.subscribe(EVENTS)
        for home in homes:
            identity = home.identity()
            config = home.config()
            named = {name: _reader(home, name) for name in config.data}
            self.transports[identity.name] = self.broker.connect(identity.name)
            self.agents[identity.name] = Agent(
                identity=identity,
                config=config,
                journal=home.journal(identity) if journalled else MemoryJournal(),
                files=home.files() if journalled else MemoryFiles(),
                store=home.store(),
                transport=self.transports[identity.name],
                executor=self._executor,
                heavy=self._workers,
                scratch=home.scratch,
                salts=home.salts(identity) if journalled else MemorySalts(identity.home_key()),
                datasets={**named, **datasets.get(identity.name, {})},
                registry=(registries or {}).get(identity.name, registry),
            )
        self._start()

    @classmethod
    def found(
        cls,
        members: Sequence[Member],
        *,
        federation: str = "local",
        folder: Path | None = None,
        aggregator: str = AGGREGATOR,
        purpose: str = "",
        successor: str = "",
        cosigners: int = 0,
        contribution: str = VOLUME,
        utility: Literal["score", "loss"] = "score",
        approvals: int = 0,
        journalled: bool = True,
        registry: ModelRegistry | None = None,
        validation: Mapping[str, Rows] | None = None,
    ) -> "LocalFederation":
        """Make homes, a charter and every member's admission, and start the agents.

        Args:
            folder: where the homes shall lie; None for a temporary folder that goes with this object.
            aggregator: the name of the agent that coordinates jobs and keeps the ledger.
            successor, cosigners, contribution, utility, approvals: as in `hansa.ledger.Charter`.
            journalled: False keeps journals and chunks in memory (no restart, no disk writes).
            validation: data sets of the aggregator's own, on which models are valued.

        Raises:
            FederationError: the folder holds something already, or two members have one name.
        """
        names = [aggregator, *(member.name for member in members)]
        for name in names:
            check_name(name)
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise FederationError(f"two agents named {doubled[0]!r}")
        if OBSERVER in names:
            raise FederationError(f"{OBSERVER!r} is the name of who listens to events; choose another")
        temporary = folder is None
        folder = Path(tempfile.mkdtemp(prefix="hansa-")) if folder is None else folder
        if folder.exists() and any(folder.iterdir()):
            raise FederationError(f"{folder}: not empty; name another folder")
        keeper = Identity.generate(aggregator)
        founders = {member.name: (Identity.generate(member.name), member) for member in members}
        written = Charter(
            federation,
            keeper.public,
            purpose=purpose,
            successor=successor,
            cosigners=cosigners,
            contribution=contribution,
            utility=utility,
            approvals=approvals,
        )
        charter, entries = _charter(folder, keeper, written, [who for who, _ in founders.values()], members)
        homes = [_make_home(folder, keeper, federation, keeper, charter, Member(aggregator), "aggregator")]
        for identity, member in founders.values():
            homes.append(_make_home(folder, identity, federation, keeper, charter, member, "party"))
        for home in homes:
            if home.path.name != aggregator:
                with_store = home.store(create=True)
                Replica(with_store, charter, federation).accept(entries)
                with_store.close()
        datasets = {member.name: member.datasets for member in members} | {aggregator: validation or {}}
        return cls(folder, homes, datasets, journalled=journalled, registry=registry, temporary=temporary)

    @classmethod
    def open(
        cls,
        folder: Path,
        registry: ModelRegistry | None = None,
        registries: Mapping[str, ModelRegistry] | None = None,
    ) -> "LocalFederation":
        """Start the agents of a folder that `found` has left; they go on where they stopped.

        Args:
            registries: of agents that have installed other models, by name.
        """
        return cls(
            folder,
            find_homes(folder),
            {},
            journalled=True,
            registry=registry,
            temporary=False,
            registries=registries,
        )

    @property
    def coordinator(self) -> Agent:
        """The agent that coordinates jobs and keeps the ledger."""
        return self.agents[self.keeper]

    def listen(self, listener: Listener) -> None:
        """Call `listener(sender, kind, fields)` for every signed event on the exchange."""
        self._listeners.append(listener)

    def register(self, timeout_s: float = 60.0) -> None:
        """Put every party's data sets on the ledger, unless they are there, and wait until all copies have them.

        Raises:
            DataError: a data set is unusable; nothing is registered then.
        """
        missing = [
            (agent, rows())
            for agent in self.agents.values()
            for name, rows in agent.datasets.items()
            if (agent.name, name) not in self._registered()
        ]
        for agent, dataset in missing:
            agent.register(dataset)
        expected = {(agent.name, dataset.name) for agent, dataset in missing}
        self._until(lambda: expected <= self._registered() and self._level(), timeout_s)

    def _registered(self) -> set[tuple[str, str]]:
        return set(self.coordinator.clerk.standing.datasets)

    def run(self, spec: JobSpec, timeout_s: float = 3_600.0, coordinator: str | None = None) -> Over:
        """Run a job to its end at every agent; one that is known already goes on where it stopped.

        Args:
            coordinator: who leads it; None: the keeper.

        Raises:
            JobAborted: it ended without a model; carries the reason.
            JobError: it can't be proposed, or an agent failed.
        """
        leader = coordinator or self.keeper
        if not self.ask(leader, lambda agent: agent.knows(spec.job)):
            self.ask(leader, lambda agent: agent.submit(spec))
        over = self._outcome(spec.job, leader, timeout_s)
        for party in spec.parties:
            self._outcome(spec.job, party, 60.0)
        self._until(self._level, 60.0)
        if over.outcome != "finished":
            raise JobAborted(spec.job, over.reason, over.missing)
        return over

    def ask(self, name: str, request: Callable[[Agent], Answer], timeout_s: float = 60.0) -> Answer:
        """Have an agent's own thread carry out a request; what it raises comes out here.

        Raises:
            JobError: an agent failed, or did not answer in time.
        """
        agent = self.agents[name]
        future = agent.ask(lambda: request(agent))
        self._until(future.done, timeout_s)
        return future.result()

    def result(self, job: str, name: str | None = None) -> Any:
        """Return what a job has ended with at an agent, by default the coordinator; errors as `ask`."""
        return self.ask(name or self.keeper, lambda agent: agent.result(job))

    def _outcome(self, job: str, name: str, timeout_s: float) -> Over:
        deadline = time.monotonic() + timeout_s
        while (over := self.ask(name, lambda agent: agent.outcome(job))) is None:
            if time.monotonic() > deadline:
                raise JobError(f"not done within {timeout_s:g} s")
            time.sleep(POLL_S / 2)
        return over

    def settle(self, timeout_s: float = 60.0) -> None:
        """Wait until nothing is under way and every copy of the ledger is level."""
        self._until(
            lambda: not any(self.ask(name, Agent.busy) for name in self.agents) and self._level(), timeout_s
        )

    def close(self) -> None:
        """Stop the agents; a temporary folder goes too."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._workers.shutdown()
        self._executor.shutdown(cancel_futures=True)
        for agent in self.agents.values():
            agent.close()
        for lock in self._locks:
            os.close(lock)
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "LocalFederation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        for name, agent in self.agents.items():
            self._thread(name, lambda agent=agent: agent.run(self._stop))  # type: ignore[misc]
        self._thread(OBSERVER, self._observe)

    def _thread(self, name: str, work: Callable[[], None]) -> None:
        def body() -> None:
            try:
                work()
            except BaseException as error:
                self._failures.append((name, error))

        thread = threading.Thread(target=body, name=f"hansa-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _observe(self) -> None:
        while not self._stop.is_set():
            self._observer.wait(POLL_S * 4)
            for delivery in self._observer.deliveries(100):
                self._observer.acknowledge([delivery.tag])
                self._hear(delivery.body)

    def _hear(self, frame: bytes) -> None:
        try:
            event = open_event(
                frame,
                federation=self.federation,
                lookup=self.coordinator.clerk.lookup,
                now_ms=int(time.time() * 1000),
            )
            fields = decode(event.body)
        except BrokerError:
            return
        if isinstance(fields, dict):
            for listener in self._listeners:
                listener(event.header.sender, event.header.kind, fields)

    def _level(self) -> bool:
        heads = {agent.clerk.head for agent in self.agents.values()}
        return len(heads) == 1

    def _until(self, done: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not done():
            if self._failures:
                name, error = self._failures[0]
                raise JobError(f"agent {name} failed: {type(error).__name__}: {error}") from error
            if time.monotonic() > deadline:
                raise JobError(f"not done within {timeout_s:g} s")
            time.sleep(POLL_S / 5)


def _reader(home: Home, name: str) -> Rows:
    return lambda: home.dataset(name)


def _make_home(
    folder: Path,
    identity: Identity,
    federation: str,
    keeper: Identity,
    charter: bytes,
    member: Member,
    role: str,
) -> Home:
    config: dict[str, Any] = {
        "agent": {"name": identity.name, "organisation": member.organisation, "roles": [role]},
        "federation": {"id": federation, "keeper": keeper.name, "charter": charter.hex()},
        **member.config,
    }
    return Home.create(folder / identity.name, identity, config)


def _charter(
    folder: Path,
    keeper: Identity,
    charter: Charter,
    identities: Sequence[Identity],
    members: Sequence[Member],
) -> tuple[bytes, list[Any]]:
    """Write the charter and the admissions; return the charter's fingerprint and all entries."""
    home = folder / keeper.name
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = LedgerStore.open(f"sqlite:///{(home / 'ledger.sqlite').resolve()}", create=True)
    federation = charter.federation
    writer = Keeper(keeper, federation, store)
    now = time.time()
    writer.found(charter, int(now * 1000))
    admissions = [
        sign_entry(
            keeper,
            federation=federation,
            author_seq=number,
            body=MemberAdmitted(
                identity.name, identity.public.verify_key, identity.public.seal_key, member.organisation
            ),
            time_ms=int(now * 1000),
        )
        for number, (identity, member) in enumerate(zip(identities, members, strict=True), 1)
    ]
    for outcome in writer.append(admissions, now):
        if isinstance(outcome, Refusal):
            raise FederationError(f"cannot admit a founder: {outcome.reason}")
    entries = list(store.read())
    store.close()
    return entries[0].hash, entries
