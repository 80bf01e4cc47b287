"""How close do the ledger's appends and its verification come to what their signatures and the disk cost?

The limit of an append is made of its primitives: verify the author, hash, sign the receipt, and commit the
same bytes with the bare driver in batches of the same size. The limit of verification is two signature checks
and a hash over the same bytes, read with the bare driver (`ledger_limits`). Once in SQLite (WAL,
synchronous=FULL), once on a private PostgreSQL server with its own defaults, fsync included.

Ours and the limit take turns in one run, batch by batch, and medians count: a commit to a shared disk takes
anything from 0.2 to 20 ms, and the sum of a few dozen says more about the neighbours than about either side.

    python -m benchmarks.ledger [--entries 100000] [--repeats 5] [--json FILE]
"""

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from benchmarks.ledger_limits import FileLimit, Limit, ServerLimit
from benchmarks.report import Row, Spread, at_least, interleaved, median_of
from hansa.broker.identity import Identity
from hansa.ledger import (
    Body,
    ChainedEntry,
    Charter,
    JobAccepted,
    JobProposed,
    Keeper,
    LedgerStore,
    MemberAdmitted,
    RoundClosed,
    SignedEntry,
    read_entry,
    sign_entry,
    verify_store,
)
from tests import postgres, servers

BAR = 0.6  # of the limit, at least
MEMBERS = 8
ENTRIES = 100_000
WRITTEN_AT_ONCE = 2_000
BATCHES = {1: 100, 32: 32, 512: 6}  # batch size: how many of them in one repeat
FEDERATION = "bench"
NOW_S = 1_800_000_000.0
ON_SERVER = "ledger on PostgreSQL"


@dataclass(frozen=True, slots=True)
class Result:
    """One comparison; each side took its turns over the same entries.

    Attributes:
        entries: in one run.
    """

    name: str
    entries: int
    ours: Spread
    limit: Spread

    @property
    def ours_per_s(self) -> float:
        """Entries per second."""
        return self.entries / self.ours.median_s

    @property
    def limit_per_s(self) -> float:
        """Entries per second, with nothing but the primitives."""
        return self.entries / self.limit.median_s

    @property
    def ratio(self) -> float:
        """Our share of the limit."""
        return self.ours_per_s / self.limit_per_s

    def row(self) -> Row:
        """Return the line for the table of all benchmarks."""
        ours, limit = f"{self.ours_per_s:,.0f} entries/s", f"{self.limit_per_s:,.0f} entries/s of primitives"
        return at_least(
            self.name, ours, limit, self.ratio, BAR, f"{self.entries} entries, {self.ours.runs} runs"
        )


class Federation:
    """Members that have entries to write: each coordinates a job with everybody in it."""

    def __init__(self, keeper: Keeper, identity: Identity) -> None:
        self.keeper = keeper
        self.members = [Identity.generate(f"member-{number}") for number in range(MEMBERS)]
        self.names = tuple(member.name for member in self.members)
        self._numbers = {name: 0 for name in (identity.name, *self.names)}
        self._round = 0
        keeper.found(Charter(FEDERATION, identity.public), int(NOW_S * 1000))
        self._numbers[identity.name] = 1
        for member in self.members:
            keys = member.public
            self._write(identity, MemberAdmitted(keys.name, keys.verify_key, keys.seal_key))
        for member in self.members:
            job = f"job-of-{member.name}"
            self._write(
                member, JobProposed(job, "fedavg", "softmax", {}, self.names, "digits", 2, 60.0, bytes(32))
            )
            for party in self.members:
                self._write(party, JobAccepted(job))

    def sign(self, member: Identity, body: Body) -> SignedEntry:
        """Sign the member's next entry."""
        number = self._numbers[member.name]
        self._numbers[member.name] = number + 1
        return sign_entry(
            member, federation=FEDERATION, author_seq=number, body=body, time_ms=int(NOW_S * 1000)
        )

    def rounds(self, count: int) -> list[SignedEntry]:
        """Sign so many closed rounds, the members in turn."""
        entries = []
        for number in range(count):
            member = self.members[number % MEMBERS]
            digest = hashlib.sha256(self._round.to_bytes(8)).digest()
            body = RoundClosed(f"job-of-{member.name}", self._round, digest, self.names)
            entries.append(self.sign(member, body))
            self._round += 1
        return entries

    def public_keys(self, entries: Sequence[SignedEntry]) -> list[Ed25519PublicKey]:
        """Return the authors' keys, parsed: the limit does not pay for finding them."""
        keys = {
            member.name: Ed25519PublicKey.from_public_bytes(member.public.verify_key)
            for member in self.members
        }
        return [keys[read_entry(entry.signed).author] for entry in entries]

    def _write(self, member: Identity, body: Body) -> None:
        outcome = self.keeper.append([self.sign(member, body)], NOW_S)[0]
        assert isinstance(outcome, ChainedEntry), outcome


Pair = Callable[[], AbstractContextManager[tuple[LedgerStore, Limit]]]
"""Makes an empty store and an empty limit of the same kind."""


def measure_append(place: str, pair: Pair, batch: int, turns: int) -> Result:
    """Append batch after batch, in turn with the limit."""
    count = turns * BATCHES[batch]
    identity = Identity.generate("keeper")
    with pair() as (store, limit):
        keeper = Keeper(identity, FEDERATION, store)
        federation = Federation(keeper, identity)
        founded = keeper.head.size
        ours_s, limit_s = [], []
        for _ in range(count):
            entries = federation.rounds(batch)
            keys = federation.public_keys(entries)
            began = time.perf_counter()
            keeper.append(entries, NOW_S)
            between = time.perf_counter()
            limit.append(entries, keys)
            ours_s.append(between - began)
            limit_s.append(time.perf_counter() - between)
        assert keeper.head.size == founded + count * batch, "an entry was refused"
    return Result(f"{place}: append, batches of {batch}", batch, median_of(ours_s), median_of(limit_s))


def measure_verification(place: str, pair: Pair, count: int, turns: int) -> Result:
    """Verify a ledger of so many entries and its founding, in turn with the limit."""
    identity = Identity.generate("keeper")
    with pair() as (store, limit):
        keeper = Keeper(identity, FEDERATION, store)
        federation = Federation(keeper, identity)
        keys: list[Ed25519PublicKey] = []
        while len(keys) < count:
            entries = federation.rounds(min(count - len(keys), WRITTEN_AT_ONCE))
            keeper.append(entries, NOW_S)
            new_keys = federation.public_keys(entries)
            limit.append(entries, new_keys)
            keys += new_keys
        sides = {"ours": lambda: verify_store(store), "limit": lambda: limit.verify(keys)}
        spreads = interleaved(sides, turns, warm_up=0)
    return Result(f"{place}: verification", count, spreads["ours"], spreads["limit"])


def measure(entries: int, turns: int) -> Iterator[Result]:
    """Yield each comparison as it is done; PostgreSQL's where its programs are installed."""
    yield from measure_at("ledger", in_files, entries, turns)
    if missing_server() is None:
        with private_server() as server:
            yield from measure_at(ON_SERVER, lambda: on_server(server), entries, turns)


def measure_at(place: str, pair: Pair, entries: int, turns: int) -> Iterator[Result]:
    """Yield the comparisons in one kind of database."""
    for batch in BATCHES:
        yield measure_append(place, pair, batch, turns)
    # One turn takes as long as all of the appends: fewer of them say as much.
    yield measure_verification(place, pair, entries, min(turns, 3))


def run(quick: bool) -> list[Row]:
    """Return the rows for `python -m benchmarks`."""
    results = measure(ENTRIES // 20, 3) if quick else measure(ENTRIES, 5)
    rows = [result.row() for result in results]
    missing = missing_server()
    if missing is not None:
        rows.append(Row(ON_SERVER, "not measured", note=missing))
    return rows


def main() -> None:
    """Run all comparisons, print a line for each, and write JSON if asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ledger", description="The ledger beside its limits."
    )
    parser.add_argument("--entries", type=int, default=ENTRIES, help="entries to verify")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each side")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    arguments = parser.parse_args()
    print(f"{'entries/s':42}{'ours':>10}{'limit':>10}{'ratio':>8}   bar: at least {BAR:.0%} of the limit")
    results = []
    for result in measure(arguments.entries, arguments.repeats):
        results.append(result)
        verdict = "" if result.ratio >= BAR else "   below the bar"
        rates = f"{result.ours_per_s:10,.0f}{result.limit_per_s:10,.0f}{result.ratio:8.0%}"
        print(f"{result.name:42}{rates}{verdict}", flush=True)
    if arguments.json is not None:
        rows = [{**asdict(result), "ratio": result.ratio, "bar": BAR} for result in results]
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


# --- where both sides write -----------------------------------------------------------------------------
@contextmanager
def in_files() -> Iterator[tuple[LedgerStore, Limit]]:
    """Make both in SQLite files of one folder."""
    with TemporaryDirectory() as folder:
        store, limit = LedgerStore.open(Path(folder, "ours.sqlite")), FileLimit(Path(folder, "limit.sqlite"))
        with closing(store), closing(limit):
            yield store, limit


@contextmanager
def on_server(server: postgres.Server) -> Iterator[tuple[LedgerStore, Limit]]:
    """Make both in databases of one server."""
    ours, theirs = server.create(), server.create()
    with closing(LedgerStore.open(server.address(ours))) as store, server.connected(theirs) as connection:
        yield store, ServerLimit(connection)
    server.drop(ours)
    server.drop(theirs)


@contextmanager
def private_server() -> Iterator[postgres.Server]:
    """Run PostgreSQL as the tests do, but with its own defaults: commits wait for the disk."""
    with TemporaryDirectory(prefix="hansa-bench-") as folder:
        os.environ[servers.CONTROLLER_VARIABLE] = str(os.getpid())  # the server's guard watches this process
        os.environ[servers.FOLDER_VARIABLE] = folder
        try:
            with postgres.private(settings={}) as server:
                yield server
        finally:
            del os.environ[servers.FOLDER_VARIABLE], os.environ[servers.CONTROLLER_VARIABLE]


def missing_server() -> str | None:
    """Return what to install for PostgreSQL's rows, or None."""
    try:
        postgres.programs()
    except RuntimeError as error:
        return str(error)
    return None


if __name__ == "__main__":
    main()
