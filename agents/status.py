"""How is a running agent, and who stops it or has it read its configuration again?"""

import os
from dataclasses import dataclass
from typing import Any

import hansa
from hansa.agents.agent import Agent
from hansa.agents.office import Office


@dataclass(frozen=True, slots=True)
class Status:
    """Tell how the agent is."""

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return everything `hansa agent status` shows."""
        health = office.daemon.health()
        return {
            "pid": os.getpid(),
            "version": hansa.__version__,
            "started": office.daemon.started,
            "health_url": office.daemon.health_url,
            "broker": {"state": health.state, "trouble": str(health.trouble) if health.trouble else ""},
            **office.ask(lambda: describe(office.agent)),
        }


@dataclass(frozen=True, slots=True)
class Stop:
    """End the daemon after the step under way."""

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return the process that will end."""
        office.daemon.stop()
        return {"pid": os.getpid()}


@dataclass(frozen=True, slots=True)
class Reload:
    """Read agent.toml again."""

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return what was taken from it; ConfigError if it is not valid."""
        return {"taken": office.daemon.reload()}


def describe(agent: Agent) -> dict[str, Any]:
    """Return what an agent knows of itself; on its own thread only."""
    federation = agent.config.federation
    return {
        "name": agent.name,
        "organisation": agent.config.agent.organisation,
        "roles": list(agent.config.agent.roles),
        "federation": federation.id,
        "keeper": federation.keeper,
    }
