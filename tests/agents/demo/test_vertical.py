"""`hansa demo vertical` as a person types it, with short keys: those of real size are for the benchmarks."""

import csv
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from hansa.agents import local
from hansa.agents.cli import main
from hansa.agents.demo import vertical
from hansa.agents.demo.pooled import score_alone
from hansa.agents.demo.vertical import NEW, PLANS, STRANGERS, Plan
from hansa.agents.local import Member
from hansa.ledger import LedgerStore, ModelUsed, RowsAligned, decode_body, read_entry
from hansa.protocols.vertical import LinearSettings, LogisticSettings

POT = "1234.57"
TRIAL = {"guard": False, "key_bits": 512, "epochs": 12}


def hansa(*arguments: object, columns: int = 110, charset: str = "utf-8") -> Result:
    runner = CliRunner(env={"COLUMNS": str(columns)}, charset=charset)
    return runner.invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module", autouse=True)
def short_keys() -> Iterator[None]:
    """Let the jobs have short keys, and threads: processes would take longer to start than to work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "WorkerProcesses", ThreadPoolExecutor)
        plans = tuple(replace(plan, settings={**plan.settings, **TRIAL}) for plan in PLANS)
        patch.setattr(vertical, "PLANS", plans)
        patch.setattr(vertical, "_member", partial(unguarded, vertical._member))
        yield


def unguarded(make: Callable[[Plan, str], Member], plan: Plan, name: str) -> Member:
    """Return a member whose policy takes jobs without the leak guard, which short keys go with."""
    member = make(plan, name)
    policy = {**member.config["policy"], "unguarded": True}
    return replace(member, config={**member.config, "policy": policy})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "federation"


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    result = hansa("demo", "vertical", "--folder", folder, "--pot", POT)
    assert result.exit_code == 0, result.output
    return result.stdout


def table(printed: str, title: str) -> list[str]:
    """Return the lines of the table under a title."""
    lines = printed.split(title, 1)[1].split("\n\n")[0].splitlines()
    return [line.strip() for line in lines[1:] if line.strip()]


def ids(folder: Path, party: str, name: str) -> set[str]:
    with (folder / party / f"{name}.csv").open() as file:
        return {row["id"] for row in csv.DictReader(file)}


def test_it_says_who_holds_what(printed: str, folder: Path) -> None:
    for plan in PLANS:
        for party, (organisation, part) in plan.holders.items():
            width = part.stop - part.start
            target = f"{plan.target} *" if party == plan.guest else ""
            line = rf"^{party} +{organisation} +{plan.dataset} +(\d+) +{width} *{target}$"
            [rows] = re.findall(line, printed, re.MULTILINE)
            known = len(ids(folder, party, plan.dataset))
            assert int(rows) in (known, known - NEW)  # a host knows the new customers, too
    assert re.search(r"^arbiter .*key, and the ledger", printed, re.MULTILINE)


def test_it_aligns_the_rows_that_all_have(printed: str, folder: Path) -> None:
    for plan in PLANS:
        common = set.intersection(*(ids(folder, party, plan.dataset) for party in plan.holders))
        told = printed.split(plan.title, 1)[1]
        assert re.search(rf"aligned in [\d.]+ s: .*{plan.guest} knows \d+", told)
        assert int(re.search(r"(\d+) rows in common", told)[1]) == len(common)  # type: ignore[index]


def test_it_shows_the_loss_of_every_epoch(printed: str) -> None:
    epochs = TRIAL["epochs"]
    for told in printed.split("aligned in")[1:]:
        shown = re.findall(rf"epoch +(\d+)/{epochs}  loss ([\d.]+)$", told, re.MULTILINE)
        assert len(shown) >= epochs - 1  # the last event may come after the job has ended
        assert float(shown[-1][1]) < float(shown[0][1])


def test_it_ends_with_the_figures_of_both_models(printed: str) -> None:
    header, *models = table(printed, "on the rows held out")
    assert header.split() == ["model", "rows", "metric", "V_FED", "V_SUM", "δ", "guest", "alone", "epoch"]
    assert len(models) == len(PLANS)
    for line, metric, least in zip(models, ("AUC", "R²"), (0.85, 0.1), strict=True):
        numbers = re.search(rf"{metric} +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+) +[\d.]+ s$", line)
        assert numbers is not None
        federated, pooled, delta, alone = map(float, numbers.groups())
        assert delta == pytest.approx(abs(federated - pooled), abs=1.1e-4)  # of rounded figures
        assert delta < 0.15  # another start, and few epochs; rows are held out at random
        assert min(federated, pooled, alone) > least


def test_it_says_how_long_each_phase_has_kept_processors_busy(printed: str) -> None:
    lines = table(printed, "seconds of computing, all roles together")
    spent = {line.rsplit(maxsplit=1)[0]: float(line.split()[-1]) for line in lines}
    assert {"alignment: X25519", "encrypt scores", "columns × encrypted residuals", "open gradients"} < set(
        spent
    )
    assert all(seconds >= 0 for seconds in spent.values())


def test_new_customers_are_predicted_and_strangers_are_not(printed: str, folder: Path) -> None:
    _, *lines = table(printed, "joint prediction")
    *rows, verdict = (line.split() for line in lines[-NEW - STRANGERS - 1 :])
    assert {row[0] for row in rows} == ids(folder, "bank", "newcomers")
    strangers = ids(folder, "bank", "newcomers") - ids(folder, "shop", "customers")
    assert {row[0] for row in rows if row[1:] == ["not", "known", "to", "all"]} == strangers
    assert len(strangers) == STRANGERS
    right = sum(row[1] == row[2] for row in rows if row[0] not in strangers)
    assert verdict == [str(right), "of", str(NEW), "right"]
    assert right > NEW / 2


def test_no_new_customer_was_trained_on(printed: str, folder: Path) -> None:
    assert not ids(folder, "bank", "newcomers") & ids(folder, "bank", "customers")


def test_the_shares_are_by_cells_and_add_up_to_the_pot(printed: str) -> None:
    header, *shares, pot = table(printed, "shares by data volume")
    assert header.split() == ["party", "cells", "share", "EUR"]
    amounts = {line.split()[0]: float(line.split()[-1].replace(",", "")) for line in shares}
    cells = {line.split()[0]: int(line.split()[1]) for line in shares}
    assert cells["shop"] == 2 * cells["bank"]  # 20 columns and 10
    assert sum(amounts.values()) == pytest.approx(float(POT))
    assert amounts["shop"] == pytest.approx(2 * amounts["bank"], abs=0.02)
    assert pot.split() == ["pot", str(sum(cells.values())), "1,234.57"]


def test_the_folder_it_leaves_verifies_as_it_says(printed: str, folder: Path) -> None:
    said = re.search(r"ledger verified: (\d+) entries, head ([0-9a-f]{16})", printed)
    assert said is not None
    result = hansa("ledger", "verify", folder, columns=160)
    assert result.exit_code == 0, result.output
    assert result.stdout.count(said[0]) == 6


def test_the_ledger_knows_the_alignments_and_the_use_of_the_model(printed: str, folder: Path) -> None:
    found = bodies(folder / "bank" / "ledger.sqlite")
    assert [body.job for body in found if isinstance(body, RowsAligned)] == [
        f"{plan.job}-rows" for plan in PLANS
    ]
    [used] = [body for body in found if isinstance(body, ModelUsed)]
    assert used.rows == NEW


def bodies(file: Path) -> list[object]:
    store = LedgerStore.open(f"sqlite:///{file}")
    entries = [read_entry(entry.signed) for entry in store.read()]
    store.close()
    return [decode_body(entry.kind, entry.schema, entry.body) for entry in entries]


def test_an_earlier_demo_is_replaced_only_when_asked_to(printed: str, folder: Path) -> None:
    result = hansa("demo", "vertical", "--folder", folder)
    assert result.exit_code == 1
    assert "not empty" in result.stderr
    assert not result.stdout


def test_a_narrow_terminal_of_ascii_and_a_folder_in_brackets_are_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(vertical.PLANS[0], settings={**vertical.PLANS[0].settings, "epochs": 1})
    monkeypatch.setattr(vertical, "PLANS", (plan,))
    folder = tmp_path / "[red]my [/] new"
    result = hansa("demo", "vertical", "--folder", folder, "--seed", 3, columns=80, charset="ascii")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.split("\nLeft in ")[0].splitlines())) <= 80
    assert " delta " in result.stdout
    assert "/[red]my [/] new: the homes of all agents" in result.stdout


@pytest.mark.parametrize("pot", ["a lot", "0", "0.001"])
def test_a_pot_must_be_an_amount_of_money(tmp_path: Path, pot: str) -> None:
    result = hansa("demo", "vertical", "--folder", tmp_path / "new", f"--pot={pot}")
    assert result.exit_code == 1
    assert f"--pot {pot}:" in result.stderr
    assert not (tmp_path / "new").exists()


# --- the same learner in plaintext ---------------------------------------------------------------------------
def test_the_learner_alone_ends_where_least_squares_are() -> None:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(500, 4)) * [1, 2, 3, 4]
    y = X @ [1.0, 0.5, -1.0, 0.2] + generator.normal(size=500)
    settings = LinearSettings("a", epochs=60, learning_rate=0.5, batch=0, holdout=0.2)
    found = score_alone([X[:, :1], X[:, 1:]], y, settings, 1)
    expected = r2_score(y[400:], LinearRegression().fit(X[:400], y[:400]).predict(X[400:]))
    assert found == pytest.approx(expected, abs=0.005)
    labels = (y > 0).astype(np.int64)
    assert score_alone([X], labels, LogisticSettings("a", epochs=60, learning_rate=1.0), 1) > 0.9
    assert score_alone([X[:, 3:]], labels, LogisticSettings("a", epochs=60, learning_rate=1.0), 1) < 0.8
