"""Data sets from PostgreSQL: the same rows, read only, in time, and without the password in any message."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL, make_url

from hansa.agents.config import DataSection
from hansa.agents.data import queries
from hansa.agents.data.queries import Question, read_query
from hansa.agents.data.rows import Dataset, labels, load_dataset
from hansa.agents.errors import DataError
from tests import postgres

CSV = "id,age,income,defaulted\nÄ,27,7,no\na,31,1.5,no\nb,44,-2e3,yes\n"
TABLE = """
    CREATE TABLE loans (id text, age integer, income numeric, defaulted text, since date, key uuid);
    INSERT INTO loans VALUES
        ('b', 44, -2e3, 'yes', '2020-01-01', '00000000-0000-0000-0000-000000000002'),
        ('Ä', 27, 7, 'no', '2020-01-01', '00000000-0000-0000-0000-000000000003'),
        ('a', 31, 1.50, 'no', '2020-01-01', '00000000-0000-0000-0000-000000000001')
"""
QUERY = "SELECT id, age, income, defaulted FROM loans"
SALT = bytes(32)


@pytest.fixture(scope="module")
def books() -> Iterator[URL]:
    """Return the address of a database with a table of loans, password included."""
    server = postgres.shared()
    name = server.create()
    with server.connected(name) as connection:
        connection.execute(TABLE)
    yield make_url(server.address(name))
    server.drop(name)


def address(books: URL, **changes: Any) -> str:
    return books.set(**changes).render_as_string(hide_password=False)


def loaded(books: URL, query: str = QUERY) -> Dataset:
    section = DataSection(url=address(books), query=query, target="defaulted")
    return load_dataset("loans", section, Path())


def complaint(ask: Callable[[], object]) -> str:
    """Return what is said after the source; checks that it is one line without the password."""
    with pytest.raises(DataError) as caught:
        ask()
    source, colon, text = str(caught.value).partition(", query of data set 'loans' in the order of 'id': ")
    assert source.startswith("postgresql+psycopg://")
    assert colon
    assert "\n" not in text
    assert postgres.PASSWORD not in str(caught.value)
    return text


def test_the_same_rows_give_the_same_commitment_as_in_a_csv_file(books: URL, tmp_path: Path) -> None:
    lines = CSV.splitlines(keepends=True)
    (tmp_path / "loans.csv").write_text("".join([lines[0], lines[2], lines[3], lines[1]]))
    of_csv = load_dataset("loans", DataSection(file="loans.csv", target="defaulted"), tmp_path)
    of_query = loaded(books)
    assert of_query.ids == ("a", "b", "Ä")  # by code point, whatever the server's collation
    assert of_query.commitment(SALT) == of_csv.commitment(SALT)


def test_text_and_nulls_come_as_categories_and_gaps(books: URL) -> None:
    query = """
        SELECT id, nullif(age, 44) AS age, 'NaN'::float8 * income AS unknown, key,
            CASE WHEN defaulted = 'no' THEN 'ward ' || id END AS ward
        FROM loans
    """
    rules: dict[str, Any] = {"categories": ("key", "ward"), "missing": "fill"}
    dataset = load_dataset("loans", DataSection(url=address(books), query=query, **rules), Path())
    assert dataset.ids == ("a", "b", "Ä")
    assert dataset.numbers[:, 0].tolist() == pytest.approx([31.0, float("nan"), 27.0], nan_ok=True)
    assert dataset.table()["ward"].tolist() == ["ward a", None, "ward Ä"]
    assert dataset.table()["key"].tolist() == [f"{0:08}-0000-0000-0000-{row:012}" for row in (1, 2, 3)]
    assert dataset.unready() == "age"


def test_keys_of_type_uuid_and_booleans_are_ids_and_features(books: URL) -> None:
    dataset = loaded(books, "SELECT key AS id, age > 30 AS old, defaulted FROM loans;")
    assert [each[-1] for each in dataset.ids] == ["1", "2", "3"]
    assert dataset.features[:, 0].tolist() == [1.0, 1.0, 0.0]


def test_a_query_may_hold_colons_and_per_cents(books: URL) -> None:
    query = "SELECT id, age::float8, '%s :a'::text AS defaulted FROM loans WHERE id LIKE '%' -- 100 %"
    assert set(labels(loaded(books, query), ("%s :a", "x"))) == {"%s :a"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "SELECT id, since, defaulted FROM loans",
            "row 1, column 'since': a date is neither number, boolean nor text; cast the column in the query",
        ),
        (
            "SELECT id, nullif(age, 44) AS age, defaulted FROM loans",
            "row 2, column 'age': no value",
        ),
        (
            "SELECT id, income / 0.0 AS income, defaulted FROM loans",
            "division by zero",
        ),
        (
            "SELECT id, 'NaN'::numeric AS x, defaulted FROM loans",
            "row 1, column 'x': 'nan' is not a finite number",
        ),
        ("SELECT id, age, age, defaulted FROM loans", "columns 2 and 3 are both 'age'"),
        ("SELECT id, age FROM lones", 'relation "lones" does not exist'),
        ("SELECT id, age FROM loans WHERE false", "no rows"),
    ],
)
def test_what_can_not_serve_is_located(books: URL, query: str, expected: str) -> None:
    assert complaint(lambda: loaded(books, query)).startswith(expected)


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM loans RETURNING *",
        "WITH gone AS (DELETE FROM loans RETURNING *) SELECT * FROM gone",
        "SELECT 1 AS id, 2 AS x) AS t; COMMIT; DROP TABLE loans; SELECT * FROM (SELECT 1",
        "SELECT 1 AS id, nextval('numbers') AS x",
    ],
)
def test_a_query_can_only_read(books: URL, query: str) -> None:
    with psycopg.connect(address(books, drivername="postgresql")) as connection:
        connection.execute("CREATE SEQUENCE IF NOT EXISTS numbers")
    assert complaint(lambda: loaded(books, query))
    assert loaded(books).rows == 3


def test_a_query_that_takes_too_long_is_given_up(books: URL) -> None:
    question = Question("SELECT 1 AS id, pg_sleep(60)::text AS x", "id", 0.1)
    text = complaint(lambda: read_query("loans", books, question))
    assert text == "took longer than timeout_s = 0.1"


def test_a_server_that_has_fallen_silent_is_left(books: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the server's own timeout never came."""
    monkeypatch.setattr(queries, "CONNECT_S", 1)
    monkeypatch.setattr(queries, "time_limit", lambda timeout_s: "SET LOCAL statement_timeout = 0")
    question = Question("SELECT 1 AS id, pg_sleep(60)::text AS x", "id", 0.1)
    text = complaint(lambda: read_query("loans", books, question))
    assert text.startswith("no answer from the server for 1.1 s")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"password": "s3cr3t-but-wrong"}, 'password authentication failed for user "hansa"'),
        ({"database": "nowhere"}, 'database "nowhere" does not exist'),
        ({"port": 1}, "onnection refused"),
    ],
)
def test_a_server_that_refuses_is_named_without_the_password(
    books: URL, changes: dict[str, Any], expected: str
) -> None:
    text = complaint(lambda: read_query("loans", books.set(**changes), Question(QUERY, "id", 5)))
    assert expected in text
    assert "s3cr3t" not in text


def test_a_missing_driver_is_named_with_the_way_to_install_it(
    books: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    text = complaint(lambda: loaded(books))
    assert text == "needs psycopg: pip install 'hansa[postgresql]'"
