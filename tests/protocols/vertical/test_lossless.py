"""Is what the parties learn apart the same as what one learner learns from everything together?"""

from typing import Any

import numpy as np
import pytest

from hansa.protocols.vertical import course
from tests.protocols.vertical.parts import (
    GUEST,
    HOST,
    LINEAR_SMALL,
    LOGISTIC_SMALL,
    SECOND,
    Settings,
    labels,
    learned,
    pooled,
    table,
    train,
    with_settings,
)

BOTH = pytest.mark.parametrize("settings", [LINEAR_SMALL, LOGISTIC_SMALL], ids=["linear", "logistic"])


def check(settings: Settings, rows: int, hosts: int) -> None:
    columns, score = table(rows, hosts=hosts)
    y = labels(score, settings)
    run = train(columns, y, settings)
    assert (run.aborts, run.unfinished, run.refused) == ({}, (), ())
    expected, losses = pooled(columns, y, settings)
    for name in columns:
        assert np.abs(learned(run.results[name], name, settings) - expected[name]).max() < 1e-6
        result: Any = run.results[name]
        assert result.losses == pytest.approx(losses if settings.show_loss else (), abs=1e-4)


@BOTH
@pytest.mark.parametrize("hosts", [1, 2])
def test_batches_in_blocks_lose_nothing(settings: Settings, hosts: int) -> None:
    check(settings, 21, hosts)


@BOTH
def test_large_batches_which_are_folded_block_by_block_lose_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "FOLDED_WHOLE", 8)  # of 21 rows in batches of 8, the last 13
    check(settings, 21, 2)


@BOTH
def test_blocks_that_nobody_has_chosen_lose_nothing(settings: Any) -> None:
    check(with_settings(settings, epochs=2, batch=0, block=0), 140, 1)


@BOTH
@pytest.mark.parametrize("rule", ["momentum", "adam"])
def test_other_rules_lose_nothing(settings: Any, rule: str) -> None:
    check(with_settings(settings, optimiser=rule), 16, 1)


@BOTH
@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_an_l1_penalty_loses_nothing_and_leaves_some_coefficients_at_nothing(
    settings: Any, rule: str
) -> None:
    sparse = with_settings(settings, optimiser=rule, l1=2.0)
    check(sparse, 16, 2)
    columns, score = table(16, hosts=2)
    run = train(columns, labels(score, sparse), sparse)
    assert any((learned(run.results[name], name, sparse) == 0.0).any() for name in columns)


@BOTH
def test_rows_held_out_change_nothing_about_the_others(settings: Any) -> None:
    columns, score = table(20, hosts=2)
    whole = train({name: X[:16] for name, X in columns.items()}, labels(score, settings)[:16], settings)
    held = train(columns, labels(score, settings), with_settings(settings, holdout=0.2))
    for name in columns:
        some, all_ = (learned(run.results[name], name, settings) for run in (held, whole))
        assert some.tolist() == all_.tolist()


@BOTH
def test_a_full_batch_without_intercept_and_with_a_hidden_loss_loses_nothing(settings: Any) -> None:
    check(with_settings(settings, batch=0, intercept=False, show_loss=False, key="standard"), 12, 1)


@BOTH
def test_a_guarded_job_of_2048_bits_loses_nothing(settings: Any) -> None:
    check(with_settings(settings, epochs=2, batch=256, block=200, guard=True, key_bits=2048), 300, 1)


def test_parties_keep_only_their_own_columns() -> None:
    columns, score = table(16, hosts=2)
    run = train(columns, score, LINEAR_SMALL)
    widths = {name: len(learned(run.results[name], name, LINEAR_SMALL)) for name in (GUEST, HOST, SECOND)}
    assert widths == {GUEST: 3, HOST: 3, SECOND: 2}
