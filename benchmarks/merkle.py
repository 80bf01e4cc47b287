"""What does it take to prove an entry, or an earlier head, of a ledger of any size? Time and bytes; and disk.

A proof is made as `hansa ledger prove` makes it: from the database, the head looked up first. It is checked against
the root. The entries are synthetic, since ten million signatures would say nothing of proofs: rows as long as those
of closed rounds, put in past the store, with the tree that the store would have written.

    python -m benchmarks.merkle [--largest 10000000]
"""

import argparse
import hashlib
import math
import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from benchmarks.report import Row, at_most, duration
from hansa.broker.identity import Identity
from hansa.ledger import LedgerStore, RoundClosed, sign_entry
from hansa.ledger.merkle import HASH_BYTES, Frontier, check_consistency, check_inclusion, leaf_hash

SIZES = tuple(10**power for power in range(3, 8))
QUICK_SIZES = SIZES[:3]
BESIDE = 100_000  # entries up to which a ledger without the tree grows beside, to be compared
PROOFS = 2_000  # of each kind at each size
MOST_S = 1e-3  # that 99 of 100 proofs may take to make, or to check
WRITTEN_AT_ONCE = 10_000
AUTHORS = 8
SEED = 5

Number = TypeVar("Number", int, float)
Cells = tuple[int, bytes, bytes, bytes, bytes, bytes, str, int, str, bytes]
"""A row of entries."""


@dataclass(frozen=True, slots=True)
class Result:
    """Proofs of one kind at one size.

    Attributes:
        made_s, checked_s: seconds each took, in ascending order.
        lengths: bytes of each, in ascending order.
    """

    kind: str
    size: int
    made_s: Sequence[float]
    checked_s: Sequence[float]
    lengths: Sequence[int]

    def rows(self) -> Iterator[Row]:
        """Yield the lines for the table."""
        of = f"{self.kind}, {self.size:,} entries"
        for what, seconds in (("made", self.made_s), ("checked", self.checked_s)):
            p50, p99 = percentile(seconds, 50), percentile(seconds, 99)
            measured = f"p50 {duration(p50)}, p99 {duration(p99)}"
            yield at_most(f"{of}: {what}", measured, duration(MOST_S), p99 / MOST_S, 1.0)
        yield Row(f"{of}: length", f"{percentile(self.lengths, 50)} bytes, {self.lengths[-1]} at most")


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes of a file per entry at one size; `bare` is without the tree, 0 where it was not measured."""

    size: int
    whole: float
    bare: float

    def row(self) -> Row:
        """Return the line for the table."""
        beside = f"{self.bare:.0f} bytes without the tree" if self.bare else "–"
        ratio = self.whole / self.bare if self.bare else None
        return Row(f"disk, {self.size:,} entries", f"{self.whole:.0f} bytes per entry", beside, ratio)


class Synthetic:
    """A ledger file that grows by entries of nobody.

    Args:
        tree: whether its rows have their part of it.
    """

    def __init__(self, path: Path, *, tree: bool) -> None:
        LedgerStore.open(path).close()
        self.path = path
        self._tree = tree
        self._frontier = Frontier()
        self._previous = bytes(32)
        author = Identity.generate("member-0")
        body = RoundClosed("job-of-member-0", 1, bytes(32), tuple(f"member-{n}" for n in range(AUTHORS)))
        signed = sign_entry(author, federation="bench", author_seq=0, body=body, time_ms=1_800_000_000_000)
        self._signed, self._signature = signed.signed, signed.signature
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA synchronous=OFF")
        self._database.execute("DROP TRIGGER entries_in_order")

    def grow(self, size: int) -> None:
        """Add entries up to a size."""
        while self._frontier.size < size:
            count = min(WRITTEN_AT_ONCE, size - self._frontier.size)
            rows = [self._row() for _ in range(count)]
            self._database.execute("BEGIN")
            self._database.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            self._database.execute("COMMIT")
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    @property
    def bytes_per_entry(self) -> float:
        """What its file takes."""
        return self.path.stat().st_size / self._frontier.size

    def _row(self) -> Cells:
        index, previous = self._frontier.size, self._previous
        self._previous = hashlib.sha256(previous + index.to_bytes(8)).digest()
        self._frontier, completed = self._frontier.append(leaf_hash(self._previous))
        return (
            index,
            previous,
            self._signed,
            self._signature,
            self._previous,
            self._signature,
            f"member-{index % AUTHORS}",
            index // AUTHORS,
            "round-closed",
            b"".join(completed) if self._tree else b"",
        )


def measure(sizes: Sequence[int], proofs: int = PROOFS) -> Iterator[tuple[Result, Result, Disk]]:
    """Yield inclusion, consistency and disk for each size, in ascending order, from one file that grows."""
    with TemporaryDirectory(prefix="hansa-bench-") as folder:
        whole = Synthetic(Path(folder, "whole.sqlite"), tree=True)
        bare = Synthetic(Path(folder, "bare.sqlite"), tree=False)
        with closing(whole), closing(bare):
            for size in sizes:
                whole.grow(size)
                beside = 0.0
                if size <= BESIDE:
                    bare.grow(size)
                    beside = bare.bytes_per_entry
                disk = Disk(size, whole.bytes_per_entry, beside)
                with closing(LedgerStore.open(whole.path)) as store:
                    yield _inclusion(store, size, proofs), _consistency(store, size, proofs), disk


def _inclusion(store: LedgerStore, size: int, proofs: int) -> Result:
    root = store.tree().root(size)

    def check(index: int, path: Sequence[bytes]) -> Callable[[], None]:
        leaf = leaf_hash(next(store.read(index, index + 1)).hash)
        return lambda: check_inclusion(leaf, index, size, path, root)

    return _timed("inclusion", range(size), size, proofs, lambda at: store.tree().inclusion(at, size), check)


def _consistency(store: LedgerStore, size: int, proofs: int) -> Result:
    root = store.tree().root(size)

    def check(old: int, path: Sequence[bytes]) -> Callable[[], None]:
        old_root = store.tree().root(old)
        return lambda: check_consistency(old, size, old_root, root, path)

    of = range(1, size)
    return _timed("consistency", of, size, proofs, lambda at: store.tree().consistency(at, size), check)


def _timed(
    kind: str,
    places: range,
    size: int,
    proofs: int,
    make: Callable[[int], tuple[bytes, ...]],
    check: Callable[[int, Sequence[bytes]], Callable[[], None]],
) -> Result:
    """Prove places taken at random; what is proved is looked up afterwards, and not timed."""
    chance = random.Random(SEED)
    made_s, checked_s, lengths = [], [], []
    for _ in range(proofs):
        place = chance.choice(places)
        began = time.perf_counter()
        path = make(place)
        made_s.append(time.perf_counter() - began)
        ready = check(place, path)
        began = time.perf_counter()
        ready()
        checked_s.append(time.perf_counter() - began)
        lengths.append(HASH_BYTES * len(path))
    return Result(kind, size, sorted(made_s), sorted(checked_s), sorted(lengths))


def percentile(ascending: Sequence[Number], percent: int) -> Number:
    """Return the value that so many percent do not exceed."""
    return ascending[max(0, -(-len(ascending) * percent // 100) - 1)]


def growth(results: Sequence[Result]) -> Row:
    """Return how a proof grows from the smallest size to the largest."""
    first, last = results[0], results[-1]
    times = last.size // first.size
    made_s = [percentile(each.made_s, 50) for each in (first, last)]
    lengths = [percentile(each.lengths, 50) for each in (first, last)]
    return Row(
        f"{first.kind}: {times:,} times the entries",
        f"{made_s[1] / made_s[0]:.2f} times as long to make, {lengths[1] - lengths[0]} bytes more",
        f"{HASH_BYTES * math.log2(times):.0f} bytes: a hash for each doubling",
        note="medians" if first.kind == "inclusion" else "",
    )


def run(quick: bool) -> list[Row]:
    """Return the rows for `python -m benchmarks`."""
    return rows_of(measure(QUICK_SIZES if quick else SIZES))


def rows_of(measured: Iterable[tuple[Result, Result, Disk]]) -> list[Row]:
    """Return the table's lines."""
    inclusions, consistencies, disks = zip(*measured, strict=True)
    rows = [row for results in (inclusions, consistencies) for each in results for row in each.rows()]
    return [*rows, *(disk.row() for disk in disks), growth(inclusions), growth(consistencies)]


def main() -> None:
    """Measure up to a size and print a line for each figure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.merkle", description="Proofs of a ledger's entries."
    )
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="entries")
    options = parser.parse_args()
    for row in rows_of(measure([size for size in SIZES if size <= options.largest])):
        print(f"{row.name:48}{row.measured:44}{row.limit_or_peer}")


if __name__ == "__main__":
    main()
