"""One federation on a real broker, as the conformance suite wants it."""

import base64
import json
import os
import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

from hansa.broker import Account, AmqpTransport, BrokerAddress, Management, provision
from hansa.broker.layout import dead_queue, user
from tests import servers
from tests.broker.conformance import AGENTS, PATIENCE_S
from tests.proxy import Proxy

PASSWORD = "a password: for/tests?"


class Town:
    """A federation of its own on a broker; every agent connects through a proxy of its own.

    Args:
        amqp_port, management: the broker.
        name: of the federation; a fresh one unless given.
    """

    def __init__(
        self, amqp_port: int, management: Management, agents: Iterable[str] = AGENTS, name: str = ""
    ) -> None:
        self.name = name or f"town-{secrets.token_hex(4)}"
        self.agents = tuple(agents)
        self.amqp_port = amqp_port
        self.management = management
        self._proxies: dict[int, Proxy] = {}
        self._transports: list[AmqpTransport] = []
        self.provision()

    @classmethod
    def on(cls, node: servers.Node, name: str = "") -> "Town":
        """Found one on a node."""
        return cls(node.port, Management.from_url(node.management_url), name=name)

    @classmethod
    def somewhere(cls) -> "Town":
        """Found one on the broker that HANSA_TEST_AMQP_URL names, or on the node that the run shares."""
        url = os.environ.get("HANSA_TEST_AMQP_URL")
        if not url:
            return cls.on(servers.shared())
        parts = urlsplit(url)
        management = os.environ.get("HANSA_TEST_MANAGEMENT_URL") or (
            f"http://{parts.username}:{parts.password}@{parts.hostname}:15672"
        )
        return cls(parts.port or 5672, Management.from_url(management))

    def address(self, agent: str, port: int | None = None, *, heartbeat_s: int = 30) -> BrokerAddress:
        """Return where an agent connects, directly unless a port is given."""
        return BrokerAddress(
            "127.0.0.1",
            port or self.amqp_port,
            self.name,
            user(self.name, agent),
            PASSWORD,
            heartbeat_s=heartbeat_s,
        )

    def connect(self, agent: str, *, heartbeat_s: int = 30) -> AmqpTransport:
        """Open an agent's connection, in place of an earlier one, and wait until it is served."""
        proxy = Proxy(self.amqp_port)
        transport = AmqpTransport(self.address(agent, proxy.port, heartbeat_s=heartbeat_s), self.name, agent)
        self._proxies[id(transport)] = proxy
        self._transports.append(transport)
        transport.ready(PATIENCE_S)
        transport.wait(0)  # a connection that becomes usable ends one wait
        return transport

    def connect_without_waiting(self, agent: str) -> AmqpTransport:
        """Open an agent's connection straight to the broker."""
        transport = AmqpTransport(self.address(agent), self.name, agent)
        self._transports.append(transport)
        return transport

    def provision(self) -> None:
        """Build what the federation needs, again if need be."""
        provision(self.management, self.name, [Account(agent, PASSWORD) for agent in self.agents])

    def policy(self, name: str, pattern: str, definition: dict[str, object]) -> None:
        """Overrule the federation's own policies."""
        self.management.call(
            "PUT",
            f"policies/{self.name}/{name}",
            {"pattern": pattern, "definition": definition, "apply-to": "queues", "priority": 9},
        )

    def proxy(self, transport: object) -> Proxy:
        """Return what stands between a transport and the broker."""
        return self._proxies[id(transport)]

    def cut(self, transport: object) -> None:
        """Lose the connection for good, as when the process is killed; what it has said is on its way."""
        self.proxy(transport).settle()
        self.proxy(transport).cut()

    def peek(self, queue: str) -> list[bytes]:
        """Return what waits in a queue, and leave it there."""
        answer = self.management.call(
            "POST",
            f"queues/{self.name}/{queue}/get",
            {"count": 1_000, "ackmode": "ack_requeue_true", "encoding": "base64"},
        )
        return [base64.b64decode(message["payload"]) for message in json.loads(answer)]

    def dead_letters(self, agent: str) -> list[bytes]:
        """Return the bodies of what an agent rejected."""
        return self.peek(dead_queue(agent))

    def close(self) -> None:
        """Close every connection and remove the federation."""
        for transport in self._transports:
            transport.close()
        for proxy in self._proxies.values():
            proxy.close()
        self.management.call("DELETE", f"vhosts/{self.name}")
        for agent in self.agents:
            self.management.call("DELETE", f"users/{user(self.name, agent)}")
