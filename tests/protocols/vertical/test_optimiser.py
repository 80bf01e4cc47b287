"""Steps on coefficients: all three rules end where scikit-learn does, with an l1 penalty and without."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import ElasticNet, Ridge

from hansa.protocols.model import FloatArray
from hansa.protocols.vertical.optimiser import Learner, Rule

RULES = pytest.mark.parametrize(("rule", "rate"), [("sgd", 0.2), ("momentum", 0.02), ("adam", 0.01)])


def rows() -> tuple[FloatArray, FloatArray]:
    random = np.random.default_rng(5)
    X = random.normal(size=(80, 5))
    return X, X @ np.array([1.5, -1.0, 0.04, 0.0, 0.5]) + random.normal(size=80) / 4


def settled(rule: Rule, rate: float, penalty: float, l1: float) -> FloatArray:
    """Return where a linear regression's coefficients come to rest."""
    X, y = rows()
    learner = Learner.at(np.zeros(5))
    for _ in range(4_000):
        gradient = X.T @ (X @ learner.theta - y) / len(X) + penalty * learner.theta
        learner = learner.stepped(gradient, rule, rate, l1)
        rate *= 0.999 if rule == "adam" else 1.0  # at a steady rate Adam goes on trembling
    return learner.theta


@RULES
def test_an_l1_penalty_ends_at_scikit_learns_coefficients_zeros_included(rule: Rule, rate: float) -> None:
    X, y = rows()
    l1, penalty = 0.2, 0.1
    expected = ElasticNet(alpha=l1 + penalty, l1_ratio=l1 / (l1 + penalty), fit_intercept=False, tol=1e-12)
    theta = settled(rule, rate, penalty, l1)
    assert theta == pytest.approx(expected.fit(X, y).coef_, abs=1e-3)
    assert (theta[2], theta[3]) == (0.0, 0.0)


@RULES
def test_without_one_it_ends_at_ridge_regressions(rule: Rule, rate: float) -> None:
    X, y = rows()
    expected = Ridge(alpha=0.1 * len(X), fit_intercept=False, tol=1e-12).fit(X, y).coef_
    assert settled(rule, rate, 0.1, 0.0) == pytest.approx(expected, abs=1e-3)


@given(
    st.lists(st.floats(-5, 5), min_size=1, max_size=6),
    st.floats(0.001, 1),
    st.floats(0, 3),
    st.sampled_from(["sgd", "momentum", "adam"]),
)
def test_a_penalty_draws_towards_nothing_and_never_beyond(
    start: list[float], rate: float, l1: float, rule: Rule
) -> None:
    gradient = np.cos(np.arange(len(start)))
    bare = Learner.at(np.array(start)).stepped(gradient, rule, rate)
    drawn = Learner.at(np.array(start)).stepped(gradient, rule, rate, l1)
    assert (np.abs(drawn.theta) <= np.abs(bare.theta)).all()
    assert (drawn.theta * bare.theta >= 0).all()


@RULES
def test_a_coefficient_without_penalty_moves_as_if_there_were_none(rule: Rule, rate: float) -> None:
    gradient, l1 = np.array([1.0, -1.0]), np.array([0.5, 0.0])
    some = Learner.at(np.ones(2)).stepped(gradient, rule, rate, l1)
    none = Learner.at(np.ones(2)).stepped(gradient, rule, rate)
    assert some.theta[1] == none.theta[1]
    assert some.theta[0] < none.theta[0]
