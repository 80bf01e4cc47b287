"""One agent's daemon, as `hansa agent run` runs it: `python -m tests.faults.daemon HOME`.

It knows some more orders than a real one; one of them is an instant at which to die (`tripwire`).
"""

import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from hansa.agents.cli import main as hansa
from hansa.agents.core.messages import JobSpec
from hansa.agents.service.office import Office
from hansa.agents.service.orders import ORDERS
from tests.faults.tripwire import Tripwire

ORPHANED_S = 0.5


@dataclass(frozen=True, slots=True)
class Propose:
    """Submit a job."""

    spec: JobSpec

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return its name."""
        office.ask(lambda: office.agent.submit(self.spec))
        return {"job": self.spec.job}


@dataclass(frozen=True, slots=True)
class Look:
    """Tell how far the agent is, with a job and otherwise."""

    job: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return what a test waits for."""
        agent = office.agent
        health = office.daemon.health()

        def look() -> dict[str, Any]:
            over = agent.outcome(self.job)
            return {
                "state": health.state,
                "head": [agent.clerk.head.size, agent.clerk.head.hash.hex()],
                "outcome": over.outcome if over else "",
                "reason": over.reason if over else "",
                "round": agent.clerk.standing.rounds.get(self.job, 0),
                "busy": agent.busy(),
                "refused": dict(agent.intake.refused),
            }

        return office.ask(look)


@dataclass(frozen=True, slots=True)
class Weights:
    """Tell a finished job's model."""

    job: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return the arrays' bytes in hexadecimal."""
        result = office.ask(lambda: office.agent.result(self.job))
        return {"weights": [array.tobytes().hex() for array in result.parameters]}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Die at an instant."""

    wire: Tripwire

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return nothing; the process is about to be killed."""
        office.ask(self.wire.stretch)
        return {}


ORDERS["test-propose"] = Propose
ORDERS["test-look"] = Look
ORDERS["test-stretch"] = Stretch
ORDERS["test-weights"] = Weights


def end_with_parent(parent: int) -> None:
    """Leave nothing behind when the tests are gone, however they went."""
    while os.getppid() == parent:
        time.sleep(ORPHANED_S)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()
    hansa(["agent", "run", "--home", sys.argv[1]])


if __name__ == "__main__":
    main()
