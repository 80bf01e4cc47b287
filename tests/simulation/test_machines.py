"""Federated averaging under bad weather: every run ends, and ends the same unless somebody is gone.

HANSA_SEEDS sets how many seeds are tried. A failure names its seed; ``python -m hansa.protocols.simulator
--seed N`` replays the rough ones.
"""

import copy
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from hansa.protocols.digest import array_digest
from hansa.protocols.errors import LocalProtocolError, PeerError
from hansa.protocols.horizontal.fedavg import (
    FedAvgSettings,
    ModelEvaluated,
    ModelReceived,
    RoundClosed,
    TrainingDone,
)
from hansa.protocols.horizontal.rehearsal import HUB, PATIENT, Rehearsal, rehearse
from hansa.protocols.machine import Record, Step
from hansa.protocols.simulator import Chaos, Run, main, rough, simulate
from tests.simulation.seeds import shared_out

SEEDS = int(os.environ.get("HANSA_SEEDS", "500"))
GROUPS = 10
PARTIES = ("party-1", "party-2", "party-3", "party-4")

# Deadlines that bad weather does reach.
HURRIED = FedAvgSettings(rounds=3, quorum=2, round_deadline_s=6, silence_s=20)


def play(rehearsal: Rehearsal, chaos: Chaos, deaths: dict[str, float] | None = None) -> Run:
    run = simulate(rehearsal.spec, rehearsal.briefs, rehearsal.benches, chaos, deaths=deaths)
    print(f"seed {run.seed}")  # pytest shows it with a failure
    return run


def share(group: int) -> Iterator[int]:
    """Yield this group's seeds: they run as several tests, so that several workers can take them."""
    return iter(range(group, SEEDS, GROUPS))


def digest_at(run: Run, name: str) -> bytes:
    result = run.results[name]
    assert isinstance(result, TrainingDone | ModelReceived)
    return result.digest


@pytest.fixture(scope="module")
def calm() -> Run:
    return play(rehearse(), Chaos())


def test_a_calm_run_trains_and_everyone_ends_with_the_same_model(calm: Run) -> None:
    assert set(calm.results) == {HUB, *PARTIES}
    assert (calm.aborts, calm.unfinished, calm.refused) == ({}, (), ())
    assert len({digest_at(calm, name) for name in calm.results}) == 1
    facts = [fact for _, fact in calm.records]
    assert [fact.round for fact in facts if isinstance(fact, RoundClosed)] == [1, 2, 3]
    evaluated = [fact for fact in facts if isinstance(fact, ModelEvaluated)]
    assert [fact.round for fact in evaluated] == [0, 1, 2, 3]
    assert evaluated[-1].evaluation.loss < evaluated[0].evaluation.loss


@pytest.mark.parametrize("group", shared_out(range(GROUPS), 2))
def test_behind_an_inbox_no_weather_changes_model_or_ledger(calm: Run, group: int) -> None:
    for seed in share(group):
        run = play(rehearse(), rough(seed))
        assert (run.aborts, run.unfinished, run.refused) == ({}, (), ()), f"seed {seed}"
        assert {digest_at(run, name) for name in run.results} == {digest_at(calm, HUB)}, f"seed {seed}"
        assert run.records == calm.records, f"seed {seed}"


@pytest.mark.parametrize("group", shared_out(range(GROUPS), 2))
def test_on_the_bare_network_under_deadlines_no_wait_is_silent(group: int) -> None:
    rehearsal = rehearse(settings=HURRIED)
    for seed in share(group):
        run = play(rehearsal, replace(rough(seed), delay=0.05, drop=0.05, reliable=False))
        assert run.unfinished == (), f"seed {seed}"
        assert set(run.results) | set(run.aborts) == {HUB, *PARTIES}, f"seed {seed}"
        assert all(isinstance(error, PeerError) for _, error in run.refused), f"seed {seed}"
        assert digests_agree(run), f"seed {seed}"
        rounds_are_whole(run, seed)


@pytest.mark.parametrize("group", shared_out(range(GROUPS), 2))
def test_behind_an_inbox_under_deadlines_the_ledger_names_who_was_missing(group: int) -> None:
    rehearsal = rehearse(settings=HURRIED)
    for seed in share(group):
        run = play(rehearsal, rough(seed))
        assert run.unfinished == (), f"seed {seed}"
        assert not run.refused, f"seed {seed}"
        assert digests_agree(run), f"seed {seed}"
        rounds_are_whole(run, seed)


def digests_agree(run: Run) -> bool:
    """Tell whether all that finished have one model."""
    return len({digest_at(run, name) for name in run.results}) <= 1


def rounds_are_whole(run: Run, seed: int) -> None:
    """Each round is recorded once, in order, with every party either in it or missing for a reason."""
    closed = [fact for _, fact in run.records if isinstance(fact, RoundClosed)]
    assert [fact.round for fact in closed] == list(range(1, len(closed) + 1)), f"seed {seed}"
    for fact in closed:
        assert len(fact.participants) >= HURRIED.quorum, f"seed {seed}"
        assert {*fact.participants, *fact.missing} == set(PARTIES), f"seed {seed}"
        assert len(fact.participants) + len(fact.missing) == len(PARTIES), f"seed {seed}"
        assert all(fact.missing.values()), f"seed {seed}"


@pytest.mark.parametrize("seed", range(20))
def test_a_party_that_dies_is_missed_by_name_and_the_rest_finish(seed: int) -> None:
    run = play(rehearse(settings=HURRIED), Chaos(seed), deaths={"party-3": 0.0})
    assert set(run.results) == {HUB, "party-1", "party-2", "party-4"}
    closed = [fact for _, fact in run.records if isinstance(fact, RoundClosed)]
    assert [fact.missing for fact in closed] == [{"party-3": "no answer in time"}] * 3
    assert run.unfinished == ()


def test_below_the_quorum_the_job_aborts_everywhere_with_the_names() -> None:
    run = play(rehearse(settings=HURRIED), Chaos(1), deaths={"party-1": 0.0, "party-2": 0.3, "party-4": 0.3})
    assert set(run.aborts) == {HUB, "party-3"}
    assert "party-1 (no answer in time)" in run.aborts[HUB]
    assert run.aborts["party-3"] == f"aggregator hub left: {run.aborts[HUB]}"


@pytest.mark.parametrize("seed", range(20))
def test_an_aggregator_that_dies_is_named_by_every_party(seed: int) -> None:
    run = play(rehearse(settings=HURRIED), rough(seed), deaths={HUB: 2.0})
    assert {*run.aborts, *run.results} == set(PARTIES)
    assert all("aggregator hub was silent" in reason for reason in run.aborts.values())


def test_a_party_whose_task_fails_leaves_with_its_reason() -> None:
    rehearsal = rehearse(settings=HURRIED)
    benches = {**rehearsal.benches, "party-2": rehearsal.benches[HUB]}  # no rows: training raises
    run = play(replace(rehearsal, benches=benches), Chaos(3))
    reason = "training failed in round 1: LocalProtocolError: the aggregator holds no rows to evaluate on"
    assert run.aborts == {"party-2": reason}
    closed = [fact for _, fact in run.records if isinstance(fact, RoundClosed)]
    assert [fact.missing for fact in closed] == [{"party-2": f"left: {reason}"}] * 3


# -- the simulator itself -----------------------------------------------------------------------------------


@pytest.mark.parametrize("reliable", [True, False])
def test_the_same_seed_gives_the_same_run(reliable: bool) -> None:
    chaos = replace(rough(11), reliable=reliable)
    one, two = (play(rehearse(settings=HURRIED), chaos) for _ in range(2))
    assert one.trace == two.trace
    assert one.records == two.records


def test_another_seed_gives_another_run() -> None:
    assert play(rehearse(), rough(1)).trace != play(rehearse(), rough(2)).trace


def test_crashes_restore_what_the_snapshot_gives(calm: Run) -> None:
    taken: list[object] = []

    def snapshot(state: object) -> object:
        taken.append(state)
        return copy.deepcopy(state)

    rehearsal = rehearse()
    run = simulate(rehearsal.spec, rehearsal.briefs, rehearsal.benches, rough(5), snapshot=snapshot)
    assert taken
    assert digest_at(run, HUB) == digest_at(calm, HUB)


def test_the_clock_can_be_stopped() -> None:
    rehearsal = rehearse()
    run = simulate(rehearsal.spec, rehearsal.briefs, rehearsal.benches, Chaos(), until_s=0.1)
    assert set(run.unfinished) == {HUB, *PARTIES}


def test_trouble_is_visible_in_the_trace() -> None:
    chaos = replace(rough(4), reliable=False)
    trace = "\n".join(play(rehearse(settings=HURRIED), chaos, deaths={"party-4": 1.0}).trace)
    for word in (
        "crashes after storing",
        "crashes before storing",
        "is back in",
        "lost ",
        "refused it: ",
        "is gone for good",
    ):
        assert word in trace


def test_an_undeclared_fact_is_the_protocol_authors_mistake() -> None:
    rehearsal = rehearse()
    role = rehearsal.spec.roles["party"]

    def talkative(brief: object) -> Step[object]:
        step = role.begin(brief)  # type: ignore[arg-type]
        return replace(step, effects=(*step.effects, Record("hello")))

    roles = {**rehearsal.spec.roles, "party": replace(role, begin=talkative)}
    with pytest.raises(LocalProtocolError, match="horizontal-fedavg used str, listed are RoundClosed"):
        play(replace(rehearsal, spec=replace(rehearsal.spec, roles=roles)), Chaos())


@pytest.mark.parametrize("name", ["reorder", "duplicate", "delay", "drop", "crash"])
@pytest.mark.parametrize("chance", [-0.1, 1.0])
def test_a_chance_out_of_range_is_named(name: str, chance: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be in"):
        Chaos(**{name: chance})  # type: ignore[arg-type]


def test_the_command_replays_a_seed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--seed", "17"])
    printed = capsys.readouterr().out
    main(["--seed", "17"])
    assert capsys.readouterr().out == printed
    assert printed.endswith("seed 17\n")
    assert "hub finished: TrainingDone(" in printed


def test_the_command_shows_who_was_missed_and_who_gave_up(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--calm", "--dead", "party-2", "--dead", "party-3"])
    assert "hub finished: " in capsys.readouterr().out
    main(["--calm", "--dead", "hub"])
    assert "party-1 aborted: aggregator hub was silent from the start" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--dead", "nobody"])
    assert "no agent 'nobody'; there are hub, party-1" in capsys.readouterr().err


def test_the_command_has_calm_weather_too(capsys: pytest.CaptureFixture[str], calm: Run) -> None:
    main(["--calm"])
    assert f"TrainingDone(digest={digest_at(calm, HUB).hex()[:12]}" in capsys.readouterr().out


def test_a_rehearsal_is_the_same_every_time() -> None:
    one, two = (rehearse(settings=PATIENT).benches["party-1"].training()[0] for _ in range(2))
    assert array_digest(one) == array_digest(two)
