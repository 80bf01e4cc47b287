"""Several writers at once, and writers killed in the act: nothing forks, nothing acknowledged is lost."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from hansa.broker.identity import Identity
from hansa.ledger import (
    ChainedEntry,
    HeadMoved,
    Keeper,
    LedgerStore,
    ModelUsed,
    SignedEntry,
    link,
    read_entry,
    verify_store,
)
from tests.ledger.places import Place, Places
from tests.ledger.town import BREMEN, DANZIG, FEDERATION, LUBECK, NOW_S, Town, found_town

ROOT = Path(__file__).parents[2]
USE = ModelUsed("herring", 1)
PREPARED = 12  # entries in the ledger before the writers start
OWN = 2  # of them of each party: its data set and its consent


@pytest.fixture
def working(place: Place) -> Place:
    """A ledger whose job is finished, so that its members may report uses; closed."""
    with closing(LedgerStore.open(place.url)) as store:
        found_town(store).run_job()
    return place


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everybody's keys."""
    folder = tmp_path_factory.mktemp("keys")
    for identity in (LUBECK, BREMEN, DANZIG):
        identity.save(folder / identity.name)
    return folder


def start(ledger: Place, keys: Path, author: Identity, count: int, batch: int) -> "subprocess.Popen[str]":
    """Start a process that keeps the ledger and writes for one author."""
    paths = [keys / LUBECK.name, keys / author.name]
    command = [sys.executable, "-m", "tests.ledger.writers", *map(str, paths), str(count), str(batch)]
    writer = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert writer.stdin is not None
    writer.stdin.write(f"{ledger.url}\n")
    writer.stdin.flush()
    return writer


def go(writers: Sequence["subprocess.Popen[str]"]) -> None:
    """Wait until every writer is ready, then let all of them start."""
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n", writer.communicate()[1]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()


def numbers(ledger: Place, author: Identity) -> list[int]:
    """Return the numbers of an author's entries, in the order of the chain."""
    with closing(LedgerStore.open(ledger.url, create=False)) as store:
        fields = [read_entry(entry.signed) for entry in store.read()]
    return [each.author_seq for each in fields if each.author == author.name]


def test_two_processes_that_append_at_once_never_fork_the_ledger_and_lose_nothing(
    working: Place, keys: Path
) -> None:
    writers = [start(working, keys, BREMEN, 60, batch=1), start(working, keys, DANZIG, 60, batch=3)]
    go(writers)
    for writer in writers:
        _, complaints = writer.communicate(timeout=60)
        assert writer.returncode == 0, complaints
    for author in (BREMEN, DANZIG):
        assert numbers(working, author) == list(range(OWN + 60))
    with closing(LedgerStore.open(working.url, create=False)) as store:
        assert verify_store(store).size == PREPARED + 120


def test_killed_writers_leave_ledgers_that_verify_and_hold_all_they_acknowledged(
    working: Place, places: Places, keys: Path
) -> None:
    ledgers = [places.copy(working) for _ in range(3)]
    writers = [
        start(ledger, keys, BREMEN, 100_000, batch) for ledger, batch in zip(ledgers, (1, 8, 64), strict=True)
    ]
    go(writers)
    for ledger, writer, acknowledgements in zip(ledgers, writers, (25, 6, 2), strict=True):
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(acknowledgements)][-1]
        writer.send_signal(signal.SIGKILL)
        rest, complaints = writer.communicate(timeout=60)
        assert writer.returncode == -signal.SIGKILL, complaints
        complete = [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        acknowledged = int(complete[-1]) if complete else said
        with closing(LedgerStore.open(ledger.url, create=False)) as store:
            verified = verify_store(store)
            written = Keeper(LUBECK, FEDERATION, store).standing.next_author_seq("bremen")
            assert written >= acknowledged
            assert verified.size == PREPARED + written - OWN
            town = Town(store, Keeper(LUBECK, FEDERATION, store), next(store.read()), {"bremen": written})
            town.write(BREMEN, USE)  # and it goes on
        assert numbers(ledger, BREMEN) == list(range(written + 1))
        ledger.remove()


def test_threads_with_keepers_of_their_own_take_turns(working: Place) -> None:
    with closing(LedgerStore.open(working.url, create=False)) as store:
        town = Town(
            store, Keeper(LUBECK, FEDERATION, store), next(store.read()), {"bremen": OWN, "danzig": OWN}
        )
        drafts = {who.name: [town.sign(who, USE) for _ in range(20)] for who in (BREMEN, DANZIG)}

        def keep(entries: list[SignedEntry]) -> int:
            keeper = Keeper(LUBECK, FEDERATION, store)
            outcomes = [keeper.append([entry], NOW_S)[0] for entry in entries]
            return sum(isinstance(outcome, ChainedEntry) for outcome in outcomes)

        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(keep, drafts.values())) == [20, 20]
        assert verify_store(store).size == PREPARED + 40


def test_of_two_stores_that_extend_one_head_one_wins(working: Place) -> None:
    with closing(LedgerStore.open(working.url)) as store, closing(LedgerStore.open(working.url)) as other:
        town = Town(
            store, Keeper(LUBECK, FEDERATION, store), next(store.read()), {"bremen": OWN, "danzig": OWN}
        )
        head = store.head()
        store.append([link(LUBECK, FEDERATION, head, town.sign(BREMEN, USE))])
        with pytest.raises(HeadMoved):
            other.append([link(LUBECK, FEDERATION, head, town.sign(DANZIG, USE))])
        assert other.head() == store.head()
        assert store.head().size == PREPARED + 1


def test_processes_that_create_one_ledger_at_once_all_get_it(places: Places) -> None:
    place = places.nothing()
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: LedgerStore.open(place.url), range(4)))
    for store in stores:
        assert store.head().size == 0
        store.close()
    place.remove()
