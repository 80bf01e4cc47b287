"""How is the way to the broker, and what is to be done about it? Told once at every change, with the remedy.

A broker that is away is no reason to end. One that does not let us in is, after a few seconds: a broker that is
just starting may refuse, too.
"""

import logging
import time
from collections.abc import Callable
from typing import Protocol

from hansa.agents.errors import BrokerTurnedAway
from hansa.broker import (
    AccessRefused,
    BrokerUnreachable,
    Health,
    TransportError,
    UnknownAgent,
    UntrustedBroker,
)

STANDBY_S = 3.0  # a command that has just ended lets its successor in within this
REFUSED_S = 5.0  # a broker that refuses us for so long means it
AWAY_S = 5.0  # a broker that has not let us in for so long may not do so soon

log = logging.getLogger("hansa.connection")

# The first that fits.
REMEDIES: tuple[tuple[type[TransportError], str], ...] = (
    (UnknownAgent, "whoever runs the broker must provision this agent there: hansa broker provision"),
    (UntrustedBroker, "check ca_file, cert_file and key_file under [broker] in agent.toml"),
    (BrokerUnreachable, "check that the broker runs, and url under [broker] in agent.toml"),
)


class Connection(Protocol):
    """A transport that can say how it is."""

    def health(self) -> Health:
        """Say how the connection is."""
        ...


class ConnectionWatch:
    """Logs changes of one connection's health.

    Args:
        name: whose.
        connection: to be looked at.
        clock: seconds, monotonic.
        quiet: log for debugging only; somebody else tells it.
    """

    def __init__(
        self,
        name: str,
        connection: Connection,
        clock: Callable[[], float] = time.monotonic,
        *,
        quiet: bool = False,
    ) -> None:
        self._name = name
        self._quiet = quiet
        self._connection = connection
        self._clock = clock
        self._told: tuple[str, type[TransportError] | None] = ("connecting", None)  # no news at the start
        self._refused_at: float | None = None
        self._standby_at: float | None = None

    def look(self) -> Health:
        """Return how the connection is; log it if that is news.

        Raises:
            BrokerTurnedAway: it has refused us for REFUSED_S.
        """
        health = self._connection.health()
        if self._just_standing_by(health):
            return health
        news = (health.state, type(health.trouble) if health.trouble else None)
        if news != self._told and news != ("connecting", None):  # a new attempt is no news
            self._told = news
            level = logging.INFO if health.state == "ready" else logging.WARNING
            level = logging.DEBUG if self._quiet else level
            log.log(level, "%s: %s", self._name, describe(health), extra={"event": f"broker-{health.state}"})
        self._give_up_if_refused(health)
        return health

    def _just_standing_by(self, health: Health) -> bool:
        """Whether an earlier connection of ours has still to go, which takes a moment and is no news."""
        if health.state != "standby":
            self._standby_at = None
            return False
        if self._standby_at is None:
            self._standby_at = self._clock()
        return self._clock() - self._standby_at < STANDBY_S

    def _give_up_if_refused(self, health: Health) -> None:
        if not isinstance(health.trouble, AccessRefused):
            if health.state != "connecting":
                self._refused_at = None
            return
        if self._refused_at is None:
            self._refused_at = self._clock()
        if self._clock() - self._refused_at >= REFUSED_S:
            raise BrokerTurnedAway(
                f"{self._name}: {health.trouble}; check broker.password and url in agent.toml, or have whoever "
                "runs the broker provision this agent again"
            )


class Patience:
    """How long is it worth to wait for what comes from the others?

    Args:
        health: says how the connection is.
        longest_s: seconds to wait at most.
        since: when the connection was ready last, by the clock; now, if nothing is known.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        health: Callable[[], Health],
        longest_s: float,
        since: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._health = health
        self._clock = clock
        self._until = clock() + longest_s
        self._ready_at = clock() if since is None else since

    def spent(self) -> bool:
        """Whether to wait no longer: the time is over, or there has been no connection for AWAY_S."""
        now = self._clock()
        if self._health().state == "ready":
            self._ready_at = now
        return now > self._until or now - self._ready_at > AWAY_S


def describe(health: Health) -> str:
    """Return a line for people: how the connection is, and what they can do."""
    match health.state:
        case "ready":
            return "connected to the broker"
        case "standby":
            return "connected, but another process with these keys still is, too; waiting until it has gone"
        case "blocked":
            return f"{health.trouble}; messages wait here until whoever runs it has made room"
        case "closed":
            return f"{health.trouble}"
        case "connecting":
            remedy = next((text for kind, text in REMEDIES if isinstance(health.trouble, kind)), "")
            if health.trouble is None:
                return "connecting to the broker"
            return f"not connected: {health.trouble}; trying again{'; ' + remedy if remedy else ''}"
