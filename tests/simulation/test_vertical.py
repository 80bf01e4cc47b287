"""An alignment and a vertical training on its rows, by whole agents under harm.

`python -m hansa.agents.simulation --vertical --seed N` replays a seed. HANSA_SEEDS as in `test_federation`.
"""

import os
from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from hansa.agents.simulation import (
    CALM,
    GUEST,
    KEEPER,
    PARTIES,
    Harm,
    Run,
    alignment,
    customers,
    simulate,
    vertical,
)
from hansa.agents.simulation.__main__ import main
from hansa.ledger import read_entry
from tests.simulation.seeds import shared_out
from tests.simulation.test_federation import said

SEEDS = int(os.environ.get("HANSA_SEEDS", "500"))
RUNS = max(SEEDS // 50, 5)  # of each kind: a vertical one does as much as three of federated averaging
GROUP = 5
SHARES = 2  # of the points of a run
HOSTS = tuple(party for party in PARTIES if party != GUEST)
COMMON = 50
EXACT = 1e-6  # between two orders of the same rows


@cache
def calm(*, trains: bool = True) -> Run:
    return simulate(CALM, *((alignment(), vertical()) if trains else (alignment(),)))


def ends(run: Run) -> set[str]:
    return {over.outcome if over else "down" for over in run.outcomes.values()}


def rows_are_paired(run: Run) -> bool:
    """Whether all found the same customers, and have them in one order."""
    found = [[customers(party).ids[row] for row in run.results[party].rows] for party in PARTIES]
    return len(set(found[0])) == COMMON and found[0] == found[1] == found[2]


def is_like(run: Run, other: Run) -> bool:
    """Whether two trainings ended with one model; the order of the rows, which is secret, may differ."""
    return all(
        np.allclose(run.results[party].theta, other.results[party].theta, rtol=0, atol=EXACT)
        and abs(run.results[party].intercept - other.results[party].intercept) < EXACT
        and np.allclose(run.results[party].losses, other.results[party].losses, rtol=0, atol=EXACT)
        for party in PARTIES
    )


def agrees(run: Run) -> bool:
    """Whether everybody has a part of the same model."""
    return len({run.results[name].digest for name in (KEEPER, *PARTIES)}) == 1


def kinds(run: Run) -> Counter[str]:
    return Counter(read_entry(entry.signed).kind for entry in run.entries[KEEPER])


def test_the_calm_run_pairs_the_rows_trains_on_them_and_says_each_thing_once() -> None:
    aligned, trained = calm(trains=False), calm()
    assert ends(aligned) == ends(trained) == {"finished"}
    assert rows_are_paired(aligned)
    assert agrees(trained)
    guest = trained.results[GUEST]
    assert guest.losses[1] < guest.losses[0] == pytest.approx(np.log(2))
    assert all(trained.results[host].role == "host" for host in HOSTS)
    counted = said(trained)
    assert counted[KEEPER, "rows-aligned"] == 1
    assert counted[GUEST, "epoch-ended"] == 2
    assert counted[KEEPER, "job-finished"] == 2
    assert counted[KEEPER, "contribution-measured"] == 1
    assert all(counted[party, "job-accepted"] == 2 for party in PARTIES)


@pytest.mark.parametrize("first", shared_out(range(0, RUNS, GROUP), GROUP))
def test_harm_changes_nothing_about_whom_the_parties_have_in_common(first: int) -> None:
    for seed in range(first, first + GROUP):
        run = simulate(Harm(seed=seed), alignment())
        context = f"seed {seed}, killed {run.crashes}"
        assert ends(run) == {"finished"}, context
        assert rows_are_paired(run), context
        assert said(run) == said(calm(trains=False)), context
        assert not run.refused, context


@pytest.mark.parametrize("first", shared_out(range(0, RUNS, GROUP), GROUP))
def test_harm_loses_nothing_doubles_nothing_and_ends_with_the_same_coefficients(first: int) -> None:
    for seed in range(first, first + GROUP):
        run = simulate(Harm(seed=seed), alignment(), vertical())
        context = f"seed {seed}, killed {run.crashes}"
        assert ends(run) == {"finished"}, context
        assert is_like(run, calm()), context
        assert agrees(run), context
        assert said(run) == said(calm()), context
        assert not run.refused, context


@pytest.mark.parametrize("share", shared_out(range(SHARES), 1))
def test_a_kill_at_any_point_changes_nothing(share: int) -> None:
    every = max(calm().points // (RUNS + 2), 1)
    for point in range(every // 2 + 1, calm().points, every)[share::SHARES]:
        run = simulate(replace(CALM, crash_at=point, down_s=5.0), alignment(), vertical())
        context = f"point {point}, killed {run.crashes}"
        assert len(run.crashes) == 1, context
        assert ends(run) == {"finished"}, context
        assert is_like(run, calm()), context
        assert agrees(run), context
        assert said(run) == said(calm()), context


def test_messages_that_overtake_the_start_wait_for_it() -> None:
    waited = 0
    for seed in range(4):
        run = simulate(Harm(seed=seed, crash=0.04, slow=(KEEPER,)), alignment(), vertical())
        context = f"seed {seed}, killed {run.crashes}"
        assert ends(run) == {"finished"}, context
        assert is_like(run, calm()), context
        assert said(run) == said(calm()), context
        assert not run.refused, context
        waited += run.early
    assert waited > 4


@pytest.mark.parametrize("seed", range(3))
def test_batches_and_rows_held_out_survive_harm_too(seed: int) -> None:
    settings = {"holdout": 0.2, "batch": 20, "optimiser": "adam", "show_loss": False}
    run = simulate(Harm(seed=seed), alignment(), vertical(**settings))  # type: ignore[arg-type]
    context = f"seed {seed}, killed {run.crashes}"
    assert ends(run) == {"finished"}, context
    assert agrees(run), context
    closed = run.results[KEEPER]
    assert (closed.metric, closed.rows) == ("auc", 10), context
    assert {run.results[party].score for party in PARTIES} == {closed.score}, context
    assert kinds(run) == kinds(calm()), context


@pytest.mark.parametrize("who", [KEEPER, GUEST, HOSTS[1]])
def test_whoever_vanishes_from_a_training_is_named_by_all_others(who: str) -> None:
    vanished = 0
    for seed in range(2):
        run = simulate(Harm(seed=seed, crash=0.01, vanish=(who,)), alignment(), vertical(600.0))
        if not run.crashes:
            assert ends(run) == {"finished"}, seed
            continue
        others = {KEEPER, *PARTIES} - {who}
        ended = [run.outcomes[name] for name in others]
        if all(over is not None and over.outcome == "finished" for over in ended):
            continue  # it vanished when it had said all that the others needed
        vanished += 1
        for name in others:
            over = run.outcomes[name]
            assert over is not None, f"seed {seed}: {name}"
            assert over.outcome == "aborted", f"seed {seed}: {name}"
            named = who in over.reason or (who == KEEPER and "the keeper" in over.reason)
            assert named, f"seed {seed}: {name}: {over.reason}"
    assert vanished


@pytest.mark.parametrize(
    "harm",
    [{"power": True}, {"restored": (GUEST,)}, {"restored": (HOSTS[0],)}, {"restored": (KEEPER,)}],
    ids=["power", "guest", "host", "keeper"],
)
def test_a_disk_that_forgets_costs_at_most_the_job_and_everybody_learns_why(harm: dict[str, Any]) -> None:
    for seed in range(2):
        run = simulate(Harm(seed=seed, **harm), alignment(), vertical(600.0))
        context = f"seed {seed}, killed {run.crashes}"
        said(run)  # every copy verifies, and all are the same
        assert not run.refused.keys() & {"Equivocation", "ForkFound", "BadEntry"}, context
        assert kinds(run)["job-finished"] + kinds(run)["job-aborted"] >= 1, context
        for name, over in run.outcomes.items():
            assert (over is not None and over.reason) or name in harm.get("restored", ()), (
                f"{context}: {name}"
            )
        if ends(run) == {"finished"} and len(run.results) > len(PARTIES):
            assert is_like(run, calm()), context


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--seed", "17"], "seed 17: 6 kills, "),
        (["--vertical", "--seed", "3", "--crash-at", "40"], "seed 3: "),
    ],
)
def test_a_seed_can_be_replayed_from_the_command_line(
    given: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(given)
    *trace, last = capsys.readouterr().out.splitlines()
    assert last.startswith(told)
    assert "aggregator: finished: done" in trace
    assert any("killed: " in line for line in trace)
