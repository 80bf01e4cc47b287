"""What goes wrong in a simulated run? As much as its seed and its probabilities say."""

from dataclasses import dataclass


class Crashed(BaseException):
    """The process was killed here; not an Exception, so that no handler of the agent's can outlive it."""


@dataclass(frozen=True, slots=True)
class Harm:
    """How much of what may go wrong does.

    Args:
        seed: everything random derives from it.
        crash: probability of a kill at each of the points named above.
        crashes: at most so many in one run.
        crash_at: a kill at this one of all those points, counted from 1; 0: at none.
        down_s: how long a killed agent stays away, at most.
        delay_s: how long a message travels, at most; longer ones are overtaken.
        slow: agents whose messages travel up to ten times as long: those of others overtake them.
        duplicate: probability that a message arrives twice.
        lose: probability that a message is lost and reported so.
        power: a kill is a power failure: it takes what was written but not fsynced, too.
        absent: agents that never come up.
        vanish: agents that never come back from their first kill; nobody else is killed then.
        restored: agents that lose their disk once, some time after a backup, and come back from that.
    """

    seed: int
    crash: float = 0.02
    crashes: int = 6
    crash_at: int = 0
    down_s: float = 20.0
    delay_s: float = 3.0
    slow: tuple[str, ...] = ()
    duplicate: float = 0.1
    lose: float = 0.05
    power: bool = False
    absent: tuple[str, ...] = ()
    vanish: tuple[str, ...] = ()
    restored: tuple[str, ...] = ()


CALM = Harm(seed=0, crash=0.0, crashes=0, down_s=0.0, delay_s=0.0, duplicate=0.0, lose=0.0)
