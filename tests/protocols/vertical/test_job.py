"""What a job of vertical regression may choose, who may sit where, and which rows are fit."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.protocols.errors import LocalProtocolError
from hansa.protocols.machine import Brief
from hansa.protocols.registry import ModelRegistry
from hansa.protocols.vertical.batches import Plan
from hansa.protocols.vertical.guard import least_spread, needed_spread
from hansa.protocols.vertical.job import ARBITER, GUEST, HOST, Seat, drawn_seed
from hansa.protocols.vertical.rehearsal import HUB, no_model, rehearse
from hansa.protocols.vertical.rows import checked_rows, first_coefficients, own_rows
from hansa.protocols.vertical.settings import LinearSettings, LogisticSettings
from hansa.protocols.vertical.spec import LINEAR
from hansa.protocols.workbench import RowsWorkbench
from tests.protocols.vertical.parts import LINEAR_SMALL, LOGISTIC_SMALL, seats, table, with_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("guest", ""),
        ("epochs", 0),
        ("block", -1),
        ("block", 65_537),
        ("batch", -1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("penalty", -0.1),
        ("l1", -0.1),
        ("holdout", 1.0),
        ("holdout", float("nan")),
        ("score_limit", 2.0**41),
        ("tol", float("inf")),
        ("patience", -1),
        ("start_spread", -1.0),
        ("alarm", 1.0),
        ("alarm", float("nan")),
        ("overdue_s", 0.0),
        ("overdue_s", 0.09),
        ("give_up_s", 60.0),
        ("key_bits", 1_024),
        ("key_bits", 2_049),
        ("key_bits", 16_384),
        ("feature_limit", 0.0),
        ("feature_bits", 60),
        ("score_bits", 50),
        ("score_bits", -1),
    ],
)
def test_a_setting_out_of_range_is_named(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name}"):
        LinearSettings(**{"guest": "bank", name: value})


def brief(me: str, role: str, **changes: Any) -> Brief:
    secret = changes.pop("secret", bytes(32))
    return replace(Brief("job", me, role, HUB, ("bank", "shop"), LINEAR_SMALL, 1, secret=secret), **changes)


@pytest.mark.parametrize(
    ("wrong", "role", "message"),
    [
        (brief("bank", GUEST, settings="settings"), GUEST, "needs its settings, not str"),
        (brief("bank", GUEST, settings=LinearSettings("eve")), GUEST, "guest eve is not a party"),
        (brief("bank", GUEST, parties=("bank",)), GUEST, "takes a guest, a host, and an arbiter"),
        (brief("bank", GUEST, parties=("bank", HUB)), GUEST, "takes a guest, a host, and an arbiter"),
        (brief("bank", HOST), HOST, "bank was given a brief for host"),
        (brief("shop", HOST), GUEST, "shop was given a brief for host and put on as guest"),
        (brief("shop", ARBITER), ARBITER, "shop was given a brief for arbiter"),
        (brief("eve", HOST), HOST, "eve was given a brief for host"),
        (brief("shop", HOST, secret=b"short"), HOST, "needs 32 secret bytes, not 5"),
    ],
)
def test_a_brief_that_makes_no_sense_is_our_own_mistake(wrong: Brief, role: str, message: str) -> None:
    with pytest.raises(LocalProtocolError, match=message):
        Seat.take(wrong, role)


def test_sessions_differ_by_settings_and_seeds_by_purpose() -> None:
    other = with_settings(LINEAR_SMALL, epochs=9)
    sessions = {Seat.take(brief("shop", HOST, settings=each), HOST).session for each in (LINEAR_SMALL, other)}
    assert len(sessions) == 2
    seeds = {drawn_seed(secret, *what) for secret in (b"a", b"b") for what in (("x",), ("x", 1), ("y", 1))}
    assert len(seeds) == 6


def test_a_party_of_this_protocol_has_no_model_of_its_own() -> None:
    with pytest.raises(LocalProtocolError, match="trains no local model"):
        no_model()
    assert "vertical-linear" not in ModelRegistry().names()


@given(st.integers(1, 300), st.integers(0, 120), st.integers(0, 50), st.integers(0, 2**31))
def test_batches_are_disjoint_hold_every_row_and_are_the_same_for_everybody(
    rows: int, batch: int, block: int, seed: int
) -> None:
    plan = Plan(rows, batch, block, seed)
    numbers = range(plan.batches)
    blocks = [
        plan.block_rows(number, part).tolist() for number in numbers for part in range(plan.blocks(number))
    ]
    assert sorted(row for each in blocks for row in each) == list(range(rows))
    sizes = [plan.block_size(number, part) for number in numbers for part in range(plan.blocks(number))]
    assert [len(each) for each in blocks] == sizes
    assert all(plan.size(number) == len(plan.batch_rows(number)) for number in numbers)
    assert max(map(plan.size, numbers)) == plan.size(plan.batches - 1)
    assert Plan(rows, batch, block, seed).batch_rows(0).tolist() == plan.batch_rows(0).tolist()


def test_no_batch_is_cut_so_finely_that_a_step_would_ask_for_a_million_tasks() -> None:
    plan = Plan(1_000_000, 0, 1, 1)
    assert plan.blocks(0) == 1_024
    assert sum(plan.block_size(0, block) for block in range(1_024)) == 1_000_000
    assert Plan(1_024, 0, 1, 1).blocks(0) == 1_024


@pytest.mark.parametrize(
    ("rows", "batch", "block", "sizes"),
    [
        (569, 0, 0, [72] * 7 + [65]),
        (40, 0, 0, [40]),
        (130, 0, 0, [64, 64, 2]),
        (1_200, 600, 0, [75] * 8),
        (100_000, 0, 0, [4_096] * 24 + [1_696]),
        (569, 0, 4_096, [569]),
        (569, 0, 200, [200, 200, 169]),
    ],
)
def test_blocks_are_an_eighth_of_a_batch_within_limits_unless_the_job_says(
    rows: int, batch: int, block: int, sizes: list[int]
) -> None:
    plan = Plan(rows, batch, block, 1)
    assert [plan.block_size(0, each) for each in range(plan.blocks(0))] == sizes


BAD = np.zeros((16, 3))
BAD[4, 2] = 65.0
NAN = np.zeros((16, 3))
NAN[5, 0] = np.nan


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros(16), r"features of shape \(16,\)"),
        (np.zeros((0, 3)), r"features of shape \(0, 3\)"),
        (np.zeros((16, 0)), r"features of shape \(16, 0\)"),
        (BAD, r"feature \[4, 2\] is no number within ±64"),
        (NAN, r"feature \[5, 0\] is no number within ±64"),
    ],
)
def test_features_that_do_not_fit_are_refused_by_their_place(X: Any, message: str) -> None:
    columns, y = table(16)
    columns["shop"] = X
    laid = rehearse(columns, y, LINEAR_SMALL)
    with pytest.raises(ValueError, match=message):
        checked_rows(seats(columns, y, LINEAR_SMALL)["shop"], laid.benches["shop"])


@pytest.mark.parametrize(
    ("settings", "y", "message"),
    [
        (LINEAR_SMALL, np.zeros(15), r"16 rows, but labels of shape \(15,\)"),
        (LINEAR_SMALL, np.full(16, 5_000.0), r"target \[0\] is no number within ±4096"),
        (LOGISTIC_SMALL, np.zeros(16), "two classes, not of 1"),
        (LOGISTIC_SMALL, np.arange(16), "two classes, not of 16"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    settings: LinearSettings | LogisticSettings, y: Any, message: str
) -> None:
    columns, _ = table(16)
    laid = rehearse(columns, y, settings)
    with pytest.raises(ValueError, match=message):
        checked_rows(seats(columns, y, settings)["bank"], laid.benches["bank"])


def test_labels_may_be_words() -> None:
    columns, _ = table(4)
    y = np.array(["no", "yes", "yes", "no"])
    laid = rehearse(columns, y, LOGISTIC_SMALL)
    found = own_rows(seats(columns, y, LOGISTIC_SMALL)["bank"], laid.benches["bank"])
    assert found.targets.tolist() == [-1.0, 1.0, 1.0, -1.0]


def test_the_guest_starts_at_random_and_the_hosts_at_nothing() -> None:
    columns, y = table(24)
    laid, sitting = rehearse(columns, y, LINEAR_SMALL), seats(columns, y, LINEAR_SMALL)
    mine = own_rows(sitting["bank"], laid.benches["bank"])
    one, two = (first_coefficients(sitting["bank"], mine, bytes([each] * 32)) for each in (1, 2))
    assert not np.allclose(one, two)
    plan = sitting["bank"].plan(24)
    assert least_spread(mine.X @ one, plan) == pytest.approx(needed_spread(mine.targets, plan))
    host = first_coefficients(sitting["shop"], own_rows(sitting["shop"], laid.benches["shop"]), bytes(32))
    assert host.tolist() == [0.0] * 3


def test_settings_say_who_plays_which_role() -> None:
    roles = {name: LINEAR.role_of(LINEAR_SMALL, name) for name in ("bank", "shop", "telco")}
    assert roles == {"bank": GUEST, "shop": HOST, "telco": HOST}
    assert (LINEAR.coordinator_role, LINEAR.bench, LINEAR.names_model) == (ARBITER, "aligned", False)


def test_a_task_reads_only_the_rows_of_its_block() -> None:
    columns, y = table(24)
    y = (y > 0).astype(int)
    laid, seat = rehearse(columns, y, LOGISTIC_SMALL), seats(columns, y, LOGISTIC_SMALL)["bank"]
    rows = seat.plan(24).block_rows(1, 0)
    X, labels = laid.benches["bank"].training()
    wanted, X = own_rows(seat, laid.benches["bank"]), X.copy()
    X[np.setdiff1d(np.arange(24), rows)] = np.nan
    bench = RowsWorkbench(no_model, (X, labels), (X, labels))
    found = own_rows(seat, bench, rows)
    assert found.X.tolist() == wanted.X[rows].tolist()
    assert found.targets.tolist() == wanted.targets[rows].tolist()


def test_tasks_that_look_at_rows_say_so() -> None:
    looking = {name for name, task in LINEAR.tasks.items() if task.uses_bench}
    assert looking == {"inspect", "score", "residual", "fold", "conclude", "value"}
    heavy = {name for name, task in LINEAR.tasks.items() if task.heavy}
    assert heavy == {"score", "residual", "fold", "seal", "make-key", "open"}
