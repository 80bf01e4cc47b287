"""Known attacks on gradients: they succeed where the leak guard is off, and are refused by name where it is on.

Whoever attacks keeps to the protocol, and computes with what it sees. For what a lattice does see
`tests/protocols/lattice.py`.
"""

import re
from typing import Any

import numpy as np
import pytest

from hansa.protocols.model import Array, FloatArray
from hansa.protocols.simulator import Chaos, simulate
from hansa.protocols.vertical.outcome import PartyCheckpoint
from hansa.protocols.vertical.rehearsal import rehearse
from tests.protocols.lattice import signs
from tests.protocols.vertical.observer import Seen, labels_from_all_rounds, seen, without_others
from tests.protocols.vertical.parts import (
    GUEST,
    HOST,
    LINEAR_SMALL,
    LOGISTIC_SMALL,
    Settings,
    train,
    with_settings,
)
from tests.protocols.vertical.play import play

# Full batches, so that each round tells about all rows.
BARE = with_settings(LOGISTIC_SMALL, epochs=1, batch=0, block=64, penalty=0.0, intercept=False, holdout=0.0)
BARE_LINEAR = with_settings(LINEAR_SMALL, epochs=1, batch=0, block=64, penalty=0.0, intercept=False)
FROM_ZERO = with_settings(BARE, start_spread=0.0)
LONG = with_settings(BARE, epochs=6, learning_rate=0.5)
GUARDED = with_settings(BARE, guard=True, key_bits=2_048)

Columns = dict[str, FloatArray]


def wide(rows: int, guest: int, host: int, seed: int = 0) -> tuple[Columns, Array]:
    """Return columns of so many at each side, and two classes that depend on all."""
    random = np.random.default_rng(seed)
    columns = {GUEST: random.normal(size=(rows, guest)), HOST: random.normal(size=(rows, host))}
    score = sum(X @ random.normal(size=X.shape[1]) for X in columns.values()) + random.normal(size=rows)
    return columns, (np.asarray(score) > 0).astype(int)


def watched(columns: Columns, y: Array, settings: Settings, who: str = HOST) -> list[Seen]:
    """Return what a party sees in a run, round by round."""
    return seen(play(columns, y, settings), who)


def refusal(columns: Columns, y: Array, settings: Settings, who: str) -> str:
    """Return why a run has ended; nobody has a model."""
    run = train(columns, y, settings)
    assert run.results == {}
    return run.aborts[who]


def classes(found: FloatArray | None) -> list[int]:
    assert found is not None
    return [int(each > 0) for each in found]


# -- scores of the guest that hide nothing ------------------------------------------------------------------


def test_from_zero_one_gradient_tells_all_labels() -> None:
    """Residuals are then ±½: 80 labels follow from 20 sums, by lattice reduction and without any guessing."""
    columns, y = wide(80, guest=2, host=20)
    (first,) = watched(columns, y, FROM_ZERO)
    assert classes(signs(columns[HOST], -2 * first.gradient, bits=12)) == y.tolist()


def test_from_a_start_that_is_small_beside_the_targets_a_linear_gradient_tells_them() -> None:
    """Scores spread by 1 don't hide prices of 0 and 4,000."""
    columns, y = wide(40, guest=2, host=24)
    (first,) = watched(columns, 4_000.0 * y, with_settings(BARE_LINEAR, start_spread=1 / 2_000))
    sums = columns[HOST].sum(axis=0)
    assert classes(signs(columns[HOST], -first.gradient / 2_000 - sums, bits=10)) == y.tolist()


@pytest.mark.parametrize("settings", [GUARDED, with_settings(BARE_LINEAR, guard=True, key_bits=2_048)])
def test_a_start_from_zero_is_refused(settings: Any) -> None:
    columns, y = wide(300, guest=2, host=3)
    reason = refusal(columns, y, with_settings(settings, start_spread=0.0), GUEST)
    assert "ColdStart: the guest's first scores vary by 0 in a batch" in reason


def test_a_start_that_is_small_beside_the_targets_is_refused() -> None:
    columns, y = wide(300, guest=2, host=3)
    settings = with_settings(BARE_LINEAR, guard=True, key_bits=2_048, start_spread=1 / 2_000)
    assert "ColdStart: the guest's first scores vary by 1 in a batch, at least 2e+03" in refusal(
        columns, 4_000.0 * y, settings, GUEST
    )


def test_a_guest_of_flags_alone_is_refused() -> None:
    columns, y = wide(300, guest=2, host=3)
    columns[GUEST] = (columns[GUEST] > 0).astype(float)
    assert "ColdStart: the guest's scores take 4 values" in refusal(columns, y, GUARDED, GUEST)


def test_scores_that_have_shrunk_to_nothing_tell_all_labels() -> None:
    """An l1 penalty may set all the guest's coefficients to 0, and so may a start from an earlier job."""
    columns, y = wide(40, guest=2, host=16)
    second = watched(columns, y, with_settings(BARE, epochs=2, l1=100.0))[1]
    ours = columns[HOST] @ second.theta
    rest = second.gradient - 0.25 * columns[HOST].T @ ours
    assert classes(signs(columns[HOST], -2 * rest, bits=12)) == y.tolist()


def test_scores_that_have_shrunk_to_nothing_are_refused() -> None:
    columns, y = wide(256, guest=2, host=14)
    reason = refusal(columns, y, with_settings(GUARDED, epochs=2, l1=100.0), GUEST)
    assert "GoneCold: the guest's scores vary by no more than 0 in a batch of 256 rows" in reason
    assert "safe with 13 columns at a host, not with 14" in reason


def test_an_earlier_jobs_scores_that_have_shrunk_to_nothing_are_no_start() -> None:
    columns, y = wide(256, guest=2, host=14)
    kept = train(columns, y, with_settings(BARE, l1=100.0)).kept
    later = with_settings(GUARDED, epochs=2, start_job="first")
    plan = rehearse(columns, y, later, start=kept)
    run = simulate(plan.spec, plan.briefs, plan.benches, Chaos(1))
    assert "residual: GoneCold: the guest's scores vary by no more than 0" in run.aborts[GUEST]
    left = run.kept[GUEST]
    assert isinstance(left, PartyCheckpoint)
    assert left.states[-1].epochs == 1  # and no further


# -- many rounds --------------------------------------------------------------------------------------------


def test_a_host_with_more_columns_than_others_tells_labels_from_scores_after_a_few_rounds() -> None:
    """Whatever the start: two columns move the host's gradients in two of its 16 dimensions, the labels in none."""
    columns, y = wide(40, guest=2, host=16)
    assert classes(labels_from_all_rounds(columns[HOST], watched(columns, y, LONG))) == y.tolist()


def test_a_guest_of_many_columns_that_say_the_same_hides_no_more() -> None:
    columns, y = wide(40, guest=2, host=16)
    columns[GUEST] = columns[GUEST] @ np.random.default_rng(1).normal(size=(2, 15))
    assert classes(labels_from_all_rounds(columns[HOST], watched(columns, y, LONG))) == y.tolist()


def test_a_guest_with_more_columns_than_a_host_reads_its_flags() -> None:
    """All that it sees of the host is a multiple of Xᵀflags: flags are signs that fit the other dimensions."""
    columns, y = wide(40, guest=16, host=1)
    flags: FloatArray = np.where(columns[HOST] > 0.3, 1.0, -1.0)
    columns[HOST] = flags
    X, t = columns[GUEST], np.where(y > 0, 1.0, -1.0)
    rounds = watched(columns, y, LONG, GUEST)
    hosts = [each.gradient - X.T @ (0.25 * X @ each.theta - 0.5 * t) for each in rounds]
    combined, sums = without_others(X, np.array(hosts))
    found = signs(combined, sums, bits=16)
    assert found is not None
    assert abs(found @ flags[:, 0]) == 40  # up to their sign, which the coefficient tells


@pytest.mark.parametrize(("guest", "host", "wider"), [(2, 16, HOST), (16, 2, GUEST)])
def test_a_party_with_so_many_columns_more_than_others_is_refused(guest: int, host: int, wider: str) -> None:
    columns, y = wide(256, guest, host)
    reasons = train(columns, y, GUARDED).aborts
    told = f"Outnumbered: {wider} has 16 columns, all others together 2"
    assert any(told in reason and "unless a batch has 266 rows" in reason for reason in reasons.values())


def test_a_column_that_follows_from_others_is_refused() -> None:
    columns, y = wide(300, guest=3, host=3)
    columns[GUEST][:, 2] = columns[GUEST][:, 0] - columns[GUEST][:, 1]
    assert "DependentColumn: column 2 follows" in refusal(columns, y, GUARDED, GUEST)


# -- columns about few rows ---------------------------------------------------------------------------------


def test_a_column_of_a_single_row_tells_that_rows_residual() -> None:
    columns, y = wide(12, guest=2, host=3)
    columns[HOST][:, 1] = 0.0
    columns[HOST][7, 1] = 1.0
    (first,) = watched(columns, y, FROM_ZERO)
    assert first.gradient[1] == pytest.approx(-0.5 if y[7] else 0.5, abs=1e-6)


@pytest.mark.parametrize("common", [0.0, -0.7])
def test_a_column_of_a_single_row_is_refused_by_its_owner(common: float) -> None:
    columns, y = wide(300, guest=2, host=3)
    columns[HOST][:, 1] = common
    columns[HOST][7, 1] = 1.0
    reason = refusal(columns, y, GUARDED, HOST)
    assert "LoneRowColumn: column 1 differs in one row only of batch 0" in reason


def test_columns_of_a_handful_of_rows_tell_how_many_of_their_labels_are_which() -> None:
    """Though the guest starts at random: a label's residual moves by 1, while scores blur each by a quarter."""
    columns, y = wide(60, guest=2, host=10)
    columns[HOST] = np.repeat(np.eye(30), 2, axis=0)
    (first,) = watched(columns, y, BARE)
    guessed = np.clip(np.rint(1 - first.gradient), 0, 2)
    right = guessed == y.reshape(30, 2).sum(axis=1)
    assert right.mean() > 0.7
    assert right[guessed != 1].sum() > 10  # and with them the labels of both rows


@pytest.mark.parametrize("rows", [2, 4])
def test_a_column_of_a_handful_of_rows_is_refused_by_its_owner(rows: int) -> None:
    columns, y = wide(300, guest=2, host=3)
    columns[HOST][:, 0] = 0.0
    columns[HOST][:rows, 0] = 1.0
    assert f"LoneRowColumn: column 0 differs in {rows} rows only" in refusal(columns, y, GUARDED, HOST)


def outlying(rows: int) -> tuple[Columns, Array]:
    """Return a host's column in which row 7 is far beyond the others."""
    columns, y = wide(rows, guest=2, host=3)
    columns[HOST][:, 1] /= 10
    columns[HOST][7, 1] = 60.0
    return columns, y


def nearly_alike(rows: int) -> tuple[Columns, Array]:
    """Return a host's two columns that differ in row 7 alone."""
    columns, y = wide(rows, guest=2, host=3)
    columns[HOST][:, 1] = columns[HOST][:, 0]
    columns[HOST][7, 1] += 0.5
    return columns, y


def test_a_value_far_beyond_all_others_tells_its_rows_residual() -> None:
    columns, y = outlying(60)
    (first,) = watched(columns, y, FROM_ZERO)
    assert first.gradient[1] / 60 == pytest.approx(-0.5 if y[7] else 0.5, rel=0.1)


def test_columns_that_differ_in_one_row_tell_its_residual() -> None:
    columns, y = nearly_alike(60)
    (first,) = watched(columns, y, FROM_ZERO)
    residual = (first.gradient[1] - first.gradient[0]) / 0.5
    assert residual == pytest.approx(-0.5 if y[7] else 0.5, abs=1e-6)


@pytest.mark.parametrize("case", [outlying, nearly_alike])
def test_columns_that_add_up_to_one_row_are_refused_by_their_owner(case: Any) -> None:
    columns, y = case(300)
    reason = refusal(columns, y, GUARDED, HOST)
    assert re.search(
        "OutlyingRow: columns of batch 0, above all [01], add up to 100% of a single row", reason
    )


def test_a_column_without_variance_is_refused_by_its_owner() -> None:
    columns, y = wide(300, guest=2, host=3)
    columns[HOST][:, 2] = 3.0
    assert "ConstantColumn: column 2 has no variance" in refusal(columns, y, GUARDED, HOST)


# -- small batches ------------------------------------------------------------------------------------------


def test_a_batch_of_as_many_rows_as_columns_tells_every_residual() -> None:
    columns, y = wide(12, guest=2, host=12)
    (first,) = watched(columns, y, BARE)
    residuals = np.linalg.solve(columns[HOST].T, first.gradient)
    assert np.mean((residuals < 0) == y) > 0.9


def test_a_batch_too_small_for_anybody_is_refused_before_a_job_is_proposed() -> None:
    with pytest.raises(ValueError, match="batch must be 0 or at least 256 with the leak guard, not 100"):
        with_settings(GUARDED, batch=100)


@pytest.mark.parametrize(("rows", "batch", "width"), [(255, 0, 3), (600, 260, 66), (300, 0, 76)])
def test_a_batch_too_small_for_the_widest_party_is_refused(rows: int, batch: int, width: int) -> None:
    columns, y = wide(rows, guest=2, host=width)
    run = train(columns, y, with_settings(GUARDED, batch=batch))
    assert run.results == {}
    least = max(256, 4 * width)
    wanted = f"SmallBatch: a batch of {batch or rows} rows: with {width} columns at a party it takes {least}"
    assert wanted in run.aborts.values()
