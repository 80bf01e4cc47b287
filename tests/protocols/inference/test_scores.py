"""What the guest learns is what one plaintext model says of the rows that everybody has."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.protocols.inference.job import Answered, InferenceSettings, ModelServed, Scored
from hansa.protocols.inference.rehearsal import rehearse
from hansa.protocols.inference.shares import probability
from hansa.protocols.model import FloatArray
from tests.protocols.inference.parts import (
    BANK,
    DECILE,
    DECILES,
    HUB,
    IDS,
    LABEL,
    MODEL,
    ROWS,
    SCORE,
    SHOP,
    TELCO,
    bench,
    coefficients,
    common,
    laid_out,
    play,
    truth,
)
from tests.protocols.transcript import Transcript

HOSTS = pytest.mark.parametrize("hosts", [1, 2])


def scored(run: Transcript) -> Scored:
    result = run.results[BANK]
    assert isinstance(result, Scored)
    assert result.ids == IDS
    return result


def expected(settings: InferenceSettings, logistic: bool, hosts: int) -> FloatArray:
    u = truth(hosts)[common(hosts)]
    match settings.output:
        case "score":
            return 1 / (1 + np.exp(-u)) if logistic else u
        case "label":
            return (u > 0).astype(float)
        case "decile":
            return np.array([1 + sum(edge < each for edge in DECILES) for each in u], float)


@HOSTS
@pytest.mark.parametrize(
    ("settings", "logistic"),
    [(SCORE, True), (SCORE, False), (LABEL, True), (DECILE, True), (DECILE, False)],
)
def test_the_guest_learns_what_a_plaintext_model_says(
    settings: InferenceSettings, logistic: bool, hosts: int
) -> None:
    run = play(laid_out(settings, hosts, logistic))
    result = scored(run)
    assert result.positions.tolist() == common(hosts)
    assert result.known.tolist() == [row in common(hosts) for row in range(ROWS)]
    assert result.output == settings.output
    np.testing.assert_allclose(result.values, expected(settings, logistic, hosts), atol=1e-8)
    assert result.values.dtype == (np.float64 if settings.output == "score" else np.int64)


@pytest.mark.parametrize("settings", [SCORE, LABEL])
def test_others_end_with_the_number_of_rows_and_the_first_host_records_the_use(
    settings: InferenceSettings,
) -> None:
    run = play(laid_out(settings))
    rows = len(common())
    others = {SHOP, TELCO} | ({HUB} if settings.arbiter else set())
    assert {name: run.results[name] for name in others} == dict.fromkeys(others, Answered(rows))
    assert run.facts == [(SHOP, ModelServed(MODEL, rows))]


@pytest.mark.parametrize("settings", [SCORE, LABEL, DECILE])
def test_a_single_row_is_scored_like_many(settings: InferenceSettings) -> None:
    parts = coefficients()
    benches = {name: bench(name) for name in parts} | {BANK: bench(BANK, (3,))}
    result = play(rehearse(parts, benches, settings)).results[BANK]
    assert result.ids == (IDS[3],)
    every = play(laid_out(settings)).results[BANK]
    assert result.values.tolist() == [every.values[common().index(3)]]


@pytest.mark.parametrize("settings", [SCORE, LABEL, DECILE])
def test_rows_that_nobody_else_knows_are_told_as_unknown_and_no_use_is_recorded(
    settings: InferenceSettings,
) -> None:
    parts = coefficients()
    benches = {name: bench(name) for name in parts} | {BANK: bench(BANK, (2,))}
    run = play(rehearse(parts, benches, settings))
    result = run.results[BANK]
    assert result.known.tolist() == [False]
    assert result.values.shape == (0,)
    assert result.values.dtype == (np.float64 if settings.output == "score" else np.int64)
    assert {run.results[name] for name in run.results if name != BANK} == {Answered(0)}
    assert run.facts == []


def test_ids_are_found_in_another_spelling() -> None:
    """é as one character at the bank, as two at the shop, and spaces around it."""
    parts = coefficients(hosts=1)
    bank, shop = bench(BANK, (0,)), bench(SHOP, (0, 1))
    benches = {
        BANK: replace(bank, row_ids=(" Ren\u00e9e ",)),
        SHOP: replace(shop, row_ids=("Rene\u0301e", "other")),
    }
    result = play(rehearse(parts, benches, SCORE)).results[BANK]
    assert result.ids == ("Ren\u00e9e",)
    assert result.known.tolist() == [True]


@given(st.lists(st.floats(-800, 800), min_size=1, max_size=20))
def test_the_logistic_function_keeps_order_and_overflows_nowhere(values: list[float]) -> None:
    scores = np.array(sorted(values))
    chances = probability(scores)
    assert ((chances >= 0) & (chances <= 1)).all()
    assert (np.diff(chances) >= 0).all()
    np.testing.assert_allclose(chances + probability(-scores), 1.0)


def test_a_score_of_nothing_is_even_odds() -> None:
    assert probability(np.array([0.0])).tolist() == [0.5]


def test_the_label_of_zero_is_the_negative_one() -> None:
    """The positive class takes u > 0."""
    parts: dict[str, Any] = {
        name: replace(part, theta=np.zeros(2), intercept=0.0) for name, part in coefficients().items()
    }
    result = play(rehearse(parts, {name: bench(name) for name in parts}, LABEL)).results[BANK]
    assert set(result.values.tolist()) == {0}
