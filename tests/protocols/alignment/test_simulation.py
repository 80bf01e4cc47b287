"""Alignments under bad weather: every run ends, and ends the same unless somebody is gone.

HANSA_SEEDS sets how many seeds are tried, a tenth of them here; a failure names its seed.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from hansa.broker import decode, encode, from_plain, to_plain
from hansa.protocols.alignment.job import AlignedRows, AlignmentSettings, SharedRows
from hansa.protocols.alignment.rehearsal import HUB, rehearse
from hansa.protocols.alignment.spec import ALIGNMENT, OVER_THRESHOLD
from hansa.protocols.errors import PeerError
from hansa.protocols.machine import Compute, ProtocolSpec, Step
from hansa.protocols.simulator import Chaos, Run, rough, simulate
from tests.protocols.alignment.parts import BLOCKS, OVER_TWO, PAIR, RING, Settings

SEEDS = max(int(os.environ.get("HANSA_SEEDS", "500")) // 10, 1)
GROUPS = 5

# A day: longer than any chaos lasts, so that a reliable run never meets it.
PATIENT: dict[str, Any] = {"silence_s": 86_400.0, "deadline_s": 864_000.0}
# Shorter than a death, longer than an outage and all that may delay a message.
HURRIED: dict[str, Any] = {"silence_s": 30.0, "deadline_s": 600.0}

JOBS: dict[str, tuple[Mapping[str, Sequence[str]], Settings]] = {
    "pair": (PAIR, BLOCKS),
    "pair, one learns": (PAIR, replace(BLOCKS, receiver="bob", pad_to=25)),
    "ring": (RING, BLOCKS),
    "ring, one learns": (RING, replace(BLOCKS, receiver="ann", pad_to=25)),
    "threshold": (RING, OVER_TWO),
    "threshold of two": (PAIR, OVER_TWO),
}


def stored(state: object) -> object:
    """Return a state as it comes back from an agent's journal: through the codec, and nothing else."""
    return from_plain(type(state), decode(encode(to_plain(state))))


def run_of(
    job: str, chaos: Chaos, patience: dict[str, Any], deaths: Mapping[str, float] | None = None
) -> Run:
    ids, settings = JOBS[job]
    laid = rehearse(ids, replace(settings, **patience))
    run = simulate(laid.spec, laid.briefs, laid.benches, chaos, snapshot=stored, deaths=deaths)
    print(f"seed {run.seed}")  # pytest shows it with a failure
    return run


def said(run: Run) -> dict[str, Any]:
    """Return all results in a form that compares."""
    return {
        name: result.rows.tolist() if isinstance(result, AlignedRows | SharedRows) else result
        for name, result in run.results.items()
    }


@cache
def calm(job: str) -> dict[str, Any]:
    run = run_of(job, Chaos(), PATIENT)
    assert (run.aborts, run.unfinished, run.refused) == ({}, (), ())
    return said(run)


@pytest.mark.parametrize("group", range(GROUPS))
@pytest.mark.parametrize("job", JOBS)
def test_behind_an_inbox_no_weather_changes_a_result(job: str, group: int) -> None:
    for seed in range(group, SEEDS, GROUPS):
        run = run_of(job, rough(seed), PATIENT)
        assert (run.aborts, run.unfinished, run.refused) == ({}, (), ()), f"seed {seed}"
        assert said(run) == calm(job), f"seed {seed}"


@pytest.mark.parametrize("job", JOBS)
def test_on_the_bare_network_doubles_are_refused_and_change_nothing(job: str) -> None:
    for seed in range(max(SEEDS // 5, 1)):
        run = run_of(job, Chaos(seed, duplicate=0.3, reliable=False), PATIENT)
        assert (run.aborts, run.unfinished) == ({}, ()), f"seed {seed}"
        assert said(run) == calm(job), f"seed {seed}"
        assert all(isinstance(error, PeerError) for _, error in run.refused)


@pytest.mark.parametrize("job", JOBS)
def test_on_the_bare_network_every_run_ends_and_no_result_is_wrong(job: str) -> None:
    for seed in range(max(SEEDS // 5, 1)):
        chaos = replace(rough(seed), reliable=False)
        run = run_of(job, chaos, HURRIED)
        assert run.unfinished == (), f"seed {seed}"
        results = said(run)
        assert results == {name: calm(job)[name] for name in results}, f"seed {seed}"


@pytest.mark.parametrize("job", [job for job in JOBS if job.startswith("pair")])
@pytest.mark.parametrize("gone", ["ann", "bob"])
def test_of_two_the_one_that_vanishes_is_named(job: str, gone: str) -> None:
    for seed in range(max(SEEDS // 5, 1)):
        for dies_s in (0.0, 0.05, 0.3):
            run = run_of(job, Chaos(seed, delay=0.1), HURRIED, {gone: dies_s})
            where = f"seed {seed}, death at {dies_s}"
            assert run.unfinished == (), where
            assert run.aborts, where
            assert all(gone in reason for reason in run.aborts.values()), where


@pytest.mark.parametrize("job", [job for job in JOBS if not job.startswith("pair")])
@pytest.mark.parametrize("gone", ["ann", "bob"])
def test_in_a_ring_the_one_that_vanishes_is_named_and_nobody_else(job: str, gone: str) -> None:
    others = [name for name in JOBS[job][0] if name != gone]
    for seed in range(max(SEEDS // 5, 1)):
        for dies_s in (0.0, 0.05, 0.3):
            run = run_of(job, Chaos(seed, delay=0.1), HURRIED, {gone: dies_s})
            where = f"seed {seed}, death at {dies_s}: {run.aborts}"
            assert run.unfinished == (), where
            reason = run.aborts[HUB]
            assert reason == f"no sign of life from {gone} for 30 s", where
            assert set(others) <= set(run.aborts) | set(run.results), where


@pytest.mark.parametrize("job", JOBS)
def test_an_aggregator_that_vanishes_is_named_where_it_is_needed(job: str) -> None:
    run = run_of(job, Chaos(), HURRIED, {HUB: 0.0})
    assert run.unfinished == ()
    if job.startswith("pair"):
        assert run.aborts == {}
        assert said(run) == {name: rows for name, rows in calm(job).items() if name != HUB}
    else:
        learners = {name for name, rows in calm(job).items() if isinstance(rows, list)}
        assert run.aborts
        assert run.aborts.keys() <= learners
        assert any(reason == "hub was silent for 90 s" for reason in run.aborts.values())


def test_the_same_seed_gives_the_same_run() -> None:
    assert run_of("ring", rough(7), PATIENT).trace == run_of("ring", rough(7), PATIENT).trace


@pytest.mark.parametrize("spec", [ALIGNMENT, OVER_THRESHOLD])
def test_no_two_classes_share_a_name_where_a_journal_tells_them_by_it(spec: ProtocolSpec) -> None:
    for role in spec.roles.values():
        assert len({state.__name__ for state in role.states}) == len(role.states)
    assert len({message.__name__ for message in spec.messages}) == len(spec.messages)


@pytest.mark.parametrize("job", JOBS)
def test_messages_tasks_and_results_pass_through_the_codec(job: str) -> None:
    ids, settings = JOBS[job]
    laid = rehearse(ids, settings)
    steps: list[tuple[str, Step[Any]]] = [
        (name, laid.spec.role(brief.role).begin(brief)) for name, brief in laid.briefs.items()
    ]
    for _, taken in steps:
        for effect in taken.effects:
            if isinstance(effect, Compute):
                stored(effect.inputs)
    run = simulate(laid.spec, laid.briefs, laid.benches, Chaos(), snapshot=stored)
    for result in run.results.values():
        stored(result)


def test_settings_may_be_left_out() -> None:
    assert from_plain(AlignmentSettings, {}) == AlignmentSettings()
