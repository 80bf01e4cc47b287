"""What the ledger is told of alignments and of served models: what a person following the job looks for there."""

from typing import Any

import pytest

from hansa.agents.core.wire import body_of, closing_bodies, events_of, parts, restore, role_done
from hansa.broker import MalformedMessage
from hansa.ledger import (
    Body,
    DistortionFound,
    ModelEvaluated,
    ModelUsed,
    PartiesOverdue,
    RoundClosed,
    RowsAligned,
)
from hansa.ledger import EpochEnded as EntryOfEpoch
from hansa.protocols.alignment import AlignmentClosed
from hansa.protocols.alignment.job import SENTINELS
from hansa.protocols.inference import ModelServed
from hansa.protocols.vertical import Distorted, EpochEnded, Overdue
from tests.agents.federations import specification

SPEC = specification("asked")


def test_a_served_model_is_told_with_the_job_that_served_it() -> None:
    assert body_of(SPEC, ModelServed("fraud", 12)) == ModelUsed("fraud", 12, "asked")


def test_sizes_are_told_without_what_everybody_adds() -> None:
    sizes = {"east": 500 + SENTINELS, "north": 450 + SENTINELS}
    assert closing_bodies(SPEC, AlignmentClosed(sizes, 412)) == (
        RowsAligned("asked", {"east": 500, "north": 450}, 412),
    )
    assert closing_bodies(SPEC, AlignmentClosed({}, None)) == (RowsAligned("asked", {}, None),)


def test_facts_of_a_training_are_told_as_people_count_epochs() -> None:
    assert body_of(SPEC, Overdue(4, ("west", "east"))) == PartiesOverdue("asked", 4, ("east", "west"))
    assert body_of(SPEC, EpochEnded(0, 0.5, "improved")) == EntryOfEpoch("asked", 1, 0.5, "improved")
    assert body_of(SPEC, Distorted(2, 9.0, 1.0)) == DistortionFound("asked", 3, 9.0, 1.0)


def test_what_is_no_fact_result_or_snapshot_is_said_to_be_none() -> None:
    with pytest.raises(TypeError, match="no ledger entry for int"):
        body_of(SPEC, 3)
    with pytest.raises(TypeError, match="no job result in int"):
        role_done(3)
    with pytest.raises(MalformedMessage, match="snapshot of an unknown class"):
        restore(["Elsewhere", {}], [ModelServed])
    with pytest.raises(MalformedMessage, match="expected a list, got str"):
        parts("text")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            RoundClosed("asked", 2, bytes(32), ("east",), ("west",)),
            ("round-closed", {"job": "asked", "round": 2, "missing": ["west"]}),
        ),
        (
            ModelEvaluated("asked", 2, bytes(32), 0.5, 0.9, "accuracy", 10),
            (
                "model-evaluated",
                {"job": "asked", "round": 2, "loss": 0.5, "score": 0.9, "metric": "accuracy"},
            ),
        ),
        (
            EntryOfEpoch("asked", 1, None, "improved"),
            ("epoch-ended", {"job": "asked", "epoch": 1, "loss": None, "verdict": "improved"}),
        ),
        (
            PartiesOverdue("asked", 4, ("east",)),
            ("parties-overdue", {"job": "asked", "missing": ["east"]}),
        ),
        (ModelUsed("fraud", 12, "asked"), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_everybody_is_told_at_once_is_metadata(body: Body, told: Any) -> None:
    assert events_of(body) == (() if told is None else (told,))
