"""One job while one thing breaks."""

import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.faults.books import Books, course, read_books
from tests.faults.fleet import AGENTS, KEEPER, POLL_S, PROBES, ROUNDS, Fleet, Stuck, specification
from tests.faults.probe import Probe
from tests.faults.reckoning import Ending, Result, reckon, word

SUSPICIOUS = re.compile(r"Traceback|CRITICAL|refused a message from|internal error")
PROBE_S = 60.0  # for the probes' last confirms
ARRIVAL_S = (
    10.0  # a message that the broker has may still be on its way to its reader for so long: then it is lost
)


@dataclass(slots=True)
class Harm:
    """What a fault works with, and what it leaves for the reckoning.

    Attributes:
        doubt: digests of messages that were unconfirmed when it struck.
        older: who was put back to an older self: what others and it said since then is void.
        back_s: how long until those it had struck were at work again, each time.
        notes: what to say of it.
    """

    fleet: Fleet
    dice: random.Random
    job: str
    probe: Probe
    doubt: set[bytes] = field(default_factory=set)
    older: set[str] = field(default_factory=set)
    back_s: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def doubtful(self) -> None:
        """Note what nobody can know the fate of now."""
        self.doubt |= read_books(self.fleet.homes).unconfirmed

    def at_some_instant(self) -> None:
        """Wait for an instant in the middle of the job."""
        self.fleet.until_round(self.job, self.dice.randrange(1, ROUNDS // 2))
        time.sleep(self.dice.uniform(0.0, 0.3))

    def bring_back(self, name: str) -> None:
        """Restart a killed daemon and take the time until it is connected and served."""
        self.doubtful()
        self.fleet.start(name)
        self.take_time((name,))

    def take_time(self, names: tuple[str, ...] = AGENTS) -> None:
        """Take the time from now until these are connected again."""
        began = time.monotonic()
        self.fleet.until_ready(names)
        self.back_s.append(time.monotonic() - began)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that breaks while a job runs.

    Attributes:
        name: what the table calls it.
        strike: breaks it and puts it right; waits for nothing else.
        ending: how the job must end nevertheless.
        job: other settings than the usual job's.
    """

    name: str
    strike: Callable[[Harm], None]
    ending: Ending = field(default_factory=lambda: Ending(rounds=ROUNDS))
    job: dict[str, float] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """For jobs' names."""
        return re.sub("[^a-z0-9]+", "-", self.name.lower())[:34].strip("-")


def run(fleet: Fleet, fault: Fault, number: int, dice: random.Random, model: str) -> Result:
    """Run a job, let the fault strike, wait for the end, and reckon.

    Args:
        number: of this strike, for the job's name.
        model: digest of the undisturbed job's; empty while that runs.
    """
    before = read_books(fleet.homes)
    logs = {name: fleet.log(name).stat().st_size for name in AGENTS}
    probe = Probe(fleet.name, fleet.address(PROBES[0]), fleet.address(PROBES[1]), PROBES)
    harm = Harm(fleet, dice, f"{fault.slug}-{number}", probe)
    problems: list[str] = []
    try:
        fleet.propose(specification(harm.job, **fault.job))  # type: ignore[arg-type]
        fault.strike(harm)
        fleet.until_over(harm.job)
    except Stuck as error:
        problems.append(str(error))
    finally:
        probe.close(PROBE_S)
    _until_arrived(fleet, before, harm.older)
    after = read_books(fleet.homes, verify=True)
    end = course(after.chains[KEEPER], harm.job)
    problems += [*after.trouble, *fault.ending.disagreements(end, model)]
    problems += [line for name in AGENTS for line in _suspicious(fleet, name, logs[name])]
    tally = reckon(before.without(harm.older), after.without(harm.older), harm.doubt, probe, end, problems)
    notes = (*harm.notes, *(f"unexpected: {problem}" for problem in (*problems, *probe.refused)))
    return Result(fault.name, tally, 1, (word(end),), tuple(harm.back_s), notes, end.model)


def _until_arrived(fleet: Fleet, before: Books, older: set[str]) -> None:
    """Wait until readers have what the broker has confirmed to senders, or won't get it any more.

    Nobody is busy with a message between the two, and names go to and fro for a moment after a job's end.
    """
    deadline = time.monotonic() + ARRIVAL_S
    while time.monotonic() < deadline:
        now = read_books(fleet.homes).without(older)
        if len(now.posted - before.posted - now.consumed) <= len(now.unconfirmed):
            return
        time.sleep(POLL_S)


def _suspicious(fleet: Fleet, name: str, start: int) -> Iterator[str]:
    with fleet.log(name).open("rb") as log:
        log.seek(start)
        for line in log.read().decode(errors="replace").splitlines():
            if SUSPICIOUS.search(line):
                yield f"{name} logged: {line:.300}"
