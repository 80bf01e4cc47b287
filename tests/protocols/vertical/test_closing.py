"""How a job closes: how good the model is on rows held out, which model it is, and what is refused on the way."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, mean_squared_error, r2_score, roc_auc_score

from hansa.broker import decode, encode, from_plain, to_plain
from hansa.protocols.errors import PeerError
from hansa.protocols.machine import Finish, Received
from hansa.protocols.preparation import Preparation, Prepared
from hansa.protocols.vertical import arbiter, party
from hansa.protocols.vertical.concluding import (
    Appraisal,
    appraise,
    auc,
    model_digest,
    part_digest,
)
from hansa.protocols.vertical.job import ARBITER, Ended, Seat
from hansa.protocols.vertical.messages import Closed, HeldOut, Part
from hansa.protocols.vertical.outcome import OwnCoefficients, TrainingClosed
from hansa.protocols.vertical.rehearsal import HUB, as_it_is, no_model, rehearse
from hansa.protocols.vertical.rows import checked_held_out
from hansa.protocols.vertical.settling import Settling
from hansa.protocols.vertical.stages import Parting
from hansa.protocols.workbench import RowlessWorkbench, RowsWorkbench
from tests.protocols.vertical.parts import (
    GUEST,
    HOST,
    LINEAR_SMALL,
    LOGISTIC_SMALL,
    SECOND,
    Settings,
    labels,
    learned,
    seats,
    table,
    train,
    with_settings,
)
from tests.protocols.vertical.play import Transcript, play

PARTIES = (GUEST, HOST, SECOND)
ROWS, HELD_OUT = 24, 10
JOBS: dict[str, Any] = {
    "linear": with_settings(LINEAR_SMALL, epochs=2, batch=0, block=64, holdout=0.3),
    "logistic": with_settings(LOGISTIC_SMALL, epochs=2, batch=0, block=64, holdout=0.3),
}
EVERY = pytest.mark.parametrize("job", JOBS)


def data(settings: Settings) -> tuple[dict[str, Any], Any]:
    columns, score = table(ROWS + HELD_OUT, hosts=2)
    return columns, labels(score, settings)


@cache
def run(job: str) -> Transcript:
    return play(*data(JOBS[job]), JOBS[job])


def held_out_scores(job: str) -> Any:
    columns, _ = data(JOBS[job])
    columns[GUEST] = np.column_stack([columns[GUEST], np.ones(ROWS + HELD_OUT)])
    last = {name: learned(run(job).results[name], name, JOBS[job]) for name in PARTIES}
    return sum(X[ROWS:] @ last[name] for name, X in columns.items())


# -- figures ------------------------------------------------------------------------------------------------


@EVERY
def test_everybody_ends_with_the_figures_that_scikit_learn_has_for_the_same_scores(job: str) -> None:
    u, y = held_out_scores(job), data(JOBS[job])[1][ROWS:]
    if job == "linear":
        expected = (mean_squared_error(y, u), r2_score(y, u), "r2")
    else:
        expected = (log_loss(y, 1 / (1 + np.exp(-u))), roc_auc_score(y, u), "auc")
    for name in (*PARTIES, HUB):
        result = run(job).results[name]
        assert (result.loss, result.score) == pytest.approx(expected[:2], abs=1e-8)
        assert (result.metric, result.rows) == (expected[2], HELD_OUT)
    deciles = {name: run(job).results[name].deciles for name in PARTIES}
    assert deciles[GUEST] == pytest.approx(np.quantile(u, np.arange(1, 10) / 10), abs=1e-8)
    assert deciles[HOST] == deciles[SECOND] == ()


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=40))
def test_the_area_under_the_curve_is_exact_with_ties(pairs: list[tuple[int, bool]]) -> None:
    scores, positive = np.array([float(score) for score, _ in pairs]), np.array([each for _, each in pairs])
    if positive.all() or not positive.any():
        positive[0] = not positive[0]
    assert auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)


def appraisal(settings: Settings, scores: list[float], targets: list[float]) -> Appraisal:
    columns, y = data(settings)
    seat = seats(columns, y, settings)[GUEST]
    integers = np.rint(np.array(scores) * 2.0 ** seat.held_out_bits()).astype(np.int64).astype(np.uint64)
    masks = np.arange(len(scores), dtype=np.uint64) * np.uint64(2**60)
    return Appraisal(seat, (integers - masks, masks), np.array(targets))


def test_rows_of_one_class_alone_have_an_accuracy() -> None:
    found = appraise(
        appraisal(LOGISTIC_SMALL, [0.5, -0.5, 2.0, 0.0], [1.0] * 4), RowlessWorkbench(no_model), 0
    )
    assert (found.score, found.metric) == (0.5, "accuracy")
    found = appraise(
        appraisal(LOGISTIC_SMALL, [0.5, -0.5, 2.0, 0.0], [-1.0] * 4), RowlessWorkbench(no_model), 0
    )
    assert (found.score, found.metric) == (0.5, "accuracy")


def test_masks_that_do_not_cancel_are_noticed() -> None:
    whole = appraisal(LINEAR_SMALL, [0.5, -0.5], [1.0, 2.0])
    with pytest.raises(PeerError, match="masks don't cancel"):
        appraise(replace(whole, shares=whole.shares[:1]), RowlessWorkbench(no_model), 0)


def test_scores_of_any_limit_and_number_of_parties_add_up_within_64_bits() -> None:
    columns, y = data(LINEAR_SMALL)
    seat = seats(columns, y, LINEAR_SMALL)[GUEST]
    assert seat.held_out_bits() == 32
    for limit in (1.0, 4_096.0, 2.0**40):
        crowd = replace(
            seat,
            settings=with_settings(LINEAR_SMALL, score_limit=limit, score_bits=8),
            parties=tuple(map(str, range(1_000))),
        )
        assert 0 < crowd.held_out_bits() <= 32
        assert 1_000 * limit * 2.0 ** crowd.held_out_bits() < 2.0**62


@EVERY
def test_without_rows_held_out_there_are_no_figures_and_no_keys_are_waited_for(job: str) -> None:
    settings = with_settings(JOBS[job], holdout=0.0)
    told = play(*data(settings), settings)
    assert not told.of(HeldOut)
    assert not told.asked(HUB, "appraise")
    for name in (*PARTIES, HUB):
        result = told.results[name]
        assert (result.loss, result.score, result.metric, result.rows) == (None, None, "", 0)
        assert len(result.digest) == 32
    assert told.results[GUEST].deciles == ()


# -- digests and results ------------------------------------------------------------------------------------


@EVERY
def test_every_part_has_a_digest_that_its_owner_can_show_and_the_model_one_over_all(job: str) -> None:
    results = run(job).results
    digests = {}
    for name in PARTIES:
        mine = results[name]
        digests[name] = part_digest(mine.salt, mine.theta, mine.intercept, mine.preparation)
        stored = from_plain(OwnCoefficients, decode(encode(to_plain(mine))))
        again = part_digest(stored.salt, stored.theta, stored.intercept, stored.preparation)
        assert again == digests[name]
    for name in PARTIES:
        assert results[name].parts == digests
        assert results[name].digest == model_digest(digests) == results[HUB].digest


def test_a_digest_changes_with_everything_that_a_part_is() -> None:
    theta, one = np.array([1.0, 2.0]), as_it_is(2)
    other = Preparation((one.columns[0], Prepared("column 1", "number", 0.0, 0.5, 1.0)), standardised=False)
    parts = [
        part_digest(b"salt", theta, 0.5, one),
        part_digest(b"pepper", theta, 0.5, one),
        part_digest(b"salt", theta[::-1].copy(), 0.5, one),
        part_digest(b"salt", theta, 0.0, one),
        part_digest(b"salt", theta, 0.5, other),
        part_digest(b"salt", theta, 0.5, replace(one, standardised=True)),
        model_digest({"a": b"1", "b": b"2"}),
        model_digest({"a": b"2", "b": b"1"}),
        model_digest({"a": b"1"}),
    ]
    assert len(set(parts)) == len(parts)


@EVERY
def test_results_say_who_holds_what_and_how_much_was_trained_on(job: str) -> None:
    results = run(job).results
    for name in PARTIES:
        mine = results[name]
        assert (mine.role, mine.guest) == ("guest" if name == GUEST else "host", GUEST)
        assert (mine.hosts, mine.logistic, mine.epochs) == ((HOST, SECOND), job == "logistic", 2)
        assert mine.preparation == as_it_is(len(mine.theta))
        assert len(mine.losses) == 2
    whole = results[HUB]
    assert isinstance(whole, TrainingClosed)
    assert whole.cells == {GUEST: 2 * ROWS, HOST: 3 * ROWS, SECOND: 2 * ROWS}
    assert whole.losses == results[GUEST].losses


# -- what is refused ----------------------------------------------------------------------------------------


def parting(job: str, name: str) -> tuple[Parting, Closed]:
    state = next(each for each in run(job).states[name] if isinstance(each, Parting))
    return state, next(each for _, to, each in run(job).of(Closed) if to == name)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no-party": ({"parts": {}}, "another part than ours"),
    "part": ({"parts": {name: bytes(32) for name in PARTIES}}, "another part than ours"),
    "digest": ({"digest": bytes(32)}, "a digest that is not of these parts"),
    "rows": ({"rows": 9}, "figures that are not of 10 rows"),
    "no-loss": ({"loss": None}, "figures that are not of 10 rows"),
    "infinite": ({"score": float("inf")}, "figures that are not of 10 rows"),
    "metric": ({"metric": "luck"}, "figures that are not of 10 rows"),
    "deciles": ({"deciles": (1.0,) * 8}, "figures that are not of 10 rows"),
    "order": ({"deciles": (2.0,) * 8 + (1.0,)}, "figures that are not of 10 rows"),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("name", [GUEST, HOST])
def test_a_close_that_is_not_of_this_job_is_refused(name: str, what: str) -> None:
    state, close = parting("linear", name)
    change, message = WRONG[what]
    with pytest.raises(PeerError, match=f"hub closed the job with .*{message}"):
        party.step(state, Received(HUB, replace(close, **change)))
    ended = party.step(state, Received(HUB, close))
    assert isinstance(ended.state, Ended)
    assert isinstance(ended.effects[-1], Finish)


def test_figures_of_rows_that_nobody_holds_out_are_refused() -> None:
    settings = with_settings(JOBS["linear"], holdout=0.0)
    told = play(*data(settings), settings)
    state = next(each for each in told.states[HOST] if isinstance(each, Parting))
    close = next(each for _, to, each in told.of(Closed) if to == HOST)
    with pytest.raises(PeerError, match="figures that are not of 0 rows"):
        party.step(state, Received(HUB, replace(close, loss=0.1, score=0.5, metric="auc")))
    settling = next(each for each in told.states[HUB] if isinstance(each, Settling))
    share = HeldOut(settling.seat.session, np.zeros(0, np.uint64), np.zeros(0))
    with pytest.raises(PeerError, match="rows held out again, or where there are none"):
        arbiter.step(settling, Received(HOST, share))


@pytest.mark.parametrize(
    ("job", "sender", "change", "message"),
    [
        ("linear", HOST, {"shares": np.zeros(9, np.uint64)}, "of other rows than the 10 held out"),
        ("linear", HOST, {"labels": np.zeros(10)}, "of other rows than the 10 held out"),
        ("linear", GUEST, {"labels": np.zeros(0)}, "of other rows than the 10 held out"),
        ("linear", GUEST, {"labels": np.full(10, 5_000.0)}, "labels beyond what the job says"),
        ("linear", GUEST, {"labels": np.full(10, np.nan)}, "labels beyond what the job says"),
        ("logistic", GUEST, {"labels": np.zeros(10)}, "labels beyond what the job says"),
        ("logistic", GUEST, {"labels": np.full(10, 2.0)}, "labels beyond what the job says"),
    ],
)
def test_the_arbiter_takes_only_scores_and_labels_of_the_rows_held_out(
    job: str, sender: str, change: dict[str, Any], message: str
) -> None:
    told = run(job)
    state = next(each for each in told.states[HUB] if isinstance(each, Settling))
    share = next(each for who, _, each in told.of(HeldOut) if who == sender)
    with pytest.raises(PeerError, match=f"{sender} sent .*{message}"):
        arbiter.step(state, Received(sender, replace(share, **change)))


def test_what_the_arbiter_has_opened_is_forgotten_with_the_key_before_labels_come() -> None:
    for state in run("linear").states[HUB]:
        if isinstance(state, Settling):
            assert not {"key", "public"} & {*Settling.__slots__}
            assert "array(" not in repr(state)


# -- rows held out ------------------------------------------------------------------------------------------


def bench(X: Any, y: Any, test: tuple[Any, Any]) -> RowsWorkbench:
    return RowsWorkbench(no_model, (X, y), test)


TRAIN = np.arange(12.0).reshape(6, 2)
TARGETS = np.array([0.0, 1.0, 0.0, 1.0, 1.0, 0.0])


@pytest.mark.parametrize(
    ("settings", "test", "message"),
    [
        (LINEAR_SMALL, (np.zeros((2, 3)), np.zeros(2)), r"held-out features of shape \(2, 3\)"),
        (LINEAR_SMALL, (np.zeros(2), np.zeros(2)), r"held-out features of shape \(2,\)"),
        (LINEAR_SMALL, (np.full((2, 2), 65.0), np.zeros(2)), r"held-out feature \[0, 0\] is no number"),
        (LINEAR_SMALL, (np.zeros((2, 2)), np.zeros(3)), r"2 held-out rows, but labels of shape \(3,\)"),
        (LINEAR_SMALL, (np.zeros((2, 2)), np.full(2, 1e4)), r"held-out target \[0\] is no number"),
        (LOGISTIC_SMALL, (np.zeros((2, 2)), np.array([0.0, 2.0])), "of a class that no row to train on has"),
    ],
)
def test_held_out_rows_that_do_not_fit_are_refused_before_anything_travels(
    settings: Settings, test: tuple[Any, Any], message: str
) -> None:
    columns, y = data(settings)
    seat = seats(columns, y, settings)[GUEST]
    with pytest.raises(ValueError, match=message):
        checked_held_out(seat, bench(TRAIN, TARGETS, test))


def test_held_out_labels_of_one_class_are_told_apart_by_those_to_train_on() -> None:
    columns, y = data(LOGISTIC_SMALL)
    seat = seats(columns, y, LOGISTIC_SMALL)[GUEST]
    for label, sign in ((0.0, -1.0), (1.0, 1.0)):
        found = checked_held_out(seat, bench(TRAIN, TARGETS, (TRAIN[:2], np.full(2, label))))
        assert found.targets.tolist() == [sign, sign]


def test_scores_beyond_the_limit_end_the_job_rather_than_wrap() -> None:
    columns, y = table(20)
    columns[HOST][16:] *= 1e3
    settings = with_settings(LINEAR_SMALL, holdout=0.2, feature_limit=1e5, feature_bits=8, score_limit=64.0)
    outcome = train(columns, y, with_settings(settings, learning_rate=0.3, score_bits=30))
    assert outcome.results == {}
    assert "conclude: EncodingError" in outcome.aborts[HOST]


def test_a_share_without_a_digest_keeps_the_job_waiting_for_that_party() -> None:
    laid = rehearse(*data(JOBS["linear"]), JOBS["linear"])
    seat = Seat.take(laid.briefs[HUB], ARBITER)
    held = {sender: each for sender, _, each in run("linear").of(HeldOut)}
    state = Settling(seat, ROWS, HELD_OUT, {GUEST: 2, HOST: 3, SECOND: 2}, (1.0,), {}, held)
    assert state.owing == PARTIES
    parts = [arbiter.step(state, Received(HOST, Part(seat.session, bytes(32)))).state]
    assert isinstance(parts[0], Settling)
    assert parts[0].owing == (GUEST, SECOND)
