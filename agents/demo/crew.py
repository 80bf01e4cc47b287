"""Agents that are started and stopped one by one, each in a thread of its own, over one broker in memory.

`hansa.agents.local` runs all homes of a folder from beginning to end. Here some come and go, and one may be two.
"""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import TypeVar

from hansa.agents.core.agent import Agent
from hansa.agents.errors import AgentError
from hansa.agents.home import Home
from hansa.broker import MemoryBroker
from hansa.broker.transport import Transport

POLL_S = 0.005
PATIENCE_S = 60.0

Answer = TypeVar("Answer")


class Crew:
    """Agents at work; a context manager.

    Args:
        federation: its id.
        names: everybody's: what is sent to somebody who is not up yet waits for it.

    Attributes:
        agents: those that are up, by whatever `start` was told to call them.
    """

    def __init__(self, federation: str, names: Iterable[str]) -> None:
        self.broker = MemoryBroker(federation)
        for name in names:
            self.broker.declare(name)
        self.agents: dict[str, Agent] = {}
        self._executor = ThreadPoolExecutor(thread_name_prefix="hansa-task")
        self._ends: dict[str, ExitStack] = {}
        self._failures: list[tuple[str, BaseException]] = []

    def start(self, home: Home, transport: Transport | None = None, called: str = "") -> Agent:
        """Start the agent of a home; it goes on where it stopped.

        Args:
            transport: its connection; None: one of its own.
            called: its name here, if that is not its own.
        """
        identity, config = home.identity(), home.config()
        called = called or identity.name
        with ExitStack() as end:
            end.enter_context(home.held())
            agent = Agent(
                identity=identity,
                config=config,
                journal=home.journal(identity),
                files=home.files(),
                store=home.store(),
                transport=transport or self.broker.connect(identity.name),
                executor=self._executor,
                scratch=home.scratch,
                salts=home.salts(identity),
                datasets={name: (lambda name=name: home.dataset(name)) for name in config.data},  # type: ignore[misc]
            )
            end.callback(agent.close)
            stop = threading.Event()
            thread = threading.Thread(target=self._body, args=(called, agent, stop), daemon=True)
            thread.start()
            end.callback(thread.join)
            end.callback(stop.set)
            self.agents[called], self._ends[called] = agent, end.pop_all()
        return agent

    def stop(self, *called: str) -> None:
        """Stop agents; what they have journalled stays in their homes."""
        for each in called:
            del self.agents[each]
            self._ends.pop(each).close()

    def ask(self, called: str, request: Callable[[Agent], Answer]) -> Answer:
        """Have an agent's own thread carry out a request; what it raises comes out here."""
        agent = self.agents[called]
        future = agent.ask(lambda: request(agent))
        self.until(future.done)
        return future.result()

    def until(self, done: Callable[[], bool], patience_s: float = PATIENCE_S) -> float:
        """Wait for something, and return how many seconds it took.

        Raises:
            AgentError: an agent failed, or it takes too long.
        """
        began = time.monotonic()
        while not done():
            if self._failures:
                called, error = self._failures[0]
                raise AgentError(f"agent {called} failed: {type(error).__name__}: {error}") from error
            if time.monotonic() > began + patience_s:
                raise AgentError(f"not done within {patience_s:g} s")
            time.sleep(POLL_S)
        return time.monotonic() - began

    def _body(self, called: str, agent: Agent, stop: threading.Event) -> None:
        try:
            agent.run(stop)
        except BaseException as error:  # told by whoever waits
            self._failures.append((called, error))

    def __enter__(self) -> "Crew":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(*list(self.agents))
        self._executor.shutdown(cancel_futures=True)
