"""A TCP proxy whose connections a test can reset, freeze, slow down or refuse."""

import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Self

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset, as a crashed peer or a firewall does


class Proxy:
    """Forwards connections to a port on loopback until told otherwise.

    Args:
        target_ports: of one server; the first that answers is taken, as a load balancer does.

    Attributes:
        port: where to connect instead.
        accepted: how many connections were made through it.
    """

    def __init__(self, *target_ports: int) -> None:
        self._target_ports = target_ports
        self._bytes_per_s = 0.0
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._flowing = threading.Event()
        self._flowing.set()
        self.refusing = False
        self.accepted = 0
        self._last_byte = time.monotonic()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def settle(self, quiet_s: float = 0.03) -> None:
        """Wait until nothing has passed for a moment."""
        began = time.monotonic()
        while (now := time.monotonic()) - max(began, self._last_byte) < quiet_s:
            time.sleep(max(0.0, quiet_s - (now - max(began, self._last_byte))))

    def reset(self) -> None:
        """Reset every connection; new ones are let through."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for end in sockets:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it, which closes it

    def freeze(self) -> None:
        """Let no byte through, and keep the connections: a cable pulled out."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let bytes through again."""
        self._flowing.set()

    def slow(self, bytes_per_s: float) -> None:
        """Let so many bytes a second through, in each direction of each connection; 0: as many as there are."""
        self._bytes_per_s = bytes_per_s

    def cut(self) -> None:
        """Reset every connection and refuse new ones."""
        self.refusing = True
        self.reset()

    def close(self) -> None:
        """End everything."""
        self.cut()
        self.thaw()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                near.close()
                continue
            far = self._reach()
            if far is None:
                near.close()
                continue
            with self._lock:
                self.accepted += 1
                self._sockets += [near, far]
            ends = threading.Semaphore(0)
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink, ends), daemon=True).start()
            threading.Thread(target=self._bury, args=(near, far, ends), daemon=True).start()

    def _reach(self) -> socket.socket | None:
        for port in self._target_ports:
            with suppress(OSError):
                return socket.create_connection(("127.0.0.1", port))
        return None

    def _pump(self, source: socket.socket, sink: socket.socket, ended: threading.Semaphore) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self._flowing.wait()
                if self._bytes_per_s:
                    time.sleep(len(data) / self._bytes_per_s)
                sink.sendall(data)
                self._last_byte = time.monotonic()
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        ended.release()

    def _bury(self, near: socket.socket, far: socket.socket, ended: threading.Semaphore) -> None:
        for _ in range(2):
            ended.acquire()
        near.close()
        far.close()
