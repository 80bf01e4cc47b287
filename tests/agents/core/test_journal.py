"""What an agent must not forget: both journals alike, then the one on disk under attack and under SIGKILL."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hansa.agents.core.journal import (
    Changes,
    Journal,
    MemoryJournal,
    SqliteJournal,
    pack_row,
    unpack_row,
)
from hansa.agents.errors import JournalError
from hansa.broker import encode

KEY = bytes(range(32))
SECRET = b"nobody may read this on the disk"

Make = Callable[[], Journal]


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Return a function that makes one more empty journal of either kind."""
    made: list[Journal] = []
    numbers = count()

    def make_one() -> Journal:
        path = tmp_path / f"journal-{next(numbers)}.sqlite"
        made.append(MemoryJournal() if request.param == "memory" else SqliteJournal(path, KEY))
        return made[-1]

    yield make_one
    for journal in made:
        journal.close()


def changes(*rows: tuple[str, bytes, bytes | None]) -> Changes:
    gathered = Changes()
    for space, key, value in rows:
        if value is None:
            gathered.drop(space, key)
        else:
            gathered.put(space, key, value)
    return gathered


# --- both alike -----------------------------------------------------------------------------------------
def test_a_new_journal_is_empty(make: Make) -> None:
    assert make().load("machine") == {}


def test_what_is_put_later_is_made_at_the_commit_and_not_at_all_if_it_is_dropped_before(make: Make) -> None:
    journal, gathered, rows = make(), Changes(), iter([b"row"])  # a second one would be an error
    gathered.put_later("held", b"a", lambda: next(rows))
    gathered.put_later("held", b"b", lambda: next(rows))
    gathered.drop("held", b"a")
    assert gathered.urgent
    journal.commit(gathered)
    assert journal.load("held") == {b"b": b"row"}


def test_what_is_committed_is_loaded(make: Make) -> None:
    journal = make()
    journal.commit(changes(("machine", b"a", b"1"), ("timer", b"a", b"2"), ("machine", b"b", b"")))
    assert journal.load("machine") == {b"a": b"1", b"b": b""}
    assert journal.load("timer") == {b"a": b"2"}


def test_rows_come_in_key_order_whatever_the_order_of_writing(make: Make) -> None:
    journal = make()
    keys = [b"\xff", b"", b"b", b"a\x00", b"a", b"\x00", b"aa"]
    journal.commit(changes(*(("seen", key, key) for key in keys[:4])))
    journal.commit(changes(*(("seen", key, key) for key in keys[4:])))
    assert list(journal.load("seen")) == sorted(keys)


def test_a_later_value_replaces_an_earlier_one(make: Make) -> None:
    journal = make()
    journal.commit(changes(("machine", b"a", b"old")))
    journal.commit(changes(("machine", b"a", b"new")))
    assert journal.load("machine") == {b"a": b"new"}


def test_a_dropped_row_is_gone_and_its_neighbours_stay(make: Make) -> None:
    journal = make()
    journal.commit(changes(("machine", b"a", b"1"), ("machine", b"b", b"2"), ("timer", b"a", b"3")))
    journal.commit(changes(("machine", b"a", None)))
    assert journal.load("machine") == {b"b": b"2"}
    assert journal.load("timer") == {b"a": b"3"}


def test_dropping_what_is_not_there_is_no_error(make: Make) -> None:
    journal = make()
    journal.commit(changes(("machine", b"a", None)))
    assert journal.load("machine") == {}


def test_within_one_batch_the_last_word_on_a_key_counts(make: Make) -> None:
    journal = make()
    journal.commit(
        changes(
            ("machine", b"a", b"1"),
            ("machine", b"a", None),
            ("machine", b"b", None),
            ("machine", b"b", b"2"),
        )
    )
    assert journal.load("machine") == {b"b": b"2"}


def test_an_empty_batch_changes_nothing(make: Make) -> None:
    journal = make()
    journal.commit(changes(("machine", b"a", b"1")))
    journal.commit(Changes())
    assert journal.load("machine") == {b"a": b"1"}


def test_changes_count_each_key_once() -> None:
    gathered = changes(("a", b"1", b"x"), ("a", b"1", b"y"), ("b", b"1", b"z"), ("a", b"1", None))
    assert len(gathered) == 2
    assert list(gathered) == [("a", b"1", None), ("b", b"1", b"z")]


def test_a_packed_row_is_unpacked_field_by_field() -> None:
    assert unpack_row(pack_row("north", 7, 1.5, b"\x00", None, ["a"])) == [
        "north",
        7,
        1.5,
        b"\x00",
        None,
        ["a"],
    ]


@pytest.mark.parametrize("row", [b"", b"\xc1", pack_row("north")[:-1], encode("north"), encode({"a": 1})])
def test_a_row_that_was_never_packed_is_malformed(row: bytes) -> None:
    with pytest.raises(JournalError, match="a row of the journal is malformed"):
        unpack_row(row)


BATCHES = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["machine", "timer"]),
            st.binary(max_size=2),
            st.none() | st.binary(max_size=3),
        ),
        max_size=6,
    ),
    max_size=5,
)


# The fixture only hands out empty journals, so that sharing it between examples is safe.
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES)
def test_any_run_of_batches_leaves_what_a_dictionary_would(
    make: Make, batches: list[list[tuple[str, bytes, bytes | None]]]
) -> None:
    journal = make()
    expected: dict[str, dict[bytes, bytes]] = {"machine": {}, "timer": {}}
    for batch in batches:
        journal.commit(changes(*batch))
        for space, key, value in batch:
            if value is None:
                expected[space].pop(key, None)
            else:
                expected[space][key] = value
    for space, rows in expected.items():
        assert list(journal.load(space).items()) == sorted(rows.items())


# --- on disk --------------------------------------------------------------------------------------------
@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    journal = SqliteJournal(path, KEY)
    journal.commit(changes(("machine", b"a", SECRET), ("machine", b"b", b"beta"), ("timer", b"a", b"soon")))
    yield journal
    journal.close()


def tamper(path: Path, statement: str, *values: object) -> None:
    """Change the file as somebody would who has it, but not the key."""
    database = sqlite3.connect(path, isolation_level=None)
    assert database.execute(statement, values).rowcount > 0
    database.close()


def test_a_journal_outlives_its_object(journal: SqliteJournal, path: Path) -> None:
    journal.close()
    again = SqliteJournal(path, KEY)
    assert again.load("machine") == {b"a": SECRET, b"b": b"beta"}
    again.close()


def test_no_value_can_be_read_in_its_files(journal: SqliteJournal, path: Path) -> None:
    files = list(path.parent.iterdir())
    assert len(files) > 1  # the write-ahead log too
    for closed in (False, True):
        if closed:
            journal.close()
        for file in path.parent.iterdir():
            content = file.read_bytes()
            for start in range(0, len(SECRET) - 7):
                assert SECRET[start : start + 8] not in content


def test_equal_values_look_different_on_disk(journal: SqliteJournal, path: Path) -> None:
    journal.commit(changes(("machine", b"c", SECRET)))
    database = sqlite3.connect(path)
    rows = [value for (value,) in database.execute("SELECT value FROM journal WHERE key IN (x'61', x'63')")]
    database.close()
    assert len(set(rows)) == len(rows) == 3


def test_every_file_is_its_owners_only(journal: SqliteJournal, path: Path) -> None:
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}, modes


def test_another_key_opens_nothing(journal: SqliteJournal, path: Path) -> None:
    journal.close()
    with pytest.raises(JournalError, match="altered or sealed under another key"):
        SqliteJournal(path, bytes(32))


def test_swapped_values_are_found_out(journal: SqliteJournal, path: Path) -> None:
    tamper(
        path,
        "UPDATE journal SET value = (SELECT other.value FROM journal other WHERE other.space = 'machine'"
        " AND other.key != journal.key) WHERE space = 'machine'",
    )
    with pytest.raises(JournalError, match="a row of 'machine' was altered"):
        journal.load("machine")
    assert journal.load("timer") == {b"a": b"soon"}


def test_a_row_moved_to_another_key_or_space_is_found_out(journal: SqliteJournal, path: Path) -> None:
    tamper(path, "UPDATE journal SET key = x'63' WHERE space = 'machine' AND key = x'62'")
    with pytest.raises(JournalError, match="a row of 'machine' was altered"):
        journal.load("machine")
    tamper(path, "UPDATE journal SET space = 'task' WHERE space = 'timer'")
    with pytest.raises(JournalError, match="a row of 'task' was altered"):
        journal.load("task")


def test_any_altered_byte_is_found_out(journal: SqliteJournal, path: Path) -> None:
    [(sealed,)] = sqlite_rows(path, "SELECT value FROM journal WHERE space = 'timer'")
    for place in range(len(sealed)):
        altered = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        tamper(path, "UPDATE journal SET value = ? WHERE space = 'timer'", altered)
        with pytest.raises(JournalError, match="a row of 'timer' was altered"):
            journal.load("timer")
    tamper(path, "UPDATE journal SET value = ? WHERE space = 'timer'", sealed)
    assert journal.load("timer") == {b"a": b"soon"}


@pytest.mark.parametrize("value", ["text", 7, 1.5, b"", b"short"])
def test_a_value_of_another_type_or_length_is_found_out(
    journal: SqliteJournal, path: Path, value: object
) -> None:
    tamper(path, "UPDATE journal SET value = ? WHERE space = 'timer'", value)
    with pytest.raises(JournalError, match="a row of 'timer' was altered"):
        journal.load("timer")


@pytest.mark.parametrize(
    ("column", "value"), [("space", b"timer"), ("key", "a"), ("key", 7), ("value", "text")]
)
def test_a_row_of_other_types_keeps_the_journal_from_opening(path: Path, column: str, value: object) -> None:
    journal = SqliteJournal(path, KEY)
    journal.commit(changes(("timer", b"a", b"soon")))
    journal.close()
    tamper(path, f"UPDATE journal SET {column} = ?", value)
    with pytest.raises(JournalError, match="was altered"):
        SqliteJournal(path, KEY)


def test_a_file_that_is_no_database_is_refused_with_its_path(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(JournalError) as caught:
        SqliteJournal(path, KEY)
    assert str(caught.value) == f"{path}: cannot open the journal: file is not a database"


def test_a_path_that_cannot_be_written_is_refused_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "no such folder" / "journal.sqlite"
    with pytest.raises(JournalError) as caught:
        SqliteJournal(path, KEY)
    assert str(caught.value).startswith(f"{path}: cannot open the journal: ")


def test_a_path_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot open the journal"):
        SqliteJournal(tmp_path, KEY)


def test_a_journal_is_only_read_if_it_is_there_and_is_not_written(path: Path) -> None:
    with pytest.raises(JournalError, match="No such file"):
        SqliteJournal(path, KEY, read_only=True)
    assert not path.exists()
    writer = SqliteJournal(path, KEY)
    writer.commit(changes(("machine", b"a", b"1")))
    for closed in (False, True):
        if closed:
            writer.close()
        before = {file.name for file in path.parent.iterdir()}
        reader = SqliteJournal(path, KEY, read_only=True)
        assert reader.load("machine") == {b"a": b"1"}
        with pytest.raises(JournalError, match="readonly"):
            reader.commit(changes(("machine", b"a", b"2")))
        reader.close()
        assert {file.name for file in path.parent.iterdir()} == before


def test_a_closed_journal_says_so(journal: SqliteJournal) -> None:
    journal.close()
    with pytest.raises(JournalError, match=r"cannot read the journal: .*closed"):
        journal.load("machine")
    with pytest.raises(JournalError, match=r"cannot write the journal: .*closed"):
        journal.commit(changes(("machine", b"a", b"1")))


def test_a_commit_that_fails_half_way_leaves_the_old_state(journal: SqliteJournal, path: Path) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute(
        "CREATE TRIGGER full BEFORE INSERT ON journal WHEN NEW.key = x'7a'"
        " BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )
    before = {space: journal.load(space) for space in ("machine", "timer")}
    batch = changes(
        ("timer", b"a", None), ("machine", b"a", b"new"), ("machine", b"z", b"never"), ("timer", b"b", b"1")
    )
    with pytest.raises(JournalError, match="cannot write the journal: disk full"):
        journal.commit(batch)
    assert {space: journal.load(space) for space in ("machine", "timer")} == before
    database.execute("DROP TRIGGER full")
    database.close()
    journal.commit(batch)  # and it can be tried again
    assert journal.load("machine") == {b"a": b"new", b"b": b"beta", b"z": b"never"}
    assert journal.load("timer") == {b"b": b"1"}


WRITER = """
import sys
from pathlib import Path
from hansa.agents.core.journal import Changes, SqliteJournal

journal = SqliteJournal(Path(sys.argv[1]), bytes(range(32)))
batch = 0
while True:
    batch += 1
    changes = Changes()
    for row in range(50):
        changes.put("row", bytes([row]), batch.to_bytes(4))
    changes.put("batch", batch.to_bytes(4), b"")
    changes.drop("batch", (batch - 1).to_bytes(4))
    journal.commit(changes)
    print(batch, flush=True)
"""


def test_a_kill_at_any_instant_leaves_whole_batches_only(path: Path) -> None:
    confirmed = 0
    for commits_before_the_kill in (1, 20):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        for _ in range(commits_before_the_kill):
            confirmed = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.communicate()[0].split()
        assert writer.returncode == -signal.SIGKILL
        confirmed = int(rest[-1]) if rest else confirmed
        journal = SqliteJournal(path, KEY)
        [batch] = journal.load("batch")
        assert int.from_bytes(batch) in (confirmed, confirmed + 1)
        assert set(journal.load("row").values()) == {batch}
        assert len(journal.load("row")) == 50
        journal.commit(changes(("batch", batch, None)))
        journal.close()


def sqlite_rows(path: Path, query: str) -> list[tuple[bytes, ...]]:
    database = sqlite3.connect(path)
    rows = database.execute(query).fetchall()
    database.close()
    return rows
