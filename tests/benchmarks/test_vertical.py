"""The vertical benchmarks: a run in miniature, counts checked by hand, and what the rows say."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import r2_score, roc_auc_score

from benchmarks import vertical, vertical_accuracy
from benchmarks.vertical import BANK, EPOCHS, SHOP, Case, Measured, epoch_rows, idle_s, made_up, phase_rows
from benchmarks.vertical_accuracy import (
    Models,
    Part,
    Settings,
    Split,
    furthest,
    pooled,
    scores,
    split,
    within,
)
from benchmarks.vertical_drive import Course, JobFailed, Spent, Task, drive, workers
from benchmarks.vertical_floor import Floor, Price, Prices, cheapest, epoch_floor, prices, window_products
from hansa.protocols import Workbench
from hansa.protocols.crypto import PublicKey
from hansa.protocols.crypto.multiexp import count
from hansa.protocols.errors import PeerError
from hansa.protocols.vertical import LinearSettings, LogisticSettings
from hansa.protocols.vertical.job import GUEST, HOST, Seat
from hansa.protocols.vertical.rehearsal import rehearse
from hansa.protocols.vertical.tasks import FOLD, MAKE_KEY, OPEN, RESIDUAL, SCORE, SEAL, KeyPair

BITS = 512
SMALL = LogisticSettings(
    BANK, epochs=EPOCHS, guard=False, key_bits=BITS, block=8, patience=0, alarm=1e9, holdout=0.0
)


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    return vertical.key_pair("subgroup", BITS)


@pytest.fixture(scope="module")
def measured(pair: KeyPair) -> tuple[Case, Measured]:
    """Run one job of 24 rows in a pool of one process for each core."""
    case = Case(*made_up(24, {BANK: 2, SHOP: 3}), turns=1)
    return case, vertical.measure(case, SMALL, pair)


# -- the drive ----------------------------------------------------------------------------------------------


def test_every_task_is_seen_with_its_role_and_its_epoch(measured: tuple[Case, Measured]) -> None:
    [course] = measured[1].courses
    assert len(course.closed_s) == EPOCHS
    assert set(course.results) == {BANK, SHOP, "hub"}
    for epoch in range(EPOCHS):
        assert {(task.role, task.function) for task in course.of(epoch)} >= {
            (HOST, SCORE),
            (GUEST, RESIDUAL),
            (HOST, FOLD),
            (GUEST, SEAL),
        }
        assert course.epoch_s(epoch) > 0
    assert {task.function for task in course.of(-1)} == {"inspect"}
    assert course.traffic["Scores"] > 0
    assert MAKE_KEY not in {task.function for task in course.tasks}


def test_a_message_that_is_refused_ends_the_drive(pair: KeyPair) -> None:
    columns, y = made_up(24, {BANK: 2, SHOP: 3})
    job = rehearse(columns, y, replace(SMALL, key="standard"))
    with workers(1, job.benches) as pool, pytest.raises(PeerError, match="the job says standard"):
        drive(pool, job, {MAKE_KEY: pair})


def test_a_job_that_is_given_up_says_who_and_why(pair: KeyPair) -> None:
    columns, y = made_up(300, {BANK: 2, SHOP: 80})
    job = rehearse(columns, y, LogisticSettings(BANK, epochs=1))
    big = vertical.key_pair("subgroup")
    with workers(1, job.benches) as pool, pytest.raises(JobFailed, match=r"gave up: SmallBatch"):
        drive(pool, job, {MAKE_KEY: big})


# -- the floor ----------------------------------------------------------------------------------------------


def test_a_mask_is_a_product_of_its_windows_and_a_table_holds_all_their_digits(pair: KeyPair) -> None:
    public = PublicKey.from_bytes(pair.public)
    assert public.randomness_bits == 128
    assert window_products(public, 8) == (16 * 256, 15)
    assert window_products(public, 9) == (14 * 512 + 4, 14)


def test_the_floor_counts_each_phase(pair: KeyPair) -> None:
    columns, y = made_up(24, {BANK: 2, SHOP: 3, "telco": 1})
    columns[BANK] = np.ones((24, 2))
    columns[BANK][:12] = 0.0
    job = rehearse(columns, y, SMALL)
    public = PublicKey.from_bytes(pair.public)
    seat = Seat.take(job.briefs[BANK], GUEST)
    floor = epoch_floor(columns, seat, public)
    later = epoch_floor(columns, seat, public, with_tables=False)
    tables = {phase for phase in floor.products if phase not in later.products}
    assert {role for role, _ in tables} == {HOST, GUEST}
    assert floor.products[HOST, SCORE] % (2 * 24) == 0
    # Each row of the guest's: two hosts' numbers added, its own, and a mask.
    assert floor.products[GUEST, RESIDUAL] == floor.products[HOST, SCORE] // 2 + 24 * 2
    ones = np.array([[0] * 12 + [1 << 23] * 12] * 2 + [[1 << 23] * 24])
    assert floor.products[GUEST, FOLD] == count(ones)
    assert sum(floor.openings.values()) == 4  # a frame from each party, and the loss


def test_the_floor_of_batches_is_that_of_each(pair: KeyPair) -> None:
    columns, y = made_up(24, {BANK: 2, SHOP: 3})
    public = PublicKey.from_bytes(pair.public)
    whole, cut = (
        epoch_floor(columns, Seat.take(rehearse(columns, y, settings).briefs[BANK], GUEST), public)
        for settings in (SMALL, replace(SMALL, batch=8))
    )
    assert cut.products[HOST, SEAL] > whole.products[HOST, SEAL]
    assert cut.openings["arbiter", OPEN] == 3 * whole.openings["arbiter", OPEN]


def test_a_floor_costs_what_its_counts_do() -> None:
    floor = Floor({(HOST, SCORE): 10, (GUEST, SEAL): 5}, {("arbiter", OPEN): 2})
    price = Price(2.0, 100.0)
    assert floor.seconds(price) == 230.0
    assert floor.seconds(price, (HOST, SCORE)) == 20.0
    assert floor.seconds(price, ("arbiter", OPEN)) == 200.0


def test_the_cheapest_of_several_prices_counts(pair: KeyPair) -> None:
    one, other = (Prices(Price(a, b), Price(b, a)) for a, b in ((1.0, 4.0), (2.0, 3.0)))
    assert cheapest([one, other]) == Prices(Price(1.0, 3.0), Price(3.0, 1.0))
    with workers(1, {}) as pool:
        found = prices(pool, 1, pair.secret)
    assert 0 < found.cpu.product <= found.wall.product * 1.5
    assert found.wall.opening > found.wall.product


# -- rows ---------------------------------------------------------------------------------------------------


def test_the_first_epoch_stands_beside_its_floor_and_the_bar(measured: tuple[Case, Measured]) -> None:
    case, result = measured
    first, cpu, second, _ = epoch_rows(case, result, barred=True)
    assert first.name == "logistic epoch, 24 × (2 + 3), subgroup key, full batch"
    assert (first.bar, first.met) == ("≤ 1.4", first.ratio is not None and first.ratio <= 1.4)
    assert "tables of masks included" in first.note
    assert "idle" in first.note
    assert cpu.met is None
    assert "second epoch" in second.name
    assert all(row.met is None for row in epoch_rows(case, result, barred=False))


def test_phases_name_their_role_and_leave_nothing_heavy_out(measured: tuple[Case, Measured]) -> None:
    case, result = measured
    rows = list(phase_rows(case, result))
    assert [row.name.split(", ")[2].split(":")[0] for row in rows] == [
        "host", "guest", "host", "guest", "host", "guest", "arbiter",
    ]  # fmt: skip
    told = {phase for members in vertical.PHASES.values() for phase in members}
    assert told == {(task.role, task.function) for task in result.courses[0].of(1)}


def test_batches_are_named_and_peers_quoted_for_their_size_alone(pair: KeyPair) -> None:
    case = Case(*made_up(569, {BANK: 1, SHOP: 1}), turns=1)
    course = Course(0.0, [2.0, 3.0], [Task(HOST, SCORE, Spent(0.0, 1.5, 1.4), 0)])
    price = Price(1e-6, 1e-3)

    def told(settings: LogisticSettings) -> str:
        job = rehearse(case.columns, case.y, settings)
        first, *_ = epoch_rows(case, Measured(job, pair, [course], Prices(price, price), 2), barred=False)
        return f"{first.name} {first.note}"

    assert "full batch" in told(SMALL)
    assert "the specification quotes" in told(SMALL)
    batched = told(replace(SMALL, batch=100))
    assert "batches of 100" in batched
    assert "the specification quotes" not in batched
    assert idle_s(course, 0, 2) == 2.5
    assert idle_s(course, 1, 2) == 2.0


def test_the_suite_runs_every_case_with_both_keys(monkeypatch: pytest.MonkeyPatch, pair: KeyPair) -> None:
    asked: list[tuple[int, str, int, int]] = []

    def measure(case: Case, settings: LogisticSettings, _: KeyPair) -> Measured:
        asked.append((case.rows, settings.key, settings.batch, case.turns))
        course = Course(0.0, [2.0, 3.0], [Task(HOST, SCORE, Spent(0.0, 1.5, 1.4), epoch) for epoch in (0, 1)])
        job = rehearse(case.columns, case.y, replace(settings, guard=False, key_bits=BITS))
        price = Price(1e-6, 1e-3)
        return Measured(job, pair, [course], Prices(price, price), 2)

    monkeypatch.setattr(vertical, "measure", measure)
    monkeypatch.setattr(vertical, "key_pair", lambda kind: pair)
    rows = vertical.run(quick=True)
    for kind in ("subgroup", "standard"):
        assert [each for each in asked if each[1] == kind] == [
            (2_000, kind, 0, 1),
            (569, kind, 0, 1),
            (2_000, kind, 1_024, 1),
        ]
    assert sum(row.met is not None for row in rows) == 2  # a quick run's made-up table is no bar's


# -- accuracy -----------------------------------------------------------------------------------------------


@contextmanager
def one_worker(_: int, benches: Mapping[str, Workbench]) -> Iterator[ProcessPoolExecutor]:
    with workers(1, benches) as pool:
        yield pool


@pytest.mark.parametrize("logistic", [True, False])
def test_the_plaintext_learner_learns_what_the_federation_does(
    logistic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns, y = made_up(60, {BANK: 2, SHOP: 3, "telco": 1})
    targets = y if logistic else columns[SHOP][:, 0] + 0.1 * y
    data = split(columns, targets, by_class=logistic)
    kind = LogisticSettings if logistic else LinearSettings
    settings = kind(
        BANK, epochs=3, batch=10, penalty=0.05, guard=False, key_bits=BITS, patience=0, alarm=1e9
    )  # fmt: skip
    monkeypatch.setattr(vertical_accuracy, "workers", one_worker)
    found = vertical_accuracy.models(data, settings)
    assert furthest(found.fed, found.together) < 1e-6
    assert furthest({BANK: found.fed[BANK]}, found.alone) > 1e-3
    assert set(found.alone) == {BANK}
    metric = roc_auc_score if logistic else r2_score
    assert found.told == pytest.approx(metric(data.y_test, scores(found.fed, data.test)), abs=1e-6)


def test_rows_are_held_out_alike_and_standardised_by_the_others() -> None:
    columns, y = made_up(100, {BANK: 2, SHOP: 3})
    columns[SHOP][:, 0] = columns[BANK][:, 0]
    data = split(columns, y, by_class=True)
    assert (len(data.y_train), len(data.y_test)) == (70, 30)
    assert np.allclose(data.train[BANK].mean(axis=0), 0)
    assert np.allclose(data.train[BANK][:, 0], data.train[SHOP][:, 0])
    assert np.allclose(data.test[BANK][:, 0], data.test[SHOP][:, 0])


def test_scores_are_what_the_parts_add_up_to() -> None:
    parts = {"a": Part(np.array([2.0]), 1.0), "b": Part(np.array([0.5, 0.0]), 0.0)}
    columns = {"a": np.array([[1.0], [2.0]]), "b": np.array([[4.0, 9.0], [0.0, 9.0]])}
    assert scores(parts, columns).tolist() == [5.0, 5.0]
    assert furthest(parts, parts | {"a": Part(np.array([2.0]), 4.0)}) == 3.0


def test_an_intercept_is_the_guests_and_free_of_penalty() -> None:
    columns = {BANK: np.zeros((4, 1)), SHOP: np.zeros((4, 1))}
    settings = LinearSettings(BANK, epochs=200, penalty=1.0, learning_rate=0.5, guard=False, key_bits=BITS)
    parts = pooled(columns, np.full(4, 3.0), settings, {BANK: np.ones(2), SHOP: np.ones(1)})
    assert parts[BANK].intercept == pytest.approx(3.0)
    assert parts[BANK].theta == pytest.approx(0.0)
    assert parts[SHOP].intercept == 0.0


@pytest.mark.parametrize(("difference", "met"), [(0.005, True), (0.0051, False)])
def test_a_difference_is_met_up_to_its_bar(difference: float, met: bool) -> None:
    row = within("AUC", difference, 0.005, "theirs")
    assert (row.met, row.bar) == (met, "≤ 0.005")


def test_the_tables_are_scored_beside_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    def plain(data: Split, settings: Settings) -> Models:
        guest = settings.guest
        starts = {name: np.zeros(own.shape[1] + (name == guest)) for name, own in data.train.items()}
        together = pooled(data.train, data.y_train, settings, starts)
        alone = pooled({guest: data.train[guest]}, data.y_train, settings, starts)
        metric = roc_auc_score if guest == BANK else r2_score
        return Models(together, together, alone, metric(data.y_test, scores(together, data.test)))

    monkeypatch.setattr(vertical_accuracy, "models", plain)
    rows = {row.name: row for row in vertical_accuracy.run(quick=False)}
    assert len(rows) == 8
    auc = next(row for name, row in rows.items() if name.endswith("AUC: difference"))
    assert auc.met
    r2 = next(row for name, row in rows.items() if name.endswith("R²"))
    assert abs(float(r2.measured) - float(r2.limit_or_peer.split(": ")[1])) < 0.03
