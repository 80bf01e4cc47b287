"""Data sets from a database: the same rows as a file gives, in the same order, and read only."""

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.agents.config import DataSection
from hansa.agents.data.queries import Question, database_url, read_query, shown
from hansa.agents.data.rows import Dataset, labels, load_dataset, numeric_target
from hansa.agents.errors import DataError

QUERY = "SELECT id, age, income, defaulted FROM loans"
SECTION = DataSection(url="sqlite:///books.sqlite", query=QUERY, target="defaulted")
CSV = "id,age,income,defaulted\na,31,1.5,no\nb,44,-2e3,yes\nc,27, 7 ,no\n"
ROWS = [("c", 27, 7, "no"), ("a", 31, 1.5, "no"), ("b", 44, -2e3, "yes")]
SALT = bytes(32)
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS id FROM n WHERE x < 0"


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """Return a home with a database whose table has no types of its own, as SQLite allows."""
    filled(tmp_path, ROWS)
    return tmp_path


def filled(home: Path, rows: list[tuple[Any, ...]]) -> None:
    connection = sqlite3.connect(home / "books.sqlite")
    with connection:
        connection.execute("DROP TABLE IF EXISTS loans")
        connection.execute("CREATE TABLE loans (id, age, income, defaulted)")
        connection.executemany("INSERT INTO loans VALUES (?, ?, ?, ?)", rows)
    connection.close()


def loaded(home: Path, query: str = QUERY) -> Dataset:
    return load_dataset("loans", SECTION.model_copy(update={"query": query}), home)


def complaint(home: Path, query: str = QUERY) -> str:
    """Return what is said of this query after its source; checks that it is one line."""
    with pytest.raises(DataError) as caught:
        loaded(home, query)
    text = str(caught.value)
    source = f"sqlite:///{home / 'books.sqlite'}, query of data set 'loans' in the order of 'id': "
    assert text.startswith(source)
    assert "\n" not in text
    return text.removeprefix(source)


def changed(home: Path, row: int, column: str, value: Any) -> str:
    connection = sqlite3.connect(home / "books.sqlite")
    with connection:
        connection.execute(f"UPDATE loans SET {column} = ? WHERE id = ?", (value, "abc"[row - 1]))
    connection.close()
    return complaint(home)


# --- what passes ----------------------------------------------------------------------------------------
def test_the_same_rows_give_the_same_commitment_as_in_a_csv_file(books: Path) -> None:
    (books / "loans.csv").write_text(CSV)
    of_csv = load_dataset("loans", DataSection(file="loans.csv", target="defaulted"), books)
    of_query = loaded(books)
    assert of_query.commitment(SALT) == of_csv.commitment(SALT)
    assert of_query.columns == ("age", "income")
    assert labels(of_query, ("no", "yes")).tolist() == ["no", "yes", "no"]


@given(st.permutations(ROWS), st.sampled_from(["", " ORDER BY age DESC", " ORDER BY id DESC;\n", " -- note"]))
def test_the_order_of_rows_and_query_does_not_reach_the_commitment(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], ending: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    filled(folder, rows)
    dataset = loaded(folder, QUERY + ending)
    assert dataset.ids == ("a", "b", "c")
    assert dataset.features.tolist() == [[31.0, 1.5], [44.0, -2000.0], [27.0, 7.0]]


def test_numeric_ids_are_ordered_as_text_as_every_database_would_not(books: Path) -> None:
    filled(books, [(each, each, 1.0, "no") for each in (2, 10, 1)])
    assert loaded(books).ids == ("1", "10", "2")


def test_an_absolute_path_is_taken_as_it_is(books: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    section = SECTION.model_copy(update={"url": f"sqlite:///{books / 'books.sqlite'}"})
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert load_dataset("loans", section, elsewhere).rows == 3


def test_a_numeric_target_serves_a_regression(books: Path) -> None:
    dataset = loaded(books, "SELECT id, age, income AS defaulted FROM loans")
    assert numeric_target(dataset).tolist() == [1.5, -2000.0, 7.0]


def test_a_query_may_hold_colons_and_per_cents(books: Path) -> None:
    query = "SELECT id, age, substr('%s :a', 1, 2) AS defaulted FROM loans WHERE id LIKE '%' OR id = ':x'"
    assert labels(loaded(books, query), ("%s", "x")).tolist() == ["%s"] * 3


# --- what doesn't ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("row", "column", "value", "expected"),
    [
        (1, "id", None, "row 1, column 'id': no id"),
        (2, "id", "a", "row 2, column 'id': id 'a' stands in row 1 too"),
        (2, "age", None, "row 2, column 'age': no value"),
        (3, "income", float("inf"), "row 3, column 'income': 'inf' is not a finite number"),
        (2, "age", "44", "row 2, column 'age': text after numbers; cast the column in the query"),
        (
            2,
            "age",
            b"44",
            "row 2, column 'age': a bytes is neither number, boolean nor text; cast the column in the query",
        ),
        (3, "defaulted", " ", "row 3, column 'defaulted': no target value"),
    ],
)
def test_a_wrong_value_is_located_by_its_row_in_the_order_of_ids(
    books: Path, row: int, column: str, value: Any, expected: str
) -> None:
    assert changed(books, row, column, value) == expected


def test_a_column_of_nothing_is_located(books: Path) -> None:
    text = complaint(books, "SELECT id, NULL AS age, defaulted FROM loans")
    assert text == "row 1, column 'age': no value (and 2 more)"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "SELECT id, age FROM loans",
            "no column 'defaulted' (the target of data set 'loans'); has 'id', 'age'",
        ),
        ("SELECT age AS x FROM loans", "no column 'id' (the id of data set 'loans'); has 'x'"),
        ("SELECT id, defaulted FROM loans", "no feature columns; has only 'id', 'defaulted'"),
        ("SELECT id, age, age FROM loans", "columns 2 and 3 are both 'age'"),
        (
            "SELECT id, 'x' AS age, defaulted FROM loans",
            "column 'age' is String; a feature is a number or boolean",
        ),
        ("SELECT * FROM loans WHERE 0", "no rows"),
        ("SELECT * FROM lones", "no such table: lones"),
        ("SELEKT 1", 'near "SELEKT": syntax error'),
        ("-- nothing", "the query is empty"),
    ],
)
def test_a_query_that_gives_no_data_set_is_refused(books: Path, query: str, expected: str) -> None:
    assert complaint(books, query) == expected


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM loans",
        "DELETE FROM loans RETURNING id, age, defaulted",
        "INSERT INTO loans VALUES ('z', 1, 2, 'no')",
        "DROP TABLE loans",
        "CREATE TABLE other (id)",
        "ATTACH 'other.sqlite' AS other",
        "PRAGMA user_version = 7",
        "VACUUM INTO 'other.sqlite'",
        "SELECT 1; DELETE FROM loans",
    ],
)
def test_a_query_can_only_read(books: Path, query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(books)
    before = (books / "books.sqlite").read_bytes()
    text = complaint(books, query)
    assert re.search(r"a query may only read|one statement", text)
    assert (books / "books.sqlite").read_bytes() == before
    assert [file.name for file in books.iterdir()] == ["books.sqlite"]


def test_a_query_without_end_is_given_up(books: Path) -> None:
    url = database_url("sqlite:///books.sqlite", books)
    with pytest.raises(DataError, match=r"took longer than timeout_s = 0\.05$"):
        read_query("loans", url, Question(ENDLESS, "id", 0.05))


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert complaint(tmp_path) == "No such file or directory"
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "books.sqlite").write_text(CSV * 10)
    assert complaint(tmp_path) == "file is not a database"


# --- addresses ------------------------------------------------------------------------------------------
def test_a_password_joins_the_address_and_is_never_shown() -> None:
    url = database_url("postgresql+psycopg://reader@db:5433/books?sslpassword=pst", Path(), "hidden")
    assert url.password == "hidden"
    assert shown(url) == "postgresql+psycopg://reader@db:5433/books"


@pytest.mark.parametrize(
    ("text", "password", "expected"),
    [
        ("sqlite:///", None, "sqlite:///: names no file; write sqlite:///FILE"),
        ("sqlite:///:memory:", None, "sqlite:///:memory:: names no file; write sqlite:///FILE"),
        (
            "postgresql+psycopg://reader:hidden@db:port/books",
            None,
            "url is not an address such as postgresql+psycopg://user@host/database",
        ),
        (
            "postgresql+psycopg://reader:hidden@db/books",
            "other",
            "postgresql+psycopg://reader@db/books: a password in the url and a password_file; leave the url's out",
        ),
    ],
)
def test_an_address_that_leads_nowhere_is_refused_without_its_password(
    text: str, password: str | None, expected: str
) -> None:
    with pytest.raises(DataError) as caught:
        database_url(text, Path(), password)
    assert str(caught.value) == expected
