"""Who keeps an agent at work? One process per home, until told to stop.

It holds the home's lock, connects to the broker, steps the agent, and answers orders. A broker that is away is no
reason to end: it says so and goes on trying. If our own disk or database fails, the agent is built anew from its
journal, which is what a restart would do, after a pause that grows.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

from hansa.agents.agent import Agent
from hansa.agents.control import ControlServer
from hansa.agents.data import Dataset
from hansa.agents.errors import AgentNotRunning, BrokerTurnedAway, JournalError
from hansa.agents.home import Home
from hansa.agents.office import Office
from hansa.broker import AmqpTransport, Disconnected, Health, Identity
from hansa.ledger import StoreError

FIRST_PAUSE_S = 0.5
MOST_PAUSE_S = 30.0

log = logging.getLogger("hansa.daemon")


class Daemon:
    """One home's agent at work.

    Args:
        home: an agent's folder, whose agent belongs to a federation.
        identity: its keys.
        control: whether to answer at the home's control socket.
    """

    def __init__(self, home: Home, identity: Identity, *, control: bool = True) -> None:
        self.started = time.time()
        self.health_url = ""
        self._home = home
        self._identity = identity
        self._control = control
        self._stop = threading.Event()
        self._office: Office | None = None
        self._pause_s = FIRST_PAUSE_S

    def run(self) -> None:
        """Keep the agent at work until `stop`.

        Raises:
            HomeError: another process has the home. Likewise everything that keeps an agent from starting.
            BrokerTurnedAway: a newer connection of this agent took over.
        """
        config = self._home.config()
        with ExitStack() as stack:
            stack.enter_context(self._home.held())
            executor = ThreadPoolExecutor(config.agent.workers, thread_name_prefix="hansa-task")
            stack.callback(executor.shutdown, wait=False, cancel_futures=True)
            if self._control:
                stack.callback(ControlServer(self._home, self.office).close)
            while not self._stop.is_set():
                try:
                    self._work(executor)
                except (JournalError, StoreError) as error:
                    log.error(
                        "our own disk or database failed: %s; next attempt in %g s", error, self._pause_s
                    )
                    self._stop.wait(self._pause_s)
                    self._pause_s = min(2 * self._pause_s, MOST_PAUSE_S)
                except Disconnected as error:
                    raise BrokerTurnedAway(str(error)) from None

    def office(self) -> Office:
        """Return what orders are carried out with; AgentNotRunning while the agent is being built."""
        if self._office is None:
            raise AgentNotRunning("the agent is just starting; try again")
        return self._office

    def health(self) -> Health:
        """Say how the connection to the broker is."""
        office = self._office
        if office is None or not isinstance(office.transport, AmqpTransport):
            return Health("connecting", None)
        return office.transport.health()

    def stop(self) -> None:
        """End after the step under way; from any thread."""
        self._stop.set()
        office = self._office
        if office is not None:
            office.transport.wake()

    def reload(self) -> str:
        """Read agent.toml again; return what was taken from it."""
        office = self.office()
        config = self._home.config()
        readers = self._readers(list(config.data))
        office.ask(lambda: office.agent.reload(config, readers))
        return f"policy and {len(readers)} data sets"

    def _work(self, executor: ThreadPoolExecutor) -> None:
        agent, transport = self._build(executor)
        try:
            self._office = Office(self._home, agent, transport, self)
            agent.run(self._stop)
        finally:
            self._office = None
            with suppress(JournalError, StoreError, Disconnected):
                agent.close()

    def _build(self, executor: ThreadPoolExecutor) -> tuple[Agent, AmqpTransport]:
        config = self._home.config()
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
                datasets=self._readers(list(config.data)),
            )
            undo.pop_all()
        return agent, transport

    def _readers(self, names: list[str]) -> dict[str, Callable[[], Dataset]]:
        return {name: self._reader(name) for name in names}

    def _reader(self, name: str) -> Callable[[], Dataset]:
        return lambda: self._home.dataset(name)
