"""Propose a job through an agent that is not running: `python -m benchmarks.propose`.

Told {"home", "spec"}; the home's agent runs here until the broker has its offers, then {"proposed"} is answered.
Its daemon goes on with the job when it starts.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hansa.agents.core.messages import JobSpec
from hansa.agents.home import Home
from hansa.agents.service.office import Office
from hansa.agents.service.reach import reach
from hansa.broker import from_plain


@dataclass(frozen=True, slots=True)
class Propose:
    """Submit a job."""

    spec: JobSpec

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return the job's name; JobError if it can't be."""
        office.ask(lambda: office.agent.submit(self.spec))
        return {"proposed": self.spec.job}


def main() -> None:
    """Do as told on standard input."""
    told = json.loads(sys.stdin.readline())
    with reach(Home(Path(told["home"]))) as ask:
        answer = ask(Propose(from_plain(JobSpec, told["spec"])))
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
