"""What goes on the ledger of a job's beginning and end, and the errands of machines."""

from dataclasses import replace
from typing import Any

import pytest

from hansa.agents.config import PolicySection
from hansa.agents.core.agreed import agreed, as_registered, measured, proposal
from hansa.agents.core.coordination import Accepting, consider
from hansa.ledger import ContributionMeasured, JobAccepted
from hansa.protocols import PROTOCOLS, Record, Valuation
from tests.agents.core.echo import ECHO, LEADER, ME, NAME, PARTIES, Party, proposed, specification

VALUED = replace(
    specification(),
    settings={"helper": "west"},
    contribution={"method": "shapley", "utility": "score"},
    payout={"currency": "EUR", "pot_minor": 7},
)


@pytest.fixture(autouse=True)
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROTOCOLS, NAME, replace(ECHO, facts=(Valuation,)))


def test_a_proposal_says_all_that_is_consented_to() -> None:
    assert proposal(VALUED).settings == agreed(VALUED)
    assert agreed(VALUED) == {
        "protocol.helper": "west",
        "contribution.method": "shapley",
        "contribution.utility": "score",
        "payout.currency": "EUR",
        "payout.pot_minor": 7,
    }


def test_a_consent_brings_a_draw_where_one_is_drawn_from() -> None:
    step = consider(VALUED, LEADER, None, bytes(32))
    assert isinstance(step.state, Accepting)
    assert step.effects[0] == Record(JobAccepted(job="trial", draw=bytes(32)))
    drawn = set()
    for _ in range(2):
        party = Party(policy=PolicySection(coordinators=(LEADER,), own_parts=True))
        party.consent(VALUED)
        [consent] = party.written
        assert isinstance(consent, JobAccepted)
        drawn.add(consent.draw)
    assert len(drawn) == 2
    assert {len(draw) for draw in drawn} == {32}


def test_volumes_count_where_nothing_was_valued() -> None:
    [told] = measured(specification(), PARTIES, {"east": 3}, {"east": "1/2"})
    assert told == ContributionMeasured(job="trial", method="volume", shares={"east": 3})
    assert measured(specification(), PARTIES, {}, {}) == ()


def test_all_who_began_are_named_where_coalitions_were_valued() -> None:
    [told] = measured(VALUED, PARTIES, {"east": 3}, {"east": "1/2", "west": "-0x1/0x8"})
    assert (told.method, told.shares) == ("shapley", {"east": 10**9, "north": 0, "west": 0})


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("horizontal-fedavg", {"east": 8, "north": 10, "west": 0}),
        ("vertical-linear", {"east": 8, "north": 30, "west": 0}),
    ],
)
def test_volumes_count_as_far_as_they_are_registered(protocol: str, expected: dict[str, int]) -> None:
    weights = {"east": 8, "north": 40, "west": 9}
    assert as_registered(PROTOCOLS[protocol], weights, {"east": (10, 3), "north": (10, 3)}) == expected


def test_what_the_ledger_would_not_take_ends_the_job_with_the_reason() -> None:
    party = Party()
    party.begin(specification())
    shares: dict[str, Any] = {"shares": {}, "players": PARTIES, "rows": (1, 1, 1)}
    unsorted = Record(Valuation(round=1, coalitions=(7, 0), values=(0.5, 0.0), **shares))
    party.machines._run("trial", "role", unsorted)
    over = party.machines.outcome("trial")
    assert over is not None
    assert over.reason == (f"{ME}: the ledger takes no such Valuation: coalitions: expected rising numbers")


def test_a_policy_that_names_ways_to_measure_allows_no_others() -> None:
    party = Party()
    party.policy = party.policy.model_copy(update={"contributions": ("volume",)})
    party.start()
    party.machines.offered("trial", LEADER, VALUED)
    party.machines.consider_offers(proposed(VALUED), None)
    over = party.machines.outcome("trial")
    assert over is not None
    assert over.reason == "our policy does not allow contributions by 'shapley'"
