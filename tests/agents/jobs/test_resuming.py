"""Vertical jobs taken up again: from the last epoch that all have kept, or refused with the reason."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hansa.agents.core.messages import JobSpec
from hansa.agents.errors import JobAborted, JobError
from hansa.agents.jobs.orders import Cancel, Resume
from hansa.agents.jobs.serving import Predict
from hansa.agents.local import LocalFederation
from hansa.ledger import MemberSuspended
from tests.agents.harbour import ARBITER, BANK, SHOP, found, run, specification
from tests.agents.offices import order


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFederation]:
    with found(tmp_path_factory.mktemp("harbour")) as local:
        run(local, "align-1")
        yield local


def until(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def epochs(local: LocalFederation, job: str) -> int:
    """Return how many epochs of a job have ended, as the arbiter's copy of the ledger tells."""
    return local.ask(ARBITER, lambda agent: agent.clerk.standing.epochs.get((job, BANK), 0))


def run_and_cancel(local: LocalFederation, spec: JobSpec, after: int) -> None:
    """Run a job until so many epochs have ended, then have its coordinator cancel it."""
    local.ask(ARBITER, lambda agent: agent.submit(spec))
    until(lambda: epochs(local, spec.job) >= after)
    order(local, ARBITER, Cancel(spec.job, "enough for today"))
    with pytest.raises(JobAborted, match="enough for today"):
        local.run(spec)
    local.settle()


def test_a_job_goes_on_after_its_last_epoch_and_ends_as_if_it_had_never_stopped(
    harbour: LocalFederation,
) -> None:
    calm = run(harbour, "risk-calm", epochs=24, start_spread=0.0, tol=0.0)
    run_and_cancel(harbour, specification(harbour, "risk-b", **calm.settings), 2)
    told = order(harbour, ARBITER, Resume("risk-b"))
    assert (told["resumed"], told["unit"], told["left_out"]) == ("risk-b-r2", "epoch", [])
    assert 2 <= told["rounds_closed"] < 24
    again = harbour.ask(ARBITER, lambda agent: agent.spec("risk-b-r2"))
    assert again.settings["start_job"] == "risk-b"
    harbour.run(again)
    whole, resumed = (harbour.result(job, BANK) for job in ("risk-calm", "risk-b-r2"))
    assert resumed.epochs == 24
    assert resumed.losses == whole.losses
    assert resumed.theta.tolist() == whole.theta.tolist()
    with pytest.raises(JobError, match="'risk-b-r2' has finished"):
        order(harbour, ARBITER, Resume("risk-b-r2"))


def test_a_job_that_had_no_epoch_begins_anew(harbour: LocalFederation) -> None:
    spec = specification(harbour, "risk-none")
    machines = harbour.agents[SHOP]._machines
    machines.policy = (before := machines.policy).model_copy(update={"protocols": ("alignment",)})
    with pytest.raises(JobAborted, match="shop refused"):
        harbour.run(spec)
    machines.policy = before
    harbour.settle()
    told = order(harbour, ARBITER, Resume("risk-none"))
    assert (told["rounds_closed"], told["model_digest"]) == (0, "")
    again = harbour.ask(ARBITER, lambda agent: agent.spec(told["resumed"]))
    assert again.settings == spec.settings
    harbour.run(again)


def test_what_is_not_here_any_more_is_said(harbour: LocalFederation, monkeypatch: pytest.MonkeyPatch) -> None:
    run_and_cancel(harbour, specification(harbour, "risk-gone", epochs=200, tol=0.0), 1)
    monkeypatch.setattr(harbour.coordinator, "kept", lambda job: None)
    with pytest.raises(
        JobError, match=r"what it had kept of epoch \d+ is not here any more; submit a new job"
    ):
        order(harbour, ARBITER, Resume("risk-gone"))


def test_predictions_are_asked_for_again_and_not_resumed(harbour: LocalFederation) -> None:
    run(harbour, "risk-1", epochs=1)
    machines = harbour.agents[SHOP]._machines
    machines.policy = (before := machines.policy).model_copy(update={"served_rows": 0})
    told = order(harbour, BANK, Predict("risk-1", ids=("c-40",)))
    until(lambda: harbour.ask(BANK, lambda agent: agent.outcome(told["job"])))
    machines.policy = before
    harbour.settle()
    with pytest.raises(JobError, match="has only asked for predictions: ask again, hansa predict --job"):
        order(harbour, BANK, Resume(told["job"]))


def test_a_job_of_all_its_parties_goes_on_with_all_of_them_or_not_at_all(tmp_path: Path) -> None:
    with found(tmp_path) as local:
        run(local, "align-1")
        run_and_cancel(local, specification(local, "risk-1", epochs=200, tol=0.0), 1)
        local.ask(ARBITER, lambda agent: agent.write(MemberSuspended(SHOP, "moved away")))
        until(lambda: local.ask(ARBITER, lambda agent: agent.clerk.standing.members[SHOP].status != "active"))
        with pytest.raises(JobError, match="takes all of its parties; shop is no active member any more"):
            order(local, ARBITER, Resume("risk-1"))
