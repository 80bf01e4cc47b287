"""Fixtures: an empty store, and a town whose ledger lies in it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hansa.ledger import LedgerStore
from tests.ledger.town import Town, found_town


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty ledger's file, to be copied: making one from nothing takes Alembic."""
    path = tmp_path_factory.mktemp("blank") / "ledger.sqlite"
    LedgerStore.open(path).close()
    return path


@pytest.fixture
def path(tmp_path: Path, blank: Path) -> Path:
    """Where an empty ledger lies."""
    return Path(shutil.copy(blank, tmp_path))


@pytest.fixture
def store(path: Path) -> Iterator[LedgerStore]:
    """An empty ledger."""
    opened = LedgerStore.open(path)
    yield opened
    opened.close()


@pytest.fixture
def town(store: LedgerStore) -> Town:
    """A federation with a charter and nothing else."""
    return found_town(store)
