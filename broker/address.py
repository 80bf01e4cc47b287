"""Where is the broker, and how do we prove who we are to it?

``amqp://user:password@host:port/federation`` in the clear, for a broker on the same machine or behind a
tunnel; ``amqps://…`` over TLS 1.2 or newer. Over ``amqps`` without a user the client certificate speaks for
us (SASL EXTERNAL), and no password exists at all.
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pika

HEARTBEAT_S = 30  # the broker gives up after two of them missed, so does pika
CONNECT_TIMEOUT_S = 10.0  # TCP
HANDSHAKE_TIMEOUT_S = 15.0  # TCP, TLS and AMQP together
FRAME_BYTES = 131_072  # the broker's default, and the most it accepts unless told otherwise


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """One agent's way to one federation's broker; `from_url` reads it, `parameters` is what pika wants.

    Attributes:
        vhost: the federation's virtual host.
        user: the broker's name for this agent; empty when the client certificate names it.
        ca_file: PEM of the authority to trust instead of the system's.
        cert_file, key_file: PEM of the client's certificate and key.
    """

    host: str
    port: int
    vhost: str
    user: str
    password: str = field(repr=False)
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    heartbeat_s: int = HEARTBEAT_S

    def __post_init__(self) -> None:
        if not self.tls and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError("certificates are for amqps:// addresses")
        if not self.user and self.cert_file is None:
            raise ValueError("an address needs user:password@, or amqps:// and a client certificate")

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
        heartbeat_s: int = HEARTBEAT_S,
    ) -> "BrokerAddress":
        """Read an address; the path names the virtual host, percent-encoded where need be.

        Raises:
            ValueError: not such a URL; the text never repeats the password.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("amqp", "amqps") or not parts.hostname:
            raise ValueError("broker addresses look like amqps://user:password@host:5671/federation")
        if parts.query or parts.fragment or parts.path.count("/") > 1:
            raise ValueError(
                "a broker address ends with its virtual host: amqps://user:password@host/federation"
            )
        tls = parts.scheme == "amqps"
        return cls(
            host=parts.hostname,
            port=parts.port or (5671 if tls else 5672),
            vhost=unquote(parts.path[1:]) or "/",
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            tls=tls,
            ca_file=ca_file,
            cert_file=cert_file,
            key_file=key_file,
            heartbeat_s=heartbeat_s,
        )

    def __str__(self) -> str:
        """The address as people may see it: no user, no password."""
        return f"{'amqps' if self.tls else 'amqp'}://{self.host}:{self.port}/{self.vhost}"

    def parameters(self, connection_name: str) -> pika.ConnectionParameters:
        """Return what pika wants; `connection_name` is what the broker's operator sees.

        Raises:
            OSError: a certificate file cannot be read (ssl.SSLError: or is none).
        """
        external = not self.user
        return pika.ConnectionParameters(
            host=self.host,
            port=self.port,
            virtual_host=self.vhost,
            credentials=(
                pika.credentials.ExternalCredentials()
                if external
                else pika.PlainCredentials(self.user, self.password)
            ),
            ssl_options=pika.SSLOptions(self._context(), self.host) if self.tls else None,
            heartbeat=self.heartbeat_s,
            frame_max=FRAME_BYTES,
            socket_timeout=CONNECT_TIMEOUT_S,
            stack_timeout=HANDSHAKE_TIMEOUT_S,
            client_properties={"connection_name": connection_name},
        )

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context
