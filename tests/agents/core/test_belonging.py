"""What becomes of an agent that its federation suspends, or that has left it."""

import logging

import pytest

from hansa.agents.admission import membership
from hansa.agents.admission.membership import Leave, Reinstate, Suspend
from hansa.agents.errors import FederationError, JobError
from hansa.agents.local import LocalFederation
from hansa.ledger import KeyRevoked, MemberAdmitted, MemberLeft, MemberSuspended, RuleBroken
from tests.agents.daemons import until
from tests.agents.federations import found, specification
from tests.agents.offices import order

LONG = {"rounds": 10_000, "quorum": 2, "round_deadline_s": 30.0, "silence_s": 120.0}


def reinstated(local: LocalFederation, name: str) -> MemberAdmitted:
    member = local.coordinator.clerk.standing.members[name].public
    return MemberAdmitted(name, member.verify_key, member.seal_key)


def test_a_suspended_member_is_told_why_leaves_its_jobs_and_may_come_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "hansa.agent")
    with found() as local:
        north, keeper = local.agents["north"], local.coordinator
        keeper.submit(specification("long", settings=LONG))
        until(north.open_jobs, "at work")
        keeper.write(MemberSuspended("north", "dues"))
        until(lambda: not north.open_jobs(), "out of the job")
        over = north.outcome("long")
        assert over is not None
        assert over.reason == "north is suspended by aggregator: dues"
        assert caplog.text.count("north is suspended by aggregator: dues: the others refuse") == 1
        north.write(MemberLeft("north"))
        until(lambda: keeper.intake.refused["SuspendedSender"] > 0, "refused by name")
        keeper.cancel("long", "enough")
        until(lambda: keeper.outcome("long") is not None, "the end")
        keeper.write(reinstated(local, "north"))
        until(lambda: "north takes part again" in caplog.text, "back")


def test_a_member_whose_key_is_revoked_is_told_by_whom() -> None:
    with found() as local:
        north = local.agents["north"]
        key = local.coordinator.clerk.standing.members["north"].public.verify_key
        local.coordinator.write(KeyRevoked("north", key, "lost"))
        until(lambda: north._belonging.objection(), "told")
        assert north._belonging.objection() == "north is revoked by aggregator: lost"
        assert north.clerk.head == local.coordinator.clerk.head


def test_a_member_that_has_left_sees_its_leaving_and_takes_no_job() -> None:
    with found() as local:
        north, keeper = local.agents["north"], local.coordinator
        north.write(MemberLeft("north"))
        until(lambda: north._belonging.objection(), "gone")
        assert north._belonging.objection() == "north has left"
        assert north._reservation() == "north has left"
        with pytest.raises(JobError, match="north"):
            keeper.submit(specification("later"))
        keeper.write(MemberSuspended("west", ""))
        until(lambda: keeper.clerk.standing.members["west"].status == "suspended", "west")
        until(
            lambda: local.agents["west"]._belonging.objection() == "west is suspended by aggregator", "told"
        )
        until(lambda: local.agents["east"].clerk.head == keeper.clerk.head, "east hears all")
        assert north.clerk.head.size < keeper.clerk.head.size  # and who has left hears no more


def test_who_leaves_gets_out_of_its_jobs_first() -> None:
    with found() as local:
        keeper = local.coordinator
        keeper.submit(specification("long", settings=LONG))
        until(local.agents["north"].open_jobs, "at work")
        assert order(local, "north", Leave()) == {"chained": True, "keeper": "aggregator"}
        over = local.agents["north"].outcome("long")
        assert over is not None
        assert over.reason == "north leaves the federation"
        assert keeper.intake.refused == {}  # it said so while it might
        keeper.cancel("long", "enough")
        until(lambda: keeper.outcome("long") is not None, "the end")


def test_an_entry_that_is_not_on_the_chain_in_time_is_said_to_be_on_its_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with found() as local:
        monkeypatch.setattr(membership, "CHAINED_S", -1.0)
        monkeypatch.setattr(local.coordinator.books, "chain", lambda: None)
        with pytest.raises(FederationError, match="west: the entry is written but not on the chain yet"):
            order(local, local.keeper, Suspend("west", "dues"))


def test_nobody_is_suspended_or_reinstated_against_the_rules() -> None:
    with found() as local:
        with pytest.raises(RuleBroken, match="keeps the ledger"):
            order(local, local.keeper, Suspend(local.keeper, "dues"))
        with pytest.raises(FederationError, match="only the keeper does that"):
            order(local, "north", Reinstate("west"))
