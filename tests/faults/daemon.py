"""One agent's daemon, as `hansa agent run` runs it: `python -m tests.faults.daemon HOME`.

It knows three more orders than a real one; one of them is an instant at which to die (`tripwire`).
"""

import logging
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hansa.agents.daemon import Daemon
from hansa.agents.home import Home
from hansa.agents.messages import JobSpec
from hansa.agents.office import Office
from hansa.agents.orders import ORDERS
from tests.faults.tripwire import Tripwire


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


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    home = Home(Path(sys.argv[1]))
    daemon = Daemon(home, home.identity())
    signal.signal(signal.SIGTERM, lambda *_: daemon.stop())
    with home.held():
        daemon.run()


if __name__ == "__main__":
    main()
