"""An attacker has the file of a ledger: SQLite keeps any type in any cell, and a disk any byte."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hansa.ledger import BadEntry, LedgerError, StoreCorrupt, verify_store
from hansa.ledger.tables import ENTRIES
from tests.ledger.desk import (
    SIZE,
    FileDesk,
    Pristine,
    first_bad,
    tampering,
    verify_copy,
    write_pristine,
)
from tests.ledger.places import Files

COLUMNS = tuple(ENTRIES.columns.keys())

# Each example works on a copy of its own, so that fixtures may outlive it.
many = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def pristine(files: Files) -> Iterator[Pristine]:
    """A ledger in a file."""
    place = files.blank()
    written = write_pristine(place)
    yield written
    written.desk.close()
    place.remove()


VALUES = ("NULL", "'text'", "1.5", "x'00'", "CAST(x'ff' AS TEXT)", "''", "x''", "7000")


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("column", COLUMNS)
def test_a_cell_of_any_type_is_a_bad_entry_not_a_crash(pristine: Pristine, column: str, value: str) -> None:
    with tampering(pristine) as file:
        pristine.desk.lose_constraints()
        file.execute(f"UPDATE entries SET {column} = {value} WHERE idx = 7")
    bad = first_bad(pristine, pristine.head)
    assert bad.index == (2 if (column, value) == ("idx", "1.5") else 7)


def test_a_head_whose_index_is_no_integer_is_an_error_of_the_store(pristine: Pristine) -> None:
    with tampering(pristine) as file:
        pristine.desk.lose_constraints()
        file.execute("UPDATE entries SET idx = x'00' WHERE idx = 6")
    with pristine.desk.store() as store:
        with pytest.raises(StoreCorrupt, match="holds a row with index"):
            store.head()
        with pytest.raises(BadEntry, match="entry 6"):
            verify_store(store, progress=lambda _done, _total: None)


# --- the file itself ------------------------------------------------------------------------------------
@settings(many, max_examples=100)
@given(position=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_byte_changed_on_the_disk_is_found_or_changes_nothing(
    pristine: Pristine, position: float, flip: int
) -> None:
    desk = pristine.desk
    assert isinstance(desk, FileDesk)
    content = bytearray(desk.pristine.path.read_bytes())
    content[int(position * len(content))] ^= flip
    desk.write(bytes(content))
    try:
        verified = verify_copy(pristine, pristine.head)
    except LedgerError:
        return
    assert verified.head == pristine.head


@many
@given(part=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_short_is_found_or_lost_nothing(pristine: Pristine, part: float) -> None:
    desk = pristine.desk
    assert isinstance(desk, FileDesk)
    content = desk.pristine.path.read_bytes()
    desk.write(content[: int(part * len(content))])
    try:
        verified = verify_copy(pristine, pristine.head)
    except LedgerError:
        return
    assert verified.head == pristine.head


def test_progress_does_not_stumble_over_a_bad_last_row(pristine: Pristine) -> None:
    with tampering(pristine) as file:
        file.execute("UPDATE entries SET receipt = 'text' WHERE idx = ?", (SIZE - 1,))
    with pristine.desk.store() as store:
        with pytest.raises(BadEntry, match="entry 16: column receipt: expected bytes, found str"):
            verify_store(store, progress=lambda _done, _total: None)
