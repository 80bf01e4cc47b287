"""`hansa demo lending` as a person types it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hansa.agents.cli import main
from hansa.agents.demo import lending
from hansa.agents.demo.lending import BANKS, THRESHOLD, Book, compare, lend
from hansa.ledger import JobFinished, LedgerStore, RowsAligned, decode_body, read_entry

COLUMNS = ("borrowers", "found", "share", "correct", "missed", "wrong")


def hansa(*arguments: object, columns: int = 80, charset: str = "utf-8") -> Result:
    runner = CliRunner(env={"COLUMNS": str(columns)}, charset=charset)
    return runner.invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Let the banks have a tenth of the demo's borrowers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lending, "PEOPLE", lending.PEOPLE // 10)
        smaller = {name: replace(bank, borrowers=bank.borrowers // 10) for name, bank in BANKS.items()}
        patch.setattr(lending, "BANKS", smaller)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "federation"


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    result = hansa("demo", "lending", "--folder", folder)
    assert result.exit_code == 0, result.output
    return result.stdout


def found(printed: str) -> dict[str, dict[str, float]]:
    """Return the figures of each bank."""
    lines = printed.split("who borrows at", 1)[1].splitlines()[2:]
    rows = {}
    for line in lines[: len(BANKS)]:
        name, *figures = line.split()
        numbers = (float(figure.replace(",", "").rstrip("%")) for figure in figures)
        rows[name] = dict(zip(COLUMNS, numbers, strict=True))
    return rows


def test_it_says_who_holds_how_many(printed: str) -> None:
    for name, bank in lending.BANKS.items():
        assert re.search(rf"^{name} +{bank.organisation} +{bank.borrowers:,} +[\d,]+$", printed, re.MULTILINE)
    assert re.search(r"^bureau +no rows, no key", printed, re.MULTILINE)


def test_each_bank_finds_all_of_its_own_and_no_others(printed: str) -> None:
    rows = found(printed)
    assert rows.keys() == BANKS.keys()
    for name, row in rows.items():
        assert row["borrowers"] == lending.BANKS[name].borrowers
        assert 0 < row["correct"] == row["found"] < row["borrowers"]
        assert row["missed"] == row["wrong"] == 0
        assert 0 < row["share"] < 100
    assert "0 differences from a plain count" in printed


def test_it_counts_the_people_once(printed: str, folder: Path) -> None:
    lists = [(folder / name / "borrowers.csv").read_text().split()[1:] for name in BANKS]
    everybody = [line.split(",")[0] for rows in lists for line in rows]
    often = sum(everybody.count(person) >= THRESHOLD for person in set(everybody))
    assert f"3 or more of 5 banks? {often} people" in printed


def test_it_says_what_nobody_has_learned(printed: str) -> None:
    said = printed.split("what nobody has learned:")[1].split("\n\n")[0]
    assert re.findall(r"^ · (?:a |the )?(\w+)", said, re.MULTILINE) == ["bank", "bureau", "who"]


def test_the_folder_it_leaves_verifies_as_it_says(printed: str, folder: Path) -> None:
    said = re.search(r"ledger verified: (\d+) entries, head ([0-9a-f]{16})", printed)
    assert said is not None
    result = hansa("ledger", "verify", folder, columns=160)
    assert result.exit_code == 0
    assert result.stdout.count(said[0]) == 1 + len(BANKS)


def test_the_ledger_tells_sizes_and_how_many_and_not_who(printed: str, folder: Path) -> None:
    store = LedgerStore.open(f"sqlite:///{folder / 'bureau' / 'ledger.sqlite'}")
    entries = [read_entry(entry.signed) for entry in store.read()]
    store.close()
    bodies = [decode_body(entry.kind, entry.schema, entry.body) for entry in entries]
    [aligned] = [body for body in bodies if isinstance(body, RowsAligned)]
    assert aligned.sizes == {name: bank.borrowers for name, bank in lending.BANKS.items()}
    assert f"? {aligned.common} people" in printed
    [finished] = [body for body in bodies if isinstance(body, JobFinished)]
    assert finished.model_digest == b""


def test_its_tables_fit_a_terminal_of_80_columns(printed: str) -> None:
    assert max(map(len, printed.split("\nLeft in ")[0].splitlines())) <= 80


def test_a_terminal_of_ascii_and_a_folder_in_brackets_are_fine(tmp_path: Path) -> None:
    folder = tmp_path / "[red]my [/] new"
    result = hansa("demo", "lending", "--folder", folder, "--seed", 3, columns=110, charset="ascii")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.split("\nLeft in ")[0].splitlines())) <= 110
    assert "\n - a bank: who borrows elsewhere" in result.stdout
    assert "/[red]my [/] new: the homes of all agents" in result.stdout


def test_an_earlier_demo_is_replaced_only_when_asked_to(printed: str, folder: Path) -> None:
    before = (folder / "mint" / "borrowers.csv").read_bytes()
    result = hansa("demo", "lending", "--folder", folder)
    assert result.exit_code == 1
    assert "not empty" in result.stderr
    assert "--replace" in result.stderr
    assert not result.stdout
    assert (folder / "mint" / "borrowers.csv").read_bytes() == before


# --- its data -------------------------------------------------------------------------------------------
def test_one_seed_gives_the_same_borrowers_and_another_others() -> None:
    first, again, other = lend(7), lend(7), lend(8)
    assert all(np.array_equal(first[name].ids, again[name].ids) for name in BANKS)
    assert all(np.array_equal(first[name].owed, again[name].owed) for name in BANKS)
    assert not np.array_equal(first["mint"].ids, other["mint"].ids)


def test_nobody_stands_twice_in_a_banks_list_and_numbers_look_like_numbers_of_persons() -> None:
    for book in lend(1).values():
        ids = book.ids.tolist()
        assert len(set(ids)) == len(ids)
        assert all(re.fullmatch(r"\d\d(0[1-9]|1[0-2])[0-3]\d-\d{4}", person) for person in ids)
        assert (book.owed > 0).all()


def test_what_a_bank_was_told_too_much_or_too_little_is_counted() -> None:
    ids = np.array(["x", "y", "z"])
    books = {name: Book(ids, np.array([1.0, 2.0, 7.0])) for name in ("a", "b")}
    books["c"] = Book(np.array(["x", "y", "w"]), np.array([1.0, 1.0, 2.0]))
    told = {"a": np.array([0, 1]), "b": np.array([0, 2]), "c": np.array([], dtype=np.int64)}
    good, mixed, empty = compare(books, told)
    assert (good.found, good.correct, good.missed, good.wrong) == (2, 2, 0, 0)
    assert good.owed == pytest.approx(0.3)
    assert (mixed.found, mixed.correct, mixed.missed, mixed.wrong) == (2, 1, 1, 1)
    assert (empty.found, empty.correct, empty.missed, empty.wrong) == (0, 0, 2, 0)
    assert empty.owed == 0
