"""How close does an audit come to what its signatures cost, on all cores?

The limit is what no auditor can do without: both signatures of every entry and its hash, on one process for each
core, with everything in memory. Ours reads the export, follows the chain, the rules and the tree, and judges the
signed heads besides. They take turns in one run, and the medians of entries/s count; the limit takes a part of the
entries, since it does the same with each. The auditor's memory is told by the system: its peak, and that of the
largest of the processes that check signatures.

    python -m benchmarks.audit [--entries 1000000] [--repeats 3] [--json FILE]
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from benchmarks.ledger import FEDERATION, NOW_S, WRITTEN_AT_ONCE, Federation
from benchmarks.report import Row, Spread, at_least, at_most, median_of
from hansa.broker.identity import Identity
from hansa.ledger import Keeper, LedgerStore, link
from hansa.ledger.audit import audit
from hansa.ledger.chain import ChainedEntry, chain_hash, receipt_bytes
from hansa.ledger.checkpoints import Checkpoint, cosign, sign_checkpoint
from hansa.ledger.export import ExportWriter
from hansa.ledger.merkle import Frontier, leaf_hash
from hansa.ledger.notes import Note

BAR = 0.6  # of the limit, at least
MOST_MIB = 400  # of memory, for a million entries
ENTRIES = 1_000_000
PART = 50_000  # entries that the limit takes
HEADS_EVERY = 1_000  # entries; each head bears the keeper's name and five members'
COSIGNERS = 5

_AUDITOR = """
import resource, sys
from pathlib import Path
from hansa.ledger.audit import audit
report = audit(Path(sys.argv[1]), charter=bytes.fromhex(sys.argv[2]))
assert report.holds and report.final_size, report.findings
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(peak, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What one size of ledger took.

    Attributes:
        entries: audited.
        part: of them, in one turn of the limit.
        own_mib, worker_mib: peak memory of the auditor and of its largest worker.
        file_mib: of the export.
    """

    entries: int
    part: int
    ours: Spread
    limit: Spread
    own_mib: float
    worker_mib: float
    file_mib: float

    @property
    def ours_per_s(self) -> float:
        """Entries per second."""
        return self.entries / self.ours.median_s

    @property
    def limit_per_s(self) -> float:
        """Entries per second, with nothing but the primitives."""
        return self.part / self.limit.median_s

    @property
    def ratio(self) -> float:
        """Our share of the limit."""
        return self.ours_per_s / self.limit_per_s

    def rows(self) -> list[Row]:
        """Return the lines for the table of all benchmarks."""
        cores = len(os.sched_getaffinity(0))
        ours, limit = f"{self.ours_per_s:,.0f} entries/s", f"{self.limit_per_s:,.0f} entries/s of primitives"
        what = f"audit of an export, {self.entries:,} entries"
        memory = f"its largest worker {self.worker_mib:.0f} MiB; the file {self.file_mib:.0f} MiB"
        return [
            at_least(what, ours, limit, self.ratio, BAR, f"{cores} cores, {self.ours.runs} runs"),
            at_most(
                "audit: peak memory",
                f"{self.own_mib:.0f} MiB",
                f"{MOST_MIB} MiB",
                self.own_mib / MOST_MIB,
                1,
                memory,
            ),
        ]


@dataclass(frozen=True, slots=True)
class Sample:
    """A ledger to be audited, and a part of it in memory.

    Attributes:
        entries: with the public keys of author and keeper.
    """

    path: Path
    fingerprint: bytes
    entries: Sequence[tuple[ChainedEntry, Ed25519PublicKey, Ed25519PublicKey]]


def write_sample(folder: Path, count: int) -> Sample:
    """Write an export of so many entries, most of them closed rounds of eight members, and sign its heads."""
    keeper = Identity.generate("keeper")
    keeper_key = Ed25519PublicKey.from_public_bytes(keeper.public.verify_key)
    path = folder / "ledger.export"
    kept: list[tuple[ChainedEntry, Ed25519PublicKey, Ed25519PublicKey]] = []
    with path.open("wb") as file, closing(LedgerStore.open(folder / "ledger.sqlite")) as store:
        federation = Federation(Keeper(keeper, FEDERATION, store), keeper)
        writer, frontier, notes = ExportWriter(file), Frontier(), []
        head, fingerprint = store.head(), b""
        for entry in store.read():
            writer.entry(entry)
            frontier, _ = frontier.append(leaf_hash(entry.hash))
            fingerprint = fingerprint or entry.hash
        while head.size < count:
            signed = federation.rounds(min(count - head.size, WRITTEN_AT_ONCE))
            keys = federation.public_keys(signed)
            for each, key in zip(signed, keys, strict=True):
                entry = link(keeper, FEDERATION, head, each)
                writer.entry(entry)
                head = entry.head
                frontier, _ = frontier.append(leaf_hash(entry.hash))
                if len(kept) < PART:
                    kept.append((entry, key, keeper_key))
                if head.size % HEADS_EVERY == 0 or head.size == count:
                    checkpoint = Checkpoint(FEDERATION, fingerprint, head.size, frontier.root, 0, keeper.name)
                    notes.append(_note(keeper, federation.members[:COSIGNERS], checkpoint))
        for note in notes:
            writer.frame("note", note.encoded())
        writer.end()
    return Sample(path, fingerprint, kept)


def _note(keeper: Identity, members: Sequence[Identity], checkpoint: Checkpoint) -> Note:
    lines = (cosign(member, checkpoint, int(NOW_S)) for member in members)
    return Note(checkpoint.text, (sign_checkpoint(keeper, checkpoint), *lines))


def limit(sample: Sample) -> float:
    """Check signatures and hashes in one process for each core; return the seconds."""
    cores = len(os.sched_getaffinity(0))
    began = time.perf_counter()
    children = []
    for core in range(cores):
        child = os.fork()  # which has everything in memory already
        if child == 0:
            for entry, author, keeper in sample.entries[core::cores]:
                author.verify(entry.signature, entry.signed)
                keeper.verify(entry.receipt, receipt_bytes(FEDERATION, 0, entry.index, entry.hash))
                assert chain_hash(entry.index, entry.previous, entry.signed, entry.signature) == entry.hash
            os._exit(0)
        children.append(child)
    for child in children:
        _, status = os.waitpid(child, 0)
        assert status == 0, "a signature is wrong"
    return time.perf_counter() - began


def ours(sample: Sample) -> float:
    """Audit the export; return the seconds, the start of the processes among them."""
    began = time.perf_counter()
    report = audit(sample.path, charter=sample.fingerprint)
    seconds = time.perf_counter() - began
    assert report.holds, report.findings
    return seconds


def peaks(sample: Sample) -> tuple[int, int]:
    """Return the peak memory of an auditor and of its largest worker, KiB."""
    command = [sys.executable, "-c", _AUDITOR, str(sample.path), sample.fingerprint.hex()]
    own, worker = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(own), int(worker)


def measure(entries: int, turns: int) -> Result:
    """Take turns, and audit once more in a process of its own for its memory."""
    with TemporaryDirectory(prefix="hansa-bench-") as folder:
        sample = write_sample(Path(folder), entries)
        ours_s, limit_s = [], []
        for _ in range(turns):
            limit_s.append(limit(sample))
            ours_s.append(ours(sample))
        own_kib, worker_kib = peaks(sample)
        file_mib = sample.path.stat().st_size / 2**20
        return Result(
            entries,
            len(sample.entries),
            median_of(ours_s),
            median_of(limit_s),
            own_kib / 1024,
            worker_kib / 1024,
            file_mib,
        )


def run(quick: bool) -> list[Row]:
    """Return the rows for `python -m benchmarks`."""
    return measure(20_000 if quick else ENTRIES, 3).rows()


def main() -> None:
    """Measure, print what came of it, and write JSON if asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.audit", description="An audit beside its limit."
    )
    parser.add_argument("--entries", type=int, default=ENTRIES, help="entries to audit")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each side")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    arguments = parser.parse_args()
    result = measure(arguments.entries, arguments.repeats)
    for row in result.rows():
        print(
            f"{row.name}: {row.measured}; {row.limit_or_peer}; ratio {row.ratio:.2f} ({row.bar}); {row.note}"
        )
    if arguments.json is not None:
        rows = [{**asdict(result), "ratio": result.ratio, "bar": BAR}]
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
