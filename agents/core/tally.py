"""What has an agent done since it started? Counts for its metrics, and lines for its log."""

import logging
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

STEP_BOUNDS_S = (
    0.001,
    0.003,
    0.01,
    0.03,
    0.1,
    0.3,
    1.0,
    3.0,
)  # of a step's duration; the last bucket is open
ROUTINE = frozenset({"entry-chained"})
TOLD_ALREADY = frozenset(
    {"message-refused", "sequence-gap", "fork-found", "not-sent"}
)  # as warnings, in full

log = logging.getLogger("hansa.agent")


@dataclass(slots=True)
class Tally:
    """Counts since the agent was built.

    Attributes:
        received, sent: deliveries taken in and messages handed to the transport, repetitions included.
        steps: how many steps took how long, one count for each of STEP_BOUNDS_S and one for longer ones.
        step_s: seconds in all steps together.
    """

    received: int = 0
    sent: int = 0
    steps: list[int] = field(default_factory=lambda: [0] * (len(STEP_BOUNDS_S) + 1))
    step_s: float = 0.0

    def stepped(self, seconds: float) -> None:
        """Note how long a step took."""
        self.steps[bisect_left(STEP_BOUNDS_S, seconds)] += 1
        self.step_s += seconds


def log_event(name: str, kind: str, fields: dict[str, Any]) -> None:
    """Log what an agent tells everybody; metadata only, by construction.

    What is routine is for debugging; what was refused is logged where it was, with more than others may read.
    """
    if kind in TOLD_ALREADY:
        return
    level = logging.DEBUG if kind in ROUTINE else logging.INFO
    if log.isEnabledFor(level):
        what = " ".join(f"{key}={_short(value)}" for key, value in fields.items() if value not in ("", []))
        log.log(level, "%s: %s %s", name, kind, what, extra={"event": kind, "fields": fields})


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
