"""Who is there, in which version, and what time is it there? A question to everybody, answered by event.

Metadata only, best effort, like all events: who does not answer is not running, cut off, or its clock (or ours) is
so far off that one refuses to hear the other.
"""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import hansa
from hansa.agents.core.desk import Desk
from hansa.agents.core.herald import Herald
from hansa.agents.errors import AgentError
from hansa.broker.transport import Transport

if TYPE_CHECKING:  # an office has an agent, and an agent hears roll calls
    from hansa.agents.service.office import Office

QUESTION, ANSWER = "roll-call", "here"
EVENTS = "*.all.event"
PAUSE_S = 1.0  # nobody is answered more often
MOST_CALLS = 8  # open at a time
LONGEST_S = 10.0
POLL_S = 0.02


class RollCall:
    """An agent's ear and voice for roll calls; on the agent's thread.

    Args:
        desk: where events are left.
        herald: who hears events.
        transport: to hear them from.
    """

    def __init__(self, desk: Desk, herald: Herald, transport: Transport) -> None:
        self._desk = desk
        self._answered_at: dict[str, float] = {}
        self._calls: dict[str, dict[str, dict[str, Any]]] = {}
        herald.listen(self._hear)
        transport.subscribe(EVENTS)

    def ask(self) -> str:
        """Call the roll; return a name to find the answers under."""
        call = secrets.token_hex(8)
        while len(self._calls) >= MOST_CALLS:
            del self._calls[next(iter(self._calls))]
        self._calls[call] = {}
        self._desk.announce(QUESTION, call=call)
        return call

    def answers(self, call: str) -> dict[str, dict[str, Any]]:
        """Return by member what has come: `version`, and `ahead_s`, by how much its clock is ahead of ours."""
        return dict(self._calls.get(call, {}))

    def _hear(self, sender: str, kind: str, fields: Mapping[str, Any]) -> None:
        now = self._desk.clock()
        match kind, fields:
            case "roll-call", {"call": str(call)} if sender != self._desk.name:
                if self._answered_at.get(sender, -PAUSE_S) + PAUSE_S <= now:
                    self._answered_at[sender] = now
                    self._desk.announce(ANSWER, call=call[:32], version=hansa.__version__, time_s=float(now))
            case "here", {"call": str(call), "version": str(version), "time_s": float(time_s)}:
                if call in self._calls:
                    self._calls[call][sender] = {"version": version[:40], "ahead_s": time_s - now}
            case _:
                pass


@dataclass(frozen=True, slots=True)
class CallRoll:
    """Ask who is there; wait until everybody has answered, or for this long once we are connected."""

    wait_s: float = 2.0

    def carry_out(self, office: "Office") -> dict[str, Any]:
        """Return the answers by member, and the active members who gave none."""
        agent = office.agent
        connected_by = time.monotonic() + LONGEST_S
        while office.daemon.health().state != "ready":
            if time.monotonic() > connected_by:
                raise AgentError(f"{agent.name} has no connection to the broker: {office.daemon.health()}")
            time.sleep(POLL_S)
        call = office.ask(agent.rollcall.ask)
        deadline = time.monotonic() + min(self.wait_s, LONGEST_S)
        while True:
            answers = office.ask(lambda: agent.rollcall.answers(call))
            members = office.ask(lambda: dict(agent.clerk.standing.members))
            active = {name for name, each in members.items() if each.status == "active"} - {agent.name}
            silent = sorted(active - answers.keys())
            if not silent or time.monotonic() > deadline:
                return {"answers": answers, "silent": silent}
            time.sleep(POLL_S)
