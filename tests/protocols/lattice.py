"""Which signs fit a few real equations? Lattice reduction, as somebody would use it who sees a gradient.

A gradient in which residuals are ±½ is a subset sum in as many dimensions as there are columns. The signs are then
the coordinates of an unusually short lattice vector, and reduction after Lenstra, Lenstra and Lovász 1982 finds it,
without any guessing. Gram-Schmidt coefficients are float64 and computed anew from the integers every few hundred
swaps (Schnorr and Euchner 1994); the integers stay exact.
"""

from dataclasses import dataclass

import numpy as np

from hansa.protocols.model import FloatArray, IndexArray

DELTA = 0.99  # of Lovász's condition
HALF = 0.5001  # size reduction; a little more than ½, or rounding would make it go on for ever
SWAPS = 400  # between two computations of the coefficients from the integers


@dataclass(slots=True)
class _Basis:
    """A basis under reduction.

    Attributes:
        rows: (k, n) int64, the basis vectors.
        mu: (k, k), Gram-Schmidt coefficients below the diagonal.
        squares: (k,), squared lengths of the orthogonalised vectors.
        swaps: since mu and squares were computed from the rows.
    """

    rows: IndexArray
    mu: FloatArray
    squares: FloatArray
    swaps: int

    def refresh(self) -> None:
        """Compute mu and squares from the rows."""
        r = np.linalg.qr(self.rows.T.astype(np.float64), mode="r")
        diagonal = np.diag(r)
        self.mu, self.squares, self.swaps = (r / diagonal[:, None]).T.copy(), diagonal**2, 0

    def shorten(self, k: int, j: int) -> None:
        """Take from row k the multiple of row j that leaves least of it."""
        times = round(self.mu[k, j])
        self.rows[k] -= times * self.rows[j]
        self.mu[k, : j + 1] -= times * self.mu[j, : j + 1]

    def shorten_fully(self, k: int) -> None:
        """The same with all rows before k, from the last to the first."""
        while (long := np.flatnonzero(np.abs(self.mu[k, :k]) > HALF)).size:
            self.shorten(k, int(long[-1]))

    def is_ordered(self, k: int) -> bool:
        """Return whether Lovász's condition holds between rows k-1 and k."""
        return bool(self.squares[k] >= (DELTA - self.mu[k, k - 1] ** 2) * self.squares[k - 1])

    def swap(self, k: int) -> None:
        """Exchange rows k-1 and k (Cohen 1993, Algorithm 2.6.3)."""
        mu, squares, old = self.mu, self.squares, float(self.mu[k, k - 1])
        first = squares[k] + old**2 * squares[k - 1]
        new = old * squares[k - 1] / first
        squares[k - 1], squares[k] = first, squares[k - 1] * squares[k] / first
        self.rows[[k - 1, k]] = self.rows[[k, k - 1]]
        mu[[k - 1, k], : k - 1] = mu[[k, k - 1], : k - 1]
        mu[k, k - 1] = new
        behind = mu[k + 1 :, k].copy()
        mu[k + 1 :, k] = mu[k + 1 :, k - 1] - old * behind
        mu[k + 1 :, k - 1] = behind + new * mu[k + 1 :, k]
        self.swaps += 1


def reduced(rows: IndexArray) -> IndexArray:
    """Return a basis of the same lattice whose vectors are short.

    Args:
        rows: (k, n) int64, linearly independent, entries below 2^31.
    """
    basis = _Basis(rows.astype(np.int64), np.zeros((0, 0)), np.zeros(0), 0)
    basis.refresh()
    k = 1
    while k < len(rows):
        if abs(basis.mu[k, k - 1]) > HALF:
            basis.shorten(k, k - 1)
        if basis.is_ordered(k):
            basis.shorten_fully(k)
            k += 1
        else:
            basis.swap(k)
            k = max(k - 1, 1)
        if basis.swaps >= SWAPS or (basis.swaps and k == len(rows)):
            k = 1 if k == len(rows) else k
            basis.refresh()
    return basis.rows


def signs(coefficients: FloatArray, sums: FloatArray, bits: int) -> FloatArray | None:
    """Return y in {-1, +1}^n with coefficientsᵀ·y ≈ sums, or None if reduction does not find any.

    Every lattice vector is (2z - w, 2^bits·(coefficientsᵀ·(2z - w) - w·sums), w) with integers z and w, so that
    (y, 0, 1) is one of length √(n+1), while others have none as short if the equations tell enough.

    Args:
        coefficients: (n, e) of e equations.
        sums: (e,).
        bits: to so many fractional bits the equations are believed; ~ how precise the sums are.
    """
    n, e = coefficients.shape
    scaled = np.rint(coefficients * 2.0**bits).astype(np.int64)
    rows = np.zeros((n + 1, n + e + 1), np.int64)
    rows[:n, :n] = 2 * np.eye(n, dtype=np.int64)
    rows[:n, n : n + e] = 2 * scaled
    rows[n, :n] = -1
    rows[n, n : n + e] = -scaled.sum(axis=0) - np.rint(sums * 2.0**bits).astype(np.int64)
    rows[n, -1] = 1
    for row in reduced(rows):
        if abs(row[-1]) == 1 and (np.abs(row[:n]) == 1).all():
            return np.asarray(row[:n] * row[-1], np.float64)
    return None
