"""A ledger in PostgreSQL: what its server refuses is said in one line, and never shows a password."""

import re
import sys
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from hansa.ledger import (
    BadEntry,
    LedgerError,
    LedgerStore,
    Replica,
    StoreCorrupt,
    StoreError,
    postgresql,
    verify_store,
)
from hansa.ledger.tables import ENTRIES
from tests import servers
from tests.ledger.desk import Pristine, write_pristine
from tests.ledger.places import DatabasePlace, Databases
from tests.ledger.town import CHAIN, Town, found_town

SHORT = "-clock_timeout=100ms"


@pytest.fixture
def place(databases: Databases) -> Iterator[DatabasePlace]:
    """Where an empty ledger lies."""
    made = databases.blank()
    yield made
    made.remove()


def complaint(url: str) -> str:
    """Return why this ledger can't be opened: one line, the same one for reading and for writing."""
    with pytest.raises(StoreError) as caught:
        LedgerStore.open(url)
    with pytest.raises(StoreError) as reading:
        LedgerStore.open_read_only(url)
    said = str(caught.value)
    assert said == str(reading.value)
    assert "\n" not in said
    return said


# --- opening --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"password": "wrong-secret"}, r"password authentication failed .*\(check user and password"),
        ({"password": ""}, r"no password supplied \(put it into the address, ~/.pgpass or PGPASSWORD\)"),
        ({"database": "nowhere"}, r'database "nowhere" does not exist \(create it, or correct the address\)'),
        ({"port": 0}, r"(?i)connection refused .*\(is PostgreSQL running there\?\)|port number"),
        ({"query": {"herring": "1"}}, 'invalid connection option "herring"'),
        ({"query": {"sslmode": "require"}}, "turn TLS on at the server, or sslmode off"),
    ],
)
def test_an_address_that_does_not_serve_is_named_with_a_way_out(
    place: DatabasePlace, monkeypatch: pytest.MonkeyPatch, changed: dict[str, object], reason: str
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", "/nonexistent")
    if changed.get("port") == 0:
        changed = {"port": servers.free_ports(1)[0]}
    url = make_url(place.url)
    said = complaint(url.set(**changed).render_as_string(hide_password=False))  # type: ignore[arg-type]
    assert said.startswith(f"postgresql+psycopg://{url.username}")
    assert re.search(reason, said), said
    assert "secret" not in said
    assert "s3cr3t" not in said


WORDS = {
    "failed to resolve host 'nowhere': [Errno -2] Name or service not known": "correct the host in the address",
    "connection timeout expired": "is the host up, and a firewall open",
    'connection failed: FATAL:  no pg_hba.conf entry for host "192.0.2.1"': "let this client in",
    "connection failed: FATAL:  the database system is starting up": "try again in a moment",
    "connection failed: FATAL:  sorry, too many clients already": "allow more connections",
    "consuming input failed: server closed the connection unexpectedly\n\tThis probably means": "once it is up",
}


@pytest.mark.parametrize("words", WORDS)
def test_known_words_of_servers_and_clients_come_with_advice(words: str) -> None:
    error = OperationalError(None, None, psycopg.OperationalError(words))
    said = str(postgresql.failure("there", error))
    assert said.startswith(f"there: {words.splitlines()[0]} (")
    assert WORDS[words] in said


def test_words_that_nobody_knows_come_without_advice() -> None:
    error = OperationalError(None, None, psycopg.OperationalError("the herring is off"))
    assert str(postgresql.failure("there", error)) == "there: the herring is off"


def test_a_missing_driver_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    said = complaint("postgresql+psycopg://lubeck:secret@127.0.0.1/ledger")
    assert said == (
        "postgresql+psycopg://lubeck:***@127.0.0.1/ledger: the driver psycopg is not installed:"
        " pip install 'hansa[postgresql]'"
    )


def test_passwords_are_not_shown_wherever_they_stand_in_the_address(place: DatabasePlace) -> None:
    url = make_url(place.url)
    moved = url.set(password=None).update_query_dict({"password": str(url.password), "sslpassword": "secret"})
    for each in (url, moved):
        with closing(LedgerStore.open(each.render_as_string(hide_password=False))) as store:
            for shown in (store.address, repr(store)):
                assert place.name in shown
                assert "secret" not in shown
                assert "s3cr3t" not in shown


def test_a_password_may_come_beside_the_address(place: DatabasePlace) -> None:
    url = make_url(place.url)
    bare = str(url.set(password="").render_as_string(hide_password=False)).replace(":@", "@")
    with closing(LedgerStore.open(bare, password=str(url.password))) as store:
        assert store.head().size == 0
    with closing(LedgerStore.open_read_only(bare, password=str(url.password))) as store:
        assert store.head().size == 0
    with pytest.raises(StoreError, match="there is another one for it; leave the address's out"):
        LedgerStore.open(place.url, password="secret")


def test_the_driver_may_be_left_out_of_the_address(place: DatabasePlace) -> None:
    with closing(LedgerStore.open(place.url.replace("+psycopg", ""))) as store:
        assert store.address.startswith("postgresql+psycopg://")


# --- schemas --------------------------------------------------------------------------------------------
def test_two_ledgers_share_a_database_in_schemas_of_their_own(
    place: DatabasePlace, town_of_two: Town
) -> None:
    with place.hand() as hand:
        hand.execute("CREATE SCHEMA bremen")
        hand.execute('CREATE SCHEMA "Danzig\'s own"')
    for schema in ("bremen", r"Danzig's\ own"):
        url = place.server.address(place.name, options=f'-csearch_path="{schema}"')
        with closing(LedgerStore.open(url)) as store:
            replica = Replica(store, town_of_two.genesis.hash, "hansa")
            replica.accept(town_of_two.entries()[:3])
            assert verify_store(store).size == 3
    with closing(LedgerStore.open(place.url)) as store:
        assert store.head().size == 0


@pytest.fixture
def town_of_two(databases: Databases) -> Iterator[Town]:
    """A federation whose ledger lies elsewhere."""
    elsewhere = databases.blank()
    with closing(LedgerStore.open(elsewhere.url)) as store:
        town = found_town(store)
        town.admit_both()
        yield town
    elsewhere.remove()


def test_a_schema_that_is_missing_is_to_be_created(place: DatabasePlace) -> None:
    url = place.server.address(place.name, options="-csearch_path=bremen")
    with pytest.raises(StoreError, match=r"no schema .* \(create the schema that the address names"):
        LedgerStore.open(url)


def test_a_temporary_table_does_not_stand_in_for_the_ledgers(place: DatabasePlace) -> None:
    with closing(LedgerStore.open(place.url)) as store:
        store.append(CHAIN[:2])
    with place.hand() as hand:
        hand.execute("CREATE TEMPORARY TABLE entries (LIKE public.entries)")
        with pytest.raises(psycopg.IntegrityError, match="must continue the chain"):
            hand.execute(
                "INSERT INTO public.entries SELECT 0, decode(repeat('00', 32), 'hex'), signed, signature, hash,"
                " receipt, author, 99, kind, nodes FROM public.entries WHERE idx = 0"
            )


# --- nothing waits for ever -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (SHORT, r"lock timeout \(another writer holds the ledger"),
        ("-clock_timeout=0 -cstatement_timeout=100ms", r"statement timeout \(the server is overloaded"),
    ],
)
def test_a_writer_that_does_not_commit_is_waited_for_only_so_long(
    place: DatabasePlace, options: str, reason: str
) -> None:
    url = place.server.address(place.name, options=options)
    with closing(LedgerStore.open(url)) as store, closing(LedgerStore.open(place.url)) as other:
        with place.hand() as hand:
            hand.execute("BEGIN; LOCK TABLE entries IN SHARE ROW EXCLUSIVE MODE")
            with pytest.raises(StoreError, match=reason):
                store.append(CHAIN)
            assert store.head() == other.head()  # readers don't wait
        store.append(CHAIN)
        assert list(other.read()) == CHAIN


def test_an_agent_stuck_while_making_the_tables_is_waited_for_only_so_long(databases: Databases) -> None:
    place = databases.nothing()
    url = place.server.address(place.name, options=SHORT)
    with place.hand() as hand:
        hand.execute("BEGIN; SELECT pg_advisory_xact_lock(hashtext('hansa.ledger'), hashtext('public'))")
        with pytest.raises(StoreError, match="another writer holds the ledger"):
            LedgerStore.open(url)
    LedgerStore.open(url).close()
    place.remove()


def test_commits_wait_for_the_disk_whatever_the_databases_own_setting(place: DatabasePlace) -> None:
    with place.hand() as hand:
        hand.execute(f'ALTER DATABASE "{place.name}" SET synchronous_commit = off')
    with closing(LedgerStore.open(place.url)) as store, store._engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"


# --- tampered columns -----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def pristine(databases: Databases) -> Iterator[Pristine]:
    """A ledger to be tampered with."""
    place = databases.blank()
    written = write_pristine(place)
    yield written
    written.desk.close()
    place.remove()


COLUMNS = tuple(ENTRIES.columns.keys())
VALUES = ("'text'::text", "1.5::numeric", "'{}'::json", "'infinity'::timestamptz", "NULL::int", "'x'::bytea")


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_of_another_type_is_an_error_of_the_ledger_not_a_crash(
    pristine: Pristine, column: str
) -> None:
    for value in VALUES:
        pristine.desk.renew()
        pristine.desk.lose_constraints()
        with pristine.desk.hand() as hand:
            hand.execute(f"ALTER TABLE entries DROP COLUMN {column}")
            hand.execute(f"ALTER TABLE entries ADD COLUMN {column} {value.partition('::')[2]}")
            hand.execute(f"UPDATE entries SET {column} = {value}")
        with pristine.desk.store() as store, pytest.raises(LedgerError):
            assert verify_store(store, seen=pristine.head).size == 0
        if (column, value) == ("receipt", VALUES[0]):
            with pristine.desk.store() as store, pytest.raises(BadEntry, match="expected bytes, found str"):
                store.head()


def test_text_that_is_not_utf8_is_damage(databases: Databases) -> None:
    place = DatabasePlace(databases.server, databases.server.create(encoding="SQL_ASCII"))
    with closing(LedgerStore.open(place.url)) as store:
        store.append(CHAIN)
        with place.hand() as hand:
            hand.execute("ALTER TABLE entries DISABLE TRIGGER USER")
            hand.execute(r"UPDATE entries SET kind = convert_from('\xff', 'SQL_ASCII') WHERE idx = 7")
        with pytest.raises(StoreCorrupt, match="invalid byte sequence"):
            verify_store(store)
    place.remove()
