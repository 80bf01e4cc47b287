"""Small lists of customers, and a hand that carries messages between machines and may change them."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hansa.protocols.alignment.job import AlignmentSettings, OverThresholdSettings
from hansa.protocols.alignment.rehearsal import HUB, Rehearsal, rehearse
from hansa.protocols.errors import PeerError
from hansa.protocols.machine import (
    Abort,
    Compute,
    Computed,
    Effect,
    Event,
    Finish,
    Received,
    Send,
    Step,
)

EffectT = TypeVar("EffectT", bound=Effect)
Tamper = Callable[[str, str, Any], Sequence[object]]

ANN = ("Ada", "Bea", "Cid", "Dan", "Eve")
BOB = ("Eve", "Flo", "Cid", "Gus")
CAT = ("Gus", "Cid", "Hal", "Eve", "Ada", "Ida")
PAIR = {"ann": ANN, "bob": BOB}
RING = {"ann": ANN, "bob": BOB, "cat": CAT}
COMMON = {"Cid", "Eve"}  # of two as of three
AT_TWO = {"ann": {"Ada", "Cid", "Eve"}, "bob": {"Eve", "Cid", "Gus"}, "cat": {"Gus", "Cid", "Eve", "Ada"}}

ONE_BLOCK = AlignmentSettings(block=64, silence_s=60, deadline_s=900)
BLOCKS = AlignmentSettings(block=4, silence_s=60, deadline_s=900)
OVER_TWO = OverThresholdSettings(2, block=4, silence_s=60, deadline_s=900)

NOTHING: Any = None  # the bench of a task that uses none

Settings = AlignmentSettings | OverThresholdSettings


@dataclass(slots=True)
class Transcript:
    """What happened, as somebody who sees everything would tell it."""

    messages: list[tuple[str, str, Any]] = field(default_factory=list)  # sender, recipient, message
    tasks: list[tuple[str, Compute, Any]] = field(default_factory=list)  # agent, what it asked, the result
    states: dict[str, list[Any]] = field(default_factory=dict)  # by agent, all that it ever held
    results: dict[str, Any] = field(default_factory=dict)
    aborts: dict[str, str] = field(default_factory=dict)
    refused: list[tuple[str, PeerError]] = field(default_factory=list)

    def told(self, recipient: str) -> list[Any]:
        """Return the messages that one agent got."""
        return [message for _, to, message in self.messages if to == recipient]


def honest(sender: str, recipient: str, message: Any) -> Sequence[object]:
    return [message]


def play(
    ids: Mapping[str, Sequence[str]], settings: Settings, tamper: Tamper = honest, seed: int = 1
) -> Transcript:
    """Run an alignment without trouble but for what ``tamper`` puts in a message's place."""
    return _Play(rehearse(ids, settings, seed), tamper).run()


class _Play:
    def __init__(self, rehearsal: Rehearsal, tamper: Tamper) -> None:
        self._rehearsal, self._tamper = rehearsal, tamper
        self._roles = {name: rehearsal.spec.role(brief.role) for name, brief in rehearsal.briefs.items()}
        self._events: deque[tuple[str, Event]] = deque()
        self.seen = Transcript(states={name: [] for name in rehearsal.briefs})

    def run(self) -> Transcript:
        for name, role in self._roles.items():
            self._take(name, role.begin(self._rehearsal.briefs[name]))
        while self._events and not self.seen.aborts:
            name, event = self._events.popleft()
            try:
                self._take(name, self._roles[name].step(self.seen.states[name][-1], event))
            except PeerError as error:
                self.seen.refused.append((name, error))
        return self.seen

    def _take(self, name: str, step: Step[Any]) -> None:
        self.seen.states[name].append(step.state)
        for effect in step.effects:
            match effect:
                case Send(recipient, message):
                    for each in self._tamper(name, recipient, message):
                        self.seen.messages.append((name, recipient, each))
                        self._events.append((recipient, Received(name, each)))
                case Compute():
                    self._compute(name, effect)
                case Finish(result):
                    self.seen.results[name] = result
                case Abort(reason):
                    self.seen.aborts[name] = reason

    def _compute(self, name: str, effect: Compute) -> None:
        task = self._rehearsal.spec.tasks[effect.function]
        assert isinstance(effect.inputs, task.inputs)
        try:
            bench = self._rehearsal.benches[name] if task.uses_bench else NOTHING
            result = task.function(effect.inputs, bench, effect.seed)
        except Exception as error:  # the machine's to judge
            self._events.append((name, Computed(effect.task_id, None, f"{type(error).__name__}: {error}")))
            return
        assert isinstance(result, task.result)
        self.seen.tasks.append((name, effect, result))
        self._events.append((name, Computed(effect.task_id, result)))


def names(ids: Mapping[str, Sequence[str]], run: Transcript, party: str) -> list[str]:
    """Return what a party's result says, as ids."""
    return [ids[party][row] for row in run.results[party].rows]


def only(effects: tuple[Effect, ...], kind: type[EffectT]) -> list[EffectT]:
    """Return the effects of one kind, in order."""
    return [effect for effect in effects if isinstance(effect, kind)]


__all__ = [
    "ANN",
    "AT_TWO",
    "BLOCKS",
    "BOB",
    "CAT",
    "COMMON",
    "HUB",
    "ONE_BLOCK",
    "OVER_TWO",
    "PAIR",
    "RING",
    "Settings",
    "Tamper",
    "Transcript",
    "honest",
    "names",
    "only",
    "play",
]
