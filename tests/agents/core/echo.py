"""One agent's machines without the agent, around a protocol that notes down what it is told.

Its messages are two of alignment's, since every class that travels is registered once: `Ask` carries a word, and
some words have the role do something; `Blinded` carries an array.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hansa.agents.config import PolicySection
from hansa.agents.core.blobs import BlobStore, MemoryFiles
from hansa.agents.core.coordination import Accepted, Receipted
from hansa.agents.core.desk import Desk
from hansa.agents.core.journal import Changes, MemoryJournal
from hansa.agents.core.machines import Machines
from hansa.agents.core.messages import JobSpec, JobStart, spec_digest
from hansa.agents.core.workshop import Workshop
from hansa.agents.data.rows import Dataset
from hansa.broker import encode, to_plain
from hansa.ledger import Body, Job
from hansa.protocols import (
    Abort,
    Awaited,
    Brief,
    Compute,
    Computed,
    Effect,
    Event,
    Finish,
    Keep,
    LocalProtocolError,
    ModelRegistry,
    PeerError,
    PeerLeft,
    ProtocolSpec,
    Received,
    RoleSpec,
    Send,
    SetTimer,
    Start,
    Step,
    TaskSpec,
    TimerFired,
    Workbench,
)
from hansa.protocols.alignment import AlignedRows, AlignmentClosed, Served
from hansa.protocols.alignment.messages import Ask, Blinded
from hansa.protocols.model import Array
from tests.agents.federations import rows

NAME = "echo"
ME = "north"
LEADER = "aggregator"
PARTIES = ("east", "north", "west")
NOW_S = 1_900_000_000.0
DETACH_BYTES = 64


@dataclass(frozen=True, slots=True)
class EchoSettings:
    """What a job chooses: who has another role, and where the role starts from."""

    helper: str = ""
    kept_by: str = ""
    ended_in: str = ""
    alignment: str = ""


@dataclass(frozen=True, slots=True)
class Notes:
    """A role's state: its part, what it started from, and what it was told, in order."""

    role: str
    started_from: str
    words: tuple[str, ...] = ()
    numbers: Array | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """What a role keeps, or gives a task."""

    numbers: Array


def begin(brief: Brief) -> Step[Notes]:
    """Note who we are, and tell the coordinator that we are here."""
    started_from = "" if brief.start is None else type(brief.start).__name__
    return Step(Notes(brief.role, started_from), (Send(brief.coordinator, Ask(b"here")),))


def step(state: Notes, event: Event) -> Step[Notes]:
    """Note what happens, and do what the word says."""
    effects: tuple[Effect, ...] = ()
    match event:
        case Received(sender, Ask(word)):
            text, effects = f"{sender}: {word.decode()}", _doing(sender, word.decode())
        case Received(sender, Blinded() as told):
            text = f"{sender}: {int(told.points.sum())}"
        case Received(sender, message):
            text = f"{sender}: {type(message).__name__}"
        case Computed(task_id, result, error):
            text = f"{task_id}: {error or result}"
        case TimerFired(name):
            text = f"{name} rang"
        case PeerLeft(name, reason):
            text = f"{name} left: {reason}"
    numbers = np.arange(100.0) if text.endswith(": remember") else state.numbers
    return Step(replace(state, words=(*state.words, text), numbers=numbers), effects)


def _doing(sender: str, word: str) -> tuple[Effect, ...]:
    match word:
        case "finish":
            return (Finish(Served()),)
        case "align":
            return (Finish(AlignedRows(np.array([2, 0, 1]), bytes(32))),)
        case "abort":
            return (Abort("they told us to", (sender,)),)
        case "keep":
            return (Keep(Page(np.arange(100.0))),)
        case "diverge":
            no_number = Send(sender, Blinded(b"", 1, 0, np.array([np.nan])))
            return (no_number, no_number, SetTimer("alarm", 5.0), Compute("add", "add", Page(np.zeros(1)), 7))
        case "wait":
            return (SetTimer("alarm", 5.0),)
        case "add" | "look":
            return (Compute(word, word, Page(np.arange(100.0)), 7),)
        case "refuse":
            raise PeerError(f"{sender} must not say that")
        case "break":
            raise OverflowError("something that we never thought of")
        case "confuse":
            raise LocalProtocolError("that makes no sense here")
    return ()


@dataclass(frozen=True, slots=True)
class Total:
    """A task's result."""

    value: float


def add(inputs: Page, bench: Workbench, seed: int) -> Total:
    """Add up the numbers, and the seed."""
    return Total(float(inputs.numbers.sum()) + seed)


def look(inputs: Page, bench: Workbench, seed: int) -> Total:
    """Count our rows."""
    return Total(float(len(bench.ids()[0])))


def start(settings: EchoSettings) -> Start | None:
    """Return where the role starts from."""
    if settings.kept_by:
        return Start(settings.kept_by, b"")
    return Start(settings.ended_in, b"", "result") if settings.ended_in else None


ROLE: RoleSpec[Any] = RoleSpec(begin, step, (Notes,), lambda state: Awaited("a word", PARTIES))

ECHO = ProtocolSpec(
    name=NAME,
    version=1,
    settings=EchoSettings,
    roles={"party": ROLE, "helper": ROLE, "leader": ROLE},
    messages=(Ask, Blinded),
    facts=(),
    results=(Served, AlignedRows, AlignmentClosed),
    tasks={"add": TaskSpec(add, Page, Total, uses_bench=False), "look": TaskSpec(look, Page, Total)},
    kept=(Page,),
    start=start,
    coordinator_role="leader",
    role_of=lambda settings, party: "helper" if party == settings.helper else "party",
    bench="ids",
    names_model=False,
)


def specification(job: str = "trial", **settings: Any) -> JobSpec:
    """Return a job of the protocol above."""
    return JobSpec(job, NAME, "", "rows", PARTIES, (), 0, {}, settings, len(PARTIES), 60.0, 4)


def proposed(spec: JobSpec, coordinator: str = LEADER, **changes: Any) -> dict[str, Job]:
    """Return what the ledger says of a job that was proposed."""
    return {
        spec.job: Job(
            coordinator,
            spec.protocol,
            spec.model,
            spec.dataset,
            spec.parties,
            spec.minimum_parties,
            spec_digest(spec),
            0,
            **changes,
        )
    }


def blinded(number: int, size: int = 1) -> Blinded:
    """Return a message with an array: of ``size`` numbers whose sum is ``number``."""
    points = np.zeros(size)
    points[0] = number
    return Blinded(b"", size, 0, points)


class Slow(Executor):
    """Begins nothing until it is told to."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self._waiting.append(lambda: future.set_result(fn(*args, **kwargs)))
        return future

    def go(self) -> None:
        """Do what was asked for."""
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            task()


@dataclass(slots=True)
class Party:
    """An agent's machines, what they have said, and the disk under them."""

    name: str = ME
    policy: PolicySection = field(default_factory=lambda: PolicySection(coordinators=(LEADER,)))
    datasets: dict[str, Callable[[], Dataset]] = field(default_factory=lambda: {"rows": lambda: rows(ME)})
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    files: MemoryFiles = field(default_factory=MemoryFiles)
    now_s: float = NOW_S
    posted: list[tuple[str, str, object]] = field(default_factory=list)
    written: list[Body] = field(default_factory=list)
    executor: Slow = field(default_factory=Slow)
    shown: dict[str, Job] = field(default_factory=dict)  # the ledger's jobs, as its copy has them
    desk: Desk = field(init=False)
    blobs: BlobStore = field(init=False)
    workshop: Workshop = field(init=False)
    machines: Machines = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Take up what the journal holds; what was not committed is gone."""
        self.executor = Slow()
        self.desk = Desk(
            self.name,
            lambda: self.now_s,
            self._post,
            lambda session, body: self.written.append(body),
        )
        self.blobs = BlobStore(self.files)
        self.workshop = Workshop(self.executor, lambda: None)
        self.machines = Machines(
            self.desk,
            self.blobs,
            self.journal,
            self.workshop,
            ModelRegistry(),
            self.datasets,
            self.policy,
            lambda: self.shown,
            DETACH_BYTES,
        )
        self.blobs.adopt_orphans()

    def _post(self, session: str, recipient: str, message: object) -> None:
        encode(to_plain(message))
        self.posted.append((session, recipient, message))

    def commit(self) -> None:
        """End a step."""
        self.machines.snapshot()
        self.blobs.flush()
        self.journal.commit(self.desk.changes)
        self.desk.changes = Changes()
        self.blobs.sweep()

    def work(self) -> None:
        """Have all tasks done, and their ends told."""
        self.executor.go()
        for ended in self.workshop.ended():
            self.machines.ended(ended)

    def consent(self, spec: JobSpec, jobs: Mapping[str, Job] | None = None, leader: str = LEADER) -> None:
        """Take an offer whose proposal is on the ledger, and consent, so that only the start is missing."""
        self.machines.offered(spec.job, leader, spec)
        self.machines.consider_offers({**(jobs or {}), **proposed(spec, leader)}, None)
        assert self.machines.outcome(spec.job) is None, self.machines.outcome(spec.job)
        self.machines.tell_job(spec.job, Receipted("job-accepted"))
        assert isinstance(self.machines._jobs[spec.job], Accepted)

    def begin(self, spec: JobSpec, jobs: Mapping[str, Job] | None = None, leader: str = LEADER) -> None:
        """Take part in a job; ``jobs`` are others that the ledger knows."""
        self.consent(spec, jobs, leader)
        self.hear(leader, JobStart(spec.parties), spec.job)

    def hear(self, sender: str, message: object, job: str = "trial") -> None:
        """Receive a message."""
        self.machines.received(job, sender, message)

    def say(self, sender: str, *words: str, job: str = "trial") -> None:
        """Receive words."""
        for word in words:
            self.hear(sender, Ask(word.encode()), job)

    def notes(self, job: str = "trial") -> Notes:
        """Return what the role of a job has noted down."""
        notes = self.machines._roles[job].state
        assert isinstance(notes, Notes)
        return notes

    def noted(self, space: str) -> int:
        """Count the journal's rows of a space."""
        return len(self.journal.load(space))
