"""What does a piece of evidence in an exported ledger amount to?

Against the keeper of the present epoch it means that nobody should rely on the ledger until another keeps it.
Against a former one it tells why another took over: enough members agreed to what stands on the ledger since.
"""

import hashlib
from collections.abc import Iterable, Iterator

from hansa.ledger.checkpoints import read_checkpoint
from hansa.ledger.errors import BadNote, BadProof
from hansa.ledger.evidence import Evidence, ForkEvidence, read_evidence
from hansa.ledger.export import EvidenceFrame
from hansa.ledger.notes import read_note
from hansa.ledger.report import Finding
from hansa.ledger.standing import Standing

OTHER_KINDS = ("equivocation",)  # two messages under one number: between agents, and not about the ledger


def weigh(frames: Iterable[EvidenceFrame], standing: Standing) -> Iterator[Finding]:
    """Say of each piece whether it proves something, and against whom."""
    met: set[bytes] = set()
    for number, frame in enumerate(frames):
        digest = hashlib.sha256(frame.content).digest()
        if digest in met:
            yield Finding("evidence", False, f"Piece {number} of evidence is there twice.")
            continue
        met.add(digest)
        if frame.kind in OTHER_KINDS:
            text = (
                f"Piece {number} of evidence, of kind {frame.kind}, is about messages, not about the ledger."
            )
            yield Finding("evidence", True, text, concern=True)
            continue
        try:
            yield _weighed(frame, standing)
        except (BadNote, BadProof) as error:
            yield Finding("evidence", False, f"Piece {number} of evidence proves nothing: {error}.")


def _weighed(frame: EvidenceFrame, standing: Standing) -> Finding:
    if not standing.founded:
        raise BadNote("there is no ledger that it could be about")
    evidence = read_evidence(frame.content)
    if frame.kind != evidence.kind:
        raise BadProof(f"it is of kind {evidence.kind}, and called {frame.kind!r:.40}")
    said = evidence.check(standing.roster.origin, standing.keeper_of)
    if _epoch(evidence) < standing.epoch:
        text = f"Proven, and past: {said}. Another epoch has begun since."
        return Finding("evidence", True, text, concern=True)
    return Finding(
        "evidence", False, f"Proven: {said}. Rely on nothing of it until another keeps the ledger."
    )


def _epoch(evidence: Evidence) -> int:
    if isinstance(evidence, ForkEvidence):
        return read_checkpoint(read_note(evidence.first).text).epoch
    return evidence.epoch
