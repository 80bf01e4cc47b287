"""How many rows a day a party helps to predict: counted at consent, by model, and through restarts."""

from dataclasses import replace
from typing import Any

import pytest

from hansa.agents.config import PolicySection
from hansa.agents.core.messages import JobSpec
from hansa.agents.core.quota import DAY_S
from hansa.ledger import Job
from tests.agents.core.echo import ME, NOW_S, Party, proposed

GUEST = "east"
MODELS = {
    model: Job(
        "aggregator", "vertical-logistic", "", "rows", (GUEST, ME, "west"), 3, bytes(32), 0, "finished"
    )
    for model in ("trained", "other")
}


def request(job: str, rows: int, model: str = "trained", **settings: Any) -> JobSpec:
    """Return a job of joint inference that east leads, with north as a host."""
    asked = {"model": model, "output": "score", "most_rows": rows, **settings}
    return JobSpec(job, "vertical-inference", "", "rows", (ME,), (), 0, {}, asked, 1, 60.0, 4)


def refusal(party: Party, spec: JobSpec) -> str:
    """Offer a job, and return why it was refused; empty if it was not."""
    party.machines.offered(spec.job, GUEST, spec)
    party.machines.consider_offers({**MODELS, **proposed(spec, GUEST)}, None)
    party.commit()
    over = party.machines.outcome(spec.job)
    return "" if over is None else over.reason


@pytest.fixture
def party() -> Party:
    return Party(policy=PolicySection(served_rows=100, own_scores=True))


def test_rows_are_served_up_to_the_days_number(party: Party) -> None:
    assert refusal(party, request("one", 60)) == ""
    reason = refusal(party, request("two", 41))
    assert reason == "our policy serves 100 rows a day of trained; with this job it would be 101"
    assert refusal(party, request("three", 40)) == ""
    assert refusal(party, request("four", 1)) != ""


def test_each_model_has_a_number_of_its_own(party: Party) -> None:
    assert refusal(party, request("one", 100)) == ""
    assert refusal(party, request("two", 100, "other")) == ""
    assert refusal(party, request("three", 1, "other")) != ""


def test_a_restart_forgets_nothing(party: Party) -> None:
    assert refusal(party, request("one", 60)) == ""
    party.start()
    assert refusal(party, request("two", 41)) != ""
    assert refusal(party, request("three", 40)) == ""


def test_a_consent_that_was_never_committed_counts_for_nothing(party: Party) -> None:
    spec = request("one", 100)
    party.machines.offered("one", GUEST, spec)
    party.machines.consider_offers({**MODELS, **proposed(spec, GUEST)}, None)
    party.start()
    assert refusal(party, request("two", 100)) == ""


@pytest.mark.parametrize("restarted", [False, True])
def test_every_day_begins_anew_and_earlier_ones_are_forgotten(party: Party, restarted: bool) -> None:
    party.now_s = NOW_S // DAY_S * DAY_S + DAY_S - 1
    assert refusal(party, request("one", 100)) == ""
    assert refusal(party, request("two", 100, "other")) == ""
    party.now_s += 2
    if restarted:
        party.start()
    assert refusal(party, request("three", 70)) == ""
    assert refusal(party, request("four", 31)) != ""
    assert party.noted("served") == 1


def test_without_a_number_nothing_is_served() -> None:
    reason = refusal(Party(policy=PolicySection(own_scores=True)), request("one", 1))
    assert reason == "our policy serves 0 rows a day of trained; with this job it would be 1"


def test_the_only_host_gives_no_scores_away_unless_its_policy_says_so() -> None:
    party = Party(policy=PolicySection(served_rows=100))
    expected = "we are the only host, so that scores would tell east our part of each: our policy allows "
    assert refusal(party, request("one", 1)) == f"{expected}labels and deciles"
    with_another = replace(request("two", 1), parties=(ME, "west"), minimum_parties=2)
    assert refusal(party, with_another) == ""
    assert party.noted("served") == 1
    arbiter = replace(request("three", 99, output="label", arbiter="aggregator"), parties=("aggregator", ME))
    assert refusal(party, replace(arbiter, minimum_parties=2)) == ""


def test_whoever_only_adds_up_shares_serves_nothing_of_its_own() -> None:
    party = Party(policy=PolicySection())
    spec = request("one", 1_000, output="label", arbiter=ME)
    assert refusal(party, spec) == ""
    assert party.noted("served") == 0


def test_what_is_refused_for_another_reason_is_not_counted(party: Party) -> None:
    spec = request("one", 100)
    party.machines.offered("one", GUEST, spec)
    party.machines.consider_offers({**MODELS, **proposed(spec, GUEST)}, "we are leaving")
    assert refusal(party, request("two", 100)) == ""
