"""How does the service manager know that the agent is ready, and alive? A datagram on the socket it names.

Source: sd_notify(3). A machine without systemd sets no NOTIFY_SOCKET, and nothing is sent.
"""

import os
import socket
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress


class Notifier:
    """Tells the service manager how the agent is.

    Args:
        address: of its socket; None tells nobody. An ``@`` in front means Linux's abstract names.
        watchdog_s: it expects a sign of life so often; None does not.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        address: str | None = None,
        watchdog_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self._pause_s = watchdog_s / 2 if watchdog_s else None
        self._clock = clock
        self._pinged = float("-inf")
        self._told = ""

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> "Notifier":
        """Read where to, and how often; the variables are taken out, since they are for this process alone."""
        address = environment.pop("NOTIFY_SOCKET", None)
        interval, process = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        for_us = not process or process == str(os.getpid())
        return cls(
            address, int(interval) / 1e6 if interval.isdecimal() and int(interval) and for_us else None
        )

    def tell(self, *words: str) -> None:
        """Send assignments such as ``READY=1``; a manager that does not listen is no reason to stop."""
        if self._address is None:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto("\n".join(words).encode(), self._address)

    def status(self, text: str) -> None:
        """Show a line in `systemctl status`; the same one is not sent twice."""
        if text != self._told:
            self._told = text
            self.tell("STATUS=" + text.replace("\n", " "))

    def alive(self) -> None:
        """Send a sign of life, if one is due."""
        if self._pause_s is not None and self._clock() - self._pinged >= self._pause_s:
            self._pinged = self._clock()
            self.tell("WATCHDOG=1")
