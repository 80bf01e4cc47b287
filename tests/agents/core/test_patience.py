"""Deadlines that pass while we are cut off."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hansa.agents.core.patience import GRACE_S, Patience
from hansa.broker import MemoryTransport
from hansa.ledger import MemberAdmitted
from tests.agents.federations import specification
from tests.agents.hall import NORTH, Hall


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    hall = Hall.found(tmp_path)
    hall.broker.declare("north")
    hall.agent.write(MemberAdmitted("north", NORTH.public.verify_key, NORTH.public.seal_key, ""))
    hall.settle()
    yield hall
    hall.close()


def test_timers_rest_while_there_is_no_connection_and_a_little_longer() -> None:
    patience = Patience()
    assert patience.ended(0.0)
    assert patience.next_due(None) is None
    assert patience.next_due(7.0) == 7.0
    patience.look(100.0, online=False)
    assert not patience.ended(100.0 + GRACE_S - 1)
    assert patience.next_due(7.0) == 100.0 + GRACE_S
    assert patience.next_due(500.0) == 500.0
    patience.look(101.0, online=True)
    assert not patience.ended(101.0)
    assert patience.ended(100.0 + GRACE_S)


def test_a_coordinator_without_a_broker_blames_nobody_until_it_is_back_for_a_while(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryTransport, "online", False)
    spec = specification(parties=("north",), minimum_parties=1, settings={"quorum": 1}, consent_s=15.0)
    hall.agent.submit(spec)
    for _ in range(100):
        hall.agent.step()
        hall.now_s += 1.0
    assert hall.agent.outcome(spec.job) is None
    monkeypatch.setattr(MemoryTransport, "online", True)
    hall.agent.step()
    assert hall.agent.outcome(spec.job) is None
    hall.now_s += GRACE_S
    hall.settle()
    over = hall.agent.outcome(spec.job)
    assert over is not None
    assert over.missing == ("north",)
