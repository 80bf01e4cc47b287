"""What is said about the way to the broker, and when an agent gives up."""

import logging

import pytest

from hansa.agents.errors import BrokerTurnedAway
from hansa.agents.service.connection import AWAY_S, REFUSED_S, STANDBY_S, ConnectionWatch, Patience, describe
from hansa.broker import (
    AccessRefused,
    BrokerUnreachable,
    Disconnected,
    Health,
    TransportError,
    UnknownAgent,
    UntrustedBroker,
)

CONNECTING = Health("connecting", None)
READY = Health("ready", None)
AWAY = Health("connecting", BrokerUnreachable("no connection to 127.0.0.1:5672"))
REFUSED = Health("connecting", AccessRefused("the broker refused the login"))


class Sky:
    """A connection whose health is what the test says."""

    def __init__(self) -> None:
        self.now = CONNECTING

    def health(self) -> Health:
        return self.now


@pytest.fixture
def sky() -> Sky:
    return Sky()


def test_every_change_is_told_once(sky: Sky, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    watch = ConnectionWatch("north", sky)
    for sky.now in (CONNECTING, AWAY, AWAY, CONNECTING, AWAY, READY, READY, AWAY, READY):
        assert watch.look() is sky.now
    told = [(record.levelname, record.getMessage().split(":")[1].strip()) for record in caplog.records]
    assert told == [
        ("WARNING", "not connected"),
        ("INFO", "connected to the broker"),
        ("WARNING", "not connected"),
        ("INFO", "connected to the broker"),
    ]


def test_an_earlier_connection_of_ours_is_news_only_if_it_does_not_go(
    sky: Sky, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    watch = ConnectionWatch("north", sky, lambda: now[0])
    standby = Health("standby", TransportError("another is served"))
    for now[0], sky.now in ((0.0, standby), (1.0, standby), (2.0, READY), (10.0, standby), (12.0, standby)):
        watch.look()
    assert not caplog.records
    now[0] = 10.0 + STANDBY_S
    watch.look()
    assert "another process with these keys" in caplog.text


def test_a_broker_that_refuses_for_seconds_ends_the_agent(sky: Sky) -> None:
    now = [0.0]
    watch = ConnectionWatch("north", sky, lambda: now[0])
    sky.now = REFUSED
    watch.look()
    now[0] = REFUSED_S - 0.1
    watch.look()
    now[0] = REFUSED_S
    with pytest.raises(BrokerTurnedAway, match="refused the login; check broker"):
        watch.look()


def test_a_broker_that_lets_us_in_after_all_has_not_refused(sky: Sky) -> None:
    now = [0.0]
    watch = ConnectionWatch("north", sky, lambda: now[0])
    for now[0], sky.now in ((0.0, REFUSED), (3.0, CONNECTING), (4.0, READY), (6.0, REFUSED), (9.0, REFUSED)):
        watch.look()
    now[0] = 11.5
    with pytest.raises(BrokerTurnedAway):
        watch.look()


@pytest.mark.parametrize(
    ("health", "words"),
    [
        (CONNECTING, "connecting to the broker"),
        (READY, "connected to the broker"),
        (AWAY, "check that the broker runs"),
        (Health("connecting", UnknownAgent("no queue")), "hansa broker provision"),
        (Health("connecting", UntrustedBroker("no TLS")), "ca_file"),
        (Health("connecting", TransportError("lost")), "not connected: lost; trying again"),
        (Health("standby", TransportError("x")), "another process with these keys"),
        (Health("blocked", TransportError("the broker is out of disk")), "out of disk; messages wait here"),
        (Health("closed", Disconnected("a newer connection took over")), "took over"),
    ],
)
def test_people_read_how_it_is_and_what_they_can_do(health: Health, words: str) -> None:
    assert words in describe(health)


def test_a_quiet_watch_leaves_the_telling_to_others(sky: Sky, caplog: pytest.LogCaptureFixture) -> None:
    watch = ConnectionWatch("north", sky, quiet=True)
    with caplog.at_level(logging.INFO):
        for sky.now in (AWAY, READY):
            assert watch.look() == sky.now
    assert caplog.records == []


def test_waiting_ends_with_its_time_or_when_the_broker_has_been_away_for_long(sky: Sky) -> None:
    now = 100.0
    patience = Patience(sky.health, 4 * AWAY_S, clock=lambda: now)
    sky.now = AWAY
    now += AWAY_S
    assert not patience.spent()
    sky.now = READY
    assert not patience.spent()
    sky.now = AWAY
    now += AWAY_S
    assert not patience.spent()
    now += 0.1
    assert patience.spent()
    sky.now = READY
    assert not patience.spent()
    now += 2 * AWAY_S
    assert patience.spent()
    assert not Patience(sky.health, AWAY_S, now - 60.0, lambda: now).spent()
    sky.now = AWAY
    assert Patience(sky.health, AWAY_S, now - 60.0, lambda: now).spent()
