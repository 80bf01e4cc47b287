"""Which method has which property?

Of an outcome, not of its expectation over seeds. What is not claimed is false, and the tests hold a
counterexample.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Properties:
    """What can be said of a method's shares, whatever the game.

    Attributes:
        efficiency: they sum to v(everybody) − v(nobody).
        symmetry: two players who add the same to every coalition get the same.
        null_player: a player who adds nothing to any coalition gets nothing.
        linearity: the shares of a·v + b·w are a times those of v plus b times those of w, with the same seed.
    """

    efficiency: bool
    symmetry: bool
    null_player: bool
    linearity: bool


PROPERTIES: Mapping[str, Properties] = {
    "volume": Properties(efficiency=True, symmetry=False, null_player=False, linearity=True),
    "leave-one-out": Properties(efficiency=False, symmetry=True, null_player=True, linearity=True),
    "shapley": Properties(efficiency=True, symmetry=True, null_player=True, linearity=True),
    "permutation": Properties(efficiency=True, symmetry=False, null_player=True, linearity=True),
    "stratified": Properties(efficiency=True, symmetry=False, null_player=False, linearity=True),
    "truncated": Properties(efficiency=True, symmetry=False, null_player=True, linearity=False),
    "gtg": Properties(efficiency=False, symmetry=False, null_player=True, linearity=False),
    "banzhaf": Properties(efficiency=False, symmetry=True, null_player=True, linearity=True),
    "banzhaf-sampled": Properties(efficiency=False, symmetry=False, null_player=False, linearity=True),
    "group": Properties(efficiency=True, symmetry=False, null_player=False, linearity=True),
}
"""By method. Volume's share is a part of the gain. Permutation is linear while `enough` is 0: what else is drawn
depends on the values."""
