"""Jobs by order: proposed, cancelled, taken up again from the last closed round, and their models exported."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hansa.agents.core.messages import JobSpec
from hansa.agents.errors import JobAborted, JobError
from hansa.agents.jobs.export import read_model
from hansa.agents.jobs.orders import Awaits, Cancel, Resume, Submit
from hansa.agents.jobs.takeaway import Export
from hansa.agents.local import AGGREGATOR, LocalFederation
from hansa.agents.service.orders import ORDERS, read_order, write_order
from hansa.ledger import RoundClosed, decode_body, read_entry
from hansa.protocols import ModelRegistry
from tests.agents.federations import FEATURES, PARTIES, found, specification
from tests.agents.offices import order


@pytest.fixture(scope="module")
def federation() -> Iterator[LocalFederation]:
    with found() as local:
        yield local


def closed(local: LocalFederation, job: str) -> list[RoundClosed]:
    """Return a job's closed rounds, as the ledger has them."""

    def read(_: object) -> list[RoundClosed]:
        entries = [read_entry(each.signed) for each in local.coordinator.clerk.store.read()]
        bodies = [decode_body(each.kind, each.schema, each.body) for each in entries]
        return [body for body in bodies if isinstance(body, RoundClosed) and body.job == job]

    return local.ask(AGGREGATOR, read)


def run_and_cancel(local: LocalFederation, spec: JobSpec, rounds: int) -> None:
    """Run a job until so many rounds are closed, then have its coordinator cancel it."""
    order(local, AGGREGATOR, Submit(spec))
    deadline = time.monotonic() + 60
    while len(closed(local, spec.job)) < rounds:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert order(local, AGGREGATOR, Cancel(spec.job, "enough for today")) == {
        "job": spec.job,
        "for_everybody": True,
    }
    with pytest.raises(JobAborted, match="enough for today"):
        local.run(spec)
    local.settle()


def test_an_aborted_job_goes_on_from_its_last_closed_round_and_everybody_consents_to_that(
    federation: LocalFederation,
) -> None:
    run_and_cancel(federation, specification("long", settings={"rounds": 400}), 3)
    last = closed(federation, "long")[-1]
    told = order(federation, AGGREGATOR, Resume("long"))
    assert told["resumed"] == "long-r2"
    assert (told["rounds_closed"], told["rounds"]) == (last.round, 400 - last.round)
    assert told["model_digest"] == last.model_digest.hex()
    spec = federation.ask(AGGREGATOR, lambda agent: agent.spec("long-r2"))
    assert spec.settings["start_job"] == "long"
    assert spec.settings["start_digest"] == last.model_digest.hex()
    order(federation, AGGREGATOR, Cancel("long-r2", "the start is what counts here"))
    with pytest.raises(JobAborted):
        federation.run(spec)


def test_a_resumed_job_ends_with_a_model_and_may_be_resumed_under_the_next_free_name(
    federation: LocalFederation,
) -> None:
    spec = specification("short", settings={"rounds": 60})
    run_and_cancel(federation, spec, 2)
    again = order(federation, AGGREGATOR, Resume("short"))["resumed"]
    resumed = federation.ask(AGGREGATOR, lambda agent: agent.spec(again))
    order(federation, AGGREGATOR, Cancel(again, "once more"))
    with pytest.raises(JobAborted):
        federation.run(resumed)
    third = order(federation, AGGREGATOR, Resume(again))["resumed"]
    assert (again, third) == ("short-r2", "short-r3")
    federation.run(federation.ask(AGGREGATOR, lambda agent: agent.spec(third)))
    assert federation.result(third).evaluation.score > 0.8
    assert federation.ask(AGGREGATOR, lambda agent: agent.kept(third)) is None  # its result is there instead


def test_a_job_without_a_closed_round_begins_anew(federation: LocalFederation) -> None:
    spec = specification("refused", minimum_parties=3, model="mlp", hyperparameters={"hidden": 4})
    federation.agents["west"]._machines.policy = federation.agents["west"].config.policy.model_copy(
        update={"models": ("softmax",)}
    )
    with pytest.raises(JobAborted, match="west refused"):
        federation.run(spec)
    told = order(federation, AGGREGATOR, Resume("refused"))
    assert told["model_digest"] == ""
    assert told["rounds"] == 3
    again = federation.ask(AGGREGATOR, lambda agent: agent.spec(told["resumed"]))
    with pytest.raises(JobAborted, match="west refused"):
        federation.run(again)


def test_what_cannot_be_resumed_is_said_in_a_line(federation: LocalFederation) -> None:
    federation.run(specification("done"))
    federation.settle()
    with pytest.raises(JobError, match=r"'done' has finished; its model: hansa job result done"):
        order(federation, AGGREGATOR, Resume("done"))
    with pytest.raises(JobError, match="the ledger knows no such job"):
        order(federation, AGGREGATOR, Resume("nothing"))
    with pytest.raises(JobError, match="aggregator coordinates it"):
        order(federation, "north", Resume("done"))


def test_an_open_job_is_not_resumed_but_said_what_it_waits_for(federation: LocalFederation) -> None:
    spec = specification("open", settings={"rounds": 2000})
    order(federation, AGGREGATOR, Submit(spec))
    deadline = time.monotonic() + 30
    while "open" not in federation.ask(AGGREGATOR, lambda agent: agent.clerk.standing.jobs):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    told = order(federation, AGGREGATOR, Resume("open"))
    assert told["resumed"] == ""
    assert set(told["whom"]) <= set(PARTIES)
    waits = order(federation, "north", Awaits("open"))
    assert waits["known"]
    assert waits["broker"] == "ready"
    assert order(federation, "north", Cancel("open", "we need the machine"))["for_everybody"] is False
    with pytest.raises(JobAborted, match="we need the machine"):
        federation.run(spec)
    assert order(federation, "north", Awaits("open"))["outcome"] == "aborted"
    with pytest.raises(JobError, match="'open' is over: aborted"):
        order(federation, "north", Cancel("open", "again"))


def test_a_job_nobody_has_heard_of_is_unknown(federation: LocalFederation) -> None:
    assert order(federation, "north", Awaits("nothing"))["known"] is False
    with pytest.raises(JobError, match="'nothing' is unknown at north"):
        order(federation, "north", Cancel("nothing", "x"))
    with pytest.raises(JobError, match="'nothing' is unknown at north"):
        order(federation, "north", Export("nothing", "npz"))


@pytest.mark.parametrize("form", ["npz", "json"])
@pytest.mark.parametrize("name", [AGGREGATOR, "north"])
def test_a_model_is_exported_with_everything_it_takes_to_use_it(
    federation: LocalFederation, form: str, name: str
) -> None:
    if not federation.ask(AGGREGATOR, lambda agent: agent.knows("exported")):
        federation.run(specification("exported"))
    told = order(federation, name, Export("exported", form))  # type: ignore[arg-type]
    path = Path(told["file"])
    assert path.stat().st_mode & 0o077 == 0
    saved = read_model(path)
    result = federation.result("exported", name)
    assert saved.card.digest == told["model_digest"] == result.digest.hex()
    assert saved.card.columns == tuple(f"x{place}" for place in range(FEATURES))
    assert saved.card.evaluation == result.evaluation
    model = saved.build(ModelRegistry())
    for ours, theirs in zip(model.get_parameters(), result.parameters, strict=True):
        assert np.array_equal(ours, theirs)


def test_a_resumed_job_whose_model_is_gone_is_refused(
    federation: LocalFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_and_cancel(federation, specification("gone", settings={"rounds": 400}), 1)
    monkeypatch.setattr(federation.coordinator, "kept", lambda job: None)
    with pytest.raises(JobError, match=r"its last model, [0-9a-f]{16}, is not here any more"):
        order(federation, AGGREGATOR, Resume("gone"))


def test_a_long_name_is_cut_to_what_a_name_may_be(federation: LocalFederation) -> None:
    name = "x" * 40
    run_and_cancel(federation, specification(name, settings={"rounds": 400}), 1)
    assert order(federation, AGGREGATOR, Resume(name))["resumed"] == "x" * 37 + "-r2"


@pytest.mark.parametrize(
    "what",
    [
        Submit(specification("wire", settings={"rounds": 3, "tol": 0.5, "start_job": ""})),
        Cancel("job", "reason"),
        Awaits("job"),
        Resume("job"),
        Export("job", "json"),
    ],
    ids=lambda what: type(what).__name__,
)
def test_orders_travel_whole(what: object) -> None:
    assert type(what) in ORDERS.values()
    assert read_order(write_order(what)) == what  # type: ignore[arg-type]
