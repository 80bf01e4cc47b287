"""What came of a job while something broke? Counted from journals and ledgers, before and after.

The columns are those of the published chaos suites for RabbitMQ (Jepsen's ``total-queue``), over three kinds of
things: messages between agents, entries of the ledger, and numbered probes.

attempted     posted, written or sent
acknowledged  the broker has confirmed it; the keeper's receipt has come back
ok            consumed by its recipient; on every copy of the ledger, once; received
lost          acknowledged, and not ok
duplicated    had its effect twice: an entry chained twice or said twice, a probe released twice
recovered     nobody knew what had become of it when the fault struck, and it is ok
unexpected    everything else that should not be, each with a sentence
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from statistics import median

from tests.faults.books import Books, Course
from tests.faults.probe import Probe


@dataclass(frozen=True, slots=True)
class Tally:
    """The columns; tallies add up."""

    attempted: int = 0
    acknowledged: int = 0
    ok: int = 0
    lost: int = 0
    duplicated: int = 0
    recovered: int = 0
    unexpected: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(Tally)))

    @property
    def clean(self) -> bool:
        """Whether it keeps the bar."""
        return self.lost == self.duplicated == self.unexpected == 0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job must end.

    Attributes:
        outcome: as the ledger has it.
        missing: who must be named.
        rounds: how many must have been closed; None if that depends on when the fault struck.
        same_model: whether it must be the undisturbed job's, because no deadline passes.
    """

    outcome: str = "finished"
    missing: frozenset[str] = frozenset()
    rounds: int | None = None
    same_model: bool = True

    def disagreements(self, course: Course, model: str) -> Iterator[str]:
        """Yield what is otherwise in a job's course; `model` is the undisturbed job's, if it is known."""
        if course.outcome != self.outcome:
            ended = course.outcome or "has not ended"
            yield f"the job should have {self.outcome}; it {ended}: {course.reason}"
        if course.missing != self.missing:
            yield f"named as missing: {sorted(course.missing)} instead of {sorted(self.missing)}"
        expected = len(course.rounds) if self.rounds is None else self.rounds
        if course.rounds != tuple(range(1, expected + 1)):
            yield f"rounds on the ledger: {course.rounds} instead of 1 to {expected}"
        if self.same_model and model and course.model != model:
            yield f"the model is {course.model[:16]}; undisturbed it is {model[:16]}"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one fault, once or several times.

    Attributes:
        times: how often it struck.
        ends: how each job ended, in words.
        back_s: how long it took, each time, until those it had struck were at work again.
        notes: instants, and what was unexpected.
        model: digest of the last job's model.
    """

    fault: str
    tally: Tally
    times: int
    ends: tuple[str, ...]
    back_s: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    model: str = ""

    def __add__(self, other: "Result") -> "Result":
        return Result(
            self.fault,
            self.tally + other.tally,
            self.times + other.times,
            self.ends + other.ends,
            self.back_s + other.back_s,
            self.notes + other.notes,
            other.model,
        )

    @property
    def back(self) -> str:
        """Median and worst time until everything worked again."""
        return f"{median(self.back_s):.1f} / {max(self.back_s):.1f} s" if self.back_s else "–"


def word(course: Course) -> str:
    """Return how a job ended."""
    ended = course.outcome or "no end"
    return f"{ended}, without {', '.join(sorted(course.missing))}" if course.missing else ended


def reckon(
    before: Books, after: Books, doubt: Iterable[bytes], probe: Probe, course: Course, problems: Iterable[str]
) -> Tally:
    """Fill the columns.

    Args:
        doubt: digests of messages that were unconfirmed when the fault struck.
        problems: what was unexpected besides what the books show.
    """
    tally = _messages(before, after, set(doubt)) + _entries(before, after, course) + _probes(probe)
    return tally + Tally(unexpected=len(list(problems)))


def _messages(before: Books, after: Books, doubt: set[bytes]) -> Tally:
    posted = after.posted - before.posted
    arrived = after.consumed - before.consumed
    waiting = len(after.unconfirmed)
    return Tally(
        attempted=len(posted),
        acknowledged=len(posted) - waiting,
        ok=len(posted & arrived),
        lost=max(0, len(posted - arrived) - waiting),
        recovered=len(doubt & after.digests),
        unexpected=waiting + len(arrived - posted - before.posted),
    )


def _entries(before: Books, after: Books, course: Course) -> Tally:
    written = after.written - before.written
    chained = after.chained
    there = {entry for entry in written if chained[entry] == 1}
    waiting = written & after.awaited
    return Tally(
        attempted=len(written),
        acknowledged=len(written - waiting),
        ok=len(there),
        lost=len(written - waiting - there),
        duplicated=course.doubled + sum(count - 1 for count in chained.values() if count > 1),
        unexpected=len(waiting),
    )


def _probes(probe: Probe) -> Tally:
    return Tally(
        attempted=probe.attempted,
        acknowledged=len(probe.acknowledged),
        ok=len(probe.received),
        lost=len(probe.acknowledged - probe.received.keys()),
        duplicated=sum(count - 1 for count in probe.received.values()),
        recovered=len(probe.in_doubt & probe.received.keys()),
        unexpected=probe.attempted - len(probe.acknowledged) + len(probe.refused),
    )
