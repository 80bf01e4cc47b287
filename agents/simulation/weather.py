"""What time is it in a simulated run, what do the dice say, and who is killed where?"""

import random
from collections.abc import Callable

from hansa.agents.simulation.harm import Crashed, Harm

EPOCH_S = 1_900_000_000.0  # virtual time begins here


class Weather:
    """The clock, the dice and the log of one run.

    Args:
        exposed: whether an agent may be killed as things stand.

    Attributes:
        points: at which an agent could have been killed so far.
        crashes: who was killed where.
        trace: what has happened, a line each.
    """

    def __init__(self, harm: Harm, exposed: Callable[[str], bool]) -> None:
        self.harm = harm
        self.random = random.Random(harm.seed)
        self.now = EPOCH_S
        self.points = 0
        self.crashes: list[str] = []
        self.trace: list[str] = []
        self._exposed = exposed
        self._counter = 0

    def count(self) -> int:
        """Return a number of its own for each thing that is to happen, so that ties are broken by age."""
        self._counter += 1
        return self._counter

    def delay_s(self, times: float = 1.0) -> float:
        """Return how long something takes."""
        return self.random.uniform(0, self.harm.delay_s * times)

    def note(self, text: str) -> None:
        """Write a line of the log."""
        self.trace.append(f"{self.now - EPOCH_S:9.3f} {text}")

    def may_crash(self, name: str, point: str) -> None:
        """Kill an agent here, or don't."""
        if not self._exposed(name):
            return
        self.points += 1
        drawn = len(self.crashes) < self.harm.crashes and self.random.random() < self.harm.crash
        if drawn or self.points == self.harm.crash_at:
            self.crashes.append(f"{name} {point}")
            raise Crashed(f"{name} {point}")
