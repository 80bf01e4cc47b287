"""How are numbers, times and hashes said to people?"""

import math
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_MS = 253_402_300_800_000  # the calendar's last year is 9999
_MOST_FIGURE = 1e100  # beyond that nothing can be drawn, or is meant

GROUPS = {
    "Members and keys": (
        "charter",
        "member-admitted",
        "member-suspended",
        "member-left",
        "key-rotated",
        "key-revoked",
        "keeper-changed",
    ),
    "Data sets": ("dataset-registered", "dataset-withdrawn", "rows-withdrawn"),
    "Jobs": (
        "job-proposed",
        "job-accepted",
        "job-refused",
        "job-started",
        "job-finished",
        "job-aborted",
        "rows-aligned",
        "contribution-measured",
        "model-used",
    ),
    "Rounds and metrics": (
        "round-closed",
        "model-evaluated",
        "epoch-ended",
        "coalitions-valued",
        "parties-overdue",
        "distortion-found",
    ),
    "Money": (
        "payout-proposed",
        "payout-approved",
        "payout-held",
        "payout-disputed",
        "payout-released",
        "payout-withdrawn",
        "payout-settled",
    ),
}
"""Kinds of entries as an auditor thinks of them; any other is of a later version."""
OTHER = "Of a later version"


def counted(count: int, one: str, many: str = "") -> str:
    """Say how many: 1 entry, 2 entries."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def fingerprint_groups(digits: str) -> str:
    """Return hex digits in fours, so that two people can compare them by telephone."""
    return " ".join(digits[start : start + 4] for start in range(0, len(digits), 4))


def is_figure(value: float | None) -> bool:
    """Return whether a number can be drawn."""
    return value is not None and math.isfinite(value) and abs(value) < _MOST_FIGURE


def figure(value: float | None) -> str:
    """Say a loss or a score: four digits, a dash for what is not told."""
    if value is None:
        return "–"
    return f"{value:.4g}" if math.isfinite(value) else "not finite"


def minute(time_ms: int) -> str:
    """Say a time to the minute, UTC; one outside the calendar, which an author may write, as it is."""
    if not 0 <= time_ms < _MOST_MS:
        return f"{time_ms} ms, which is no date"
    return f"{_EPOCH + timedelta(milliseconds=time_ms):%Y-%m-%d %H:%M}"


def day(time_ms: int) -> str:
    """Say a time to the day, likewise."""
    return minute(time_ms)[:10] if 0 <= time_ms < _MOST_MS else minute(time_ms)


def percent(part: int, whole: int) -> str:
    """Say a share of a sum."""
    return f"{100 * part / whole:.1f}%" if whole else "–"


def group_of(kind: str) -> str:
    """Return the group that a kind of entry belongs to."""
    return next((group for group, kinds in GROUPS.items() if kind in kinds), OTHER)
