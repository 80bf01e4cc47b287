"""Daemons in this process, on threads: for tests of what they do, and of who speaks with them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hansa.agents.home import Home
from hansa.agents.service.daemon import Daemon
from hansa.agents.service.notify import Notifier

PATIENCE_S = 60.0  # for what takes a second, on a machine that is busy


def until(done: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def work(home: Home, running: Daemon | None = None) -> None:
    """Run a daemon until it ends."""
    with home.held():
        (running or Daemon(home, home.identity())).run()


@contextmanager
def at_work(
    home: Home, notifier: Notifier | None = None, failures: list[Exception] | None = None
) -> Iterator[Daemon]:
    """Run a daemon on a thread while the block lasts; what ends it goes to `failures`, or else is raised."""
    ends: list[Exception] = [] if failures is None else failures

    def body() -> None:
        try:
            work(home, running)
        except Exception as error:
            ends.append(error)

    running = Daemon(home, home.identity(), notifier=notifier)
    thread = threading.Thread(target=body)
    thread.start()
    try:
        yield running
    finally:
        running.stop()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    if ends and failures is None:
        raise ends[0]


def ready(running: Daemon) -> bool:
    return running.health().state == "ready"
