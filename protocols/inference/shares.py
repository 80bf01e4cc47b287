"""How do everybody's shares become scores, and scores what the guest may learn of them?"""

from collections.abc import Mapping

import numpy as np

from hansa.protocols.digest import freeze
from hansa.protocols.errors import PeerError
from hansa.protocols.inference.job import EDGES, Seat
from hansa.protocols.inference.messages import Share
from hansa.protocols.model import Array, FloatArray, IndexArray
from hansa.protocols.pairwise import decode64

POSITIVE_ABOVE = (0.0,)  # the only edge between two classes


class SharesRefused(ValueError):
    """Shares do not add up to scores; the message names whose."""


def check_share(seat: Seat, sender: str, message: Share, shares: Mapping[str, Array]) -> None:
    """Refuse a second share from the same sender, and what no share looks like.

    Raises:
        PeerError: either of these.
    """
    if sender in shares:
        raise PeerError(f"{sender} sent its share twice")
    numbers, most = message.numbers, seat.settings.most_rows
    if numbers.dtype != np.uint64 or numbers.ndim != 1 or not 1 <= len(numbers) <= most:
        raise PeerError(
            f"{sender} sent a share of {numbers.shape} {numbers.dtype}, not of 1 to {most} uint64"
        )


def added(seat: Seat, shares: Mapping[str, Array], rows: int) -> FloatArray:
    """Return the scores, (rows,).

    Args:
        seat: ours.
        shares: by name, of all who owe one.
        rows: how many the guest has asked for.

    Raises:
        SharesRefused: a share of another length, or a sum that no scores have: masks that do not cancel.
    """
    for name, share in shares.items():
        if len(share) != rows:
            raise SharesRefused(f"{name} sent a share of {len(share)} rows; {seat.guest} asked for {rows}")
    total = np.zeros(rows, np.uint64)
    for share in shares.values():
        total += share
    scores = decode64(total, seat.settings.score_bits)
    if (np.abs(scores) > len(shares) * seat.settings.score_limit).any():
        raise SharesRefused(f"the shares of {', '.join(sorted(shares))} do not add up to scores")
    return scores


def probability(scores: FloatArray) -> FloatArray:
    """Return the logistic function of each score, without overflow."""
    small = np.exp(-np.abs(scores))
    return np.where(scores >= 0, 1.0, small) / (1.0 + small)


def check_edges(sender: str, output: str, edges: tuple[float, ...]) -> tuple[float, ...]:
    """Return the edges that scores are sorted by: nine for deciles, for labels only ever 0.

    Raises:
        PeerError: others, out of order, or not finite.
    """
    if output == "label":
        if edges:
            raise PeerError(f"{sender} sent edges for labels, which lie on either side of 0")
        return POSITIVE_ABOVE
    if len(edges) != EDGES or not np.isfinite(edges).all() or list(edges) != sorted(edges):
        raise PeerError(f"{sender} sent {len(edges)} edges between deciles, not {EDGES} ascending numbers")
    return edges


def sorted_in(scores: FloatArray, edges: tuple[float, ...]) -> IndexArray:
    """Return how many edges lie below each score."""
    return freeze(np.searchsorted(np.array(edges), scores, side="left").astype(np.int64))
