"""Does a protocol survive bad weather? Run its machines on a virtual clock, with trouble drawn from a seed.

The simulator plays the agents: it delivers messages, runs tasks, fires timers, and, as a seed decides, holds
messages up, doubles or loses them, and crashes agents, which come back from their last stored state. The same
seed gives the same run, event by event; ``python -m hansa.protocols.simulator --seed N`` prints one.

What an agent guarantees to its machine holds here too. A step is atomic: after a crash either all of its
effects stand or the event comes again. Pending tasks are run again. Timers are absolute and, after an outage,
fire only once what had queued up meanwhile is consumed.
"""

import argparse
import heapq
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from hansa.protocols.errors import LocalProtocolError, ProtocolError
from hansa.protocols.machine import (
    Abort,
    Brief,
    CancelTimer,
    Compute,
    Computed,
    Effect,
    Event,
    Finish,
    Keep,
    PeerLeft,
    ProtocolSpec,
    Received,
    Record,
    RoleSpec,
    Send,
    SetTimer,
    TimerFired,
    Workbench,
)
from hansa.protocols.trace import describe, trace_line

# All in virtual seconds: (least, most) of a uniform draw.
LATENCY_S = (0.005, 0.02)
OVERTAKEN_S = (0.0, 0.5)
DELAYED_S = (1.0, 5.0)
TASK_S = (0.01, 0.2)
OUTAGE_S = (0.5, 3.0)
RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Chaos:
    """How bad the weather is. Chances are per message, ``crash`` per event consumed.

    Attributes:
        seed: every draw comes from it.
        reorder: a message is held up for as long as later ones need to overtake it.
        duplicate: it arrives twice.
        delay: it is held up for seconds.
        drop: a transmission is lost.
        crash: the agent dies before or after storing the step, and comes back.
        reliable: True is what an agent's inbox gives its machine: lost transmissions are repeated, and each
            sender's messages come once and in order. False is the bare network, for machines that claim to
            keep their state whatever arrives.
    """

    seed: int = 0
    reorder: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    drop: float = 0.0
    crash: float = 0.0
    reliable: bool = True

    def __post_init__(self) -> None:
        for name in ("reorder", "duplicate", "delay", "drop", "crash"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} must be in [0, 1), not {getattr(self, name)}")


def rough(seed: int) -> Chaos:
    """Return the weather of the tests: a good share of every trouble, under reliable links."""
    return Chaos(seed, reorder=0.3, duplicate=0.2, delay=0.1, drop=0.2, crash=0.1)


@dataclass(frozen=True, slots=True)
class Run:
    """What came of it.

    Attributes:
        seed: of the chaos.
        results: by agent that finished, what with.
        aborts: by agent that gave up, why.
        unfinished: agents that did neither, the dead apart; a silent wait, if nothing cut the run short.
        records: (agent, fact) in order.
        kept: by agent, what it last asked to keep for another job.
        refused: (agent, error) for each event a machine refused.
        trace: one line per happening; equal for equal seeds.
    """

    seed: int
    results: dict[str, object]
    aborts: dict[str, str]
    unfinished: tuple[str, ...]
    records: tuple[tuple[str, object], ...]
    kept: dict[str, object]
    refused: tuple[tuple[str, ProtocolError], ...]
    trace: tuple[str, ...] = field(repr=False)


def unchanged(state: object) -> object:
    """Return the state itself: the snapshot of an agent that stores nothing."""
    return state


def simulate(
    spec: ProtocolSpec,
    briefs: Mapping[str, Brief],
    benches: Mapping[str, Workbench],
    chaos: Chaos,
    *,
    snapshot: Callable[[object], object] = unchanged,
    deaths: Mapping[str, float] | None = None,
    until_s: float = inf,
) -> Run:
    """Run one job until nothing is left to happen.

    Args:
        spec: the protocol.
        briefs: by agent, its role's brief.
        benches: by agent, its workbench.
        chaos: the weather.
        snapshot: stores and restores a state, such as encode then decode; applied at each crash.
        deaths: by agent, when it is gone for good, without a word.
        until_s: stop the clock here.

    Raises:
        LocalProtocolError: a machine sent, recorded or returned what its spec doesn't list.
    """
    simulation = _Simulation(spec, briefs, benches, chaos, snapshot)
    return simulation.run(deaths or {}, until_s)


# -- what can happen ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Parcel:
    """One message on the network, or (``message`` None) the word that its sender gave up."""

    sender: str
    recipient: str
    number: int
    message: object | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Transmission:
    parcel: _Parcel


@dataclass(frozen=True, slots=True)
class _Arrival:
    parcel: _Parcel


@dataclass(frozen=True, slots=True)
class _TaskEnd:
    agent: str
    life: int
    task: Compute


@dataclass(frozen=True, slots=True)
class _Alarm:
    agent: str
    name: str
    at_s: float


@dataclass(frozen=True, slots=True)
class _Restart:
    agent: str


@dataclass(frozen=True, slots=True)
class _Death:
    agent: str


_Happening = _Transmission | _Arrival | _TaskEnd | _Alarm | _Restart | _Death


@dataclass(slots=True)
class _Agent:
    """One agent: what it has stored, and whether it is up."""

    name: str
    role: RoleSpec[Any]
    bench: Workbench
    state: object
    pending: dict[str, Compute] = field(default_factory=dict)
    timers: dict[str, float] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    consumed: dict[str, int] = field(default_factory=dict)
    held: dict[tuple[str, int], _Parcel] = field(default_factory=dict)
    queued: list[_Parcel] = field(default_factory=list)
    life: int = 0
    up: bool = True
    dead: bool = False


class _Simulation:
    def __init__(
        self,
        spec: ProtocolSpec,
        briefs: Mapping[str, Brief],
        benches: Mapping[str, Workbench],
        chaos: Chaos,
        snapshot: Callable[[object], object],
    ) -> None:
        self._spec = spec
        self._chaos = chaos
        self._snapshot = snapshot
        self._random = random.Random(chaos.seed)
        self._now_s = 0.0
        self._heap: list[tuple[float, int, _Happening]] = []
        self._scheduled = 0
        self._agents: dict[str, _Agent] = {}
        self._results: dict[str, object] = {}
        self._aborts: dict[str, str] = {}
        self._records: list[tuple[str, object]] = []
        self._kept: dict[str, object] = {}
        self._refused: list[tuple[str, ProtocolError]] = []
        self._trace: list[str] = []
        first: list[tuple[_Agent, tuple[Effect, ...]]] = []
        for name in sorted(briefs):
            role = spec.role(briefs[name].role)
            step = role.begin(briefs[name])
            self._agents[name] = _Agent(name, role, benches[name], step.state)
            first.append((self._agents[name], step.effects))
        for agent, effects in first:
            self._perform(agent, effects)

    def run(self, deaths: Mapping[str, float], until_s: float) -> Run:
        for name in sorted(deaths):
            self._schedule(deaths[name], _Death(name))
        while self._heap and self._heap[0][0] <= until_s:
            self._now_s, _, happening = heapq.heappop(self._heap)
            self._happen(happening)
        unfinished = tuple(
            name
            for name, agent in self._agents.items()
            if not (agent.dead or name in self._results or name in self._aborts)
        )
        return Run(
            self._chaos.seed,
            self._results,
            self._aborts,
            unfinished,
            tuple(self._records),
            self._kept,
            tuple(self._refused),
            tuple(self._trace),
        )

    # -- the network --

    def _happen(self, happening: _Happening) -> None:
        match happening:
            case _Transmission(parcel):
                self._transmit(parcel)
            case _Arrival(parcel):
                self._arrive(self._agents[parcel.recipient], parcel)
            case _TaskEnd(name, life, task):
                agent = self._agents[name]
                if agent.life == life and task.task_id in agent.pending:
                    self._feed(agent, self._computed(agent, task), None)
            case _Alarm(name, timer, at_s):
                agent = self._agents[name]
                if agent.up and agent.timers.get(timer) == at_s:
                    self._feed(agent, TimerFired(timer), None)
            case _Restart(name):
                self._restart(self._agents[name])
            case _Death(name):
                agent = self._agents[name]
                agent.dead, agent.up, agent.life = True, False, agent.life + 1
                self._note(agent, "is gone for good")

    def _transmit(self, parcel: _Parcel) -> None:
        """Put a parcel on the network: it is lost, or it arrives once or twice, sooner or later."""
        chaos = self._chaos
        if self._chance(chaos.drop):
            if chaos.reliable:
                self._schedule(self._now_s + RETRY_S, _Transmission(parcel))
            else:
                self._note(self._agents[parcel.recipient], f"lost {describe(parcel.message)}")
            return
        for _ in range(2 if self._chance(chaos.duplicate) else 1):
            wait_s = self._random.uniform(*LATENCY_S)
            if self._chance(chaos.reorder):
                wait_s += self._random.uniform(*OVERTAKEN_S)
            if self._chance(chaos.delay):
                wait_s += self._random.uniform(*DELAYED_S)
            self._schedule(self._now_s + wait_s, _Arrival(parcel))

    def _arrive(self, agent: _Agent, parcel: _Parcel) -> None:
        if agent.dead:
            return
        if not agent.up:
            agent.queued.append(parcel)
            return
        if not self._chaos.reliable:
            self._feed(agent, _event(parcel), parcel)
            return
        if parcel.number >= agent.consumed.get(parcel.sender, 0):
            agent.held[parcel.sender, parcel.number] = parcel
        self._drain(agent, parcel.sender)

    def _drain(self, agent: _Agent, sender: str) -> None:
        """Feed the machine whatever of this sender is next in order, until there is a gap or a crash."""
        while agent.up:
            parcel = agent.held.get((sender, agent.consumed.get(sender, 0)))
            if parcel is None:
                return
            self._feed(agent, _event(parcel), parcel)

    # -- an agent --

    def _feed(self, agent: _Agent, event: Event, parcel: _Parcel | None) -> None:
        """Let a machine take one step, with a crash before or after it is stored if the seed says so."""
        crash = self._chance(self._chaos.crash)
        stored = not crash or self._chance(0.5)
        self._note(agent, trace_line(event))
        try:
            step = agent.role.step(agent.state, event)
        except ProtocolError as error:
            if stored:
                self._consume(agent, event, parcel)
                self._refused.append((agent.name, error))
                self._note(agent, f"refused it: {error}")
        else:
            if stored:
                self._consume(agent, event, parcel)
                agent.state = self._known(step.state, agent.role.states)
                self._perform(agent, step.effects)
        if crash:
            if parcel is not None and not stored and not self._chaos.reliable:
                agent.queued.append(parcel)
            self._crash(agent, "after" if stored else "before")

    def _consume(self, agent: _Agent, event: Event, parcel: _Parcel | None) -> None:
        match event:
            case Computed(task_id):
                del agent.pending[task_id]
            case TimerFired(name):
                del agent.timers[name]
            case Received() | PeerLeft():
                if parcel is not None and self._chaos.reliable:
                    del agent.held[parcel.sender, parcel.number]
                    agent.consumed[parcel.sender] = parcel.number + 1

    def _perform(self, agent: _Agent, effects: Sequence[Effect]) -> None:
        for effect in effects:
            self._note(agent, trace_line(effect))
            match effect:
                case Send(recipient, message):
                    self._post(agent, recipient, self._known(message, self._spec.messages))
                case Compute(task_id):
                    agent.pending[task_id] = effect
                    self._start(agent, effect)
                case Record(fact):
                    self._records.append((agent.name, self._known(fact, self._spec.facts)))
                case Keep(record):
                    self._kept[agent.name] = self._known(record, self._spec.kept)
                case SetTimer(name, after_s):
                    agent.timers[name] = self._now_s + after_s
                    self._schedule(agent.timers[name], _Alarm(agent.name, name, agent.timers[name]))
                case CancelTimer(name):
                    agent.timers.pop(name, None)
                case Finish(result):
                    self._results[agent.name] = self._known(result, self._spec.results)
                case Abort(reason):
                    self._aborts[agent.name] = reason
                    for other in self._agents:
                        if other != agent.name:
                            self._post(agent, other, None, reason)

    def _post(self, agent: _Agent, recipient: str, message: object | None, reason: str = "") -> None:
        number = agent.sent.get(recipient, 0)
        agent.sent[recipient] = number + 1
        self._transmit(_Parcel(agent.name, recipient, number, message, reason))

    def _start(self, agent: _Agent, task: Compute) -> None:
        took_s = self._random.uniform(*TASK_S)
        self._schedule(self._now_s + took_s, _TaskEnd(agent.name, agent.life, task))

    def _computed(self, agent: _Agent, task: Compute) -> Computed:
        spec = self._spec.tasks[task.function]
        try:
            result = spec.function(self._known(task.inputs, (spec.inputs,)), agent.bench, task.seed)
        except (
            Exception
        ) as error:  # whatever a task raises is the machine's to judge, as with a real executor
            return Computed(task.task_id, None, f"{type(error).__name__}: {error}")
        return Computed(task.task_id, self._known(result, (spec.result,)))

    def _crash(self, agent: _Agent, when: str) -> None:
        agent.up, agent.life = False, agent.life + 1
        self._note(agent, f"crashes {when} storing the step")
        self._schedule(self._now_s + self._random.uniform(*OUTAGE_S), _Restart(agent.name))

    def _restart(self, agent: _Agent) -> None:
        if agent.dead:
            return
        agent.up = True
        agent.state = self._snapshot(agent.state)
        self._note(agent, f"is back in {type(agent.state).__name__}")
        for task in agent.pending.values():
            self._start(agent, task)
        queued, agent.queued = agent.queued, []
        for parcel in queued:
            self._schedule(self._now_s, _Arrival(parcel))
        for sender in sorted({sender for sender, _ in agent.held}):
            self._drain(agent, sender)
        for name, at_s in agent.timers.items():
            if at_s <= self._now_s:  # after the queue, else everybody is blamed for our outage
                agent.timers[name] = self._now_s
                self._schedule(self._now_s, _Alarm(agent.name, name, self._now_s))

    # -- small things --

    def _schedule(self, at_s: float, happening: _Happening) -> None:
        self._scheduled += 1  # breaks ties in the order of scheduling
        heapq.heappush(self._heap, (at_s, self._scheduled, happening))

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _note(self, agent: _Agent, what: str) -> None:
        self._trace.append(f"{self._now_s:10.3f}  {agent.name:<12} {what}")

    def _known(self, value: object, types: tuple[type, ...]) -> object:
        if not isinstance(value, types):
            expected = ", ".join(each.__name__ for each in types)
            raise LocalProtocolError(f"{self._spec.name} used {type(value).__name__}, listed are {expected}")
        return value


def _event(parcel: _Parcel) -> Event:
    if parcel.message is None:
        return PeerLeft(parcel.sender, parcel.reason)
    return Received(parcel.sender, parcel.message)


def main(arguments: Sequence[str] | None = None) -> None:
    """Replay a small federated averaging under chaos, and print what happened."""
    from hansa.protocols.horizontal.rehearsal import rehearse

    parser = argparse.ArgumentParser(prog="python -m hansa.protocols.simulator", description=main.__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the chaos (default 0)")
    parser.add_argument("--calm", action="store_true", help="no trouble at all")
    parser.add_argument("--dead", action="append", default=[], metavar="AGENT", help="gone from the start")
    options = parser.parse_args(arguments)
    rehearsal = rehearse()
    chaos = Chaos(options.seed) if options.calm else rough(options.seed)
    for name in options.dead:
        if name not in rehearsal.briefs:
            parser.error(f"no agent {name!r}; there are {', '.join(rehearsal.briefs)}")
    deaths = dict.fromkeys(options.dead, 0.0)
    run = simulate(rehearsal.spec, rehearsal.briefs, rehearsal.benches, chaos, deaths=deaths)
    print("\n".join(run.trace))
    for name, reason in run.aborts.items():
        print(f"{name} aborted: {reason}")
    for name, result in run.results.items():
        print(f"{name} finished: {describe(result)}")
    print(f"seed {run.seed}")


if __name__ == "__main__":
    main()
