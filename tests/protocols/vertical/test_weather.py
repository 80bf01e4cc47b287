"""Regressions under bad weather: hosts come and go, and what is learned stays the same."""

from functools import cache
from typing import Any

import pytest

from hansa.broker import decode, encode, from_plain, to_plain
from hansa.protocols.simulator import Chaos, Run, rough
from hansa.protocols.vertical import course
from hansa.protocols.vertical.outcome import Overdue
from hansa.protocols.vertical.rehearsal import HUB
from tests.protocols.vertical.parts import (
    GUEST,
    HOST,
    LINEAR_SMALL,
    LOGISTIC_SMALL,
    SECOND,
    labels,
    learned,
    table,
    train,
    with_settings,
)

# Longer than any weather lasts; and shorter than a death, longer than an outage and all that delays a message.
PATIENT: dict[str, Any] = {"overdue_s": 80_000.0, "give_up_s": 90_000.0}
HURRIED: dict[str, Any] = {"overdue_s": 12.0, "give_up_s": 60.0}
JOBS: dict[str, Any] = {
    "linear": with_settings(LINEAR_SMALL, epochs=2, holdout=0.2),
    "logistic": with_settings(LOGISTIC_SMALL, epochs=2, holdout=0.2, show_loss=False),
}


def stored(state: object) -> object:
    """Return a state as it comes back from an agent's journal."""
    return from_plain(type(state), decode(encode(to_plain(state))))


def run_of(job: str, chaos: Chaos, patience: dict[str, Any], **more: Any) -> Run:
    settings = with_settings(JOBS[job], **patience)
    columns, score = table(21, hosts=2)
    return train(columns, labels(score, settings), settings, chaos, snapshot=stored, **more)


@cache
def calm(job: str) -> dict[str, list[float]]:
    return said(job, run_of(job, Chaos(), PATIENT))


def said(job: str, run: Run) -> dict[str, list[float]]:
    assert (run.aborts, run.unfinished, run.refused) == ({}, (), ())
    return {name: learned(run.results[name], name, JOBS[job]).tolist() for name in (GUEST, HOST, SECOND)}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("job", JOBS)
def test_no_weather_changes_what_is_learned(job: str, seed: int) -> None:
    assert said(job, run_of(job, rough(seed), PATIENT)) == calm(job)


@pytest.mark.parametrize("seed", range(6, 9))
@pytest.mark.parametrize("job", JOBS)
def test_no_weather_changes_what_large_batches_teach(
    job: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if eight rows were more than are folded at once: the same, to the last bit."""
    expected = calm(job)
    monkeypatch.setattr(course, "FOLDED_WHOLE", 7)
    assert said(job, run_of(job, rough(seed), PATIENT)) == expected


@pytest.mark.parametrize("gone", [GUEST, HOST, HUB])
@pytest.mark.parametrize("after_s", [0.001, 0.3, 0.8])
def test_who_is_gone_for_good_is_named_and_nobody_waits_for_ever(gone: str, after_s: float) -> None:
    run = run_of("linear", Chaos(3), HURRIED, deaths={gone: after_s})
    assert run.results == {}
    assert run.unfinished == ()
    overdue = {name for _, fact in run.records if isinstance(fact, Overdue) for name in fact.whom}
    assert overdue == {gone}
    assert any(reason.endswith(f"no word from {gone}") for reason in run.aborts.values())


def opened(run: Run) -> list[float]:
    """Return when the arbiter has opened each gradient, seconds."""
    return [float(line.split()[0]) for line in run.trace if f"{HUB} " in line and "-> Opened(" in line]


@pytest.mark.parametrize("count", [1, 2, 4, 5])
@pytest.mark.parametrize("seed", [105, 199])
def test_one_who_waits_for_one_who_waits_is_not_blamed(seed: int, count: int) -> None:
    """The arbiter dies having opened some gradients of a round: hosts wait for the guest, it for other hosts."""
    windy = Chaos(seed, reorder=0.3, delay=0.05)
    after_s = opened(run_of("logistic", windy, HURRIED))[count - 1] + 0.001
    run = run_of("logistic", windy, HURRIED, deaths={HUB: after_s})
    assert len(opened(run)) == count
    assert {name for _, fact in run.records if isinstance(fact, Overdue) for name in fact.whom} == {HUB}


def test_a_host_that_is_away_for_long_is_named_and_the_epoch_goes_on_when_it_returns() -> None:
    """Five of six transmissions are lost, each for a second: the host is overdue now and then."""
    hurried = {"overdue_s": 1.5, "give_up_s": 10_000.0}
    run = run_of("linear", Chaos(1, drop=0.8, crash=0.1), hurried)
    assert {type(fact) for _, fact in run.records} >= {Overdue}
    assert said("linear", run) == calm("linear")
