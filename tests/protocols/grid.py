"""What every machine's test of state × event says of one pair."""

from collections.abc import Callable
from typing import Any

import pytest

from hansa.protocols import Effect, Event, ProtocolError, Step


def assert_meets(
    step: Callable[[Any, Event], Step[Any]],
    before: Any,
    event: Event,
    outcome: type | None,
    unmoved: tuple[Effect, ...] = (),
) -> None:
    """Let a state meet an event: it is refused by an error, leads to another state, or changes nothing (None).

    Args:
        unmoved: what an event that changes nothing leads to all the same, an answer say.
    """
    if outcome is None:
        taken = step(before, event)
        assert taken.state is before
        assert taken.effects == unmoved
    elif issubclass(outcome, ProtocolError):
        with pytest.raises(outcome):
            step(before, event)
    else:
        taken = step(before, event)
        assert type(taken.state) is outcome
        assert taken.state is not before
