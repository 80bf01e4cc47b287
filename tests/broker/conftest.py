"""Brokers for the room's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.broker.town import Town


@pytest.fixture
def town() -> Iterator[Town]:
    """A federation of its own, on the broker that all tests share."""
    town = Town.somewhere()
    yield town
    town.close()


@pytest.fixture(scope="session")
def node() -> servers.Node:
    """The node that the run shares: for reading, never to be hurt."""
    return servers.shared()


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Fragile"]:
    """A node that a test may kill or starve."""
    fragile = Fragile(tmp_path_factory.mktemp("rabbitmq"))
    yield fragile
    fragile.node.kill()


class Fragile:
    """A node and its way back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.node = servers.start(folder)

    def restart(self) -> None:
        """Start it again on its data and ports."""
        self.node = servers.start(self._folder, earlier=self.node)
