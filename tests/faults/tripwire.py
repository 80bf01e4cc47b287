"""At which instant does an agent's process die? Named points of its step, each visited again and again.

A wire is stretched in the process that is to die, and kills it with SIGKILL as nothing else could: exactly
between two lines. It counts from the start of a task on, so that it lies in the middle of a job:

    task 4, visit 2 of "between ack and publish": the second acknowledgement after the fourth training began
"""

import functools
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hansa.agents.core import workshop
from hansa.agents.core.journal import SqliteJournal
from hansa.broker import AmqpTransport
from hansa.ledger import LedgerStore

FLUSH_S = 0.02  # for what was handed to the connection's thread to reach the broker

POINTS = {
    "before the commit": (SqliteJournal, "commit", "before", 0.0),
    "between commit and ack": (SqliteJournal, "commit", "after", 0.0),
    "between ack and publish": (AmqpTransport, "acknowledge", "after", FLUSH_S),
    "amid the publishing": (AmqpTransport, "publish", "after", 0.0),
    "between publish and confirm": (AmqpTransport, "publish", "after", FLUSH_S),
    "before a confirm is journalled": (AmqpTransport, "outcomes", "after", 0.0),
    "before the chain grows": (LedgerStore, "append", "before", 0.0),
    "between chain and journal": (LedgerStore, "append", "after", 0.0),
    "amid a task": (workshop, "perform", "before", FLUSH_S),
}
OF_THE_KEEPER = frozenset({"before the chain grows"})  # the others' copies grow by what they are sent
ROUND_TASKS = ("train", "aggregate")


@dataclass(frozen=True, slots=True)
class Tripwire:
    """An instant.

    Attributes:
        point: one of POINTS.
        task: from the start of this training or averaging on, counted from 1 ...
        visit: ... so many times the process passes the point alive, less one.
    """

    point: str
    task: int
    visit: int

    def __str__(self) -> str:
        return f"{self.point}, round {self.task}, visit {self.visit}"

    def stretch(self) -> None:
        """Have this process die there."""
        owner, name, side, pause_s = POINTS[self.point]
        counter = _Counter(self, pause_s)
        original = getattr(owner, name)

        @functools.wraps(original)
        def wired(*arguments: Any, **named: Any) -> Any:
            if side == "before":
                counter.pass_by()
                return original(*arguments, **named)
            result = original(*arguments, **named)
            if name not in ("acknowledge", "outcomes") or result or (len(arguments) > 1 and arguments[1]):
                counter.pass_by()
            return result

        _follow_tasks(counter.task_began)
        setattr(owner, name, wired)


class _Counter:
    def __init__(self, wire: Tripwire, pause_s: float) -> None:
        self._wire = wire
        self._pause_s = pause_s
        self._lock = threading.Lock()
        self._tasks = self._visits = 0

    def task_began(self) -> None:
        with self._lock:
            self._tasks += 1

    def pass_by(self) -> None:
        with self._lock:
            if self._tasks < self._wire.task:
                return
            self._visits += 1
            if self._visits < self._wire.visit:
                return
        time.sleep(self._pause_s)
        os.kill(os.getpid(), signal.SIGKILL)


def _follow_tasks(began: Callable[[], None]) -> None:
    start = workshop.Workshop.start

    @functools.wraps(start)
    def follow(self: workshop.Workshop, session: str, task: Any, effect: Any, bench: Any) -> None:
        if effect.function in ROUND_TASKS:
            began()
        start(self, session, task, effect, bench)

    workshop.Workshop.start = follow  # type: ignore[method-assign]
