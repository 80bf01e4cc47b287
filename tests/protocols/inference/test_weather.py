"""Joint inference under bad weather: what the guest learns stays the same, and who is gone is named."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from hansa.broker import decode, encode, from_plain, to_plain
from hansa.protocols.inference.job import InferenceSettings, ModelServed
from hansa.protocols.simulator import Chaos, Run, rough, simulate
from hansa.protocols.vertical import Overdue
from tests.protocols.inference.parts import (
    BANK,
    DECILE,
    HUB,
    LABEL,
    MODEL,
    SCORE,
    SHOP,
    TELCO,
    common,
    laid_out,
)

# Longer than any weather lasts; and shorter than a death, longer than an outage and all that delays a message.
PATIENT: dict[str, Any] = {"overdue_s": 80_000.0, "give_up_s": 90_000.0}
HURRIED: dict[str, Any] = {"overdue_s": 12.0, "give_up_s": 60.0}
JOBS: dict[str, InferenceSettings] = {"score": SCORE, "label": LABEL, "decile": DECILE}
EVERY = pytest.mark.parametrize("job", JOBS)


def stored(state: object) -> object:
    """Return a state as it comes back from an agent's journal."""
    return from_plain(type(state), decode(encode(to_plain(state))))


def run_of(job: str, chaos: Chaos, patience: dict[str, Any], **more: Any) -> Run:
    laid = laid_out(replace(JOBS[job], **patience))
    return simulate(laid.spec, laid.briefs, laid.benches, chaos, snapshot=stored, **more)


@cache
def calm(job: str) -> list[float]:
    return learned(run_of(job, Chaos(), PATIENT))


def learned(run: Run) -> list[float]:
    """Return what the guest has learned in a run in which everybody finished."""
    assert (run.aborts, run.unfinished, run.refused) == ({}, (), ())
    assert run.records.count((SHOP, ModelServed(MODEL, len(common())))) == 1
    result: Any = run.results[BANK]
    assert result.positions.tolist() == common()
    values: list[float] = result.values.tolist()
    return values


@pytest.mark.parametrize("seed", range(12))
@EVERY
def test_no_weather_changes_what_is_learned(job: str, seed: int) -> None:
    assert learned(run_of(job, rough(seed), PATIENT)) == calm(job)


@pytest.mark.parametrize("gone", [BANK, SHOP, TELCO, HUB])
@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.15, 0.3])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("job", ["score", "label"])
def test_who_is_gone_for_good_is_named_and_nobody_waits_for_ever(
    job: str, seed: int, after_s: float, gone: str
) -> None:
    """Unless everything that it owed was on its way: then the others never notice."""
    if gone == HUB and job == "score":
        return
    run = run_of(job, Chaos(seed, reorder=0.3), HURRIED, deaths={gone: after_s})
    assert run.unfinished == ()
    overdue = {name for _, fact in run.records if isinstance(fact, Overdue) for name in fact.whom}
    assert overdue <= {gone}
    named = [reason for reason in run.aborts.values() if reason.endswith(f"no word from {gone}")]
    assert bool(named) == bool(run.aborts) == bool(overdue)
    assert named or {BANK, SHOP, TELCO} - {gone} <= run.results.keys()


def test_every_death_at_the_beginning_is_noticed() -> None:
    for gone in (BANK, SHOP, TELCO, HUB):
        run = run_of("label", Chaos(1), HURRIED, deaths={gone: 0.0})
        assert any(reason.endswith(f"no word from {gone}") for reason in run.aborts.values())
        assert BANK not in run.results


def test_a_host_that_is_away_for_long_is_named_and_the_job_goes_on_when_it_returns() -> None:
    hurried = {"overdue_s": 1.5, "give_up_s": 10_000.0}
    run = run_of("label", Chaos(1, drop=0.8, crash=0.1), hurried)
    assert {type(fact) for _, fact in run.records} >= {Overdue}
    assert learned(run) == calm("label")
