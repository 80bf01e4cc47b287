"""A ledger whose PostgreSQL server is stopped, frozen, in recovery or strict: an error, and it goes on after it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, make_url

from hansa.ledger import Keeper, LedgerStore, StoreError, verify_store
from hansa.ledger.patient import PatientConnection
from tests import postgres, servers
from tests.ledger.places import DatabasePlace
from tests.ledger.town import BREMEN, CHAIN, FEDERATION, LUBECK, NOW_S, admission, found_town

WAIT_S = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    """A server of our own, to be hurt."""
    with postgres.private() as started:
        yield started


@pytest.fixture
def place(server: postgres.Server) -> DatabasePlace:
    """Where an empty ledger lies."""
    made = DatabasePlace(server, server.create())
    LedgerStore.open(made.url).close()
    return made


def start_again(server: postgres.Server) -> None:
    postgres.start(Path(server.folder), earlier=server)


@contextmanager
def refused(place: DatabasePlace, reason: str) -> Iterator[None]:
    """Expect one line that names the server, and not the password."""
    with pytest.raises(StoreError, match=reason) as caught:
        yield
    said = str(caught.value)
    assert f"127.0.0.1:{make_url(place.url).port}/{place.name}" in said
    assert "s3cr3t" not in said
    assert "\n" not in said


# --- stopped and started --------------------------------------------------------------------------------
def test_a_restart_between_two_uses_goes_unnoticed(server: postgres.Server, place: DatabasePlace) -> None:
    with closing(LedgerStore.open(place.url)) as store:
        store.append(CHAIN[:4])
        server.stop()
        start_again(server)
        store.append(CHAIN[4:])
        assert list(store.read()) == CHAIN


def test_while_the_server_is_away_nothing_is_written_and_then_it_goes_on(
    server: postgres.Server, place: DatabasePlace
) -> None:
    with closing(LedgerStore.open(place.url)) as store:
        town = found_town(store)
        entry = town.sign(LUBECK, admission(BREMEN))
        server.stop()
        with refused(place, r"(?i)connection refused .*\(is PostgreSQL running there"):
            town.keeper.append([entry], NOW_S)
        with refused(place, "(?i)connection refused"):
            LedgerStore.open(place.url)
        assert town.keeper.head.size == 1
        start_again(server)
        assert town.keeper.append([entry], NOW_S)[0] == town.entries()[1]
        assert verify_store(store).size == 2


def test_a_connection_cut_in_the_middle_is_an_error_and_the_next_one_serves(place: DatabasePlace) -> None:
    with closing(LedgerStore.open(place.url)) as store:
        town = found_town(store)
        entry = town.sign(LUBECK, admission(BREMEN))
        with place.hand() as hand:
            hand.execute("BEGIN; LOCK TABLE entries IN SHARE ROW EXCLUSIVE MODE")
            cutter = threading.Thread(target=cut_waiting, args=(place,))
            cutter.start()
            with refused(place, r"terminating connection .*\(try again"):
                town.keeper.append([entry], NOW_S)
            cutter.join()
        assert town.keeper.append([entry], NOW_S)[0] == town.entries()[1]


def cut_waiting(place: DatabasePlace) -> None:
    """End the connection that waits for a lock, as soon as there is one."""
    waiting = b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    deadline = time.monotonic() + WAIT_S
    with place.server.connected(place.name) as connection:
        while not connection.execute(waiting).fetchall() and time.monotonic() < deadline:
            time.sleep(0.01)


def test_an_entry_whose_commit_was_not_heard_is_chained_once(
    server: postgres.Server, place: DatabasePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(LedgerStore.open(place.url)) as store:
        town = found_town(store)
        entry = town.sign(LUBECK, admission(BREMEN))
        commit = psycopg.Connection.commit

        def lose(connection: "psycopg.Connection[object]") -> None:
            commit(connection)
            connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

        with monkeypatch.context() as broken:
            broken.setattr(psycopg.Connection, "commit", lose)
            with refused(place, r"closed the connection .*\(try again once it is up"):
                town.keeper.append([entry], NOW_S)
        chained = town.keeper.append([entry], NOW_S)[0]
        assert town.entries()[1:] == [chained]
        assert Keeper(LUBECK, FEDERATION, store).head == town.keeper.head


# --- frozen ---------------------------------------------------------------------------------------------
@contextmanager
def freezing(store: LedgerStore) -> Iterator[Callable[[], None]]:
    """Lend a function that freezes the process behind the store's only connection; thaw it at the end."""
    with store._engine.connect() as connection:
        process = int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
    yield lambda: os.kill(process, signal.SIGSTOP)
    os.kill(process, signal.SIGCONT)


def test_a_server_that_falls_silent_in_the_middle_is_an_error(
    place: DatabasePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PatientConnection, "silence_s", 0.3)
    with closing(LedgerStore.open(place.url)) as store, freezing(store) as freeze:
        rows = Connection.exec_driver_sql

        def frozen(*arguments: Any) -> object:
            freeze()
            return rows(*arguments)

        with monkeypatch.context() as broken:
            broken.setattr(Connection, "exec_driver_sql", frozen)
            with refused(place, r"no answer from the server for 0\.3 s"):
                store.append(CHAIN)
        store.append(CHAIN)  # over another connection
        assert list(store.read()) == CHAIN


def test_a_connection_that_has_fallen_silent_is_replaced(
    place: DatabasePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PatientConnection, "silence_s", 0.3)
    with closing(LedgerStore.open(place.url)) as store, freezing(store) as freeze:
        freeze()
        store.append(CHAIN)
        assert list(store.read()) == CHAIN


# --- in recovery ----------------------------------------------------------------------------------------
def test_a_standby_can_be_read_and_says_that_it_takes_no_entries(
    server: postgres.Server, place: DatabasePlace
) -> None:
    empty = DatabasePlace(server, server.create())
    with closing(LedgerStore.open(place.url)) as store:
        store.append(CHAIN[:4])
    signal_file = Path(server.folder) / "data" / "standby.signal"
    server.stop()
    signal_file.touch()
    start_again(server)
    try:
        with closing(LedgerStore.open(place.url)) as store:
            assert list(store.read()) == CHAIN[:4]
            with refused(place, r"read-only transaction \(this is a standby"):
                store.append(CHAIN[4:])
        with refused(empty, r"read-only transaction|during recovery \(this is a standby"):
            LedgerStore.open(empty.url)
    finally:
        server.stop()
        signal_file.unlink()
        start_again(server)
    with closing(LedgerStore.open(place.url)) as store:
        store.append(CHAIN[4:])


# --- strict ---------------------------------------------------------------------------------------------
def test_a_user_without_rights_is_told_which_ones_are_missing(place: DatabasePlace) -> None:
    clerk = make_url(place.url).set(username="clerk", password="s3cr3t").render_as_string(hide_password=False)
    with place.hand() as hand:
        hand.execute("CREATE ROLE clerk LOGIN PASSWORD 's3cr3t'")
        hand.execute("GRANT SELECT ON entries, alembic_version TO clerk")
    with closing(LedgerStore.open(clerk)) as store:
        assert store.head().size == 0
        with refused(place, r"permission denied for table entries \(grant this user"):
            store.append(CHAIN)
    empty = DatabasePlace(place.server, place.server.create())
    with refused(empty, r"permission denied for schema public \(grant this user"):
        LedgerStore.open(clerk.replace(place.name, empty.name))


# --- the tests' own server ------------------------------------------------------------------------------
def test_a_server_ends_with_the_run_that_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    run = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    monkeypatch.setenv(servers.CONTROLLER_VARIABLE, str(run.pid))
    with postgres.private() as server:
        run.kill()
        run.communicate()
        deadline = time.monotonic() + WAIT_S
        while (Path(server.folder) / "data" / "postmaster.pid").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
