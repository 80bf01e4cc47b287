"""How many small messages a second pass from one agent to another over RabbitMQ?

Two agents in two processes, a private node with quorum queues, journals on disk: sealed, signed, journalled,
published, confirmed; delivered, verified, opened, put in order, journalled, acknowledged. Beside it the rate that
the parts allow, one after the other, in the same run and turn by turn: bare pika from a publisher's process
to a consumer's (the same queue type, frame size and windows), HPKE seal and open, Ed25519 sign and verify, and on
each side one SQLite commit for a batch. For comparison the same two agents with one message under way at a time.

    python -m benchmarks --only broker
"""

import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.envelope import bare
from benchmarks.report import Row, at_least, duration
from benchmarks.town import FEDERATION, KEEPER, OBSERVER, Child, Town, town
from hansa.agents.local import Member
from hansa.broker import Traffic, routing_key
from hansa.broker.consumer import PREFETCH
from hansa.broker.layout import exchange, queue
from hansa.broker.transport import MAX_UNCONFIRMED

PEER = "peer"
FLOATS = 256  # a message's numbers: 1 KiB
FRAME_BYTES = 2_560  # such a message sealed and signed
SEEN_BYTES = 160  # what a receiver's journal keeps of it
BATCH = 256  # messages to one commit and, for bare pika, to one acknowledgement
BACKLOG = 2 * BATCH  # unconfirmed messages of the sending agent
MESSAGES, QUICK_MESSAGES = 6_000, 2_000
SINGLE, QUICK_SINGLE = 300, 100
TURNS, QUICK_TURNS = 5, 1


@dataclass(frozen=True, slots=True)
class Bare:
    """How bare pika shall work: as hansa's transport does in one of its lanes."""

    lane: Traffic
    size: int  # bytes of a message
    window: int  # messages unconfirmed
    every: int  # messages to one acknowledgement

    def consuming(self, where: Town, messages: int) -> Child:
        """Start a consumer."""
        takes = {"consume": messages, "prefetch": PREFETCH[self.lane], "every": self.every}
        return Child("benchmarks.bare_pika", {**self._place(where), **takes})

    def publishing(self, where: Town, messages: int) -> Child:
        """Start a publisher."""
        gives = {"publish": messages, "bytes": self.size, "window": self.window}
        return Child("benchmarks.bare_pika", {**self._place(where), **gives})

    def _place(self, where: Town) -> dict[str, object]:
        names = {
            "exchange": exchange(FEDERATION),
            "key": routing_key(OBSERVER, OBSERVER, self.lane),
            "queue": queue(OBSERVER, self.lane),
        }
        address = where.address(OBSERVER)
        login = {"vhost": address.vhost, "user": address.user, "password": address.password}
        return {"port": address.port, **login, **names}


SMALL = Bare("control", FRAME_BYTES, MAX_UNCONFIRMED, BATCH)


@dataclass(frozen=True, slots=True)
class Parts:
    """Seconds a message."""

    pika_s: float
    crypto_s: float
    commits_s: float

    @property
    def sum_s(self) -> float:
        return self.pika_s + self.crypto_s + self.commits_s

    def __str__(self) -> str:
        return (
            f"pika {duration(self.pika_s)}, HPKE and Ed25519 {duration(self.crypto_s)}, "
            f"commits {duration(self.commits_s)}"
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians over the turns; rates in messages a second."""

    parts: Parts
    rate: float
    low: float
    high: float
    single_rate: float
    commits: tuple[int, int]  # of one turn: sender's, receiver's


def correspondents(where: Town) -> tuple[Child, Child]:
    """Start the two agents: the keeper sends, the peer receives."""
    sender, receiver = (
        Child("benchmarks.correspondent", {"home": str(where.home(name))}) for name in (KEEPER, PEER)
    )
    return sender, receiver


def exchanged(
    sender: Child, receiver: Child, messages: int, floats: int, backlog: int
) -> tuple[float, tuple[int, int]]:
    """Pass messages from one agent to the other; return the seconds from the first to the last, and commits."""
    receiver.tell({"receive": messages})
    sender.tell({"send": messages, "to": PEER, "floats": floats, "backlog": backlog})
    sent, received = sender.answer(), receiver.answer()
    seconds = max(sent["ended"], received["ended"]) - sent["began"]
    return seconds, (sent["commits"], received["commits"])


def bare_seconds(where: Town, messages: int, how: Bare) -> float:
    """Return the seconds that bare pika takes, publisher to consumer, each in a process of its own."""
    with how.consuming(where, messages) as consumer, how.publishing(where, messages) as publisher:
        for child in (consumer, publisher):
            child.answer()
        for child in (consumer, publisher):
            child.tell({})
        published, consumed = publisher.answer(), consumer.answer()
    return max(float(published["ended"]), float(consumed["ended"])) - float(published["began"])


def crypto_seconds(times: int = 300) -> float:
    """Return what HPKE and Ed25519 take for one message, both ends."""
    return _median(bare(bytes(1_024)), times)


def commit_seconds(times: int = 12) -> float:
    """Return what the two commits of a batch take, divided by the batch: frames in and out, digests in."""
    with tempfile.TemporaryDirectory() as folder:
        sender, receiver = (_table(Path(folder, name)) for name in ("sender", "receiver"))
        with closing(sender), closing(receiver):
            batch = iter(range(10**6))

            def both() -> None:
                number = next(batch)
                for database, size in ((sender, FRAME_BYTES), (receiver, SEEN_BYTES)):
                    rows = [(number * BATCH + index, os.urandom(size)) for index in range(BATCH)]
                    database.execute("BEGIN IMMEDIATE")
                    database.executemany("INSERT INTO rows VALUES (?, ?)", rows)
                    if database is sender:  # what was sent a batch ago is confirmed
                        database.execute("DELETE FROM rows WHERE id < ?", (number * BATCH,))
                    database.execute("COMMIT")

            return _median(both, times) / BATCH


def _table(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, value BLOB NOT NULL)")
    return database


def _median(call: Callable[[], None], times: int) -> float:
    call()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def measure(quick: bool) -> Figures:
    """Run parts and pipeline in turns."""
    messages, single = (QUICK_MESSAGES, QUICK_SINGLE) if quick else (MESSAGES, SINGLE)
    parts: list[Parts] = []
    rates: list[float] = []
    commits = (0, 0)
    with town([Member(PEER)]) as where:
        sender, receiver = correspondents(where)
        with sender, receiver:
            sender.answer(), receiver.answer()
            exchanged(sender, receiver, messages // 4, FLOATS, BACKLOG)  # warms up
            for _ in range(QUICK_TURNS if quick else TURNS):
                pika_s = bare_seconds(where, messages, SMALL)
                parts.append(Parts(pika_s / messages, crypto_seconds(), commit_seconds()))
                seconds, commits = exchanged(sender, receiver, messages, FLOATS, BACKLOG)
                rates.append(messages / seconds)
            single_s, _ = exchanged(sender, receiver, single, FLOATS, 1)
    medians = (
        statistics.median(getattr(each, name) for each in parts)
        for name in ("pika_s", "crypto_s", "commits_s")
    )
    return Figures(
        Parts(*medians), statistics.median(rates), min(rates), max(rates), single / single_s, commits
    )


def run(quick: bool) -> list[Row]:
    """Return the pipeline against its parts, and one at a time for comparison."""
    figures = measure(quick)
    limit = 1 / figures.parts.sum_s
    sent, received = figures.commits
    name = "1 KiB messages, agent to agent over RabbitMQ"
    settings = (
        f"parts a message: {figures.parts}; quorum queues, {MAX_UNCONFIRMED} unconfirmed, {BACKLOG} in the "
        f"outbox; a run took {sent} commits at the sender and {received} at the receiver"
    )
    measured = f"{figures.rate:,.0f} messages/s ({figures.low:,.0f} … {figures.high:,.0f})"
    return [
        at_least(
            name, measured, f"{limit:,.0f}/s by the parts", figures.rate * figures.parts.sum_s, 0.6, settings
        ),
        Row(
            f"{name}, one at a time",
            f"{figures.single_rate:,.0f} messages/s",
            f"{figures.rate:,.0f}/s in batches",
            figures.single_rate / figures.rate,
            note="each is confirmed and its confirmation journalled before the next is sealed",
        ),
    ]
