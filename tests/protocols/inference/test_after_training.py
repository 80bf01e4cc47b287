"""From training to serving: the model that three organisations have trained answers for rows it has not seen."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hansa.broker import decode, encode, from_plain, to_plain
from hansa.protocols.inference.job import InferenceSettings, Scored
from hansa.protocols.inference.rehearsal import TableWorkbench, rehearse
from hansa.protocols.vertical import OwnCoefficients
from tests.protocols.inference.parts import play
from tests.protocols.vertical.parts import (
    GUEST,
    LINEAR_SMALL,
    LOGISTIC_SMALL,
    Settings,
    labels,
    table,
    train,
    with_settings,
)

TRAINED, NEW = 30, 12


def served(settings: Settings, asked: InferenceSettings) -> tuple[Scored, Any, dict[str, OwnCoefficients]]:
    """Train on the first rows, serve the others; return the guest's result, plaintext scores, and the parts."""
    columns, score = table(TRAINED + NEW, hosts=2)
    seen = {name: X[:TRAINED] for name, X in columns.items()}
    run = train(seen, labels(score, settings)[:TRAINED], settings)
    parts: dict[str, Any] = {name: run.results[name] for name in columns}
    parts = {
        name: from_plain(OwnCoefficients, decode(encode(to_plain(part)))) for name, part in parts.items()
    }
    ids = tuple(f"new {row}" for row in range(NEW))
    new = {name: X[TRAINED:] for name, X in columns.items()}
    benches = {
        name: TableWorkbench(ids, {f"column {at}": X[:, at] for at in range(X.shape[1])})
        for name, X in new.items()
    }
    u = sum(new[name] @ parts[name].theta + parts[name].intercept for name in parts)
    return play(rehearse(parts, benches, asked)).results[GUEST], u, parts


@pytest.mark.parametrize("settings", [LINEAR_SMALL, LOGISTIC_SMALL], ids=["linear", "logistic"])
def test_a_score_is_the_trained_models(settings: Settings) -> None:
    result, u, parts = served(settings, InferenceSettings("trained", "score"))
    assert result.known.all()
    expected = 1 / (1 + np.exp(-u)) if settings is LOGISTIC_SMALL else u
    np.testing.assert_allclose(result.values, expected, atol=1e-8)
    assert len({part.digest for part in parts.values()}) == 1


def test_labels_and_deciles_are_the_trained_models() -> None:
    settings = with_settings(LOGISTIC_SMALL, holdout=0.4)
    asked = InferenceSettings("trained", "label", "hub")
    result, u, _ = served(settings, asked)
    assert result.values.tolist() == (u > 0).astype(int).tolist()
    result, u, parts = served(settings, replace(asked, output="decile"))
    edges = parts[GUEST].deciles
    assert len(edges) == 9
    assert result.values.tolist() == [1 + sum(edge < each for edge in edges) for each in u]
