"""How often a party's own scores of the same rows are seen, by what the ledger knows."""

from dataclasses import replace
from typing import Any

import pytest

from hansa.agents.core.messages import JobSpec
from hansa.agents.core.sightings import seen_enough
from hansa.ledger import Job, Volume

SPEC = JobSpec(
    job="risk-9",
    protocol="vertical-logistic",
    model="",
    dataset="customers",
    parties=("bank", "shop"),
    classes=("bad", "good"),
    features=0,
    hyperparameters={},
    settings={"guest": "bank", "alignment": "align-1"},
    minimum_parties=2,
    consent_s=60.0,
    seed=7,
    contribution={"method": "shapley", "utility": "score"},
)
JOB = Job(
    coordinator="hub",
    protocol=SPEC.protocol,
    model="",
    dataset=SPEC.dataset,
    parties=SPEC.parties,
    quorum=2,
    specification=bytes(32),
    proposed_at=5,
    settings={"protocol.alignment": "align-1", "contribution.method": "shapley"},
    volumes={"shop": Volume(90, 3)},
)
BEGUN = replace(JOB, draws={"shop": bytes(32)}, started=("bank", "shop"))


def asked(*earlier: Job, columns: int = 3, spec: JobSpec = SPEC) -> str | None:
    now = replace(JOB, volumes={"shop": Volume(90, columns)} if columns else {})
    jobs = {f"risk-{number}": job for number, job in enumerate(earlier)}
    return seen_enough(spec, "shop", {**jobs, SPEC.job: now})


def test_scores_are_seen_in_fewer_jobs_than_there_are_columns() -> None:
    assert asked() is None
    assert asked(BEGUN) is None
    assert asked(BEGUN, replace(BEGUN, status="aborted")) == (
        "our own scores of rows of align-1 were seen before (jobs: 2), and with our columns no more than 2 may "
        "show them: align anew, or measure contributions by volume"
    )
    assert asked(BEGUN, BEGUN, columns=4) is None


@pytest.mark.parametrize("columns", [0, 1, 2])
def test_once_is_always_allowed_and_the_leak_guard_has_its_say(columns: int) -> None:
    assert asked(columns=columns) is None
    assert asked(BEGUN, columns=columns) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"protocol.alignment": "align-2"}},
        {"draws": {"bank": bytes(32)}},  # we had no part in it
        {"draws": {}},  # nothing was valued
        {"started": (), "status": "aborted"},  # it never began
    ],
)
def test_jobs_in_which_nothing_of_these_rows_was_seen_do_not_count(change: dict[str, Any]) -> None:
    assert asked(replace(BEGUN, **change), columns=2) is None


def test_a_job_that_may_yet_begin_counts() -> None:
    assert asked(replace(BEGUN, started=()), columns=2) is not None


def test_a_job_by_volume_or_of_another_kind_shows_no_scores() -> None:
    assert asked(BEGUN, columns=2, spec=replace(SPEC, contribution={})) is None
    assert asked(BEGUN, columns=2, spec=replace(SPEC, protocol="horizontal-fedavg", settings={})) is None
