"""Known attacks on gradients: they succeed where the leak guard is off, and are refused by name where it is on."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from hansa.protocols.model import Array, FloatArray
from tests.protocols.vertical.parts import GUEST, HOST, LOGISTIC_SMALL, table, train, with_settings

# One full batch, so that the host's first step tells it one gradient.
BARE = with_settings(LOGISTIC_SMALL, epochs=1, batch=0, block=64, penalty=0.0, intercept=False)
GUARDED = with_settings(BARE, guard=True, key_bits=2_048)


def first_gradient(columns: dict[str, FloatArray], y: Array, settings: Any) -> FloatArray:
    """Return Xᵀd of the first batch as the host works it out from its own first step."""
    run = train(columns, y, settings)
    assert run.aborts == {}
    result: Any = run.results[HOST]
    return np.asarray(-result.theta * len(y) / settings.learning_rate)


def refusal(columns: dict[str, FloatArray], y: Array, settings: Any, who: str) -> str:
    run = train(columns, y, settings)
    assert set(run.results) == set()
    return run.aborts[who]


def test_from_zero_one_gradient_tells_all_labels() -> None:
    """Residuals are then ±½: of 2^14 guesses one fits (lattice reduction finds it among many more rows)."""
    columns, score = table(14)
    y = np.where(score > 0, 1, 0)
    gradient = first_gradient(columns, y, with_settings(BARE, start_spread=0.0))
    guesses = np.array(list(product((-1.0, 1.0), repeat=14)))
    misses = np.abs(-0.5 * guesses @ columns[HOST] - gradient).max(axis=1)
    assert (guesses[np.argmin(misses)] > 0).astype(int).tolist() == y.tolist()
    assert np.sort(misses)[1] > 100 * misses.min()


def test_a_start_from_zero_is_refused() -> None:
    columns, score = table(300)
    reason = refusal(columns, score > 0, with_settings(GUARDED, start_spread=0.0), GUEST)
    assert "ColdStart: the guest's first scores vary by 0 in a batch" in reason


def test_a_guest_of_flags_alone_is_refused() -> None:
    columns, score = table(300)
    columns[GUEST] = (columns[GUEST] > 0).astype(float)
    assert "ColdStart: the guest's scores take 4 values" in refusal(columns, score > 0, GUARDED, GUEST)


def test_a_column_of_a_single_row_tells_that_rows_residual() -> None:
    columns, score = table(12)
    columns[HOST][:, 1] = 0.0
    columns[HOST][7, 1] = 1.0
    y = np.where(score > 0, 1, 0)
    gradient = first_gradient(columns, y, with_settings(BARE, start_spread=0.0))
    assert gradient[1] == pytest.approx(-0.5 if y[7] else 0.5, abs=1e-6)


@pytest.mark.parametrize("common", [0.0, -0.7])
def test_a_column_of_a_single_row_is_refused_by_its_owner(common: float) -> None:
    columns, score = table(300)
    columns[HOST][:, 1] = common
    columns[HOST][7, 1] = 1.0
    reason = refusal(columns, score > 0, GUARDED, HOST)
    assert "LoneRowColumn: column 1 differs in one row only of batch 0" in reason


def test_a_column_without_variance_is_refused_by_its_owner() -> None:
    columns, score = table(300)
    columns[HOST][:, 2] = 3.0
    assert "ConstantColumn: column 2 has no variance" in refusal(columns, score > 0, GUARDED, HOST)


def test_a_batch_of_as_many_rows_as_columns_tells_every_residual() -> None:
    columns, _ = table(3)
    y = np.array([1, 0, 1])
    gradient = first_gradient(columns, y, with_settings(BARE, start_spread=0.0))
    residuals = np.linalg.solve(columns[HOST].T, gradient)
    assert (residuals < 0).astype(int).tolist() == y.tolist()


@pytest.mark.parametrize(("rows", "batch", "width"), [(255, 0, 3), (600, 100, 3), (300, 0, 76)])
def test_a_batch_too_small_for_the_widest_party_is_refused(rows: int, batch: int, width: int) -> None:
    columns, score = table(rows)
    columns[HOST] = np.random.default_rng(1).normal(size=(rows, width))
    run = train(columns, score > 0, with_settings(GUARDED, batch=batch))
    assert run.results == {}
    least = max(256, 4 * width)
    wanted = f"SmallBatch: a batch of {batch or rows} rows: with {width} columns at a party it takes {least}"
    assert wanted in run.aborts.values()
