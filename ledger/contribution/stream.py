"""Which permutations, partitions and samples does a seed stand for?

Whoever recomputes a contribution has to draw the same ones, in any year, on any machine and with any version
of any library. So this is our own stream: SHA-256 over a domain, the seed, what it is for, and a counter, and
nothing of it ever changes. It is fair and repeatable, not secret.

A seed that one party can choose is one that it can try until the draw suits it: take one that nobody
controls, such as the hash of the ledger's head at which a job was proposed.
"""

import hashlib
from collections.abc import Sequence

SEED_BYTES = 32
DOMAIN = b"hansa/contribution-stream/1\x00"
WORD_BYTES = 8
WORDS = 2 ** (8 * WORD_BYTES)  # how many values a word has


class Stream:
    """Uniform numbers from a seed; each label and number has a stream of its own."""

    __slots__ = ("_block", "_blocks", "_prefix")

    def __init__(self, seed: bytes, label: str, number: int = 0) -> None:
        """Start a stream.

        Args:
            seed: 32 bytes.
            label: what is drawn, such as "permutation"; ASCII, at most 255 characters.
            number: of the round, in [0, 2**64).

        Raises:
            ValueError: the seed is not 32 bytes.
        """
        if len(seed) != SEED_BYTES:
            raise ValueError(f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
        named = label.encode("ascii")
        self._prefix = DOMAIN + seed + bytes([len(named)]) + named + number.to_bytes(8, "big")
        self._blocks = 0
        self._block = b""

    def word(self) -> int:
        """Return the next number in [0, 2**64)."""
        if not self._block:
            self._block = hashlib.sha256(self._prefix + self._blocks.to_bytes(8, "big")).digest()
            self._blocks += 1
        word, self._block = self._block[:WORD_BYTES], self._block[WORD_BYTES:]
        return int.from_bytes(word, "big")

    def below(self, bound: int) -> int:
        """Return the next number in [0, bound), each equally likely.

        Words beyond the last whole multiple of the bound are passed over: a remainder would favour small numbers.

        Args:
            bound: in [1, 2**64].
        """
        fair = WORDS - WORDS % bound
        while (word := self.word()) >= fair:
            pass
        return word % bound

    def shuffled(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the names in a random order, each order equally likely (Fisher and Yates, from the end)."""
        order = list(names)
        for last in range(len(order) - 1, 0, -1):
            other = self.below(last + 1)
            order[last], order[other] = order[other], order[last]
        return tuple(order)

    def subset(self, names: Sequence[str]) -> frozenset[str]:
        """Return a random subset, each equally likely."""
        return frozenset(name for name in names if self.below(2))
