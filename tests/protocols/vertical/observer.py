"""What a party of a regression works out from what it sees, if it wants to know more than it should."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hansa.protocols.crypto import PublicKey, decode
from hansa.protocols.crypto.decryption import signed
from hansa.protocols.crypto.integers import from_bytes
from hansa.protocols.machine import Received
from hansa.protocols.model import FloatArray
from hansa.protocols.vertical.messages import Opened
from hansa.protocols.vertical.tasks import masking_residues
from tests.protocols.lattice import signs
from tests.protocols.vertical.play import Transcript

STILL = 1e-6  # differences of gradients below this are rounding


@dataclass(frozen=True, slots=True)
class Seen:
    """A round of a job in one batch: our coefficients then, and our gradient Xᵀd."""

    theta: FloatArray
    gradient: FloatArray


def seen(run: Transcript, name: str) -> list[Seen]:
    """Return what a party has seen, round by round, from its states and the messages it was sent."""
    found = []
    for state, event in zip(run.states[name], run.events[name], strict=False):  # the last state met no event
        if isinstance(event, Received) and isinstance(event.message, Opened):
            found.append(Seen(state.course.learner.theta, _unmasked(state.course, event.message)))
    return found


def _unmasked(course: Any, message: Opened) -> FloatArray:
    key, settings = PublicKey.from_bytes(course.public), course.seat.settings
    width = key.ciphertext_bytes // 2
    opened = [from_bytes(message.residues[at : at + width]) for at in range(0, len(message.residues), width)]
    masks = masking_residues(course.secret, message.round, key, len(opened)).tolist()
    plain = signed([(each - mask) % key.n for each, mask in zip(opened, masks, strict=True)], key)
    packing = course.seat.packing(key, course.rows)
    integers = packing.unpack_integers(plain, len(course.learner.theta))
    return decode(np.array(integers, dtype=object), settings.feature_bits + settings.score_bits)


def without_others(X: FloatArray, equations: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return combinations of our columns that others' scores never moved, and what they came to.

    Whatever others' coefficients were, their scores lie in the span of their columns; seen through ours, in that of
    as many vectors. The differences between rounds span it too.

    Args:
        X: ours, (rows, columns).
        equations: (rounds, columns), Xᵀ(others' scores, and what does not change).

    Returns:
        (rows, combinations) and (combinations,).
    """
    _, moved, directions = np.linalg.svd(equations[1:] - equations[0])
    kept = directions[int((moved > STILL).sum()) :].T
    return X @ kept, equations[0] @ kept


def labels_from_all_rounds(X: FloatArray, rounds: list[Seen]) -> FloatArray | None:
    """Return a logistic guest's labels, (rows,) -1 and +1, as a host finds them without guessing; None if not."""
    ours = np.array([each.gradient - 0.25 * X.T @ (X @ each.theta) for each in rounds])
    combined, sums = without_others(X, ours)
    return signs(combined, -2 * sums, bits=16)
