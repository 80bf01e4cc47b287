"""How does one secret seed become as much randomness as a task needs?

A task in a worker process cannot be handed a source of randomness; it is handed a seed of 32 bytes, drawn by its
caller from `secrets.token_bytes`, and stretches it here. Tests fix the seed.
"""

import hashlib
from dataclasses import dataclass, field

SEED_BYTES = 32
DOMAIN = b"hansa/crypto-stream/1\x00"


@dataclass(slots=True)
class SeedStream:
    """A `Randomness`: call it with a number of bytes. SHAKE-256 of domain, seed and a counter of calls.

    Raises:
        ValueError: the seed is not 32 bytes.
    """

    seed: bytes = field(repr=False)
    _calls: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise ValueError(f"a seed has {SEED_BYTES} bytes, not {len(self.seed)}")

    def __call__(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        counter = self._calls.to_bytes(8, "big")
        self._calls += 1
        return hashlib.shake_256(DOMAIN + self.seed + counter).digest(count)
