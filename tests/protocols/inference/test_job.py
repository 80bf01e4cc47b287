"""What a job may ask for, who may sit where, and which models answer."""

from dataclasses import replace
from typing import Any

import pytest

from hansa.protocols.errors import LocalProtocolError
from hansa.protocols.inference.job import InferenceSettings, Seat, role_of
from hansa.protocols.inference.spec import INFERENCE
from hansa.protocols.machine import Brief, Start
from hansa.protocols.vertical import LinearSettings, TrainingClosed
from tests.protocols.inference.parts import (
    BANK,
    DECILE,
    HUB,
    LABEL,
    MODEL,
    SCORE,
    SHOP,
    TELCO,
    coefficients,
    laid_out,
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": ""}, "model must name the job that trained it"),
        ({"arbiter": ""}, 'output = "label" takes an arbiter'),
        ({"output": "decile", "arbiter": ""}, 'output = "decile" takes an arbiter'),
        ({"output": "score"}, 'output = "score" takes no arbiter'),
        ({"most_rows": 0}, r"most_rows must be in \[1, 10000\], not 0"),
        ({"most_rows": 10_001}, "most_rows must be in"),
        ({"score_limit": 0.5}, r"score_limit must be in \[1, 2\^40\], not 0.5"),
        ({"score_limit": float("nan")}, "score_limit must be in"),
        ({"overdue_s": 0.0}, "overdue_s must be at least 0.1, not 0"),
        ({"overdue_s": float("inf")}, "overdue_s must be at least 0.1, not inf"),
        ({"give_up_s": 30.0}, r"give_up_s must exceed overdue_s \(30\), not 30"),
    ],
)
def test_settings_that_make_no_job_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(LABEL, **change)


@pytest.mark.parametrize(("limit", "bits"), [(1.0, 52), (2.0**20, 32), (1_000_000.0, 32), (2.0**40, 12)])
def test_shares_have_as_many_fractional_bits_as_there_is_room_for(limit: float, bits: int) -> None:
    settings = InferenceSettings(MODEL, "score", score_limit=limit)
    assert settings.score_bits == bits
    assert limit * 2.0**settings.score_bits <= 2.0**52


def test_the_registry_learns_where_the_model_lies_and_who_plays_what() -> None:
    assert INFERENCE.start(LABEL) == Start(MODEL, b"", of="result")
    assert INFERENCE.coordinator_role == "guest"
    assert [INFERENCE.role_of(LABEL, name) for name in (SHOP, TELCO, HUB)] == ["host", "host", "arbiter"]
    assert role_of(SCORE, HUB) == "host"
    assert (INFERENCE.bench, INFERENCE.names_model) == ("lookup", False)


def brief(name: str, settings: InferenceSettings = LABEL, **change: Any) -> Brief:
    return replace(laid_out(settings).briefs[name], **change)


@pytest.mark.parametrize(
    ("given", "role", "said"),
    [
        (brief(SHOP, settings=LABEL), "guest", "shop was given a brief for host and put on as guest"),
        (brief(SHOP, role="arbiter"), "arbiter", "shop was given a brief for arbiter"),
        (brief(HUB, role="host"), "host", "hub was given a brief for host"),
        (brief(BANK, role="host"), "host", "bank was given a brief for host"),
        (brief(SHOP, me="eve"), "host", "eve was given a brief for host"),
        (brief(BANK, coordinator=SHOP), "guest", "shop leads the job as its guest and can't be a party"),
        (brief(BANK, parties=(SHOP, TELCO)), "guest", "arbiter hub is not a party of this job"),
        (brief(BANK, parties=(HUB,)), "guest", "takes 1 to 63 hosts .* not 0"),
        (brief(BANK, parties=(*(f"h{n}" for n in range(10, 74)), HUB)), "guest", "1 to 63 hosts .* not 64"),
        (brief(SHOP, secret=b"short"), "host", "needs 32 secret bytes, not 5"),
    ],
)
def test_a_brief_that_does_not_fit_is_refused(given: Brief, role: str, said: str) -> None:
    with pytest.raises(LocalProtocolError, match=said):
        Seat.take(given, role)


def test_settings_of_another_protocol_are_refused() -> None:
    given = replace(brief(SHOP), settings=LinearSettings(BANK))
    with pytest.raises(LocalProtocolError, match="needs its settings, not LinearSettings"):
        Seat.take(given, "host")


@pytest.mark.parametrize(
    ("name", "settings", "start", "said"),
    [
        (
            SHOP,
            SCORE,
            None,
            "job credit has left shop no coefficients: a model is served by those who trained",
        ),
        (BANK, SCORE, None, "job credit has left bank no coefficients"),
        (
            SHOP,
            SCORE,
            coefficients(guest="rival")[SHOP],
            "the model of credit answers its guest rival, not bank",
        ),
        (SHOP, SCORE, coefficients(1)[SHOP], "takes the hosts shop; the job names shop, telco"),
        (
            BANK,
            LABEL,
            coefficients(logistic=False)[BANK],
            'is linear and predicts numbers: ask for output = "sc',
        ),
        (TELCO, LABEL, coefficients(logistic=False)[TELCO], "is linear and predicts numbers"),
        (BANK, DECILE, coefficients(deciles=())[BANK], "has no deciles, since no rows were held out"),
    ],
)
def test_a_model_that_can_not_answer_the_job_is_refused(
    name: str, settings: InferenceSettings, start: object, said: str
) -> None:
    given = brief(name, settings, start=start)
    with pytest.raises(LocalProtocolError, match=said):
        INFERENCE.role(given.role).begin(given)


def test_the_arbiter_needs_nothing_from_the_training() -> None:
    for start in (None, TrainingClosed((), 1, b"", None, None, "", 0, {})):
        given = brief(HUB, start=start)
        assert INFERENCE.role("arbiter").begin(given).state.seat.me == HUB


def test_a_session_is_of_its_job_its_parties_and_its_settings() -> None:
    given = brief(SHOP)
    others = [
        replace(given, job="other"),
        replace(given, seed=2),
        replace(given, parties=(HUB, SHOP)),
        replace(given, settings=replace(LABEL, most_rows=5)),
    ]
    sessions = [Seat.take(each, "host").session for each in (given, *others)]
    assert len(set(sessions)) == len(sessions)
    assert Seat.take(brief(TELCO), "host").session == sessions[0]
