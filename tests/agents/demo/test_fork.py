"""`hansa demo fork` as a person types it, and what it leaves."""

import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from hansa.agents.cli import main
from hansa.agents.demo import fork, forktale, telling
from hansa.agents.demo.crew import Crew
from hansa.agents.demo.fork import DECEIVED, KEEPER, SUCCESSOR, WITNESS, Outcome
from hansa.agents.errors import AgentError
from hansa.agents.home import Home
from hansa.ledger import LedgerStore, read_entry

COLUMNS = 80


def hansa(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": str(COLUMNS)}).invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "federation"


@pytest.fixture(scope="module")
def told(folder: Path) -> tuple[Outcome, str]:
    """Run the demo; return what has happened and what was printed."""
    console = Console(file=io.StringIO(), width=COLUMNS)
    outcome = fork.run_demo(folder, replace=False, seed=7, console=console)
    assert isinstance(console.file, io.StringIO)
    return outcome, console.file.getvalue()


@pytest.fixture(scope="module")
def outcome(told: tuple[Outcome, str]) -> Outcome:
    return told[0]


@pytest.fixture(scope="module")
def printed(told: tuple[Outcome, str]) -> str:
    return told[1]


@pytest.fixture
def store(told: object, folder: Path) -> Iterator[LedgerStore]:
    found = Home(folder / SUCCESSOR).stored()
    yield found
    found.close()


def test_the_first_job_is_final_before_anything_is_wrong(outcome: Outcome, store: LedgerStore) -> None:
    head = outcome.before.checkpoint
    assert (head.keeper, head.epoch) == (KEEPER, 0)
    assert len(outcome.before.cosigned) >= 2
    assert store.tree().root(head.size) == head.root


def test_the_two_histories_would_pay_differently_and_all_members_find_out(outcome: Outcome) -> None:
    first, second = outcome.told
    assert first.shares[DECEIVED] == second.shares[DECEIVED] == second.shares[SUCCESSOR]
    assert first.shares[SUCCESSOR] > second.shares[SUCCESSOR]  # of one pot the deceived would get more
    assert first.head.checkpoint.keeper == second.head.checkpoint.keeper == KEEPER
    assert first.head.checkpoint.root != second.head.checkpoint.root
    assert outcome.caught.keys() == {SUCCESSOR, WITNESS, DECEIVED}
    assert all("has signed two histories" in when.words for when in outcome.caught.values())


def test_who_is_caught_gets_no_job_and_no_name(outcome: Outcome) -> None:
    shunned = outcome.shunned
    assert shunned.over.outcome == "aborted"
    assert shunned.refused
    assert shunned.awaited.named == ()
    assert "hansa ledger evidence" in shunned.reason


def test_another_takes_over_and_nothing_final_is_lost(outcome: Outcome, store: LedgerStore) -> None:
    takeover = outcome.takeover
    assert (takeover.head.keeper, takeover.head.epoch) == (SUCCESSOR, 1)
    assert {SUCCESSOR, WITNESS} <= {*takeover.agreed}
    assert takeover.root == takeover.final.root
    aside = {entry.index: read_entry(entry.signed) for entry in takeover.aside}
    assert {said.author for said in aside.values()} == {KEEPER, DECEIVED}
    assert takeover.again
    assert {aside[index].author for index in takeover.again} == {DECEIVED}
    for index, place in takeover.again.items():
        [entry] = store.read(place, place + 1)
        assert entry.signed == next(each.signed for each in takeover.aside if each.index == index)


def test_the_next_job_is_final_under_the_new_keeper(outcome: Outcome) -> None:
    assert (outcome.after.checkpoint.keeper, outcome.after.checkpoint.epoch) == (SUCCESSOR, 1)
    assert {each.member for each in outcome.after.cosigned} >= {WITNESS, DECEIVED}
    assert outcome.report.final_size == outcome.after.checkpoint.size == outcome.report.size


def test_the_audit_holds_and_tells_of_the_fork(outcome: Outcome) -> None:
    assert outcome.report.holds
    concerns = [each.text for each in outcome.report.findings if each.subject == "evidence" and each.concern]
    assert any("has signed two histories" in text for text in concerns)


def test_each_counterfeit_is_found(outcome: Outcome, printed: str) -> None:
    changed, resigned, rolled_back = outcome.found.values()
    assert "does not have its hash" in changed
    assert "signature is not its author's" in resigned
    assert "The head that you have seen" in rolled_back
    assert "NOT FOUND" not in printed


def test_what_is_printed_fits_a_terminal(printed: str) -> None:
    lines = printed.split("Left in")[0].splitlines()[:-1]
    assert max(map(len, lines)) <= COLUMNS
    assert [line[0] for line in lines if re.match(r"\d  \S", line)] == ["1", "2", "3", "4"]


def test_each_command_of_the_farewell_works_as_typed(printed: str, folder: Path) -> None:
    commands = [shlex.split(line)[1:] for line in printed.split("Try:")[1].strip().splitlines()]
    results = {line[1]: hansa(*line) for line in commands[:-1]}
    assert [*results] == ["checkpoints", "evidence", "prove", "check-proof", "audit"]
    for command, result in results.items():
        assert result.exit_code == (command == "evidence"), result.output
    assert "epoch 1 bremen" in results["checkpoints"].stdout
    assert "lubeck, who kept the ledger in epoch 0, has signed two" in results["evidence"].stdout
    assert "digits-1" in results["check-proof"].stdout
    assert "HOLDS" in results["audit"].stdout
    rolled_back = hansa(*commands[-1])
    assert rolled_back.exit_code == 1
    assert "DOES NOT HOLD" in rolled_back.stdout
    assert "<html" in (folder / "audit" / "report.html").read_text()
    again = hansa("demo", "fork", "--folder", folder)
    assert again.exit_code == 1
    assert "--replace" in again.stderr


def test_a_crew_says_who_has_failed_and_does_not_wait_for_ever(told: object, folder: Path) -> None:
    with Crew(fork.FEDERATION, fork.ORGANISATIONS) as crew:
        agent = crew.start(Home(folder / WITNESS))
        with pytest.raises(AgentError, match="not done within 0 s"):
            crew.until(lambda: False, 0.0)
        agent.step = None  # type: ignore[assignment,method-assign]
        with pytest.raises(AgentError, match=f"agent {WITNESS} failed: TypeError"):
            crew.until(lambda: False)


def test_each_way_of_finding_out_is_said() -> None:
    fork_ = "the keeper has signed two histories: "
    assert forktale._how(f"{fork_}east was shown 3 entries, which is not in our copy").startswith(
        "east told it"
    )
    assert forktale._how(f"{fork_}words; west has told us, and proves it").startswith(
        "west sent it the proof"
    )
    assert forktale._how(f"{fork_}entry 5 of two").startswith("two signatures")


def test_a_terminal_without_tick_marks_is_written_to_as_well() -> None:
    console = Console(file=io.TextIOWrapper(io.BytesIO(), encoding="ascii"), width=COLUMNS)
    assert "+" in telling.mark(console, True)
    assert "x" in telling.mark(console, False)
