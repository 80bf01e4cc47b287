"""`hansa data withdraw`, `prove` and `check`, and where rows withdrawn since are shown; no broker is needed."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hansa.agents.cli import data, job, main, withdrawal
from hansa.agents.home import Home
from hansa.agents.local import LocalFederation
from hansa.agents.service.office import Office, Order
from tests.agents.data.test_orders import Registering
from tests.agents.data.test_withdrawing import TABLE, founded, specification
from tests.agents.offices import office

NAMES = ("cards", "coins", "debts", "goods")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFederation]:
    with founded(tmp_path_factory.mktemp("withdrawal") / "homes", NAMES) as federation:
        yield federation


@pytest.fixture
def home(local: LocalFederation, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return north's home; what commands ask of a running agent is asked of the one in this process."""

    @contextmanager
    def reach(home: Home, alone: bool = True) -> Iterator[Callable[..., dict[str, Any]]]:
        at = office(local, home.path.name)
        yield lambda what, timeout_s=0.0: carried_out(
            what, Office(at.home, at.agent, at.transport, Registering(local=local))
        )

    def carried_out(what: Order, at: Office) -> dict[str, Any]:
        told = what.carry_out(at)
        local.settle()
        return told

    for module in (data, job, withdrawal):
        monkeypatch.setattr(module, "reach", reach)
    return local.folder / "north"


def hansa(*words: object) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(main, [str(word) for word in words])


def said(*words: object) -> str:
    done = hansa(*words)
    assert done.exit_code == 0, done.output
    return done.stdout


def refusal(*words: object) -> str:
    done = hansa(*words)
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.output
    return done.stderr


def test_rows_are_withdrawn_and_counted(home: Path, tmp_path: Path) -> None:
    before = json.loads(said("data", "list", "--json", "--home", home).splitlines()[0])
    assert (before["name"], before["rows"], before["withdrawn"]) == ("cards", 40, 0)
    (tmp_path / "ids.txt").write_text("\ufeffn-5\n\n n-6 \nn-5\n", encoding="utf-8")
    told = said(
        *("data", "withdraw", "cards", "--id", "n-4", "--ids-from", tmp_path / "ids.txt", "--home", home)
    )
    assert told.splitlines()[0] == "cards: 3 rows withdrawn, and what opens their commitments erased"
    assert "backups made before, and old blocks of the disk" in told
    listed = said("data", "list", "--home", home)
    assert f"40 rows (3 withdrawn), 4 columns on the ledger  {before['commitment'][:12]}  cards.csv" in listed
    assert "40 rows, 4 columns on the ledger  " in listed
    assert "withdrawn already: id 'n-4'" in refusal(
        "data", "withdraw", "cards", "--id", "n-4", "--reason", "again", "--home", home
    )
    again = said(
        *("data", "add", home / "cards.csv", "--name", "cards", "--target", "label", "--replace"),
        *("--home", home),
    )
    assert "  3 rows withdrawn before: left out, in every job too\n" in again
    assert "37 rows, 4 columns" in said("data", "list", "--home", home)


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ((True, False), "cards: 1 row withdrawn; the agent has still to erase what opens their commitments"),
        (
            (False, False),
            "cards: 1 row on the way to the keeper, which has not chained it yet; no job gets",
        ),
    ],
)
def test_what_is_not_done_yet_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch, answer: tuple[bool, bool], line: str
) -> None:
    @contextmanager
    def reach(home: Home) -> Iterator[Callable[..., dict[str, Any]]]:
        yield lambda what, timeout_s: {"rows": 1, "withdrawn": answer[0], "erased": answer[1]}

    monkeypatch.setattr(withdrawal, "reach", reach)
    assert said("data", "withdraw", "cards", "--id", "n-9", "--home", home).startswith(line)


def test_ids_that_cannot_be_read_or_are_too_many_are_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ids.txt"
    words = ("data", "withdraw", "cards", "--ids-from", file, "--home", home)
    file.write_text("\n\n")
    done = hansa(*words)
    assert (done.exit_code, "no ids; expected one on each line" in done.stderr) == (2, True)
    file.write_bytes(b"\xff\n")
    assert "ids.txt: not UTF-8 text" in refusal(*words)
    monkeypatch.setattr(withdrawal, "MOST_LINE_BYTES", 16)
    file.write_text("n-1\nn-2\n")
    assert "2 ids are too many for one command" in refusal(*words)


def test_an_agent_without_a_federation_has_nothing_to_withdraw(tmp_path: Path) -> None:
    lonely = tmp_path / "lonely"
    said("init", lonely, "--name", "lonely")
    assert "'rows' is not registered: leave the rows out of its table" in refusal(
        "data", "withdraw", "rows", "--id", "a", "--home", lonely
    )
    done = hansa("data", "withdraw", "rows", "--home", lonely)
    assert (done.exit_code, "--reason: missing" in done.stderr) == (2, True)


def test_a_row_is_shown_to_whoever_has_the_file(home: Path, local: LocalFederation, tmp_path: Path) -> None:
    file = tmp_path / "row.json"
    words = ("data", "prove", "coins", "--id", "n-7", "--out", file, "--home", home)
    assert "it holds the row in clear" in said(*words)
    assert file.stat().st_mode & 0o777 == 0o600
    root = json.loads(file.read_text())["root"]
    alone = said("data", "check", file, "--home", tmp_path)
    assert f"{file}: holds: this is row 8 of 40, of data set coins of north\n" in alone
    assert f"of the ledger of local registers 40 rows with this commitment: {root}" in alone
    forged = tmp_path / "forged.json"
    forged.write_text(json.dumps(json.loads(file.read_text()) | {"owner": "\x1b[2Jnorth"}))
    assert "\x1b" not in said("data", "check", forged, "--home", tmp_path)
    east = local.folder / "east"
    assert said("data", "check", file, "--home", east).endswith("of this copy of the ledger\n")
    said("data", "withdraw", "coins", "--id", "n-7", "--home", home)
    assert said("data", "check", file, "--home", east).endswith("; withdrawn since\n")
    told = json.loads(said("data", "check", file, "--json", "--home", east))
    assert (told["owner"], told["row"], told["on_ledger"], told["withdrawn"]) == ("north", 7, True, True)
    assert "row 'n-7' is withdrawn; nobody can open it" in refusal(*words)
    assert "no row 'n-77' among the rows registered" in refusal(*words[:4], "n-77", *words[5:])


@pytest.mark.parametrize("change", [{"entry": 0}, {"entry": 10**9}, {"entry": -1}, {"federation": "other"}])
def test_a_row_of_no_registered_data_set_is_refused(
    home: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    file = tmp_path / "row.json"
    said("data", "prove", "debts", "--id", "n-7", "--out", file, "--home", home)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert "ledger registers no such data set" in refusal("data", "check", file, "--home", home)


def test_what_is_not_in_the_table_any_more_cannot_be_shown(home: Path, tmp_path: Path) -> None:
    words = ("data", "prove", "debts", "--id", "n-7", "--out", tmp_path / "row.json", "--home", home)
    table = home / "cards.csv"
    try:
        table.write_text(TABLE.replace("n-7,", "m-7,"))
        assert "no row 'n-7' in the table" in refusal(*words)
        table.write_text(TABLE.replace("n-7,0", "n-7,1"))
        assert "this row, or the table's columns, have changed" in refusal(*words)
    finally:
        table.write_text(TABLE)


def test_a_data_set_gone_from_agent_toml_shows_no_row(
    home: Path, local: LocalFederation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(local.agents["north"].datasets, "goods")
    assert "'goods' is not in agent.toml" in refusal(
        "data", "prove", "goods", "--id", "n-7", "--out", tmp_path / "row.json", "--home", home
    )


def test_models_that_used_withdrawn_rows_are_marked_wherever_they_are_shown(
    home: Path, local: LocalFederation, tmp_path: Path
) -> None:
    local.run(specification("trial"))
    said("data", "withdraw", "rows", "--id", "3", "--id", "7", "--home", home)
    aggregator, model = local.folder / "aggregator", tmp_path / "trial.json"
    assert "led by aggregator; 2 rows withdrawn since\n" in said("job", "list", "--home", home)
    assert json.loads(said("job", "list", "--json", "--home", home))["rows_withdrawn"] == {"north": 2}
    shown = said("job", "result", "trial", "--home", home)
    assert "  may have used rows that are withdrawn since: north 2\n" in shown
    said("model", "export", "trial", "--home", aggregator, "--out", model)
    assert json.loads(model.read_text())["metadata"]["withdrawn"] == {"north": 2}
    (tmp_path / "new.csv").write_text("id,x0,x1,x2,x3\n1,1,2,3,4\n")
    done = hansa("predict", model, tmp_path / "new.csv")
    assert done.exit_code == 0, done.output
    assert done.stderr == f"{model}: may have used rows that are withdrawn since: north 2\n"
