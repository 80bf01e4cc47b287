"""Fixtures: an empty store, and a town whose ledger lies in it; once in SQLite, once in PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hansa.ledger import LedgerStore
from tests import postgres
from tests.ledger.desk import Pristine, write_pristine
from tests.ledger.places import Databases, Files, Place, Places
from tests.ledger.town import Town, found_town


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Makes ledgers in files."""
    return Files(tmp_path_factory.mktemp("ledgers"))


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """Makes ledgers in the databases of the run's server."""
    made = Databases(postgres.shared())
    yield made
    made.close()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def places(request: pytest.FixtureRequest) -> Places:
    """Makes ledgers; whatever uses it runs once for each kind of database."""
    made: Places = request.getfixturevalue("files" if request.param == "sqlite" else "databases")
    return made


@pytest.fixture
def place(places: Places) -> Iterator[Place]:
    """Where an empty ledger lies."""
    made = places.blank()
    yield made
    made.remove()


@pytest.fixture
def path(files: Files) -> Path:
    """Where an empty ledger lies, as a file."""
    return files.blank().path


@pytest.fixture
def store(place: Place) -> Iterator[LedgerStore]:
    """An empty ledger."""
    opened = LedgerStore.open(place.url)
    yield opened
    opened.close()


@pytest.fixture
def town(store: LedgerStore) -> Town:
    """A federation with a charter and nothing else."""
    return found_town(store)


@pytest.fixture(scope="module")
def pristine(places: Places) -> Iterator[Pristine]:
    """A ledger to be tampered with."""
    place = places.blank()
    written = write_pristine(place)
    yield written
    written.desk.close()
    place.remove()
