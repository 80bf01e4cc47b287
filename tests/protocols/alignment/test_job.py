"""Settings, seats and sessions."""

from dataclasses import replace
from typing import Any

import pytest

from hansa.protocols.alignment.job import (
    AGGREGATOR,
    PARTY,
    AlignmentSettings,
    OverThresholdSettings,
    Seat,
)
from hansa.protocols.errors import LocalProtocolError
from hansa.protocols.machine import Brief

PARTIES = ("ann", "bob", "cat")


def brief(role: str = PARTY, me: str = "ann", **changes: Any) -> Brief:
    return replace(
        Brief("job", me, role, "hub", PARTIES, AlignmentSettings(), 7, secret=bytes(32)), **changes
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pad_to", -1),
        ("pad_to", 2**25 + 1),
        ("block", 0),
        ("block", 65_537),
        ("silence_s", 0.0),
        ("silence_s", float("nan")),
        ("deadline_s", 600.0),
        ("deadline_s", float("inf")),
    ],
)
def test_a_setting_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name} "):
        AlignmentSettings(**{name: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"^{name} "):
        OverThresholdSettings(2, **{name: value})  # type: ignore[arg-type]


def test_a_threshold_of_one_would_tell_nothing() -> None:
    with pytest.raises(ValueError, match="threshold must be at least 2, not 1"):
        OverThresholdSettings(1)


def test_an_intersection_is_over_all_and_for_all_unless_a_receiver_is_named() -> None:
    seat = Seat.take(brief(), PARTY)
    assert (seat.threshold, seat.receivers, seat.aligned, seat.is_pair) == (3, PARTIES, True, False)
    one = Seat.take(brief(settings=AlignmentSettings(receiver="bob")), PARTY)
    assert (one.receivers, one.receives) == (("bob",), False)
    over = Seat.take(brief(settings=OverThresholdSettings(2)), PARTY)
    assert (over.threshold, over.receivers, over.aligned) == (2, PARTIES, False)


def test_only_two_that_intersect_need_no_ring() -> None:
    two = ("ann", "bob")
    assert Seat.take(brief(parties=two), PARTY).is_pair
    assert not Seat.take(brief(parties=two, settings=OverThresholdSettings(2)), PARTY).is_pair


def test_the_ring_goes_round() -> None:
    seat = Seat.take(brief(), PARTY)
    assert [seat.after(party) for party in PARTIES] == ["bob", "cat", "ann"]
    assert [seat.before(party) for party in PARTIES] == ["cat", "ann", "bob"]


@pytest.mark.parametrize(
    "changes",
    [
        {"job": "other"},
        {"seed": 8},
        {"parties": ("ann", "bob")},
        {"coordinator": "hob"},
        {"settings": AlignmentSettings(pad_to=100)},
        {"settings": OverThresholdSettings(3)},
    ],
)
def test_another_job_is_another_session(changes: dict[str, Any]) -> None:
    assert Seat.take(brief(**changes), PARTY).session != Seat.take(brief(), PARTY).session


def test_all_roles_share_the_session() -> None:
    sessions = {Seat.take(brief(PARTY, party), PARTY).session for party in PARTIES}
    sessions.add(Seat.take(brief(AGGREGATOR, "hub"), AGGREGATOR).session)
    assert len(sessions) == 1
    assert len(sessions.pop()) == 32


@pytest.mark.parametrize(
    ("wrong", "role", "message"),
    [
        (brief(settings="settings"), PARTY, "needs its own settings, not str"),
        (brief(PARTY), AGGREGATOR, "a brief for party was given to aggregator"),
        (brief(AGGREGATOR, "hob"), AGGREGATOR, "hob must lead the job"),
        (brief(AGGREGATOR, "ann", coordinator="ann"), AGGREGATOR, "ann must lead the job and hold no rows"),
        (brief(PARTY, "eve"), PARTY, "eve is not among the parties ann, bob, cat"),
        (brief(parties=("ann",)), PARTY, "at least two parties, not 1"),
        (brief(settings=OverThresholdSettings(4)), PARTY, "threshold 4 of 3 parties"),
        (brief(settings=AlignmentSettings(receiver="eve")), PARTY, "receiver eve is not a party"),
    ],
)
def test_a_brief_that_makes_no_sense_is_our_own_mistake(wrong: Brief, role: str, message: str) -> None:
    with pytest.raises(LocalProtocolError, match=message):
        Seat.take(wrong, role)
