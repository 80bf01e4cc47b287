"""A private RabbitMQ node for the tests: free ports on loopback, everything in one temporary folder.

The Debian package's files are used, its service is not: nothing of the machine's own broker is touched.
One node is shared by all of pytest's workers; whoever needs it first starts it, under a lock. Tests that hurt
their broker start another of their own. Every node dies with the test run: its processes are a group of
their own, and a guard kills that group when the run ends, however it ends.
"""

import fcntl
import ipaddress
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

START_S = 90.0  # on a machine that is busy with other tests; alone it takes five
FOLDER_VARIABLE = "HANSA_TEST_SERVERS"  # the run's folder, told by pytest's controller to its workers
CONTROLLER_VARIABLE = "HANSA_TEST_CONTROLLER"  # its process id: servers end when it does
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST_PORT = 15_000
ADMINISTRATOR = "guest"
MISSING = "the tests need RabbitMQ: apt-get install rabbitmq-server (or `make servers` as root)"


@dataclass(frozen=True, slots=True)
class Node:
    """A running broker.

    Attributes:
        group: the process group that all of it runs in.
    """

    folder: str
    group: int
    port: int
    tls_port: int
    management_port: int
    epmd_port: int
    dist_port: int
    name: str = "hansa"

    @property
    def management_url(self) -> str:
        """Where the management API answers, administrator included."""
        return f"http://{ADMINISTRATOR}:{ADMINISTRATOR}@127.0.0.1:{self.management_port}"

    @property
    def full_name(self) -> str:
        """What other nodes of a cluster, and the management API, call it."""
        return f"{self.name}@127.0.0.1"

    @property
    def environment(self) -> dict[str, str]:
        """What RabbitMQ's scripts need to find this node and no other."""
        folder = Path(self.folder)
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        return kept | {
            "HOME": str(folder),  # where the cookie is
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_USE_LONGNAME": "true",
            "RABBITMQ_NODENAME": self.full_name,
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SCHEDULER_BIND_TYPE": "u",  # leave the cores to the tests too
        }

    def certificate(self, name: str) -> tuple[Path, Path]:
        """Return the files of the certificate and key made for `name`: "ca", "broker" or a client."""
        return Path(self.folder, f"{name}.pem"), Path(self.folder, f"{name}.key")

    def control(self, *words: str) -> str:
        """Run rabbitmqctl."""
        done = subprocess.run(
            [scripts() / "rabbitmqctl", "--longnames", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"rabbitmqctl {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def kill(self) -> None:
        """End it at once, as when the power goes."""
        end_group(self.group)
        deadline = time.monotonic() + 10
        while is_open(self.port) and time.monotonic() < deadline:
            time.sleep(0.02)


def scripts() -> Path:
    """Return the folder with RabbitMQ's own scripts, which do not change the user.

    Raises:
        RuntimeError: it is not installed.
    """
    for root in (os.environ.get("RABBITMQ_HOME"), "/usr/lib/rabbitmq/lib", "/opt/rabbitmq"):
        for found in sorted(Path(root).glob("**/sbin/rabbitmq-server")) if root else ():
            return found.parent
    raise RuntimeError(MISSING)


def start(folder: Path, *, earlier: Node | None = None) -> Node:
    """Start a node in a folder, or start `earlier` again on its data; returns when it answers."""
    node = launch(earlier or prepare(folder))
    await_boot([node])
    return node


def prepare(folder: Path, *, name: str = "hansa", epmd_port: int | None = None, settings: str = "") -> Node:
    """Choose ports and write what a node needs to start; it is not running yet.

    Args:
        name: its own among the nodes of a cluster.
        epmd_port: where nodes find each other, if others are there already.
        settings: more lines for its rabbitmq.conf.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, tls_port, management_port, own_epmd_port, dist_port = free_ports(5)
    _write_settings(folder, (port, tls_port, management_port), settings)
    return Node(
        str(folder), 0, port, tls_port, management_port, epmd_port or own_epmd_port, dist_port, name=name
    )


def launch(node: Node) -> Node:
    """Start the processes of a prepared node, or of one that was killed; it answers when `await_boot` returns."""
    program = f"""
        epmd -port {node.epmd_port} -address 127.0.0.1 &
        "{scripts()}/rabbitmq-server" &
        wait
    """
    return replace(node, group=guarded(Path(node.folder), ["sh", "-c", program], node.environment))


def guarded(folder: Path, command: list[str], environment: dict[str, str]) -> int:
    """Run a command that ends with the test run, in a process group of its own; return the group."""
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, __file__, os.environ[CONTROLLER_VARIABLE], *command],
            env=environment,
            cwd=folder,  # where crash dumps go
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    process.returncode = 0  # it outlives this worker if others use it; the guard and `kill` see to its end
    return process.pid


def end_group(group: int) -> None:
    """Kill everything that `guarded` has started; gone already is fine."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def await_boot(nodes: Iterable[Node]) -> None:
    """Wait until nodes answer.

    Raises:
        RuntimeError: one of them ended, or took too long; all are killed.
    """
    nodes = list(nodes)
    deadline = time.monotonic() + START_S
    for node in nodes:
        while not _answers(node):
            if time.monotonic() > deadline or not _alive(node.group):
                for each in nodes:
                    each.kill()
                said = Path(node.folder, "output").read_text()[-3000:]
                raise RuntimeError(f"RabbitMQ did not start:\n{said}")
            time.sleep(0.1)


def shared() -> Node:
    """Return the node that all workers of this run share; the first to ask starts it."""
    folder = Path(os.environ[FOLDER_VARIABLE])
    record = folder / "node.json"
    with locked(folder / "lock"):
        if not record.exists():
            node = start(folder / "rabbitmq")
            record.write_text(json.dumps(asdict(node)))
        return Node(**json.loads(record.read_text()))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock among processes."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def stop_shared(folder: Path) -> None:
    """End the shared node, if there is one, and remove the run's folder."""
    record = folder / "node.json"
    if record.exists():
        Node(**json.loads(record.read_text())).kill()
    shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> tuple[int, ...]:
    """Return ports on loopback that nobody has, nor gets by connecting somewhere: below the system's own choice."""
    highest = int(EPHEMERAL.read_text().split()[0]) if EPHEMERAL.exists() else LOWEST_PORT + 10_000
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().randrange(LOWEST_PORT, highest)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found += [] if port in found else [port]
    return tuple(found)


def is_open(port: int) -> bool:
    """Say whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _alive(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False


def _answers(node: Node) -> bool:
    """Say whether the broker has booted: it opens its AMQP ports last, its management API just before."""
    if not (is_open(node.port) and is_open(node.tls_port)):
        return False
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{node.management_port}/", timeout=5):
            return True
    except OSError:
        return False


def _write_settings(folder: Path, ports: tuple[int, int, int], more: str) -> None:
    cookie = folder / ".erlang.cookie"
    cookie.write_text("HANSATESTS")
    cookie.chmod(0o400)
    (folder / "plugins").write_text("[rabbitmq_management,rabbitmq_auth_mechanism_ssl].\n")
    make_certificates(folder)
    (folder / "rabbitmq.conf").write_text(
        f"""
        listeners.tcp.1 = 127.0.0.1:{ports[0]}
        listeners.ssl.1 = 127.0.0.1:{ports[1]}
        management.tcp.ip = 127.0.0.1
        management.tcp.port = {ports[2]}
        ssl_options.cacertfile = {folder}/ca.pem
        ssl_options.certfile = {folder}/broker.pem
        ssl_options.keyfile = {folder}/broker.key
        ssl_options.verify = verify_peer
        ssl_options.fail_if_no_peer_cert = false
        auth_mechanisms.1 = PLAIN
        auth_mechanisms.2 = EXTERNAL
        ssl_cert_login_from = common_name
        {more}
        """
    )


def make_certificates(folder: Path) -> None:
    """Write an authority, the broker's certificate for 127.0.0.1, and one for the user ``town.alice``."""
    authority = _certify(folder, "ca", "hansa tests", None)
    _certify(folder, "broker", "broker", authority)
    _certify(folder, "alice", "town.alice", authority)
    _certify(folder, "stranger", "hansa tests", None)


def _certify(
    folder: Path, file: str, name: str, issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None
) -> tuple[x509.Name, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_name, issuer_key = issuer or (subject, key)
    now = datetime.now(UTC)
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=issuer is None,
        crl_sign=issuer is None,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(authority, critical=False)
        .add_extension(addresses, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    (folder / f"{file}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{file}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return subject, key


def guard(watched: int, command: list[str]) -> None:
    """Run a command in our process group; when it ends or `watched` is gone, kill the group, us included."""
    process = subprocess.Popen(command)
    while process.poll() is None:
        try:
            os.kill(watched, 0)
        except ProcessLookupError:
            break
        time.sleep(0.5)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    guard(int(sys.argv[1]), sys.argv[2:])
