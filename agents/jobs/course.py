"""What is a job's course made of? News of it, and its rounds, epochs and common rows."""

from dataclasses import dataclass

from hansa.ledger import Verdict


@dataclass(frozen=True, slots=True)
class News:
    """Something new of a job.

    Attributes:
        kind: the entry's: `job-proposed`, `round-closed`, …
        time_s: when, UTC seconds, by the author's clock.
        fields: what a script wants to know of it; fits JSON.
    """

    kind: str
    time_s: float
    fields: dict[str, object]


@dataclass(slots=True)
class Round:
    """A round's model: whose updates are in it, who was missing, and how good it is once that is known."""

    number: int
    participants: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    loss: float | None = None
    score: float | None = None
    metric: str = ""


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch as whoever trains tells of it: its loss, None if the job hides it, and what follows from it."""

    number: int
    loss: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Aligned:
    """What came of comparing lists.

    Attributes:
        common: how many rows they share; None if the ledger is not told.
        sizes: how long they were, by party; if the coordinator was not told, as their owners registered them.
    """

    common: int | None
    sizes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Overdue:
    """Somebody who is waited for: who said so first, and when, UTC seconds."""

    by: str
    since_s: float
