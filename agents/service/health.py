"""Is the agent ready, and how busy? For monitors on this machine, over HTTP.

``GET /health``: 200 if it is connected and answers, else 503, and why. ``GET /metrics``: for Prometheus.

There is no password: the address must be one of this machine's own unless ``[daemon] expose`` says otherwise, and
a request must name such a host, so that no web page can have a browser read it (DNS rebinding).
"""

import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from socket import AF_INET, AF_INET6
from socketserver import TCPServer, ThreadingMixIn
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from hansa.agents.config import DaemonSection
from hansa.agents.errors import ConfigError
from hansa.agents.service.metrics import CONTENT_TYPE

REQUEST_S = 10.0  # a client that is slower is cut off
POLL_S = 1.0  # how long closing may take

log = logging.getLogger("hansa.health")


class HealthServer:
    """Answers monitors, on threads of its own.

    Args:
        section: where to listen.
        health: returns whether the agent is ready, and what to tell about it.
        metrics: returns them as text.

    Raises:
        ConfigError: nobody can listen there.
    """

    def __init__(
        self,
        section: DaemonSection,
        health: Callable[[], tuple[bool, dict[str, Any]]],
        metrics: Callable[[], str],
    ) -> None:
        host, port = section.host_and_port
        try:
            self._server = _Server(host, port, exposed=section.expose)
        except OSError as error:
            raise ConfigError(f"[daemon] listen {section.listen!r}: {error.strerror}") from None
        self._server.health, self._server.metrics = health, metrics
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_address[1]}"
        self._thread = Thread(
            target=self._server.serve_forever, args=(POLL_S,), name="hansa-health", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingMixIn, TCPServer):
    """http.server's own class asks the DNS for its name at the start; this one does not."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    health: Callable[[], tuple[bool, dict[str, Any]]]
    metrics: Callable[[], str]

    def __init__(self, host: str, port: int, *, exposed: bool) -> None:
        self.address_family = AF_INET6 if ":" in host else AF_INET
        self.exposed = exposed
        super().__init__((host, port), _Request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""
        log.debug("a request from %s failed", client_address, exc_info=True)


class _Request(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_S
    server_version, sys_version = "hansa", ""

    def do_GET(self) -> None:
        """Answer /health and /metrics."""
        path = urlsplit(self.path).path
        if not (self.server.exposed or is_own_host(self.headers.get("Host", ""))):
            self._answer(HTTPStatus.FORBIDDEN, "text/plain", "ask this machine by its own name\n")
        elif path == "/health":
            ready, told = self.server.health()
            status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, "application/json", json.dumps(told) + "\n")
        elif path == "/metrics":
            self._answer(HTTPStatus.OK, CONTENT_TYPE, self.server.metrics())
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", "there are /health and /metrics\n")

    def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Leave requests to the debug log."""
        log.debug(format, *arguments)


def is_own_host(header: str) -> bool:
    """Whether a Host header names the machine itself: localhost, or an address of the loopback."""
    try:
        host = urlsplit(f"//{header}").hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
