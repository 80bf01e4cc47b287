"""Another member keeps the ledger: nothing that was final is lost, and everybody follows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.core.parish import Parish


@pytest.fixture
def parish(tmp_path: Path) -> Iterator[Parish]:
    parish = Parish.found(tmp_path)
    parish.go(5)
    yield parish
    parish.close()


def test_a_member_takes_over_from_a_keeper_that_is_gone(parish: Parish) -> None:
    parish.write("east", "herring")
    parish.go(5)
    parish.kill("hub")
    parish.write("west", "salt")  # waits for whoever keeps the ledger
    parish.go(5)
    parish.go(2_000)
    parish.up["north"].ask(lambda: parish.up["north"].takeover.candidate.begin("the hub burnt down"))
    parish.go(20)
    assert parish.keepers() == {"north"}
    assert parish.agree()
    assert parish.datasets("east") == {"herring", "salt"}
