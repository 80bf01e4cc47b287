"""How do coefficients follow a gradient that only their owner sees? Gradient descent, momentum, Adam; l1 on top.

Every party steps on its own coefficients; since all three rules work on each coordinate alone, the parties together
do exactly what one learner on all columns would.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from hansa.protocols.digest import freeze
from hansa.protocols.model import FloatArray

Rule = Literal["sgd", "momentum", "adam"]

MOMENTUM = 0.9
FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-8  # Kingma and Ba 2015, Algorithm 1


@dataclass(frozen=True, slots=True, eq=False)
class Learner:
    """One party's coefficients and what the rule remembers of earlier gradients.

    Attributes:
        theta: (columns,) float64.
        first: velocity, or Adam's mean of gradients; (columns,).
        second: Adam's mean of squares; (columns,).
        steps: taken so far.
    """

    theta: FloatArray = field(repr=False)
    first: FloatArray = field(repr=False)
    second: FloatArray = field(repr=False)
    steps: int

    @classmethod
    def at(cls, theta: FloatArray) -> "Learner":
        """Return one that has not moved yet."""
        nothing = freeze(np.zeros_like(theta))
        return cls(freeze(theta.copy()), nothing, nothing, 0)

    def stepped(
        self, gradient: FloatArray, rule: Rule, rate: float, l1: FloatArray | float = 0.0
    ) -> "Learner":
        """Return the learner after one step.

        The l1 penalty draws every coefficient towards 0 by as much as a steady gradient of its size would have
        moved it, and no further than 0 (a proximal step, in Adam's own metric): where the coefficients rest,
        the loss and the penalty together are least.

        Args:
            gradient: to step against, (columns,).
            rule: of the step.
            rate: > 0.
            l1: λ of λ·|θ| for each coefficient, (columns,), or the same for all.

        Source: Parikh and Boyd 2014, "Proximal Algorithms", sections 4.2 and 6.5.2.
        """
        steps = self.steps + 1
        match rule:
            case "sgd":
                first, second, move = self.first, self.second, gradient
                reach: FloatArray | float = 1.0
            case "momentum":
                first, second = MOMENTUM * self.first + gradient, self.second
                move = first
                reach = (1 - MOMENTUM**steps) / (1 - MOMENTUM)
            case "adam":
                first = FIRST_DECAY * self.first + (1 - FIRST_DECAY) * gradient
                second = SECOND_DECAY * self.second + (1 - SECOND_DECAY) * gradient**2
                mean, square = first / (1 - FIRST_DECAY**steps), second / (1 - SECOND_DECAY**steps)
                reach = 1 / (np.sqrt(square) + EPSILON)
                move = mean * reach
        moved = self.theta - rate * move
        theta = np.sign(moved) * np.maximum(np.abs(moved) - rate * l1 * reach, 0.0)
        return Learner(freeze(theta), freeze(first), freeze(second), steps)
