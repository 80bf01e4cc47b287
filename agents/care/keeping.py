"""What may be asked of a keeper that was restored from a backup, and waits for its members?"""

from dataclasses import dataclass
from typing import Any

from hansa.agents.service.office import Office


@dataclass(frozen=True, slots=True)
class GoOn:
    """Wait no longer for what these members hold of the ledger: they are gone for good."""

    without: tuple[str, ...]

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return whom the keeper still waits for; AgentError if it waits for nobody."""
        awaited = office.ask(lambda: office.agent.former_life.go_on_without(self.without))
        return {"awaited": list(awaited)}
