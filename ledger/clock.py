"""How are times and numbers said to people?"""

from datetime import UTC, datetime

_UNITS = ((86_400, "day", "days"), (3_600, "hour", "hours"), (60, "minute", "minutes"))


def moment(time_s: float) -> str:
    """Return a time as people read it, in UTC; of one that no calendar has, the number."""
    try:
        return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return f"second {time_s:.0f} since 1970"


def ago(seconds: float) -> str:
    """Return how long before something another thing was, roughly: "3 hours before", to be followed by it."""
    if seconds < 0:
        return "by this machine's clock after"
    for unit, one, many in _UNITS:
        if seconds >= unit:
            return f"{counted(int(seconds // unit), one, many)} before"
    return "less than a minute before"


def counted(number: int, one: str, many: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {one if number == 1 else many}"
