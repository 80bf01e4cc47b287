"""How do contributions become the whole weights that the ledger keeps?"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from hansa.ledger.shares import largest_remainder

WEIGHT_SCALE = 10**9  # what the weights sum to: a weight of 1 is a billionth of the pot


@dataclass(frozen=True, slots=True)
class Weights:
    """Contributions as whole numbers.

    Attributes:
        whole: by party, at least 0; they sum to ``WEIGHT_SCALE``, or to 0 if nobody has contributed.
        negative: the contributions that count as zero, as they were measured.
    """

    whole: Mapping[str, int]
    negative: Mapping[str, Fraction]


def weights(shares: Mapping[str, Fraction]) -> Weights:
    """Turn contributions into whole weights.

    Negative contributions count as zero, and the others are scaled to `WEIGHT_SCALE`. So what somebody has spoilt
    lessens what all others get in proportion, and is not charged to anybody; the weights then no longer sum to the
    gain, which is why the negative ones are named beside them.

    Where nobody's contribution is positive all weights are zero, and no pot can be split by them.

    Raises:
        ValueError: there are no contributions.
    """
    if not shares:
        raise ValueError("there are no contributions to weigh")
    negative = {party: share for party, share in shares.items() if share < 0}
    positive = {party: max(share, Fraction(0)) for party, share in shares.items()}
    if not any(positive.values()):
        return Weights(dict.fromkeys(shares, 0), negative)
    return Weights(largest_remainder(WEIGHT_SCALE, positive), negative)
