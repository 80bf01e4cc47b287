"""Whatever a peer says, a machine refuses it as the peer's fault or goes on; and its state is as it was."""

import copy
from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hansa.protocols.alignment.rehearsal import HUB, rehearse
from hansa.protocols.errors import PeerError
from hansa.protocols.machine import Received
from tests.protocols.alignment.parts import BLOCKS, OVER_TWO, PAIR, RING, Settings, Transcript, play

JOBS: tuple[tuple[dict[str, tuple[str, ...]], Settings], ...] = ((PAIR, BLOCKS), (RING, OVER_TWO))
ARRAYS = st.sampled_from(
    [
        np.zeros((4, 32), dtype=np.uint8),
        np.full((4, 32), 255, dtype=np.uint8),
        np.zeros((0, 32), dtype=np.uint8),
        np.zeros(4, dtype=np.uint8),
        np.zeros((), dtype=np.uint8),
        np.zeros((4, 32)),
        np.arange(-3, 40),
        np.array([], dtype=np.int64),
        np.array([2**63 - 1, -(2**63)]),
        np.array([True]),
    ]
)
VALUES: dict[type, st.SearchStrategy[Any]] = {
    int: st.sampled_from([-(2**63), -1, 0, 1, 5, 6, 2**25, 2**63, 2**64, 2**16_000]),
    str: st.sampled_from(["", "ann", "bob", "cat", "hub", "x" * 90_000]),
    bytes: st.binary(max_size=40),
    np.ndarray: ARRAYS,
}


@cache
def transcript(job: int) -> Transcript:
    return play(*JOBS[job])


@st.composite
def altered(draw: st.DrawFn, job: int) -> Any:
    """Return a message of a run, some of it changed."""
    _, _, message = draw(st.sampled_from(transcript(job).messages))
    for each in draw(st.lists(st.sampled_from(fields(message)), max_size=2)):
        value = getattr(message, each.name)
        if type(value) in VALUES:
            message = replace(message, **{each.name: draw(VALUES[type(value)])})
    return message


@given(st.data(), st.sampled_from([0, 1]))
def test_an_altered_message_is_refused_or_taken_and_never_breaks_a_machine(
    data: st.DataObject, job: int
) -> None:
    laid = rehearse(*JOBS[job])
    name = data.draw(st.sampled_from(sorted(laid.briefs)))
    state = data.draw(st.sampled_from(transcript(job).states[name]))
    sender = data.draw(st.sampled_from([*laid.briefs, "eve"]))
    message = data.draw(altered(job))
    before = copy.deepcopy(state)
    role = laid.spec.role("aggregator" if name == HUB else "party")
    why = ""
    try:
        role.step(state, Received(sender, message))
    except PeerError as error:
        why = str(error)
    assert len(why) < 1_000
    assert repr(state) == repr(before)
