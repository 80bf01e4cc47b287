"""What does a step gather? The changes, mail, entries and events that its parts leave for the commit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hansa.agents.core.journal import Changes
from hansa.ledger import Body


@dataclass(slots=True)
class Desk:
    """Shared by the parts of one agent.

    Args:
        name: the agent's.
        clock: UTC seconds since the epoch.
        post: seal a message (session, recipient, message) into this step's changes.
        write: sign a ledger entry (session, body) into this step's changes.
        changes: of the step under way; a new one after each commit.
        events: (kind, fields) to be told to everybody after the commit; metadata only.
    """

    name: str
    clock: Callable[[], float]
    post: Callable[[str, str, object], None]
    write: Callable[[str, Body], None]
    changes: Changes = field(default_factory=Changes)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def announce(self, kind: str, **fields: Any) -> None:
        """Leave an event for after the commit."""
        self.events.append((kind, fields))
