"""The heavy work at the end: score the rows held out under masks, say which model it is, and how good.

Where contributions are valued there are no masks: `exposure` says what is sent, `valuing` what becomes of it.

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
from hansa.protocols.model import BoolArray, Evaluation, FloatArray
from hansa.protocols.pairwise import UintArray, decode64, encode64, masks
from hansa.protocols.preparation import Preparation
from hansa.protocols.vertical.exposure import own_scores
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
        shares, labels, intercept: as in ``HeldOut``.
        digest: of the part.
        salt, preparation: as in ``OwnCoefficients``.
    """

    shares: UintArray = field(repr=False)
    labels: FloatArray = field(repr=False)
    digest: bytes
    salt: bytes = field(repr=False)
    preparation: Preparation = field(repr=False)
    intercept: float = field(repr=False)


def conclude(inputs: Conclusion, bench: Workbench, seed: int) -> Concluded:
    """Score the rows held out, mask the scores (unless the job is valued), and take the digest of our part.

    Raises:
        EncodingError: a score beyond the agreed limit.
        BareScores: the arbiter would see our own scores, and they hide our columns too badly.
    """
    seat = inputs.seat
    mine, preparation = held_out_rows(seat, bench), bench.preparation()
    columns, intercept = parted(seat, inputs.theta)
    if seat.valued:
        scores = own_scores(mine.X[:, : len(columns)], columns, guarded=seat.settings.guard)
        shares = encode64(scores, seat.held_out_bits(), seat.settings.score_limit)
    else:
        shares = _masked(
            inputs, encode64(mine.X @ inputs.theta, seat.held_out_bits(), seat.settings.score_limit)
        )
    salt = drawn_seed(inputs.secret, "part", seat.session.hex())
    digest = part_digest(salt, columns, intercept, preparation)
    shown = intercept if seat.valued else 0.0
    return Concluded(shares, mine.targets, digest, salt, preparation, shown)


def _masked(inputs: Conclusion, shares: UintArray) -> UintArray:
    if not len(shares):
        return shares
    seat, mask_secret = inputs.seat, drawn_seed(inputs.secret, MASK_KEY)
    return shares + masks(mask_secret, seat.me, inputs.keys, seat.session, HELD_OUT, len(shares))


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
    return appraised(scores, inputs.labels, logistic=seat.logistic)


def appraised(scores: FloatArray, labels: FloatArray, *, logistic: bool) -> Appraised:
    """Return how good scores are, (rows,), and what they are spread over."""
    found = figures(scores, labels, logistic=logistic)
    return Appraised(found.loss, found.score, found.metric, tuple(np.quantile(scores, TENTHS).tolist()))


def figures(scores: FloatArray, labels: FloatArray, *, logistic: bool) -> Evaluation:
    """Hold scores against labels, both (rows,): targets, or -1 and +1 of a logistic job."""
    if not logistic:
        return regression(scores, labels)
    positive = labels > 0
    loss = float(np.logaddexp(0.0, -labels * scores).mean())
    if positive.all() or not positive.any():
        return Evaluation(len(labels), loss, float(((scores > 0) == positive).mean()), ACCURACY)
    return Evaluation(len(labels), loss, auc(scores, positive), AUC)


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
