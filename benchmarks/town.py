"""A federation to measure: a private RabbitMQ node on loopback, its place on it, its agents' homes.

The node is the tests' own (`tests.servers`): free ports, one temporary folder, ended with this process however
that ends. Agents and bare clients run in processes of their own, as organisations' do; what they need to know,
passwords included, they read from their standard input, and what they measured they print as lines of JSON.
"""

import json
import os
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from benchmarks.report import ROOT
from hansa.agents.home import CONFIG
from hansa.agents.local import LocalFederation, Member
from hansa.broker import Account, BrokerAddress, Management, provision
from hansa.broker.layout import user
from hansa.protocols import ModelRegistry
from tests import servers

FEDERATION = "town"
KEEPER = "keeper"
OBSERVER = "observer"  # has no home: hears events, or stands for a client without hansa
PASSWORD = "broker.password"
ROWS = "rows.csv"
WITH_ROWS = {"data": {"rows": {"file": ROWS, "target": "label"}}}  # a member's configuration


class ProcessFailed(Exception):
    """A process of the benchmark ended early or said nothing; the message is one line."""


@dataclass(frozen=True, slots=True)
class Town:
    """A node, a federation on it, and where its homes lie.

    Attributes:
        password: of every agent's broker user; for this node and this run only.
    """

    node: servers.Node
    folder: Path
    password: str = field(repr=False)

    def url(self, agent: str) -> str:
        """Return an agent's broker URL, without the password."""
        return f"amqp://{user(FEDERATION, agent)}@127.0.0.1:{self.node.port}/{FEDERATION}"

    def address(self, agent: str) -> BrokerAddress:
        """Return an agent's way to the broker."""
        return replace(BrokerAddress.from_url(self.url(agent)), password=self.password)

    def home(self, agent: str) -> Path:
        """Return an agent's folder."""
        return self.folder / "homes" / agent

    @property
    def management(self) -> Management:
        return Management.from_url(self.node.management_url)


@contextmanager
def town(
    members: Sequence[Member], registry: ModelRegistry | None = None, *, wal_bytes: int | None = None
) -> Iterator[Town]:
    """Bring up a node and a federation of `KEEPER` and these members, data sets registered; end all of it.

    Args:
        wal_bytes: RabbitMQ's `raft.wal_max_size_bytes`; None for its default.
    """
    os.environ[servers.CONTROLLER_VARIABLE] = str(os.getpid())  # the node's guard watches this process
    folder = Path(tempfile.mkdtemp(prefix="hansa-bench-"))
    (folder / "rabbitmq").mkdir()
    if wal_bytes is not None:
        settings = f"[{{ra, [{{wal_max_size_bytes, {wal_bytes}}}]}}].\n"
        (folder / "rabbitmq" / "advanced.config").write_text(settings)
    node = servers.start(folder / "rabbitmq")
    try:
        founded = Town(node, folder, secrets.token_urlsafe(16))
        found(founded, members, registry)
        yield founded
    finally:
        node.kill()
        shutil.rmtree(folder, ignore_errors=True)


def found(where: Town, members: Sequence[Member], registry: ModelRegistry | None) -> None:
    """Make the homes and the federation's place on the broker."""
    federation = LocalFederation.found(
        members, federation=FEDERATION, folder=where.folder / "homes", aggregator=KEEPER, registry=registry
    )
    with federation:
        for member in members:
            (where.home(member.name) / ROWS).write_text(rows(member.name))
        federation.register()
        federation.settle()
    names = [KEEPER, *(member.name for member in members)]
    provision(where.management, FEDERATION, [Account(name, where.password) for name in (*names, OBSERVER)])
    for name in names:
        _connect(where, name)


def rows(seed: str, count: int = 64) -> str:
    """Return a small data set as CSV: two features and a target that follows the first."""
    dice = random.Random(seed)
    pairs = [(dice.gauss(0, 1), dice.gauss(0, 1)) for _ in range(count)]
    lines = (f"{index},{x:.4f},{y:.4f},{'yes' if x > 0 else 'no'}" for index, (x, y) in enumerate(pairs))
    return "\n".join(["id,x,y,label", *lines]) + "\n"


def _connect(where: Town, agent: str) -> None:
    """Tell a home where the broker is."""
    home = where.home(agent)
    with open(os.open(home / PASSWORD, os.O_CREAT | os.O_WRONLY, 0o600), "w") as secret:
        secret.write(where.password)
    with (home / CONFIG).open("a") as config:
        config.write(f'\n[broker]\nurl = "{where.url(agent)}"\npassword_file = "{PASSWORD}"\n')


class Child:
    """A Python module in a process of its own: told once, asked line by line; a context manager.

    Args:
        module: what `python -m` runs.
        told: what it reads from its standard input, as JSON.
        log: where its standard error goes; ours, unless given.
        path: a folder with more packages for it.
    """

    def __init__(
        self, module: str, told: Mapping[str, object], log: Path | None = None, path: Path | None = None
    ) -> None:
        self._name = module
        paths = [str(path)] if path else []
        paths += filter(None, [os.environ.get("PYTHONPATH")])
        with open(log, "a") if log else nullcontext() as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.pid = self._process.pid
        self.tell(told)

    def tell(self, said: Mapping[str, object]) -> None:
        """Send one line."""
        stream = _stream(self._process.stdin)
        stream.write(json.dumps(said) + "\n")
        stream.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for its next line.

        Raises:
            ProcessFailed: it ended instead.
        """
        line = _stream(self._process.stdout).readline()
        if not line:
            raise ProcessFailed(f"{self._name} ended with status {self._process.wait(10)}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        _stream(self._process.stdin).close()  # tells it to leave
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
        _stream(self._process.stdout).close()


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None  # Popen was asked for pipes
    return stream
