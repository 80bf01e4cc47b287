"""What hides a plaintext? Masks h_s^r mod n² with fresh random r, made from a table of the generator's powers.

With windows of w bits, r has k = ⌈bits / w⌉ digits, and a mask is a product of k table entries: no squarings. The
table holds k·2^w ciphertexts, and making it costs as many multiplications; so the best width depends on how many
masks will be wanted (`best_window`). At 2048 bits a subgroup key is best off with 8 bits from 800 masks on (55
multiplications for a mask, 8 MiB), with 10 from 4,100 (44, 26 MiB), with 12 from 24,000 (37, 87 MiB); a standard
key's masks and tables are 2.3 times as large. Measured, the times follow the counts (docs/paillier.md).

Digits are drawn directly, uniform and independent, which is the same as drawing r uniform in [0, 2^bits).
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from hansa.protocols.crypto.errors import MasksExhausted, WrongKey
from hansa.protocols.crypto.integers import Randomness, big, from_bytes, powmod, random_unit, to_bytes
from hansa.protocols.crypto.keys import KeyKind, PublicKey
from hansa.protocols.crypto.stream import SeedStream

NARROWEST, WIDEST = 4, 14  # window bits; 2 bytes are drawn for each digit
DEFAULT_MEMORY_BYTES = 128 * 2**20
ENTRY_OVERHEAD_BYTES = 80  # of a table entry beyond its digits: object, allocator, list slot
DRAWN_AT_ONCE = 4_096  # masks whose digits are drawn together


class MaskSource(Protocol):
    """Hands out masks of one key, none of them twice."""

    @property
    def public(self) -> PublicKey:
        """The key that the masks belong to; those of another would make every plaintext unreadable."""
        ...

    def take(self, count: int) -> list[int]:
        """Return so many masks."""
        ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MaskTable:
    """Powers of a key's generator: `rows[j][d]` = h_s^(d·2^(j·w)) mod n².

    A foreign key has no generator: its table is empty, and every mask costs an exponentiation by n.
    """

    public: PublicKey
    window_bits: int
    rows: tuple[list[int], ...] = field(init=False)

    def __post_init__(self) -> None:
        if not NARROWEST <= self.window_bits <= WIDEST:
            raise ValueError(f"windows have {NARROWEST} to {WIDEST} bits, not {self.window_bits}")
        object.__setattr__(self, "rows", tuple(self._row_by_row()))

    def __repr__(self) -> str:
        return f"MaskTable({self.public!r}, {self.window_bits} bits)"

    def masks(self, count: int, randomness: Randomness) -> list[int]:
        """Make fresh masks.

        Args:
            count: how many.
            randomness: `secrets.token_bytes`, a `SeedStream` over a seed drawn from it, or a test's generator.
        """
        if self.public.kind is KeyKind.FOREIGN:
            n, modulus = self.public.n, self.public.n_squared
            return [powmod(random_unit(n, randomness), n, modulus) for _ in range(count)]
        result: list[int] = []
        while len(result) < count:
            result += self._multiplied(min(DRAWN_AT_ONCE, count - len(result)), randomness)
        return result

    def _multiplied(self, count: int, randomness: Randomness) -> list[int]:
        modulus, rows = self.public.n_squared, self.rows
        drawn = np.frombuffer(randomness(2 * count * len(rows)), "<u2").reshape(count, len(rows))
        digits = drawn & np.array([len(row) - 1 for row in rows], np.uint16)
        result = []
        for mine in digits.tolist():
            mask = rows[0][mine[0]]
            for row, digit in zip(rows[1:], mine[1:], strict=True):
                mask = mask * row[digit] % modulus
            result.append(mask)
        return result

    def _row_by_row(self) -> Iterable[list[int]]:
        if self.public.kind is KeyKind.FOREIGN:
            return
        base, modulus = self.public.h_s, self.public.n_squared
        for low in range(0, self.public.randomness_bits, self.window_bits):
            width = min(self.window_bits, self.public.randomness_bits - low)
            row = [big(1)]
            for _ in range((1 << width) - 1):
                row.append(row[-1] * base % modulus)
            yield row
            base = row[-1] * base % modulus


def table_bytes(public: PublicKey, window_bits: int) -> int:
    """Return about how much memory a table takes."""
    rows = -(-public.randomness_bits // window_bits)
    return (rows << window_bits) * (public.ciphertext_bytes + ENTRY_OVERHEAD_BYTES)


def best_window(public: PublicKey, masks: int, memory_bytes: int = DEFAULT_MEMORY_BYTES) -> int:
    """Return the window that makes so many masks with the fewest multiplications, the table's own included.

    Args:
        public: the key.
        masks: how many will be made with the table over its life.
        memory_bytes: what the table may take; the narrowest window is used even if it takes more.
    """
    bits = public.randomness_bits

    def products(window: int) -> int:
        rows = -(-bits // window)
        return (rows << window) + masks * (rows - 1)

    affordable = [w for w in range(NARROWEST, WIDEST + 1) if table_bytes(public, w) <= memory_bytes]
    return min(affordable or [NARROWEST], key=products)


# The tables that this process has made, newest last. A worker process is asked for masks of the same key again
# and again, and making a table costs as much as a thousand masks or more.
_tables: dict[tuple[bytes, int], MaskTable] = {}
TABLES_KEPT = 2


def table_for(public: PublicKey, window_bits: int) -> MaskTable:
    """Return the key's table, made once and kept as long as it is among the last used."""
    key = (public.fingerprint, window_bits)
    table = _tables.pop(key, None) or MaskTable(public, window_bits)
    _tables[key] = table
    while len(_tables) > TABLES_KEPT:
        _tables.pop(next(iter(_tables)))
    return table


def mask_block(public: bytes, window_bits: int, count: int, seed: bytes) -> bytes:
    """Make masks in a worker process: a pure function of plain values, for a pool that the caller owns.

    Args:
        public: the public key's bytes.
        window_bits: as `best_window` says.
        count: how many masks.
        seed: 32 bytes from `secrets.token_bytes`, never used before: the same seed makes the same masks.

    Returns:
        The key's fingerprint, then the masks, `ciphertext_bytes` each; for `MaskPool.put_block`.
    """
    key = PublicKey.from_bytes(public)
    masks = table_for(key, window_bits).masks(count, SeedStream(seed))
    return key.fingerprint + b"".join(to_bytes(mask, key.ciphertext_bytes) for mask in masks)


@dataclass(frozen=True, slots=True, eq=False)
class FreshMasks:
    """A `MaskSource` that makes every mask when it is asked for."""

    table: MaskTable
    randomness: Randomness = field(repr=False)

    @property
    def public(self) -> PublicKey:
        """The table's key."""
        return self.table.public

    def take(self, count: int) -> list[int]:
        """Make so many masks."""
        return self.table.masks(count, self.randomness)


@dataclass(slots=True, eq=False, repr=False)
class MaskPool:
    """Masks made ahead of their use; `take` is a `MaskSource`.

    Its owner fills it, from a thread or from `mask_block` in another process, while others take. Every mask leaves
    it once: a mask used twice would give away the difference of two plaintexts. It lives in memory only, so that
    a restart does not bring a used mask back.

    Attributes:
        public: the key they belong to.
        spare: makes what is missing on the spot; None to refuse.

    Raises:
        WrongKey: the spare source is another key's.
    """

    public: PublicKey
    spare: MaskSource | None = None
    _ready: deque[int] = field(default_factory=deque, init=False)

    def __post_init__(self) -> None:
        if self.spare is not None and self.spare.public != self.public:
            raise WrongKey(f"a pool for {self.public!r} with a spare source for {self.spare.public!r}")

    def __len__(self) -> int:
        return len(self._ready)

    def __repr__(self) -> str:
        return f"MaskPool({self.public!r}, {len(self)} ready)"

    def put(self, masks: Iterable[int]) -> None:
        """Add masks made by this key's `MaskTable`."""
        self._ready.extend(masks)

    def put_block(self, block: bytes) -> None:
        """Add what `mask_block` returned.

        Raises:
            WrongKey: masks of another key.
            ValueError: not a whole number of masks.
        """
        length, start = self.public.ciphertext_bytes, len(self.public.fingerprint)
        if block[:start] != self.public.fingerprint:
            raise WrongKey(f"these masks are not {self.public!r}'s")
        if (len(block) - start) % length:
            raise ValueError(f"{len(block) - start} bytes are no whole number of masks of {length}")
        view = memoryview(block)
        self.put(from_bytes(view[at : at + length]) for at in range(start, len(block), length))

    def take(self, count: int) -> list[int]:
        """Return so many masks, which leave the pool.

        Raises:
            MasksExhausted: too few are ready and there is no spare source; those that are stay.
        """
        taken: list[int] = []
        while len(taken) < count:
            try:
                taken.append(self._ready.popleft())
            except IndexError:
                break
        missing = count - len(taken)
        if missing and self.spare is None:
            self._ready.extendleft(reversed(taken))
            raise MasksExhausted(f"{count} masks wanted, {len(taken)} ready, and no source to make more with")
        return taken + (self.spare.take(missing) if missing and self.spare is not None else [])
