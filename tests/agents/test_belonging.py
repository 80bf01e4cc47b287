"""What becomes of an agent that its federation suspends, or that has left it."""

import logging

import pytest

from hansa.agents.errors import JobError
from hansa.agents.local import LocalFederation
from hansa.ledger import KeyRevoked, MemberAdmitted, MemberLeft, MemberSuspended
from tests.agents.daemons import until
from tests.agents.federations import found, specification

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
