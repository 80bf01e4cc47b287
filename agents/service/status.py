"""How is a running agent, and who stops it or has it read its configuration again?"""

import os
from dataclasses import dataclass
from typing import Any

import hansa
from hansa.agents.core.witness import Cosigning
from hansa.agents.service.office import Office
from hansa.agents.service.vitals import take_vitals


@dataclass(frozen=True, slots=True)
class Status:
    """Tell how the agent is."""

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return everything `hansa agent status` shows."""
        vitals = office.ask(lambda: take_vitals(office.home, office.agent))
        health = office.daemon.health()
        section = office.agent.config.agent
        return {
            "name": vitals.name,
            "organisation": section.organisation,
            "roles": list(section.roles),
            "federation": vitals.federation,
            "keeper": vitals.keeper,
            "version": hansa.__version__,
            "pid": os.getpid(),
            "started": office.daemon.started,
            "health_url": office.daemon.health_url,
            "broker": {"state": health.state, "trouble": str(health.trouble or "")},
            "ledger": {"entries": vitals.head[0], "head": vitals.head[1]},
            "members": vitals.members,
            "jobs": [
                {"job": name, "status": status} | _ending(vitals.ended.get(name))
                for name, status in vitals.jobs.items()
            ],
            "unconfirmed": vitals.unconfirmed,
            "unroutable": list(vitals.unroutable),
            "refused": vitals.refused,
            "last_refusal": vitals.last_refusal,
            "awaited": list(vitals.awaited),
            "checkpoint": _checkpoint(vitals.cosigning),
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


def _checkpoint(cosigning: Cosigning) -> dict[str, Any]:
    final, awaited = cosigning.final, cosigning.awaited
    return {
        "final": None if final is None else final.checkpoint.size,
        "since_s": None if final is None else final.since_s,
        "lacks": "" if awaited is None else str(awaited),
        "abstains": list(cosigning.abstains),
        "evidence": cosigning.evidence,
    }


def _ending(ended: tuple[str, str] | None) -> dict[str, str]:
    return {} if ended is None else {"outcome": ended[0], "reason": ended[1]}
