"""Rounds that are valued while the parties train on, by whole agents under harm; seeds as in `test_federation`."""

import os
from collections import Counter
from functools import cache
from typing import Any

import pytest

from hansa.agents.simulation import CALM, KEEPER, PARTIES, Harm, Run, simulate, valued
from hansa.ledger import CoalitionsValued, ContributionMeasured, decode_body, read_entry
from tests.simulation.seeds import shared_out
from tests.simulation.test_federation import said

RUNS = max(int(os.environ.get("HANSA_SEEDS", "500")) // 100, 3)


@cache
def calm() -> Run:
    return simulate(CALM, valued())


def bodies(run: Run, kind: type) -> list[Any]:
    fields = [read_entry(entry.signed) for entry in run.entries[KEEPER]]
    told = [decode_body(each.kind, each.schema, each.body) for each in fields]
    return [body for body in told if isinstance(body, kind)]


def told(run: Run) -> dict[str, Any]:
    """Return what the ledger has of contributions; copies verify, so that all of it is recomputed."""
    counted: Counter[tuple[str, str]] = said(run)
    [measured] = bodies(run, ContributionMeasured)
    values = sorted(bodies(run, CoalitionsValued), key=lambda body: body.round)
    return {"said": counted, "shares": measured.shares, "values": values}


def test_the_calm_run_values_every_round_once() -> None:
    found = told(calm())
    assert [body.round for body in found["values"]] == [1, 2, 3]
    assert all(body.players == PARTIES and len(body.values) == 8 for body in found["values"])
    assert found["said"][KEEPER, "job-started"] == 1
    assert sum(found["shares"].values()) == 10**9


@pytest.mark.parametrize("seed", shared_out(range(RUNS)))
def test_harm_neither_loses_nor_doubles_a_valuation_and_weights_come_out_the_same(seed: int) -> None:
    run = simulate(Harm(seed=seed, crash=0.05), valued())
    context = f"seed {seed}, killed {run.crashes}"
    assert {over.outcome if over else "down" for over in run.outcomes.values()} == {"finished"}, context
    assert run.digest == calm().digest, context
    assert told(run) == told(calm()), context
    assert not run.refused, context


@pytest.mark.parametrize("seed", range(1))
def test_a_seed_that_nobody_chose_draws_what_the_ledger_recomputes(seed: int) -> None:
    run = simulate(Harm(seed=seed, crash=0.05), valued("gtg"))
    assert {over.outcome if over else "down" for over in run.outcomes.values()} == {"finished"}, run.crashes
    assert told(run)["said"] == told(calm())["said"]
