"""What may be asked of a running agent, and with what is it carried out?

An order is one thing that a person asks of a home: admit a member, submit a job. It is a frozen dataclass in the
file of its area; `hansa.agents.service.orders` names them all. Whoever has the agent carries it out: the daemon for
those that come through its control socket, `hansa.agents.service.reach` for a command while no daemon runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from hansa.agents.core.agent import Agent
from hansa.agents.errors import AgentError
from hansa.agents.home import Home
from hansa.broker import Health, PublicIdentity
from hansa.broker.transport import Transport

ANSWER_S = 30.0  # within which an agent answers; a step takes milliseconds, a busy disk perhaps seconds

Answer = TypeVar("Answer")


class Running(Protocol):
    """The daemon, as far as an order may look at it or touch it."""

    @property
    def started(self) -> float:
        """When it started, UTC seconds."""
        ...

    @property
    def health_url(self) -> str:
        """Where its health and metrics are shown; empty if nowhere."""
        ...

    def keys(self) -> PublicIdentity | None:
        """Return the public half of its agent's keys, or None while the agent is being built."""
        ...

    def health(self) -> Health:
        """Say how the connection to the broker is."""
        ...

    def stop(self) -> None:
        """End after the step under way."""
        ...

    def reload(self) -> str:
        """Read agent.toml again; return what was taken from it, in a line.

        Raises:
            ConfigError: it is not valid; the old one stays.
        """
        ...


@dataclass(frozen=True, slots=True)
class Office:
    """What an order is carried out with.

    Args:
        home: the agent's folder.
        agent: at work, on a thread of its own.
        transport: its connection.
        daemon: who runs it.
    """

    home: Home
    agent: Agent
    transport: Transport
    daemon: Running

    def ask(self, request: Callable[[], Answer], timeout_s: float = ANSWER_S) -> Answer:
        """Have the agent's thread carry out a request; return the answer once its consequences are committed.

        Raises:
            AgentError: what the request raised, or no answer in time. Likewise errors of the other rooms.
        """
        future = self.agent.ask(request)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            raise AgentError(
                f"{self.agent.name} did not answer within {timeout_s:g} s; it may still do what it was asked"
            ) from None


class Order(Protocol):
    """One thing that is asked of an agent; an implementation is a frozen dataclass whose fields fit JSON."""

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Do it; return an answer that fits JSON.

        Called on a control thread, not on the agent's: what touches the agent goes through `office.ask`.

        Raises:
            AgentError, BrokerError, LedgerError, ProtocolError, ValueError: it can't be done; their text, one
                line, is what the person reads.
        """
        ...
