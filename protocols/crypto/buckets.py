"""How is Π c_i^(x_i) computed for very many c_i and small x_i? By buckets.

Every digit of x_i names a bucket, into which c_i is multiplied: one multiplication for each digit, no squarings.
Then a bucket's product counts as often as its digit says, and running products do that with two multiplications
for each bucket, one of which the first number in it has saved. Sources: Pippenger 1976, "On the evaluation of
powers and related problems"; Bernstein, Doumen, Lange and Oosterwijk 2012, "Faster batch forgery identification".

A negative digit either takes the base's inverse, which costs three multiplications for each base but serves all
columns, or goes to buckets of its own, which are divided out at the end. Exponents with few different values (a
standardised 0/1 column has two) first merge the bases of equal exponents. A common factor 2^t of the exponents (of
integers in fixed point) is taken out and put back by t squarings.

Bases come in blocks, so that a million of them need not be in memory at once: the buckets stay, the block goes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hansa.protocols.crypto.digits import Integers, Split, balanced, magnitude_bits, splits
from hansa.protocols.crypto.elements import Objects, objects
from hansa.protocols.crypto.integers import big, inverse, inverses, powmod

INVERSION = 8  # one modular inversion, in multiplications; measured 7.6


@dataclass(frozen=True, slots=True)
class Plan:
    """How one column of exponents is worked off, and what it costs.

    Attributes:
        products: modular multiplications.
        shift: every exponent is a multiple of 2^shift.
        split: how the exponents, or the distinct values, are cut.
        distinct: the different exponents, if equal ones are merged first; else None.
    """

    products: int
    shift: int
    split: Split
    distinct: Integers | None = None


def plan(exponents: Integers, *, inverted: bool) -> Plan:
    """Choose the cheapest way for one column.

    Args:
        exponents: (n,) int64, |value| < 2^62.
        inverted: whether the bases' inverses are at hand.
    """
    values, counts = np.unique(exponents, return_counts=True)
    present = values != 0
    values, used = values[present], int(counts[present].sum())
    shift = _common_shift(values)
    values >>= shift
    bits = magnitude_bits(values)
    signs = 1 if inverted else 2
    direct = min((_cost(split, used, signs), split.windows, split) for split in splits(bits))
    # Once merged there are few bases: their own buckets for negative digits, and no inverses.
    merged = min((_cost(split, len(values), 2), split.windows, split) for split in splits(bits))
    merging = used - len(values)
    if merging + merged[0] < direct[0]:
        return Plan(merging + merged[0] + shift, shift, merged[2], values)
    return Plan(direct[0] + shift, shift, direct[2])


def _cost(split: Split, bases: int, signs: int) -> int:
    """Count: what falls into buckets, less the first into each; then the running product and the total."""
    filled = min(split.magnitudes * signs, bases * split.windows)
    weighing = filled + split.magnitudes * signs
    dividing = 0 if signs == 1 else split.joining + INVERSION
    return bases * split.windows - filled + weighing + split.joining + dividing


def _common_shift(values: Integers) -> int:
    together = int(np.bitwise_or.reduce(values)) if values.size else 1
    return (together & -together).bit_length() - 1


@dataclass(slots=True, eq=False)
class Column:
    """The buckets of one column, filled block by block.

    Attributes:
        plan: how.
        modulus: n².
        inverted: whether blocks come with the inverses of their bases.
    """

    plan: Plan
    modulus: int
    inverted: bool
    _positive: list[list[int]] = field(init=False)
    _negative: list[list[int]] = field(init=False)

    def __post_init__(self) -> None:
        one, split = big(1), self.plan.split
        if self.plan.distinct is not None:
            sizes = [len(self.plan.distinct)]
        else:
            top = split.bits - split.window_bits * (split.windows - 1)
            sizes = [(1 << (split.window_bits - 1)) + 1] * (split.windows - 1) + [(1 << top) + 1]
        self._positive = [[one] * size for size in sizes]
        split_signs = self.plan.distinct is None and not self.inverted
        self._negative = [[one] * size for size in sizes] if split_signs else []

    def add(self, exponents: Integers, bases: Objects, inverse_bases: Objects | None) -> None:
        """Multiply a block of bases into their buckets.

        Args:
            exponents: (b,) the block's part of the column.
            bases: (b,) integers modulo n².
            inverse_bases: (b,) their inverses, if the column was made for them.
        """
        used = np.flatnonzero(exponents)
        values = exponents[used] >> self.plan.shift
        chosen = bases[used]
        if self.plan.distinct is not None:
            self._fill(self._positive[0], np.searchsorted(self.plan.distinct, values), chosen)
            return
        split = self.plan.split
        for index, digits in enumerate(balanced(values, split.window_bits, split.windows)):
            positive, negative = digits > 0, digits < 0
            if inverse_bases is not None:
                both = np.where(positive, chosen, inverse_bases[used])
                present = positive | negative
                self._fill(self._positive[index], np.abs(digits[present]), both[present])
            else:
                self._fill(self._positive[index], digits[positive], chosen[positive])
                self._fill(self._negative[index], -digits[negative], chosen[negative])

    def finish(self) -> int:
        """Return the column's product."""
        result = self._merged() if self.plan.distinct is not None else self._joined()
        return powmod(result, 1 << self.plan.shift, self.modulus)

    def _fill(self, buckets: list[int], indexes: Integers, bases: Objects) -> None:
        modulus = self.modulus
        for index, base in zip(indexes.tolist(), bases.tolist(), strict=True):
            buckets[index] = buckets[index] * base % modulus

    def _merged(self) -> int:
        assert self.plan.distinct is not None
        inner = Column(Plan(0, 0, self.plan.split), self.modulus, inverted=False)
        inner.add(self.plan.distinct, objects(self._positive[0], (len(self._positive[0]),)), None)
        return inner.finish()

    def _joined(self) -> int:
        result = self._weighed(self._positive)
        if not self._negative:
            return result
        return result * inverse(self._weighed(self._negative), self.modulus) % self.modulus

    def _weighed(self, windows: list[list[int]]) -> int:
        """Return Π_j (Π_d buckets_j[d]^d)^(2^(j·w)): from the top window down."""
        modulus, width = self.modulus, self.plan.split.window_bits
        result = big(1)
        for buckets in reversed(windows):
            result = powmod(result, 1 << width, modulus)
            running, total = big(1), big(1)
            for bucket in reversed(buckets[1:]):
                running = running * bucket % modulus
                total = total * running % modulus
            result = result * total % modulus
        return result


@dataclass(frozen=True, slots=True)
class BucketPlan:
    """The plans of all columns, whether they share the bases' inverses, and the count of multiplications."""

    columns: tuple[Plan, ...]
    inverted: bool
    products: int


def plan_columns(matrix: Integers) -> BucketPlan:
    """Choose for a matrix of exponents (results × bases) whether to invert the bases, and each row's plan."""
    outcomes = []
    for inverted in (False, True):
        columns = tuple(plan(row, inverted=inverted) for row in matrix)
        shared = 3 * matrix.shape[1] + INVERSION if inverted else 0
        outcomes.append(BucketPlan(columns, inverted, shared + sum(column.products for column in columns)))
    return min(outcomes, key=lambda outcome: outcome.products)


def columns_for(chosen: BucketPlan, modulus: int) -> list[Column]:
    """Return empty buckets for every column."""
    return [Column(each, modulus, chosen.inverted) for each in chosen.columns]


def add_block(
    columns: Sequence[Column], matrix: Integers, bases: Sequence[int], modulus: int, *, inverted: bool
) -> None:
    """Work a block of bases into all columns; matrix is the block's part, (columns, len(bases))."""
    block = objects(bases, (len(bases),))
    inverse_block = objects(inverses(bases, modulus), (len(bases),)) if inverted else None
    for column, exponents in zip(columns, matrix, strict=True):
        column.add(exponents, block, inverse_block)
