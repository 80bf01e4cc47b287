"""Which federation does every simulated run begin with? One that was founded once; its homes are copied."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

from hansa.agents.config import AgentConfig
from hansa.agents.data.rows import Dataset
from hansa.agents.home import find_homes
from hansa.agents.local import LocalFederation, Member
from hansa.agents.simulation.jobs import KEEPER, PARTIES, agreed, customers, rows
from hansa.broker import Identity
from hansa.ledger import DatasetRegistered, Keeper, LedgerStore, sign_entry

HELD = (rows, customers)  # what each party holds


@cache
def _template() -> Path:
    """Found one federation for all runs of this process: keys and ledgers are copied, not made anew."""
    folder = Path(tempfile.mkdtemp(prefix="hansa-simulation-")) / "federation"
    policy = {"policy": {"unguarded": True}}  # keys are short
    members = [Member(name, config=policy) for name in PARTIES]
    LocalFederation.found(members, federation="simulated", folder=folder).close()
    for home in find_homes(folder):
        _forget_names(home.path / "ledger.sqlite")
    return folder


def _forget_names(path: Path) -> None:
    """Leave a copy its entries alone: whose names its agent had from the others by then, chance has decided."""
    with closing(LedgerStore.open(path)) as store:
        entries = list(store.read())
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    with closing(LedgerStore.open(path)) as store:
        store.append(entries)


@cache
def keys(name: str) -> tuple[Identity, AgentConfig]:
    """Return an agent's keys and configuration."""
    [home] = [home for home in find_homes(_template()) if home.path.name == name]
    return home.identity(), home.config()


@cache
def _registered() -> Path:
    """Found one whose ledger also says what everybody has: nobody brings more into a job than that."""
    folder = _template().with_name("registered")
    shutil.copytree(_template(), folder)
    with closing(LedgerStore.open(folder / KEEPER / "ledger.sqlite")) as store:
        identity, config = keys(KEEPER)
        keeper = Keeper(identity, config.federation.id, store)
        size = keeper.head.size
        for author, dataset in (
            *((name, held(name)) for name in PARTIES for held in HELD),
            (KEEPER, agreed()),
        ):
            _register(keeper, author, dataset)
        entries = list(store.read(size))
    for name in PARTIES:
        with closing(LedgerStore.open(folder / name / "ledger.sqlite")) as store:
            store.append(entries)
    return folder


def _register(keeper: Keeper, author: str, held: Dataset) -> None:
    """Have the ledger say what somebody holds."""
    identity, config = keys(author)
    now_s = time.time()
    entry = sign_entry(
        identity,
        federation=config.federation.id,
        author_seq=keeper.standing.next_author_seq(author),
        body=DatasetRegistered(held.name, held.rows, held.columns, held.target_name, bytes(32)),
        time_ms=int(now_s * 1000),
    )
    keeper.append([entry], now_s)


@contextmanager
def copied_federation(*, registered: bool = False) -> Iterator[Path]:
    """Yield a folder with all homes, of which nothing is left afterwards.

    Args:
        registered: everybody's data sets are on the ledger.
    """
    memory = Path("/dev/shm")  # a disk in memory where there is one: a thousand runs wait for no fsync
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as scratch:
        folder = Path(scratch) / "federation"
        shutil.copytree(_registered() if registered else _template(), folder)
        yield folder
