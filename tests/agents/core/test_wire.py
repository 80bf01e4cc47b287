"""What the ledger is told of alignments and of served models: what a person following the job looks for there."""

from hansa.agents.core.wire import body_of, closing_bodies
from hansa.ledger import ModelUsed, RowsAligned
from hansa.protocols.alignment import AlignmentClosed
from hansa.protocols.alignment.job import SENTINELS
from hansa.protocols.inference import ModelServed
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
