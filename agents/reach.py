"""How does a command reach its agent, whether its daemon runs or not?

A running daemon is asked through its control socket. Otherwise the command runs the agent itself, for as long as
it has orders, and stays until the broker has confirmed what they led to.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from hansa.agents.connection import describe
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
def reach(home: Home, *, alone: bool = True, passphrase_file: Path | None = None) -> Iterator[Ask]:
    """Give what carries out orders at a home's agent.

    Args:
        alone: without a daemon, run the agent in this process while the block lasts; it waits up to 10 s at the
            end for the broker's confirmations. False: AgentNotRunning then.
        passphrase_file: for running it; else as `unlock` finds it.

    Raises:
        AgentNotRunning, AgentError: nobody could be asked; says what to do.
    """
    deadline = time.monotonic() + LOCKED_S
    while True:
        with ExitStack() as stack:
            try:
                ask: Ask = stack.enter_context(closing(ControlClient(home))).ask
            except AgentNotRunning:
                if not alone:
                    raise
                try:
                    stack.enter_context(home.held())
                except HomeError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(POLL_S)
                    continue
                ask = stack.enter_context(_alone(home, passphrase_file))
            yield ask
            return


@contextmanager
def _alone(home: Home, passphrase_file: Path | None) -> Iterator[Ask]:
    """Run a home's agent in this process while the block lasts; the caller holds the home."""
    daemon = Daemon(home, unlock(home, passphrase_file), serve=False)
    failures: list[Exception] = []

    def work() -> None:
        try:
            daemon.run()
        except Exception as error:
            failures.append(error)

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

    thread = threading.Thread(target=work, name="hansa-alone", daemon=True)
    thread.start()
    try:
        office()
        yield ask
        _wait_until_sent(office)
    finally:
        daemon.stop()
        thread.join()


def _wait_until_sent(office: Callable[[], Office]) -> None:
    """Wait until the broker has confirmed everything, for a while; the rest goes when the agent runs next."""
    deadline = time.monotonic() + CONFIRM_S
    while not (now := office()).ask(now.agent.posted):
        if time.monotonic() > deadline:
            log.warning(
                "%s: not everything has left (%s); it will when the agent runs: hansa agent run --home %s",
                *(now.agent.name, describe(now.daemon.health()), now.home.path),
            )
            return
        time.sleep(POLL_S)
