"""A job that starts from another's last model: what is kept, and how it is taken up."""

from dataclasses import replace

import pytest

from hansa.protocols.digest import parameters_digest
from hansa.protocols.errors import LocalProtocolError, ModelError, PeerError
from hansa.protocols.horizontal import aggregator, party
from hansa.protocols.horizontal.fedavg import (
    AGGREGATOR,
    Checkpoint,
    Ended,
    ModelReceived,
    TrainingDone,
    start,
)
from hansa.protocols.horizontal.progress import Progress
from hansa.protocols.horizontal.rehearsal import HUB, PATIENT, rehearse
from hansa.protocols.horizontal.tasks import GlobalModel, proceed
from hansa.protocols.machine import Awaited, Compute, Computed, Keep, PeerLeft, Start
from hansa.protocols.model import MOST_PARAMETERS, ModelShape
from hansa.protocols.registry import ModelRegistry
from hansa.protocols.simulator import Chaos, simulate
from hansa.protocols.trace import trace_line
from tests.protocols.fedavg_parts import SETTINGS, brief, hub_seat, model, only, party_seat, update

FRESH = Progress({}, {})
OPEN = aggregator.Collecting(hub_seat(), FRESH, 2, model(), {"ann": update(2)})
AVERAGING = aggregator.Aggregating(hub_seat(), FRESH, 2, ("ann", "bob", "cat"), {})
CONCLUDING = aggregator.Concluding(hub_seat(), FRESH, 3, model(), {})


@pytest.mark.parametrize("number", [2, SETTINGS.rounds])
def test_every_closed_rounds_model_is_kept(number: int) -> None:
    state = replace(AVERAGING, round=number)
    taken = aggregator.step(state, Computed(f"round-{number}/aggregate", model(1)))
    (keep,) = only(taken.effects, Keep)
    assert isinstance(keep.record, Checkpoint)
    assert (keep.record.round, keep.record.digest) == (number, model(1).digest)
    assert parameters_digest(keep.record.parameters) == model(1).digest
    assert trace_line(keep).startswith(f"-> keep Checkpoint(round={number}, digest=")


def test_a_job_goes_on_from_a_kept_model_exactly_where_another_stopped() -> None:
    whole = rehearse()
    stopped = simulate(whole.spec, whole.briefs, whole.benches, Chaos()).results[HUB]
    assert isinstance(stopped, TrainingDone)
    settings = replace(PATIENT, rounds=1, start_job="whole", start_digest=stopped.digest.hex())
    later = rehearse(settings=settings)
    kept = Checkpoint(stopped.rounds, stopped.digest, stopped.parameters)
    briefs = {name: replace(each, start=kept if name == HUB else None) for name, each in later.briefs.items()}
    run = simulate(later.spec, briefs, later.benches, Chaos())
    assert run.aborts == {}
    first = next(fact for _, fact in run.records)
    assert getattr(first, "digest", None) == stopped.digest  # model 0 of the second job
    received = run.results["party-1"]
    assert isinstance(received, ModelReceived)
    assert received.digest != stopped.digest


def test_a_model_that_is_not_what_the_settings_name_ends_the_job() -> None:
    done = model(1)
    settings = replace(SETTINGS, start_job="earlier", start_digest=model(2).digest.hex())
    began = aggregator.begin(
        replace(brief(AGGREGATOR, "hub", settings), start=Checkpoint(1, done.digest, done.parameters))
    )
    (task,) = only(began.effects, Compute)
    assert isinstance(task.inputs, GlobalModel)
    with pytest.raises(PeerError, match="the model has digest"):
        proceed(task.inputs, rehearse().benches[HUB], task.seed)


def test_a_model_of_another_shape_ends_the_job() -> None:
    with pytest.raises(PeerError, match="does not fit"):
        proceed(model(1), rehearse().benches[HUB], 0)


@pytest.mark.parametrize("kept", [None, "something else"])
def test_a_model_to_start_from_must_be_here(kept: object) -> None:
    settings = replace(SETTINGS, start_job="earlier", start_digest=model().digest.hex())
    with pytest.raises(LocalProtocolError, match="the last model of job earlier is not here"):
        aggregator.begin(replace(brief(AGGREGATOR, "hub", settings), start=kept))


def test_settings_say_where_a_job_starts() -> None:
    assert start(SETTINGS) is None
    named = replace(SETTINGS, start_job="earlier", start_digest="ab" * 32)
    assert start(named) == Start("earlier", bytes.fromhex("ab" * 32))
    with pytest.raises(ValueError, match="start_job and start_digest go together"):
        replace(SETTINGS, start_job="earlier")
    with pytest.raises(ValueError, match="start_digest must be 64 of 0-9 and a-f"):
        replace(SETTINGS, start_job="earlier", start_digest="AB" * 32)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (aggregator.Preparing(hub_seat(), FRESH), Awaited("the initial model")),
        (OPEN, Awaited("round 2", ("bob", "cat"))),
        (aggregator.step(OPEN, PeerLeft("bob", "x")).state, Awaited("round 2", ("cat",))),
        (AVERAGING, Awaited("the average of round 2")),
        (CONCLUDING, Awaited("the final evaluation", ("ann", "bob", "cat"))),
        (Ended(hub_seat()), Awaited("")),
    ],
)
def test_the_aggregator_says_whom_it_waits_for(state: aggregator.State, expected: Awaited) -> None:
    assert aggregator.SPEC.awaited(state) == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (party.Waiting(party_seat(), 0), Awaited("the first round", ("hub",))),
        (party.Waiting(party_seat(), 2), Awaited("what follows round 2", ("hub",))),
        (party.Training(party_seat(), 2), Awaited("our training in round 2")),
        (party.Evaluating(party_seat(), model()), Awaited("our evaluation of the final model")),
        (Ended(party_seat()), Awaited("")),
    ],
)
def test_a_party_says_what_it_waits_for(state: party.State, expected: Awaited) -> None:
    assert party.SPEC.awaited(state) == expected


@pytest.mark.parametrize(
    ("name", "shape", "hyperparameters"),
    [
        ("mlp", ModelShape(1_000, (0, 1)), {"hidden": 2**40}),
        ("softmax", ModelShape(2**62, (0, 1)), {}),
        ("mlp", ModelShape(MOST_PARAMETERS, tuple(range(2))), {}),
    ],
)
def test_a_model_of_gigabytes_is_refused_before_it_is_made(
    name: str, shape: ModelShape, hyperparameters: dict[str, str | int | float | bool]
) -> None:
    with pytest.raises(ModelError, match="parameters"):
        ModelRegistry().create(name, shape, hyperparameters, 0)
