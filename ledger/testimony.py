"""What does a piece of evidence in an exported ledger amount to?"""

from collections.abc import Iterable, Iterator

from hansa.ledger.export import EvidenceFrame
from hansa.ledger.report import Finding
from hansa.ledger.standing import Standing


def weigh(frames: Iterable[EvidenceFrame], standing: Standing) -> Iterator[Finding]:
    """Say of each piece whether it proves something, and against whom."""
    for number, frame in enumerate(frames):
        yield Finding(
            "evidence",
            True,
            f"Piece {number} of evidence, of kind {frame.kind}, was not weighed.",
            concern=True,
        )
