"""Where copies of one ledger are made to be tampered with, hundreds of them, one after another."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Protocol

import pytest

from hansa.ledger import BadEntry, ChainedEntry, Head, LedgerStore, PayoutSettled, Verified, verify_store
from tests.ledger.places import DatabasePlace, FilePlace, Hand, Place
from tests.ledger.town import BREMEN, LUBECK, NEXT_CATCH, found_town

SCHEMA = "tampered"
LOSE_CONSTRAINTS = (
    "CREATE TABLE loose AS SELECT * FROM entries",
    "DROP TABLE entries",
    "ALTER TABLE loose RENAME TO entries",
)
TABLES = ("entries", "checkpoints", "checkpoint_signatures", "superseded", "evidence")
SIZE = 17  # entries of the pristine ledger


class Desk(Protocol):
    """Holds one copy of a ledger, without its triggers and checks."""

    def renew(self) -> None:
        """Put a fresh copy in place of the last one."""

    def hand(self) -> AbstractContextManager[Hand]:
        """Reach into the copy."""

    def lose_constraints(self) -> None:
        """Replace the copy's table by one without any constraint."""

    def store(self) -> AbstractContextManager[LedgerStore]:
        """Open the copy as hansa does."""

    def close(self) -> None:
        """Let go of the copy."""


@dataclass(frozen=True, slots=True)
class FileDesk:
    """A file beside the ledger's."""

    pristine: FilePlace

    @property
    def copy(self) -> FilePlace:
        return FilePlace(self.pristine.path.with_name("tampered.sqlite"))

    def renew(self) -> None:
        self.write(self.pristine.path.read_bytes())
        self.copy.disarm()

    def write(self, content: bytes) -> None:
        """Let the copy's file have this content."""
        self.copy.remove()
        self.copy.path.write_bytes(content)

    def hand(self) -> AbstractContextManager[Hand]:
        return self.copy.hand()

    def lose_constraints(self) -> None:
        with self.hand() as hand:
            for statement in LOSE_CONSTRAINTS:
                hand.execute(statement)

    def store(self) -> AbstractContextManager[LedgerStore]:
        return closing(LedgerStore.open(self.copy.url, create=False))

    def close(self) -> None:
        self.copy.remove()


class SchemaDesk:
    """Another schema of the ledger's database: to copy a database takes ten times as long.

    Connections are kept for all of the copies, for the same reason.
    """

    def __init__(self, pristine: DatabasePlace) -> None:
        self._kept = ExitStack()
        self._hand = self._kept.enter_context(pristine.hand())
        self._hand.execute(f"SET search_path = {SCHEMA}")
        self._build()
        url = pristine.server.address(pristine.name, options=f"-csearch_path={SCHEMA}")
        self._store = self._kept.enter_context(closing(LedgerStore.open(url, create=False)))
        self._whole = True

    def renew(self) -> None:
        if not self._whole:
            self._build()
            self._whole = True
        for table in reversed(TABLES):
            self._hand.execute(f"DELETE FROM {table}")
        for table in TABLES:
            self._hand.execute(f"INSERT INTO {table} SELECT * FROM public.{table}")

    @contextmanager
    def hand(self) -> Iterator[Hand]:
        yield self._hand

    def lose_constraints(self) -> None:
        self._whole = False
        for statement in LOSE_CONSTRAINTS:
            self._hand.execute(statement)

    @contextmanager
    def store(self) -> Iterator[LedgerStore]:
        yield self._store

    def close(self) -> None:
        self._kept.close()

    def _build(self) -> None:
        self._hand.execute(
            f"""
            DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
            CREATE SCHEMA {SCHEMA};
            CREATE TABLE {SCHEMA}.alembic_version AS TABLE public.alembic_version;
            """
        )
        for table in TABLES:
            self._hand.execute(f"CREATE TABLE {SCHEMA}.{table} (LIKE public.{table} INCLUDING INDEXES)")


def desk_for(place: Place) -> Desk:
    """Return where to copy this ledger."""
    if isinstance(place, FilePlace):
        return FileDesk(place)
    assert isinstance(place, DatabasePlace)
    return SchemaDesk(place)


@dataclass(frozen=True, slots=True)
class Pristine:
    """A ledger with a job done and paid, closed; a copy of it is to be tampered with.

    Attributes:
        url: of the ledger itself.
        desk: where the copies are made, one after another.
    """

    url: str
    desk: Desk
    entries: tuple[ChainedEntry, ...]

    @property
    def fingerprint(self) -> bytes:
        return self.entries[0].hash

    @property
    def head(self) -> Head:
        return self.entries[-1].head


def write_pristine(place: Place) -> Pristine:
    """Write the ledger that is to be tampered with into an empty one."""
    with closing(LedgerStore.open(place.url)) as store:
        town = found_town(store)
        town.run_job()
        number = town.pay()
        town.write(LUBECK, PayoutSettled(number, "folio 12"))
        town.write(BREMEN, NEXT_CATCH)
        entries = tuple(town.entries())
    assert len(entries) == SIZE
    return Pristine(place.url, desk_for(place), entries)


@contextmanager
def tampering(pristine: Pristine) -> Iterator[Hand]:
    """Open a copy as somebody who is not bound by triggers and checks."""
    pristine.desk.renew()
    with pristine.desk.hand() as hand:
        yield hand


def verify_copy(pristine: Pristine, seen: Head | None = None) -> Verified:
    with pristine.desk.store() as store:
        return verify_store(store, fingerprint=pristine.fingerprint, seen=seen)


def first_bad(pristine: Pristine, seen: Head | None = None) -> BadEntry:
    """Verify the copy, which must fail, and return what is said of it."""
    with pytest.raises(BadEntry) as caught:
        verify_copy(pristine, seen)
    return caught.value
