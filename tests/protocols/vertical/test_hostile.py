"""Whatever a peer says, a machine refuses it as the peer's fault or goes on: no message breaks an agent."""

from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hansa.protocols.errors import PeerError
from hansa.protocols.machine import Received
from hansa.protocols.vertical import arbiter, party
from hansa.protocols.vertical.rehearsal import HUB
from tests.protocols.vertical.parts import GUEST, HOST, LINEAR_SMALL, SECOND, table, with_settings
from tests.protocols.vertical.play import Transcript, play

HUGE = 2**12_000
ARRAYS = st.sampled_from(
    [
        np.zeros(4, np.uint64),
        np.zeros((4, 1), np.uint64),
        np.zeros((), np.uint64),
        np.zeros(4),
        np.full(4, np.nan),
        np.full(4, -1.0),
        np.full(4, 1j),
        np.ones(4, np.bool_),
        np.array([], dtype=np.int64),
        np.array([2**63 - 1, -(2**63)]),
    ]
)
VALUES: dict[type, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.sampled_from([-HUGE, -(2**63), -1, 0, 1, 6, 1_001, 2**64, HUGE]),
    float: st.sampled_from([-1e308, -1.0, 0.0, 5e-324, 1e308]),
    bytes: st.one_of(st.binary(max_size=40), st.just(bytes(32)), st.just(b"\xff" * 640)),
    str: st.sampled_from(["", "improved", "last", "auc"]),
    np.ndarray: ARRAYS,
}


@cache
def transcript() -> Transcript:
    columns, y = table(21, hosts=2)
    return play(columns, y, with_settings(LINEAR_SMALL, epochs=2, holdout=0.2))


def changed(value: Any) -> st.SearchStrategy[Any]:
    """Return what could stand in a message instead of a value, of the same type as the codec reads it."""
    match value:
        case dict():
            return st.fixed_dictionaries({name: changed(each) for name, each in value.items()})
        case tuple():
            numbers = st.lists(VALUES[float if value and isinstance(value[0], float) else int], max_size=9)
            return numbers.map(tuple)
        case None:
            return VALUES[float]
    return VALUES[type(value)]


@st.composite
def altered(draw: st.DrawFn, name: str) -> tuple[Any, Received]:
    """Return a state of an agent and the message that it took next, some of it changed."""
    events = zip(transcript().states[name], transcript().events[name], strict=False)
    heard = [(state, event) for state, event in events if isinstance(event, Received)]
    kind = draw(st.sampled_from(sorted({type(event.message).__name__ for _, event in heard})))
    pairs = [(state, event) for state, event in heard if type(event.message).__name__ == kind]
    state, event = draw(st.sampled_from(pairs))
    message: Any = event.message
    names = [each.name for each in fields(message) if each.name != "session"]
    for which in draw(st.lists(st.sampled_from(names), min_size=1, max_size=2)):
        message = replace(message, **{which: draw(changed(getattr(message, which)))})
    return state, Received(event.sender, message)


@given(st.data(), st.sampled_from([GUEST, HOST, SECOND, HUB]))
def test_an_altered_message_is_refused_or_taken_and_never_breaks_a_machine(
    data: st.DataObject, name: str
) -> None:
    state, event = data.draw(altered(name))
    role = arbiter.SPEC if name == HUB else party.GUEST_SPEC if name == GUEST else party.HOST_SPEC
    said = ""
    try:
        role.step(state, event)
    except PeerError as error:
        said = str(error)
    assert len(said) < 300
