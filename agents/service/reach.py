"""How does a command reach its agent, whether its daemon runs or not?

A running daemon is asked through its control socket. Otherwise the command runs the agent itself, for as long as
it has orders, and stays until the broker has confirmed what they led to, or has been away for a few seconds. Who
waits for two seconds is told why.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from hansa.agents.errors import AgentError, AgentNotRunning, HomeError
from hansa.agents.home import Home
from hansa.agents.service.connection import Patience, describe
from hansa.agents.service.control import ControlClient, carry_out
from hansa.agents.service.daemon import Daemon
from hansa.agents.service.office import Office, Order
from hansa.agents.service.passphrase import unlock
from hansa.agents.service.status import Status
from hansa.broker import Health

LOCKED_S = 5.0  # how long to wait for a daemon that is just starting, or another command that is ending
START_S = 30.0
CONFIRM_S = 10.0
ALOUD_S = 2.0  # nobody waits longer without a word
STATUS_S = 1.0
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
                client = stack.enter_context(closing(ControlClient(home)))
                ask = _Voice(lambda: _awaited(home)).lent_to(client.ask)
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
        working = office()
        told = _in_time(lambda: carry_out(order, working), timeout_s, working.agent.name)
        answer: dict[str, Any] = json.loads(json.dumps(told))  # as from a daemon
        return answer

    began = time.monotonic()
    thread = threading.Thread(target=work, name="hansa-alone", daemon=True)
    thread.start()
    try:
        office()
        voice = _Voice(lambda: _why(daemon.health()))
        yield voice.lent_to(ask)
        with voice.waiting():
            left = _has_left(office, Patience(daemon.health, CONFIRM_S, began))
        if not left:
            why = "" if voice.told.is_set() else f" ({describe(daemon.health())})"
            later = f"it will when the agent runs: hansa agent run --home {home.path}"
            log.warning("%s: not everything has left%s; %s", office().agent.name, why, later)
    finally:
        daemon.stop()
        thread.join()


def _in_time(work: Callable[[], dict[str, Any]], timeout_s: float, name: str) -> dict[str, Any]:
    """Return what work on a thread of its own gives; AgentError if that takes too long."""
    done: Future[dict[str, Any]] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="hansa-order", daemon=True).start()
    try:
        return done.result(timeout_s)
    except TimeoutError:
        if done.done():  # a timeout of the work's own
            raise
        raise AgentError(f"{name} did not answer within {timeout_s:g} s") from None


class _Voice:
    """Says once why somebody waits, if that takes long.

    Args:
        why: called on a thread of its own.
    """

    def __init__(self, why: Callable[[], str]) -> None:
        self._why = why
        self.told = threading.Event()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Say it if the block lasts longer than ALOUD_S."""
        timer = threading.Timer(ALOUD_S, self._tell)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def lent_to(self, ask: Ask) -> Ask:
        """Return what asks the same, and says why that takes long."""

        def aloud(order: Order, timeout_s: float = 30.0) -> dict[str, Any]:
            with self.waiting():
                return ask(order, timeout_s)

        return aloud

    def _tell(self) -> None:
        if not self.told.is_set():
            self.told.set()
            log.warning("%s", self._why())


def _why(health: Health) -> str:
    return "waiting for the others to answer" if health.state == "ready" else f"waiting: {describe(health)}"


def _awaited(home: Home) -> str:
    """Return what a running agent waits for."""
    try:
        with closing(ControlClient(home)) as client:
            broker = client.ask(Status(), STATUS_S)["broker"]
    except AgentError:
        return f"waiting for the agent in {home.path}, which is busy"
    if broker["state"] == "ready":
        return "waiting for the others to answer"
    return f"waiting: the agent is not connected to the broker: {broker['trouble'] or broker['state']}"


def _has_left(office: Callable[[], Office], patience: Patience) -> bool:
    """Wait a while until the broker has confirmed everything; what has not left goes when the agent runs next."""
    while not (now := office()).ask(now.agent.posted):
        if patience.spent():
            return False
        time.sleep(POLL_S)
    return True
