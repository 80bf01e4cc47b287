"""Private set intersection: which ids do we share, and nothing else? Described in docs/alignment.md."""

from hansa.protocols.alignment.job import (
    AlignedRows,
    AlignmentClosed,
    AlignmentSettings,
    OverThresholdSettings,
    Served,
    SharedRows,
)
from hansa.protocols.alignment.spec import ALIGNMENT, OVER_THRESHOLD

__all__ = [
    "ALIGNMENT",
    "OVER_THRESHOLD",
    "AlignedRows",
    "AlignmentClosed",
    "AlignmentSettings",
    "OverThresholdSettings",
    "Served",
    "SharedRows",
]
