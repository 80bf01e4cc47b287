"""How does a command reach the running agent? Through a socket in its home, one order a line.

Only the agent's own user and root may speak: the socket has mode 0600, and the kernel tells who is at the other
end. Whoever holds the home's lock binds it, so a file that is there already is a dead process's.

A line is ``{"order": NAME, "fields": {...}}``; the answer is ``{"answer": {...}}`` or ``{"error": TEXT}``.
"""

import json
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from hansa.agents.errors import AgentError, AgentNotRunning
from hansa.agents.home import Home
from hansa.agents.service.office import Office, Order
from hansa.agents.service.orders import read_order, write_order
from hansa.broker import BrokerError
from hansa.ledger import LedgerError
from hansa.protocols import ProtocolError

SOCKET = "control.sock"
MOST_LINE_BYTES = 2**20  # of an order
MOST_ANSWER_BYTES = 64 * 2**20
MOST_CONNECTIONS = 16
SILENCE_S = 30.0  # a connection that says nothing for so long is closed
LEAVE_S = 1.0  # how long orders under way may take to end when the daemon does
PATH_BYTES = 107  # sun_path, without its terminating zero
BUILD_S = 10.0  # how long an order waits for an agent that is being built
POLL_S = 0.05
PAUSE_S = 0.5  # after a connection that could not be taken, for want of descriptors, threads or memory

log = logging.getLogger("hansa.control")


class ControlServer:
    """Answers at a home's control socket, with a thread for each connection.

    Args:
        home: whose lock the caller holds.
        office: what orders are carried out with; raises AgentError while there is nothing to do it with.
    """

    def __init__(self, home: Home, office: Callable[[], Office]) -> None:
        self._path = home.path / SOCKET
        self._office = office
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._threads: set[threading.Thread] = set()
        self._connections: set[socket.socket] = set()
        self._closing = threading.Event()
        self._listener = _listen(self._path)
        self._acceptor = threading.Thread(target=self._accept, name="hansa-control", daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """Answer what is being carried out, refuse the rest, and remove the socket."""
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # ends `accept`, which `close` alone does not
        self._acceptor.join()
        self._listener.close()
        self._path.unlink(missing_ok=True)
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)  # the answer under way may still be written
        for thread in list(self._threads):
            thread.join(LEAVE_S)

    def _accept(self) -> None:
        failing = False
        while not self._closing.is_set():
            try:
                self._receive(self._listener.accept()[0])
                failing = False
            except (OSError, RuntimeError, MemoryError) as error:  # RuntimeError: no thread could be started
                if not failing and not self._closing.is_set():
                    log.error("the control socket could not take an order: %s; trying again", error)
                failing = True
                self._closing.wait(PAUSE_S)

    def _receive(self, connection: socket.socket) -> None:
        """Have a thread serve a connection, or turn it away."""
        with ExitStack() as undo:
            undo.callback(connection.close)
            user = _user_of(connection)
            if user not in (os.geteuid(), 0):
                log.warning("turned user %d away from the control socket", user)
                self._turn_away(connection, "only the agent's own user may give it orders")
                return
            if not self._free.acquire(blocking=False):
                self._turn_away(connection, "too many connections at once; try again")
                return
            undo.callback(self._free.release)
            thread = threading.Thread(target=self._serve, args=(connection,), name="hansa-order", daemon=True)
            self._connections.add(connection)
            undo.callback(self._connections.discard, connection)
            self._threads.add(thread)
            undo.callback(self._threads.discard, thread)
            thread.start()
            undo.pop_all()  # the thread does all that

    def _turn_away(self, connection: socket.socket, reason: str) -> None:
        with suppress(OSError):
            connection.settimeout(SILENCE_S)
            connection.sendall(_line({"error": reason}))

    def _serve(self, connection: socket.socket) -> None:
        try:
            with closing(connection), suppress(OSError), connection.makefile("rb") as lines:
                connection.settimeout(SILENCE_S)
                while line := lines.readline(MOST_LINE_BYTES + 1):
                    connection.sendall(_line(self._answer(line)))
                    if len(line) > MOST_LINE_BYTES:
                        return  # what follows is the rest of it
        finally:
            self._connections.discard(connection)
            self._threads.discard(threading.current_thread())
            self._free.release()

    def _answer(self, line: bytes) -> dict[str, Any]:
        if len(line) > MOST_LINE_BYTES:
            return {"error": f"an order has at most {MOST_LINE_BYTES} bytes"}
        try:
            return {"answer": carry_out(read_order(line), self._await_office())}
        except AgentError as error:
            return {"error": str(error)}
        except Exception:
            log.exception("an order failed")
            return {"error": "the agent could not do it, for a reason of its own; its log says more"}

    def _await_office(self) -> Office:
        """Return what orders are carried out with, once the agent is built; AgentNotRunning if that takes long."""
        deadline = time.monotonic() + BUILD_S
        while True:
            try:
                return self._office()
            except AgentNotRunning:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_S)


def carry_out(order: Order, office: Office) -> dict[str, Any]:
    """Carry out an order; what it refuses comes out as AgentError, whoever refused it."""
    try:
        return order.carry_out(office)
    except AgentError:
        raise
    except (BrokerError, LedgerError, ProtocolError, ValueError) as error:
        raise AgentError(str(error)) from None


class ControlClient:
    """A connection to a running agent's control socket.

    Raises:
        AgentNotRunning: nobody answers there.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _address(home.path / SOCKET) as address:
                self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise AgentNotRunning(
                f"the agent in {home.path} is not running: hansa agent run --home {home.path}"
            ) from None
        self._lines = self._socket.makefile("rb")

    def ask(self, order: Order, timeout_s: float = 30.0) -> dict[str, Any]:
        """Have an order carried out; return the answer.

        Raises:
            AgentError: what the agent refused, in its words; or it did not answer in time.
            AgentNotRunning: it ended before it answered.
        """
        try:
            self._socket.settimeout(timeout_s)
            with suppress(BrokenPipeError):  # turned away before it could speak: the reason can still be read
                self._socket.sendall(write_order(order))
            told = json.loads(self._lines.readline(MOST_ANSWER_BYTES))
        except TimeoutError:
            raise AgentError(
                f"the agent in {self._home.path} did not answer within {timeout_s:g} s"
            ) from None
        except (OSError, ValueError):
            raise AgentNotRunning(f"the agent in {self._home.path} ended before it answered") from None
        if "error" in told:
            raise AgentError(str(told["error"]))
        answer: dict[str, Any] = told["answer"]
        return answer

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()


def _listen(path: Path) -> socket.socket:
    """Bind a socket of mode 0600 in place of what is there; nobody finds it before it has that mode."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _address(draft) as address:
        listener.bind(address)
    draft.chmod(0o600)
    listener.listen(MOST_CONNECTIONS)
    draft.replace(path)
    return listener


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """Give a path that fits a socket's address; the kernel takes 107 bytes, homes may lie deeper."""
    if len(os.fsencode(path)) <= PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _user_of(connection: socket.socket) -> int:
    """Return the user id of the process at the other end, as the kernel knows it."""
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", told)
    return int(user)


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"
