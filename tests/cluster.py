"""Three RabbitMQ nodes that are one broker: started by the few tests that lose one of them."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hansa.broker import Management, TransportError
from tests import servers

NAMES = ("one", "two", "three")
FORM_S = 60.0  # on a busy machine; alone it takes fifteen


class Cluster:
    """A broker of three nodes on loopback; each can be killed and started again.

    Attributes:
        nodes: by name.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # The nodes' name server is nobody's in particular: it must outlive each of them.
        [epmd_port] = servers.free_ports(1)
        peers = "\n".join(
            f"cluster_formation.classic_config.nodes.{number} = {name}@127.0.0.1"
            for number, name in enumerate(NAMES, 1)
        )
        settings = f"cluster_formation.peer_discovery_backend = classic_config\n{peers}"
        prepared = {
            name: servers.prepare(folder / name, name=name, epmd_port=epmd_port, settings=settings)
            for name in NAMES
        }
        some = next(iter(prepared.values()))
        self._epmd = servers.guarded(
            folder, ["epmd", "-port", str(epmd_port), "-address", "127.0.0.1"], some.environment
        )
        _until(lambda: servers.is_open(epmd_port))
        self._launches = dict.fromkeys(NAMES, 1)
        self.nodes = {name: servers.launch(node) for name, node in prepared.items()}
        servers.await_boot(self.nodes.values())
        _until(lambda: all(self._whole(name) for name in NAMES))

    def management(self, name: str = NAMES[0]) -> Management:
        """Return the management API of one of the nodes."""
        return Management.from_url(self.nodes[name].management_url)

    def running(self, seen_from: str = NAMES[0]) -> set[str]:
        """Return the nodes that one of them takes for running."""
        told: list[dict[str, Any]] = json.loads(self.management(seen_from).call("GET", "nodes"))
        return {each["name"].partition("@")[0] for each in told if each["running"]}

    def leader(self, vhost: str, queue: str, seen_from: str = NAMES[0]) -> str:
        """Return the node that leads a queue."""
        told: dict[str, Any] = json.loads(self.management(seen_from).call("GET", f"queues/{vhost}/{queue}"))
        return str(told.get("leader") or told.get("node", "")).partition("@")[0]

    def kill(self, name: str) -> None:
        """End a node at once, as when the power goes."""
        self.nodes[name].kill()

    def restart(self, name: str) -> None:
        """Start a node again on its data; returns when it has joined the others."""
        self._launches[name] += 1
        self.nodes[name] = servers.launch(self.nodes[name])
        servers.await_boot([self.nodes[name]])
        _until(lambda: self._whole(name))

    def close(self) -> None:
        """End everything."""
        for node in self.nodes.values():
            node.kill()
        servers.end_group(self._epmd)

    def _whole(self, name: str) -> bool:
        """Whether a node has started wholly and sees the others.

        One that answers may still be starting: a virtual host that is added then is waited for in vain.
        """
        log = Path(self.nodes[name].folder, "log", f"{self.nodes[name].full_name}.log")
        complete = log.read_text(errors="replace").count("Server startup complete")
        return complete >= self._launches[name] and self.running(name) == set(NAMES)


@contextmanager
def clustered(folder: Path) -> Iterator[Cluster]:
    """Run a cluster for as long as the block."""
    cluster = Cluster(folder)
    try:
        yield cluster
    finally:
        cluster.close()


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + FORM_S
    while True:
        try:
            if done():
                return
        except TransportError:
            pass  # its management API is not up yet
        if time.monotonic() > deadline:
            raise RuntimeError("the cluster did not form")
        time.sleep(0.1)
