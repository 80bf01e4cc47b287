"""Agents as processes: on a real broker, started, asked, stopped and killed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hansa.agents.home import Home
from hansa.agents.reach import reach
from hansa.agents.status import Status
from tests import servers
from tests.agents.towns import found_town, raze_town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[dict[str, Home]]:
    node = servers.shared()
    homes = found_town(tmp_path / "town", node, ["north", "south"])
    yield homes
    raze_town(node, homes)


def test_a_command_runs_the_agent_itself_while_no_daemon_does(town: dict[str, Home]) -> None:
    with reach(town["north"]) as ask:
        assert ask(Status())["name"] == "north"
