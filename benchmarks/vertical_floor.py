"""How many modular multiplications can an epoch of a vertical regression not do without?

Counted for each role and phase as if one process did all of a phase at once: one table of masks for each party,
the columns of a whole batch in one product. What is spent on cutting the work into blocks, on tables made twice, on
checks, bytes and idle cores is not in the floor, and so shows in the ratio to it. Openings are exponentiations
modulo p² and q², which are timed themselves (`Price`).
"""

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from hansa.protocols.crypto import PublicKey, SecretKey, best_window, encode
from hansa.protocols.crypto.digits import Integers
from hansa.protocols.crypto.integers import powmod, random_unit
from hansa.protocols.crypto.multiexp import count
from hansa.protocols.model import FloatArray
from hansa.protocols.vertical.job import ARBITER, GUEST, HOST, THETA_BITS, Seat
from hansa.protocols.vertical.tasks import FOLD, OPEN, OPEN_LOSS, RESIDUAL, SCORE, SEAL, TOTAL

TABLES = "tables"
GAUGE_S = 0.4  # how long each core multiplies to find out what one multiplication costs
OPENED_AT_ONCE = 20
MULTIPLIED_AT_ONCE = 200

Phase = tuple[str, str]  # role and function


@dataclass(frozen=True, slots=True)
class Price:
    """What this machine takes for each with all its cores busy, in seconds.

    Attributes:
        product: one multiplication modulo n².
        opening: one ciphertext's exponentiations modulo p² and q².
    """

    product: float
    opening: float


@dataclass(frozen=True, slots=True)
class Prices:
    """On the clock, and of processor time, which a busy machine stretches less."""

    wall: Price
    cpu: Price


@dataclass(frozen=True, slots=True)
class Floor:
    """Multiplications modulo n² and openings, by role and phase."""

    products: Mapping[Phase, int]
    openings: Mapping[Phase, int]

    def seconds(self, price: Price, phase: Phase | None = None) -> float:
        """Return the core seconds of one phase, or of all."""
        wanted = (phase,) if phase else (*self.products, *self.openings)
        return sum(
            self.products.get(each, 0) * price.product + self.openings.get(each, 0) * price.opening
            for each in wanted
        )


def window_products(public: PublicKey, window_bits: int) -> tuple[int, int]:
    """Return the multiplications that a table of masks takes, and those of a mask made with it."""
    bits = public.randomness_bits
    rows = -(-bits // window_bits)
    return sum(1 << min(window_bits, bits - low) for low in range(0, bits, window_bits)), rows - 1


def epoch_floor(
    columns: Mapping[str, FloatArray], seat: Seat, public: PublicKey, *, with_tables: bool = True
) -> Floor:
    """Count an epoch.

    Args:
        columns: by party, (rows, columns) of the same rows.
        seat: of any role.
        public: the arbiter's key.
        with_tables: whether every party makes its table in this epoch; else it is there already.
    """
    settings = seat.settings
    rows, hosts = len(columns[seat.guest]), len(seat.hosts)
    plan = seat.plan(rows)
    table, mask = window_products(public, best_window(public, rows * settings.epochs))
    products: dict[Phase, int] = {
        (HOST, SCORE): hosts * rows * (mask + 1),
        (GUEST, RESIDUAL): rows * (hosts + mask + 1),
    }
    if with_tables:
        products |= {(HOST, TABLES): hosts * table, (GUEST, TABLES): table}
    openings: dict[Phase, int] = {(ARBITER, OPEN_LOSS): 1, (ARBITER, OPEN): 0}
    for party, own in columns.items():
        role = GUEST if party == seat.guest else HOST
        fold = seal = 0
        for number in range(plan.batches):
            X = own[plan.batch_rows(number)]
            fold += count(np.hstack(list(_exponents(seat, role, X))).T)
            packing = seat.packing(public, len(X))
            gradients = seat.gradients(party, own.shape[1])
            frames = packing.packed_size(gradients)
            # Horner's squarings and products; two masks and the residues of each frame; θ·g and its masks.
            seal += (gradients - frames) * (packing.slot_bits + 1) + frames * (2 * mask + 3)
            seal += gradients * THETA_BITS // 2 + mask + 3
            openings[ARBITER, OPEN] += frames
        products[role, FOLD] = products.get((role, FOLD), 0) + fold
        products[role, SEAL] = products.get((role, SEAL), 0) + seal
    products[GUEST, TOTAL] = mask + 1 + hosts
    return Floor(products, openings)


def _exponents(seat: Seat, role: str, X: FloatArray) -> Iterator[Integers]:
    """Yield what the residuals are raised to: the columns, and at the guest its intercept."""
    settings = seat.settings
    yield encode(X, settings.feature_bits, settings.feature_limit).integers
    if role == GUEST and settings.intercept:
        yield np.full((len(X), 1), 1 << settings.feature_bits, np.int64)


def prices(pool: ProcessPoolExecutor, cores: int, secret: bytes) -> Prices:
    """Measure both costs on all cores at the same time, so that what they share slows them as it does the job."""
    futures = [pool.submit(_gauge, secret, GAUGE_S) for _ in range(cores)]
    found = [future.result() for future in futures]
    return Prices(_mean([each.wall for each in found]), _mean([each.cpu for each in found]))


def cheapest(found: Sequence[Prices]) -> Prices:
    """Return the least of each cost: those that the machine's other work has stretched least."""

    def least(of: Sequence[Price]) -> Price:
        return Price(min(each.product for each in of), min(each.opening for each in of))

    return Prices(least([each.wall for each in found]), least([each.cpu for each in found]))


def _mean(of: Sequence[Price]) -> Price:
    return Price(sum(each.product for each in of) / len(of), sum(each.opening for each in of) / len(of))


def _gauge(secret: bytes, seconds: float) -> Prices:
    key = SecretKey.from_bytes(secret)
    modulus = key.public.n_squared
    a, b = (random_unit(modulus, secrets.token_bytes) for _ in range(2))
    done, began = 0, _clocks()
    while (products := _since(began))[0] < seconds:
        for _ in range(MULTIPLIED_AT_ONCE):
            a = a * b % modulus
        done += MULTIPLIED_AT_ONCE
    halves = [(prime * prime, power) for prime, power in ((key.p, key.fast_p), (key.q, key.fast_q))]
    began = _clocks()
    for _ in range(OPENED_AT_ONCE):
        for square, power in halves:
            powmod(a % square, power, square)
    wall, cpu = (
        Price(product / done, opening / OPENED_AT_ONCE)
        for product, opening in zip(products, _since(began), strict=True)
    )
    return Prices(wall, cpu)


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(began: tuple[float, float]) -> tuple[float, float]:
    now = _clocks()
    return now[0] - began[0], now[1] - began[1]
