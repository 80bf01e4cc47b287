"""How do several updates become one model? By their average, weighted by rows."""

from collections.abc import Sequence
from math import fsum, isfinite

import numpy as np

from hansa.protocols.model import Array, FloatArray, all_finite, check_layout

# Elements per block: the float64 sum and product (512 KiB) and one update's share stay in a core's cache.
BLOCK = 32_768


def weighted_average(updates: Sequence[Sequence[Array]], weights: Sequence[float]) -> list[Array]:
    """Return the weighted mean of each array over the updates.

    Sums in float64, block by block, in the order given: callers that want the same bits whatever the order of
    arrival sort first. One multiplication and one addition per element, both IEEE, give the same bits on
    every machine; a matrix product would be twice as fast here, but its kernels round as the processor likes.

    Args:
        updates: for each party its arrays; the same number, shapes and floating dtypes for all.
        weights: one per party, finite and non-negative, such as rows.

    Returns:
        New arrays of the inputs' dtypes.

    Raises:
        ValueError: no updates, another number of weights, a weight that is negative or not finite, weights
            that sum to zero, arrays that differ in number, shape or dtype, a dtype that isn't floating, or a
            value that is not finite, with the update and array named by position.

    Source: McMahan et al. 2017, Algorithm 1.
    """
    shares = _shares(weights, len(updates))
    first = updates[0]
    for position, update in enumerate(updates):
        _check_update(position, update, first)
    averages = []
    for index in range(len(first)):
        # A NaN, an infinity or an overflow is looked for once, in the outcome; no warnings on the way.
        with np.errstate(over="ignore", invalid="ignore"):
            average = _average([update[index] for update in updates], shares)
        if not all_finite(average):
            raise ValueError(_culprit([update[index] for update in updates], index))
        averages.append(average)
    return averages


def _shares(weights: Sequence[float], updates: int) -> list[float]:
    if updates == 0:
        raise ValueError("no updates to average")
    if len(weights) != updates:
        raise ValueError(f"{len(weights)} weights for {updates} updates")
    for position, weight in enumerate(weights):
        if not (isfinite(weight) and weight >= 0):
            raise ValueError(f"weight {position} is {weight}; weights are finite and not negative")
    total = fsum(weights)
    if total == 0:
        raise ValueError("the weights sum to zero")
    return [weight / total for weight in weights]


def _check_update(position: int, update: Sequence[Array], first: Sequence[Array]) -> None:
    try:
        check_layout(update, first)
    except ValueError as error:
        raise ValueError(f"update {position}: {error}") from error
    for index, (array, other) in enumerate(zip(update, first, strict=True)):
        if array.dtype.kind != "f":
            raise ValueError(f"update {position}: array {index} is {array.dtype}, not floating")
        if array.dtype != other.dtype:
            raise ValueError(f"update {position}: array {index} is {array.dtype}, expected {other.dtype}")


def _average(arrays: Sequence[Array], shares: Sequence[float]) -> Array:
    shape, dtype = arrays[0].shape, arrays[0].dtype
    flat = [np.ascontiguousarray(array).reshape(-1) for array in arrays]
    average: Array = np.empty(flat[0].size, dtype)
    total: FloatArray = np.empty(min(BLOCK, average.size))
    product = np.empty_like(total)
    for start in range(0, average.size, BLOCK):
        stop = min(start + BLOCK, average.size)
        block, scaled = total[: stop - start], product[: stop - start]
        np.copyto(block, flat[0][start:stop])
        np.multiply(block, shares[0], out=block)
        for values, share in zip(flat[1:], shares[1:], strict=True):
            np.copyto(scaled, values[start:stop])  # widen first: a multiply of mixed dtypes is slower
            np.multiply(scaled, share, out=scaled)
            np.add(block, scaled, out=block)
        average[start:stop] = block
    return average.reshape(shape)


def _culprit(arrays: Sequence[Array], index: int) -> str:
    for position, array in enumerate(arrays):
        if not all_finite(array):
            return f"update {position}: array {index} holds NaN or infinity"
    return f"the average of array {index} overflows {arrays[0].dtype}"
