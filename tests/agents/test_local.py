"""A federation in one process: jobs from proposal to end, and every way they may fail."""

import contextlib
import dataclasses
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hansa.agents.core.messages import JobOffer
from hansa.agents.data.rows import from_arrays
from hansa.agents.errors import DataError, FederationError, HomeError, JobAborted, JobError
from hansa.agents.local import LocalFederation, Member
from hansa.ledger import read_entry, verify_store
from hansa.protocols import Evaluation, ModelRegistry
from tests.agents.federations import PARTIES, found, lender, rows, specification


def kinds(local: LocalFederation) -> Counter[str]:
    return Counter(read_entry(entry.signed).kind for entry in local.coordinator.clerk.store.read())


@pytest.fixture(params=[True, False], ids=["journalled", "in memory"])
def federation(request: pytest.FixtureRequest) -> Any:
    with found(journalled=request.param) as local:
        yield local


def test_a_job_ends_with_one_model_at_everyone_and_on_every_copy_of_the_ledger(
    federation: LocalFederation,
) -> None:
    federation.run(specification())
    digests = {agent.result("trial").digest for agent in federation.agents.values()}
    assert len(digests) == 1
    assert federation.coordinator.result("trial").evaluation.score > 0.8
    for agent in federation.agents.values():
        verified = verify_store(agent.clerk.store, fingerprint=bytes.fromhex(agent.config.federation.charter))
        assert verified.head == federation.coordinator.clerk.head
        assert agent.clerk.standing.jobs["trial"].model_digest in digests
    counted = kinds(federation)
    assert counted["job-proposed"] == counted["job-finished"] == counted["contribution-measured"] == 1
    assert counted["job-accepted"] == counted["round-closed"] == 3


def test_contributions_are_the_rows_trained_on(federation: LocalFederation) -> None:
    federation.run(specification())
    expected = {name: int((~rows(name).held_out()).sum()) for name in PARTIES}
    assert federation.coordinator.clerk.standing.jobs["trial"].shares == expected


def test_two_jobs_run_one_after_the_other(federation: LocalFederation) -> None:
    federation.run(specification("first"))
    federation.run(specification("second", model="mlp", hyperparameters={"hidden": 8, "learning_rate": 0.1}))
    assert kinds(federation)["job-finished"] == 2


def test_progress_is_told_as_signed_events(federation: LocalFederation) -> None:
    heard: list[tuple[str, str]] = []
    federation.listen(lambda sender, kind, fields: heard.append((sender, kind)))
    federation.run(specification())
    time.sleep(0.3)
    counted = Counter(heard)
    assert counted["aggregator", "round-closed"] == 3
    assert counted["aggregator", "model-evaluated"] == 4
    assert all(counted[party, "job-over"] == 1 for party in PARTIES)


def test_a_policy_that_forbids_the_model_is_a_refusal_on_the_ledger_with_its_reason() -> None:
    config = {"north": {"policy": {"models": ["mlp"]}}}
    with found(config=config, journalled=False) as local:
        with pytest.raises(JobAborted, match="north refused: our policy does not allow model 'softmax'"):
            local.run(specification())
        local.settle()
        assert kinds(local)["job-refused"] == 1
        assert kinds(local)["job-aborted"] == 1


def test_a_refusal_leaves_a_quorum_that_goes_on() -> None:
    config = {"north": {"policy": {"models": ["mlp"]}}}
    with found(config=config, journalled=False) as local:
        local.run(specification(minimum_parties=2, settings={"quorum": 2}))
        assert local.agents["east"].outcome("trial") is not None
        assert sorted(local.coordinator.clerk.standing.jobs["trial"].accepted) == ["east", "west"]


class Breaking:
    """A model whose training fails at one party."""

    def get_parameters(self) -> list[Any]:
        return [np.zeros(3)]

    def set_parameters(self, parameters: Any) -> None: ...

    def fit(self, X: Any, y: Any, seed: int) -> None:
        raise RuntimeError("the training data caught fire")

    def evaluate(self, X: Any, y: Any) -> Evaluation:
        return Evaluation(len(X), 1.0, 0.0, "accuracy")

    def predict(self, X: Any) -> Any:
        return np.zeros(len(X))


def test_a_failing_training_aborts_the_job_at_everyone_and_details_stay_at_home(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry = ModelRegistry({"breaking": lambda shape: Breaking()})
    with found(registry=registry, journalled=False) as local:
        with pytest.raises(JobAborted, match="failed with RuntimeError"):
            local.run(specification(model="breaking", hyperparameters={}))
        local.settle()
        for name in PARTIES:
            over = local.agents[name].outcome("trial")
            assert over is not None
            assert over.outcome == "aborted"
            assert "the task failed with RuntimeError; this agent's own log says why" in over.reason
        written = [entry.signed for entry in local.coordinator.clerk.store.read()]
        assert any(b"RuntimeError" in signed for signed in written)
        assert not any(b"caught fire" in signed for signed in written)
        assert "the training data caught fire" in caplog.text


def test_unusable_data_is_told_to_everyone_without_quoting_it(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Any:
        raise DataError("rows.csv: row 7, column 'age': 'old' is not a finite number")

    members = [Member(name, datasets={"rows": lender(rows(name))}) for name in ("east", "west")]
    members.append(Member("north", datasets={"rows": broken}))
    with LocalFederation.found(members, journalled=False) as local:
        with pytest.raises(DataError):
            local.register()
        with pytest.raises(JobAborted, match="the data set can't be used") as aborted:
            local.run(specification())
    assert "row 7" not in str(aborted.value)
    assert "row 7, column 'age': 'old'" in caplog.text


def test_wrong_width_is_named() -> None:
    with (
        found(journalled=False) as local,
        pytest.raises(JobAborted, match="4 feature columns; the job expects 9"),
    ):
        local.run(specification(features=9))


def test_cancelling_aborts_at_everyone() -> None:
    with found(journalled=False) as local:
        local.coordinator.submit(specification(settings={"rounds": 100_000}))
        while local.coordinator.clerk.standing.jobs.get("trial") is None:
            time.sleep(0.01)
        local.coordinator.cancel("trial", "the board says no")
        deadline = time.monotonic() + 20
        while any(agent.outcome("trial") is None for agent in local.agents.values()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        reasons = {name: agent.outcome("trial") for name, agent in local.agents.items()}
        assert all(over is not None and over.reason == "the board says no" for over in reasons.values())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"protocol": "telepathy"}, "telepathy"),
        ({"model": "oracle"}, "oracle"),
        ({"hyperparameters": {"learning": 1.0}}, "learning"),
        ({"settings": {"rounds": 0}}, "rounds"),
        ({"settings": {"speed": 1}}, "speed"),
        ({"minimum_parties": 4}, "minimum_parties"),
        ({"parties": ("north", "east", "west")}, "sorted"),
        ({"parties": ("aggregator", "east"), "minimum_parties": 2}, "coordinates"),
        ({"parties": ("east", "stranger"), "minimum_parties": 2}, "stranger"),
        ({"consent_s": 0.0}, "consent_s"),
    ],
)
def test_an_impossible_job_is_refused_at_submit(changes: dict[str, Any], reason: str) -> None:
    with found(journalled=False) as local, pytest.raises(JobError, match=reason):
        local.run(specification(**changes))


def test_a_job_name_serves_once() -> None:
    with found(journalled=False) as local:
        local.run(specification())
        with pytest.raises(JobError, match="exists already"):
            local.coordinator.submit(specification())


def test_a_reopened_folder_goes_on_where_it_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "federation"
    with found(folder) as local:
        local.run(specification())
        digest = local.coordinator.result("trial").digest
        head = local.coordinator.clerk.head
    with LocalFederation.open(folder) as local:
        assert local.coordinator.clerk.head == head
        assert local.coordinator.result("trial").digest == digest
        over = local.agents["north"].outcome("trial")
        assert over is not None
        assert over.outcome == "finished"


def test_a_full_folder_and_doubled_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "something").write_text("here")
    with pytest.raises(FederationError, match="not empty"):
        LocalFederation.found([], folder=tmp_path)
    with pytest.raises(FederationError, match="two agents named 'north'"):
        LocalFederation.found([Member("north"), Member("north")])


def test_an_unknown_result_is_a_clear_error() -> None:
    with found(journalled=False) as local, pytest.raises(JobError, match="'nothing' has left no result"):
        local.coordinator.result("nothing")


def test_consent_is_to_what_the_ledger_shows_and_to_nobody_else() -> None:
    """East offers north its own version of a job that the aggregator proposes."""
    with found(journalled=False) as local:
        forged = specification(model="mlp", hyperparameters={"hidden": 8, "learning_rate": 0.1})
        east = local.agents["east"]
        east._requests.add(lambda: east._post("trial", "north", JobOffer(forged)))
        local.run(specification())
        jobs = local.agents["north"].clerk.standing.jobs
        assert jobs["trial"].coordinator == "aggregator"
        over = local.agents["north"].outcome("trial")
        assert over is not None
        assert over.outcome == "finished"
        assert over.spec == specification()


def test_parties_with_other_columns_are_named_at_submit() -> None:
    swapped = rows("north")
    swapped = dataclasses.replace(swapped, columns=("x1", "x0", "x2", "x3"))
    members = [Member(name, datasets={"rows": lender(rows(name))}) for name in ("east", "west")]
    members.append(Member("north", datasets={"rows": lender(swapped)}))
    with LocalFederation.found(members, journalled=False) as local:
        local.register()
        with pytest.raises(JobError, match="'north' has other columns in 'rows' than 'east'"):
            local.run(specification())


def test_a_table_too_wide_for_an_entry_is_registered_by_number_and_digest_of_its_columns() -> None:
    wide = from_arrays(
        "rows", np.zeros((4, 9_000)), ["yes", "no"] * 2, holdout=0.5, regression=False, source="wide"
    )
    with LocalFederation.found([Member("north", datasets={"rows": lender(wide)})], journalled=False) as local:
        local.register()
        [columns] = local.coordinator.clerk.standing.datasets["north", "rows"].columns
        assert columns.startswith("9000 columns, sha256 ")


def test_a_job_that_is_submitted_twice_at_once_runs_once() -> None:
    with found(journalled=False) as local:
        local.coordinator.submit(specification())
        with contextlib.suppress(JobError):
            local.coordinator.submit(specification())
        local.run(specification())
        assert kinds(local)["job-proposed"] == 1


def test_a_home_serves_one_process_at_a_time(tmp_path: Path) -> None:
    with found(tmp_path / "federation"), pytest.raises(HomeError, match="in use by another process"):
        LocalFederation.open(tmp_path / "federation")
    LocalFederation.open(tmp_path / "federation").close()
