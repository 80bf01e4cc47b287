"""The leak guard's own arithmetic."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.protocols.vertical import guard
from hansa.protocols.vertical.batches import Plan
from hansa.protocols.vertical.errors import (
    ColdStart,
    ConstantColumn,
    DependentColumn,
    GoneCold,
    LeakRefused,
    LoneRowColumn,
    OutlyingRow,
    Outnumbered,
    SmallBatch,
)

ROWS = 300
ALL = Plan(ROWS, 0, 64, 1)
SEEDS = st.integers(0, 2**32 - 1)
COLUMNS = st.dictionaries(st.sampled_from("abcde"), st.integers(1, 400), min_size=2)


def normal(seed: int, columns: int = 4, rows: int = ROWS) -> Any:
    return np.random.default_rng(seed).normal(size=(rows, columns))


def refused(check: Any, *arguments: Any) -> bool:
    try:
        check(*arguments)
    except LeakRefused:
        return True
    return False


@given(SEEDS, st.integers(2, 20), st.integers(0, 3))
def test_leverages_are_shares_that_add_up_to_the_rank(seed: int, columns: int, copies: int) -> None:
    X = normal(seed, columns)
    found = guard.leverages(np.hstack([X, X[:, :copies], np.full((ROWS, 1), 7.0), np.zeros((ROWS, 1))]))
    assert found.sum() == pytest.approx(columns + 1)
    assert -1e-9 <= found.min() <= found.max() <= 1 + 1e-9


@given(SEEDS, st.integers(0, ROWS - 1), st.integers(0, 3))
def test_no_unit_of_measure_and_no_mixing_of_columns_changes_a_leverage(
    seed: int, row: int, column: int
) -> None:
    random = np.random.default_rng(seed)
    X = normal(seed)
    X[row, column] *= 40
    mixing, _ = np.linalg.qr(
        random.normal(size=(4, 4))
    )  # any but the nearly singular, which floats can't undo
    mixed = X @ mixing * 10.0 ** random.integers(-3, 3, size=4) + random.normal(size=4)
    assert guard.leverages(mixed) == pytest.approx(guard.leverages(X), abs=1e-5)


@given(SEEDS, st.integers(0, ROWS - 1), st.lists(st.floats(-5, 5), min_size=4, max_size=4))
def test_no_combination_of_columns_gives_a_row_more_than_its_leverage(
    seed: int, row: int, weights: list[float]
) -> None:
    X = normal(seed)
    combined = X @ np.array(weights) + 0.5
    assert combined[row] ** 2 <= guard.leverages(X)[row] * (combined @ combined) * (1 + 1e-9) + 1e-12


def test_rows_are_looked_at_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    X = normal(1, 5)
    X[3] *= 9
    at_once = guard.leverages(X)
    monkeypatch.setattr(guard, "BLOCK", 64)
    assert guard.leverages(X) == pytest.approx(at_once)
    X[:, 4] = X[:, 0] - X[:, 2]
    with pytest.raises(DependentColumn, match="column 4 follows"):
        guard.check_columns(X, ALL)


@given(SEEDS, st.integers(1, 12), st.integers(0, 2))
def test_ordinary_columns_pass(seed: int, columns: int, flags: int) -> None:
    X = normal(seed, columns + flags)
    X[:, columns:] = X[:, columns:] > 0
    guard.check_columns(X, ALL)


@given(SEEDS, st.integers(0, 3), st.floats(-3, 3), st.integers(0, 2 * guard.FEWEST_ODD_ROWS))
def test_a_column_is_refused_if_and_only_if_too_few_rows_differ_in_it(
    seed: int, column: int, common: float, odd: int
) -> None:
    X = normal(seed)
    X[:, column] = common
    X[np.random.default_rng(seed).permutation(ROWS)[:odd], column] = common + 1
    if odd >= guard.FEWEST_ODD_ROWS:
        guard.check_columns(X, ALL)
        return
    kind, words = (LoneRowColumn, "differs in") if odd else (ConstantColumn, "has no variance")
    with pytest.raises(kind, match=f"column {column} {words}"):
        guard.check_columns(X, ALL)


@given(SEEDS, st.integers(1, 2 * guard.FEWEST_ODD_ROWS), st.booleans(), st.floats(0.1, 3))
def test_flags_are_refused_if_and_only_if_they_say_nearly_the_same(
    seed: int, odd: int, inverted: bool, size: float
) -> None:
    X = normal(seed)
    X[:, 1] = X[:, 0] > 0
    flipped = np.random.default_rng(seed).permutation(ROWS)[:odd]
    X[:, 3] = X[:, 1]
    X[flipped, 3] = 1 - X[flipped, 3]
    X[:, 3] = size * (1 - X[:, 3] if inverted else X[:, 3]) - 0.4
    if odd >= guard.FEWEST_ODD_ROWS:
        guard.check_columns(X, ALL)
        return
    with pytest.raises(LoneRowColumn, match="columns 1 and 3 say the same but for a few rows of batch 0"):
        guard.check_columns(X, ALL)


def test_a_column_may_be_constant_in_one_batch_but_not_differ_in_a_few_of_its_rows() -> None:
    plan, X = Plan(600, 300, 64, 1), normal(1, rows=600)
    X[:, 0] = 0.0
    X[plan.batch_rows(1)[:50], 0] = 1.0
    guard.check_columns(X, plan)
    X[plan.batch_rows(0)[:2], 0] = 1.0
    with pytest.raises(LoneRowColumn, match="differs in 2 rows only of batch 0"):
        guard.check_columns(X, plan)


@given(SEEDS, st.integers(0, 3), st.floats(60, 1e4), st.integers(0, ROWS - 1))
def test_a_value_far_beyond_all_others_is_refused(seed: int, column: int, value: float, row: int) -> None:
    X = normal(seed) / 4
    X[row, column] = value
    with pytest.raises(OutlyingRow, match=f"above all {column}"):
        guard.check_columns(X, ALL)


@given(SEEDS, st.integers(0, ROWS - 1))
def test_columns_whose_difference_is_about_one_row_are_refused(seed: int, row: int) -> None:
    X = normal(seed)
    X[:, 3] = X[:, 1] * 2 - X[:, 0]
    X[row, 3] += 1e-3
    with pytest.raises(OutlyingRow):
        guard.check_columns(X, ALL)


@given(st.integers(1, 4_000), st.integers(0, 2_000), st.integers(1, 300))
def test_every_batch_has_256_rows_and_four_for_each_column(rows: int, batch: int, widest: int) -> None:
    plan = Plan(rows, batch, 64, 1)
    smallest = min(plan.size(number) for number in range(plan.batches))
    small = smallest < 256 or smallest < 4 * widest
    assert refused(guard.check_batches, plan, widest) == small


@given(COLUMNS, st.integers(256, 10_000), st.integers(20, 50))
def test_a_single_batch_is_in_balance_when_nobody_can_subtract_the_others_with_bits_to_spare(
    columns: dict[str, int], rows: int, bits: int
) -> None:
    excess = max(2 * own - sum(columns.values()) for own in columns.values())
    over = excess * (bits + guard.BITS_BEYOND) > guard.BITS_PER_ROW * rows
    assert refused(guard.check_balance, Plan(rows, 0, 64, 1), columns, bits) == over


@given(COLUMNS, st.integers(1, 5_000), st.integers(1, 20))
def test_balance_is_never_lost_by_larger_batches_or_by_fewer_of_them(
    columns: dict[str, int], rows: int, batches: int
) -> None:
    plan = Plan(rows * batches, rows, 64, 1)
    if refused(guard.check_balance, plan, columns, 36):
        with pytest.raises(Outnumbered, match=r"unless a batch has \d+ rows"):
            guard.check_balance(plan, columns, 36)
        return
    guard.check_balance(Plan((rows + 1) * batches, rows + 1, 64, 1), columns, 36)
    guard.check_balance(Plan(rows, rows, 64, 1), columns, 36)


@given(SEEDS, st.floats(0.1, 50), st.floats(-9, 9))
def test_spread_follows_the_scores_and_not_a_few_of_them(seed: int, times: float, shift: float) -> None:
    scores = normal(seed, 1)[:, 0]
    plain = guard.spread(scores)
    assert plain == pytest.approx(1.0, abs=0.25)
    assert guard.spread(times * scores + shift) == pytest.approx(times * plain)
    scores[:20] *= 1e6
    assert guard.spread(scores) < 1.5
    assert plain <= np.std(scores)


def test_few_values_far_out_don_t_warm_a_start_and_neither_does_a_little_noise() -> None:
    random = np.random.default_rng(1)
    even = np.where(np.arange(ROWS) < 9, 1e3, 1e-3 * random.normal(size=ROWS))
    with pytest.raises(ColdStart, match=r"vary by 0\.00"):
        guard.check_start(even, ALL)
    two = np.where(random.random(ROWS) < 0.5, -1.5, 1.5) + 1e-3 * random.normal(size=ROWS)
    with pytest.raises(ColdStart, match="take 2 values"):
        guard.check_start(two, ALL)
    guard.check_start(2 * random.normal(size=ROWS), ALL)


@given(SEEDS, st.floats(0.01, 1e5))
def test_a_start_must_hide_labels_of_any_size(seed: int, size: float) -> None:
    targets = size * normal(seed, 1)[:, 0]
    needed = guard.needed_spread(targets, ALL)
    assert needed == max(1.0, float(np.std(targets)))
    scores = normal(seed + 1, 1)[:, 0]
    scores *= needed / guard.spread(scores)
    guard.check_start(scores, ALL, needed)
    assert refused(guard.check_start, 0.99 * scores, ALL, needed)


@given(SEEDS, st.floats(0, 3), st.integers(1, 75))
def test_scores_that_would_do_for_a_start_do_later_and_colder_ones_for_fewer_columns(
    seed: int, spread: float, widest: int
) -> None:
    scores, signs = spread * normal(seed, 1)[:, 0], np.sign(normal(seed + 1, 1)[:, 0])
    check = (scores, signs, widest, 36)
    if guard.spread(scores) >= 1:
        guard.check_scores(*check)
    assert refused(guard.check_scores, scores, signs, widest, 36) <= refused(
        guard.check_scores, scores / 2, signs, widest, 36
    )
    assert not refused(guard.check_scores, scores, signs, 2 * ROWS // 38, 36)


def test_even_scores_are_refused_with_the_columns_that_would_do() -> None:
    with pytest.raises(GoneCold, match="safe with 15 columns at a host, not with 16"):
        guard.check_scores(np.ones(ROWS), np.sign(normal(1, 1)[:, 0]), 16, 36)
    with pytest.raises(SmallBatch, match="it takes 256"):
        guard.check_batches(Plan(255, 0, 64, 1), 1)
