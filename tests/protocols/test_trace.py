"""Every event and effect in one line."""

import numpy as np
import pytest

from hansa.protocols.horizontal.fedavg import Evaluated, RoundOpened
from hansa.protocols.machine import (
    Abort,
    CancelTimer,
    Compute,
    Computed,
    Effect,
    Event,
    Finish,
    PeerLeft,
    Received,
    Record,
    Send,
    SetTimer,
    TimerFired,
)
from hansa.protocols.model import Evaluation
from hansa.protocols.trace import describe, trace_line

OPENED = RoundOpened(3, bytes(range(32)), (np.zeros(2),))
SHOWN = "RoundOpened(round=3, digest=000102030405)"


@pytest.mark.parametrize(
    ("happened", "line"),
    [
        (Received("hub", OPENED), f"<- {SHOWN} from hub"),
        (Computed("train", OPENED), f"<- train: {SHOWN}"),
        (Computed("train", None, "no rows"), "<- train: no rows"),
        (TimerFired("silence"), "<- timer silence"),
        (PeerLeft("bob", "out of disk"), "<- bob left: out of disk"),
        (Send("ann", OPENED), f"-> {SHOWN} to ann"),
        (Compute("train", "train", OPENED, 1), "-> compute train"),
        (Record(OPENED), f"-> record {SHOWN}"),
        (SetTimer("silence", 1.5), "-> timer silence in 1.5 s"),
        (CancelTimer("silence"), "-> no timer silence"),
        (Finish(OPENED), f"-> finish with {SHOWN}"),
        (Abort("no quorum"), "-> abort: no quorum"),
    ],
)
def test_it_reads_as_one_line(happened: Event | Effect, line: str) -> None:
    assert trace_line(happened) == line


def test_a_record_shows_its_figures_and_nothing_inside() -> None:
    assert (
        describe(Evaluation(3, 1 / 3, 0.5, "r2")) == "Evaluation(rows=3, loss=0.333333, score=0.5, metric=r2)"
    )
    assert describe(Evaluated(Evaluation(3, 1.0, 0.5, "r2"))) == "Evaluated()"
    assert describe(None) == "NoneType"
