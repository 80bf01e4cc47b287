"""What has each party's part added to the model? The arbiter adds up coalitions' parts and looks at the labels.

A party that is left out adds nothing to a score: its features are masked, which for standardised columns means that
each counts as its average. The guest's intercept is in every coalition, that of nobody included: it is the model
before any party's columns. So is the knowledge of the labels, which is not valued here: the guest's part are its
columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hansa.protocols.machine import TaskSpec, Valuation, Workbench
from hansa.protocols.model import Evaluation, FloatArray
from hansa.protocols.pairwise import UintArray, decode64, encode64
from hansa.protocols.vertical.concluding import Appraised, appraised, figures
from hansa.protocols.vertical.exposure import figure
from hansa.protocols.vertical.job import Seat

VALUE = "value"
WHOLE_JOB = 0  # the number of a round that stands for all of them


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What every party scores the rows held out, (held_out,) each, in the order of the parties.

    Attributes:
        labels: (held_out,), as in ``HeldOut``.
        intercept: the guest's.
        rows: that all have trained on.
    """

    seat: Seat
    shares: tuple[UintArray, ...] = field(repr=False)
    labels: FloatArray = field(repr=False)
    intercept: float = field(repr=False)
    rows: int

    def scores(self, coalition: frozenset[str]) -> FloatArray:
        """Return what the model scores in which only these parties' parts are, (held_out,)."""
        bits, limit = self.seat.held_out_bits(), self.seat.settings.score_limit
        total = encode64(np.full(len(self.labels), self.intercept), bits, limit)
        for party, shares in zip(self.seat.parties, self.shares, strict=True):
            if party in coalition:
                total = total + shares
        return decode64(total, bits)


@dataclass(frozen=True, slots=True)
class Valued:
    """How good the model is, and what each part of it has added."""

    whole: Appraised
    valuation: Valuation


def value(inputs: Parts, bench: Workbench, seed: int) -> Valued:
    """Value as many coalitions as the bench asks for.

    Raises:
        ValueError: the job's method can't serve so many or so few parties.
    """
    seat = inputs.seat

    def worth(coalitions: Sequence[frozenset[str]]) -> tuple[Evaluation, ...]:
        return tuple(_told(inputs, coalition) for coalition in coalitions)

    valuation = bench.appraise(WHOLE_JOB, dict.fromkeys(seat.parties, inputs.rows), worth)
    everybody = inputs.scores(frozenset(seat.parties))
    return Valued(appraised(everybody, inputs.labels, logistic=seat.logistic), valuation)


def _told(inputs: Parts, coalition: frozenset[str]) -> Evaluation:
    found = figures(inputs.scores(coalition), inputs.labels, logistic=inputs.seat.logistic)
    return Evaluation(found.rows, figure(found.loss), figure(found.score), found.metric)


TASKS: dict[str, TaskSpec] = {VALUE: TaskSpec(value, Parts, Valued)}
