"""A whole federation under harm: hundreds of seeds here, ten thousand by `make soak` (HANSA_SEEDS).

Every assertion carries the seed; `python -m hansa.agents.simulation --seed N` replays it.
"""

import os
from collections import Counter
from functools import cache

import pytest

from hansa.agents.simulation import CALM, KEEPER, PARTIES, Harm, Run, simulate, specification
from hansa.ledger import Verifier, read_entry
from tests.simulation.names import check_names
from tests.simulation.seeds import shared_out

SEEDS = int(os.environ.get("HANSA_SEEDS", "500"))
GROUP = 10  # seeds in one test, so that the workers share them evenly


@cache
def calm() -> Run:
    return simulate(CALM)


def said(run: Run) -> Counter[tuple[str, str]]:
    """Count (author, kind) on the ledger, after checking that every copy verifies and all are the same."""
    copies = list(run.entries.values())
    assert all(copy == copies[0] for copy in copies), f"seed {run.seed}: the copies differ"
    verifier = Verifier(copies[0][0].hash)
    for entry in copies[0]:
        verifier.accept(entry)
    fields = [read_entry(entry.signed) for entry in copies[0]]
    return Counter((each.author, each.kind) for each in fields)


def test_the_calm_run_finishes_at_everyone_and_says_each_thing_once() -> None:
    run = calm()
    assert {over.outcome for over in run.outcomes.values() if over} == {"finished"}
    assert len(run.outcomes) == 1 + len(PARTIES)
    counted = said(run)
    assert counted[KEEPER, "round-closed"] == 3
    assert counted[KEEPER, "model-evaluated"] == 4  # the initial model and three rounds' models
    assert counted[KEEPER, "job-finished"] == 1
    assert all(counted[party, "job-accepted"] == 1 for party in PARTIES)


@pytest.mark.parametrize("first", shared_out(range(0, SEEDS, GROUP)))
def test_harm_loses_nothing_doubles_nothing_and_ends_with_the_same_model(first: int) -> None:
    for seed in range(first, min(first + GROUP, SEEDS)):
        run = simulate(Harm(seed=seed))
        context = f"seed {seed}, killed {run.crashes}"
        assert {over.outcome if over else "down" for over in run.outcomes.values()} == {"finished"}, context
        assert run.digest == calm().digest, context
        assert said(run) == said(calm()), context
        assert not run.refused, context
        check_names(run)


def test_the_seeds_above_kill_at_every_point() -> None:
    points = {"before commit", "after commit", "before append", "after append", "flush", "publish"}
    seeds = iter(range(60))
    while points:
        seed = next(seeds, None)
        assert seed is not None, f"nobody was killed at {points}"
        points -= {crash.split(" ", 1)[1] for crash in simulate(Harm(seed=seed)).crashes}


def test_the_same_seed_gives_the_same_run() -> None:
    one, two = simulate(Harm(seed=17)), simulate(Harm(seed=17))
    assert one.crashes == two.crashes
    assert one.digest == two.digest
    assert one.virtual_s == two.virtual_s
    assert one.trace == two.trace


@pytest.mark.parametrize("seed", range(10))
def test_a_party_that_never_comes_is_named_and_the_quorum_goes_on(seed: int) -> None:
    run = simulate(Harm(seed=seed, absent=("north",)), specification(quorum=2, deadline_s=120.0))
    up = [name for name in run.outcomes if name != "north"]
    assert all((over := run.outcomes[name]) is not None and over.outcome == "finished" for name in up), seed


@pytest.mark.parametrize("seed", range(10))
def test_without_a_quorum_the_job_aborts_at_everyone_with_the_reason(seed: int) -> None:
    run = simulate(Harm(seed=seed, absent=("north",)), specification(quorum=3, deadline_s=120.0))
    for name in ("east", "west", KEEPER):
        over = run.outcomes[name]
        assert over is not None, seed
        assert over.outcome == "aborted", seed
        assert "north" in over.reason, seed
    kinds = Counter(read_entry(entry.signed).kind for entry in run.entries[KEEPER])
    assert kinds["job-aborted"] == 1, seed


@pytest.mark.parametrize("first", shared_out(range(0, SEEDS // 10, GROUP), 2 * GROUP))
def test_power_failures_cost_at_most_the_job_and_everybody_learns_why(first: int) -> None:
    for seed in range(first, min(first + GROUP, SEEDS // 10)):
        run = simulate(Harm(seed=seed, power=True), specification(quorum=2, deadline_s=600.0))
        context = f"seed {seed}, killed {run.crashes}"
        copies = list(run.entries.values())
        assert all(copy == copies[0] for copy in copies), context
        ended = {name: over for name, over in run.outcomes.items() if over is not None}
        assert ended.keys() == run.outcomes.keys(), context
        assert all(over.outcome in ("finished", "aborted") and over.reason for over in ended.values()), (
            context
        )
        kinds = Counter(read_entry(entry.signed).kind for entry in copies[0])
        assert kinds["job-finished"] + kinds["job-aborted"] == 1, context
        check_names(run)


@pytest.mark.parametrize("seed", range(20))
def test_an_aggregator_that_vanishes_is_named_by_every_party(seed: int) -> None:
    run = simulate(Harm(seed=seed, crash=0.2, vanish=(KEEPER,)), specification(deadline_s=60.0))
    assert run.outcomes[KEEPER] is None, seed
    for name in PARTIES:
        over = run.outcomes[name]
        if over is not None and over.outcome != "finished":  # None: it was never asked
            assert over.outcome == "aborted", seed
            assert KEEPER in over.reason or "the keeper" in over.reason, f"seed {seed}: {over.reason}"
    accepted = [each for each in run.entries["east"] if read_entry(each.signed).kind == "job-accepted"]
    assert any(run.outcomes[name] is not None for name in PARTIES) or not accepted, seed


@pytest.mark.parametrize("seed", range(20))
def test_a_party_that_vanishes_is_named_and_the_quorum_goes_on(seed: int) -> None:
    run = simulate(Harm(seed=seed, crash=0.2, vanish=("west",)), specification(quorum=2, deadline_s=60.0))
    assert run.crashes, seed
    over = run.outcomes[KEEPER]
    assert over is not None, seed
    assert over.outcome == "finished", f"seed {seed}: {over.reason}"
    ends = {name: run.outcomes[name] for name in ("east", "north")}
    assert all(end is not None and end.outcome == "finished" for end in ends.values()), seed


@pytest.mark.parametrize("who", [*PARTIES[:1], KEEPER, "both"])
@pytest.mark.parametrize("first", shared_out(range(0, max(SEEDS // 10, GROUP), GROUP), 2 * GROUP))
def test_a_restored_backup_forks_nothing_loses_nothing_and_every_job_ends_with_a_reason(
    who: str, first: int
) -> None:
    names = (PARTIES[0], KEEPER) if who == "both" else (who,)
    for seed in range(first, first + GROUP):
        run = simulate(Harm(seed=seed, restored=names), specification(quorum=2, deadline_s=600.0))
        context = f"seed {seed}, killed {run.crashes}"
        assert {f"{name} restored" for name in names} <= set(run.crashes), context
        said(run)  # every copy verifies, and all are the same
        check_names(run)
        assert not run.refused.keys() & {"Equivocation", "ForkFound", "BadEntry"}, context
        final = run.entries[KEEPER]
        assert all(hashes == {final[index].hash} for index, hashes in run.held.items()), f"{context}: a fork"
        kinds = Counter(read_entry(entry.signed).kind for entry in final)
        assert kinds["job-finished"] + kinds["job-aborted"] == 1, context
        told = [read_entry(entry.signed) for entry in final]
        accepted = {fields.author for fields in told if fields.kind == "job-accepted"}
        for name, over in run.outcomes.items():
            # An offer that was on its way when its sender lost its memory may never arrive.
            stranger = name in run.strangers - accepted
            assert (over is not None and over.reason) or name in names or stranger, f"{context}: {name}"
