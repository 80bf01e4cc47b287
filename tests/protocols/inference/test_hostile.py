"""Whatever a peer says, a machine refuses it as the peer's fault or goes on; and its state is as it was."""

import copy
from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.broker import to_plain
from hansa.protocols.errors import PeerError
from hansa.protocols.inference.job import InferenceSettings
from hansa.protocols.inference.rehearsal import Rehearsal
from hansa.protocols.machine import Received
from tests.protocols.inference.parts import (
    BANK,
    DECILE,
    HUB,
    LABEL,
    SCORE,
    SHOP,
    TELCO,
    laid_out,
    play,
)
from tests.protocols.transcript import Transcript

JOBS: dict[str, InferenceSettings] = {"score": SCORE, "label": LABEL, "decile": DECILE}
ARRAYS = st.sampled_from(
    [
        np.zeros(6, np.uint64),
        np.full(6, 2**64 - 1, np.uint64),
        np.zeros((6, 1), np.uint64),
        np.zeros((), np.uint64),
        np.zeros(6),
        np.ones(8, np.bool_),
        np.zeros(8, np.bool_),
        np.arange(-3, 40),
        np.arange(8),
        np.array([], dtype=np.int64),
        np.array([2**63 - 1, -(2**63)]),
        np.array([True]),
    ]
)
VALUES: dict[type, st.SearchStrategy[Any]] = {
    int: st.sampled_from([-(2**63), -1, 0, 1, 6, 1_001, 2**64, 2**12_000]),
    bytes: st.one_of(st.binary(max_size=40), st.just(bytes(32))),
    tuple: st.sampled_from([(), ("",), ("x" * 90_000,), tuple("abcdefgh"), (0.0,) * 9, (float("inf"),) * 9]),
    np.ndarray: ARRAYS,
}


@cache
def transcript(job: str) -> Transcript:
    return play(laid_out(JOBS[job]))


@st.composite
def altered(draw: st.DrawFn, job: str) -> Any:
    """Return a message of a run, some of it changed."""
    _, _, message = draw(st.sampled_from(transcript(job).messages))
    for each in draw(st.lists(st.sampled_from(fields(message)), max_size=2)):
        value = getattr(message, each.name)
        change = draw(VALUES[type(value)])
        texts = all(isinstance(item, str) for item in change) if isinstance(change, tuple) else True
        if texts == (each.name != "edges"):
            message = replace(message, **{each.name: change})
    return message


@given(st.data(), st.sampled_from(sorted(JOBS)))
def test_an_altered_message_is_refused_or_taken_and_never_breaks_a_machine(
    data: st.DataObject, job: str
) -> None:
    laid, run = laid_out(JOBS[job]), transcript(job)
    name = data.draw(st.sampled_from(sorted(laid.briefs)))
    state = data.draw(st.sampled_from(run.states[name]))
    sender = data.draw(st.sampled_from([BANK, SHOP, TELCO, HUB, "eve"]))
    message = data.draw(altered(job))
    before = copy.deepcopy(to_plain(state))
    said = refusal(laid, name, state, Received(sender, message))
    assert said is None or (said.startswith(sender) and len(said) < 300)
    np.testing.assert_equal(to_plain(state), before)


@pytest.mark.parametrize("job", JOBS)
def test_a_role_takes_no_message_of_its_whole_run_again(job: str) -> None:
    laid, run = laid_out(JOBS[job]), transcript(job)
    for name, states in run.states.items():
        *received, last = [each for each in run.events[name] if isinstance(each, Received)]
        for event in received:
            said = refusal(laid, name, states[-2], event)  # the state before the end
            assert said is not None
            assert said.startswith(event.sender)
        assert refusal(laid, name, states[-1], last) is None  # it has ended, and looks at nothing


def refusal(laid: Rehearsal, name: str, state: Any, event: Received) -> str | None:
    """Return why a role refuses a message, as the peer's fault; None if it takes it."""
    try:
        laid.spec.role(laid.briefs[name].role).step(state, event)
    except PeerError as error:
        return str(error)
    return None
