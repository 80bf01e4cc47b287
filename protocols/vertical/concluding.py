"""The heavy work at the end: score the rows held out under masks, say which model it is, and how good.

A party's part of the model has a digest that others may keep: over its coefficients and its preparation, and salted
with secret bytes, or whoever guessed the coefficients could see that the guess is right. The model's digest is over
those of all parts.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import reduce
from operator import add

import numpy as np

from hansa.protocols.digest import parameters_digest
from hansa.protocols.errors import PeerError
from hansa.protocols.horizontal.scores import ACCURACY, R2, regression
from hansa.protocols.machine import TaskSpec, Workbench
from hansa.protocols.model import BoolArray, FloatArray
from hansa.protocols.pairwise import UintArray, decode64, encode64, masks
from hansa.protocols.preparation import Preparation
from hansa.protocols.vertical.job import Seat, drawn_seed, hashed
from hansa.protocols.vertical.rows import held_out_rows

CONCLUDE = "conclude"
APPRAISE = "appraise"

AUC = "auc"
METRICS = (AUC, ACCURACY, R2)
TENTHS = np.arange(1, 10) / 10
MASK_KEY = "mask-key"  # the purpose of the secret behind our key for pairwise masks
HELD_OUT = "held-out"  # and of those masks

PART_DOMAIN = b"hansa/vertical/part/1\x00"
MODEL_DOMAIN = b"hansa/vertical/model/1\x00"


@dataclass(frozen=True, slots=True, eq=False)
class Conclusion:
    """A party's coefficients, (gradients,), and its peers' keys for masks."""

    seat: Seat
    theta: FloatArray = field(repr=False)
    keys: dict[str, bytes]
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Concluded:
    """What is told of a party's part, and what stays with it.

    Attributes:
        shares, labels: as in ``HeldOut``.
        digest: of the part.
        salt, preparation: as in ``OwnCoefficients``.
    """

    shares: UintArray = field(repr=False)
    labels: FloatArray = field(repr=False)
    digest: bytes
    salt: bytes = field(repr=False)
    preparation: Preparation = field(repr=False)


def conclude(inputs: Conclusion, bench: Workbench, seed: int) -> Concluded:
    """Score the rows held out, mask the scores, and take the digest of our part.

    Raises:
        EncodingError: a score beyond the agreed limit.
    """
    seat = inputs.seat
    mine, preparation = held_out_rows(seat, bench), bench.preparation()
    shares = encode64(mine.X @ inputs.theta, seat.held_out_bits(), seat.settings.score_limit)
    if len(shares):
        mask_secret = drawn_seed(inputs.secret, MASK_KEY)
        shares = shares + masks(mask_secret, seat.me, inputs.keys, seat.session, HELD_OUT, len(shares))
    salt = drawn_seed(inputs.secret, "part", seat.session.hex())
    columns, intercept = parted(seat, inputs.theta)
    return Concluded(
        shares, mine.targets, part_digest(salt, columns, intercept, preparation), salt, preparation
    )


def parted(seat: Seat, theta: FloatArray) -> tuple[FloatArray, float]:
    """Return the coefficients of our columns, (columns,), and the guest's intercept, 0 if there is none."""
    if seat.me == seat.guest and seat.settings.intercept:
        return theta[:-1], float(theta[-1])
    return theta, 0.0


def part_digest(salt: bytes, theta: FloatArray, intercept: float, preparation: Preparation) -> bytes:
    """Return the digest of one party's part of a model, 32 bytes.

    Args:
        salt: secret of the party; kept with the part.
        theta: (columns,) float64.
        intercept: 0 at hosts.
        preparation: of the columns.
    """
    numbers = parameters_digest((theta, np.array([intercept])))
    return hashed(PART_DOMAIN, (salt.hex(), numbers.hex(), json.dumps(asdict(preparation), sort_keys=True)))


def model_digest(parts: Mapping[str, bytes]) -> bytes:
    """Return the digest of a model in parts, 32 bytes."""
    return hashed(MODEL_DOMAIN, tuple(word for name in sorted(parts) for word in (name, parts[name].hex())))


# -- the arbiter's ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Appraisal:
    """Everybody's masked scores of the rows held out, (held_out,) each, and their labels."""

    seat: Seat
    shares: tuple[UintArray, ...] = field(repr=False)
    labels: FloatArray = field(repr=False)


@dataclass(frozen=True, slots=True)
class Appraised:
    """How good the model is on rows that it has not seen; as in ``OwnCoefficients``."""

    loss: float
    score: float
    metric: str
    deciles: tuple[float, ...] = field(repr=False)


def appraise(inputs: Appraisal, bench: Workbench, seed: int) -> Appraised:
    """Add up the scores, and hold them against the labels.

    Raises:
        PeerError: the masks don't cancel.
    """
    seat = inputs.seat
    scores = decode64(reduce(add, inputs.shares), seat.held_out_bits())
    if np.abs(scores).max() > len(seat.parties) * np.ceil(seat.settings.score_limit):
        raise PeerError("the scores of the rows held out are no sum of everybody's: masks don't cancel")
    deciles = tuple(np.quantile(scores, TENTHS).tolist())
    if not seat.logistic:
        found = regression(scores, inputs.labels)
        return Appraised(found.loss, found.score, found.metric, deciles)
    positive = inputs.labels > 0
    loss = float(np.logaddexp(0.0, -inputs.labels * scores).mean())
    if positive.all() or not positive.any():
        return Appraised(loss, float(((scores > 0) == positive).mean()), ACCURACY, deciles)
    return Appraised(loss, auc(scores, positive), AUC, deciles)


def auc(scores: FloatArray, positive: BoolArray) -> float:
    """Return the share of pairs of a positive and a negative row that the scores rank rightly; ties count ½.

    Args:
        scores: (rows,).
        positive: (rows,) bool, both values among them.
    """
    _, level = np.unique(scores, return_inverse=True)
    of_level = np.bincount(level)
    positives = np.bincount(level, weights=positive)
    negatives = of_level - positives
    below = np.cumsum(negatives) - negatives
    pairs = positives.sum() * negatives.sum()
    return float((positives * (below + negatives / 2)).sum() / pairs)


TASKS: dict[str, TaskSpec] = {
    CONCLUDE: TaskSpec(conclude, Conclusion, Concluded),
    APPRAISE: TaskSpec(appraise, Appraisal, Appraised, uses_bench=False),
}
