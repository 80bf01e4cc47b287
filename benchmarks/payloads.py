"""How many megabytes a second pass from one agent to another over RabbitMQ, and what does it cost the broker?

Arrays of 8 MB leave their messages as sealed chunks, fsynced at the sender, opened and checked against their
digest. The receiver writes what its commits find still needed: here a message is done with when it has been
counted, so that few chunks are; a role that keeps a model writes all of it. Beside it bare pika with the same chunk
size, at most as many bytes unconfirmed, in the same run, turn by turn; it seals, checks and writes nothing, and
reads its socket by pika's 4 KiB.

Then one array of 1 GB, under the receiver's credit, while the broker's memory is sampled through its management
API; for comparison, what the same bytes take there when bare pika publishes them into a queue that nobody reads.

Whatever passes through a quorum queue stays in the memory of RabbitMQ's write-ahead log until the log is rolled
over, by default after 512 MiB, backlog or not. So the array passes twice: with that, and with the log of 64 MiB
that an operator may set (`raft.wal_max_size_bytes`).

    python -m benchmarks --only payloads
"""

import json
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.broker import PEER, Bare, bare_seconds, correspondents, exchanged
from benchmarks.report import Row, at_least, duration
from benchmarks.town import Town, town
from hansa.agents.local import Member
from hansa.broker import CHUNK_BYTES, WINDOW
from hansa.broker.publisher import DATA_IN_FLIGHT

MB, MIB = 10**6, 2**20
FLOATS = 2_000_000  # an array's numbers: 8 MB
ARRAYS, QUICK_ARRAYS = 48, 16
BACKLOG = 8  # unconfirmed messages of the sending agent
TURNS, QUICK_TURNS = 5, 1
LARGE_FLOATS, QUICK_LARGE_FLOATS = 250_000_000, 50_000_000  # 1 GB
SMALL_LOG_BYTES = 64 * MIB
SAMPLE_S = 0.25
NODE = "hansa@127.0.0.1"  # as `tests.servers` names it
CHUNKS = Bare("data", CHUNK_BYTES, DATA_IN_FLIGHT // CHUNK_BYTES, 1)


@dataclass(slots=True)
class Memory:
    """The broker's resident bytes while something went on: before it, at most during it, after it."""

    before: int
    samples: list[int] = field(default_factory=list)
    after: int = 0

    @property
    def growth_mib(self) -> float:
        """How much more it took at most."""
        return (max([*self.samples, self.after]) - self.before) / MIB

    def __str__(self) -> str:
        highest = max([*self.samples, self.after])
        return f"{self.before / MIB:.0f} → at most {highest / MIB:.0f} → {self.after / MIB:.0f} MiB"


def memory_of(where: Town) -> int:
    """Return the broker's resident bytes, as its management API counts them at this moment."""
    answer = json.loads(where.management.call("GET", f"nodes/{NODE}/memory"))
    return int(answer["memory"]["total"]["rss"])


@contextmanager
def sampled(where: Town) -> Iterator[Memory]:
    """Sample the broker's memory while the block runs."""
    memory = Memory(memory_of(where))
    done = threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLE_S):
            memory.samples.append(memory_of(where))

    thread = threading.Thread(target=sample, name="memory")
    thread.start()
    try:
        yield memory
    finally:
        done.set()
        thread.join()
        memory.after = memory_of(where)


@dataclass(frozen=True, slots=True)
class Figures:
    """Rates in MB/s by turn, and the broker's memory under its default and its small write-ahead log."""

    ours: list[float]
    bare: list[float]
    credited: Memory
    unread: Memory
    small_log: Memory


def measure(quick: bool) -> Figures:
    """Run both kinds of rates in turns, then the large array, then the queue that nobody reads."""
    arrays = QUICK_ARRAYS if quick else ARRAYS
    floats = QUICK_LARGE_FLOATS if quick else LARGE_FLOATS
    chunks = arrays * 4 * FLOATS // CHUNK_BYTES
    ours: list[float] = []
    bare: list[float] = []
    with town([Member(PEER)]) as where:
        sender, receiver = correspondents(where)
        with sender, receiver:
            sender.answer(), receiver.answer()
            exchanged(sender, receiver, 4, FLOATS, BACKLOG)  # warms up
            for _ in range(QUICK_TURNS if quick else TURNS):
                bare.append(chunks * CHUNK_BYTES / MB / bare_seconds(where, chunks, CHUNKS))
                seconds, _ = exchanged(sender, receiver, arrays, FLOATS, BACKLOG)
                ours.append(arrays * 4 * FLOATS / MB / seconds)
    return Figures(ours, bare, _large(floats), _unread(floats), _large(floats, SMALL_LOG_BYTES))


def _large(floats: int, wal_bytes: int | None = None) -> Memory:
    """Pass one large array on a fresh node; return the broker's memory."""
    with town([Member(PEER)], wal_bytes=wal_bytes) as where:
        sender, receiver = correspondents(where)
        with sender, receiver:
            sender.answer(), receiver.answer()
            with sampled(where) as memory:
                exchanged(sender, receiver, 1, floats, 1)
    return memory


def _unread(floats: int) -> Memory:
    """Publish as many bytes on a fresh node into a queue without a reader."""
    with town([Member(PEER)]) as where, CHUNKS.publishing(where, 4 * floats // CHUNK_BYTES) as publisher:
        publisher.answer()
        with sampled(where) as memory:
            publisher.tell({})
            publisher.answer()
    return memory


def run(quick: bool) -> list[Row]:
    """Return the rate against bare pika's, and the broker's memory."""
    figures = measure(quick)
    ours, bare = statistics.median(figures.ours), statistics.median(figures.bare)
    spread = f"{ours:,.0f} MB/s ({min(figures.ours):,.0f} … {max(figures.ours):,.0f})"
    large = 4 * (QUICK_LARGE_FLOATS if quick else LARGE_FLOATS) / MB
    return [
        at_least(
            "8 MB arrays, agent to agent over RabbitMQ",
            spread,
            f"{bare:,.0f} MB/s bare pika ({min(figures.bare):,.0f} … {max(figures.bare):,.0f})",
            ours / bare,
            0.6,
            f"chunks of {CHUNK_BYTES // MIB} MiB, at most {DATA_IN_FLIGHT // MIB} MiB unconfirmed, both; ours "
            "sealed, fsynced at the sender, opened, digest checked; bare pika does none of it",
        ),
        Row(
            f"broker memory while an array of {large:,.0f} MB passes",
            f"+{figures.credited.growth_mib:,.0f} MiB",
            f"+{figures.unread.growth_mib:,.0f} MiB, bare pika into an unread queue",
            figures.credited.growth_mib / figures.unread.growth_mib,
            note=f"ours {figures.credited}, window {WINDOW} chunks; unread {figures.unread}; each on a fresh node, "
            f"resident memory every {duration(SAMPLE_S)}; the growth is RabbitMQ's write-ahead log",
        ),
        Row(
            f"broker memory while an array of {large:,.0f} MB passes, write-ahead log of "
            f"{SMALL_LOG_BYTES // MIB} MiB",
            f"+{figures.small_log.growth_mib:,.0f} MiB",
            f"+{figures.credited.growth_mib:,.0f} MiB with RabbitMQ's default log",
            figures.small_log.growth_mib / figures.credited.growth_mib,
            note=f"{figures.small_log}; the operator's setting is raft.wal_max_size_bytes",
        ),
    ]
