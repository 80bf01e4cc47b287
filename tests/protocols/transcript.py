"""A job without trouble, told by somebody who sees everything."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hansa.protocols.machine import (
    Brief,
    Compute,
    Computed,
    Event,
    Finish,
    ProtocolSpec,
    Received,
    Record,
    Send,
    Step,
    Workbench,
)


class Laid(Protocol):
    """A job that is laid out: what every protocol's rehearsal has."""

    @property
    def spec(self) -> ProtocolSpec: ...
    @property
    def briefs(self) -> Mapping[str, Brief]: ...
    @property
    def benches(self) -> Mapping[str, Workbench]: ...


@dataclass(slots=True)
class Transcript:
    """What happened.

    Attributes:
        messages: sender, recipient, message.
        tasks: agent, what it asked for, the result.
        states: by agent, all that it ever held, each with the event that it took next.
        facts: agent, fact.
        results: by agent.
    """

    messages: list[tuple[str, str, Any]] = field(default_factory=list)
    tasks: list[tuple[str, Compute, Any]] = field(default_factory=list)
    states: dict[str, list[Any]] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=dict)
    facts: list[tuple[str, Any]] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)

    def of(self, kind: type) -> list[tuple[str, str, Any]]:
        """Return the messages of one kind."""
        return [each for each in self.messages if isinstance(each[2], kind)]

    def asked(self, agent: str, function: str) -> list[tuple[Any, Any]]:
        """Return inputs and results of an agent's tasks of one name."""
        return [
            (task.inputs, out) for who, task, out in self.tasks if (who, task.function) == (agent, function)
        ]


def told(laid: Laid) -> Transcript:
    """Run a job; messages and tasks in the order in which they are asked for."""
    queue: deque[tuple[str, Event]] = deque()
    seen = Transcript(states={name: [] for name in laid.briefs}, events={name: [] for name in laid.briefs})
    for name, brief in laid.briefs.items():
        _take(laid, seen, queue, name, laid.spec.role(brief.role).begin(brief))
    while queue:
        name, event = queue.popleft()
        seen.events[name].append(event)
        role = laid.spec.role(laid.briefs[name].role)
        _take(laid, seen, queue, name, role.step(seen.states[name][-1], event))
    return seen


def _take(laid: Laid, seen: Transcript, queue: deque[tuple[str, Event]], name: str, step: Step[Any]) -> None:
    seen.states[name].append(step.state)
    for effect in step.effects:
        match effect:
            case Send(recipient, message):
                seen.messages.append((name, recipient, message))
                queue.append((recipient, Received(name, message)))
            case Compute():
                task = laid.spec.tasks[effect.function]
                result = task.function(effect.inputs, laid.benches[name], effect.seed)
                seen.tasks.append((name, effect, result))
                queue.append((name, Computed(effect.task_id, result)))
            case Record(fact):
                seen.facts.append((name, fact))
            case Finish(result):
                seen.results[name] = result
