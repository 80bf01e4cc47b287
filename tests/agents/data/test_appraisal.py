"""What a coordinator lends to tasks that value coalitions: the method, its seed, and rows of its own."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from hansa.agents.core.lending import lend
from hansa.agents.data import appraisal
from hansa.agents.data.appraisal import AppraisalWorkbench, ValidationWorkbench, validation_rows
from hansa.agents.errors import AgentError, DataError
from hansa.ledger import CoalitionsValued
from hansa.ledger.contribution import Chosen, appraised
from hansa.protocols import (
    PROTOCOLS,
    Brief,
    Evaluation,
    LocalProtocolError,
    ModelRegistry,
    ModelShape,
)
from hansa.protocols.horizontal.softmax import SoftmaxRegression
from tests.agents.federations import FEATURES, PARTIES, lender, rows, specification

SEED = bytes(range(32))
ROWS = {"west": 30, "east": 10, "north": 20}


def worth(coalitions: Sequence[frozenset[str]]) -> list[Evaluation]:
    """Every row adds a hundredth to the score, and takes two off the loss."""
    return [
        Evaluation(9, 3 - sum(ROWS[n] for n in each) / 50, sum(ROWS[n] for n in each) / 100, "accuracy")
        for each in coalitions
    ]


def bench(method: str = "shapley", utility: str = "score") -> AppraisalWorkbench:
    return AppraisalWorkbench(Chosen(method, utility), SEED)


@pytest.mark.parametrize("method", ["shapley", "leave-one-out", "gtg", "banzhaf-sampled", "group"])
def test_what_is_recorded_is_what_the_ledger_recomputes(method: str) -> None:
    valuation = bench(method).appraise(3, ROWS, worth)
    assert (valuation.round, valuation.players, valuation.rows) == (3, PARTIES, (10, 20, 30))
    assert valuation.coalitions == tuple(sorted(valuation.coalitions))
    fields = {name: getattr(valuation, name) for name in ("round", "players", "rows", "coalitions", "values")}
    found = appraised(Chosen(method, "score"), SEED, CoalitionsValued(job="trial", **fields))
    assert {name: Fraction(share) for name, share in valuation.shares.items()} == found.shares


def test_a_loss_is_worth_the_more_the_less_it_is() -> None:
    by_loss = bench(utility="loss").appraise(1, ROWS, worth)
    assert by_loss.values[0] == -3.0
    assert by_loss.values[-1] == pytest.approx(-1.8)


def test_more_values_than_an_entry_takes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appraisal, "MOST_VALUES", 7)
    with pytest.raises(AgentError, match="shapley has asked for 8 coalitions of round 1; the ledger takes 7"):
        bench().appraise(1, ROWS, worth)


def test_too_few_for_a_group_are_refused() -> None:
    with pytest.raises(ValueError, match="3"):
        bench("group").appraise(1, {"east": 10, "west": 30}, worth)


def test_a_bench_lends_models_and_rows_and_shows_none_of_these() -> None:
    X, y = validation_rows(rows("agreed"), FEATURES, ("no", "yes"))
    make = partial(SoftmaxRegression, ModelShape(FEATURES, ("no", "yes")))
    lent = ValidationWorkbench(Chosen("gtg", "score"), SEED, make, (X, y))
    assert lent.validation() == (X, y)
    assert lent.appraise(1, ROWS, worth) == bench("gtg").appraise(1, ROWS, worth)
    assert isinstance(lent.model(), SoftmaxRegression)
    assert str(X[0, 0])[:6] not in repr(lent)


def test_all_rows_of_the_data_set_count_whatever_it_holds_out() -> None:
    agreed = rows("agreed")
    X, y = validation_rows(agreed, FEATURES, ("no", "yes"))
    assert len(X) == len(y) == agreed.rows
    numbers = replace(agreed, target=np.arange(float(agreed.rows)))
    assert validation_rows(numbers, FEATURES, ())[1].dtype == np.float64


def test_rows_that_do_not_fit_the_job_are_named() -> None:
    agreed = rows("agreed")
    with pytest.raises(AgentError, match="has 4 feature columns; the job expects 5"):
        validation_rows(agreed, 5, ("no", "yes"))
    with pytest.raises(DataError, match="label 'no' is none of the job's classes"):
        validation_rows(agreed, FEATURES, ("maybe", "yes"))
    nothing = replace(agreed, ids=(), numbers=agreed.numbers[:0], target=np.array([], dtype=np.str_))
    with pytest.raises(DataError, match="has no rows to value models on"):
        validation_rows(nothing, FEATURES, ("no", "yes"))


@pytest.mark.parametrize(
    ("protocol", "validation"), [("horizontal-fedavg", "agreed"), ("vertical-logistic", "")]
)
def test_the_coordinator_of_any_valued_job_is_lent_the_method(protocol: str, validation: str) -> None:
    how = {"method": "shapley", "utility": "score", "validation": validation}
    spec = specification(protocol=protocol, contribution=how)
    brief = Brief("trial", "hub", "arbiter", "hub", PARTIES, None, 4, valued=True)
    held = {"agreed": lender(rows("agreed"))}
    lent = lend(spec, PROTOCOLS[protocol], brief, ModelRegistry(), held, draws=SEED)
    assert lent.appraise(1, ROWS, worth) == bench().appraise(1, ROWS, worth)
    if validation:
        assert len(lent.validation()[0]) == rows("agreed").rows
        assert isinstance(lent.model(), SoftmaxRegression)
    else:
        with pytest.raises(LocalProtocolError, match="the coordinator holds no rows to value models on"):
            lent.validation()
