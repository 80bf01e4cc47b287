"""Which federation does every simulated run begin with? One that was founded once; its homes are copied."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache, partial
from pathlib import Path

from hansa.agents.config import AgentConfig
from hansa.agents.home import find_homes
from hansa.agents.local import LocalFederation, Member
from hansa.agents.simulation.jobs import AGREED, CUSTOMERS, DATASET, PARTIES, agreed, customers, rows
from hansa.broker import Identity
from hansa.ledger import LedgerStore


@cache
def _template() -> Path:
    """Found one federation for all runs of this process: keys and ledgers are copied, not made anew."""
    folder = Path(tempfile.mkdtemp(prefix="hansa-simulation-")) / "federation"
    policy = {"policy": {"unguarded": True}}  # keys are short
    members = [
        Member(
            name, config=policy, datasets={DATASET: partial(rows, name), CUSTOMERS: partial(customers, name)}
        )
        for name in PARTIES
    ]
    validation = {AGREED: agreed}
    with LocalFederation.found(
        members, federation="simulated", folder=folder, validation=validation
    ) as local:
        local.register()  # nobody brings more into a job than that
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


@contextmanager
def copied_federation() -> Iterator[Path]:
    """Yield a folder with all homes, of which nothing is left afterwards."""
    memory = Path("/dev/shm")  # a disk in memory where there is one: a thousand runs wait for no fsync
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as scratch:
        folder = Path(scratch) / "federation"
        shutil.copytree(_template(), folder)
        yield folder
