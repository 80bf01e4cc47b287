"""What each part of a vertical model has added: against Shapley's formula on the model in plaintext."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import accuracy_score, log_loss, r2_score, roc_auc_score

from hansa.broker import decode, encode, from_plain, to_plain
from hansa.protocols.errors import LocalProtocolError, Overstated, PeerError
from hansa.protocols.machine import Received, Valuation
from hansa.protocols.model import Array, FloatArray
from hansa.protocols.pairwise import decode64, encode64, public_key
from hansa.protocols.simulator import Chaos, Run, rough, simulate
from hansa.protocols.vertical import arbiter, concluding, party
from hansa.protocols.vertical.arbiter import Gathering
from hansa.protocols.vertical.errors import BareScores
from hansa.protocols.vertical.job import Ended
from hansa.protocols.vertical.messages import HeldOut, MaskKey, Ready
from hansa.protocols.vertical.outcome import TrainingClosed
from hansa.protocols.vertical.rehearsal import HUB, rehearse
from hansa.protocols.vertical.settling import Settling
from hansa.protocols.vertical.stages import Concluding
from tests.protocols.transcript import Transcript, told
from tests.protocols.vertical.parts import (
    GUEST,
    HOST,
    LINEAR_SMALL,
    LOGISTIC_SMALL,
    SECOND,
    Settings,
    labels,
    learned,
    table,
    with_settings,
)
from tests.protocols.vertical.purse import Purse, coalitions, shapley
from tests.protocols.vertical.test_weather import PATIENT, stored

PARTIES = (GUEST, HOST, SECOND)
ROWS, HELD_OUT = 28, 12
JOBS: dict[str, Any] = {
    "linear": with_settings(LINEAR_SMALL, epochs=4, batch=0, block=64, holdout=0.3),
    "logistic": with_settings(LOGISTIC_SMALL, epochs=4, batch=0, block=64, holdout=0.3),
}
EVERY = pytest.mark.parametrize("job", JOBS)


def data(settings: Settings) -> tuple[dict[str, FloatArray], Array]:
    columns, score = table(ROWS + HELD_OUT, hosts=2)
    return columns, labels(score, settings)


@cache
def run(job: str) -> Transcript:
    return told(rehearse(*data(JOBS[job]), JOBS[job], valuing=Purse()))


def valuation(seen: Transcript) -> Valuation:
    [(who, found)] = [(who, fact) for who, fact in seen.facts if isinstance(fact, Valuation)]
    assert who == HUB
    return found


def exact(shares: Mapping[str, str]) -> dict[str, Fraction]:
    return {name: Fraction(share) for name, share in shares.items()}


# -- against the model in plaintext --------------------------------------------------------------------------


def plain_parts(
    columns: Mapping[str, FloatArray], seen: Transcript, settings: Settings, *, rounded: bool
) -> dict[str, FloatArray]:
    """Return everybody's scores of the rows held out, by the coefficients that the parties ended with."""
    last = round(settings.holdout * len(columns[GUEST]))
    parts = {name: X[-last:] @ seen.results[name].theta for name, X in columns.items()}
    if not rounded:
        return parts
    return {name: np.rint(16 * part / np.std(part)) * np.std(part) / 16 for name, part in parts.items()}


def plain_values(
    parts: Mapping[str, FloatArray], intercept: float, y: Array, *, logistic: bool, loss: bool = False
) -> dict[frozenset[str], float]:
    """Return what scikit-learn says of every coalition's sum."""
    values = {}
    for some in coalitions(sorted(parts)):
        u = intercept + sum((parts[name] for name in some), np.zeros(len(y)))
        if not logistic:
            values[some] = r2_score(y, u)
        elif loss:
            values[some] = -log_loss(y, 1 / (1 + np.exp(-u)))
        else:
            values[some] = roc_auc_score(y, u)
    return values


@EVERY
def test_shares_are_shapleys_of_the_sums_of_parts_on_the_rows_held_out(job: str) -> None:
    seen, (columns, y) = run(job), data(JOBS[job])
    found, logistic = valuation(seen), job == "logistic"
    parts = plain_parts(columns, seen, JOBS[job], rounded=True)
    values = plain_values(parts, seen.results[GUEST].intercept, y[-HELD_OUT:], logistic=logistic)
    expected = shapley(PARTIES, values)
    assert (found.round, found.players, found.rows) == (0, PARTIES, (ROWS,) * 3)
    assert found.coalitions == tuple(range(8))
    for name, share in exact(found.shares).items():
        assert float(share) == pytest.approx(float(expected[name]), abs=1e-5)
    gain = Fraction(found.values[-1]) - Fraction(found.values[0])
    assert sum(exact(found.shares).values()) == gain  # to the last bit


@EVERY
def test_nobodys_model_is_the_intercept_alone(job: str) -> None:
    seen, (_, y) = run(job), data(JOBS[job])
    alone = np.full(HELD_OUT, seen.results[GUEST].intercept)
    expected = 0.5 if job == "logistic" else r2_score(y[-HELD_OUT:], alone)
    assert valuation(seen).values[0] == pytest.approx(expected, rel=2.0**-19)


@EVERY
def test_the_result_says_what_was_added_and_the_models_figures_are_those_of_everybody(job: str) -> None:
    seen = run(job)
    result = seen.results[HUB]
    assert isinstance(result, TrainingClosed)
    assert result.contributions == valuation(seen).shares
    assert result.score == pytest.approx(valuation(seen).values[-1], rel=2.0**-19)
    assert {each.score for each in seen.results.values()} == {result.score}


@EVERY
def test_valuing_changes_nothing_that_is_learned_and_figures_by_rounding_alone(job: str) -> None:
    valued, plain = run(job), told(rehearse(*data(JOBS[job]), JOBS[job]))
    for name in PARTIES:
        both = (learned(each.results[name], name, JOBS[job]).tolist() for each in (valued, plain))
        assert next(both) == next(both)
    assert valued.results[HUB].loss == pytest.approx(plain.results[HUB].loss, rel=0.03)
    assert plain.results[HUB].contributions == {}
    assert not [fact for _, fact in plain.facts if isinstance(fact, Valuation)]


def cancer() -> tuple[FloatArray, Array]:
    """Return 200 rows of breast cancer, standardised."""
    X, y = load_breast_cancer(return_X_y=True)
    X, y = X[:200], y[:200]
    return (X - X.mean(axis=0)) / X.std(axis=0), y


CANCER = with_settings(
    LOGISTIC_SMALL, epochs=12, batch=0, block=0, holdout=0.3, learning_rate=0.4, penalty=0.01
)


def test_shares_of_breast_cancer_are_those_of_the_plaintext_model_by_score_and_by_loss() -> None:
    X, y = cancer()
    columns = {GUEST: X[:, :6], HOST: X[:, 6:10], SECOND: X[:, 20:24]}
    for utility in ("score", "loss"):
        seen = told(rehearse(columns, y, CANCER, valuing=Purse(utility)))
        parts = plain_parts(columns, seen, CANCER, rounded=False)
        values = plain_values(
            parts, seen.results[GUEST].intercept, y[-60:], logistic=True, loss=utility == "loss"
        )
        expected = shapley(PARTIES, values)
        gain = float(sum(expected.values()))
        assert gain > 0.2
        for name, share in exact(valuation(seen).shares).items():
            assert float(share) == pytest.approx(float(expected[name]), abs=0.01 * gain)  # for it is rounded


def test_noise_is_worth_next_to_nothing_and_the_same_columns_twice_are_worth_the_same() -> None:
    X, y = cancer()
    noise = np.random.default_rng(5).normal(size=(200, 3))
    columns = {GUEST: X[:, :3], "copy": X[:, 20:24], HOST: X[:, 20:24], "noise": noise}
    seen = told(rehearse(columns, y, CANCER, valuing=Purse()))
    shares = exact(valuation(seen).shares)
    gain = float(sum(shares.values()))
    assert abs(float(shares["noise"])) < 0.05 * gain
    assert shares["copy"] == shares[HOST] > Fraction(1, 10)
    alone = told(rehearse({name: columns[name] for name in (GUEST, HOST)}, y, CANCER, valuing=Purse()))
    single = float(exact(valuation(alone).shares)[HOST])
    assert single / 2 < float(shares[HOST]) < single  # of what one of them would have got, they share


def test_rows_of_one_class_are_valued_by_accuracy() -> None:
    columns, score = table(ROWS + HELD_OUT, hosts=1)
    y = (score > 0).astype(int)
    y[-HELD_OUT:] = 1
    seen = told(rehearse(columns, y, JOBS["logistic"], valuing=Purse()))
    intercept = seen.results[GUEST].intercept
    assert seen.results[HUB].metric == "accuracy"
    nobody = accuracy_score(np.ones(HELD_OUT), np.full(HELD_OUT, intercept > 0))
    assert valuation(seen).values[0] == nobody


def test_a_guest_without_an_intercept_begins_from_zero() -> None:
    settings = with_settings(JOBS["linear"], intercept=False)
    columns, y = data(settings)
    seen = told(rehearse(columns, y, settings, valuing=Purse()))
    assert {each.intercept for _, _, each in seen.of(HeldOut)} == {0.0}
    assert valuation(seen).values[0] == pytest.approx(
        r2_score(y[-HELD_OUT:], np.zeros(HELD_OUT)), rel=2.0**-19
    )


# -- in bad weather --------------------------------------------------------------------------------------------


@cache
def calm(job: str) -> tuple[Any, ...]:
    return outcome(windy(job, Chaos()))


def windy(job: str, chaos: Chaos) -> Run:
    settings = with_settings(JOBS[job], **PATIENT, batch=8, block=5, epochs=2)
    plan = rehearse(*data(settings), settings, valuing=Purse())
    return simulate(plan.spec, plan.briefs, plan.benches, chaos, snapshot=stored)


def outcome(seen: Run) -> tuple[Any, ...]:
    assert (seen.aborts, seen.unfinished, seen.refused) == ({}, (), ())
    closed: Any = seen.results[HUB]
    [found] = [fact for _, fact in seen.records if isinstance(fact, Valuation)]
    assert from_plain(TrainingClosed, decode(encode(to_plain(closed)))) == closed
    return found, closed.contributions, closed.score, closed.loss


@pytest.mark.parametrize("seed", range(4))
@EVERY
def test_no_weather_changes_what_is_contributed(job: str, seed: int) -> None:
    """Messages are dropped, doubled and overtaken, and agents crash: one valuation, the same."""
    assert outcome(windy(job, rough(seed))) == calm(job)


# -- what travels ----------------------------------------------------------------------------------------------


@EVERY
def test_the_arbiter_gets_every_partys_rounded_scores_and_the_intercept_beside_them(job: str) -> None:
    seen, (columns, _) = run(job), data(JOBS[job])
    parts = plain_parts(columns, seen, JOBS[job], rounded=True)
    sent = {sender: each for sender, _, each in seen.of(HeldOut)}
    assert not seen.of(MaskKey)
    for name in PARTIES:
        shares = decode64(sent[name].shares, 32)
        assert shares == pytest.approx(parts[name], abs=2.0**-31)
        assert sent[name].intercept == (seen.results[GUEST].intercept if name == GUEST else 0.0)
        others = [each for who, to, each in seen.messages if to != HUB and who == name]
        assert not any(isinstance(each, HeldOut) for each in others)


@EVERY
def test_a_valued_job_and_another_do_not_speak_with_each_other(job: str) -> None:
    valued, plain = run(job), told(rehearse(*data(JOBS[job]), JOBS[job]))
    one, other = (next(iter(each.of(Ready)))[2].session for each in (valued, plain))
    assert one != other


def test_a_key_for_masks_is_refused_where_there_are_none() -> None:
    seen = run("linear")
    state = next(each for each in seen.states[HOST] if isinstance(each, Concluding))
    hello = MaskKey(state.course.seat.session, public_key(bytes(32)))
    with pytest.raises(PeerError, match="bank sent a key for masks, and a valued job has none"):
        party.step(state, Received(GUEST, hello))


# -- what is refused -------------------------------------------------------------------------------------------


def masked() -> Array:
    return np.full(HELD_OUT, 2**62, np.uint64)


@pytest.mark.parametrize(
    ("sender", "change", "message"),
    [
        (HOST, {"shares": np.zeros(11, np.uint64)}, "of other rows than the 12 held out"),
        (HOST, {"shares": masked()}, r"scores beyond ±4096: they must not be masked"),
        (
            HOST,
            {"shares": encode64(np.full(HELD_OUT, -4_096.0), 32, 4_096.0) - np.uint64(1)},
            "scores beyond",
        ),
        (HOST, {"intercept": 0.5}, "an intercept beyond ±0"),
        (GUEST, {"intercept": float("nan")}, "an intercept beyond ±4096"),
        (GUEST, {"intercept": 5_000.0}, "an intercept beyond ±4096"),
        (GUEST, {"labels": np.zeros(0)}, "of other rows than the 12 held out"),
    ],
)
def test_the_arbiter_takes_only_scores_of_the_rows_held_out(
    sender: str, change: dict[str, Any], message: str
) -> None:
    seen = run("linear")
    state = next(each for each in seen.states[HUB] if isinstance(each, Settling))
    share = next(each for who, _, each in seen.of(HeldOut) if who == sender)
    with pytest.raises(PeerError, match=f"{sender} sent .*{message}"):
        arbiter.step(state, Received(sender, replace(share, **change)))


def test_scores_that_come_twice_are_refused() -> None:
    seen = run("linear")
    state = next(each for each in reversed(seen.states[HUB]) if isinstance(each, Settling) and each.held)
    [sender, *_] = state.held
    with pytest.raises(PeerError, match=f"{sender} sent rows held out again"):
        arbiter.step(state, Received(sender, state.held[sender]))


def test_an_intercept_beside_masked_scores_is_refused() -> None:
    seen = told(rehearse(*data(JOBS["linear"]), JOBS["linear"]))
    state = next(each for each in seen.states[HUB] if isinstance(each, Settling))
    share = next(each for who, _, each in seen.of(HeldOut) if who == GUEST)
    assert share.intercept == 0.0
    with pytest.raises(PeerError, match="bank sent an intercept beyond ±0"):
        arbiter.step(state, Received(GUEST, replace(share, intercept=0.1)))


def test_no_job_is_valued_without_rows_held_out() -> None:
    settings = with_settings(JOBS["linear"], holdout=0.0)
    plan = rehearse(*data(settings), settings, valuing=Purse())
    for name, brief in plan.briefs.items():
        with pytest.raises(LocalProtocolError, match="holdout must not be 0"):
            plan.spec.role(brief.role).begin(plan.briefs[name])


def test_a_share_so_small_that_it_holds_out_no_row_ends_the_job() -> None:
    settings = with_settings(JOBS["linear"], holdout=0.01)
    plan = rehearse(*data(settings), settings, valuing=Purse())
    seen = simulate(plan.spec, plan.briefs, plan.benches, Chaos())
    assert "contributions are valued on rows held out" in seen.aborts[HUB]


def test_a_bench_that_cannot_value_so_few_ends_the_job_with_its_reason() -> None:
    class Picky(Purse):
        def appraise(self, *_: Any) -> Valuation:
            raise ValueError("groups take three parties")

    plan = rehearse(*data(JOBS["linear"]), JOBS["linear"], valuing=Picky())
    seen = simulate(plan.spec, plan.briefs, plan.benches, Chaos())
    assert "value: ValueError: groups take three parties" in seen.aborts[HUB]


def test_the_guard_refuses_few_rows_held_out_and_columns_that_would_be_bare_before_anything_travels() -> None:
    guarded = with_settings(LINEAR_SMALL, guard=True, key_bits=2_048, batch=0, block=0, holdout=0.2)
    random = np.random.default_rng(0)
    for rows, width, error in (
        (300, 2, "FewHeldOut: 60 rows"),
        (600, 1, "BareScores: our own scores would be"),
    ):
        columns = {name: random.normal(size=(rows, width if name == HOST else 2)) for name in PARTIES}
        plan = rehearse(columns, random.normal(size=rows), guarded, valuing=Purse())
        seen = simulate(plan.spec, plan.briefs, plan.benches, Chaos())
        assert f"inspect: {error}" in seen.aborts[HOST]
        assert not any("Masked(" in line or "HeldOut(" in line for line in seen.trace)


# -- volumes ---------------------------------------------------------------------------------------------------


def test_cells_are_rows_times_registered_columns_and_announced_ones_where_nothing_is_known() -> None:
    volumes = {GUEST: (40, 2), HOST: (40, 1)}
    seen = told(rehearse(*data(JOBS["linear"]), JOBS["linear"], volumes=volumes))
    assert seen.results[HUB].cells == {GUEST: 2 * ROWS, HOST: ROWS, SECOND: 2 * ROWS}


def test_who_is_ready_with_more_rows_than_it_has_registered_is_refused_by_name() -> None:
    volumes = {GUEST: (40, 2), HOST: (39, 3)}
    plan = rehearse(*data(JOBS["linear"]), JOBS["linear"], volumes=volumes)
    seen = simulate(plan.spec, plan.briefs, plan.benches, Chaos())
    [(who, error)] = seen.refused
    assert (who, str(error)) == (HUB, "shop is ready with 40 rows, and has registered 39")
    assert isinstance(error, Overstated)  # upon which the agent tells the machine that it has left
    assert seen.results == {}
    state = arbiter.begin(plan.briefs[HUB]).state
    assert isinstance(state, Gathering)
    assert not isinstance(stored(state), Ended)
    assert stored(state).seat.volumes == volumes  # type: ignore[attr-defined]


def test_a_job_whose_scores_have_become_bare_goes_on_by_volume_with_the_end_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if the guard had said so: it asks for keys of full size, and is tried by itself in test_exposure."""
    settings, expected = JOBS["logistic"], run("logistic")

    def bare(X: FloatArray, theta: FloatArray, *, guarded: bool) -> FloatArray:
        raise BareScores("our own scores take 3 values")

    plan = rehearse(*data(settings), settings, valuing=Purse())
    with monkeypatch.context() as patched:
        patched.setattr(concluding, "own_scores", bare)
        seen = simulate(plan.spec, plan.briefs, plan.benches, Chaos())
    assert "conclude: BareScores: our own scores take 3 values" in seen.aborts.values()
    resumed = with_settings(settings, start_job="first")
    again = told(rehearse(*data(settings), resumed, start=seen.kept))
    assert not again.asked(HUB, "open-loss")  # nothing is trained again
    for name in PARTIES:
        both = (learned(each.results[name], name, settings).tolist() for each in (again, expected))
        assert next(both) == next(both)
