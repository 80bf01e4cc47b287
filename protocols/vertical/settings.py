"""What does a job of vertical regression choose? Its guest, its course, its key, its limits and its patience."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from hansa.protocols.vertical.guard import FEWEST_ROWS
from hansa.protocols.vertical.optimiser import Rule

LEAST_KEY_BITS, MOST_KEY_BITS = 512, 8_192
MOST_BLOCK = 65_536
LEAST_OVERDUE_S = (
    0.1  # or parties that are told to be impatient would fill queues and ledger with each other's names
)
MOST_HOLDOUT = 0.5
MOST_SCORE_LIMIT = 2.0**40  # so that everybody's scores of the rows held out add up within 64 bits

Verdict = Literal["improved", "stalled", "converged", "distorted", "last"]
KeyName = Literal["subgroup", "standard"]


@dataclass(frozen=True, slots=True)
class VerticalSettings:
    """What a job chooses.

    Attributes:
        guest: the party that holds the labels.
        epochs: at most so many.
        batch: rows in a batch; 0 for all of them.
        learning_rate, optimiser: of every step.
        penalty: λ of λ/2·‖θ‖² beside the mean loss; the guest's intercept is not in it.
        l1: the same of ‖θ‖₁, which sets coefficients to 0.
        intercept: whether the guest has one.
        show_loss: whether parties are told the loss of an epoch, or only the verdict on it.
        tol, patience: end when the loss has improved by less than ``tol`` for ``patience`` epochs; 0 for never.
        alarm: end when the loss is beyond so many times the least so far.
        guard: whether the leak guard is on; off is for showing what it prevents.
        start_spread: of the guest's first scores in every batch, as a multiple of what hides the labels.
        key, key_bits: of the arbiter's key; below 2048 bits only for trials with the guard off.
        feature_limit, feature_bits: bound and fractional bits of features as they are encrypted with.
        score_limit, score_bits: the same of each party's scores, and of a linear guest's targets.
        block: rows in one message and one task; 0 for an eighth of the batch, within limits; a thousandth at least.
        overdue_s: after so long without progress those who are awaited are named.
        give_up_s: and after so long the job ends.
        alignment: the job in whose order the rows are; for the agents, who lay them out.
        holdout: which share of them is held out to evaluate on, at most half; likewise.
        start_job: an aborted job to go on from, from the last epoch that all have kept; empty for a fresh start.
    """

    guest: str
    epochs: int = 20
    batch: int = 0
    learning_rate: float = 0.1
    optimiser: Rule = "sgd"
    penalty: float = 0.0
    l1: float = 0.0
    intercept: bool = True
    show_loss: bool = True
    tol: float = 1e-4
    patience: int = 3
    alarm: float = 4.0
    guard: bool = True
    start_spread: float = 1.0
    key: KeyName = "subgroup"
    key_bits: int = 2_048
    feature_limit: float = 64.0
    feature_bits: int = 23
    score_limit: float = 4_096.0
    score_bits: int = 36
    block: int = 0
    overdue_s: float = 60.0
    give_up_s: float = 3_600.0
    alignment: str = ""
    holdout: float = 0.2
    start_job: str = ""

    def __post_init__(self) -> None:
        positive = {
            "learning_rate": self.learning_rate,
            "feature_limit": self.feature_limit,
            "score_limit": self.score_limit,
            "overdue_s": self.overdue_s,
        }
        natural = {
            "batch": self.batch,
            "block": self.block,
            "penalty": self.penalty,
            "l1": self.l1,
            "tol": self.tol,
            "patience": self.patience,
            "start_spread": self.start_spread,
            "feature_bits": self.feature_bits,
            "score_bits": self.score_bits,
        }
        _refuse("at least 1", {"epochs": self.epochs}, lambda value: value >= 1)
        _refuse("positive", positive, lambda value: isfinite(value) and value > 0)
        _refuse("at least 0", natural, lambda value: isfinite(value) and value >= 0)
        self._check_relations()

    def _check_relations(self) -> None:
        if not self.guest:
            raise ValueError("guest must name the party that holds the labels")
        if self.guard and 0 < self.batch < FEWEST_ROWS:
            raise ValueError(
                f"batch must be 0 or at least {FEWEST_ROWS} with the leak guard, not {self.batch}"
            )
        if self.block > MOST_BLOCK:
            raise ValueError(f"block must be at most {MOST_BLOCK}, not {self.block}")
        if not 0 <= self.holdout <= MOST_HOLDOUT:  # the arbiter sees nameless labels and scores of these
            raise ValueError(f"holdout must be in [0, {MOST_HOLDOUT:g}], not {self.holdout}")
        if self.overdue_s < LEAST_OVERDUE_S:
            raise ValueError(f"overdue_s must be at least {LEAST_OVERDUE_S}, not {self.overdue_s:g}")
        if self.score_limit > MOST_SCORE_LIMIT:
            raise ValueError(f"score_limit must be at most 2^40, not {self.score_limit:g}")
        if not (isfinite(self.alarm) and self.alarm > 1):
            raise ValueError(f"alarm must exceed 1, not {self.alarm}")
        if not (isfinite(self.give_up_s) and self.give_up_s > self.overdue_s):
            raise ValueError(f"give_up_s must exceed overdue_s ({self.overdue_s:g}), not {self.give_up_s:g}")
        least = 2_048 if self.guard else LEAST_KEY_BITS
        if self.key_bits % 2 or not least <= self.key_bits <= MOST_KEY_BITS:
            raise ValueError(
                f"key_bits must be even and in [{least}, {MOST_KEY_BITS}] here, not {self.key_bits}"
            )
        for name, limit, bits in (
            ("feature", self.feature_limit, self.feature_bits),
            ("score", self.score_limit, self.score_bits),
        ):
            if math.log2(limit) + bits >= 61:
                raise ValueError(f"{name}_bits and {name}_limit: limit × 2^bits must stay below 2^61")


@dataclass(frozen=True, slots=True)
class LinearSettings(VerticalSettings):
    """Of a linear regression: residual d = u − y, loss ½·mean(d²)."""


@dataclass(frozen=True, slots=True)
class LogisticSettings(VerticalSettings):
    """Of a logistic regression by Taylor's expansion around 0: d = ¼u − ½y, loss mean(log 2 − ½yu + ⅛u²)."""


def _refuse(rule: str, values: Mapping[str, float], holds: Callable[[float], bool]) -> None:
    for name, value in values.items():
        if not holds(value):
            raise ValueError(f"{name} must be {rule}, not {value}")
