"""Ledgers that earlier versions of hansa wrote are brought up to date, whole or not at all."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

from hansa.ledger import LedgerStore, StoreCorrupt, StoreError, missing_guards, read_entry
from hansa.ledger.merkle import Frontier, leaf_hash
from hansa.ledger.migrations import EARLIER_REVISIONS, HEAD_REVISION
from hansa.ledger.tables import METADATA
from tests.ledger.places import REFUSALS, Place, Places
from tests.ledger.town import chain

ROOT = Path(__file__).parents[2]
MANY = chain(1001)  # more than are filled in at once
COLUMNS = "idx, previous, signed, signature, hash, receipt, author, author_seq, kind"
REVISIONS = "hansa.ledger.migrations.versions"


def make_first(place: Place) -> None:
    """Make the tables of the first revision."""
    script = import_module(f"{REVISIONS}.0001_entries")
    engine = create_engine(place.url)
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        script.upgrade()
    engine.dispose()


@pytest.fixture(scope="module")
def aged(places: Places) -> Iterator[Place]:
    """A ledger as the first version of the tables has it, to be copied."""
    place = places.nothing()
    make_first(place)
    with place.hand() as hand:
        hand.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        hand.execute("INSERT INTO alembic_version VALUES ('0001')")
        hand.execute("BEGIN")
        for entry in MANY:
            said = read_entry(entry.signed)
            cells = (entry.index, entry.previous, entry.signed, entry.signature, entry.hash, entry.receipt)
            hand.execute(
                f"INSERT INTO entries ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*cells, said.author, said.author_seq, said.kind),
            )
        hand.execute("COMMIT")
    yield place
    place.remove()


@pytest.fixture
def old(places: Places, aged: Place) -> Iterator[Place]:
    """A ledger as the first version of the tables has it."""
    place = places.copy(aged)
    yield place
    place.remove()


def check_tree(store: LedgerStore) -> None:
    """Fail unless every row has its part of the tree."""
    frontier = Frontier()
    for row, entry in zip(store.rows(), MANY, strict=True):
        frontier, completed = frontier.append(leaf_hash(entry.hash))
        assert row.nodes == b"".join(completed)
    assert store.tree().root(len(MANY)) == frontier.root


# --- the tables as they are now -------------------------------------------------------------------------
def test_the_revision_that_opening_looks_for_is_the_newest() -> None:
    config = Config()
    config.set_main_option("script_location", "hansa.ledger:migrations")
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [HEAD_REVISION]
    earlier = {revision.revision for revision in script.walk_revisions()} - {HEAD_REVISION}
    assert earlier == set(EARLIER_REVISIONS)


def test_migrations_lead_to_the_tables_that_the_code_knows(place: Place) -> None:
    engine = create_engine(place.url)
    for table in METADATA.sorted_tables:
        found = {column["name"]: column for column in inspect(engine).get_columns(table.name)}
        assert list(found) == table.columns.keys()
        for column in table.columns:
            assert found[column.name]["type"].compile(engine.dialect) == column.type.compile(engine.dialect)
            assert found[column.name]["nullable"] == column.nullable
    unique = inspect(engine).get_unique_constraints("entries")
    assert [constraint["column_names"] for constraint in unique] == [["author", "author_seq"]]
    engine.dispose()


def test_the_first_revision_makes_table_and_triggers(places: Places) -> None:
    place = places.nothing()
    make_first(place)
    with place.hand() as hand, pytest.raises(REFUSALS, match="must continue the chain"):
        hand.execute(
            f"INSERT INTO entries ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (1, bytes(32), b"", bytes(64), bytes(32), bytes(64), "lubeck", 0, "charter"),
        )
    place.remove()


@pytest.mark.parametrize("revision", ["0001_entries", "0002_tree", "0003_checkpoints"])
def test_a_ledger_is_never_taken_apart(revision: str) -> None:
    with pytest.raises(RuntimeError, match="never taken apart"):
        import_module(f"{REVISIONS}.{revision}").downgrade()


# --- older ledgers --------------------------------------------------------------------------------------
def test_an_older_ledger_gets_its_tree_and_keeps_its_guards(old: Place) -> None:
    with closing(LedgerStore.open(old.url, create=False)) as store:
        assert list(store.read()) == MANY
        check_tree(store)
        assert missing_guards(store) == ()
    for attack in ("UPDATE entries SET nodes = hash", "DELETE FROM entries WHERE idx = 1000"):
        with old.hand() as hand, pytest.raises(REFUSALS, match="are never"):
            hand.execute(attack)


def test_each_revision_leads_on_to_the_next(old: Place) -> None:
    engine = create_engine(old.url)
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        for revision in ("0002_tree", "0003_checkpoints"):
            import_module(f"{REVISIONS}.{revision}").upgrade()
    engine.dispose()
    with old.hand() as hand:
        hand.execute("UPDATE alembic_version SET version_num = '0003'")
    with closing(LedgerStore.open_read_only(old.url)) as store:
        check_tree(store)
        assert missing_guards(store) == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("DELETE FROM entries WHERE idx = 5", "entry 5 is missing: the next one is 6"),
        ("UPDATE entries SET hash = signature WHERE idx = 7", "entry 7: column hash: expected 32 bytes"),
    ],
)
def test_the_tree_is_not_built_on_damage(old: Place, change: str, reason: str) -> None:
    old.disarm()
    with old.hand() as hand:
        hand.execute(change)
    engine = create_engine(old.url)
    upgrade = import_module(f"{REVISIONS}.0002_tree").upgrade
    with (
        pytest.raises(StoreCorrupt, match=reason),
        engine.begin() as connection,
        Operations.context(MigrationContext.configure(connection)),
    ):
        upgrade()
    engine.dispose()


def test_an_older_ledger_is_not_changed_by_looking_at_it(old: Place) -> None:
    with pytest.raises(
        StoreError, match="of an earlier version of hansa: its agent, once started, brings it"
    ):
        LedgerStore.open_read_only(old.url)
    with old.hand() as hand, pytest.raises(Exception, match="nodes"):
        hand.execute("SELECT nodes FROM entries")


def test_an_older_ledger_that_was_tampered_with_is_left_as_it_is(old: Place) -> None:
    old.disarm()
    with old.hand() as hand:
        hand.execute("DELETE FROM entries WHERE idx = 5")
    for _ in range(2):
        with pytest.raises(StoreCorrupt, match="entry 5 is missing: the next one is 6"):
            LedgerStore.open(old.url)


KILLED = """
import os, signal, sys
from hansa.ledger import LedgerStore, merkle
append, left = merkle.Frontier.append, 1001
def appended(frontier, leaf):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return append(frontier, leaf)
merkle.Frontier.append = appended
LedgerStore.open(sys.stdin.readline().strip())
"""


def test_an_agent_killed_while_it_brings_a_ledger_up_to_date_leaves_it_as_it_was(old: Place) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=ROOT, input=f"{old.url}\n", text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    with pytest.raises(StoreError, match="of an earlier version"):
        LedgerStore.open_read_only(old.url)
    with old.hand() as hand, pytest.raises(REFUSALS, match="are never"):
        hand.execute("UPDATE entries SET kind = 'x' WHERE idx = 3")
    with closing(LedgerStore.open(old.url, create=False)) as store:
        check_tree(store)
