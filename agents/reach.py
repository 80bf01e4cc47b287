"""How does a command reach its agent, whether its daemon runs or not?

A running daemon is asked through its control socket. Otherwise the command runs the agent itself, for as long as
it has orders, and stays until the broker has confirmed what they led to.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Protocol

from hansa.agents.control import ControlClient, carry_out
from hansa.agents.daemon import Daemon
from hansa.agents.errors import AgentNotRunning, HomeError
from hansa.agents.home import Home
from hansa.agents.office import Office, Order
from hansa.agents.passphrase import unlock

LOCKED_S = 5.0  # how long to wait for a daemon that is just starting, or another command that is ending
START_S = 30.0
CONFIRM_S = 10.0
POLL_S = 0.02

log = logging.getLogger("hansa.reach")


class Ask(Protocol):
    """Has an order carried out; AgentError in the agent's words if it refuses."""

    def __call__(self, order: Order, timeout_s: float = 30.0) -> dict[str, Any]:
        """Return the answer, which fits JSON."""
        ...


@contextmanager
def reach(home: Home, *, alone: bool = True) -> Iterator[Ask]:
    """Give what carries out orders at a home's agent.

    Args:
        alone: without a daemon, run the agent in this process while the block lasts; it waits up to 10 s at the
            end for the broker's confirmations. False: AgentNotRunning then.

    Raises:
        AgentNotRunning, AgentError: nobody could be asked; says what to do.
    """
    deadline = time.monotonic() + LOCKED_S
    while True:
        try:
            client = ControlClient(home)
            break
        except AgentNotRunning:
            if not alone:
                raise
        try:
            with home.held():
                pass
        except HomeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_S)
        else:
            with _alone(home) as ask:
                yield ask
            return
    with closing(client):
        yield client.ask


@contextmanager
def _alone(home: Home) -> Iterator[Ask]:
    daemon = Daemon(home, unlock(home), control=False)
    failures: list[Exception] = []

    def work() -> None:
        try:
            daemon.run()
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=work, name="hansa-alone", daemon=True)
    thread.start()

    def office() -> Office:
        deadline = time.monotonic() + START_S
        while True:
            if failures:
                raise failures[0]
            try:
                return daemon.office()
            except AgentNotRunning:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_S)

    def ask(order: Order, timeout_s: float = 30.0) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(json.dumps(carry_out(order, office())))  # as from a daemon
        return answer

    try:
        office()
        yield ask
        _wait_until_sent(office())
    finally:
        daemon.stop()
        thread.join()


def _wait_until_sent(office: Office) -> None:
    """Wait until the broker has confirmed everything, for a while; the rest goes when the agent runs next."""
    deadline = time.monotonic() + CONFIRM_S
    while office.ask(office.agent.busy):
        if time.monotonic() > deadline:
            log.warning(
                "%s: not everything was sent yet (%s); it goes when the agent runs",
                office.agent.name,
                office.daemon.health(),
            )
            return
        time.sleep(POLL_S)
