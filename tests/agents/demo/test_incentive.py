"""`hansa demo incentive` as a person types it, and what it leaves."""

import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from hansa.agents.cli import main
from hansa.agents.demo import incentive, incentivetale
from hansa.agents.demo.hands import Hands
from hansa.agents.demo.incentive import Outcome
from hansa.agents.demo.sixkinds import (
    COPY,
    DATASET,
    HELD_OUT,
    KINDS,
    LITTLE,
    MUCH,
    NOISY,
    POISONER,
    RIDER,
    IdleRegistry,
    deal,
)
from hansa.agents.errors import AgentError
from hansa.agents.home import Home
from hansa.agents.local import AGGREGATOR, LocalFederation
from hansa.agents.payouts.orders import Finality
from hansa.broker import Identity
from hansa.ledger import LedgerStore, largest_remainder
from hansa.ledger.contribution import METHODS, weights
from hansa.protocols import ModelShape

COLUMNS = 80
POT_MINOR = 1_000_000


def hansa(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": str(COLUMNS)}).invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "federation"


@pytest.fixture(scope="module")
def told(folder: Path) -> tuple[Outcome, str]:
    """Run the demo; return what has happened and what was printed."""
    console = Console(file=io.StringIO(), width=COLUMNS)
    outcome = incentive.run_demo(folder, replace=False, seed=7, pot="10000.00", console=console)
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
    found = Home(folder / AGGREGATOR).stored()
    yield found
    found.close()


# --- contributions ----------------------------------------------------------------------------------------
def test_exact_shapley_tells_the_six_kinds_apart(outcome: Outcome) -> None:
    exact = outcome.compared[0].shares
    assert min(exact[MUCH], exact[COPY]) > exact[LITTLE] > 0
    assert exact[LITTLE] > exact[NOISY]
    assert max(exact[RIDER], exact[POISONER]) < 0
    assert float(abs(exact[MUCH] - exact[COPY])) < 0.1 * float(exact[MUCH])


def test_all_methods_are_compared_from_the_ledger_with_the_jobs_seed(
    outcome: Outcome, store: LedgerStore
) -> None:
    assert {each.name for each in outcome.compared} == {*METHODS}
    rounds = incentive.valued(store)
    assert [body.round for body in rounds] == [*range(1, incentive.ROUNDS + 1)]
    assert {len(body.values) for body in rounds} == {2 ** len(KINDS)}
    exact, *others = outcome.compared
    assert exact.values == exact.of == incentive.ROUNDS * 2 ** len(KINDS)
    for each in others:
        assert each.values < each.of or each.name == "banzhaf"
        assert each.error > 0


def test_leave_one_out_misses_nobody_who_was_copied_and_volume_pays_the_rider(outcome: Outcome) -> None:
    found = {each.name: each.shares for each in outcome.compared}
    assert found["leave-one-out"][MUCH] < found["shapley"][MUCH] / 2
    assert found["volume"][RIDER] == found["volume"][MUCH] > 0


# --- money ------------------------------------------------------------------------------------------------
def test_the_pot_is_paid_by_exact_shapley_to_the_cent(outcome: Outcome) -> None:
    amounts = outcome.paid.sheet.amounts
    assert sum(amounts.values()) == POT_MINOR
    assert amounts == largest_remainder(POT_MINOR, weights(outcome.compared[0].shares).whole)
    assert amounts[RIDER] == amounts[POISONER] == 0


def test_the_riders_dispute_is_overruled_by_all_others_and_by_no_fewer(outcome: Outcome) -> None:
    paid = outcome.paid
    assert {*paid.approved, *paid.at_last} == {*KINDS} - {RIDER}
    assert f"payout {paid.number} can't be settled" in paid.refusal
    assert paid.at_last[0] in paid.refusal
    [line] = outcome.report.payouts
    assert (line.number, line.status, line.reference) == (paid.number, "settled", incentive.REFERENCE)
    assert line.disputed == {RIDER: paid.disputed}


def test_the_audit_recomputes_it_and_a_cent_that_was_moved_is_found_and_named(outcome: Outcome) -> None:
    assert outcome.report.holds
    assert any("recomputed to the cent" in each.text for each in outcome.report.findings)
    assert f"entry {outcome.paid.number}" in outcome.found.lower()
    assert f"{RIDER}: expected 0.00 EUR, found 0.01 EUR" in outcome.found


# --- what is printed --------------------------------------------------------------------------------------
def test_what_is_printed_fits_a_terminal(printed: str) -> None:
    lines = printed.split("Left in")[0].splitlines()[:-1]
    assert max(map(len, lines)) <= COLUMNS
    assert [line[0] for line in lines if re.match(r"\d  \S", line)] == ["1", "2", "3", "4"]
    assert "NOT FOUND" not in printed


def test_the_table_has_each_method_beside_exact_shapley(printed: str, outcome: Outcome) -> None:
    exact = outcome.compared[0]
    gain = sum(exact.shares.values())
    for each in outcome.compared:
        [line] = re.findall(rf"^   {each.name} .*%$", printed, re.MULTILINE)
        figures = [*map(float, re.findall(r"-?\d+\.\d(?=[ %])", line))]
        assert figures[: len(KINDS)] == [
            pytest.approx(float(100 * each.shares[name] / gain), abs=0.06) for name in KINDS
        ]
        assert line.endswith(f"{each.values / each.of:.0%}")


def test_each_command_of_the_farewell_works_as_typed(printed: str, folder: Path) -> None:
    commands = [shlex.split(line)[1:] for line in printed.split("Try:")[1].strip().splitlines()]
    results = [hansa(*line) for line in commands]
    report, payout, good, bad, shown = results
    for result in (report, payout, good, shown):
        assert result.exit_code == 0, result.output
    assert "settled" in report.stdout
    assert "disputed by rider" in payout.stdout
    assert "HOLDS" in good.stdout
    assert bad.exit_code == 1
    assert "DOES NOT HOLD" in bad.stdout
    [page] = re.findall(r"^  (.*payouts\.html)$", printed, re.MULTILINE)
    assert "<html" in Path(page).read_text()
    again = hansa("demo", "incentive", "--folder", folder)
    assert again.exit_code == 1
    assert "--replace" in again.stderr


def test_a_terminal_of_ascii_is_written_to_as_well(outcome: Outcome) -> None:
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding="ascii"), width=COLUMNS)
    incentivetale.print_settlement(console, outcome.paid, incentive.REFERENCE)
    incentivetale.print_one_cent(console, "")
    console.file.flush()
    assert b"NOT FOUND" in raw.getvalue()
    assert outcome.paid.disputed.encode()[:20] in raw.getvalue()


# --- its parts --------------------------------------------------------------------------------------------
def test_the_rows_are_what_each_kind_brings(tmp_path: Path) -> None:
    for name in (AGGREGATOR, *KINDS):
        (tmp_path / name).mkdir()
    rows = deal(tmp_path, AGGREGATOR, seed=1)
    held_out = pl.read_csv(tmp_path / AGGREGATOR / f"{HELD_OUT}.csv")
    tables = {name: pl.read_csv(tmp_path / name / f"{DATASET}.csv").drop("id") for name in KINDS}
    assert rows == {AGGREGATOR: held_out.height, **{name: table.height for name, table in tables.items()}}
    assert tables[MUCH].equals(tables[COPY])
    assert rows[MUCH] == rows[RIDER] > rows[NOISY] > rows[LITTLE] > rows[POISONER]
    pixels = [f"p{place:02d}" for place in range(64)]
    trained = pl.concat([tables[name] for name in (MUCH, LITTLE)]).select(pixels)
    assert held_out.select(pixels).join(trained, on=pixels).height == 0


def test_what_the_rider_has_installed_never_trains() -> None:
    shape = ModelShape(2, (0, 1))
    model = IdleRegistry().create("softmax", shape, {}, 0)
    X, y = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 1])
    given = [each + 1.0 for each in model.get_parameters()]
    model.set_parameters(given)
    before = model.evaluate(X, y)
    model.fit(X, y, seed=0)
    assert all(np.array_equal(one, other) for one, other in zip(model.get_parameters(), given, strict=True))
    assert model.evaluate(X, y) == before
    assert model.predict(X).shape == (2,)


def test_a_payout_waits_for_the_jobs_end_to_be_final_and_not_for_ever(
    outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([False, True])

    def answer(_: object, __: str, what: object) -> dict[str, object]:
        return {"final": next(answers, False)} if isinstance(what, Finality) else outcome.paid.sheet.as_json()

    monkeypatch.setattr(incentive, "order", answer)
    local = cast(LocalFederation, None)
    assert incentive._draft(local) == outcome.paid.sheet
    monkeypatch.setattr(incentive, "PATIENCE_S", 0.0)
    with pytest.raises(AgentError, match="did not become final within 0 s"):
        incentive._draft(local)


def test_hands_stand_for_a_daemon_and_do_nothing_by_themselves() -> None:
    identity = Identity.generate("north")
    hands = Hands(identity.public)
    assert hands.keys() == identity.public
    assert hands.health().state == "ready"
    assert hands.reload() == ""
    hands.stop()
    assert replace(hands, started=1.0).started == 1.0
