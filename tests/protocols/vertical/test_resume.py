"""A job that was aborted goes on in another from the last epoch that all have kept, as if nothing had happened."""

import re
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from hansa.protocols.errors import LocalProtocolError
from hansa.protocols.machine import Brief, Start
from hansa.protocols.model import FloatArray
from hansa.protocols.simulator import Chaos, Run, rough, simulate
from hansa.protocols.vertical import arbiter, party
from hansa.protocols.vertical.judging import common_start, over_already, stalled_after, verdict
from hansa.protocols.vertical.outcome import ArbiterCheckpoint, PartyCheckpoint
from hansa.protocols.vertical.rehearsal import HUB, rehearse
from hansa.protocols.vertical.settings import LinearSettings
from hansa.protocols.vertical.spec import LINEAR
from tests.protocols.vertical.parts import (
    GUEST,
    HOST,
    LINEAR_SMALL,
    LOGISTIC_SMALL,
    SECOND,
    labels,
    learned,
    table,
    with_settings,
)
from tests.protocols.vertical.test_weather import HURRIED, PATIENT, stored

PARTIES = (GUEST, HOST, SECOND)
JOBS: dict[str, Any] = {
    "linear": with_settings(LINEAR_SMALL, epochs=4, holdout=0.2, optimiser="adam", l1=0.01),
    "logistic": with_settings(LOGISTIC_SMALL, epochs=4, holdout=0.2, optimiser="momentum", show_loss=False),
}


def run_of(job: str, chaos: Chaos, start: dict[str, object] | None = None, **more: Any) -> Run:
    """Run a job, or go on with it from what was kept."""
    patience, deaths = more.pop("patience", PATIENT), more.pop("deaths", None)
    settings = with_settings(JOBS[job], **patience, start_job="first" if start is not None else "", **more)
    columns, score = table(21, hosts=2)
    plan = rehearse(columns, labels(score, settings), settings, start=start)
    return simulate(plan.spec, plan.briefs, plan.benches, chaos, snapshot=stored, deaths=deaths)


def outcome(job: str, run: Run) -> dict[str, list[object]]:
    """Return all that a job ends with but for its digests, which are salted anew."""
    assert (run.aborts, run.unfinished, run.refused) == ({}, (), ())
    results: dict[str, Any] = {name: run.results[name] for name in PARTIES}
    return {
        name: [*learned(each, name, JOBS[job]), each.losses, each.epochs, each.loss, each.score, each.deciles]
        for name, each in results.items()
    }


@cache
def whole(job: str) -> Run:
    return run_of(job, Chaos(3))


@cache
def aborted() -> Run:
    """Return a job that lost its guest between its last epoch and its end."""
    last = max(when(whole("linear"), "<- EpochClosed"))
    run = run_of("linear", Chaos(3), patience=HURRIED, deaths={GUEST: last + 1e-3})
    assert run.results == {}
    return run


def when(run: Run, what: str) -> list[float]:
    """Return the times, in milliseconds' steps, at which something was written into a run's trace."""
    return [float(line[:10]) for line in run.trace if re.search(what, line)]


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("seed", range(5))
def test_what_is_learned_is_the_same_whenever_the_first_job_ended_and_in_any_weather(
    job: str, seed: int
) -> None:
    closings = when(whole(job), "<- EpochClosed")
    deaths = {(GUEST, HOST, SECOND, HUB, HOST)[seed]: closings[3 * seed] if seed < 4 else closings[-1] + 0.01}
    first = run_of(job, Chaos(3), patience=HURRIED, deaths=deaths)
    assert first.results == {}
    assert len(first.kept) == 4
    second = run_of(job, rough(seed), first.kept)
    assert outcome(job, second) == outcome(job, whole(job))


def test_some_may_have_heard_of_an_epochs_end_when_others_have_not() -> None:
    """The host is gone when the others hear that the second epoch is over."""
    told = when(whole("linear"), rf"{HOST} +<- EpochClosed\(.*epoch=1")
    first = run_of("linear", Chaos(3), patience=HURRIED, deaths={HOST: told[0] - 1e-3})
    kept: dict[str, Any] = first.kept
    reached = {name: [state.epochs for state in kept[name].states] for name in PARTIES}
    assert reached == {GUEST: [1, 2], HOST: [0, 1], SECOND: [1, 2]}
    assert len(kept[HUB].losses) == 2
    second = run_of("linear", Chaos(3), first.kept)
    assert outcome("linear", second) == outcome("linear", whole("linear"))
    assert len(when(second, "<- EpochClosed")) == 3 * 3  # the second to the fourth, at three parties


def test_a_job_that_ended_after_its_last_epoch_has_only_its_end_to_come() -> None:
    second = run_of("linear", rough(1), aborted().kept)
    assert outcome("linear", second) == outcome("linear", whole("linear"))
    assert not when(second, "EpochClosed")


def test_a_job_may_go_on_for_longer_than_it_was_to_and_from_where_another_went_on() -> None:
    began = max(when(run_of("linear", Chaos(3), aborted().kept), "<- Key"))
    second = run_of("linear", Chaos(3), aborted().kept, patience=HURRIED, deaths={GUEST: began + 1e-3})
    assert second.results == {}
    third = run_of("linear", Chaos(3), second.kept, epochs=6)
    results: dict[str, Any] = third.results
    assert [results[name].epochs for name in (*PARTIES, HUB)] == [6] * 4
    assert results[GUEST].losses == pytest.approx(results[HUB].losses)
    assert len(results[HUB].losses) == 6


def test_a_party_without_its_epochs_is_named_before_anything_is_trained() -> None:
    kept = dict(aborted().kept)
    del kept[HOST]
    second = run_of("linear", Chaos(3), kept)
    assert second.aborts[HUB] == (
        "no epoch that all have kept of job first; ours 4, bank 3, 4, shop none, telco 3, 4"
    )


@pytest.mark.parametrize("changed", [{"batch": 9}, {"optimiser": "sgd"}, {"intercept": False}])
def test_a_job_of_other_batches_cannot_go_on(changed: dict[str, Any]) -> None:
    with pytest.raises(
        LocalProtocolError, match="parties, seed, batches or optimiser are not those of job first"
    ):
        run_of("linear", Chaos(3), aborted().kept, **changed)


def test_a_party_whose_rows_have_changed_says_so() -> None:
    columns, score = table(21, hosts=2)
    columns[HOST] = columns[HOST] + np.eye(21, 3)
    settings = with_settings(JOBS["linear"], start_job="first")
    plan = rehearse(columns, score, settings, start=aborted().kept)
    run = simulate(plan.spec, plan.briefs, plan.benches, Chaos(3))
    assert run.aborts[HOST] == (
        "our rows, or the job's parties, seed, batches or optimiser, are not those of job first"
    )


def briefs(start: object) -> dict[str, Brief]:
    columns, score = table(21, hosts=2)
    settings = with_settings(JOBS["linear"], start_job="first")
    return rehearse(columns, score, settings, start=dict.fromkeys((GUEST, HOST, HUB), start)).briefs


def test_what_was_kept_by_another_protocol_or_not_at_all_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="from its last epochs, not from str"):
        party.HOST_SPEC.begin(briefs("kept")[HOST])
    for start in (None, "kept"):
        with pytest.raises(LocalProtocolError, match="the epochs of job first are not here"):
            arbiter.begin(briefs(start)[HUB])


def test_settings_say_where_a_job_goes_on_from() -> None:
    assert LINEAR.start(LinearSettings("bank")) is None
    assert LINEAR.start(LinearSettings("bank", start_job="first")) == Start("first", b"")
    assert LINEAR.kept == (PartyCheckpoint, ArbiterCheckpoint)


def test_the_agreed_start_is_the_last_that_all_have() -> None:
    assert common_start({"a": (3, 4), "b": (4, 5)}, 4) == 4
    assert common_start({"a": (3, 4), "b": (4, 5)}, 3) is None
    assert common_start({"a": (0,), "b": (0, 1)}, 1) == 0
    assert common_start({"a": (), "b": (0, 1)}, 1) is None


def test_losses_alone_say_how_training_stands() -> None:
    settings = replace(LINEAR_SMALL, tol=0.1, patience=2, epochs=9, alarm=4.0)
    losses = [1.0, 0.8, 0.75, 0.6, 0.55, 0.52]
    verdicts = [verdict(settings, losses[:at], losses[at]) for at in range(len(losses))]
    assert verdicts == ["improved", "improved", "stalled", "improved", "stalled", "converged"]
    assert [stalled_after(settings, losses[:at]) for at in range(7)] == [0, 0, 0, 1, 0, 1, 2]
    assert [over_already(settings, losses[:at]) for at in range(7)] == [False] * 6 + [True]
    assert over_already(replace(settings, patience=0, epochs=3), losses[:3])
    assert verdict(settings, losses, 2.1) == "distorted"
    assert verdict(replace(settings, epochs=2), losses[:1], 0.8) == "last"


def test_kept_epochs_show_no_number_to_whoever_prints_them() -> None:
    kept: Any = aborted().kept[HOST]
    theta: FloatArray = kept.states[0].learner.theta
    assert "array(" not in repr(kept)
    assert len(theta) == 3
