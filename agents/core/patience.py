"""Who is silent: the others, or our own connection?

A deadline that passes while we are cut off blames nobody: what the others said waits at the broker, and what we
asked has not left. So timers rest while there is no connection, and for a while after it is back, in which the
others come back too and what has waited is taken in.
"""

GRACE_S = 15.0  # longer than the pause after which a connection is tried again


class Patience:
    """From when on timers may fire."""

    def __init__(self) -> None:
        self._from = 0.0

    def look(self, now_s: float, online: bool) -> None:
        """Note whether there is a connection."""
        if not online:
            self._from = now_s + GRACE_S

    def ended(self, now_s: float) -> bool:
        """Whether timers may fire."""
        return now_s >= self._from

    def next_due(self, timer: float | None) -> float | None:
        """When the next timer fires that is due at `timer`, UTC seconds, or None."""
        return None if timer is None else max(timer, self._from)
