"""What a running agent tells of itself."""

import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hansa.agents.service import status
from hansa.agents.service.office import Office
from hansa.agents.service.status import Status
from hansa.broker import Health, TransportError
from tests.agents.service.test_health import VITALS


class Desk:
    """An office, as far as `Status` looks at it."""

    def __init__(self) -> None:
        section = SimpleNamespace(organisation="North", roles=("party",))
        self.home = None
        self.agent = SimpleNamespace(config=SimpleNamespace(agent=section))
        self.daemon = SimpleNamespace(
            started=1.0, health_url="", health=lambda: Health("connecting", TransportError("lost"))
        )

    def ask(self, request: Callable[[], Any]) -> Any:
        return request()


def test_status_tells_how_each_job_stands_and_ended_here(monkeypatch: pytest.MonkeyPatch) -> None:
    vitals = replace(VITALS, ended={"two": ("aborted", "south left")})
    monkeypatch.setattr(status, "take_vitals", lambda home, agent: vitals)
    told = Status().carry_out(cast(Office, Desk()))
    assert told["jobs"] == [
        {"job": "one", "status": "open"},
        {"job": "two", "status": "finished", "outcome": "aborted", "reason": "south left"},
    ]
    assert told["broker"] == {"state": "connecting", "trouble": "lost"}
    assert told["ledger"] == {"entries": 5, "head": "ab" * 32}
    assert json.loads(json.dumps(told)) == told
