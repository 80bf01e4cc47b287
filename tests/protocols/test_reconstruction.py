"""Coalitions' models are what the aggregator would have made of their updates."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.protocols.digest import parameters_digest
from hansa.protocols.horizontal import weighted_average
from hansa.protocols.horizontal.aggregation import BLOCK
from hansa.protocols.horizontal.reconstruction import ClosedRound, job_models, round_models
from hansa.protocols.horizontal.softmax import SoftmaxRegression
from hansa.protocols.model import Array, ModelShape

NAMES = ("bremen", "danzig", "lubeck", "riga")
DTYPES = ("float32", "float64")


def closed_round(seed: int, dtype: str = "float64", size: int = 7) -> ClosedRound:
    generator = np.random.default_rng(seed)

    def arrays() -> tuple[Array, ...]:
        return tuple(generator.normal(size=shape).astype(dtype) for shape in ((size, 3), (3,)))

    rows = tuple(int(each) for each in generator.integers(1, 1000, size=len(NAMES)))
    return ClosedRound(arrays(), NAMES, tuple(arrays() for _ in NAMES), rows)


def trained(rounds: int, dtype: str = "float64") -> list[ClosedRound]:
    """Train a softmax model as a federation does, without one party from the second round on."""
    generator = np.random.default_rng(3)
    make = partial(SoftmaxRegression, ModelShape(4, (0, 1, 2)), dtype=dtype)
    data = {name: (generator.normal(size=(20, 4)), generator.integers(3, size=20)) for name in NAMES}
    base, closed = tuple(make().get_parameters()), []
    for number in range(rounds):
        parties = NAMES if number == 0 else NAMES[1:]
        updates = []
        for name in parties:
            model = make()
            model.set_parameters(base)
            model.fit(*data[name], seed=number)
            updates.append(tuple(model.get_parameters()))
        closed.append(ClosedRound(base, parties, tuple(updates), tuple(20 + len(name) for name in parties)))
        base = tuple(weighted_average(updates, closed[-1].rows))
    return closed


@given(st.integers(0, 2**32), st.sampled_from(DTYPES))
def test_the_grand_coalitions_model_is_the_aggregators_to_the_last_bit(seed: int, dtype: str) -> None:
    closed = closed_round(seed, dtype)
    [model] = round_models(closed, [NAMES])
    assert parameters_digest(model) == parameters_digest(weighted_average(closed.updates, closed.rows))


@given(st.integers(0, 2**32), st.sets(st.sampled_from(NAMES), min_size=1))
def test_every_coalitions_model_is_the_average_of_its_updates(seed: int, members: set[str]) -> None:
    closed = closed_round(seed)
    inside = [index for index, name in enumerate(NAMES) if name in members]
    alone = weighted_average(
        [closed.updates[index] for index in inside], [closed.rows[index] for index in inside]
    )
    _, model, _ = round_models(closed, [(), members, NAMES])
    for ours, theirs in zip(model, alone, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_models_of_many_blocks_are_put_together_rightly() -> None:
    closed = closed_round(1, "float32", size=BLOCK // 3 + 5)
    models = round_models(closed, [NAMES[:2], NAMES])
    assert parameters_digest(models[1]) == parameters_digest(weighted_average(closed.updates, closed.rows))
    np.testing.assert_array_equal(models[0][0], weighted_average(closed.updates[:2], closed.rows[:2])[0])


def test_nobody_has_made_the_base_and_strangers_count_for_nothing() -> None:
    closed = closed_round(1)
    nobody, stranger, both, alone = round_models(closed, [(), ["visby"], ["visby", "riga"], ["riga"]])
    assert parameters_digest(nobody) == parameters_digest(stranger) == parameters_digest(closed.base)
    assert parameters_digest(both) == parameters_digest(alone) == parameters_digest(closed.updates[3])
    nobody[0][:] = 0  # a copy: the round keeps its own
    assert closed.base[0].any()
    assert round_models(closed, []) == []


@pytest.mark.parametrize("dtype", DTYPES)
def test_over_a_job_the_grand_coalition_ends_with_the_model_that_was_made(dtype: str) -> None:
    rounds = trained(4, dtype)
    final = weighted_average(rounds[-1].updates, rounds[-1].rows)
    [model] = job_models(rounds, [NAMES])
    assert parameters_digest(model) == parameters_digest(final)


def test_over_a_job_a_coalitions_steps_add_up() -> None:
    rounds = trained(3)
    coalition = NAMES[:2]
    expected = rounds[0].base[0].copy()
    for closed in rounds:
        expected += round_models(closed, [coalition])[0][0] - closed.base[0]
    nobody, some, left = job_models(rounds, [(), coalition, NAMES[:1]])
    assert parameters_digest(nobody) == parameters_digest(rounds[0].base)
    np.testing.assert_allclose(some[0], expected, rtol=0, atol=1e-15)
    # who left after the first round stays where it was
    np.testing.assert_array_equal(left[0], round_models(rounds[0], [NAMES[:1]])[0][0])


def test_a_job_has_rounds_that_are_laid_out_alike() -> None:
    with pytest.raises(ValueError, match="no rounds"):
        job_models([], [NAMES])
    with pytest.raises(ValueError, match="round 1 in order: array 0 has shape"):
        job_models([closed_round(1), closed_round(1, size=8)], [NAMES])


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"parties": ()}, "at least one"),
        ({"parties": NAMES[::-1]}, "ascending"),
        ({"parties": ("bremen",) * 4}, "distinct"),
        ({"rows": (1, 2)}, "2 counts for 4 parties"),
        ({"updates": ()}, "0 updates"),
        ({"rows": (1, 0, 1, 1)}, "danzig: expected at least 1 row, got 0"),
        ({"base": (np.zeros((7, 3), np.int64), np.zeros(3))}, "array 0 of the base is int64"),
        ({"base": (np.zeros((7, 3)),)}, "bremen: 2 arrays, expected 1"),
    ],
)
def test_a_round_that_cannot_be_is_refused(fault: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        replace(closed_round(1), **fault)  # type: ignore[arg-type]


def test_updates_that_are_not_finite_and_models_that_overflow_are_refused() -> None:
    closed = closed_round(1, "float32")
    spoilt = (*closed.updates[:3], tuple(np.full_like(each, np.nan) for each in closed.base))
    with pytest.raises(ValueError, match="riga: array 0 holds NaN"):
        replace(closed, updates=spoilt)
    largest = float(np.finfo("float32").max)
    high = replace(closed, updates=tuple(tuple(np.full_like(b, largest) for b in closed.base) for _ in NAMES))
    low = replace(high, base=tuple(np.full_like(each, -largest) for each in closed.base))
    with pytest.raises(ValueError, match="array 0 of a coalition's model overflows float32"):
        job_models([high, low], [NAMES[:1]])
