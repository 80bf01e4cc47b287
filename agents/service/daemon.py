"""Who keeps an agent at work? One process per home, until told to stop.

It connects to the broker, steps the agent, and answers orders and monitors. A broker that is away is no reason to
end: it says so and goes on trying. If our own disk or database fails, the agent is built anew from its journal,
which is what a restart would do, after a pause that grows.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import hansa
from hansa.agents.admission.rekeying import keys_to_come, present_keys
from hansa.agents.config import AgentConfig
from hansa.agents.core.agent import Agent
from hansa.agents.core.workers import WorkerProcesses
from hansa.agents.data.rows import Dataset
from hansa.agents.errors import AgentError, AgentNotRunning, BrokerTurnedAway, JournalError
from hansa.agents.home import Home
from hansa.agents.memory import keep_freed_memory
from hansa.agents.service import metrics
from hansa.agents.service.connection import ConnectionWatch, describe
from hansa.agents.service.control import ControlServer
from hansa.agents.service.health import HealthServer
from hansa.agents.service.notify import Notifier
from hansa.agents.service.offers import offer, settled
from hansa.agents.service.office import Office
from hansa.agents.service.vitals import Vitals, take_vitals
from hansa.broker import AmqpTransport, BrokerError, Disconnected, Health, Identity, PublicIdentity
from hansa.ledger import LedgerError, StoreError, StoreMissing

FIRST_PAUSE_S = 0.5
MOST_PAUSE_S = 30.0
STEADY_S = 60.0  # an agent that worked for so long starts with the first pause again
BEAT_S = 0.2  # between signs of life during a pause
VITALS_S = 2.0  # a monitor waits so long for the agent; then it is not well
OFFER_POLL_S = 0.25

log = logging.getLogger("hansa.daemon")


class _KeysReplaced(Exception):
    """The agent must be built anew with other keys."""

    def __init__(self, fresh: Identity) -> None:
        super().__init__()
        self.fresh = fresh


class Daemon:
    """One home's agent at work.

    Args:
        home: an agent's folder, whose agent belongs to a federation; the caller holds its lock.
        identity: its keys.
        serve: whether to answer orders and monitors, and offer data sets; a command that only needs the agent for
            a moment does without.
        notifier: tells the service manager.
    """

    def __init__(
        self, home: Home, identity: Identity, *, serve: bool = True, notifier: Notifier | None = None
    ) -> None:
        self.started = time.time()
        self.health_url = ""
        self._home = home
        self._identity = identity
        self._serve = serve
        self._notifier = notifier or Notifier()
        self._stop = threading.Event()
        self._lock = threading.Lock()  # one at a time reloads
        self._office: Office | None = None
        self._health = Health("connecting", None)
        self._ready_told = False
        self._pause_s = FIRST_PAUSE_S

    def run(self) -> None:
        """Keep the agent at work until `stop`.

        Raises:
            BrokerTurnedAway: the broker refuses us, or a newer connection of this agent took over.
            AgentError, BrokerError, LedgerError: what else keeps an agent from starting.
        """
        keep_freed_memory()
        config = self._home.config()
        federation = config.federation.id
        with ExitStack() as stack:
            stack.callback(self._notifier.tell, "STOPPING=1")
            executor = ThreadPoolExecutor(config.agent.workers, thread_name_prefix="hansa-task")
            stack.callback(executor.shutdown, wait=False, cancel_futures=True)
            workers = WorkerProcesses(config.agent.workers)
            stack.callback(workers.shutdown)
            if self._serve:
                health = HealthServer(config.daemon, self._tell_health, self._tell_metrics)
                stack.callback(health.close)
                self.health_url = health.url
                stack.callback(ControlServer(self._home, self.office).close)
                log.info(
                    "%s of %s: hansa %s, process %d, health at %s/health",
                    *(self._identity.name, federation, hansa.__version__, os.getpid(), self.health_url),
                )
            while not self._stop.is_set():
                self._work_until_the_disk_fails(executor, workers)
        if self._serve:
            log.info("%s: stopped", self._identity.name)

    def office(self) -> Office:
        """Return what orders are carried out with; AgentNotRunning while there is no agent."""
        if self._office is None:
            raise AgentNotRunning(f"{self._identity.name} is just starting; try again")
        return self._office

    def keys(self) -> PublicIdentity | None:
        """Return the public half of the agent's keys, or None while it is being built."""
        office = self._office
        return None if office is None else office.agent.identity.public

    def health(self) -> Health:
        """Say how the connection to the broker is, as of the last beat."""
        return self._health

    def stop(self) -> None:
        """End after the step under way; from any thread."""
        self._stop.set()
        office = self._office
        if office is not None:
            office.transport.wake()

    def reload(self) -> str:
        """Read agent.toml again: the policy, and which data sets there are; return what was taken, in a line.

        Raises:
            ConfigError: it is not valid, or another agent's; the old one stays.
        """
        with self._lock:
            office = self.office()
            self._notifier.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                config = self._home.config()
                readers = self._readers(config)
                office.ask(lambda: office.agent.reload(config, readers))
            finally:
                self._notifier.tell("READY=1")
            self._offer(office.agent, readers)
        taken = f"policy and {len(readers)} data sets taken from agent.toml"
        log.info("%s: %s; the rest of it counts from the next start", self._identity.name, taken)
        return taken

    # --- the agent ----------------------------------------------------------------------------------------
    def _work_until_the_disk_fails(self, executor: Executor, workers: Executor) -> None:
        began = time.monotonic()
        try:
            self._work(executor, workers)
        except StoreMissing:
            raise  # waiting makes no ledger
        except (JournalError, StoreError) as error:
            if time.monotonic() - began > STEADY_S:
                self._pause_s = FIRST_PAUSE_S
            log.error(
                "%s: our own disk or database failed: %s; starting anew from the journal in %g s",
                *(self._identity.name, error, self._pause_s),
            )
            self._notifier.status(f"our own disk or database failed: {error}")
            self._rest(self._pause_s)
            self._pause_s = min(2 * self._pause_s, MOST_PAUSE_S)
        except _KeysReplaced as replaced:
            self._identity = replaced.fresh
            log.info("%s: the ledger has our new keys; at work with them from here on", self._identity.name)
        except Disconnected as error:
            raise BrokerTurnedAway(
                f"{error}; is a copy of this home at work elsewhere? One agent runs in one place"
            ) from None

    def _work(self, executor: Executor, workers: Executor) -> None:
        """Build the agent and step it until told to stop."""
        agent, transport = self._build(executor, workers)
        watch = ConnectionWatch(agent.name, transport, quiet=not self._serve)
        try:
            self._office = Office(self._home, agent, transport, self)
            if self._serve:
                self._offer(agent, agent.datasets)
            agent.run(self._stop, lambda: self._beat(agent, watch))
        finally:
            self._office = None
            self._health = Health("connecting", None)
            with suppress(JournalError, StoreError, Disconnected):  # told already, or of no matter any more
                agent.close()

    def _build(self, executor: Executor, workers: Executor) -> tuple[Agent, AmqpTransport]:
        config = self._home.config()
        fresh = keys_to_come(self._home, self._identity)
        if fresh is not None:  # the ledger may have them already
            self._identity.expect(fresh)
        with ExitStack() as undo:
            journal = self._home.journal(self._identity)
            undo.callback(journal.close)
            store = self._home.store()
            undo.callback(store.close)
            transport = AmqpTransport(self._home.address(), config.federation.id, self._identity.name)
            undo.callback(transport.close)
            agent = Agent(
                identity=self._identity,
                config=config,
                journal=journal,
                files=self._home.files(),
                store=store,
                transport=transport,
                executor=executor,
                heavy=workers,
                scratch=self._home.scratch,
                salts=self._home.salts(self._identity),
                datasets=self._readers(config),
            )
            undo.pop_all()
        return agent, transport

    def _beat(self, agent: Agent, watch: ConnectionWatch) -> None:
        """After every step: are our keys still ours, how is the broker, and a sign of life."""
        fresh = present_keys(self._home, self._identity, agent)
        if fresh is not None:
            raise _KeysReplaced(fresh)
        self._health = watch.look()
        self._notifier.status(describe(self._health))
        self._notifier.alive()
        if self._health.state == "ready" and not self._ready_told:
            self._ready_told = True
            self._notifier.tell("READY=1")

    def _rest(self, seconds: float) -> None:
        """Pause, alive, unless told to stop."""
        until = time.monotonic() + seconds
        while not self._stop.wait(BEAT_S) and time.monotonic() < until:
            self._notifier.alive()

    # --- data sets ----------------------------------------------------------------------------------------
    def _readers(self, config: AgentConfig) -> dict[str, Callable[[], Dataset]]:
        return {name: self._reader(name) for name in config.data}

    def _reader(self, name: str) -> Callable[[], Dataset]:
        return lambda: self._home.dataset(name)

    def _offer(self, agent: Agent, readers: dict[str, Callable[[], Dataset]]) -> None:
        """Look after the data sets on a thread of its own: reading them may take long."""
        copied = dict(readers)  # a reload changes the agent's own
        if copied:
            threading.Thread(
                target=self._offer_all, args=(agent, copied), name="hansa-data", daemon=True
            ).start()

    def _offer_all(self, agent: Agent, readers: dict[str, Callable[[], Dataset]]) -> None:
        with suppress(AgentError):  # the agent has stopped: the next one begins again
            while not self._stop.wait(OFFER_POLL_S):
                now = agent.ask(lambda: settled(agent)).result()
                if now.member and not now.waiting:
                    for name in sorted(set(readers) & set(now.names)):
                        offer(agent, name, readers[name])
                    return

    # --- monitors -----------------------------------------------------------------------------------------
    def _vitals(self) -> Vitals | None:
        """Return the agent's vitals, or None if it does not answer in time."""
        try:
            office = self.office()
            return office.ask(lambda: take_vitals(self._home, office.agent), VITALS_S)
        except (AgentError, BrokerError, LedgerError):
            return None

    def _tell_health(self) -> tuple[bool, dict[str, Any]]:
        vitals, health = self._vitals(), self._health
        ready = vitals is not None and health.state == "ready"
        why = describe(health) if vitals is not None else "the agent does not answer; its log says why"
        told = {
            "ready": ready,
            "agent": self._identity.name,
            "broker": health.state,
            "why": "" if ready else why,
        }
        return ready, told

    def _tell_metrics(self) -> str:
        vitals, state = self._vitals(), self._health.state
        return metrics.write_metrics(vitals, name=self._identity.name, state=state, started=self.started)
